//! Requests to registries: each with a deadline, made again where that may help, and redirected where they are told to.
//!
//! A redirect leads to the storage behind a registry. Credentials do not go along to another server, and no redirect
//! leads from TLS to none.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName, LINK, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{sleep, timeout};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(15);
/// How long an answer may take to begin.
pub(crate) const ANSWER: Duration = Duration::from_secs(60);
/// How long nothing may come of an answer that has begun.
const STALLED: Duration = Duration::from_secs(30);
/// The bytes a second that an upload is expected to make at least.
const UPLOAD: u64 = 32 << 10;
/// How often a request is made at most, and how long it is waited before the second attempt; twice as long before each other one.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);
/// The longest that a registry may tell us to wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Redirects that are followed.
const REDIRECTS: usize = 5;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is none.
    #[error("`{0}` is not an address")]
    Address(String),
    /// There is no connection.
    #[error("{}", chain(source))]
    Connect {
        /// Why not.
        #[source]
        source: hyper_util::client::legacy::Error,
    },
    /// The connection broke.
    #[error("the connection broke: {}", chain(source))]
    Broken {
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// The answer took too long.
    #[error("nothing came for {} s", .0.as_secs())]
    Silent(Duration),
    /// A redirect leads nowhere, or where it must not.
    #[error("it redirects to `{0}`, which is not followed")]
    Redirect(String),
    /// The server redirects for ever.
    #[error("it redirects more than {REDIRECTS} times")]
    Redirects,
}

impl HttpError {
    /// Whether the other side does not speak TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.tls()
            .is_some_and(|error| matches!(error, rustls::Error::InvalidMessage(_)))
    }

    /// Whether the other side's certificate is not believed.
    pub(crate) fn is_certificate(&self) -> bool {
        self.tls()
            .is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
    }

    fn tls(&self) -> Option<&rustls::Error> {
        let Self::Connect { source } = self else {
            return None;
        };
        let mut cause = source.source();
        while let Some(error) = cause {
            if let Some(tls) = error.downcast_ref() {
                return Some(tls);
            }
            // An error of I/O tells what caused its cause, and not its cause.
            cause = match error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref)
            {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }

    /// Whether another attempt may have another outcome.
    fn is_passing(&self) -> bool {
        match self {
            Self::Connect { .. } => self.tls().is_none(),
            Self::Broken { .. } | Self::Silent(_) => true,
            Self::Address(_) | Self::Redirect(_) | Self::Redirects => false,
        }
    }
}

/// The causes of an error of a client, each said once. The error itself says only that the client has one.
fn chain(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&said);
        }
        next = cause.source();
    }
    match text.is_empty() {
        true => error.to_string(),
        false => text,
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether it may be made again.
    is_repeatable: bool,
}

/// The URL that has answered, after all redirects: an extension of the answer.
#[derive(Clone, Debug)]
pub(crate) struct AnsweredAt(pub(crate) String);

impl Call {
    pub(crate) fn new(method: Method, url: String) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            is_repeatable: true,
        }
    }

    /// The same, made no more than once.
    pub(crate) fn once(self) -> Self {
        Self {
            is_repeatable: false,
            ..self
        }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    pub(crate) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }
}

/// Makes requests. Clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// The authorities that TLS trusts: the system's; where there are none, Mozilla's. Blocks: it reads files.
///
/// # Errors
///
/// If TLS cannot be set up.
pub(crate) fn tls() -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!("some of the system's certificates cannot be read: {error}");
    }
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

impl Http {
    /// Makes requests, and believes whom `tls` believes.
    pub(crate) fn new(tls: ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self(client)
    }

