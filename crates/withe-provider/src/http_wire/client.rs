//! The side that sends requests.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use withe_rpc::codec::{Reader, Writer};
use withe_rpc::{CallContext, Payload, TraceContext};

use super::body::{self, Received, beside};
use super::exchange::HANDLE;
use super::head::{self, Malformed};
use crate::{Body, CallTarget, HttpError, IncomingHandler, RequestOptions};

/// About as many bytes as a request's head has.
const HEAD: usize = 512;

/// Sends a request over `carrier`, and returns when the response's head is there. Dropped before, or if the
/// response's body is dropped, the exchange ends at the other side as well. The call is part of the trace
/// that the request has among its extensions ([`TraceContext`]), if any.
///
/// The request's body is sent while the response is waited for and while its body is read, and not
/// beyond that.
///
/// # Errors
///
/// The other side's answer, or how the call failed; `Deadline` if there is no answer until `deadline`.
pub async fn call<C: CallTarget + ?Sized>(
    carrier: &Arc<C>,
    request: Request<Body>,
    options: RequestOptions,
    deadline: Instant,
) -> Result<Response<Body>, HttpError> {
    let (parts, body) = request.into_parts();
    let context = CallContext {
        deadline,
        trace: parts.extensions.get::<TraceContext>().copied(),
    };
    let mut w = Writer::with_capacity(HEAD);
    head::write_request(&mut w, &parts, options);
    let (payload, mut upload) = body::write(w, body).await;
    let answer = beside(&mut upload, carrier.call(HANDLE, payload, context)).await;
    let (head, body) = read(answer.map_err(head::from_call)?)?;
    Ok(head.map(|()| body.into_body(Some(carrier.clone()), upload)))
}

fn read(payload: Payload) -> Result<(Response<()>, Received), HttpError> {
    let all = Bytes::from(payload.bytes);
    let mut r = Reader::from_bytes(&all);
    let read = || {
        Ok::<_, Malformed>(match r.bool()? {
            false => {
                let head = head::read_response(&mut r)?;
                Ok((head, Received::read(&mut r, &all, payload.streams)?))
            }
            true => {
                let error = head::read_error(&mut r)?;
                r.finish()?;
                Err(error)
            }
        })
    };
    read().unwrap_or_else(|why| Err(head::malformed(&why)))
}

/// A component at the other side of a link, as an HTTP server sees it.
pub struct IncomingOver<C: ?Sized>(pub Arc<C>);

#[async_trait::async_trait]
impl<C: CallTarget + ?Sized> IncomingHandler for IncomingOver<C> {
    async fn handle(
        &self,
        request: Request<Body>,
        deadline: Instant,
    ) -> Result<Response<Body>, HttpError> {
        call(&self.0, request, RequestOptions::default(), deadline).await
    }
}
