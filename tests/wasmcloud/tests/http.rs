//! HTTP both ways: v1's HTTP server, run as a process, in front of a handler of ours; and requests of ours to
//! what serves them with v1's crates.

mod processes;
#[path = "../../../crates/withe-wasmcloud/tests/support/mod.rs"]
mod support;
mod v1;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::join_all;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use withe_provider::{HttpError, HttpErrorKind, Link, LinkId, Peer, Provider, RequestOptions};
use withe_testing::port::ReservedPort;
use wrpc_interface_http::bindings::exports::wrpc::http::outgoing_handler::serve_interface;
use wrpc_interface_http::bindings::wasi::http::types::ErrorCode;
use wrpc_interface_http::bindings::wrpc::http::types::RequestOptions as V1Options;
use wrpc_interface_http::{
    HttpBody, ServeHttp, ServeOutgoingHandlerHttp, try_fields_to_header_map,
};

use support::{HttpEcho, PATIENCE, broker, eventually, importer, name, target, within};

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

/// A port for v1's server, which cannot say which one it took. The port is kept while the server does not listen.
fn port() -> (ReservedPort, String) {
    let port = ReservedPort::new().unwrap();
    let address = port.address().to_string();
    (port, address)
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
    let ask = || async { send(address, request(address, "GET", "")).await.ok() };
    eventually("a response of v1's server", ask).await
}

/// All of a response's body.
async fn body(response: Response<Incoming>) -> Bytes {
    let body = within("the response's body", response.into_body().collect()).await;
    body.unwrap().to_bytes()
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
    let (_port, address) = port();
    server.link_put(link(1, "default", &address)).await.unwrap();

    let response = get(&address).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/plain");
    assert_eq!(body(response).await, "Hello from wasm!\n");

    // A body of many messages, there and back.
    let sent: Bytes = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let response = send(&address, request(&address, "POST", sent.clone()));
    let response = within("the response to a large request", response).await;
    assert!(body(response.unwrap()).await == sent);

    // Without its link it stops listening.
    server.link_deleted(LinkId(1), Duration::from_secs(1)).await;
    eventually("v1's server to listen no more", || async {
        TcpStream::connect(&address).await.err()
    })
    .await;
    server.shutdown(Duration::from_secs(5)).await;
}

