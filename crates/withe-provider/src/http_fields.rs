//! Fields of HTTP messages that do not go on with them.
//!
//! A message that came over one connection and goes over another leaves behind what was said about the first (RFC
//! 9110, 7.6.1). A trailer section must not change how the message is framed, routed or processed (RFC 9110, 6.5.1).
//! Providers that carry messages remove both here, in both directions.

use http::HeaderMap;
use http::header::{self, HeaderName};

/// Fields of one connection, whether or not `Connection` names them.
const OF_CONNECTION: [HeaderName; 5] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields that say where a message goes and where it ends. They stay if `Connection` names them, or whoever sends a
/// message could have them removed on its way.
const OF_MESSAGE: [HeaderName; 2] = [header::HOST, header::CONTENT_LENGTH];

/// Fields that a trailer section must not have.
const NOT_IN_TRAILERS: [HeaderName; 22] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::EXPECT,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::MAX_FORWARDS,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::RANGE,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::WWW_AUTHENTICATE,
];

/// Removes the fields that are for the connection which the message came over: `Connection`, those that it names, and
/// those that are always such. `TE` stays unless it is named, as HTTP/2 has it end to end.
pub fn remove_connection_fields(fields: &mut HeaderMap) {
    let named: Vec<_> = (fields.get_all(header::CONNECTION).iter())
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !OF_MESSAGE.contains(name))
        .collect();
    for name in named.iter().chain(&OF_CONNECTION) {
        fields.remove(name);
    }
}

/// Removes the fields that a trailer section must not have.
pub fn remove_from_trailers(fields: &mut HeaderMap) {
    for name in OF_CONNECTION.iter().chain(&NOT_IN_TRAILERS) {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        };
        let mut fields = HeaderMap::new();
        for (name, value) in lines.iter().map(pair) {
            fields.append(name, value);
        }
        fields
    }

    #[test]
    fn what_is_of_the_connection_stays_behind() {
        let mut message = fields(&[
            ("connection", "close, X-Hop"),
            ("connection", "te,, host ,content-length,=="),
            ("x-hop", "1"),
            ("x-hop", "2"),
            ("te", "trailers"),
            ("host", "a.example"),
            ("content-length", "3"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("trailer", "x-sum"),
            ("x-end", "3"),
        ]);
        remove_connection_fields(&mut message);
        let left = [
            ("host", "a.example"),
            ("content-length", "3"),
            ("trailer", "x-sum"),
            ("x-end", "3"),
        ];
        assert_eq!(message, fields(&left));

        let mut unnamed = fields(&[("te", "trailers")]);
        remove_connection_fields(&mut unnamed);
        assert_eq!(unnamed, fields(&[("te", "trailers")]));
    }

    #[test]
    fn trailers_say_nothing_of_the_message_itself() {
        let mut trailers = fields(&[
            ("content-length", "7"),
            ("transfer-encoding", "chunked"),
            ("host", "b.example"),
            ("authorization", "x"),
            ("set-cookie", "a=b"),
            ("content-type", "text/html"),
            ("connection", "x-sum"),
            ("x-sum", "1"),
            ("grpc-status", "0"),
            ("etag", "\"x\""),
        ]);
        remove_from_trailers(&mut trailers);
        let left = [("x-sum", "1"), ("grpc-status", "0"), ("etag", "\"x\"")];
        assert_eq!(trailers, fields(&left));
    }
}
