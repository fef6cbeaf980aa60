//! Clients that take, or send, too slowly; and those that are too many.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use support::{Client, PATIENCE, address, component, get, link, says, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use withe_provider::{Body, ConfigMap, Peer, Provider as _};
use withe_provider_http_server::HttpServer;

/// Settings by which a client is slow once it is waited for longer than a moment.
const IMPATIENT: [(&str, &str); 2] = [
    ("min_bytes_per_second", "1000000000"),
    ("slow_budget_ms", "50"),
];

/// How many bodies there are that somebody holds.
#[derive(Clone, Default)]
struct Held(Arc<AtomicUsize>);

struct Hold(Held);

impl Held {
    fn one(&self) -> Hold {
        self.0.fetch_add(1, Ordering::SeqCst);
        Hold(self.clone())
    }

    async fn until(&self, count: usize) {
        let reached = async {
            while self.0.load(Ordering::SeqCst) != count {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let held = || self.0.load(Ordering::SeqCst);
        assert!(timeout(PATIENCE, reached).await.is_ok(), "{} held", held());
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers with a body without end, counted as long as anybody holds it.
fn endless(held: &Held) -> Peer {
    let held = held.clone();
    component(move |_, _| {
        let hold = held.one();
        async move {
            let chunks = futures::stream::repeat_with(move || {
                let _held = &hold;
                Ok(Frame::data(Bytes::from_static(&[b'x'; 4096])))
            });
            Ok(Response::new(StreamBody::new(chunks).boxed_unsync()))
        }
    })
}

#[tokio::test]
async fn a_client_that_reads_nothing_does_not_keep_the_component() {
    let held = Held::default();
    let (_server, address) = serve(endless(&held), &IMPATIENT).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        // One byte of its answer is there, so it was begun.
        client.read_u8().await.unwrap();
        clients.push(client);
    }
    held.until(0).await;
    drop(clients);
}

#[tokio::test]
async fn a_request_has_an_end_though_nobody_reads_its_answer() {
    let held = Held::default();
    let limits = [("request_timeout_ms", "200"), ("min_bytes_per_second", "0")];
    let (_server, address) = serve(endless(&held), &limits).await;
    let mut client = Client::connect(address).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    held.until(0).await;
}

#[tokio::test]
async fn a_closed_window_does_not_keep_the_component() {
    let held = Held::default();
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("cert"), made.cert.pem()).unwrap();
    std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (path("cert"), path("key"));
    let mut pairs = vec![("tls_cert_file", &*cert), ("tls_priv_key_file", &*key)];
    pairs.extend(IMPATIENT);
    let (_server, address) = serve(endless(&held), &pairs).await;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut client = rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec!["h2".into()];
    let client = Arc::new(client);
    let mut connections = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..4 {
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let connector = tokio_rustls::TlsConnector::from(client.clone());
        let io = hyper_util::rt::TokioIo::new(connector.connect(name, tcp).await.unwrap());
        let executor = hyper_util::rt::TokioExecutor::new();
        // A window of nothing, which is never opened.
        let (mut send, connection) = hyper::client::conn::http2::Builder::new(executor)
            .initial_stream_window_size(0)
            .handshake(io)
            .await
            .unwrap();
        connections.push(tokio::spawn(connection));
        for _ in 0..50 {
            let request = http::Request::builder().uri("https://localhost/");
            let body = http_body_util::Empty::<Bytes>::new();
            let answer = send
                .send_request(request.body(body).unwrap())
                .await
                .unwrap();
            assert_eq!(answer.status(), 200);
            answers.push(answer);
        }
        answers.last_mut().unwrap().extensions_mut().insert(send);
    }
    held.until(0).await;
    // The connections are as good as before.
    assert!(
        connections
            .iter()
            .all(|connection| !connection.is_finished())
    );
}

#[tokio::test]
async fn a_client_that_sends_too_slowly_is_given_up() {
    let held = Held::default();
    let reads = {
        let held = held.clone();
        component(move |request: http::Request<Body>, _| {
            let hold = held.one();
            async move {
                let body = request.into_body().map_frame(move |frame| {
                    let _held = &hold;
                    frame
                });
                Ok(Response::new(body.boxed_unsync()))
            }
        })
    };
    let (_server, address) = serve(reads, &IMPATIENT).await;
    let mut client = Client::connect(address).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n")
        .await;
    client.until("\r\n\r\n").await;
    // The client never pauses for long, and comes to an end only when the server has closed.
    let dripping = async {
        while client.try_send("x").await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::join!(dripping, held.until(0));
}

#[tokio::test]
async fn whoever_is_not_waited_for_may_take_its_time() {
    let (_server, address) = serve(
        component(|_, _| async move {
            // The component is slow, and the client waits.
            let chunks = futures::stream::iter(0..5).then(|_| async {
                sleep(Duration::from_millis(60)).await;
                Ok(Frame::data(Bytes::from_static(b"event\n")))
            });
            Ok(Response::new(StreamBody::new(chunks).boxed_unsync()))
        }),
        &[
            ("min_bytes_per_second", "1000000000"),
            ("slow_budget_ms", "200"),
        ],
    )
    .await;
    let reply = get(address, "a", "/").await;
    assert_eq!(reply.text.matches("event").count(), 5, "{}", reply.text);
}

/// A server with a configuration of its own.
async fn server(own: &[(&str, &str)], peers: Vec<Peer>) -> HttpServer {
    let server = HttpServer::new(support::config(own));
    server.start().await.unwrap();
    for (id, peer) in (1..).zip(peers) {
        let mut link = link(id, peer, &[]);
        link.config.insert("address".into(), "127.0.0.1:0".into());
        server.link_put(link).await.unwrap();
    }
    server
}

#[tokio::test]
async fn idle_connections_go_for_those_that_come() {
    let limits = [
        ("max_connections", "4"),
        ("max_connections_per_address", "4"),
    ];
    let server = server(&limits, vec![says("here")]).await;
    let address = address(&server, 1);
    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(Client::connect(address).await);
    }
    for _ in 0..8 {
        let reply = timeout(PATIENCE, get(address, "a", "/")).await.unwrap();
        assert_eq!(reply.status, 200);
    }
    // The oldest was closed.
    assert_eq!(idle.remove(0).rest().await, "");
}

#[tokio::test]
async fn an_address_has_so_many_requests_and_one_more_is_refused() {
    let held = Held::default();
    let limits = [("max_requests", "100"), ("max_requests_per_address", "2")];
    let server = server(&limits, vec![endless(&held)]).await;
    let address = address(&server, 1);
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(address).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        client.until("\r\n\r\n").await;
        clients.push(client);
    }
    let refused = get(address, "a", "/").await;
    assert_eq!(refused.status, 429, "{}", refused.text);
    drop(clients);
    held.until(0).await;
    let mut client = Client::connect(address).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(client.until("\r\n").await.contains(" 200 "));
}

#[tokio::test]
async fn a_configuration_that_makes_no_sense_is_refused() {
    for pairs in [
        [("max_requests", "0")],
        [("max_connections_per_address", "many")],
        [("max_handshakes", "-1")],
        [("min_bytes_per_second", "fast")],
        [("slow_budget_ms", "0")],
    ] {
        let own: ConfigMap = support::config(&pairs);
        let started = HttpServer::new(own).start().await;
        let error = started.unwrap_err().to_string();
        assert!(error.contains(pairs[0].0), "{error}");
    }
}
