//! `wasi:http`'s handlers, which are `wrpc:http`'s on the wire: a request and a response as values, their
//! bodies and trailers beside them.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::time::Instant;
use withe_provider::{Body, HttpError, HttpErrorKind, IncomingHandler, RequestOptions};
use withe_rpc::codec::Writer;
use withe_rpc::{CallError, Reader};

use super::{http_body, http_error, http_messages};
use crate::trace;
use crate::values::mismatch;
use crate::wire::V1Wire;
use crate::wire::client::{Request, closed};
use crate::wire::connection::OutgoingValues;
use crate::wire::mailbox::ChannelReader;
use crate::wire::server::{Endpoint, Handler, Invocation};

const OUTGOING: &str = "wrpc:http/outgoing-handler@0.1.0";
const INCOMING: &str = "wrpc:http/incoming-handler@0.1.0";

/// Where body and trailers stand: in the first parameter, and in the result.
const PATHS: [&str; 2] = ["0.0", "0.1"];

fn paths() -> Vec<String> {
    PATHS.map(str::to_owned).to_vec()
}

/// The taker of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taker {
    /// A provider, which sends it to the world.
    Client,
    /// A component, which answers it.
    Handler,
}

impl Taker {
    /// Who takes the requests that are sent over `interface`; `None` if it is none of HTTP's.
    pub(crate) fn of(interface: &str) -> Option<Self> {
        let is = |name: &str| interface.starts_with(name);
        if is("wasi:http/outgoing-handler@0.2.") || is("wasi:http/handler@0.3.") {
            Some(Self::Client)
        } else if is("wasi:http/incoming-handler@0.2.") {
            Some(Self::Handler)
        } else {
            None
        }
    }
}

/// Values with a body.
fn with_body(bytes: Vec<u8>, body: Body) -> OutgoingValues {
    let (body, trailers) = http_body::leaving(body);
    let [body_path, trailers_path] = PATHS.map(str::to_owned);
    OutgoingValues {
        bytes: bytes.into(),
        streams: vec![(body_path, body), (trailers_path, trailers)],
    }
}

/// Sends a request to what has `prefix`.
pub(crate) async fn send(
    wire: &V1Wire,
    prefix: &str,
    taker: Taker,
    headers: async_nats::HeaderMap,
    request: http::Request<Body>,
    options: RequestOptions,
    deadline: Instant,
) -> Result<http::Response<Body>, HttpError> {
    let (parts, body) = request.into_parts();
    let (instance, params) = match taker {
        Taker::Client => (OUTGOING, http_messages::put_outgoing(&parts, options)),
        Taker::Handler => (INCOMING, http_messages::put_incoming(&parts)),
    };
    let params = with_body(params, body);
    let results = paths();
    let reply = wire.invoke(Request {
        prefix,
        instance,
        function: "handle",
        headers,
        params,
        results: &results,
        deadline,
    });
    let reply = reply.await.map_err(http_error::of_call)?;
    if reply.bytes.is_empty() {
        return Err(http_error::of_call(closed(prefix)));
    }
    let mut r = Reader::from_bytes(&reply.bytes);
    let malformed = |e| http_error::of_call(mismatch(e));
    if r.bool().map_err(malformed)? {
        return Err(http_error::decode(&mut r).map_err(malformed)?);
    }
    let parts = http_messages::response(&mut r).map_err(malformed)?;
    Ok(http::Response::from_parts(parts, body_of(reply.streams)?))
}

/// The body that comes over the streams at [`PATHS`].
fn body_of(streams: Vec<ChannelReader>) -> Result<Body, HttpError> {
    match <[_; 2]>::try_from(streams) {
        Ok([body, trailers]) => Ok(http_body::arriving(body, trailers)),
        Err(_) => Err(HttpError::new(
            HttpErrorKind::Internal,
            "there are no streams",
        )),
    }
}

/// Serves `incoming-handler` by `handler`.
pub(crate) fn endpoint(handler: Arc<dyn IncomingHandler>) -> Endpoint {
    Endpoint {
        instance: INCOMING.into(),
        function: "handle".into(),
        params: paths(),
        results: paths(),
        handler: Arc::new(IncomingHttp { handler }),
    }
}

struct IncomingHttp {
    handler: Arc<dyn IncomingHandler>,
}

impl Handler for IncomingHttp {
    fn is_complete(&self, bytes: &[u8]) -> bool {
        http_messages::incoming(bytes).is_ok()
    }

    fn invoke(
        &self,
        invocation: Invocation,
    ) -> BoxFuture<'static, Result<OutgoingValues, CallError>> {
        let handler = self.handler.clone();
        Box::pin(async move {
            let parts = http_messages::incoming(&invocation.params).map_err(mismatch)?;
            let deadline = invocation.deadline.into_std();
            let handled = match body_of(invocation.streams) {
                Ok(body) => {
                    let mut request = http::Request::from_parts(parts, body);
                    if let Some(trace) = trace::of(&invocation.headers) {
                        request.extensions_mut().insert(trace);
                    }
                    handler.handle(request, deadline).await
                }
                Err(e) => Err(e),
            };
            let mut w = Writer::default();
            match handled {
                Ok(response) => {
                    let (parts, body) = response.into_parts();
                    w.byte(0);
                    http_messages::put_response(&parts, &mut w);
                    Ok(with_body(w.finish().bytes, body))
                }
                Err(error) => {
                    w.byte(1);
                    http_error::encode(&error, &mut w);
                    Ok(OutgoingValues::plain(w.finish().bytes))
                }
            }
        })
    }
}
