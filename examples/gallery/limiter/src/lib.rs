//! Stands before an HTTP client. As many requests go out in a minute as the configuration `per_minute` says; others are
//! denied at once. Each request has an instance of its own, and there may be replicas on several hosts, so the count is
//! kept in a key-value store: one key for the present minute.

wit_bindgen::generate!({ world: "limiter", path: "../wit", generate_all });

use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};

use exports::wasi::http::outgoing_handler::{
    ErrorCode, FutureIncomingResponse, Guest, OutgoingRequest, RequestOptions,
};
use wasi::config::store as config;
use wasi::http::outgoing_handler;
use wasi::keyvalue::{atomics, store};

struct Limiter;
export!(Limiter);

/// The bucket of the counts.
const BUCKET: &str = "limiter";
/// How many requests go out in a minute if the configuration does not say.
const PER_MINUTE: u64 = 60;

impl Guest for Limiter {
    fn handle(
        request: OutgoingRequest,
        options: Option<RequestOptions>,
    ) -> Result<FutureIncomingResponse, ErrorCode> {
        if !may_go().map_err(|why| ErrorCode::InternalError(Some(why)))? {
            return Err(ErrorCode::HttpRequestDenied);
        }
        outgoing_handler::handle(request, options)
    }
}

/// Counts a request, and says whether it may go out.
fn may_go() -> Result<bool, String> {
    let most = match config::get("per_minute").map_err(said)? {
        Some(text) => (text.parse()).map_err(|_| format!("`per_minute` is `{text}`, no number"))?,
        None => PER_MINUTE,
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(said)?;
    let minute = (since.as_secs() / 60).to_string();
    let bucket = store::open(BUCKET).map_err(said)?;
    let count = atomics::increment(&bucket, &minute, 1).map_err(said)?;
    if count == 1 {
        // The first request of a minute forgets the minutes before.
        for key in bucket.list_keys(None).map_err(said)?.keys {
            if key != minute {
                bucket.delete(&key).map_err(said)?;
            }
        }
    }
    Ok(count <= most)
}

fn said(error: impl Debug) -> String {
    format!("{error:?}")
}
