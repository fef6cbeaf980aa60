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

mod reply;

use std::time::SystemTime;

use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use reply::Reply;
use serde_json::{Value, json};
use wasi::config::store as config;
use wasi::http::types::Method;
use withe_examples::visits::page::{self, View};
use withe_examples::visits::types::{Datetime, Visit, VisitError};
use withe_examples::visits::visits;

struct Router;
export!(Router);

impl Guest for Router {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        route(&request).unwrap_or_else(|error| error).send(out);
    }
}

/// The answer; an error is one as well.
fn route(request: &IncomingRequest) -> Result<Reply, Reply> {
    if !matches!(request.method(), Method::Get) {
        return Err(Reply::error(405, "only GET is served here").with_header("allow", "GET"));
    }
    let target = request.path_with_query().unwrap_or_else(|| "/".into());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    match path {
        "/api/visits" => list(query),
        "/favicon.ico" => Err(Reply::error(404, "there is no icon")),
        _ if path.starts_with("/api/") => Err(Reply::error(404, "the interface is `/api/visits`")),
        _ => show(path, visitor(request)),
    }
}

fn list(query: &str) -> Result<Reply, Reply> {
    let limit = match query
        .split('&')
        .find_map(|pair| pair.strip_prefix("limit="))
    {
        Some(limit) => limit
            .parse()
            .map_err(|_| Reply::error(400, "`limit` is not a number"))?,
        None => top_length()?,
    };
    let top = visits::top(limit).map_err(refused)?;
    Ok(Reply::json(
        200,
        &json!({ "visits": top.iter().map(visit_json).collect::<Vec<_>>() }),
    ))
}

fn show(path: &str, visitor: Option<String>) -> Result<Reply, Reply> {
    let visit = visits::hit(path, visitor.as_deref()).map_err(refused)?;
    let top = visits::top(top_length()?).map_err(refused)?;
    let greeting = configured("greeting")?.unwrap_or_else(|| "Visits".into());
    let html = page::render(&View {
        greeting,
        now: now(),
        visit,
        top,
    });
    Ok(Reply::html(200, html))
}

/// What the visitor calls itself: the first word of its user agent.
fn visitor(request: &IncomingRequest) -> Option<String> {
    let values = request.headers().get("user-agent");
    let agent = str::from_utf8(values.first()?).ok()?;
    Some(agent.split_whitespace().next()?.to_string())
}

fn top_length() -> Result<u32, Reply> {
    match configured("top")? {
        Some(text) => text
            .parse()
            .map_err(|_| Reply::error(500, "the configured `top` is not a number")),
        None => Ok(10),
    }
}

fn configured(key: &str) -> Result<Option<String>, Reply> {
    config::get(key).map_err(|e| Reply::error(500, &format!("configuration `{key}`: {e:?}")))
}

fn refused(error: VisitError) -> Reply {
    match error {
        VisitError::BadPath(why) => Reply::error(400, &why),
        VisitError::Storage(why) => Reply::error(503, &why),
    }
}

fn visit_json(visit: &Visit) -> Value {
    let last = visit.last.as_ref().map(|last| {
        let at = last.at.seconds as f64 + f64::from(last.at.nanoseconds) / 1e9;
        json!({ "at": at, "visitor": last.visitor })
    });
    json!({ "path": visit.path, "count": visit.count, "last": last })
}

fn now() -> Datetime {
    // The clock may stand before 1970 on a machine that does not know the time.
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Datetime {
        seconds: now.as_secs(),
        nanoseconds: now.subsec_nanos(),
    }
}
