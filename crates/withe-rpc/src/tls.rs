//! How the two sides of a TCP connection know each other: TLS 1.3, a certificate of each side, and trust in
//! fingerprints alone.
//!
//! There is no authority that signs certificates: a lattice already knows its hosts, so each announces the
//! fingerprint of its own there. Names and dates in a certificate are ignored; the handshake's signature,
//! which is always verified, proves that the peer has its key.

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};

use crate::identity::{Fingerprint, Identity};
use crate::members::Members;

/// The protocol and version that both sides announce above TLS.
pub(crate) const ALPN: &[u8] = b"withe/1";

/// Connects as `identity` to the peer with the fingerprint `expected`.
pub(crate) fn client(identity: &Identity, expected: Fingerprint) -> Result<ClientConfig, Error> {
    let provider = Arc::new(default_provider());
    let verifier = Verifier::new(Trusted::One(expected), &provider);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(resolver(identity));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_sni = false;
    // A session that is resumed does not show certificates again.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Accepts members as `identity`.
pub(crate) fn server(identity: &Identity, members: Members) -> Result<ServerConfig, Error> {
    let provider = Arc::new(default_provider());
    let verifier = Verifier::new(Trusted::Members(members), &provider);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(resolver(identity));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // As on the other side: each connection is one of who is a member then.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn resolver(identity: &Identity) -> Arc<SingleCertAndKey> {
    Arc::new(SingleCertAndKey::from(identity.certified.clone()))
}

/// The name that the client asks for. The name is neither sent nor checked.
pub(crate) fn server_name() -> ServerName<'static> {
    ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into())
}

/// The peers that one side accepts.
enum Trusted {
    One(Fingerprint),
    Members(Members),
}

/// Accepts by fingerprint, and verifies signatures.
struct Verifier {
    trusted: Trusted,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn new(trusted: Trusted, provider: &CryptoProvider) -> Self {
        Self {
            trusted,
            algorithms: provider.signature_verification_algorithms,
        }
    }

    fn verify(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let fingerprint = Fingerprint::of(certificate);
        let is_trusted = match &self.trusted {
            Trusted::One(expected) => fingerprint == *expected,
            Trusted::Members(members) => members.contains(&fingerprint),
        };
        if is_trusted {
            Ok(())
        } else {
            tracing::debug!("a certificate with the fingerprint {fingerprint} is not accepted");
            // The other side is told `access_denied`.
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }
}

/// No other version than 1.3 is ever agreed on.
fn not_1_2() -> Error {
    Error::General("TLS 1.2 is not spoken here".into())
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trusted = match &self.trusted {
            Trusted::One(expected) => expected.to_string(),
            Trusted::Members(_) => "members".into(),
        };
        write!(f, "Verifier({trusted})")
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(not_1_2())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(not_1_2())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustls::sign::CertifiedKey;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// How a handshake of two who trust each other's certificates ends for each, if they have these keys and
    /// not their own.
    async fn handshake(
        client_key: Option<&Identity>,
        server_key: Option<&Identity>,
    ) -> (io::Result<()>, io::Result<()>) {
        let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let members = Members::new([a.fingerprint()].into());
        let mut client = client(&a, b.fingerprint()).unwrap();
        let mut server = server(&b, members).unwrap();
        let forged = |of: &Identity, key: &Identity| {
            let certificate = of.certified.cert.clone();
            let forged = CertifiedKey::new(certificate, key.certified.key.clone());
            Arc::new(SingleCertAndKey::from(forged))
        };
        if let Some(key) = client_key {
            client.client_auth_cert_resolver = forged(&a, key);
        }
        if let Some(key) = server_key {
            server.cert_resolver = forged(&b, key);
        }
        let (here, there) = tokio::io::duplex(64 << 10);
        let connecting = async {
            let connector = TlsConnector::from(Arc::new(client));
            let mut stream = connector.connect(server_name(), here).await?;
            // The server's opinion comes behind the handshake.
            stream.read_u8().await.map(drop)
        };
        let accepting = async {
            let acceptor = TlsAcceptor::from(Arc::new(server));
            let mut stream = acceptor.accept(there).await?;
            stream.write_u8(1).await
        };
        tokio::join!(connecting, accepting)
    }

    #[tokio::test]
    async fn a_certificate_without_its_key_is_worth_nothing() {
        let (client, server) = handshake(None, None).await;
        client.unwrap();
        server.unwrap();
        let other = Identity::generate().unwrap();
        let (client, server) = handshake(Some(&other), None).await;
        let e = server.unwrap_err().to_string();
        assert!(e.contains("BadSignature"), "{e}");
        assert!(client.is_err());
        let (client, server) = handshake(None, Some(&other)).await;
        let e = client.unwrap_err().to_string();
        assert!(e.contains("BadSignature"), "{e}");
        assert!(server.is_err());
    }
}
