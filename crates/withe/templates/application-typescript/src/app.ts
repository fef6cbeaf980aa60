// Answers HTTP requests with how often each path was asked for.
import { count } from "example:{{name}}/counter";

import { said } from "./said.js";

/** A request, as the runtime hands it to whoever listens for `fetch`. */
interface FetchEvent extends Event {
  readonly request: Request;
  respondWith(response: Response | Promise<Response>): void;
}

function answer(request: Request): Response {
  const { pathname } = new URL(request.url);
  try {
    return text(200, said(pathname, count(pathname)));
  } catch (error) {
    // An `err(…)` of WIT is thrown, with its value as `payload`.
    const { payload } = error as { payload?: string };
    return text(503, `${payload ?? error}\n`);
  }
}

function text(status: number, body: string): Response {
  return new Response(body, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}

addEventListener("fetch", (event) => {
  const request = event as FetchEvent;
  request.respondWith(answer(request.request));
});
