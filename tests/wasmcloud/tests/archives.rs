//! v1's own providers as archives in an application of the built command: they call what a component of ours exports.

mod command;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use withe_testing::nats::NatsServer;
use withe_testing::port::ReservedPort;
use withe_testing::wait::{eventually, within};

use command::{Folder, archive, guest};

/// A component that both providers call, and that calls one of them.
fn manifest(nats: &str, address: &str) -> String {
    format!(
        "apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: mail}}
spec:
  components:
    - name: events
      type: component
      properties: {{image: events.wasm}}
      traits:
        - type: link
          properties: {{target: keyvalue, namespace: wasi, package: keyvalue, interfaces: [store, atomics]}}
        - type: link
          properties:
            target: {{name: messaging, config: [{{name: to, properties: {{cluster_uris: \"{nats}\"}}}}]}}
            namespace: wasmcloud
            package: messaging
            interfaces: [consumer]
    - name: keyvalue
      type: capability
      properties: {{image: \"withe:keyvalue\", config: [{{name: kv, properties: {{backend: memory}}}}]}}
    - name: messaging
      type: capability
      properties: {{image: \"file://./messaging.par\"}}
      traits:
        - type: link
          properties:
            target: events
            namespace: wasmcloud
            package: messaging
            interfaces: [handler]
            source: {{config: [{{name: from, properties: {{cluster_uris: \"{nats}\", subscriptions: \"mail.>\"}}}}]}}
    - name: http
      type: capability
      properties: {{image: \"file://./http.par\"}}
      traits:
        - type: link
          properties:
            target: events
            namespace: wasi
            package: http
            interfaces: [incoming-handler]
            source: {{config: [{{name: listen, properties: {{address: \"{address}\", timeout_ms: \"5000\"}}}}]}}
"
    )
}

async fn ask(
    address: &str,
    method: &str,
    path: &str,
    body: &str,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address)
        .body(Full::new(Bytes::from(body.to_owned())))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn v1s_http_server_and_its_messaging_call_what_a_component_of_ours_exports() {
    let nats = NatsServer::start().unwrap();
    let port = ReservedPort::new().unwrap();
    let address = port.address().to_string();
    let folder = Folder::with(&manifest(&nats.url(), &address));
    folder.write("events.wasm", &guest("events"));
    archive(
        &folder,
        "messaging",
        env!("CARGO_BIN_EXE_v1-messaging-nats"),
    )
    .await;
    archive(&folder, "http", env!("CARGO_BIN_EXE_v1-http-server")).await;

    let url = nats.url();
    let _host = folder.background("host", &["host", "--lattice", &url, "--allow-programs"]);
    let up = ["up", "app.yaml", "--lattice", &url, "--wait=90"];
    let put = folder.run(&up).await;
    assert!(put.is_good, "{put:?}\n{}", folder.read("host.log"));

    // The messaging provider calls `wasmcloud:messaging/handler`, which answers by its `consumer`.
    let client = async_nats_v1::connect(nats.url()).await.unwrap();
    let asked = || async {
        // The provider subscribes some time after it is told of its link.
        let answer = client.request("mail.in", "hello".into()).await.ok()?;
        (&answer.payload[..] == b"HELLO").then_some(())
    };
    eventually("an answer by the component", asked).await;
    let mut told = client.subscribe("told").await.unwrap();
    client.flush().await.unwrap();

    // The HTTP server calls `wasi:http/incoming-handler` of the same component. Its own deadline ends a request on a machine that
    // is busy, so each is sent until it succeeds.
    let counted = eventually("a count by v1's server", async || {
        let (status, body) = ask(&address, "GET", "/count/mail.in", "").await.ok()?;
        let count = str::from_utf8(&body).ok()?.trim().parse::<u64>().ok()?;
        (status == StatusCode::OK && count >= 1).then_some(())
    });
    counted.await;
    eventually("a message that a request has sent", async || {
        let sent = ask(&address, "POST", "/publish/told", "by HTTP").await;
        sent.ok().filter(|(status, _)| *status == StatusCode::OK)
    })
    .await;
    let message = within("what the component publishes", told.next()).await;
    assert_eq!(&message.unwrap().payload[..], b"by HTTP");

    // A message that the component refuses is nobody's end.
    client.publish("mail.in", "refuse".into()).await.unwrap();
    eventually("an answer after a refusal", async || {
        let answer = client.request("mail.in", "again".into()).await.ok()?;
        (&answer.payload[..] == b"AGAIN").then_some(())
    })
    .await;
}
