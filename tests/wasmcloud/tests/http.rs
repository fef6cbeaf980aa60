//! v1's HTTP server, run as a process, in front of a handler of ours.

mod processes;
#[path = "../../../crates/withe-wasmcloud/tests/support/mod.rs"]
mod support;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use withe_provider::{Link, LinkId, Peer, Provider};

use support::{HttpEcho, PATIENCE, broker};

/// The link from v1's HTTP server to our handler.
fn link(id: u64, name: &str, address: &str) -> Link {
    Link {
        id: LinkId(id),
        name: name.into(),
        application: "shop".into(),
        component: "web".into(),
        config: [("address".into(), address.into())].into(),
        peer: Peer::Http(Arc::new(HttpEcho)),
    }
}

/// An address that was free a moment ago: v1's server cannot say which one it took.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

async fn send(address: &str, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

fn request(address: &str, method: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri("/path?query")
        .header("host", address)
        .body(Full::new(body.into()))
        .unwrap()
}

/// Asks until the server listens, which it begins to do some time after it is told of its link.
async fn get(address: &str) -> Response<Incoming> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match send(address, request(address, "GET", "")).await {
            Ok(response) => return response,
            Err(e) if Instant::now() > give_up => panic!("{e:#}"),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

#[tokio::test]
async fn v1s_http_server_calls_our_handler() {
    let broker = broker();
    let server = processes::start(
        &broker,
        env!("CARGO_BIN_EXE_v1-http-server"),
        "http-server",
        &[],
    )
    .await;
    let address = free_address();
    server.link_put(link(1, "default", &address)).await.unwrap();

    let response = get(&address).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/plain");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "Hello from wasm!\n");

    // A body of many messages, there and back.
    let sent: Bytes = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let response = timeout(
        PATIENCE,
        send(&address, request(&address, "POST", sent.clone())),
    );
    let response = response.await.unwrap().unwrap();
    let body = timeout(PATIENCE, response.into_body().collect())
        .await
        .unwrap();
    assert!(body.unwrap().to_bytes() == sent);

    // Without its link it stops listening.
    server.link_deleted(LinkId(1), Duration::from_secs(1)).await;
    let give_up = Instant::now() + PATIENCE;
    while TcpStream::connect(&address).await.is_ok() {
        assert!(Instant::now() < give_up, "it still listens");
        sleep(Duration::from_millis(20)).await;
    }
    server.shutdown(Duration::from_secs(5)).await;
}