/// Sends requests until `stop`; returns how many were answered, and how many the server did not take or
/// finish.
async fn load(address: String, stop: Arc<AtomicBool>) -> (u32, u32) {
    let (mut answered, mut lost) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let response = send(&address, request(&address, "GET", ""));
        match within("a response, or the end of the connection", response).await {
            Ok(response) if response.status() == StatusCode::OK => answered += 1,
            // The answer of v1's server in the moment in which it has no link.
            Ok(response) => {
                assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
                assert_eq!(body(response).await, "no targets for HTTP request");
                lost += 1;
            }
            Err(_closed) => lost += 1,
        }
    }
    (answered, lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn v1s_http_server_loses_requests_only_while_its_link_is_replaced() {
    let broker = broker();
    let program = env!("CARGO_BIN_EXE_v1-http-server");
    let server = processes::start(&broker, program, "http-server", &[]).await;
    let (_port, address) = port();
    server.link_put(link(1, "default", &address)).await.unwrap();
    get(&address).await;
    let start = |stop: &Arc<AtomicBool>| {
        let loads = (0..4).map(|_| load(address.clone(), stop.clone()));
        loads.map(tokio::spawn).collect::<Vec<_>>()
    };
    let finish = async |stop: Arc<AtomicBool>, loads: Vec<JoinHandle<_>>| {
        stop.store(true, Ordering::Relaxed);
        let loads = join_all(loads).await.into_iter().map(Result::unwrap);
        loads.fold((0, 0), |sum, (answered, lost)| {
            (sum.0 + answered, sum.1 + lost)
        })
    };

    // The same link again, with another component behind it: the server need not know.
    let stop = Arc::new(AtomicBool::new(false));
    let loads = start(&stop);
    for _ in 0..10 {
        server.link_put(link(1, "default", &address)).await.unwrap();
    }
    let (answered, lost) = finish(stop, loads).await;
    assert!(answered > 0);
    assert_eq!(lost, 0, "of {}", answered + lost);

    // Another configuration: v1's server stops listening and begins anew.
    let stop = Arc::new(AtomicBool::new(false));
    let loads = start(&stop);
    for round in 0..5 {
        let mut changed = link(1, "default", &address);
        changed
            .config
            .insert("timeout_ms".into(), format!("{}", 10_000 + round));
        server.link_put(changed).await.unwrap();
        get(&address).await;
    }
    let (answered, _) = finish(stop, loads).await;
    assert!(answered > 0);
    server.shutdown(Duration::from_secs(5)).await;
}

/// Sends requests nowhere: it answers with their own body and trailers.
#[derive(Clone)]
struct Outside;

impl<C: Send> ServeOutgoingHandlerHttp<C> for Outside {
    async fn handle(
        &self,
        _: C,
        request: Request<HttpBody>,
        options: Option<V1Options>,
    ) -> anyhow::Result<
        Result<
            Response<impl http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static>,
            ErrorCode,
        >,
    > {
        if request.uri().path() == "/denied" {
            return Ok(Err(ErrorCode::HttpRequestDenied));
        }
        let waits = options.and_then(|o| o.first_byte_timeout);
        let about = format!("{} {} {waits:?}", request.method(), request.uri());
        // Taken apart, since v1's own body asks for its trailers once too often.
        let HttpBody { body, trailers } = request.into_body();
        let data = body.collect::<Vec<_>>().await.concat();
        let trailers = trailers.await.map(try_fields_to_header_map).transpose()?;
        let data = Frame::data(data.into());
        let frames = std::iter::once(data).chain(trailers.map(Frame::trailers));
        let mut response = Response::new(StreamBody::new(futures::stream::iter(
            frames.map(Ok::<_, Infallible>).collect::<Vec<_>>(),
        )));
        response
            .headers_mut()
            .insert("about", HeaderValue::from_str(&about)?);
        Ok(Ok(response))
    }
}

#[tokio::test]
async fn requests_of_ours_are_sent_by_v1() {
    let broker = broker();
    let server = v1::client(&broker, "http-client").await;
    let [(_, _, mut requests)] = serve_interface(&server.rpc, ServeHttp(Outside))
        .await
        .unwrap();
    server.settle().await;
    let _serving = v1::Task::spawn(async move {
        while let Some(request) = requests.next().await {
            tokio::spawn(request.unwrap());
        }
    });
    let target = target(&broker, "http-client", []).await;
    let functions = [name("wasi:http/outgoing-handler@0.2.2", "handle")];
    target
        .link_put(importer(1, "default", &functions))
        .await
        .unwrap();
    let http = target.outgoing_http().unwrap();

    let sent: Bytes = (0..2_500_000u32).map(|n| (n % 251) as u8).collect();
    let mut trailers = HeaderMap::new();
    trailers.insert("sum", HeaderValue::from_static("7"));
    let frames = [Frame::data(sent.clone()), Frame::trailers(trailers.clone())];
    let body = StreamBody::new(futures::stream::iter(frames.map(Ok::<_, HttpError>)));
    let request = |uri, body| {
        let mut request = Request::new(body);
        *request.method_mut() = http::Method::PUT;
        *request.uri_mut() = Uri::from_static(uri);
        request
    };
    let options = RequestOptions {
        first_byte_timeout: Some(PATIENCE),
        ..RequestOptions::default()
    };
    let response = http
        .send(
            LinkId(1),
            request("https://example.com/a?b", body.boxed_unsync()),
            options,
        )
        .await
        .unwrap();
    let about = response.headers()["about"].to_str().unwrap();
    let waits = Some(PATIENCE.as_nanos());
    assert_eq!(about, format!("PUT https://example.com/a?b {waits:?}"));
    let back = within("the response's body", response.into_body().collect()).await;
    let back = back.unwrap();
    assert_eq!(back.trailers(), Some(&trailers));
    assert!(back.to_bytes() == sent);

    let denied = request("https://example.com/denied", support::text("x"));
    let why = http.send(LinkId(1), denied, options).await.unwrap_err();
    assert_eq!(why.kind, HttpErrorKind::Denied);
}
