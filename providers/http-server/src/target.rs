//! The target URI of a request, from its request line and its `Host` (RFC 9112, 3.2 and 3.3; RFC 9110, 4.2 and 7;
//! RFC 9113, 8.3.1).
//!
//! hyper reads the request line as a URI and leaves the rest to its user. The rules are here, away from routes and
//! components, because a program that gets them wrong lets a request be for one host to one program and for another
//! to the next.

use http::header::{HOST, HeaderName};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

/// A request's target URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestTarget {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) path: PathAndQuery,
}

/// Why a request is for nobody: the status it is answered with, and what its client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unclear {
    pub(crate) status: StatusCode,
    pub(crate) why: &'static str,
}

/// The authority that a connection's last request named in its `Host`. Clients name the same one again and
/// again, and parsing it costs an allocation.
#[derive(Default)]
pub(crate) struct LastHost(Option<(HeaderValue, Authority)>);

/// The facts about the connection that a request came over.
pub(crate) struct Inbound<'a> {
    /// Whether it is TLS.
    pub(crate) scheme: &'a Scheme,
    /// The authority that HTTP/1.0 requests without a `Host` are for.
    pub(crate) authority: &'a Authority,
}

impl RequestTarget {
    /// The target of a request. Where its request line names a host, `fields` say the same one afterwards.
    ///
    /// # Errors
    ///
    /// Returns the fault in the request line or in `Host`.
    pub(crate) fn read(
        method: &Method,
        version: Version,
        uri: Uri,
        fields: &mut HeaderMap,
        inbound: &Inbound<'_>,
        last: &mut LastHost,
    ) -> Result<Self, Unclear> {
        // HTTP/2 frames requests otherwise, but names their parts by the same words.
        let is_http2 = version >= Version::HTTP_2;
        let host = only(fields, &HOST)?;
        let host = match host {
            Some(host) if host.is_empty() => None,
            Some(host) => Some(last.parse(host)?),
            None if version == Version::HTTP_11 => {
                return Err(bad("the request has no `Host`"));
            }
            None => None,
        };
        let parts = uri.into_parts();
        let Some(path) = parts.path_and_query.filter(|_| method != Method::CONNECT) else {
            return Err(match *method == Method::CONNECT {
                true => Unclear {
                    status: StatusCode::NOT_IMPLEMENTED,
                    why: "CONNECT is not served",
                },
                false => bad("the request's target is neither a path nor a URI"),
            });
        };
        if path.path() == "*" && method != Method::OPTIONS {
            return Err(bad("the request's target is `*`, which is for OPTIONS"));
        }
        let authority = match (parts.authority, host) {
            (Some(named), host) => {
                let named = usable(named)?;
                if host.as_ref() != Some(&named) {
                    if is_http2 && host.is_some() {
                        return Err(bad("the request's `Host` is not its `:authority`"));
                    }
                    // The request line counts, not the field (RFC 9112, 3.2.2): nobody behind is to see both.
                    if let (Some(_), Ok(value)) =
                        (fields.get(HOST), HeaderValue::from_str(named.as_str()))
                    {
                        fields.insert(HOST, value);
                    }
                }
                named
            }
            (None, Some(host)) => host,
            (None, None) if version <= Version::HTTP_10 => inbound.authority.clone(),
            (None, None) => return Err(bad("the request's `Host` is empty")),
        };
        let scheme = parts.scheme.unwrap_or_else(|| inbound.scheme.clone());
        let is_served = scheme == *inbound.scheme || scheme == Scheme::HTTP;
        if !is_served {
            return Err(Unclear {
                status: StatusCode::MISDIRECTED_REQUEST,
                why: match scheme == Scheme::HTTPS {
                    true => "`https` is served over TLS only",
                    false => "only `http` and `https` are served",
                },
            });
        }
        Ok(Self {
            scheme,
            authority,
            path,
        })
    }

    /// The target as a URI.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(crate) fn into_uri(self) -> Result<Uri, Unclear> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme);
        parts.authority = Some(self.authority);
        parts.path_and_query = Some(self.path);
        Uri::from_parts(parts).map_err(|_| bad("the request's target is not a URI"))
    }
}

/// The value of a field that a request may have once.
///
/// # Errors
///
/// If the request has it more than once, which of them counts is anybody's guess.
pub(crate) fn only<'f>(
    fields: &'f HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'f HeaderValue>, Unclear> {
    let mut values = fields.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) if name == HOST => Err(bad("the request has more than one `Host`")),
        Some(_) => Err(bad(
            "the request has more than one of the field that names its host",
        )),
    }
}

