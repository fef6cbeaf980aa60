//! Joining: when, and which lattice.

use std::time::Duration;

use tokio::task::JoinSet;
use withe_lattice::nats::Options;
use withe_lattice::{Expect, Lattice, LatticeError, Nats};
use withe_testing::nats::NatsServer;

use crate::{AGES, next, options};

#[tokio::test]
async fn a_host_can_be_there_before_the_server() {
    let mut server = NatsServer::start().unwrap();
    server.stop();
    let mut options = options(&server);
    let error = Nats::connect(options.clone()).await.err().unwrap();
    assert!(matches!(error, LatticeError::Unreachable(_)), "{error:?}");
    assert!(error.to_string().contains(&server.url()), "{error}");
    options.wait = AGES;
    let joining = tokio::spawn(Nats::connect(options));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!joining.is_finished());
    server.restart().unwrap();
    let lattice = joining.await.unwrap().unwrap();
    lattice.put("k", "v".into(), Expect::Any).await.unwrap();
}

#[tokio::test]
async fn another_server_of_several_will_do() {
    let server = NatsServer::start().unwrap();
    let mut gone = NatsServer::start().unwrap();
    gone.stop();
    let urls = format!("{},{}", gone.url(), server.url());
    Nats::connect(Options::new(urls, "test")).await.unwrap();
}

#[tokio::test]
async fn many_hosts_can_be_the_first() {
    let server = NatsServer::start().unwrap();
    let mut joining = JoinSet::new();
    for n in 0..12 {
        let options = options(&server);
        joining.spawn(async move {
            let lattice = Nats::connect(options).await.unwrap();
            let key = format!("k{n}");
            lattice.put(&key, "v".into(), Expect::Any).await.unwrap();
        });
    }
    joining.join_all().await;
    let lattice = Nats::connect(options(&server)).await.unwrap();
    assert_eq!(lattice.list("").await.unwrap().len(), 12);
}

#[tokio::test]
async fn a_server_without_jetstream_is_told() {
    let server = NatsServer::start_with("jetstream: disabled\n").unwrap();
    let error = Nats::connect(options(&server)).await.err().unwrap();
    assert!(error.to_string().contains("JetStream"), "{error}");
}

#[tokio::test]
async fn lattices_share_nothing() {
    let server = NatsServer::start().unwrap();
    let join = async |name: &str| {
        let options = Options::new(server.url(), name);
        Nats::connect(options).await.unwrap()
    };
    // The second has a name that could be made of the first's.
    let (ours, theirs) = (join("test").await, join("test_leases").await);
    let mut watch = theirs.watch("").await.unwrap();
    let mut leases = theirs.watch_leases("").await.unwrap();
    let mut messages = theirs.subscribe("").await.unwrap();
    assert_eq!(next(&mut watch).await, "synced");
    assert_eq!(next(&mut leases).await, "synced");
    let _requests = theirs.serve("s").await.unwrap();

    ours.put("k", "v".into(), Expect::Any).await.unwrap();
    ours.put_lease("k", "v".into(), Expect::Any).await.unwrap();
    ours.put_blob("b", "v".into()).await.unwrap();
    ours.publish("m", "v".into()).await.unwrap();
    let asked = ours.request("s", "v".into(), AGES).await;
    assert!(
        matches!(asked, Err(LatticeError::NobodyServes(_))),
        "{asked:?}"
    );

    assert_eq!(theirs.get("k").await.unwrap(), None);
    assert_eq!(theirs.list("").await.unwrap(), []);
    assert_eq!(theirs.leases("").await.unwrap(), []);
    assert_eq!(theirs.blob("b").await.unwrap(), None);
    // The first entry that they see is their own.
    theirs.put("own", "1".into(), Expect::Any).await.unwrap();
    theirs
        .put_lease("own", "2".into(), Expect::Any)
        .await
        .unwrap();
    theirs.publish("own", "3".into()).await.unwrap();
    assert_eq!(next(&mut watch).await, "own=1");
    assert_eq!(next(&mut leases).await, "own=2");
    let message = tokio::time::timeout(AGES, messages.recv()).await.unwrap();
    assert_eq!(message.unwrap().subject, "own");
}

#[tokio::test]
async fn names_that_are_no_word_are_refused() {
    let server = NatsServer::start().unwrap();
    for name in ["", "a.b", "*", ">", "a b", "a=b"] {
        let error = Nats::connect(Options::new(server.url(), name)).await.err();
        assert!(matches!(error, Some(LatticeError::Invalid(_))), "{name}");
    }
}

#[tokio::test]
async fn what_is_too_large_for_the_server_is_said() {
    let server = NatsServer::start_with("max_payload: 4000\n").unwrap();
    let lattice = Nats::connect(options(&server)).await.unwrap();
    let large = || bytes::Bytes::from(vec![0; 4_001]);
    let is_too_large = |error: LatticeError| {
        let text = error.to_string();
        assert!(
            text.contains("4001 bytes") && text.contains("4000"),
            "{text}"
        );
    };
    is_too_large(lattice.request("s", large(), AGES).await.unwrap_err());
    is_too_large(lattice.publish("s", large()).await.unwrap_err());
    let mut requests = lattice.serve("s").await.unwrap();
    let serving = tokio::spawn(async move {
        let request = requests.recv().await.unwrap();
        request.answer.send(large()).unwrap();
        requests
    });
    is_too_large(lattice.request("s", "".into(), AGES).await.unwrap_err());
    serving.await.unwrap();
}
