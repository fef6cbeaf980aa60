//! The heads of messages, and errors, as bytes.

use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use withe_rpc::codec::{Decode, DecodeError, Encode, Reader, Writer};
use withe_rpc::{CallError, Payload};

use crate::{HttpError, HttpErrorKind, RequestOptions};

/// The bytes are not of this module's form.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error(transparent)]
    Value(#[from] DecodeError),
    #[error("its {0} is not one that HTTP knows")]
    Http(&'static str),
}

pub(super) fn write_request(w: &mut Writer, head: &http::request::Parts, options: RequestOptions) {
    head.method.as_str().encode(w);
    head.uri.scheme_str().encode(w);
    head.uri.authority().map(Authority::as_str).encode(w);
    head.uri
        .path_and_query()
        .map(PathAndQuery::as_str)
        .encode(w);
    write_version(w, head.version);
    write_headers(w, &head.headers);
    for timeout in [
        options.connect_timeout,
        options.first_byte_timeout,
        options.between_bytes_timeout,
    ] {
        let millis = timeout.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX));
        millis.encode(w);
    }
}

pub(super) fn read_request(
    r: &mut Reader<'_>,
) -> Result<(http::Request<()>, RequestOptions), Malformed> {
    let mut request = http::Request::new(());
    let method = Method::from_bytes(r.str()?.as_bytes());
    *request.method_mut() = method.map_err(|_| Malformed::Http("method"))?;
    *request.uri_mut() = read_uri(r)?;
    *request.version_mut() = read_version(r)?;
    *request.headers_mut() = read_headers(r)?;
    let mut timeout = || Ok::<_, DecodeError>(Option::<u64>::decode(r)?.map(Duration::from_millis));
    let options = RequestOptions {
        connect_timeout: timeout()?,
        first_byte_timeout: timeout()?,
        between_bytes_timeout: timeout()?,
    };
    Ok((request, options))
}

fn read_uri(r: &mut Reader<'_>) -> Result<Uri, Malformed> {
    let mut parts = http::uri::Parts::default();
    if let Some(scheme) = optional(r)? {
        parts.scheme = Some(Scheme::try_from(scheme).map_err(|_| Malformed::Http("scheme"))?);
    }
    if let Some(authority) = optional(r)? {
        let authority = Authority::try_from(authority);
        parts.authority = Some(authority.map_err(|_| Malformed::Http("authority"))?);
    }
    if let Some(path) = optional(r)? {
        let path = PathAndQuery::try_from(path);
        parts.path_and_query = Some(path.map_err(|_| Malformed::Http("path"))?);
    }
    Uri::from_parts(parts).map_err(|_| Malformed::Http("URI"))
}

fn optional<'a>(r: &mut Reader<'a>) -> Result<Option<&'a str>, DecodeError> {
    Ok(if r.bool()? { Some(r.str()?) } else { None })
}

pub(super) fn write_response(w: &mut Writer, head: &http::response::Parts) {
    head.status.as_u16().encode(w);
    write_version(w, head.version);
    write_headers(w, &head.headers);
}

pub(super) fn read_response(r: &mut Reader<'_>) -> Result<http::Response<()>, Malformed> {
    let mut response = http::Response::new(());
    let status = StatusCode::from_u16(u16::decode(r)?);
    *response.status_mut() = status.map_err(|_| Malformed::Http("status"))?;
    *response.version_mut() = read_version(r)?;
    *response.headers_mut() = read_headers(r)?;
    Ok(response)
}

fn write_version(w: &mut Writer, version: Version) {
    w.byte(match version {
        Version::HTTP_09 => 9,
        Version::HTTP_10 => 10,
        Version::HTTP_2 => 20,
        Version::HTTP_3 => 30,
        _ => 11,
    });
}

fn read_version(r: &mut Reader<'_>) -> Result<Version, Malformed> {
    Ok(match r.byte()? {
        9 => Version::HTTP_09,
        10 => Version::HTTP_10,
        11 => Version::HTTP_11,
        20 => Version::HTTP_2,
        30 => Version::HTTP_3,
        _ => return Err(Malformed::Http("version")),
    })
}

pub(super) fn write_headers(w: &mut Writer, headers: &HeaderMap) {
    w.unsigned(headers.len() as u64);
    for (name, value) in headers {
        w.counted(name.as_str().as_bytes());
        w.counted(value.as_bytes());
    }
}

pub(super) fn read_headers(r: &mut Reader<'_>) -> Result<HeaderMap, Malformed> {
    // Two lengths.
    let count = r.count(2)?;
    let too_many = |_| Malformed::Http("number of headers");
    let mut headers = HeaderMap::try_with_capacity(count).map_err(too_many)?;
    for _ in 0..count {
        let name = HeaderName::from_bytes(r.counted()?);
        let value = HeaderValue::from_bytes(r.counted()?);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Malformed::Http("header"));
        };
        headers.try_append(name, value).map_err(too_many)?;
    }
    Ok(headers)
}

/// How a body ended, as a value of the future that says so.
pub(super) fn body_end(end: &Result<Option<HeaderMap>, HttpError>) -> Payload {
    let mut w = Writer::default();
    match end {
        Ok(None) => w.raw(&[0, 0]),
        Ok(Some(trailers)) => {
            w.raw(&[0, 1]);
            write_headers(&mut w, trailers);
        }
        Err(error) => {
            w.byte(1);
            write_error(&mut w, error);
        }
    }
    w.finish()
}