impl LastHost {
    fn parse(&mut self, host: &HeaderValue) -> Result<Authority, Unclear> {
        if let Some((last, authority)) = &self.0
            && last == host
        {
            return Ok(authority.clone());
        }
        let authority = Authority::try_from(host.as_bytes())
            .map_err(|_| bad("the request's `Host` is not valid"))
            .and_then(usable)?;
        self.0 = Some((host.clone(), authority.clone()));
        Ok(authority)
    }
}

/// Checks that an authority is a host, with a port or without.
fn usable(authority: Authority) -> Result<Authority, Unclear> {
    let text = authority.as_str();
    if text.contains('@') {
        return Err(bad("the request's host has a user's name in it"));
    }
    let (host, port) = split_port(text);
    if host.is_empty() || (!host.starts_with('[') && host.contains(':')) {
        return Err(bad("the request's host is not valid"));
    }
    if !port.is_empty() && port.parse::<u16>().is_err() {
        return Err(bad("the request's port is not valid"));
    }
    Ok(authority)
}

/// An authority without a user's name, as host and port. An IPv6 address keeps its brackets; no port is an
/// empty one.
pub(crate) fn split_port(authority: &str) -> (&str, &str) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    }
}

/// A request that its client has to write otherwise.
pub(crate) fn bad(why: &'static str) -> Unclear {
    Unclear {
        status: StatusCode::BAD_REQUEST,
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a request: its line, then its `Host`s. The answer is a status, or a target and the `Host` that is left.
    fn read(line: &str, hosts: &[&str], scheme: Scheme) -> Result<(String, Option<String>), u16> {
        let mut line = line.split(' ');
        let method = line.next().unwrap().parse().unwrap();
        let uri = line.next().unwrap().parse().unwrap();
        let version = match line.next().unwrap() {
            "1.0" => Version::HTTP_10,
            "1.1" => Version::HTTP_11,
            _ => Version::HTTP_2,
        };
        let mut fields = HeaderMap::new();
        for host in hosts {
            fields.append(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        let inbound = Inbound {
            scheme: &scheme,
            authority: &Authority::from_static("127.0.0.1:8000"),
        };
        let mut last = LastHost::default();
        let target = RequestTarget::read(&method, version, uri, &mut fields, &inbound, &mut last);
        let target = target.map_err(|unclear| unclear.status.as_u16())?;
        let uri = format!("{}://{}{}", target.scheme, target.authority, target.path);
        assert!(target.into_uri().is_ok());
        let host = fields.get(HOST).map(|h| h.to_str().unwrap().to_owned());
        Ok((uri, host))
    }

    #[test]
    fn requests_over_plain_connections() {
        let cases: &[(&str, &[&str], Result<&str, u16>)] = &[
            // Origin-form.
            ("GET /x 1.1", &["a.example"], Ok("http://a.example/x")),
            ("GET /x 1.1", &["a:81"], Ok("http://a:81/x")),
            ("GET /x 1.1", &["a:"], Ok("http://a:/x")),
            ("GET /x 1.1", &["[::1]:81"], Ok("http://[::1]:81/x")),
            ("GET /x 1.1", &["[::1]"], Ok("http://[::1]/x")),
            ("GET //x 1.1", &["a"], Ok("http://a//x")),
            ("GET /x 1.1", &[], Err(400)),
            ("GET /x 1.1", &[""], Err(400)),
            ("GET /x 1.1", &["a", "b"], Err(400)),
            ("GET /x 1.1", &["a", "a"], Err(400)),
            ("GET /x 1.1", &["a", ""], Err(400)),
            ("GET /x 1.1", &["a b"], Err(400)),
            // A comma is a character of a name like any other (RFC 3986, 3.2.2).
            ("GET /x 1.1", &["a,b"], Ok("http://a,b/x")),
            ("GET /x 1.1", &["a/b"], Err(400)),
            ("GET /x 1.1", &["u@a"], Err(400)),
            ("GET /x 1.1", &["u:p@a:1"], Err(400)),
            ("GET /x 1.1", &["a:b"], Err(400)),
            ("GET /x 1.1", &["a:99999"], Err(400)),
            ("GET /x 1.1", &["a:-1"], Err(400)),
            ("GET /x 1.1", &["a:1:2"], Err(400)),
            ("GET /x 1.1", &["::1"], Err(400)),
            ("GET /x 1.1", &[":80"], Err(400)),
            ("GET /x 1.1", &["[::1"], Err(400)),
            ("GET /x 1.1", &["\u{e9}"], Err(400)),
            // HTTP/1.0 does not know `Host`.
            ("GET /x 1.0", &[], Ok("http://127.0.0.1:8000/x")),
            ("GET /x 1.0", &[""], Ok("http://127.0.0.1:8000/x")),
            ("GET /x 1.0", &["a"], Ok("http://a/x")),
            ("GET /x 1.0", &["a", "b"], Err(400)),
            // Absolute-form: it counts, and `Host` is needed all the same.
            ("GET http://b/x 1.1", &["b"], Ok("http://b/x")),
            ("GET http://b/x 1.1", &["a"], Ok("http://b/x")),
            ("GET http://b/x 1.1", &[""], Ok("http://b/x")),
            ("GET http://b:81/x 1.1", &["b"], Ok("http://b:81/x")),
            ("GET http://b 1.1", &["b"], Ok("http://b/")),
            ("GET http://b/x 1.0", &[], Ok("http://b/x")),
            ("GET HTTP://b/x 1.1", &["b"], Ok("http://b/x")),
            ("GET http://b/x 1.1", &[], Err(400)),
            ("GET http://b/x 1.1", &["a", "b"], Err(400)),
            ("GET http://b/x 1.1", &["a b"], Err(400)),
            ("GET http://u@b/x 1.1", &["b"], Err(400)),
            ("GET http://b:99999/x 1.1", &["b"], Err(400)),
            ("GET https://b/x 1.1", &["b"], Err(421)),
            ("GET ftp://b/x 1.1", &["b"], Err(421)),
            // The other two forms.
            ("OPTIONS * 1.1", &["a"], Ok("http://a*")),
            ("GET * 1.1", &["a"], Err(400)),
            ("GET b:80 1.1", &["a"], Err(400)),
            ("CONNECT b:80 1.1", &["b:80"], Err(501)),
            ("CONNECT http://b/ 1.1", &["b"], Err(501)),
        ];
        for (line, hosts, want) in cases {
            let got = read(line, hosts, Scheme::HTTP);
            let uri = got.as_ref().map(|(uri, _)| uri.as_str()).map_err(|e| *e);
            assert_eq!(uri, *want, "{line} {hosts:?}");
        }
    }

    #[test]
    fn requests_over_tls() {
        let cases: &[(&str, &[&str], Result<&str, u16>)] = &[
            ("GET /x 1.1", &["a"], Ok("https://a/x")),
            ("GET https://b/x 1.1", &["a"], Ok("https://b/x")),
            ("GET http://b/x 1.1", &["b"], Ok("http://b/x")),
            ("GET ftp://b/x 1.1", &["b"], Err(421)),
            ("GET https://b/x 2", &[], Ok("https://b/x")),
            ("GET https://b/x 2", &["b"], Ok("https://b/x")),
            ("GET https://b/x 2", &["B"], Ok("https://b/x")),
            ("GET https://b/x 2", &["a"], Err(400)),
            ("GET https://b/x 2", &["b", "b"], Err(400)),
            ("GET /x 2", &["b"], Ok("https://b/x")),
            ("GET /x 2", &[], Err(400)),
            ("CONNECT b:80 2", &[], Err(501)),
        ];
        for (line, hosts, want) in cases {
            let got = read(line, hosts, Scheme::HTTPS);
            let uri = got.as_ref().map(|(uri, _)| uri.as_str()).map_err(|e| *e);
            assert_eq!(uri, *want, "{line} {hosts:?}");
        }
    }

    #[test]
    fn a_host_that_does_not_count_is_not_seen() {
        let (_, host) = read("GET http://b/x 1.1", &["a"], Scheme::HTTP).unwrap();
        assert_eq!(host.as_deref(), Some("b"));
        let (_, host) = read("GET http://b/x 1.0", &[], Scheme::HTTP).unwrap();
        assert_eq!(host, None);
    }

    #[test]
    fn only_the_last_host_is_remembered() {
        let mut last = LastHost::default();
        for host in ["a", "a", "b", "a"] {
            let value = HeaderValue::from_static(host);
            assert_eq!(last.parse(&value).unwrap(), host);
        }
    }
}
