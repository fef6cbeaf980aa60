//! TCP with TLS 1.3.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use withe_rpc::tcp::{TcpConnector, TcpListener};
use withe_rpc::{Client, Identity, Limits, Members, serve};

use super::bare::Bare;
use super::{Echo, Transport, start};

/// Where the servers listen, and whom they know.
pub(crate) struct Sockets {
    bare: [SocketAddr; 3],
    rpc: SocketAddr,
    /// The servers' and the client's.
    identity: Identity,
}

/// The same ciphers as the protocol has; once connected, all else is the same.
fn configs(identity: &Identity) -> (ServerConfig, ClientConfig) {
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let pem = identity.to_pem().as_bytes();
    let certificate = CertificateDer::from_pem_slice(pem).expect("it has one");
    let key = PrivateKeyDer::from_pem_slice(pem).expect("it has one");
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("it can be read");
    let server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("it is there")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they belong together");
    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("it is there")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, client)
}

impl Transport for Sockets {
    type Stream = TlsStream<TcpStream>;

    fn start() -> Self {
        let identity = Identity::generate().expect("it can be made");
        let any = "127.0.0.1:0";
        let (tx, addrs) = mpsc::channel();
        let bare = Bare::ALL.map(|server| {
            let (tx, acceptor) = (
                tx.clone(),
                TlsAcceptor::from(Arc::new(configs(&identity).0)),
            );
            start(async move || {
                let listener = tokio::net::TcpListener::bind(any)
                    .await
                    .expect("a port is free");
                tx.send(listener.local_addr().expect("it has one"))
                    .expect("it is waited for");
                while let Ok((stream, _)) = listener.accept().await {
                    stream.set_nodelay(true).expect("it can be set");
                    let stream = acceptor.accept(stream).await.expect("it is one of ours");
                    tokio::spawn(server.serve(stream));
                }
            });
            addrs.recv().expect("it has started")
        });
        let of_server = identity.clone();
        start(async move || {
            let members = Members::new([of_server.fingerprint()].into());
            let listener = TcpListener::bind(any, &of_server, members).await;
            let listener = listener.expect("a port is free");
            tx.send(listener.local_addr().expect("it has one"))
                .expect("it is waited for");
            let forever = std::future::pending();
            serve(listener, Arc::new(Echo), Limits::default(), forever).await;
        });
        Self {
            bare,
            rpc: addrs.recv().expect("it has started"),
            identity,
        }
    }

    async fn bare(&self, server: Bare) -> TlsStream<TcpStream> {
        let connector = TlsConnector::from(Arc::new(configs(&self.identity).1));
        let stream = TcpStream::connect(self.bare[server as usize]).await;
        let stream = stream.expect("it is there");
        stream.set_nodelay(true).expect("it can be set");
        let name = ServerName::try_from("withe").expect("it is one");
        connector
            .connect(name, stream)
            .await
            .expect("it is one of ours")
    }

    fn client(&self) -> Arc<Client> {
        let expected = self.identity.fingerprint();
        let connect = TcpConnector::new([self.rpc.to_string()], &self.identity, expected);
        Client::new(
            Arc::new(connect.expect("it can be used")),
            Limits::default(),
        )
    }
}