/// Reads [`body_end`].
pub(super) fn read_body_end(payload: &Payload) -> Result<Option<HeaderMap>, HttpError> {
    let read = |r: &mut Reader<'_>| -> Result<_, Malformed> {
        let end = if r.bool()? {
            Err(read_error(r)?)
        } else if r.bool()? {
            Ok(Some(read_headers(r)?))
        } else {
            Ok(None)
        };
        r.finish()?;
        Ok(end)
    };
    read(&mut Reader::new(payload)).unwrap_or_else(|why| Err(malformed(&why)))
}

pub(super) fn write_error(w: &mut Writer, error: &HttpError) {
    w.byte(code(error.kind));
    error.message.encode(w);
}

pub(super) fn read_error(r: &mut Reader<'_>) -> Result<HttpError, DecodeError> {
    let kind = kind(r.byte()?);
    Ok(HttpError::new(kind, r.str()?))
}

/// The error for bytes that cannot be read.
pub(super) fn malformed(why: &Malformed) -> HttpError {
    let message = format!("what came over the link is no HTTP message: {why}");
    HttpError::new(HttpErrorKind::Internal, message)
}

/// A failed call, as an error for whoever waits for a response or a body.
pub(super) fn from_call(error: CallError) -> HttpError {
    let kind = match &error {
        CallError::Deadline => HttpErrorKind::Deadline,
        CallError::Exhausted(_) => HttpErrorKind::Exhausted,
        CallError::Unreachable(_) => HttpErrorKind::ConnectionTerminated,
        _ => HttpErrorKind::Handler,
    };
    let message = match error {
        CallError::Trap(text) => text,
        other => other.to_string(),
    };
    HttpError::new(kind, message)
}

const KINDS: [(HttpErrorKind, u8); 13] = [
    (HttpErrorKind::Internal, 0),
    (HttpErrorKind::Dns, 1),
    (HttpErrorKind::Denied, 2),
    (HttpErrorKind::ConnectionRefused, 3),
    (HttpErrorKind::ConnectionTerminated, 4),
    (HttpErrorKind::ConnectionTimeout, 5),
    (HttpErrorKind::ResponseTimeout, 6),
    (HttpErrorKind::Tls, 7),
    (HttpErrorKind::InvalidRequest, 8),
    (HttpErrorKind::Protocol, 9),
    (HttpErrorKind::Exhausted, 10),
    (HttpErrorKind::Handler, 11),
    (HttpErrorKind::Deadline, 12),
];

fn code(kind: HttpErrorKind) -> u8 {
    let known = KINDS.iter().find(|(k, _)| *k == kind);
    known.map_or(0, |(_, code)| *code)
}

/// A kind that is not known here came from a newer side, and says nothing more here.
fn kind(code: u8) -> HttpErrorKind {
    let known = KINDS.iter().find(|(_, c)| *c == code);
    known.map_or(HttpErrorKind::Internal, |(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(request: http::Request<()>, options: RequestOptions) {
        let (head, ()) = request.into_parts();
        let mut w = Writer::default();
        write_request(&mut w, &head, options);
        let payload = w.finish();
        let mut r = Reader::new(&payload);
        let (read, read_options) = read_request(&mut r).unwrap();
        r.finish().unwrap();
        assert_eq!(read.method(), head.method);
        assert_eq!(read.uri(), &head.uri);
        assert_eq!(read.version(), head.version);
        assert_eq!(read.headers(), &head.headers);
        assert_eq!(read_options, options);
        for n in 0..payload.bytes.len() {
            let mut cut = Reader::from_bytes(&payload.bytes[..n]);
            assert!(read_request(&mut cut).is_err(), "{n} bytes");
        }
    }

    #[test]
    fn requests_come_as_they_were_sent() {
        let request = http::Request::builder()
            .method("PURGE")
            .uri("https://user@example.com:8443/a/b?c=%20d")
            .version(Version::HTTP_2)
            .header("x-several", "1")
            .header("other", HeaderValue::from_bytes(b"\xff\xfe").unwrap())
            .header("x-several", "2");
        let options = RequestOptions {
            connect_timeout: Some(Duration::from_millis(1)),
            first_byte_timeout: None,
            between_bytes_timeout: Some(Duration::from_secs(3_600)),
        };
        read_back(request.body(()).unwrap(), options);
        read_back(http::Request::new(()), RequestOptions::default());
    }

    #[test]
    fn a_request_of_the_server_as_a_whole_keeps_its_target() {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some("example.com".parse().unwrap());
        parts.path_and_query = Some(PathAndQuery::from_static("*"));
        let mut request = http::Request::new(());
        *request.method_mut() = Method::OPTIONS;
        *request.uri_mut() = Uri::from_parts(parts).unwrap();
        read_back(request, RequestOptions::default());
    }

    #[test]
    fn errors_of_all_kinds_come_as_they_were_sent() {
        for (i, (kind, code)) in KINDS.into_iter().enumerate() {
            assert_eq!(usize::from(code), i);
            let error = HttpError::new(kind, "why");
            assert_eq!(read_body_end(&body_end(&Err(error.clone()))), Err(error));
        }
        assert_eq!(super::kind(200), HttpErrorKind::Internal);
    }

    #[test]
    fn more_headers_than_a_map_takes_are_an_error() {
        let mut w = Writer::default();
        let count = 40_000;
        w.unsigned(count);
        for i in 0..count {
            w.counted(format!("h{i}").as_bytes());
            w.counted(b"");
        }
        let payload = w.finish();
        assert!(read_headers(&mut Reader::new(&payload)).is_err());
        // A number that claims more than comes allocates nothing.
        assert!(read_headers(&mut Reader::from_bytes(&[0xff, 0xff, 0xff, 0x0f])).is_err());
    }
}
