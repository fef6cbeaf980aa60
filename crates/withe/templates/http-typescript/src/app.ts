// Answers HTTP requests.
import { greeting } from "./greeting.js";

/** A request, as the runtime hands it to whoever listens for `fetch`. */
interface FetchEvent extends Event {
  readonly request: Request;
  respondWith(response: Response | Promise<Response>): void;
}

function answer(event: FetchEvent): void {
  const { pathname } = new URL(event.request.url);
  event.respondWith(new Response(greeting(pathname), { headers: { "content-type": "text/plain; charset=utf-8" } }));
}

addEventListener("fetch", (event) => answer(event as FetchEvent));
