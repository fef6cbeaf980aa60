//! TLS to Redis, with rustls.
//!
//! The client takes certificates as PEM, and no other way. So those of the system, which come as bytes, are written as
//! PEM. Its own way to find them gives up on all of them if one cannot be read.

use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};

use ::redis as client;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::{Client, ConnectionInfo, RedisError, TlsCertificates};
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

/// Why the certificates that a link names cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use `{path}` (`tls_ca_file`): {why}; it must be a PEM file of certificates")]
pub(crate) struct CaError {
    path: String,
    #[source]
    why: CaFault,
}

/// A fault of a file of certificates.
#[derive(Debug, thiserror::Error)]
enum CaFault {
    #[error(transparent)]
    Unread(#[from] io::Error),
    #[error(transparent)]
    Pem(#[from] pem::Error),
    #[error(transparent)]
    Unusable(#[from] rustls::Error),
    #[error("it holds no certificate")]
    None,
}

/// The certificates of a file, as PEM: all of them can be used. Reads a file.
pub(super) fn read(path: &str) -> Result<Vec<u8>, CaError> {
    let reading = || {
        let pem = std::fs::read(path)?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate?)?;
        }
        match roots.is_empty() {
            true => Err(CaFault::None),
            false => Ok(pem),
        }
    };
    reading().map_err(|why| CaError {
        path: path.to_owned(),
        why,
    })
}

/// The certificates that the system believes, as PEM. Reads files, once. A system that has none believes Mozilla's, which
/// the client has where it is given none.
pub(super) fn of_system() -> Option<Vec<u8>> {
    static FOUND: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    FOUND.get_or_init(find).clone()
}

fn find() -> Option<Vec<u8>> {
    let mut pem = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // One that cannot be used would cost all others.
        if RootCertStore::empty().add(certificate.clone()).is_ok() {
            let text = STANDARD.encode(&certificate);
            pem += &format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        }
    }
    (!pem.is_empty()).then(|| pem.into_bytes())
}

/// A client that believes the authorities `roots`.
pub(super) fn client(info: ConnectionInfo, roots: Option<Vec<u8>>) -> Result<Client, RedisError> {
    // The client takes the process's implementation of cryptography; the one that Withe is built with, if nobody chose.
    if CryptoProvider::get_default().is_none() {
        // Another thread may have chosen meanwhile.
        _ = ring::default_provider().install_default();
    }
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: roots,
    };
    Client::build_with_tls(info, certificates)
}

/// What TLS has against a connection, if that is why there is none.
pub(super) fn fault(error: &RedisError) -> Option<&rustls::Error> {
    let mut cause: &(dyn Error + 'static) = error.source()?;
    // The client shares its causes.
    if let Some(shared) = cause.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
        cause = &**shared;
    }
    let inner = cause
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match inner {
        Some(inner) => inner.downcast_ref(),
        None => cause.downcast_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_tls_is_found_in_the_clients_error() {
        let fault_of = |error: io::Error| fault(&RedisError::from(error)).cloned();
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = io::Error::new(io::ErrorKind::InvalidData, unknown.clone());
        assert_eq!(fault_of(error), Some(unknown));
        assert_eq!(fault_of(io::ErrorKind::ConnectionRefused.into()), None);
    }

    #[test]
    fn what_holds_no_certificate_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let path = path.to_str().unwrap();
        assert!(read(path).unwrap_err().to_string().contains(path));
        std::fs::write(path, "not a certificate").unwrap();
        let said = read(path).unwrap_err().to_string();
        assert!(said.contains("it holds no certificate"), "{said}");
    }
}
