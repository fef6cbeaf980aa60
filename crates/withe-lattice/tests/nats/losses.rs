//! Checks which data survives which loss.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use withe_lattice::{Expect, Lattice, LatticeError, Nats};
use withe_testing::nats::NatsServer;

use crate::proxy::Proxy;
use crate::{AGES, LEASE, next, options, until_synced};

/// A member that can be cut off, and one that cannot.
struct Parted {
    server: NatsServer,
    proxy: Proxy,
    cut_off: Nats,
    other: Nats,
}

impl Parted {
    async fn new() -> Self {
        let server = NatsServer::start().unwrap();
        let proxy = Proxy::to(server.port()).await;
        let mut options = options(&server);
        options.lease = LEASE;
        let other = Nats::connect(options.clone()).await.unwrap();
        options.urls = withe_lattice::nats::Options::new(proxy.url(), "").urls;
        let cut_off = Nats::connect(options).await.unwrap();
        Self {
            server,
            proxy,
            cut_off,
            other,
        }
    }
}

async fn put(lattice: &Nats, key: &str, value: &'static str) {
    let put = lattice.put(key, value.into(), Expect::Any).await;
    put.unwrap();
}

async fn lease(lattice: &Nats, key: &str, value: &'static str) {
    let put = lattice.put_lease(key, value.into(), Expect::Any).await;
    put.unwrap();
}

async fn until(is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(AGES, so).await.unwrap();
}

/// Does it again until it does.
async fn again<T>(mut work: impl AsyncFnMut() -> Result<T, LatticeError>) -> T {
    let done = async {
        loop {
            if let Ok(done) = work().await {
                return done;
            }
        }
    };
    timeout(AGES, done).await.unwrap()
}

#[tokio::test]
async fn a_watch_tells_what_happened_while_it_was_cut_off() {
    let Parted {
        proxy,
        cut_off,
        other,
        server: _server,
    } = Parted::new().await;
    for key in ["kept", "changed", "removed"] {
        put(&other, key, "1").await;
    }
    let mut watch = cut_off.watch("").await.unwrap();
    until_synced(&mut watch).await;
    proxy.cut();
    until(|| !cut_off.is_connected()).await;
    put(&other, "changed", "2").await;
    put(&other, "new", "3").await;
    put(&other, "passing", "4").await;
    other.delete("passing", Expect::Any).await.unwrap();
    other.delete("removed", Expect::Any).await.unwrap();
    proxy.heal();
    assert_eq!(
        until_synced(&mut watch).await,
        ["-removed", "changed=2", "kept=1", "new=3"]
    );
    put(&other, "after", "5").await;
    assert_eq!(next(&mut watch).await, "after=5");
}

