//! Links that change under load, and that go.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Response;
use support::{PATIENCE, address, component, get, link, says, serve, text_body};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use withe_provider::{LinkId, Peer, Provider};

const GRACE: Duration = Duration::from_secs(15);

/// A component that says when it is called, and answers when it is told to.
fn gated() -> (Peer, mpsc::UnboundedReceiver<()>, Arc<Notify>) {
    let (called, calls) = mpsc::unbounded_channel();
    let gate = Arc::new(Notify::new());
    let open = gate.clone();
    let peer = component(move |_, _| {
        let (called, gate) = (called.clone(), open.clone());
        async move {
            let _ = called.send(());
            gate.notified().await;
            Ok(Response::new(text_body("finished")))
        }
    });
    (peer, calls, gate)
}

#[tokio::test]
async fn a_removed_link_finishes_what_is_under_way() {
    let (peer, mut calls, gate) = gated();
    let (server, address) = serve(peer, &[]).await;
    let server = Arc::new(server);
    let request = tokio::spawn(get(address, "a", "/"));
    calls.recv().await.unwrap();

    let deletion = {
        let server = server.clone();
        tokio::spawn(async move { server.link_deleted(LinkId(1), GRACE).await })
    };
    // New connections are refused before the request that runs is done.
    timeout(PATIENCE, async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(!deletion.is_finished());
    gate.notify_one();
    assert_eq!(request.await.unwrap().body(), "finished");
    timeout(PATIENCE, deletion).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_broken_off() {
    let (peer, mut calls, _gate) = gated();
    let (server, address) = serve(peer, &[]).await;
    let shared = address.to_string();
    server
        .link_put(link(
            2,
            says("other"),
            &[("address", &shared), ("path", "/b")],
        ))
        .await
        .unwrap();
    let request = tokio::spawn(get(address, "a", "/"));
    calls.recv().await.unwrap();
    timeout(
        PATIENCE,
        server.link_deleted(LinkId(1), Duration::from_millis(50)),
    )
    .await
    .unwrap();
    assert_eq!(request.await.unwrap().status, 503);
    // Its neighbour serves on.
    assert_eq!(get(address, "a", "/b").await.body(), "other");
}

#[tokio::test]
async fn a_body_that_never_ends_is_broken_off() {
    let endless = component(|_, _| async {
        let frames = futures::stream::unfold(true, async |first| {
            if !first {
                std::future::pending::<()>().await;
            }
            Some((Ok(http_body::Frame::data("chunk".into())), false))
        });
        let body = http_body_util::StreamBody::new(frames);
        Ok(Response::new(http_body_util::BodyExt::boxed_unsync(body)))
    });
    let (server, address) = serve(endless, &[]).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut bytes = [0; 1024];
    let n = stream.read(&mut bytes).await.unwrap();
    assert!(n > 0);
    timeout(PATIENCE, server.shutdown(Duration::from_millis(50)))
        .await
        .unwrap();
    // Closed or reset, but over.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut Vec::new()))
        .await
        .unwrap();
}

#[tokio::test]
async fn idle_connections_are_closed_at_once() {
    let (server, address) = serve(says("x"), &[]).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut bytes = [0; 1024];
    assert_ne!(idle.read(&mut bytes).await.unwrap(), 0);
    timeout(PATIENCE, server.shutdown(Duration::from_secs(3600)))
        .await
        .unwrap();
    assert_eq!(idle.read(&mut bytes).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_a_link_loses_no_request() {
    let (server, address) = serve(says("0"), &[]).await;
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let done = done.clone();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                // At least one, however late this begins.
                loop {
                    stream
                        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                        .await
                        .unwrap();
                    let mut bytes = [0; 1024];
                    let n = timeout(PATIENCE, stream.read(&mut bytes))
                        .await
                        .unwrap()
                        .unwrap();
                    let text = std::str::from_utf8(&bytes[..n]).unwrap();
                    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                }
            })
        })
        .collect();
    for version in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        for _ in 0..20 {
            let again = link(1, says(version), &[("address", "127.0.0.1:0")]);
            server.link_put(again).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(get(address, "a", "/").await.body(), version);
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(support::address(&server, 1), address);
    server.shutdown(GRACE).await;
}

#[tokio::test]
async fn requests_under_way_keep_the_version_they_started_with() {
    let (peer, mut calls, gate) = gated();
    let (server, address) = serve(peer, &[]).await;
    let old = tokio::spawn(get(address, "a", "/"));
    calls.recv().await.unwrap();
    server
        .link_put(link(1, says("new"), &[("address", "127.0.0.1:0")]))
        .await
        .unwrap();
    assert_eq!(get(address, "a", "/").await.body(), "new");
    gate.notify_one();
    assert_eq!(old.await.unwrap().body(), "finished");
}

#[tokio::test]
async fn a_link_can_move_to_another_address() {
    let (server, before) = serve(says("x"), &[]).await;
    server
        .link_put(link(1, says("y"), &[("address", "[::1]:0")]))
        .await
        .unwrap();
    let after = address(&server, 1);
    assert_ne!(before, after);
    assert_eq!(get(after, "a", "/").await.body(), "y");
    timeout(PATIENCE, async {
        while TcpStream::connect(before).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_change_that_cannot_be_made_leaves_the_link_as_it_was() {
    let (server, address) = serve(says("x"), &[]).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = taken.local_addr().unwrap().to_string();
    let pairs = [[("address", elsewhere.as_str())], [("timeout_ms", "soon")]];
    for pairs in pairs {
        assert!(server.link_put(link(1, says("y"), &pairs)).await.is_err());
        assert_eq!(get(address, "a", "/").await.body(), "x");
    }
}

#[tokio::test]
async fn connections_are_limited() {
    let server =
        withe_provider_http_server::HttpServer::new(support::config(&[("max_connections", "1")]));
    server
        .link_put(link(1, says("x"), &[("address", "127.0.0.1:0")]))
        .await
        .unwrap();
    let address = address(&server, 1);
    let mut first = TcpStream::connect(address).await.unwrap();
    first
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut bytes = [0; 1024];
    assert_ne!(first.read(&mut bytes).await.unwrap(), 0);
    // The second is taken up when the first is gone.
    let second = tokio::spawn(get(address, "a", "/"));
    drop(first);
    assert_eq!(second.await.unwrap().body(), "x");
}
