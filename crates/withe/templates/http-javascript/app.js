// Answers HTTP requests.
import { greeting } from "./greeting.js";

addEventListener("fetch", (event) => {
  const { pathname } = new URL(event.request.url);
  event.respondWith(new Response(greeting(pathname), { headers: { "content-type": "text/plain; charset=utf-8" } }));
});
