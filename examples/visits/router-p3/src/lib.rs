//! Answers HTTP requests as `router` does, in the form of WASI 0.3: what is counted streams from the component that has it
//! through the one that renders it to the visitor.

wit_bindgen::generate!({ world: "router-component", path: "../wit-0.3", generate_all });

#[path = "../../router/src/answers.rs"]
mod answers;
#[path = "../../router/src/reply.rs"]
mod reply;

use answers::{greeting, limit, now, refused, top_length, visitor};
use exports::wasi::http::handler::{ErrorCode, Guest, Request, Response};
use reply::{HTML, Reply};
use wasi::http::types::{Fields, Method};
use wit_bindgen::{StreamReader, spawn_local};
use withe_examples::visits::page::{self, View};
use withe_examples::visits::visits;

struct Router;
export!(Router);

/// An answer to a request that is none of the visitor's faults.
enum Answer {
    Text(Reply),
    Page(StreamReader<u8>),
}

impl Guest for Router {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        Ok(match route(&request).await {
            Ok(Answer::Page(page)) => response(200, &[HTML], page),
            Ok(Answer::Text(reply)) | Err(reply) => {
                let (mut body, contents) = wit_stream::new();
                spawn_local(async move {
                    // Nobody is left to tell when the visitor leaves early.
                    _ = body.write_all(reply.body.into_bytes()).await;
                });
                response(reply.status, &reply.headers, contents)
            }
        })
    }
}

async fn route(request: &Request) -> Result<Answer, Reply> {
    if !matches!(request.get_method(), Method::Get) {
        return Err(Reply::only_get());
    }
    let target = request.get_path_with_query().unwrap_or_else(|| "/".into());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    match path {
        "/api/visits" => {
            let top = visits::top(limit(query)?).await.map_err(refused)?;
            Ok(Answer::Text(answers::list(&top.collect().await)))
        }
        _ if Reply::is_elsewhere(path) => Err(Reply::elsewhere(path)),
        _ => show(path, visitor(&request.get_headers().get("user-agent"))).await,
    }
}

async fn show(path: &str, visitor: Option<String>) -> Result<Answer, Reply> {
    let visit = visits::hit(path.into(), visitor).await.map_err(refused)?;
    let top = visits::top(top_length()?).await.map_err(refused)?;
    let view = View {
        greeting: greeting()?,
        now: now(),
        visit,
    };
    Ok(Answer::Page(page::render(view, top).await))
}

fn response(status: u16, headers: &[(&str, &str)], body: StreamReader<u8>) -> Response {
    let fields = Fields::new();
    for (name, value) in headers {
        fields
            .append(name, value.as_bytes())
            .expect("the headers of replies are valid");
    }
    let (no_trailers, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(fields, Some(body), trailers);
    response
        .set_status_code(status)
        .expect("the statuses of replies are valid");
    spawn_local(async move {
        // A client that is gone is no concern of this component.
        _ = no_trailers.write(Ok(None)).await;
    });
    response
}
