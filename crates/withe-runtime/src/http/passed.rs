//! Requests and responses of WASI 0.2 between a component's table and the messages that links carry.
//!
//! Wasmtime makes some of these resources and takes others; a component that passes on what it was given needs the
//! other direction. A request that came in is taken apart here by the functions that guests have for it, and its
//! body by the stream that they would read.

use futures::stream::{self, Stream};
use http::Uri;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use wasmtime::Result;
use wasmtime::component::{Resource, ResourceTableError};
use wasmtime_wasi::p2::{InputStream as _, Pollable as _, StreamError};
use wasmtime_wasi_http::p2::bindings::http::types::{self as p2, HostIncomingRequest as _};
use wasmtime_wasi_http::p2::body::{HostFutureTrailers, HostIncomingBody, HostIncomingBodyStream};
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingRequest, HostOutgoingRequest,
};
use wasmtime_wasi_http::{Error, FieldMap, RequestOptions, WasiBody, WasiHttpView};
use withe_provider::{Body, HttpError, HttpErrorKind, RequestOptions as LinkRequestOptions};

use super::errors;
use crate::core::InstanceState;

/// The most that is taken of a body at a time.
const CHUNK: usize = 64 << 10;

/// Takes a request that came in out of the table of the component that passes it on.
pub(super) fn incoming_request(
    state: &mut InstanceState,
    request: Resource<HostIncomingRequest>,
) -> Result<http::Request<Body>> {
    let same = || Resource::new_own(request.rep());
    let mut http = state.http();
    let headers = http.headers(same())?;
    let headers: FieldMap = http.table.delete(headers)?;
    let method: http::Method = http.method(same())?.try_into()?;
    let scheme = match http.scheme(same())? {
        Some(p2::Scheme::Https) => "https".to_owned(),
        Some(p2::Scheme::Http) | None => "http".to_owned(),
        Some(p2::Scheme::Other(other)) => other,
    };
    let mut uri = Uri::builder().scheme(scheme.as_str());
    if let Some(authority) = http.authority(same())? {
        uri = uri.authority(authority);
    }
    let path = http.path_with_query(same())?;
    let uri = uri.path_and_query(path.as_deref().unwrap_or("/")).build()?;
    let request = http.table.delete(request)?;
    let mut taken = http::Request::new(match request.body {
        Some(body) => incoming_body(body),
        None => consumed(),
    });
    *taken.method_mut() = method;
    *taken.uri_mut() = uri;
    *taken.headers_mut() = headers.into();
    Ok(taken)
}

/// The body of a request of which whoever passes it on has taken the body: there is nothing left to be read, and its
/// reader has to know that this is not all there was.
fn consumed() -> Body {
    let text = "the body was consumed before the request was passed on";
    let failed = Err(HttpError::new(HttpErrorKind::Handler, text));
    StreamBody::new(stream::iter([failed])).boxed_unsync()
}

/// How far the body of a request has been taken.
enum Taken {
    /// The bytes come from the stream, and what is behind them from the body.
    Bytes(HostIncomingBodyStream, HostIncomingBody),
    /// All has come.
    All,
}

fn incoming_body(mut body: HostIncomingBody) -> Body {
    let taken = match body.take_stream() {
        Some(bytes) => Taken::Bytes(bytes, body),
        // Only who has the body can take its stream, and that is this.
        None => Taken::All,
    };
    StreamBody::new(frames(taken)).boxed_unsync()
}

fn frames(
    taken: Taken,
) -> impl Stream<Item = Result<Frame<bytes::Bytes>, HttpError>> + Send + 'static {
    stream::unfold(taken, async |taken| {
        let Taken::Bytes(mut stream, body) = taken else {
            return None;
        };
        let end = loop {
            match stream.read(CHUNK) {
                Ok(bytes) if bytes.is_empty() => stream.ready().await,
                Ok(bytes) => return Some((Ok(Frame::data(bytes)), Taken::Bytes(stream, body))),
                Err(StreamError::Closed) => break None,
                Err(StreamError::LastOperationFailed(e)) => break Some(e),
                Err(StreamError::Trap(e)) => break Some(e),
            }
        };
        if let Some(error) = end {
            let error = match error.downcast::<Error>() {
                Ok(error) => errors::from_wasi(error),
                Err(other) => errors::internal(other),
            };
            return Some((Err(error), Taken::All));
        }
        drop(stream);
        let mut trailers = body.into_future_trailers();
        trailers.ready().await;
        let last = match trailers {
            HostFutureTrailers::Done(Ok(Some(trailers))) => Ok(Frame::trailers(trailers)),
            HostFutureTrailers::Done(Err(error)) => Err(errors::from_wasi(error)),
            _ => return None,
        };
        Some((last, Taken::All))
    })
}

