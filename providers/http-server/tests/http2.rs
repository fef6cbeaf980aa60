//! Attacks that only clients of HTTP/2 can try.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{PATIENCE, address, component, link, text_body};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use withe_provider::{Peer, Provider};
use withe_provider_http_server::HttpServer;

/// A server of HTTP/2, over TLS.
struct Secure {
    server: HttpServer,
    address: SocketAddr,
    client: Arc<rustls::ClientConfig>,
}

impl Secure {
    async fn start(peer: Peer, own: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("cert"), made.cert.pem()).unwrap();
        std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
        let (cert, key) = (path("cert"), path("key"));
        let pairs = [
            ("address", "127.0.0.1:0"),
            ("tls_cert_file", cert.as_str()),
            ("tls_priv_key_file", key.as_str()),
        ];
        let server = HttpServer::new(support::config(own));
        server.start().await.unwrap();
        server.link_put(link(1, peer, &pairs)).await.unwrap();

        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let mut client = rustls::ClientConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec!["h2".into()];
        Self {
            address: address(&server, 1),
            server,
            client: Arc::new(client),
        }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(self.client.clone());
        connector.connect(name, tcp).await.unwrap()
    }

    /// Sends a request on a connection of its own.
    async fn ask(&self, request: http::request::Builder) -> (StatusCode, String) {
        let io = TokioIo::new(self.connect().await);
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
        let (mut send, connection) = handshake.await.unwrap();
        let connection = tokio::spawn(connection);
        let request: Request<Empty<Bytes>> = request.body(Empty::new()).unwrap();
        let answer = timeout(PATIENCE, send.send_request(request)).await;
        let (head, body) = answer.expect("an answer").unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        connection.abort();
        (head.status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn stop(self) {
        self.server.shutdown(Duration::ZERO).await;
    }
}

/// A component that says which path it was asked for, once it has read the body.
fn paths() -> Peer {
    component(|request, _| async move {
        let (head, body) = request.into_parts();
        body.collect().await?;
        Ok(Response::new(text_body(head.uri.path().to_owned())))
    })
}

#[tokio::test]
async fn a_host_is_named_once() {
    let secure = Secure::start(paths(), &[]).await;
    for (hosts, expected) in [
        (&["localhost", "localhost"][..], 400),
        (&["localhost", "other"], 400),
        (&["other"], 400),
        (&["localhost"], 200),
        (&[], 200),
    ] {
        let mut request = Request::get("https://localhost/x");
        for host in hosts {
            request = request.header("host", *host);
        }
        let (status, _) = secure.ask(request).await;
        assert_eq!(status, expected, "{hosts:?}");
    }
    secure.stop().await;
}

#[tokio::test]
async fn ambiguous_paths_are_as_they_are_said_to_be() {
    for (own, status, seen) in [
        (&[][..], 400, None),
        (&[("ambiguous_paths", "refuse")], 400, None),
        (&[("ambiguous_paths", "normalise")], 200, Some("/admin")),
        (&[("ambiguous_paths", "keep")], 200, Some("/x/%2e%2E/admin")),
    ] {
        let secure = Secure::start(paths(), own).await;
        let request = Request::get("https://localhost/x/%2e%2E/admin?q=//");
        let (found, text) = secure.ask(request).await;
        assert_eq!(found, status, "{own:?}: {text}");
        if let Some(seen) = seen {
            assert_eq!(text, seen);
        }
        secure.stop().await;
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The head of a POST to `https://localhost/`, in HPACK.
fn post(stream: u32, flags: u8) -> Vec<u8> {
    frame(1, flags, stream, b"\x83\x87\x84\x01\x09localhost")
}

/// Frames that come again and again, each a flood's.
fn flood(what: &str, round: u32) -> Vec<u8> {
    let stream = 2 * round + 3;
    match what {
        "pings" => frame(6, 0, 0, &[0; 8]),
        "settings" => frame(SETTINGS, 0, 0, &[]),
        "empty data" => frame(0, 0, 1, &[]),
        "padding" => frame(0, 8, 1, &[0]),
        "priorities" => frame(2, 0, 1, &[0, 0, 0, 0, 16]),
        "windows" => frame(8, 0, 0, &[0, 0, 0, 1]),
        "unknown frames" => frame(99, 0, 0, &[0; 8]),
        "resets" => {
            let reset = frame(3, 0, stream, &[0, 0, 0, 8]);
            [post(stream, END_STREAM | END_HEADERS), reset].concat()
        }
        "endless headers" => match round {
            0 => post(stream, END_STREAM),
            _ => frame(9, 0, 3, &[]),
        },
        _ => unreachable!("{what}"),
    }
}

/// More than any client may send of these, however long it takes.
const FRAMES: u32 = 300_000;

#[tokio::test]
async fn a_client_may_send_some_of_these() {
    let secure = Secure::start(paths(), &[]).await;
    for what in [
        "pings",
        "settings",
        "priorities",
        "windows",
        "unknown frames",
    ] {
        let mut client = secure.connect().await;
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        client.write_all(&hello).await.unwrap();
        let some: Vec<_> = (0..500).map(|n| flood(what, n)).collect();
        client.write_all(&some.concat()).await.unwrap();
        let request = post(1, END_STREAM | END_HEADERS);
        client.write_all(&request).await.unwrap();
        let answered = async {
            loop {
                let mut head = [0; 9];
                client.read_exact(&mut head).await.unwrap();
                let [a, b, c, kind, ..] = head;
                let length = u32::from_be_bytes([0, a, b, c]);
                let mut payload = vec![0; length as usize];
                client.read_exact(&mut payload).await.unwrap();
                match kind {
                    // `:status: 200`, the first of what HPACK knows by one byte.
                    1 => return assert_eq!(payload[0], 0x88, "{what}"),
                    7 => panic!("{what}: the server goes away"),
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, answered).await.expect(what);
    }
    secure.stop().await;
}

#[tokio::test]
async fn floods_of_frames_end_the_connection() {
    let secure = Secure::start(paths(), &[]).await;
    for what in [
        "pings",
        "settings",
        "empty data",
        "padding",
        "priorities",
        "windows",
        "unknown frames",
        "resets",
        "endless headers",
    ] {
        let (mut from, mut to) = tokio::io::split(secure.connect().await);
        // A client that reads nothing would be cut for that.
        let reading = tokio::spawn(async move {
            let mut bytes = vec![0; 16 << 10];
            while matches!(from.read(&mut bytes).await, Ok(1..)) {}
        });
        let flooding = async {
            let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &post(1, END_HEADERS)].concat();
            to.write_all(&hello).await.unwrap();
            for first in (0..FRAMES).step_by(100) {
                let frames: Vec<_> = (first..first + 100).map(|n| flood(what, n)).collect();
                if to.write_all(&frames.concat()).await.is_err() {
                    return;
                }
            }
            panic!("{what} could go on");
        };
        timeout(6 * PATIENCE, flooding).await.expect(what);
        timeout(PATIENCE, reading).await.expect(what).unwrap();
    }
    // All others are served as before.
    let (status, _) = secure.ask(Request::get("https://localhost/")).await;
    assert_eq!(status, 200);
    secure.stop().await;
}
