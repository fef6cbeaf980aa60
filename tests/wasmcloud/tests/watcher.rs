//! Our key-value provider, in an application of the built command, tells a component that v1 runs of changes of keys. That
//! component is made with v1's own transport.

mod command;
#[path = "../../../crates/withe-wasmcloud/tests/support/mod.rs"]
mod support;
mod v1;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::Full;
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use withe_testing::nats::NatsServer;
use withe_testing::port::ReservedPort;
use wrpc_transport::serve::ServeExt as _;

use command::{Folder, guest};
use support::{eventually, within};

const WATCHER: &str = "wrpc:keyvalue/watcher@0.2.0-draft";

/// The change that the component was told of: the function, the bucket's name, the key, and the value.
type Told = (&'static str, String, String, Option<Bytes>);

/// A component that sets keys, and a provider that tells of them.
fn manifest(address: &str) -> String {
    format!(
        "apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: cart}}
spec:
  components:
    - name: edit
      type: component
      properties: {{image: edit.wasm}}
      traits:
        - type: link
          properties: {{target: kv, namespace: wasi, package: keyvalue, interfaces: [store]}}
    - name: kv
      type: capability
      properties: {{image: \"withe:keyvalue\", config: [{{name: kv, properties: {{backend: memory}}}}]}}
      traits:
        - type: link
          properties:
            target: totals
            namespace: wasi
            package: keyvalue
            interfaces: [watcher]
            source: {{config: [{{name: watched, properties: {{watch: \"cart/*\"}}}}]}}
    - name: totals
      type: capability
      properties: {{image: \"lattice:v1-totals\"}}
    - name: http
      type: capability
      properties: {{image: \"withe:http-server\"}}
      traits:
        - type: link
          properties: {{target: edit, source: {{config: [{{name: at, properties: {{address: \"{address}\"}}}}]}}}}
"
    )
}

async fn send(address: &str, method: &str, key: &str, body: &str) -> anyhow::Result<u16> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(format!("/{key}"))
        .header("host", address)
        .body(Full::new(Bytes::from(body.to_owned())))?;
    Ok(sender.send_request(request).await?.status().as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_v1_runs_is_told_of_changes_of_keys() {
    let nats = NatsServer::start().unwrap();
    let component = v1::client(&nats, "v1-totals").await;
    let (told, mut telling) = mpsc::unbounded_channel::<Told>();
    let sets = (component.rpc)
        .serve_values::<(String, String, Bytes), ()>(WATCHER, "on-set", vec![])
        .await
        .unwrap();
    let deletes = (component.rpc)
        .serve_values::<(String, String), ()>(WATCHER, "on-delete", vec![])
        .await
        .unwrap();
    component.settle().await;
    let of_sets = told.clone();
    let _sets = v1::Task::spawn(sets.for_each(move |call| {
        let told = of_sets.clone();
        async move {
            let (_, (bucket, key, value), _, results) = call.unwrap();
            told.send(("on-set", bucket, key, Some(value))).unwrap();
            tokio::spawn(results(()));
        }
    }));
    let _deletes = v1::Task::spawn(deletes.for_each(move |call| {
        let told = told.clone();
        async move {
            let (_, (bucket, key), _, results) = call.unwrap();
            told.send(("on-delete", bucket, key, None)).unwrap();
            tokio::spawn(results(()));
        }
    }));

    let port = ReservedPort::new().unwrap();
    let address = port.address().to_string();
    let folder = Folder::with(&manifest(&address));
    folder.write("edit.wasm", &guest("kv-edit"));
    let url = nats.url();
    let _host = folder.background("host", &["host", "--lattice", &url]);
    let put = folder
        .run(&["up", "app.yaml", "--lattice", &url, "--wait=90"])
        .await;
    assert!(put.is_good, "{put:?}\n{}", folder.read("host.log"));

    let set = || async { send(&address, "PUT", "cart/a", "1").await.ok() };
    assert_eq!(eventually("a server", set).await, 200);
    let mut next = async || {
        let told = within("word of a change", telling.recv()).await;
        told.unwrap()
    };
    let value = Some(Bytes::from("1"));
    let first = next().await;
    assert_eq!(first, ("on-set", "default".into(), "cart/a".into(), value));
    // A key that is not watched is not told of.
    for (method, key, body) in [("PUT", "other", "2"), ("DELETE", "cart/a", "")] {
        let sent = within("a change of a key", send(&address, method, key, body)).await;
        assert_eq!(sent.unwrap(), 200);
    }
    let second = next().await;
    assert_eq!(
        second,
        ("on-delete", "default".into(), "cart/a".into(), None)
    );
}
