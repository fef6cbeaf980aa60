//! A proxy between this machine and the servers that requests are for.
//!
//! Requests by `https` go through a tunnel (`CONNECT`, RFC 9110, 9.3.6), so that the proxy sees names and no requests. Requests by `http` are sent to the
//! proxy whole, as proxies want them (RFC 9112, 3.2.2). Nothing of the environment is looked at: a host's variables must not decide
//! where the requests of a component go.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::allow::AllowList;

/// The most that a proxy may say before a tunnel is there.
const HEAD: usize = 16 * 1024;

/// The form of a proxy's URL.
pub(crate) const EXPECTED: &str = "`http://[USER:PASSWORD@]HOST[:PORT]`";

/// A proxy, and who is reached without it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// Where it is: a scheme and an authority without a user.
    pub(crate) uri: Uri,
    /// The words by which the proxy knows who asks.
    login: Option<HeaderValue>,
    /// Reached without it.
    direct: Option<AllowList>,
}

/// The user and the password are not shown.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut proxy = f.debug_struct("Proxy");
        proxy.field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// A tunnel through a proxy is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TunnelError {
    #[error("the proxy `{proxy}` refuses the user; correct the user and the password in `proxy`")]
    Login { proxy: String },
    #[error("the proxy `{proxy}` does not let through to `{to}`: it answers {status}")]
    Refused {
        proxy: String,
        to: String,
        status: u16,
    },
    #[error("the proxy `{proxy}` does not answer as a proxy does")]
    Malformed { proxy: String },
    #[error("the proxy `{proxy}`: {why}")]
    Io {
        proxy: String,
        #[source]
        why: io::Error,
    },
}

impl Proxy {
    /// The proxy that `url` names; `Err` if it is none.
    pub(crate) fn parse(url: &str) -> Result<Self, &'static str> {
        let rest = url.strip_prefix("http://").ok_or(EXPECTED)?;
        let place = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match place.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, place),
        };
        let uri: Uri = format!("http://{place}/").parse().map_err(|_| EXPECTED)?;
        let is_host = uri.host().is_some_and(|host| !host.is_empty());
        if !is_host || uri.path() != "/" || uri.query().is_some() {
            return Err(EXPECTED);
        }
        let login = login.map(|login| {
            let text: Vec<u8> = percent_decode_str(login).collect();
            let value = format!("Basic {}", STANDARD.encode(text));
            let mut value = HeaderValue::try_from(value).map_err(|_| EXPECTED)?;
            value.set_sensitive(true);
            Ok::<_, &str>(value)
        });
        Ok(Self {
            uri,
            login: login.transpose()?,
            direct: None,
        })
    }

    /// The same, but what `direct` allows is reached without it.
    pub(crate) fn except(self, direct: Option<AllowList>) -> Self {
        Self { direct, ..self }
    }

    /// Whether requests for `uri` go through it.
    pub(crate) fn is_for(&self, uri: &Uri) -> bool {
        !self.direct.as_ref().is_some_and(|list| list.allows(uri))
    }

    /// The login that goes with a request for `uri`, which the proxy reads.
    pub(crate) fn login(&self, uri: &Uri) -> Option<&HeaderValue> {
        let reads = uri.scheme_str() == Some("http") && self.is_for(uri);
        self.login.as_ref().filter(|_| reads)
    }

    fn name(&self) -> String {
        let authority = self.uri.authority();
        authority.map_or_else(String::new, ToString::to_string)
    }

    /// Has a connection to the proxy lead to the server of `uri`.
    pub(crate) async fn tunnel(
        &self,
        stream: &mut TcpStream,
        uri: &Uri,
    ) -> Result<(), TunnelError> {
        let proxy = self.name();
        let malformed = || TunnelError::Malformed {
            proxy: proxy.clone(),
        };
        let failed = |why| TunnelError::Io {
            proxy: proxy.clone(),
            why,
        };
        let to = format!(
            "{}:{}",
            uri.host().ok_or_else(malformed)?,
            uri.port_u16().unwrap_or(443)
        );
        let mut request = format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n").into_bytes();
        if let Some(login) = &self.login {
            request.extend_from_slice(b"proxy-authorization: ");
            request.extend_from_slice(login.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await.map_err(failed)?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            // The client speaks first in TLS, so nothing comes behind the head: what does is no tunnel.
            if answer.len() >= HEAD || answer.windows(4).any(|end| end == b"\r\n\r\n") {
                return Err(malformed());
            }
            if stream.read_buf(&mut answer).await.map_err(failed)? == 0 {
                return Err(malformed());
            }
        }
        match status(&answer).ok_or_else(malformed)? {
            200..=299 => Ok(()),
            407 => Err(TunnelError::Login { proxy }),
            status => Err(TunnelError::Refused { proxy, to, status }),
        }
    }
}

/// The status of an answer over HTTP/1.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|b| *b == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let rest = line.strip_prefix("HTTP/1.")?;
    rest.split(' ').nth(1)?.parse().ok()
}

/// A connection to a server, or to a proxy.
pub(crate) struct Dialled {
    pub(crate) io: TokioIo<TcpStream>,
    /// Whether whoever is at its end takes requests for others.
    pub(crate) to_proxy: bool,
}

impl Connection for Dialled {
    fn connected(&self) -> Connected {
        self.io.inner().connected().proxy(self.to_proxy)
    }
}

impl Read for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Dialled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

/// The proxy of a link, if it has one.
pub(crate) type LinkProxy = Option<Arc<Proxy>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_and_never_shown_with_their_password() {
        let proxy = Proxy::parse("http://me:s3cret%40@proxy.example:3128/").unwrap();
        assert_eq!(proxy.name(), "proxy.example:3128");
        let uri = "http://a/".parse().unwrap();
        // `me:s3cret@`
        assert_eq!(proxy.login(&uri).unwrap(), "Basic bWU6czNjcmV0QA==");
        assert!(!format!("{proxy:?}").contains("bWU6"));
        for text in [
            "proxy:1",
            "https://a",
            "http://",
            "http://a/b",
            "http://a:b:c",
        ] {
            assert_eq!(Proxy::parse(text), Err(EXPECTED), "{text}");
        }
    }

    #[test]
    fn what_is_reached_directly_is_told_by_patterns() {
        let direct = AllowList::parse("*.internal, 10.0.0.1:80").ok();
        let proxy = Proxy::parse("http://p:1").unwrap().except(direct);
        for (uri, through) in [
            ("https://example.com/", true),
            ("https://a.internal/", false),
            ("http://10.0.0.1/", false),
            ("http://10.0.0.1:81/", true),
        ] {
            assert_eq!(proxy.is_for(&uri.parse().unwrap()), through, "{uri}");
        }
    }
}
