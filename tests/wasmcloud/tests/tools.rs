//! v1's tools ask a host of ours, by v1's own client.

#[path = "../../../crates/withe-wasmcloud/tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::{self, kv};
use tokio::task::JoinHandle;
use wasmcloud_control_interface::{Client, ClientBuilder, Host, Link};
use withe_testing::nats::NatsServer;
use withe_wasmcloud::{ControlInterface, HostState, Inquiry, LinkState, PartState};

use support::{PATIENCE, broker, eventually};

/// A host that runs a shop.
struct Shop;

impl Inquiry for Shop {
    fn host(&self) -> HostState {
        let part = |name: &str, max_instances| PartState {
            id: format!("shop-{name}"),
            image_ref: format!("shop/{name}@sha256:1"),
            name: name.into(),
            max_instances,
            revision: 0,
        };
        HostState {
            name: "green".into(),
            labels: [("zone".into(), "a".into())].into(),
            version: "0.1.0".into(),
            uptime: Duration::from_secs(65),
            components: vec![part("cart", 7)],
            providers: vec![part("kv", 0)],
        }
    }

    fn links(&self) -> BTreeSet<LinkState> {
        let interfaces = ["wasi:keyvalue/store@0.2.0-draft"];
        let links = LinkState::of("shop-cart", "shop-kv", "default", interfaces);
        links.into_iter().collect()
    }
}

/// A host that answers, and v1's client.
async fn start(broker: &NatsServer, id: &str) -> (JoinHandle<()>, Client) {
    let client = support::client(broker).await;
    let tools = ControlInterface::open(client.clone(), "default", id)
        .await
        .unwrap();
    support::settle(&client).await;
    let answering = tokio::spawn(async move { tools.answer(&Shop).await });
    let nats = async_nats_v1::connect(broker.url()).await.unwrap();
    let v1 = ClientBuilder::new(nats)
        .lattice("default".to_owned())
        .timeout(PATIENCE)
        .auction_timeout(Duration::from_millis(500))
        .build();
    (answering, v1)
}

/// The host that answers. v1's client listens for a moment only, in which one on a busy machine may not answer.
async fn only_host(v1: &Client) -> Host {
    let host = eventually("an answer of the host", || async {
        let mut hosts = v1.get_hosts().await.unwrap();
        assert!(hosts.len() < 2, "{hosts:?}");
        hosts.pop()
    });
    host.await.into_data().unwrap()
}

#[tokio::test]
async fn hosts_and_what_they_run_are_shown() {
    let broker = broker();
    let (answering, v1) = start(&broker, "host").await;
    let host = only_host(&v1).await;
    assert_eq!((host.friendly_name(), host.lattice()), ("green", "default"));
    assert_eq!(host.labels()["zone"], "a");
    assert_eq!((host.uptime_seconds(), host.version()), (65, Some("0.1.0")));

    let inventory = v1.get_host_inventory(host.id()).await.unwrap();
    let inventory = inventory.data().unwrap();
    assert_eq!(
        (inventory.host_id(), inventory.uptime_human()),
        (host.id(), "1m 5s")
    );
    let [cart] = &inventory.components()[..] else {
        panic!("{inventory:?}");
    };
    assert_eq!(
        (cart.id(), cart.image_ref()),
        ("shop-cart", "shop/cart@sha256:1")
    );
    assert_eq!(cart.max_instances(), 7);
    let [kv] = &inventory.providers()[..] else {
        panic!("{inventory:?}");
    };
    assert_eq!((kv.id(), kv.name()), ("shop-kv", Some("kv")));

    let claims = v1.get_claims().await.unwrap();
    assert_eq!(claims.data(), Some(&vec![]));
    answering.abort();
}

#[tokio::test]
async fn links_are_shown_with_those_of_v1s_hosts() {
    let broker = broker();
    let (one, v1) = start(&broker, "one").await;
    let (other, _) = start(&broker, "other").await;
    let ends = |links: &[Link]| {
        let ends = links
            .iter()
            .map(|l| (l.source_id().to_owned(), l.target().to_owned()));
        ends.collect::<Vec<_>>()
    };
    let ours = ("shop-cart".to_owned(), "shop-kv".to_owned());
    let links = v1.get_links().await.unwrap();
    let links = links.data().unwrap();
    assert_eq!(ends(links), std::slice::from_ref(&ours));
    assert_eq!(
        (links[0].wit_namespace(), links[0].wit_package()),
        ("wasi", "keyvalue")
    );
    assert_eq!(links[0].interfaces(), &vec!["store".to_owned()]);

    // As v1's hosts keep them.
    let jetstream = jetstream::new(support::client(&broker).await);
    let bucket = kv::Config {
        bucket: "LATTICEDATA_default".into(),
        ..kv::Config::default()
    };
    let bucket = jetstream.create_key_value(bucket).await.unwrap();
    let spec = r#"{"url": "x", "links": [{"source_id": "a", "target": "b", "name": "default",
        "wit_namespace": "wasi", "wit_package": "http", "interfaces": ["incoming-handler"],
        "source_config": [], "target_config": []}]}"#;
    bucket.put("COMPONENT_a", spec.into()).await.unwrap();
    bucket.put("CLAIMS_a", "{}".into()).await.unwrap();
    let links = v1.get_links().await.unwrap();
    let v1s = ("a".to_owned(), "b".to_owned());
    assert_eq!(ends(links.data().unwrap()), [v1s, ours]);
    one.abort();
    other.abort();
}

#[tokio::test]
async fn nothing_is_changed_and_what_v1s_hosts_share_is_left_to_them() {
    let broker = broker();
    let (answering, v1) = start(&broker, "host").await;
    let id = only_host(&v1).await.id().to_owned();
    let scaled = v1
        .scale_component(&id, "file:///x.wasm", "x", 1, None, vec![])
        .await;
    let scaled = scaled.unwrap();
    assert!(!scaled.succeeded());
    assert!(
        scaled.message().contains("`withe up`"),
        "{}",
        scaled.message()
    );
    let stopped = v1.stop_host(&id, None).await.unwrap();
    assert!(!stopped.succeeded());

    let auction = v1
        .perform_component_auction("file:///x.wasm", "x", [])
        .await;
    assert_eq!(auction.unwrap().len(), 0);
    // Nobody is there to take it.
    assert!(
        v1.delete_link("a", "default", "wasi", "http")
            .await
            .is_err()
    );
    answering.abort();
}
