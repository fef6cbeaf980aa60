//! A response's body, whose errors say what is wrong with it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::{Error, WasiBody};
use withe_provider::{HttpError, HttpErrorKind};

use super::errors;

/// A body that should be as long as its head says. Wasmtime breaks it off if it is not, and says of WASI 0.2 only
/// that the protocol was violated.
pub(super) struct DeclaredBody {
    body: WasiBody,
    /// The length in the head.
    declared: Option<u64>,
    /// How many bytes have come.
    come: u64,
}

impl DeclaredBody {
    /// The body of a response with these headers.
    pub(super) fn new(body: WasiBody, headers: &HeaderMap) -> Self {
        let declared = headers.get(CONTENT_LENGTH);
        Self {
            body,
            declared: declared.and_then(|value| value.to_str().ok()?.parse().ok()),
            come: 0,
        }
    }

    fn explain(&self, error: Error) -> HttpError {
        match (self.declared, &error) {
            (Some(declared), Error::HttpProtocolError | Error::HttpResponseBodySize(_)) => {
                let text = format!(
                    "the component declared a `content-length` of {declared} and did not keep to it: {} bytes of the \
                     body were right",
                    self.come
                );
                HttpError::new(HttpErrorKind::Handler, text)
            }
            _ => errors::from_wasi(error),
        }
    }
}

impl Body for DeclaredBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.come += bytes as u64;
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(self.explain(error))),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    async fn error_of(headers: &[(&'static str, &'static str)], error: Error) -> HttpError {
        let frames = [Ok(Frame::data(Bytes::from_static(b"abc"))), Err(error)];
        let body = StreamBody::new(futures::stream::iter(frames)).boxed_unsync();
        let headers = headers.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, http::HeaderValue::from_static(value))
        });
        let body = DeclaredBody::new(body, &headers.collect());
        body.collect().await.unwrap_err()
    }

    #[tokio::test]
    async fn a_content_length_that_is_not_kept_is_named() {
        for error in [
            Error::HttpProtocolError,
            Error::HttpResponseBodySize(Some(3)),
        ] {
            let error = error_of(&[("content-length", "10")], error).await;
            assert_eq!(
                error.message,
                "the component declared a `content-length` of 10 and did not keep to it: 3 bytes of the body were right"
            );
        }
        let error = error_of(&[], Error::HttpProtocolError).await;
        assert!(
            !error.message.contains("content-length"),
            "{}",
            error.message
        );
        let error = error_of(&[("content-length", "10")], Error::ConnectionTerminated).await;
        assert_eq!(error.kind, HttpErrorKind::ConnectionTerminated);
    }
}
