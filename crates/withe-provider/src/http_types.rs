//! HTTP across a link. The messages are those of the `http` crate with streamed bodies; the host
//! translates them to and from the WASI version that the component at the other end speaks.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

use crate::LinkId;

/// A streamed body.
pub type Body = UnsyncBoxBody<Bytes, HttpError>;

/// A component that handles HTTP requests, as an HTTP server sees it.
#[async_trait::async_trait]
pub trait IncomingHandler: Send + Sync + 'static {
    /// Handles one request. The request's URI is absolute (scheme and authority as the client sent
    /// them). Returns when the response's head is there; its body streams on. Dropping the future
    /// or the body cancels the call.
    async fn handle(
        &self,
        request: http::Request<Body>,
        deadline: Instant,
    ) -> Result<http::Response<Body>, HttpError>;
}

/// Sends HTTP requests for components.
#[async_trait::async_trait]
pub trait OutgoingHandler: Send + Sync {
    /// Sends one request (its URI is absolute) over the link `link`. Returns when the response's
    /// head is there; its body streams on.
    async fn send(
        &self,
        link: LinkId,
        request: http::Request<Body>,
        options: RequestOptions,
    ) -> Result<http::Response<Body>, HttpError>;
}

/// The options of a component's outgoing request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestOptions {
    /// The longest that connecting may take.
    pub connect_timeout: Option<Duration>,
    /// The longest until the response's first byte.
    pub first_byte_timeout: Option<Duration>,
    /// The longest between two chunks of the response's body.
    pub between_bytes_timeout: Option<Duration>,
}

/// Why an HTTP exchange failed, in the terms of `wasi:http`'s `error-code`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpError {
    /// The sort of failure.
    pub kind: HttpErrorKind,
    /// The event, for a person.
    pub message: String,
}

/// The sorts of failure that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpErrorKind {
    /// The name does not resolve. The message is the `rcode` where there is one.
    Dns,
    /// The destination is not on the allow-list.
    Denied,
    /// Nobody answers there.
    ConnectionRefused,
    /// The connection broke.
    ConnectionTerminated,
    /// Connecting took too long.
    ConnectionTimeout,
    /// The response, or its next chunk, took too long.
    ResponseTimeout,
    /// TLS failed: protocol or certificate.
    Tls,
    /// The request cannot be sent as it is. Of a handler: one that the handler sent in turn.
    InvalidRequest,
    /// The bytes that came are not HTTP.
    Protocol,
    /// A limit was met: connections, instances, queue.
    Exhausted,
    /// The component trapped, or did not answer.
    Handler,
    /// The deadline passed.
    Deadline,
    /// Anything else.
    Internal,
}

impl HttpError {
    /// A failure of the sort `kind`.
    pub fn new(kind: HttpErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HttpError {}
