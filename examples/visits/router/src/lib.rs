//! Answers HTTP requests: counts a visit, or lists visits, and renders what came of it.
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/visits?limit=N` | the most visited paths as JSON; nothing is counted |
//! | `GET /api/…`, `GET /favicon.ico` | 404 |
//! | `GET` anything else | the path's page; the visit is counted |
//! | anything else | 405 |
//!
//! Configuration: `greeting`, the page's title; `top`, how many paths are listed unless the request
//! says (10 if not given).

wit_bindgen::generate!({ world: "router-component", path: "../wit", generate_all });

mod answers;
mod reply;
mod send;

use answers::{greeting, limit, now, refused, top_length, visitor};
use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use reply::Reply;
use wasi::http::types::Method;
use withe_examples::visits::page::{self, View};
use withe_examples::visits::visits;

struct Router;
export!(Router);

impl Guest for Router {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let reply = route(&request).unwrap_or_else(|error| error);
        send::send(reply, out);
    }
}

/// The answer; an error is one as well.
fn route(request: &IncomingRequest) -> Result<Reply, Reply> {
    if !matches!(request.method(), Method::Get) {
        return Err(Reply::only_get());
    }
    let target = request.path_with_query().unwrap_or_else(|| "/".into());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    match path {
        "/api/visits" => Ok(answers::list(&visits::top(limit(query)?).map_err(refused)?)),
        _ if Reply::is_elsewhere(path) => Err(Reply::elsewhere(path)),
        _ => show(path, visitor(&request.headers().get("user-agent"))),
    }
}

fn show(path: &str, visitor: Option<String>) -> Result<Reply, Reply> {
    let visit = visits::hit(path, visitor.as_deref()).map_err(refused)?;
    let top = visits::top(top_length()?).map_err(refused)?;
    let html = page::render(&View {
        greeting: greeting()?,
        now: now(),
        visit,
        top,
    });
    Ok(Reply::html(html))
}
