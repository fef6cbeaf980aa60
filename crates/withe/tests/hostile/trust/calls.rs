//! A member of the broker that reads the calls between hosts, and would make and answer some of its own.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use serde_json::Value;
use withe_lattice::Lattice as _;
use withe_lattice::transport::{NatsConnector, NatsListener};
use withe_rpc::secure::{SecureConnector, SecureListener};
use withe_rpc::{Client, Connect, Fingerprint, Identity, Limits, Listener as _, Members};

use super::Member;
use super::support::client::get;
use super::support::eventually;
use super::support::lattice::Lattice;

/// A part of a path that a request has, which the callee on the other host gets as a parameter.
const MARKER: &str = "a-page-that-only-its-hosts-know";

/// A message: its subject and its payload.
type Overheard = (String, Vec<u8>);

/// How long a stranger tries to reach a host.
const TRIES: Duration = Duration::from_secs(1);
/// How long an attempt may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn calls_over_nats_are_those_of_hosts_and_read_by_nobody_else() {
    let lattice = Lattice::new();
    let member = Member::of(&lattice);
    let [mut a, mut b] = lattice.hosts(["a", "b"]);
    let mut app = lattice.visits();
    (app.visits, app.link) = (&["b"], "binding: nats");
    let address = lattice.up(&app);

    let client = member.lattice.nats().unwrap();
    let heard: Arc<Mutex<Vec<Overheard>>> = Arc::default();
    let (spy, keeps) = (client.clone(), heard.clone());
    let mut all = member.runtime.block_on(async {
        let all = spy.subscribe(">").await.unwrap();
        spy.flush().await.unwrap();
        all
    });
    let listening = member.runtime.spawn(async move {
        while let Some(message) = all.next().await {
            let message = (message.subject.to_string(), message.payload.to_vec());
            keeps.lock().unwrap().push(message);
        }
    });
    let path = format!("/{MARKER}");
    assert_eq!(get(&address, &path).unwrap().status, 200);
    let of_hosts = |heard: &[Overheard]| {
        let data = |(subject, payload): &&Overheard| {
            subject.starts_with("withe.default.calls.") && payload.len() > 100
        };
        heard.iter().filter(data).count()
    };
    eventually("the call has gone over NATS", || {
        (of_hosts(&heard.lock().unwrap()) > 0).then_some(())
    });
    listening.abort();
    for (subject, payload) in heard.lock().unwrap().iter() {
        let text = String::from_utf8_lossy(payload);
        assert!(!text.contains(MARKER), "`{subject}`: {text}");
    }

    let hosts = lattice.json(&["get", "hosts"]);
    let target = hosts.as_array().unwrap().iter();
    let target: &Value = target.into_iter().find(|host| host["name"] == "b").unwrap();
    let id = target["id"].as_str().unwrap();
    let expected: Fingerprint = target["fingerprint"].as_str().unwrap().parse().unwrap();
    member.runtime.block_on(async {
        let way = NatsConnector::new(client.clone(), "default", id).unwrap();
        // Without a certificate, and with one that no host has.
        is_refused(way.clone()).await;
        let own = Identity::generate().unwrap();
        is_refused(SecureConnector::new(way.clone(), &own, expected).unwrap()).await;

        // An impostor that answers in the place of a host is found out by the caller.
        let members = Members::new([own.fingerprint()].into());
        let impostor = NatsListener::bind(client.clone(), "default", "impostor").await;
        let mut impostor = SecureListener::new(impostor.unwrap(), &own, members).unwrap();
        tokio::spawn(async move {
            // Accepted connections are kept until their handshakes have ended.
            let mut accepted = Vec::new();
            while let Ok(connection) = impostor.accept().await {
                accepted.push(connection);
            }
        });
        let way = way.to("impostor").unwrap();
        let genuine = SecureConnector::new(way.clone(), &own, own.fingerprint()).unwrap();
        genuine.connect().await.unwrap();
        is_refused(SecureConnector::new(way, &own, expected).unwrap()).await;
    });
    assert_eq!(get(&address, "/").unwrap().status, 200);
    for host in [&mut a, &mut b] {
        assert_eq!(host.leave(), Some(0));
    }
}

/// Tries to reach a host as the protocol does.
async fn is_refused(way: impl Connect) {
    let client = Client::new(Arc::new(way), Limits::default());
    let reached = client.reach(Instant::now() + TRIES);
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    assert!(matches!(reached, Ok(Err(_))), "{reached:?}");
}
