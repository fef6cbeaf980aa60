// Answers HTTP requests with how often each path was asked for.
import { count } from "example:{{name}}/counter";

import { said } from "./said.js";

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

function answer(request) {
  const { pathname } = new URL(request.url);
  try {
    return text(200, said(pathname, count(pathname)));
  } catch (error) {
    // An `err(…)` of WIT is thrown, with its value as `payload`.
    return text(503, `${error.payload ?? error}\n`);
  }
}

function text(status, body) {
  return new Response(body, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}
