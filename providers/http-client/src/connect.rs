//! Names, sockets and TLS: how a connection is made.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use crate::config::Roots;
use crate::proxy::{Dialled, LinkProxy};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Makes connections, each within a time.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: HttpsConnector<Dialler>,
    limit: Duration,
}

/// Makes connections to servers, or to the proxy before them.
#[derive(Clone)]
pub(crate) struct Dialler {
    tcp: HttpConnector<Resolver>,
    proxy: LinkProxy,
}

/// The system's resolver, whose failures can be told from others.
#[derive(Clone)]
pub(crate) struct Resolver(GaiResolver);

/// A name does not resolve.
#[derive(Debug, thiserror::Error)]
#[error("the name `{0}` does not resolve: {1}")]
pub(crate) struct Unresolved(String, io::Error);

/// A connection was not there in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} ms", .0.as_millis())]
pub(crate) struct TooSlow(Duration);

/// TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The certificates that a link names.
    #[error("cannot use `{path}` (`ssl_certs_file`): {why}; it must be a PEM file of certificates")]
    Certificates {
        path: String,
        #[source]
        why: CertificateError,
    },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[source] rustls::Error),
}

/// A fault of a file of certificates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Pem(#[from] pem::Error),
    #[error(transparent)]
    Unusable(#[from] rustls::Error),
    #[error("it holds no certificate")]
    None,
}

impl Connector {
    /// A connector that believes the certificates of `tls`, and may take `limit` for a connection, that of a `proxy` included.
    pub(crate) fn new(tls: ClientConfig, limit: Duration, proxy: LinkProxy) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Of several addresses each gets its share, so that one which is silent leaves time for
        // the others.
        tcp.set_connect_timeout(Some(limit));
        let inner = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(Dialler { tcp, proxy });
        Self { inner, limit }
    }
}

impl Service<Uri> for Connector {
    type Response = <HttpsConnector<Dialler> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response, BoxError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let limit = self.limit;
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(TooSlow(limit).into()),
            }
        })
    }
}

impl Service<Uri> for Dialler {
    type Response = Dialled;
    type Error = BoxError;
    type Future = BoxFuture<Dialled, BoxError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let proxy = self.proxy.clone().filter(|proxy| proxy.is_for(&uri));
        let Some(proxy) = proxy else {
            let connecting = self.tcp.call(uri);
            return Box::pin(async move {
                let io = connecting.await?;
                let to_proxy = false;
                Ok(Dialled { io, to_proxy })
            });
        };
        let connecting = self.tcp.call(proxy.uri.clone());
        Box::pin(async move {
            let mut io = connecting.await?;
            let is_tunnel = uri.scheme_str() == Some("https");
            if is_tunnel {
                proxy.tunnel(io.inner_mut(), &uri).await?;
            }
            let to_proxy = !is_tunnel;
            Ok(Dialled { io, to_proxy })
        })
    }
}

impl Service<Name> for Resolver {
    type Response = <GaiResolver as Service<Name>>::Response;
    type Error = Unresolved;
    type Future = BoxFuture<Self::Response, Unresolved>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        self.0
            .poll_ready(cx)
            .map_err(|e| Unresolved(String::new(), e))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let text = name.as_str().to_owned();
        let resolving = self.0.call(name);
        Box::pin(async move { resolving.await.map_err(|e| Unresolved(text, e)) })
    }
}

/// Collects the certificates that are believed. Blocks: it reads files.
///
/// # Errors
///
/// If a file cannot be read; says which.
pub(crate) fn client_config(roots: &Roots) -> Result<ClientConfig, TlsError> {
    let mut store = RootCertStore::empty();
    if roots.native {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!("some of the system's certificates cannot be read: {error}");
        }
        let (_, unusable) = store.add_parsable_certificates(found.certs);
        if unusable > 0 {
            tracing::debug!("{unusable} of the system's certificates cannot be used");
        }
    }
    if roots.webpki {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(path) = &roots.file {
        add_file(&mut store, path).map_err(|why| TlsError::Certificates {
            path: path.clone(),
            why,
        })?;
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_root_certificates(store)
        .with_no_client_auth())
}

/// Adds the certificates in a file.
fn add_file(store: &mut RootCertStore, path: &str) -> Result<(), CertificateError> {
    let bytes = std::fs::read(path)?;
    let mut count = 0;
    for cert in CertificateDer::pem_slice_iter(&bytes) {
        store.add(cert?)?;
        count += 1;
    }
    match count {
        0 => Err(CertificateError::None),
        _ => Ok(()),
    }
}
