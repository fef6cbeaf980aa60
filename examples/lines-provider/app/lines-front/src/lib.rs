//! Answers with the lines of a request's body, numbered; at `/lengths`, with how many there are of each length.

wit_bindgen::generate!({ world: "front", path: "../wit", generate_all });

use acme::lines::lines;
use exports::wasi::http::handler::{ErrorCode, Guest, Request, Response};
use wasi::http::types::Fields;
use wit_bindgen::{StreamReader, spawn_local};

struct Front;
export!(Front);

impl Guest for Front {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let (_all_read, read) = wit_future::new(|| Ok(()));
        let (text, _trailers) = Request::consume_body(request, read);
        let body = match path.as_str() {
            // Neither of the two bodies is ever here as a whole.
            "/" => lines::number(text).await,
            "/lengths" => table(lines::lengths(text).await),
            _ => return answer(404, None),
        };
        answer(200, Some(body))
    }
}

/// Lengths as lines of text.
fn table(mut lengths: StreamReader<lines::Length>) -> StreamReader<u8> {
    let (mut writer, table) = wit_stream::new();
    spawn_local(async move {
        while let Some(length) = lengths.next().await {
            let line = format!("{} bytes: {} lines\n", length.bytes, length.lines);
            if !writer.write_all(line.into_bytes()).await.is_empty() {
                // The client is gone.
                break;
            }
        }
    });
    table
}

fn answer(status: u16, body: Option<StreamReader<u8>>) -> Result<Response, ErrorCode> {
    let (no_trailers, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), body, trailers);
    response
        .set_status_code(status)
        .expect("a status of three digits");
    spawn_local(async move {
        // A client that is gone is no concern of this component.
        _ = no_trailers.write(Ok(None)).await;
    });
    Ok(response)
}
