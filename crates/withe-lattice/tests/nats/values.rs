//! Checks the pieces of values that are too large for a message.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream;
use bytes::Bytes;
use futures::TryStreamExt;
use tokio::time::{sleep, timeout};
use withe_lattice::{Expect, Lattice, LatticeError, Nats, names};
use withe_testing::nats::NatsServer;

use crate::{AGES, LEASE, next, options, until_synced};

/// Bytes that cannot be packed, different for each seed.
fn noise(seed: u64, size: usize) -> Bytes {
    let mut state = seed;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

const LARGE: usize = 2_000_000;

/// The keys of all pieces there are.
async fn pieces(server: &NatsServer) -> BTreeSet<String> {
    let client = async_nats::connect(server.url()).await.unwrap();
    let bucket = jetstream::new(client)
        .get_key_value(names::values_bucket("test"))
        .await
        .unwrap();
    let subjects = bucket
        .stream
        .info_with_subjects(format!("{}>", bucket.prefix));
    let subjects = subjects.await.unwrap();
    let keys = subjects.map_ok(|(subject, _)| subject[bucket.prefix.len()..].to_owned());
    keys.try_collect().await.unwrap()
}

async fn lose_pieces(server: &NatsServer) {
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = jetstream::new(client)
        .get_stream(format!("KV_{}", names::values_bucket("test")))
        .await
        .unwrap();
    stream.purge().await.unwrap();
}

#[tokio::test]
async fn pieces_go_with_what_named_them() {
    let server = NatsServer::start().unwrap();
    let a = Nats::connect(options(&server)).await.unwrap();
    let b = Nats::connect(options(&server)).await.unwrap();
    let first = a.put("k", noise(1, LARGE), Expect::Absent).await.unwrap();
    let of_first = pieces(&server).await;
    assert_eq!(of_first.len(), LARGE.div_ceil(512 << 10));
    // Replaced, by the same member and by another, whatever it expects.
    let mut before = of_first;
    let mut revision = first;
    for (n, member) in [(2, &a), (3, &b), (4, &a), (5, &b)] {
        let expect = if n % 2 == 0 {
            Expect::Revision(revision)
        } else {
            Expect::Any
        };
        revision = member.put("k", noise(n, LARGE), expect).await.unwrap();
        let now = pieces(&server).await;
        assert_eq!(now.len(), before.len(), "{n}");
        assert!(now.is_disjoint(&before), "{n}");
        before = now;
    }
    // One that is refused leaves nothing behind, and takes nothing away.
    for expect in [Expect::Absent, Expect::Revision(first)] {
        let refused = a.put("k", noise(6, LARGE), expect).await;
        assert!(
            matches!(refused, Err(LatticeError::Conflict { .. })),
            "{refused:?}"
        );
        assert!(a.delete("k", expect).await.is_err());
    }
    assert_eq!(pieces(&server).await, before);
    assert_eq!(a.get("k").await.unwrap().unwrap().value, noise(5, LARGE));
    // By one that is small, and removed.
    a.put("k", "small".into(), Expect::Any).await.unwrap();
    assert_eq!(pieces(&server).await, BTreeSet::new());
    a.put("k", noise(7, LARGE), Expect::Any).await.unwrap();
    b.delete("k", Expect::Any).await.unwrap();
    assert_eq!(pieces(&server).await, BTreeSet::new());
}

#[tokio::test]
async fn values_of_leases_are_sent_once() {
    let server = NatsServer::start().unwrap();
    let mut options = options(&server);
    options.lease = LEASE;
    let a = Nats::connect(options.clone()).await.unwrap();
    let b = Nats::connect(options).await.unwrap();
    let mut watch = b.watch_leases("").await.unwrap();
    assert_eq!(next(&mut watch).await, "synced");
    let value = noise(1, LARGE);
    let mut sent = BTreeSet::new();
    for round in 0..6 {
        a.put_lease("k", value.clone(), Expect::Any).await.unwrap();
        let now = pieces(&server).await;
        if round > 0 {
            assert_eq!(now, sent);
        }
        sent = now;
        let told = timeout(AGES, watch.recv()).await.unwrap().unwrap();
        let withe_lattice::Change::Put(entry) = told else {
            panic!("{told:?}");
        };
        assert_eq!(entry.value, value);
        sleep(LEASE / 5).await;
    }
    // If they are lost they are sent again.
    lose_pieces(&server).await;
    a.put_lease("k", value.clone(), Expect::Any).await.unwrap();
    assert_eq!(b.leases("").await.unwrap()[0].value, value);
}

#[tokio::test]
async fn a_value_that_is_lost_is_told_and_can_be_put_again() {
    let server = NatsServer::start().unwrap();
    let lattice = Nats::connect(options(&server)).await.unwrap();
    lattice
        .put("k", noise(1, LARGE), Expect::Any)
        .await
        .unwrap();
    lattice.put("other", "1".into(), Expect::Any).await.unwrap();
    lose_pieces(&server).await;
    for error in [
        lattice.get("k").await.unwrap_err(),
        lattice.list("").await.unwrap_err(),
    ] {
        assert!(matches!(error, LatticeError::Value { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains("the value of `k` cannot be read: piece 1 of 4"),
            "{text}"
        );
    }
    // A watch goes on without it, and tells it when it is there.
    let mut watch = lattice.watch("").await.unwrap();
    assert_eq!(until_synced(&mut watch).await, ["other=1"]);
    lattice.put("k", "2".into(), Expect::Any).await.unwrap();
    assert_eq!(next(&mut watch).await, "k=2");
}

#[tokio::test]
async fn what_somebody_else_wrote_is_told() {
    let server = NatsServer::start().unwrap();
    let lattice = Nats::connect(options(&server)).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let bucket = jetstream::new(client)
        .get_key_value(names::entries_bucket("test"))
        .await
        .unwrap();
    for (head, expected) in [
        ("", "its head does not end"),
        ("{]\n", "its head cannot be read"),
        (
            "{\"size\":9999999999,\"sha256\":\"\",\"packing\":\"plain\"}\n",
            "it is said to have 9999999999 bytes",
        ),
        (
            "{\"size\":3,\"sha256\":\"00\",\"packing\":\"plain\"}\nabc",
            "it is not what its digest says",
        ),
        (
            "{\"size\":3,\"sha256\":\"00\",\"packing\":\"deflate\"}\n\u{7f}bc",
            "it cannot be unpacked",
        ),
        (
            "{\"size\":3,\"sha256\":\"00\",\"packing\":\"plain\",\"pieces\":{\"id\":\"x\",\"count\":2}}\n",
            "piece 1 of 2 is missing",
        ),
    ] {
        let kept = format!("\0withe-value\n{head}");
        bucket.put("k", kept.into()).await.unwrap();
        let error = lattice.get("k").await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn what_is_left_behind_is_swept_up() {
    let server = NatsServer::start().unwrap();
    let mut options = options(&server);
    options.lease = LEASE;
    let writer = Nats::connect(options.clone()).await.unwrap();
    let named = noise(1, LARGE);
    writer.put("k", named.clone(), Expect::Any).await.unwrap();
    let of_named = pieces(&server).await;
    // The lease runs out, and nobody removes it.
    let leased = writer.put_lease("l", noise(2, LARGE), Expect::Any).await;
    leased.unwrap();
    assert_eq!(pieces(&server).await.len(), 2 * of_named.len());
    options.sweep = Duration::from_millis(500);
    let _sweeper = Nats::connect(options).await.unwrap();
    let swept = async {
        while pieces(&server).await != of_named {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(AGES, swept).await.expect("what nobody names goes");
    assert_eq!(writer.get("k").await.unwrap().unwrap().value, named);
}

#[tokio::test]
async fn who_reads_what_is_being_replaced_gets_one_of_both() {
    let server = NatsServer::start().unwrap();
    let writer = Nats::connect(options(&server)).await.unwrap();
    let reader = Nats::connect(options(&server)).await.unwrap();
    let values = [noise(1, LARGE), noise(2, LARGE), "small".into()];
    let put = |n: usize| writer.put("k", values[n % 3].clone(), Expect::Any);
    put(0).await.unwrap();
    let mut watch = reader.watch("").await.unwrap();
    let writing = async {
        let mut last = 0;
        for n in 1..=30 {
            last = put(n).await.unwrap();
        }
        last
    };
    let reading = async {
        for _ in 0..30 {
            let entry = reader.get("k").await.unwrap().unwrap();
            assert!(values.contains(&entry.value));
        }
    };
    let (last, ()) = tokio::join!(writing, reading);
    let mut seen = 0;
    while seen < last {
        let told = timeout(AGES, watch.recv()).await.unwrap().unwrap();
        if let withe_lattice::Change::Put(entry) = told {
            assert!(values.contains(&entry.value));
            assert!(entry.revision > seen, "{} after {seen}", entry.revision);
            seen = entry.revision;
        }
    }
}

#[tokio::test]
async fn a_server_that_takes_little_will_do() {
    let server = NatsServer::start_with("max_payload: 16384\n").unwrap();
    let lattice = Nats::connect(options(&server)).await.unwrap();
    for value in [noise(1, 10_000), noise(2, 100_000), noise(3, 16_384)] {
        lattice.put("k", value.clone(), Expect::Any).await.unwrap();
        assert_eq!(lattice.get("k").await.unwrap().unwrap().value, value);
    }
}