#[tokio::test]
async fn a_watch_outlives_the_server() {
    let mut server = NatsServer::start().unwrap();
    let lattice = Nats::connect(options(&server)).await.unwrap();
    put(&lattice, "a", "1").await;
    let mut watch = lattice.watch("").await.unwrap();
    assert_eq!(until_synced(&mut watch).await, ["a=1"]);
    for round in 0..3 {
        server.restart().unwrap();
        let key = format!("k{round}");
        again(async || lattice.put(&key, "v".into(), Expect::Any).await).await;
        // Told with the rest or after it.
        while next(&mut watch).await != format!("{key}=v") {}
    }
    assert_eq!(lattice.list("").await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_server_that_lost_everything_is_told() {
    let mut server = NatsServer::start().unwrap();
    let lattice = Nats::connect(options(&server)).await.unwrap();
    put(&lattice, "a", "1").await;
    put(&lattice, "b", "2").await;
    let mut watch = lattice.watch("").await.unwrap();
    until_synced(&mut watch).await;
    server.lose_everything().unwrap();
    server.restart().unwrap();
    // Nobody has removed them.
    assert_eq!(until_synced(&mut watch).await, ["?a", "?b"]);
    put(&lattice, "a", "1").await;
    assert_eq!(next(&mut watch).await, "a=1");
    lattice.delete("a", Expect::Any).await.unwrap();
    assert_eq!(next(&mut watch).await, "-a");
    // Buckets are made anew, also those that nobody watches.
    put(&lattice, "c", "3").await;
    assert_eq!(next(&mut watch).await, "c=3");
    again(async || lattice.put_lease("l", "4".into(), Expect::Any).await).await;
    again(async || lattice.put_blob("b", "5".into()).await).await;
}

#[tokio::test]
async fn no_lease_runs_out_while_nobody_can_be_heard() {
    let Parted {
        proxy,
        cut_off,
        other,
        server: _server,
    } = Parted::new().await;
    lease(&other, "renewed", "1").await;
    lease(&other, "left", "2").await;
    let mut watch = cut_off.watch_leases("").await.unwrap();
    assert_eq!(until_synced(&mut watch).await, ["left=2", "renewed=1"]);
    proxy.cut();
    until(|| !cut_off.is_connected()).await;
    let end = Instant::now() + LEASE * 2;
    while Instant::now() < end {
        lease(&other, "renewed", "3").await;
        sleep(LEASE / 4).await;
    }
    // By now one has run out on the server, and is not told so.
    assert!(watch.try_recv().is_err());
    assert_eq!(other.leases("").await.unwrap().len(), 1);
    let renewing = async {
        loop {
            lease(&other, "renewed", "4").await;
            sleep(LEASE / 4).await;
        }
    };
    let told = async {
        proxy.heal();
        let healed = Instant::now();
        let told = until_synced(&mut watch).await;
        assert!(
            told.len() == 1 && told[0].starts_with("renewed="),
            "{told:?}"
        );
        // The lease gets the time to be renewed once more.
        while next(&mut watch).await != "-left" {}
        assert!(healed.elapsed() >= LEASE);
    };
    tokio::select! {
        () = renewing => {}
        told = timeout(AGES, told) => told.unwrap(),
    }
}

#[tokio::test]
async fn leases_come_back_after_the_server() {
    let mut server = NatsServer::start().unwrap();
    let mut options = options(&server);
    options.lease = LEASE;
    let lattice = Nats::connect(options).await.unwrap();
    lease(&lattice, "k", "1").await;
    lease(&lattice, "left", "2").await;
    let mut watch = lattice.watch_leases("").await.unwrap();
    assert_eq!(until_synced(&mut watch).await, ["k=1", "left=2"]);
    server.stop();
    sleep(LEASE + LEASE / 2).await;
    server.restart().unwrap();
    // The server has removed both; one is put again in time.
    again(async || lattice.put_lease("k", "3".into(), Expect::Any).await).await;
    let mut told = Vec::new();
    while told.last().is_none_or(|last| last != "-left") {
        told.push(next(&mut watch).await);
        lease(&lattice, "k", "3").await;
    }
    assert!(!told.contains(&"-k".into()), "{told:?}");
    assert!(told.contains(&"k=3".into()), "{told:?}");
}

#[tokio::test]
async fn what_is_asked_while_there_is_no_server_fails_in_time() {
    let mut server = NatsServer::start().unwrap();
    let mut options = options(&server);
    options.timeout = Duration::from_millis(300);
    let lattice = Nats::connect(options).await.unwrap();
    assert!(lattice.is_connected());
    server.stop();
    until(|| !lattice.is_connected()).await;
    let asked = async {
        let any = Expect::Any;
        [
            lattice.get("k").await.map(drop),
            lattice.list("").await.map(drop),
            lattice.put("k", "v".into(), any).await.map(drop),
            lattice.put_lease("k", "v".into(), any).await.map(drop),
            lattice.leases("").await.map(drop),
            lattice.delete("k", any).await,
            lattice.delete_lease("k").await,
            lattice.put_blob("b", "v".into()).await,
            lattice.blob("b").await.map(drop),
            lattice.delete_blob("b").await,
            lattice.publish("m", "v".into()).await,
            lattice.subscribe("").await.map(drop),
            lattice.serve("s").await.map(drop),
            lattice
                .request("s", "v".into(), Duration::from_millis(300))
                .await
                .map(drop),
        ]
    };
    for result in timeout(AGES, asked).await.unwrap() {
        assert!(
            matches!(result, Err(LatticeError::Unreachable(_))),
            "{result:?}"
        );
    }
    // And what failed does not happen later.
    server.restart().unwrap();
    again(async || lattice.get("k").await).await;
    assert_eq!(lattice.get("k").await.unwrap(), None);
    assert!(lattice.is_connected());
}

#[tokio::test]
async fn messages_and_requests_go_on_after_the_server_is_back() {
    let mut server = NatsServer::start().unwrap();
    let lattice = Nats::connect(options(&server)).await.unwrap();
    let mut messages = lattice.subscribe("").await.unwrap();
    let mut requests = lattice.serve("s").await.unwrap();
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            _ = request.answer.send(request.payload);
        }
    });
    server.restart().unwrap();
    let limit = Duration::from_secs(1);
    let answer = again(async || lattice.request("s", "v".into(), limit).await).await;
    assert_eq!(answer, "v");
    let message = async {
        loop {
            lattice.publish("m", "v".into()).await.unwrap();
            if let Ok(message) = timeout(limit, messages.recv()).await {
                return message.unwrap();
            }
        }
    };
    assert_eq!(timeout(AGES, message).await.unwrap().payload, "v");
}

#[tokio::test]
async fn watches_end_with_their_member() {
    let server = NatsServer::start().unwrap();
    let lattice = Nats::connect(options(&server)).await.unwrap();
    let mut watch = lattice.watch("").await.unwrap();
    let mut messages = lattice.subscribe("").await.unwrap();
    let mut requests = lattice.serve("s").await.unwrap();
    assert_eq!(next(&mut watch).await, "synced");
    drop(lattice);
    assert_eq!(timeout(AGES, watch.recv()).await.unwrap(), None);
    assert!(timeout(AGES, messages.recv()).await.unwrap().is_none());
    assert!(timeout(AGES, requests.recv()).await.unwrap().is_none());
}
