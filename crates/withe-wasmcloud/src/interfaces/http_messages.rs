//! The heads of `wrpc:http/types@0.1.0`'s requests and responses.

use std::time::Duration;

use http::header::{HOST, HeaderName};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri};
use withe_provider::RequestOptions;
use withe_rpc::codec::{ByteList, Decode, Encode as _, Writer};
use withe_rpc::{DecodeError, Reader};

/// `method`'s cases but the last, `other`.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];

/// Writes a body and trailers that come beside the values: how each message begins.
fn pending(w: &mut Writer) {
    w.raw(&[0, 0]);
}

/// Reads how a message begins.
fn beside(r: &mut Reader<'_>) -> Result<(), DecodeError> {
    // v1 never has a body or trailers within the values.
    match (r.unsigned(32)?, r.bool()?) {
        (0, false) => Ok(()),
        _ => Err(DecodeError::Stream),
    }
}

/// Writes the parameters of `outgoing-handler.handle`.
pub(super) fn put_outgoing(parts: &http::request::Parts, options: RequestOptions) -> Vec<u8> {
    let mut w = Writer::default();
    put_request(parts, &mut w);
    w.byte(1);
    for limit in [
        options.connect_timeout,
        options.first_byte_timeout,
        options.between_bytes_timeout,
    ] {
        let nanos = |limit: Duration| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        limit.map(nanos).encode(&mut w);
    }
    w.finish().bytes
}

/// Writes the parameter of `incoming-handler.handle`.
pub(super) fn put_incoming(parts: &http::request::Parts) -> Vec<u8> {
    let mut w = Writer::default();
    put_request(parts, &mut w);
    w.finish().bytes
}

/// Writes a `request`.
pub(super) fn put_request(parts: &http::request::Parts, w: &mut Writer) {
    pending(w);
    match METHODS.iter().position(|m| *m == parts.method) {
        Some(case) => w.unsigned(case as u64),
        None => {
            w.unsigned(METHODS.len() as u64);
            parts.method.as_str().encode(w);
        }
    }
    (parts.uri.path_and_query().map(PathAndQuery::as_str)).encode(w);
    match parts.uri.scheme() {
        None => w.byte(0),
        Some(scheme) => {
            w.byte(1);
            match scheme.as_str() {
                "http" => w.unsigned(0),
                "https" => w.unsigned(1),
                other => {
                    w.unsigned(2);
                    other.encode(w);
                }
            }
        }
    }
    parts.uri.authority().map(Authority::as_str).encode(w);
    put_fields(&parts.headers, w);
}

/// Reads the parameter of `incoming-handler.handle`.
///
/// # Errors
///
/// If the bytes are not a request, or one that is none in HTTP.
pub(super) fn incoming(bytes: &[u8]) -> Result<http::request::Parts, DecodeError> {
    let mut r = Reader::from_bytes(bytes);
    beside(&mut r)?;
    let method = match r.case(METHODS.len() + 1)? as usize {
        case if case < METHODS.len() => METHODS[case].clone(),
        _ => Method::from_bytes(r.counted()?).map_err(|_| DecodeError::Discriminant)?,
    };
    let path = Option::<String>::decode(&mut r)?;
    let scheme = match r.bool()? {
        false => None,
        true => Some(match r.case(3)? {
            0 => Scheme::HTTP,
            1 => Scheme::HTTPS,
            _ => Scheme::try_from(r.str()?).map_err(|_| DecodeError::Discriminant)?,
        }),
    };
    let authority = Option::<String>::decode(&mut r)?;
    let headers = fields(&mut r)?;
    r.finish()?;
    let mut parts = http::Request::new(()).into_parts().0;
    parts.method = method;
    parts.uri = uri(scheme, authority, path, &headers).ok_or(DecodeError::Discriminant)?;
    parts.headers = headers;
    Ok(parts)
}

/// An absolute URI, from as much as v1 says of it.
fn uri(
    scheme: Option<Scheme>,
    authority: Option<String>,
    path: Option<String>,
    headers: &HeaderMap,
) -> Option<Uri> {
    let host = || headers.get(HOST)?.to_str().ok().map(str::to_owned);
    let authority = authority.filter(|a| !a.is_empty()).or_else(host);
    Uri::builder()
        .scheme(scheme.unwrap_or(Scheme::HTTP))
        .authority(authority.unwrap_or_else(|| "localhost".into()))
        .path_and_query(path.filter(|p| !p.is_empty()).unwrap_or_else(|| "/".into()))
        .build()
        .ok()
}

/// Writes a `response`.
pub(super) fn put_response(parts: &http::response::Parts, w: &mut Writer) {
    pending(w);
    w.unsigned(u64::from(parts.status.as_u16()));
    put_fields(&parts.headers, w);
}

