//! A provider that takes the place of another, while clients ask.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Response;
use support::{Client, PATIENCE, address, component, config, get, link, says, text_body};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use withe_provider::{LinkId, Peer, Provider};
use withe_provider_http_server::HttpServer;

const GRACE: Duration = Duration::from_secs(15);

/// A component that answers `text`, whichever.
fn answers(text: String) -> Peer {
    component(move |_, _| {
        let text = text.clone();
        async move { Ok(Response::new(text_body(text))) }
    })
}

/// A provider that takes the place of `before`, with nothing linked yet.
async fn successor(before: &HttpServer) -> HttpServer {
    let server = HttpServer::new(config(&[("max_connections", "500")]));
    server.take_over(before.handover().unwrap());
    server.start().await.unwrap();
    server
}

/// A provider that serves `peer` as link 1 at `at`, and the address.
async fn first(peer: Peer, at: &str) -> (HttpServer, SocketAddr) {
    let server = HttpServer::new(Default::default());
    server
        .link_put(link(1, peer, &[("address", at)]))
        .await
        .unwrap();
    let address = address(&server, 1);
    (server, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_refused_or_lost_while_providers_take_turns() {
    const PATHS: [&str; 2] = ["/", "/b"];
    let (mut server, address) = first(says("0"), "127.0.0.1:0").await;
    let at = address.to_string();
    let below = [("address", at.as_str()), ("path", "/b")];
    server.link_put(link(2, says("0"), &below)).await.unwrap();

    let done = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for n in 0..8 {
        let done = done.clone();
        clients.push(tokio::spawn(async move {
            let path = PATHS[n % 2];
            let mut newest = 0_u32;
            let mut kept = Client::connect(address).await;
            // At least one request, however late this begins.
            loop {
                let body = if n < 4 {
                    kept.send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
                        .await;
                    let head = kept.until("\r\n\r\n").await;
                    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                    let digits = head.split("content-length: ").nth(1).unwrap();
                    let digits = digits.split("\r\n").next().unwrap().parse().unwrap();
                    kept.exactly(digits).await
                } else {
                    let reply = get(address, "a", path).await;
                    assert_eq!(reply.status, 200, "{reply:?}");
                    reply.body().to_owned()
                };
                let version = body.parse().unwrap();
                assert!(version >= newest, "{version} after {newest}");
                newest = version;
                if done.load(Ordering::Relaxed) {
                    return;
                }
            }
        }));
    }

    for version in 1..=20_u64 {
        let next = successor(&server).await;
        for (n, path) in PATHS.iter().enumerate() {
            let id = 10 * version + n as u64;
            let pairs = [("address", at.as_str()), ("path", path)];
            let peer = answers(version.to_string());
            next.link_put(link(id, peer, &pairs)).await.unwrap();
        }
        // Until it is told to go, the one that was there serves.
        let reply = get(address, "a", "/").await;
        assert_eq!(reply.body(), (version - 1).to_string());
        timeout(PATIENCE, server.shutdown(GRACE)).await.unwrap();
        for path in PATHS {
            assert_eq!(get(address, "a", path).await.body(), version.to_string());
        }
        server = next;
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    timeout(PATIENCE, server.shutdown(GRACE)).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_successor_that_fails_changes_nothing() {
    let (server, address) = first(says("old"), "127.0.0.1:0").await;
    let at = address.to_string();
    let mut client = Client::connect(address).await;
    let mut ask = async || {
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        client.until("\r\n\r\nold").await;
        assert_eq!(get(address, "a", "/").await.body(), "old");
    };
    ask().await;

    // Refused before it has the address, and after.
    let refused = successor(&server).await;
    let missing = [("tls_cert_file", "/none"), ("tls_priv_key_file", "/none")];
    assert!(
        refused
            .link_put(link(2, says("new"), &missing))
            .await
            .is_err()
    );
    drop(refused);
    ask().await;
    let dropped = successor(&server).await;
    let pairs = [("address", at.as_str())];
    dropped
        .link_put(link(3, says("new"), &pairs))
        .await
        .unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = taken.local_addr().unwrap().to_string();
    let failed = link(4, says("new"), &[("address", &elsewhere)]);
    assert!(dropped.link_put(failed).await.is_err());
    drop(dropped);
    ask().await;
    let stopped = successor(&server).await;
    stopped
        .link_put(link(5, says("new"), &pairs))
        .await
        .unwrap();
    timeout(PATIENCE, stopped.shutdown(GRACE)).await.unwrap();
    ask().await;
    let unlinked = successor(&server).await;
    unlinked
        .link_put(link(6, says("new"), &pairs))
        .await
        .unwrap();
    let gone = unlinked.link_deleted(LinkId(6), GRACE);
    timeout(PATIENCE, gone).await.unwrap();
    ask().await;

    // One that waits behind another that fails is served by when it is its turn.
    let failing = successor(&server).await;
    failing
        .link_put(link(7, says("bad"), &pairs))
        .await
        .unwrap();
    let next = successor(&server).await;
    next.link_put(link(8, says("new"), &pairs)).await.unwrap();
    drop(failing);
    ask().await;
    timeout(PATIENCE, server.shutdown(GRACE)).await.unwrap();
    assert_eq!(get(address, "a", "/").await.body(), "new");
}

#[tokio::test]
async fn a_request_ends_where_it_began() {
    let (called, mut calls) = mpsc::unbounded_channel();
    let gate = Arc::new(Notify::new());
    let open = gate.clone();
    let gated = component(move |_, _| {
        let (called, gate) = (called.clone(), open.clone());
        async move {
            called.send(()).unwrap();
            gate.notified().await;
            Ok(Response::new(text_body("old")))
        }
    });
    let (server, address) = first(gated, "127.0.0.1:0").await;
    let mut client = Client::connect(address).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    calls.recv().await.unwrap();
    let next = successor(&server).await;
    let at = address.to_string();
    next.link_put(link(2, says("new"), &[("address", &at)]))
        .await
        .unwrap();
    let mut ending = tokio::spawn(async move { server.shutdown(GRACE).await });
    // The end waits for the request, and new ones do not wait for the end.
    timeout(PATIENCE, async {
        while get(address, "a", "/").await.body() != "new" {}
    })
    .await
    .unwrap();
    assert!(!ending.is_finished());
    gate.notify_one();
    client.until("\r\n\r\nold").await;
    timeout(PATIENCE, &mut ending).await.unwrap().unwrap();
    // On the same connection the next request is the successor's.
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.until("\r\n\r\nnew").await;
}

#[tokio::test]
async fn a_port_of_the_systems_choice_goes_to_the_same_link() {
    let (server, before) = first(says("old"), "127.0.0.1:0").await;
    let next = successor(&server).await;
    let pairs = [("address", "127.0.0.1:0")];
    let mut same = link(2, says("new"), &pairs);
    same.component = "c1".into();
    next.link_put(same).await.unwrap();
    next.link_put(link(3, says("other"), &pairs)).await.unwrap();
    assert_eq!(address(&next, 2), before);
    let other = address(&next, 3);
    assert_ne!(other, before);
    assert_eq!(get(other, "a", "/").await.body(), "other");
    timeout(PATIENCE, server.shutdown(GRACE)).await.unwrap();
    assert_eq!(get(before, "a", "/").await.body(), "new");
}

#[tokio::test]
async fn a_connection_that_is_not_what_is_served_now_is_closed() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (path("cert"), path("key"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (server, address) = first(says("old"), "127.0.0.1:0").await;
    let mut client = Client::connect(address).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.until("\r\n\r\nold").await;
    let next = successor(&server).await;
    let at = address.to_string();
    let pairs = [
        ("address", at.as_str()),
        ("tls_cert_file", &cert),
        ("tls_priv_key_file", &key),
    ];
    next.link_put(link(2, says("new"), &pairs)).await.unwrap();
    assert_eq!(get(address, "a", "/").await.body(), "old");
    timeout(PATIENCE, server.shutdown(GRACE)).await.unwrap();
    assert_eq!(client.rest().await, "");
    assert!(next.endpoints()[0].url.starts_with("https://"));
}

#[tokio::test]
async fn a_stranger_does_not_get_the_address() {
    let (_server, address) = first(says("old"), "127.0.0.1:0").await;
    let stranger = HttpServer::new(Default::default());
    let at = address.to_string();
    let put = stranger.link_put(link(2, says("new"), &[("address", &at)]));
    let error = put.await.unwrap_err().0;
    assert!(error.contains("the address is in use"), "{error}");
    assert_eq!(get(address, "a", "/").await.body(), "old");
}
