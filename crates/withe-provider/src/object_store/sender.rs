//! How requests to a store are sent: with hyper and rustls, as everything else of Withe sends them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
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
use tokio::time::timeout;

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
    /// The longest until a response begins.
    limit: Duration,
}

/// No response began in time.
#[derive(Debug, thiserror::Error)]
#[error("no response within {} ms", .0.as_millis())]
struct Late(Duration);

impl Sender {
    /// One that believes the certificates of `ca_file`, or those that the system believes. Reads files.
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

#[async_trait::async_trait]
impl HttpService for Sender {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = timeout(self.limit, self.client.request(request)).await;
        let answer =
            answer.map_err(|_| HttpError::new(HttpErrorKind::Timeout, Late(self.limit)))?;
        let response = answer.map_err(|why| {
            let kind = match why.is_connect() {
                true => HttpErrorKind::Connect,
                false => HttpErrorKind::Request,
            };
            HttpError::new(kind, why)
        })?;
        Ok(response.map(|body| {
            HttpResponseBody::new(body.map_err(|why| {
                let why = io::Error::other(why);
                HttpError::new(HttpErrorKind::Interrupted, why)
            }))
        }))
    }
}