/// Reads a `response`.
///
/// # Errors
///
/// If the bytes are not a response, or one that is none in HTTP.
pub(super) fn response(r: &mut Reader<'_>) -> Result<http::response::Parts, DecodeError> {
    beside(r)?;
    let status = r.unsigned(16)? as u16;
    let headers = fields(r)?;
    r.finish()?;
    let mut parts = http::Response::new(()).into_parts().0;
    parts.status = http::StatusCode::from_u16(status).map_err(|_| DecodeError::Discriminant)?;
    parts.headers = headers;
    Ok(parts)
}

/// Writes `fields`: each name once, with all its values.
pub(super) fn put_fields(headers: &HeaderMap, w: &mut Writer) {
    w.unsigned(headers.keys_len() as u64);
    for name in headers.keys() {
        name.as_str().encode(w);
        let values = headers.get_all(name);
        w.unsigned(values.iter().count() as u64);
        values.iter().for_each(|value| w.counted(value.as_bytes()));
    }
}

/// Reads `fields`.
///
/// # Errors
///
/// If the bytes are not fields, or ones that are none in HTTP.
pub(super) fn fields(r: &mut Reader<'_>) -> Result<HeaderMap, DecodeError> {
    let mut headers = HeaderMap::new();
    // A name and a count.
    for _ in 0..r.count(2)? {
        let name = HeaderName::from_bytes(r.counted()?).map_err(|_| DecodeError::Discriminant)?;
        for _ in 0..r.count(1)? {
            let ByteList(value) = ByteList::decode(r)?;
            let value = HeaderValue::try_from(value).map_err(|_| DecodeError::Discriminant)?;
            // A map of headers has a bound of its own, far above what is sensible.
            headers
                .try_append(name.clone(), value)
                .map_err(|_| DecodeError::Overflow)?;
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request that v1.9.2's HTTP server sent, and its response.
    const REQUEST: &[u8] = b"\x00\x00\x00\x01\x01/\x01\x00\x01\x0e127.0.0.1:8101\x04\
        \x0faccept-encoding\x01\x08identity\x04host\x01\x0e127.0.0.1:8101\
        \x0auser-agent\x01\x12Python-urllib/3.11\x0aconnection\x01\x05close";
    const RESPONSE: &[u8] = b"\x00\x00\xc8\x01\x01\x0ccontent-type\x01\x0atext/plain";

    #[test]
    fn a_request_of_v1_is_read_and_written_byte_for_byte() {
        let parts = incoming(REQUEST).unwrap();
        assert_eq!(parts.method, Method::GET);
        assert_eq!(parts.uri, "http://127.0.0.1:8101/");
        assert_eq!(parts.headers["user-agent"], "Python-urllib/3.11");
        let mut w = Writer::default();
        put_request(&parts, &mut w);
        let written = w.finish().bytes;
        // The order of headers is the map's, so their bytes are compared as a whole.
        assert_eq!(written.len(), REQUEST.len());
        assert_eq!(written[..28], REQUEST[..28]);
        assert_eq!(incoming(&written).unwrap().headers, parts.headers);
    }

    #[test]
    fn a_response_of_v1_is_read_and_written_byte_for_byte() {
        let parts = response(&mut Reader::from_bytes(RESPONSE)).unwrap();
        assert_eq!(parts.status, 200);
        let mut w = Writer::default();
        put_response(&parts, &mut w);
        assert_eq!(w.finish().bytes, RESPONSE);
    }

    #[test]
    fn every_cut_of_a_request_is_an_error() {
        for n in 0..REQUEST.len() {
            assert!(incoming(&REQUEST[..n]).is_err(), "{n} bytes");
        }
        assert!(incoming(b"\x00\x00\x00\x00\x00\x00\x01\x01\x0a\x01\x00").is_err());
    }

    #[test]
    fn what_v1_leaves_out_of_a_uri_is_filled_in() {
        let parts = incoming(b"\x00\x00\x09\x05PURGE\x00\x00\x00\x01\x04host\x01\x03a.b").unwrap();
        assert_eq!(parts.method.as_str(), "PURGE");
        assert_eq!(parts.uri, "http://a.b/");
    }

    #[test]
    fn options_are_nanoseconds() {
        let mut request = http::Request::new(());
        *request.uri_mut() = Uri::from_static("https://a.b/c?d");
        let options = RequestOptions {
            first_byte_timeout: Some(Duration::from_micros(1)),
            ..RequestOptions::default()
        };
        assert_eq!(
            put_outgoing(&request.into_parts().0, options),
            b"\x00\x00\x00\x01\x04/c?d\x01\x01\x01\x03a.b\x00\x01\x00\x01\xe8\x07\x00"
        );
    }
}
