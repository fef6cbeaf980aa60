//! The server's side of TLS, from PEM files.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use withe_provider::ProviderError;

/// Where a certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub(crate) cert: String,
    /// The private key.
    pub(crate) key: String,
}

/// Reads the files.
///
/// # Errors
///
/// If one cannot be read or used; says which.
pub(crate) async fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, ProviderError> {
    let read = async |key: &str, path: &str| {
        tokio::fs::read(path).await.map_err(|e| {
            let at = std::path::absolute(path).unwrap_or_else(|_| Path::new(path).into());
            ProviderError(format!("cannot read `{}` (`{key}`): {e}", at.display()))
        })
    };
    let cert = read("tls_cert_file", &files.cert).await?;
    let key = read("tls_priv_key_file", &files.key).await?;
    server_config(&cert, &key).map_err(|(key, why)| {
        let path = if key == "tls_cert_file" {
            &files.cert
        } else {
            &files.key
        };
        ProviderError(format!("cannot use `{path}` (`{key}`): {why}"))
    })
}

fn server_config(cert: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, (&'static str, String)> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<_, _>>()
        .map_err(|e| ("tls_cert_file", e.to_string()))?;
    if chain.is_empty() {
        return Err(("tls_cert_file", "it holds no PEM certificate".into()));
    }
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|e| ("tls_priv_key_file", e.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| ("tls_cert_file", e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| ("tls_priv_key_file", e.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn says_which_file_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(path("cert"), made.cert.pem()).unwrap();
        std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(path("text"), "not PEM").unwrap();

        let cases = [
            ("cert", "key", None),
            ("none", "key", Some("cannot read")),
            ("text", "key", Some("no PEM certificate")),
            ("cert", "text", Some("`tls_priv_key_file`")),
            ("cert", "cert", Some("`tls_priv_key_file`")),
        ];
        for (cert, key, want) in cases {
            let loaded = load(&TlsFiles {
                cert: path(cert),
                key: path(key),
            })
            .await;
            match want {
                None => assert!(loaded.is_ok(), "{cert} {key}"),
                Some(text) => assert!(loaded.unwrap_err().0.contains(text), "{cert} {key}"),
            }
        }
    }
}