    /// Makes a request, several times if need be. The answer is whatever is no passing trouble.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub(crate) async fn send(&self, call: &Call) -> Result<Response<Incoming>, HttpError> {
        let mut attempts = Attempts::default();
        loop {
            let result = self.redirected(call).await;
            if !call.is_repeatable {
                return result;
            }
            let pause = match &result {
                Ok(answer) if is_passing(answer.status()) => attempts.pause(asked_pause(answer)),
                Err(error) if error.is_passing() => attempts.pause(None),
                _ => None,
            };
            let Some(pause) = pause else { return result };
            match &result {
                Ok(answer) => {
                    tracing::debug!("{}: {}, again in {pause:?}", call.url, answer.status())
                }
                Err(error) => tracing::debug!("{}: {error}, again in {pause:?}", call.url),
            }
            sleep(pause).await;
        }
    }

    /// Makes a request, and others where the answer leads to.
    async fn redirected(&self, call: &Call) -> Result<Response<Incoming>, HttpError> {
        let mut call = call.clone();
        for _ in 0..=REDIRECTS {
            let mut answer = self.once(&call).await?;
            let leads_on = answer.status().is_redirection() && call.body.is_empty();
            let location = answer.headers().get(LOCATION).filter(|_| leads_on);
            let Some(location) = location else {
                answer.extensions_mut().insert(AnsweredAt(call.url));
                return Ok(answer);
            };
            let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
            let (url, is_same) = join(&call.url, &location)?;
            if !is_same {
                call.headers.remove(AUTHORIZATION);
            }
            call.url = url;
        }
        Err(HttpError::Redirects)
    }

    async fn once(&self, call: &Call) -> Result<Response<Incoming>, HttpError> {
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() =
            (call.url.parse()).map_err(|_| HttpError::Address(call.url.clone()))?;
        *request.headers_mut() = call.headers.clone();
        let uploads = Duration::from_secs(call.body.len() as u64 / UPLOAD);
        let limit = ANSWER + uploads;
        match timeout(limit, self.0.request(request)).await {
            Ok(answer) => answer.map_err(|source| HttpError::Connect { source }),
            Err(_) => Err(HttpError::Silent(limit)),
        }
    }
}

/// Attempts that were made.
#[derive(Debug, Default)]
pub(crate) struct Attempts(u32);

impl Attempts {
    /// How long to wait until the next one; `None` if enough were made.
    pub(crate) fn pause(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.0 += 1;
        if self.0 >= ATTEMPTS {
            return None;
        }
        let pause = PAUSE * (1 << (self.0 - 1));
        // Clients that failed together do not come again together.
        let spread = pause.mul_f64(fastrand::f64() / 2.0);
        Some(asked.unwrap_or(pause + spread).min(LONGEST_PAUSE))
    }
}

