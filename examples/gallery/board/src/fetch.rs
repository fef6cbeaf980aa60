//! Fetches pictures over HTTP, from wherever the link to an HTTP client allows.

use std::fmt;

use crate::wasi::http::outgoing_handler;
use crate::wasi::http::types::{
    ErrorCode, Fields, IncomingBody, Method, OutgoingBody, OutgoingRequest, Scheme,
};

/// Why there is no picture.
pub(crate) enum Failure {
    /// The text is no URL of a picture.
    Url,
    /// The link does not allow it, or something between here and the client does not.
    Denied,
    /// The other server's status.
    Status(u16),
    Code(ErrorCode),
}

impl Failure {
    /// The status that tells the client of it.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Url => 400,
            Self::Denied => 403,
            Self::Status(_) | Self::Code(_) => 502,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("send the URL of a picture, as http://example.com/cat.jpg"),
            Self::Denied => f.write_str("the request may not go out, or not now"),
            Self::Status(status) => write!(f, "the other server says {status}"),
            Self::Code(code) => write!(f, "the picture cannot be fetched: {code:?}"),
        }
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::HttpRequestDenied => Self::Denied,
            code => Self::Code(code),
        }
    }
}

/// The body of the answer to `GET` of a URL.
pub(crate) fn get(url: &str) -> Result<IncomingBody, Failure> {
    let (scheme, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (Scheme::Http, rest),
        (_, Some(rest)) => (Scheme::Https, rest),
        _ => return Err(Failure::Url),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::new());
    (request.set_method(&Method::Get))
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })))
        .map_err(|()| Failure::Url)?;
    let body = request.body().expect("the body is taken once");
    let coming = outgoing_handler::handle(request, None)?;
    OutgoingBody::finish(body, None)?;
    coming.subscribe().block();
    let answer = coming.get().expect("the future is ready");
    let response = answer.expect("the answer is taken once")?;
    match response.status() {
        200 => Ok(response.consume().expect("the body is taken once")),
        other => Err(Failure::Status(other)),
    }
}
