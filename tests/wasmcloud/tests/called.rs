//! Providers of an application of the built command call a component that v1 runs: an HTTP server sends it requests, a
//! messaging provider brings it messages, and a timer calls it. The component is made with v1's own crates. `watcher.rs` has the
//! key-value provider.

mod command;
#[path = "../../../crates/withe-wasmcloud/tests/support/mod.rs"]
mod support;
mod v1;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use withe_testing::nats::NatsServer;
use withe_testing::port::ReservedPort;
use wrpc_interface_http::bindings::exports::wrpc::http::incoming_handler::serve_interface;
use wrpc_interface_http::bindings::wasi::http::types::ErrorCode;
use wrpc_interface_http::{HttpBody, ServeHttp, ServeIncomingHandlerHttp};
use wrpc_transport::serve::ServeExt as _;

use command::Folder;
use support::{eventually, within};

/// A message as v1 has it: its subject, its body, and where an answer goes.
type Message = (String, Bytes, Option<String>);

fn manifest(nats: &str, address: &str) -> String {
    let link = |package: &str, interface: &str, config: &str| {
        format!(
            "
        - type: link
          properties:
            target: part
            namespace: {}
            package: {}
            interfaces: [{interface}]
            source: {{config: [{{name: of-{interface}, properties: {{{config}}}}}]}}",
            package.split(':').next().unwrap(),
            package.split(':').nth(1).unwrap(),
        )
    };
    let provider = |name: &str, image: &str, link: String| {
        format!(
            "
    - name: {name}
      type: capability
      properties: {{image: \"{image}\"}}
      traits:{link}"
        )
    };
    let at = format!("address: \"{address}\"");
    let subscribed = format!("cluster_uris: \"{nats}\", subscriptions: \"mail.>\"");
    format!(
        "apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: front}}
spec:
  components:
    - name: part
      type: capability
      properties: {{image: \"lattice:v1-part\"}}{}{}{}
",
        provider(
            "http",
            "withe:http-server",
            link("wasi:http", "incoming-handler", &at)
        ),
        provider(
            "mail",
            "withe:messaging",
            link("wasmcloud:messaging", "handler", &subscribed)
        ),
        provider(
            "timer",
            "withe:timer",
            link(
                "wasmcloud:cron",
                "scheduler",
                "every: 1s, payload: a second"
            )
        ),
    )
}

/// Answers with the request's method, its path and its body.
#[derive(Clone)]
struct Tells;

impl<C: Send> ServeIncomingHandlerHttp<C> for Tells {
    async fn handle(
        &self,
        _: C,
        request: Request<HttpBody>,
    ) -> anyhow::Result<
        Result<
            Response<impl http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static>,
            ErrorCode,
        >,
    > {
        let head = format!("{} {}: ", request.method(), request.uri().path());
        // Taken apart, since v1's own body asks for its trailers once too often.
        let HttpBody { body, .. } = request.into_body();
        let body = body.collect::<Vec<_>>().await.concat();
        let text = [head.as_bytes(), &body].concat();
        Ok(Ok(Response::new(Full::new(Bytes::from(text)))))
    }
}

async fn send(address: &str, body: Bytes) -> anyhow::Result<(u16, Bytes)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method("POST")
        .uri("/a")
        .header("host", address)
        .body(Full::new(body))?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_call_a_component_that_v1_runs() {
    let nats = NatsServer::start().unwrap();
    let component = v1::client(&nats, "v1-part").await;
    let [(_, _, mut requests)] = serve_interface(&component.rpc, ServeHttp(Tells))
        .await
        .unwrap();
    let messages = (component.rpc)
        .serve_values::<(Message,), (Result<(), String>,)>(
            "wasmcloud:messaging/handler@0.2.0",
            "handle-message",
            vec![],
        )
        .await
        .unwrap();
    let times = (component.rpc)
        .serve_values::<(Bytes,), (Result<(), String>,)>(
            "wasmcloud:cron/scheduler@0.1.0",
            "invoke",
            vec![],
        )
        .await
        .unwrap();
    component.settle().await;
    let _requests = v1::Task::spawn(async move {
        while let Some(request) = requests.next().await {
            tokio::spawn(request.unwrap());
        }
    });
    let told = Arc::new(Mutex::new(Vec::<Message>::new()));
    let telling = told.clone();
    let _messages = v1::Task::spawn(messages.for_each(move |call| {
        let telling = telling.clone();
        async move {
            let (_, (message,), _, results) = call.unwrap();
            telling.lock().unwrap().push(message);
            tokio::spawn(results((Ok(()),)));
        }
    }));
    let (struck, mut striking) = mpsc::unbounded_channel::<Bytes>();
    let _times = v1::Task::spawn(times.for_each(move |call| {
        let struck = struck.clone();
        async move {
            let (_, (payload,), _, results) = call.unwrap();
            // Nobody waits for more than a few.
            _ = struck.send(payload);
            tokio::spawn(results((Ok(()),)));
        }
    }));

    let port = ReservedPort::new().unwrap();
    let address = port.address().to_string();
    let url = nats.url();
    let folder = Folder::with(&manifest(&url, &address));
    let _host = folder.background("host", &["host", "--lattice", &url]);
    let put = folder
        .run(&["up", "app.yaml", "--lattice", &url, "--wait=90"])
        .await;
    assert!(put.is_good, "{put:?}\n{}", folder.read("host.log"));

    let small = || async { send(&address, "x".into()).await.ok() };
    let answer = eventually("an answer of the component", small).await;
    assert_eq!(answer, (200, "POST /a: x".into()));
    // A body of many messages, there and back.
    let large = Bytes::from(vec![b'y'; 3_000_000]);
    let (status, body) = within("an answer to much", send(&address, large.clone()))
        .await
        .unwrap();
    assert_eq!(status, 200);
    assert!(body.starts_with(b"POST /a: y") && body.len() == large.len() + 9);

    let client = async_nats_v1::connect(nats.url()).await.unwrap();
    // The provider may subscribe some time after it is told of its link.
    let message = eventually("a message", async || {
        client.publish("mail.in", "hello".into()).await.ok()?;
        told.lock().unwrap().pop()
    })
    .await;
    assert_eq!(message, ("mail.in".into(), "hello".into(), None));

    for _ in 0..2 {
        let payload = within("a time", striking.recv()).await;
        assert_eq!(payload.unwrap(), "a second");
    }
}
