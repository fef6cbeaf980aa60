//! How requests to a store are sent: with hyper and rustls, as everything else of Withe sends them.
//!
//! A store may be slow, and may not be silent: an answer has to begin in time, and may then pause for as long. One limit
//! for a whole exchange was rejected, as the time for a body depends on how long the body is: a limit for the largest one
//! finds out late that nobody answers. A request with a body has more time by its length ([`SLOWEST`]), since hyper does
//! not tell when the body is sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector as Connector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, Sleep, sleep, timeout};

/// The bytes of a request's body for which the store has another second: a connection of 8 Mbit/s gets them through.
const SLOWEST: u32 = 1 << 20;

/// TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of certificates cannot be used.
    #[error("cannot use `{path}` (`tls_ca_file`): {why}; it must be a PEM file of certificates")]
    Certificates {
        /// The file.
        path: String,
        /// The fault.
        #[source]
        why: rustls::pki_types::pem::Error,
    },
    /// The file has no certificates.
    #[error("`{0}` (`tls_ca_file`) has no certificates")]
    NoCertificates(String),
    /// Certificates, or what the crate for TLS has, cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// Sends requests. Cloned, it uses the same connections.
#[derive(Clone, Debug)]
pub struct Sender {
    client: Client<HttpsConnector<HttpConnector>, HttpRequestBody>,
    /// The longest until a response begins, and that it pauses.
    limit: Duration,
}

/// No response began in time.
#[derive(Debug, thiserror::Error)]
#[error("no response within {} ms", .0.as_millis())]
struct Late(Duration);

/// A response began, and did not go on in time.
#[derive(Debug, thiserror::Error)]
#[error("no more of the response within {} ms", .0.as_millis())]
struct Paused(Duration);

impl Sender {
    /// One that believes the certificates of `ca_file`, or those that the system believes. Reads files. A response begins
    /// within `limit`, to which a request's body adds a second for each MiB, and then pauses for no longer than `limit`.
    ///
    /// # Errors
    ///
    /// If the file cannot be used.
    pub fn new(ca_file: Option<&str>, limit: Duration) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(ca_file)?)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(limit));
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { client, limit })
    }
}

fn roots(ca_file: Option<&str>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        // Certificates that cannot be read are left out, as browsers do; with none, `https` fails and `http` works.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let unusable = |why| TlsError::Certificates {
        path: path.to_owned(),
        why,
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(unusable)? {
        roots.add(certificate.map_err(unusable)?)?;
    }
    match roots.is_empty() {
        true => Err(TlsError::NoCertificates(path.to_owned())),
        false => Ok(roots),
    }
}

impl Connector for Sender {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// How long a response to a request with so many bytes may take to begin.
fn time_for(limit: Duration, bytes: usize) -> Duration {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    limit.saturating_add(Duration::from_secs(1) * bytes / SLOWEST)
}

#[async_trait::async_trait]
impl HttpService for Sender {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let limit = time_for(self.limit, request.body().content_length());
        let answer = timeout(limit, self.client.request(request)).await;
        let answer = answer.map_err(|_| HttpError::new(HttpErrorKind::Timeout, Late(limit)))?;
        let response = answer.map_err(|why| {
            let kind = match why.is_connect() {
                true => HttpErrorKind::Connect,
                false => HttpErrorKind::Request,
            };
            HttpError::new(kind, why)
        })?;
        Ok(response.map(|body| HttpResponseBody::new(Bounded::new(body, self.limit))))
    }
}

/// The body of a response, which may pause for so long only. Time counts while somebody waits for the body.
struct Bounded<B> {
    body: B,
    limit: Duration,
    /// When a pause is over; there once there was one.
    pause: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl<B> Bounded<B> {
    fn new(body: B, limit: Duration) -> Self {
        Self {
            body,
            limit,
            pause: None,
            is_waiting: false,
        }
    }
}

impl<B> Body for Bounded<B>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Unpin,
{
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.is_waiting = false;
            let failed = |why| HttpError::new(HttpErrorKind::Interrupted, io::Error::other(why));
            return Poll::Ready(frame.map(|frame| frame.map_err(failed)));
        }
        let limit = this.limit;
        let pause = this.pause.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !this.is_waiting {
            this.is_waiting = true;
            pause.as_mut().reset(Instant::now() + limit);
        }
        std::task::ready!(pause.as_mut().poll(cx));
        Poll::Ready(Some(Err(HttpError::new(
            HttpErrorKind::Interrupted,
            Paused(limit),
        ))))
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
    use futures::stream;
    use http_body_util::{BodyExt as _, Full, StreamBody};

    use super::*;

    #[test]
    fn a_long_body_has_more_time() {
        let limit = Duration::from_secs(10);
        assert_eq!(time_for(limit, 0), limit);
        assert_eq!(time_for(limit, 64 << 20), Duration::from_secs(74));
        assert_eq!(time_for(Duration::MAX, usize::MAX), Duration::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_pauses_for_too_long_is_an_error() {
        let limit = Duration::from_secs(10);
        let parts = stream::unfold(0, async |n| {
            match n {
                3 => sleep(limit * 2).await,
                _ => sleep(limit * 9 / 10).await,
            }
            let part = Frame::data(Bytes::from_static(b"part"));
            Some((Ok::<_, io::Error>(part), n + 1))
        });
        let mut body = Bounded::new(StreamBody::new(Box::pin(parts)), limit);
        for _ in 0..3 {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "part");
            // No time counts while nobody waits.
            sleep(limit * 2).await;
        }
        let why = body.frame().await.unwrap().unwrap_err();
        let why = std::error::Error::source(&why).unwrap().to_string();
        assert_eq!(why, "no more of the response within 10000 ms");
        let mut whole = Bounded::new(Full::new(Bytes::from_static(b"all")), limit);
        assert!(whole.frame().await.unwrap().is_ok());
        assert!(whole.frame().await.is_none());
    }
}