/// Puts a request into the table of a component that is to send it on, with what is asked of it.
pub(super) fn outgoing_request(
    state: &mut InstanceState,
    request: http::Request<WasiBody>,
) -> Result<
    (
        Resource<HostOutgoingRequest>,
        Option<Resource<RequestOptions>>,
    ),
    ResourceTableError,
> {
    let options = options(&request);
    let http = state.http();
    let (head, body) = request.into_parts();
    let uri = head.uri.into_parts();
    let request = http.table.push(HostOutgoingRequest {
        method: head.method.into(),
        scheme: uri.scheme.map(|scheme| match scheme.as_str() {
            "http" => p2::Scheme::Http,
            "https" => p2::Scheme::Https,
            other => p2::Scheme::Other(other.to_owned()),
        }),
        authority: uri.authority.map(|authority| authority.to_string()),
        path_with_query: uri.path_and_query.map(|path| path.to_string()),
        headers: FieldMap::new_immutable(http.hooks, head.headers),
        body: Some(body),
    })?;
    let options = options
        .map(|options| http.table.push(options))
        .transpose()?;
    Ok((request, options))
}

/// The options of a request that goes out, if it has any.
pub(super) fn options<B>(request: &http::Request<B>) -> Option<RequestOptions> {
    let asked = request.extensions().get::<LinkRequestOptions>()?;
    (*asked != LinkRequestOptions::default()).then_some(RequestOptions {
        connect_timeout: asked.connect_timeout,
        first_byte_timeout: asked.first_byte_timeout,
        between_bytes_timeout: asked.between_bytes_timeout,
    })
}

/// Waits for the response that a component had from elsewhere and gives back.
pub(super) async fn response(
    mut response: HostFutureIncomingResponse,
) -> Result<http::Response<WasiBody>, HttpError> {
    response.ready().await;
    match response {
        HostFutureIncomingResponse::Ready(Ok((response, worker))) => {
            // The body comes as long as whatever drives it is there.
            Ok(response.map(|body| {
                let driven = body.map_err(move |error| {
                    _ = &worker;
                    error
                });
                driven.boxed_unsync()
            }))
        }
        HostFutureIncomingResponse::Ready(Err(error)) => Err(errors::from_wasi(error)),
        HostFutureIncomingResponse::Pending(_) | HostFutureIncomingResponse::Consumed => {
            let text = "the component gave back a response that it had read itself";
            Err(HttpError::new(HttpErrorKind::Handler, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn body(frames: Vec<Result<Frame<Bytes>, Error>>) -> Body {
        let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
        incoming_body(HostIncomingBody::new(body))
    }

    #[tokio::test]
    async fn a_body_that_is_passed_on_keeps_its_bytes_and_its_trailers() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("42"));
        let data = |bytes: &'static [u8]| Ok(Frame::data(Bytes::from_static(bytes)));
        let frames = vec![
            data(b"ab"),
            data(b"c"),
            Ok(Frame::trailers(trailers.clone())),
        ];
        let came = body(frames).collect().await.unwrap();
        assert_eq!(came.trailers(), Some(&trailers));
        assert_eq!(came.to_bytes(), "abc");
        let came = body(vec![data(b"ab")]).collect().await.unwrap();
        assert_eq!(came.trailers(), None);
        assert_eq!(came.to_bytes(), "ab");
    }

    #[tokio::test]
    async fn a_body_that_is_not_whole_fails() {
        let broken = vec![
            Ok(Frame::data(Bytes::from_static(b"ab"))),
            Err(Error::ConnectionTerminated),
        ];
        let mut broken = body(broken);
        assert!(broken.frame().await.unwrap().is_ok());
        let failed = broken.frame().await.unwrap().unwrap_err();
        assert_eq!(failed.kind, HttpErrorKind::ConnectionTerminated);
        assert!(broken.frame().await.is_none());
        let failed = consumed().collect().await.unwrap_err();
        assert!(failed.message.contains("consumed"), "{failed}");
    }
}