/// Whether a later answer may be another one.
pub(crate) fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// How long the other side asks to be left alone.
fn asked_pause(answer: &Response<Incoming>) -> Option<Duration> {
    let value = answer.headers().get(http::header::RETRY_AFTER)?;
    value
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

/// Where a location leads to, seen from `base`, and whether the server is the same.
///
/// # Errors
///
/// If it leads from TLS to none, or is no location.
pub(crate) fn join(base: &str, location: &str) -> Result<(String, bool), HttpError> {
    let refused = || HttpError::Redirect(location.into());
    let base: Uri = base.parse().map_err(|_| refused())?;
    let scheme = base.scheme_str().ok_or_else(refused)?;
    let authority = base.authority().ok_or_else(refused)?;
    let url = match location {
        _ if location.starts_with("//") => format!("{scheme}:{location}"),
        _ if location.starts_with('/') => format!("{scheme}://{authority}{location}"),
        _ => location.to_owned(),
    };
    let to: Uri = url.parse().map_err(|_| refused())?;
    let to_scheme = to.scheme_str().ok_or_else(refused)?;
    let is_allowed = match to_scheme {
        "https" => true,
        "http" => scheme == "http",
        _ => false,
    };
    if !is_allowed {
        return Err(refused());
    }
    let is_same = is_same_server(&base, &to);
    Ok((url, is_same))
}

/// The location of the next page, if the headers name one (`Link: <…>; rel="next"`, RFC 8288).
pub(crate) fn next_link(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(LINK).iter().filter_map(|h| h.to_str().ok());
    let mut targets = links.flat_map(|link| link.split('<').skip(1));
    targets.find_map(|link| {
        let (location, parameters) = link.split_once('>')?;
        let is_next = |parameter: &str| {
            let (name, value) = parameter.split_once('=')?;
            let kinds = value.trim().trim_end_matches(',').trim().trim_matches('"');
            let is_next = kinds
                .split(' ')
                .any(|kind| kind.eq_ignore_ascii_case("next"));
            (name.trim().eq_ignore_ascii_case("rel") && is_next).then_some(())
        };
        parameters.split(';').find_map(is_next)?;
        Some(location.trim().to_owned())
    })
}

/// The URL of the next page, seen from the one before. A location may be a query alone.
///
/// # Errors
///
/// As for [`join`].
pub(crate) fn next_page(base: &str, location: &str) -> Result<String, HttpError> {
    let path = base.split('?').next().unwrap_or(base);
    let location = match location.starts_with('?') {
        true => format!("{path}{location}"),
        false => location.to_owned(),
    };
    join(base, &location).map(|(url, _)| url)
}

/// Whether two URLs are of one server: the port may be said or not where it is the usual one.
pub(crate) fn is_same_server(one: &Uri, other: &Uri) -> bool {
    let server = |url: &Uri| {
        let host = url.host()?.to_ascii_lowercase();
        let usual = if url.scheme_str()? == "https" {
            443
        } else {
            80
        };
        Some((
            url.scheme_str()?.to_owned(),
            host,
            url.port_u16().unwrap_or(usual),
        ))
    };
    let server_of_one = server(one);
    server_of_one.is_some() && server_of_one == server(other)
}

/// Why a body cannot be had.
#[derive(Debug)]
pub(crate) enum BodyError {
    Http(HttpError),
    /// The body has more bytes than may be taken.
    TooLarge,
}

/// Reads a body of at most `most` bytes, and tells `seen` of each piece how many bytes there were.
pub(crate) async fn body(
    answer: Response<Incoming>,
    most: u64,
    mut seen: impl FnMut(usize),
) -> Result<Vec<u8>, BodyError> {
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    loop {
        let frame = match timeout(STALLED, body.frame()).await {
            Ok(None) => return Ok(bytes),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(source))) => return Err(BodyError::Http(HttpError::Broken { source })),
            Err(_) => return Err(BodyError::Http(HttpError::Silent(STALLED))),
        };
        if let Ok(data) = frame.into_data() {
            if (bytes.len() + data.len()) as u64 > most {
                return Err(BodyError::TooLarge);
            }
            seen(data.len());
            bytes.extend_from_slice(&data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_lead_on_but_not_out_of_tls() {
        let from = "https://a.example/v2/x";
        let join = |location: &str| join(from, location);
        assert_eq!(
            join("/y?z=1").unwrap(),
            ("https://a.example/y?z=1".into(), true)
        );
        assert_eq!(
            join("https://b.example/y").unwrap(),
            ("https://b.example/y".into(), false)
        );
        assert_eq!(
            join("//b.example/y").unwrap(),
            ("https://b.example/y".into(), false)
        );
        for bad in ["http://a.example/y", "y", "file:///etc/passwd", ""] {
            assert!(join(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_next_page_is_named_by_a_link() {
        for (links, next) in [
            (&[][..], None),
            (&["</b?n=1>; rel=\"next\""], Some("https://a.example/b?n=1")),
            (&["</b>; rel=next"], Some("https://a.example/b")),
            (
                &["<?last=2>; REL=\"Next\""],
                Some("https://a.example/v2/x?last=2"),
            ),
            (
                &["</p>; rel=\"prev\", </n>; title=x; rel=\"last next\""],
                Some("https://a.example/n"),
            ),
            (
                &["</p>; rel=prev", "</n>; rel=next"],
                Some("https://a.example/n"),
            ),
            (
                &["</p>; rel=prev, </n>; rel=\"nextish\"", "rel=next", "<"],
                None,
            ),
        ] {
            let values = links.iter().map(|l| (LINK, HeaderValue::from_static(l)));
            let headers: HeaderMap = values.collect();
            let link = next_link(&headers);
            let url = link.map(|l| next_page("https://a.example/v2/x?last=1", &l).unwrap());
            assert_eq!(url.as_deref(), next, "{links:?}");
        }
        assert!(next_page("https://a.example/v2/x", "http://a.example/y").is_err());
    }

    #[test]
    fn a_port_that_is_said_makes_no_other_server() {
        let is_same =
            |one: &str, other: &str| is_same_server(&one.parse().unwrap(), &other.parse().unwrap());
        assert!(is_same("https://A.example:443/x", "https://a.example/y"));
        assert!(is_same("http://a.example/x", "http://a.example:80/"));
        assert!(!is_same("https://a.example/", "http://a.example/"));
        assert!(!is_same("https://a.example/", "https://a.example:8443/"));
        assert!(!is_same("https://a.example/", "https://a.example.evil/"));
    }

    #[test]
    fn attempts_are_bounded_and_further_apart_each_time() {
        let mut attempts = Attempts::default();
        let pauses: Vec<_> = std::iter::from_fn(|| attempts.pause(None)).collect();
        assert_eq!(pauses.len(), ATTEMPTS as usize - 1);
        assert!(pauses.is_sorted_by(|a, b| a < b), "{pauses:?}");
        let mut attempts = Attempts::default();
        let hour = Duration::from_secs(3600);
        assert_eq!(attempts.pause(Some(hour)), Some(LONGEST_PAUSE));
    }
}
