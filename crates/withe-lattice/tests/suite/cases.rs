//! The cases. `a` and `b` are two members of one lattice.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use withe_lattice::{Change, Expect, LatticeError, SharedLattice, Watch};

use crate::fixture::{Fixture, LEASE};

/// How long anything may take that does not wait for a lease.
const SOON: Duration = Duration::from_secs(10);

/// Fails unless it is a conflict about `k`.
fn is_conflict<T: std::fmt::Debug>(result: Result<T, LatticeError>) {
    assert!(
        matches!(&result, Err(LatticeError::Conflict { key }) if key == "k"),
        "{result:?}"
    );
}

/// Fails unless nobody has answered `x` in time.
fn is_late<T: std::fmt::Debug>(result: Result<T, LatticeError>) {
    assert!(
        matches!(&result, Err(LatticeError::Timeout(subject)) if subject == "x"),
        "{result:?}"
    );
}

fn is_served_by_nobody<T>(result: &Result<T, LatticeError>) -> bool {
    matches!(result, Err(LatticeError::NobodyServes(subject)) if subject == "x")
}

async fn put(lattice: &SharedLattice, key: &str, value: &'static str) -> u64 {
    let put = lattice.put(key, value.into(), Expect::Any).await;
    put.unwrap()
}

async fn keys(lattice: &SharedLattice, prefix: &str) -> Vec<String> {
    let entries = lattice.list(prefix).await.unwrap();
    entries.into_iter().map(|entry| entry.key).collect()
}

async fn lease_keys(lattice: &SharedLattice, prefix: &str) -> Vec<String> {
    let entries = lattice.leases(prefix).await.unwrap();
    entries.into_iter().map(|entry| entry.key).collect()
}

/// A change, shortly: `key=value`, `-key` or `synced`.
async fn next(watch: &mut Watch) -> String {
    let change = timeout(SOON, watch.recv()).await;
    match change.expect("a change comes").expect("the watch goes on") {
        Change::Put(entry) => format!("{}={}", entry.key, text(&entry.value)),
        Change::Gone { key } => format!("-{key}"),
        Change::Lost { key } => format!("?{key}"),
        Change::Synced => "synced".into(),
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

pub(crate) async fn entries_are_put_and_read(f: Fixture) {
    assert_eq!(f.a.name(), "test");
    assert!(f.a.is_connected());
    assert_eq!(f.a.get("one").await.unwrap(), None);
    let revision = put(&f.a, "one", "1").await;
    let entry = f.b.get("one").await.unwrap().unwrap();
    assert_eq!((entry.key.as_str(), text(&entry.value)), ("one", "1"));
    assert_eq!(entry.revision, revision);
    put(&f.b, "empty", "").await;
    assert_eq!(f.a.get("empty").await.unwrap().unwrap().value, "");
    put(&f.b, "a.c", "2").await;
    put(&f.b, "a.b", "3").await;
    assert_eq!(keys(&f.a, "").await, ["a.b", "a.c", "empty", "one"]);
    f.a.delete("one", Expect::Any).await.unwrap();
    assert_eq!(f.b.get("one").await.unwrap(), None);
    assert_eq!(keys(&f.a, "").await, ["a.b", "a.c", "empty"]);
}

pub(crate) async fn puts_expect_what_they_say(f: Fixture) {
    let put = |expect| f.a.put("k", "v".into(), expect);
    is_conflict(put(Expect::Revision(1)).await);
    let first = put(Expect::Absent).await.unwrap();
    is_conflict(put(Expect::Absent).await);
    let second = put(Expect::Revision(first)).await.unwrap();
    is_conflict(put(Expect::Revision(first)).await);
    assert_eq!(f.b.get("k").await.unwrap().unwrap().revision, second);
    f.a.delete("k", Expect::Any).await.unwrap();
    is_conflict(put(Expect::Revision(second)).await);
    put(Expect::Absent).await.unwrap();
}

pub(crate) async fn revisions_grow(f: Fixture) {
    let mut last = 0;
    for round in 0..4 {
        if round == 2 {
            f.a.delete("k", Expect::Any).await.unwrap();
        }
        let revision = put(&f.a, "k", "v").await;
        assert!(revision > last);
        last = revision;
    }
}

pub(crate) async fn deletes_expect_what_they_say(f: Fixture) {
    f.a.delete("k", Expect::Any).await.unwrap();
    f.a.delete("k", Expect::Absent).await.unwrap();
    is_conflict(f.a.delete("k", Expect::Revision(1)).await);
    let first = put(&f.a, "k", "1").await;
    let second = put(&f.a, "k", "2").await;
    for expect in [Expect::Absent, Expect::Revision(first)] {
        is_conflict(f.b.delete("k", expect).await);
    }
    f.b.delete("k", Expect::Revision(second)).await.unwrap();
    assert_eq!(f.a.get("k").await.unwrap(), None);
    f.b.delete("k", Expect::Any).await.unwrap();
}

pub(crate) async fn prefixes_end_with_words(f: Fixture) {
    for key in ["hosts.N1", "hosts.N1.x", "hostsfile.N1", "hosts", "a"] {
        put(&f.a, key, "").await;
    }
    assert_eq!(
        keys(&f.b, "hosts").await,
        ["hosts", "hosts.N1", "hosts.N1.x"]
    );
    assert_eq!(keys(&f.b, "hosts.N1").await, ["hosts.N1", "hosts.N1.x"]);
    assert_eq!(keys(&f.b, "host").await, Vec::<String>::new());
    assert_eq!(keys(&f.b, "").await.len(), 5);
}

pub(crate) async fn what_is_no_key_is_refused(f: Fixture) {
    for bad in ["", "a b", "a.", ".a", "a..b", "a.*", "a.>", "$x", "ü"] {
        let invalid = |result: Result<(), LatticeError>| {
            assert!(matches!(result, Err(LatticeError::Invalid(_))), "{bad}");
        };
        invalid(f.a.get(bad).await.map(drop));
        invalid(f.a.put(bad, "".into(), Expect::Any).await.map(drop));
        invalid(f.a.put_lease(bad, "".into(), Expect::Any).await.map(drop));
        invalid(f.a.delete(bad, Expect::Any).await);
        invalid(f.a.delete_lease(bad).await);
        invalid(f.a.publish(bad, "".into()).await);
        invalid(f.a.request(bad, "".into(), SOON).await.map(drop));
        invalid(f.a.serve(bad).await.map(drop));
        if !bad.is_empty() {
            invalid(f.a.list(bad).await.map(drop));
            invalid(f.a.leases(bad).await.map(drop));
            invalid(f.a.watch(bad).await.map(drop));
            invalid(f.a.watch_leases(bad).await.map(drop));
            invalid(f.a.subscribe(bad).await.map(drop));
        }
    }
}

/// Bytes that cannot be packed.
fn noise(size: usize) -> Bytes {
    let mut state = 1_u64;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

/// Values of all kinds: more than a message takes, packed or not, and what looks like something else.
fn large_values() -> [Bytes; 5] {
    [
        noise(600_000),
        noise(3_000_000),
        "{\"name\":\"part\"}\n".repeat(400_000).into(),
        Bytes::from_static(b"\0withe-value\n{}\n"),
        Bytes::new(),
    ]
}

async fn next_value(watch: &mut Watch) -> Bytes {
    match timeout(SOON, watch.recv()).await.unwrap() {
        Some(Change::Put(entry)) => entry.value,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn values_of_any_size_are_kept(f: Fixture) {
    let mut watch = f.b.watch("").await.unwrap();
    assert_eq!(next(&mut watch).await, "synced");
    let mut expect = Expect::Absent;
    for value in large_values() {
        // Each write may come from another member.
        for member in [&f.a, &f.b] {
            is_conflict(
                member
                    .put("k", value.clone(), Expect::Revision(u64::MAX - 1))
                    .await,
            );
            let revision = member.put("k", value.clone(), expect).await.unwrap();
            is_conflict(member.put("k", value.clone(), Expect::Absent).await);
            expect = Expect::Revision(revision);
            let entry = f.b.get("k").await.unwrap().unwrap();
            assert_eq!((&entry.value, entry.revision), (&value, revision));
            assert_eq!(f.a.list("").await.unwrap(), [entry]);
            assert_eq!(next_value(&mut watch).await, value);
        }
    }
    f.a.put("k", noise(700_000), expect).await.unwrap();
    assert_eq!(next_value(&mut watch).await, noise(700_000));
    let mut late = f.b.watch("k").await.unwrap();
    assert_eq!(next_value(&mut late).await, noise(700_000));
    f.a.delete("k", Expect::Any).await.unwrap();
    assert_eq!(f.b.get("k").await.unwrap(), None);
    assert_eq!(next(&mut watch).await, "-k");
}

pub(crate) async fn leases_of_any_size_are_kept(f: Fixture) {
    let mut watch = f.b.watch_leases("").await.unwrap();
    assert_eq!(next(&mut watch).await, "synced");
    for value in large_values() {
        // Put again as it was, too, as who renews it does.
        for _ in 0..2 {
            f.a.put_lease("k", value.clone(), Expect::Any)
                .await
                .unwrap();
            assert_eq!(next_value(&mut watch).await, value);
            assert_eq!(f.b.leases("").await.unwrap()[0].value, value);
        }
    }
    f.a.put_lease("k", noise(600_000), Expect::Any)
        .await
        .unwrap();
    assert_eq!(next_value(&mut watch).await, noise(600_000));
    assert_eq!(next(&mut watch).await, "-k");
}

pub(crate) async fn values_beyond_all_bounds_are_refused(f: Fixture) {
    // Nobody ever looks at it.
    let larger = Bytes::from(vec![0; withe_lattice::MAX_VALUE + 1]);
    for refused in [
        f.a.put("k", larger.clone(), Expect::Any).await,
        f.a.put_lease("k", larger, Expect::Any).await,
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, LatticeError::Invalid(_)), "{error:?}");
        assert!(
            error.to_string().contains("the value of `k` has"),
            "{error}"
        );
    }
}

pub(crate) async fn leases_are_apart_from_entries(f: Fixture) {
    put(&f.a, "k", "entry").await;
    f.a.put_lease("k", "lease".into(), Expect::Absent)
        .await
        .unwrap();
    assert_eq!(f.b.get("k").await.unwrap().unwrap().value, "entry");
    assert_eq!(f.b.leases("").await.unwrap()[0].value, "lease");
    f.a.delete("k", Expect::Any).await.unwrap();
    assert_eq!(lease_keys(&f.b, "k").await, ["k"]);
    f.a.delete_lease("k").await.unwrap();
    f.a.delete_lease("k").await.unwrap();
    assert_eq!(lease_keys(&f.b, "").await, Vec::<String>::new());
}

/// Waits until there are no leases.
async fn no_leases(lattice: &SharedLattice) {
    let gone = async {
        while !lattice.leases("").await.unwrap().is_empty() {
            sleep(LEASE / 20).await;
        }
    };
    timeout(LEASE + SOON, gone).await.expect("leases run out");
}

pub(crate) async fn leases_run_out(f: Fixture) {
    f.a.put_lease("x.a", "1".into(), Expect::Any).await.unwrap();
    f.a.put_lease("x.b", "2".into(), Expect::Any).await.unwrap();
    assert_eq!(lease_keys(&f.b, "x").await, ["x.a", "x.b"]);
    no_leases(&f.b).await;
}

pub(crate) async fn leases_that_ran_out_can_be_put_again(f: Fixture) {
    let put = || f.a.put_lease("k", "1".into(), Expect::Absent);
    let first = put().await.unwrap();
    is_conflict(put().await);
    no_leases(&f.b).await;
    let second = put().await.unwrap();
    assert!(second > first);
    // Or were removed.
    f.a.delete_lease("k").await.unwrap();
    put().await.unwrap();
}

pub(crate) async fn leases_that_are_renewed_live_on(f: Fixture) {
    let mut watch = f.b.watch_leases("").await.unwrap();
    assert_eq!(next(&mut watch).await, "synced");
    for _ in 0..8 {
        f.a.put_lease("k", "v".into(), Expect::Any).await.unwrap();
        assert_eq!(next(&mut watch).await, "k=v");
        sleep(LEASE / 4).await;
    }
    assert_eq!(lease_keys(&f.b, "").await, ["k"]);
}

pub(crate) async fn leases_expect_what_they_say(f: Fixture) {
    let put = |expect| f.a.put_lease("k", "v".into(), expect);
    let first = put(Expect::Absent).await.unwrap();
    is_conflict(put(Expect::Absent).await);
    let second = put(Expect::Revision(first)).await.unwrap();
    is_conflict(put(Expect::Revision(first)).await);
    put(Expect::Revision(second)).await.unwrap();
}

pub(crate) async fn watches_begin_with_what_is_there(f: Fixture) {
    put(&f.a, "x.a", "1").await;
    put(&f.a, "x.b", "2").await;
    put(&f.a, "x.c", "3").await;
    f.a.delete("x.c", Expect::Any).await.unwrap();
    let mut watch = f.b.watch("x").await.unwrap();
    let mut there = [next(&mut watch).await, next(&mut watch).await];
    there.sort();
    assert_eq!(there, ["x.a=1", "x.b=2"]);
    assert_eq!(next(&mut watch).await, "synced");
    // Nothing there is no exception.
    let mut nothing = f.b.watch("y").await.unwrap();
    assert_eq!(next(&mut nothing).await, "synced");
}

pub(crate) async fn watches_tell_every_member(f: Fixture) {
    let mut watches = [f.a.watch("").await.unwrap(), f.b.watch("").await.unwrap()];
    for watch in &mut watches {
        assert_eq!(next(watch).await, "synced");
    }
    for (member, value) in [(&f.a, "1"), (&f.b, "2")] {
        put(member, "k", value).await;
        for watch in &mut watches {
            assert_eq!(next(watch).await, format!("k={value}"));
        }
    }
    f.a.delete("k", Expect::Any).await.unwrap();
    for watch in &mut watches {
        assert_eq!(next(watch).await, "-k");
    }
    put(&f.b, "k", "3").await;
    for watch in &mut watches {
        assert_eq!(next(watch).await, "k=3");
    }
}

pub(crate) async fn watches_are_of_a_prefix(f: Fixture) {
    let mut watch = f.b.watch("hosts").await.unwrap();
    assert_eq!(next(&mut watch).await, "synced");
    put(&f.a, "hostsfile", "1").await;
    put(&f.a, "hosts.N1", "2").await;
    put(&f.a, "a.hosts", "3").await;
    f.a.delete("hostsfile", Expect::Any).await.unwrap();
    put(&f.a, "hosts", "4").await;
    assert_eq!(next(&mut watch).await, "hosts.N1=2");
    assert_eq!(next(&mut watch).await, "hosts=4");
    // A lease of the same key is another thing.
    f.a.put_lease("hosts.N1", "5".into(), Expect::Any)
        .await
        .unwrap();
    put(&f.a, "hosts.N2", "6").await;
    assert_eq!(next(&mut watch).await, "hosts.N2=6");
}

pub(crate) async fn a_slow_watch_gets_the_last_of_every_key(f: Fixture) {
    const KEYS: u64 = 40;
    let mut watch = f.b.watch("").await.unwrap();
    assert_eq!(next(&mut watch).await, "synced");
    let mut last = BTreeMap::new();
    for round in 0..5 {
        for k in 0..KEYS {
            let key = format!("k{k}");
            let value = Bytes::from(round.to_string());
            let revision = f.a.put(&key, value, Expect::Any).await.unwrap();
            last.insert(key, revision);
        }
    }
    // Only now it reads: every change may be put together with later ones, and the last is there.
    let mut seen = BTreeMap::new();
    while seen != last {
        match timeout(SOON, watch.recv()).await.unwrap().unwrap() {
            Change::Put(entry) => {
                let before = seen.insert(entry.key, entry.revision);
                assert!(before.is_none_or(|before| before < entry.revision));
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn lease_watches_tell_what_runs_out(f: Fixture) {
    f.a.put_lease("k", "1".into(), Expect::Any).await.unwrap();
    let mut watch = f.b.watch_leases("").await.unwrap();
    assert_eq!(next(&mut watch).await, "k=1");
    assert_eq!(next(&mut watch).await, "synced");
    f.a.put_lease("other", "2".into(), Expect::Any)
        .await
        .unwrap();
    assert_eq!(next(&mut watch).await, "other=2");
    let mut gone = [next(&mut watch).await, next(&mut watch).await];
    gone.sort();
    assert_eq!(gone, ["-k", "-other"]);
    f.a.put_lease("k", "3".into(), Expect::Any).await.unwrap();
    assert_eq!(next(&mut watch).await, "k=3");
}

pub(crate) async fn lease_watches_tell_what_is_removed(f: Fixture) {
    let mut watch = f.b.watch_leases("").await.unwrap();
    assert_eq!(next(&mut watch).await, "synced");
    f.a.put_lease("k", "1".into(), Expect::Any).await.unwrap();
    assert_eq!(next(&mut watch).await, "k=1");
    f.a.delete_lease("k").await.unwrap();
    assert_eq!(next(&mut watch).await, "-k");
}

/// The digest of `hello`.
const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

pub(crate) async fn blobs_are_kept(f: Fixture) {
    assert_eq!(f.a.blob(HELLO).await.unwrap(), None);
    f.a.delete_blob(HELLO).await.unwrap();
    f.a.put_blob(HELLO, "hello".into()).await.unwrap();
    assert_eq!(f.b.blob(HELLO).await.unwrap().unwrap(), "hello");
    // Under another name it is whatever was put first.
    f.a.put_blob("name", "first".into()).await.unwrap();
    f.b.put_blob("name", "second".into()).await.unwrap();
    assert_eq!(f.a.blob("name").await.unwrap().unwrap(), "first");
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
    f.a.put_blob("large", large.clone().into()).await.unwrap();
    assert_eq!(f.b.blob("large").await.unwrap().unwrap(), large);
    f.b.delete_blob(HELLO).await.unwrap();
    assert_eq!(f.a.blob(HELLO).await.unwrap(), None);
    f.a.put_blob(HELLO, "hello".into()).await.unwrap();
    assert_eq!(f.b.blob(HELLO).await.unwrap().unwrap(), "hello");
}

pub(crate) async fn a_blob_that_is_not_its_digest_is_refused(f: Fixture) {
    let refused = f.a.put_blob(HELLO, "hullo".into()).await;
    assert!(matches!(refused, Err(LatticeError::Invalid(_))));
    assert_eq!(f.b.blob(HELLO).await.unwrap(), None);
}

pub(crate) async fn messages_reach_those_who_listen(f: Fixture) {
    f.a.publish("x.y", "nobody".into()).await.unwrap();
    let mut all = f.a.subscribe("").await.unwrap();
    let mut some = f.b.subscribe("x").await.unwrap();
    for (subject, payload) in [("xy", "1"), ("x.y", "2"), ("x", "3")] {
        f.b.publish(subject, payload.into()).await.unwrap();
    }
    for expected in ["xy 1", "x.y 2", "x 3"] {
        // Two subscriptions of one listener need not keep their order, so they are told apart by subject.
        let message = timeout(SOON, all.recv()).await.unwrap().unwrap();
        let message = format!("{} {}", message.subject, text(&message.payload));
        assert_eq!(message, expected);
    }
    let mut both = Vec::new();
    for _ in 0..2 {
        let message = timeout(SOON, some.recv()).await.unwrap().unwrap();
        both.push(message.subject);
    }
    both.sort();
    assert_eq!(both, ["x", "x.y"]);
}

pub(crate) async fn a_slow_listener_loses_the_oldest(f: Fixture) {
    const MESSAGES: u32 = 5_000;
    let mut messages = f.b.subscribe("x").await.unwrap();
    let mut control = f.b.subscribe("x").await.unwrap();
    let read = tokio::spawn(async move {
        while let Some(message) = control.recv().await {
            if message.payload == MESSAGES.to_string() {
                return;
            }
        }
    });
    for n in 1..=MESSAGES {
        f.a.publish("x", n.to_string().into()).await.unwrap();
    }
    timeout(SOON, read).await.unwrap().unwrap();
    let mut got = Vec::new();
    while got.last() != Some(&MESSAGES) {
        let message = timeout(SOON, messages.recv()).await.unwrap().unwrap();
        got.push(text(&message.payload).parse().unwrap());
    }
    assert!(got.is_sorted());
    assert!(got.len() < MESSAGES as usize, "some are lost");
}

/// Serves `subject`: answers each request with its text and `name`.
async fn echo(lattice: &SharedLattice, subject: &str, name: &'static str) {
    let mut requests = lattice.serve(subject).await.unwrap();
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            let answer = format!("{} {name}", text(&request.payload));
            _ = request.answer.send(answer.into());
        }
    });
}

pub(crate) async fn requests_are_answered(f: Fixture) {
    echo(&f.a, "x.echo", "a").await;
    for asker in [&f.a, &f.b] {
        let answer = asker.request("x.echo", "hello".into(), SOON).await;
        assert_eq!(answer.unwrap(), "hello a");
    }
}

pub(crate) async fn nobody_serves_what_nobody_serves(f: Fixture) {
    let nobody = async |limit| is_served_by_nobody(&f.a.request("x", "".into(), limit).await);
    assert!(nobody(SOON).await);
    // Messages are another thing.
    let _messages = f.b.subscribe("x").await.unwrap();
    assert!(nobody(SOON).await);
    let requests = f.b.serve("x").await.unwrap();
    drop(requests);
    let gone = async {
        // The news may still be on its way.
        while !nobody(LEASE).await {}
    };
    timeout(SOON, gone).await.unwrap();
}

pub(crate) async fn one_of_several_serves_a_request(f: Fixture) {
    echo(&f.a, "x", "a").await;
    echo(&f.b, "x", "b").await;
    let mut names = BTreeMap::new();
    for n in 0..64 {
        let answer = f.a.request("x", n.to_string().into(), SOON).await.unwrap();
        let answer = text(&answer).to_owned();
        let (number, name) = answer.split_once(' ').unwrap();
        assert_eq!(number, n.to_string());
        *names.entry(name.to_owned()).or_insert(0) += 1;
    }
    assert_eq!(names.len(), 2, "{names:?}");
}

pub(crate) async fn requests_end_in_time(f: Fixture) {
    let mut requests = f.b.serve("x").await.unwrap();
    let limit = Duration::from_millis(200);
    let late = f.a.request("x", "".into(), limit).await;
    is_late(late);
    // The server got the request all the same, and an answer that comes too late does no harm.
    let request = timeout(SOON, requests.recv()).await.unwrap().unwrap();
    _ = request.answer.send("late".into());
}

pub(crate) async fn a_request_that_is_dropped_is_not_answered(f: Fixture) {
    let mut requests = f.b.serve("x").await.unwrap();
    tokio::spawn(async move {
        let request = requests.recv().await;
        drop(request);
        requests.recv().await;
    });
    let dropped = f.a.request("x", "".into(), 10 * SOON);
    let dropped = timeout(SOON, dropped).await.expect("it is known at once");
    is_late(dropped);
}

pub(crate) async fn many_requests_at_once(f: Fixture) {
    echo(&f.b, "x", "b").await;
    let ask = |n: usize| {
        let a = f.a.clone();
        async move {
            let payload = format!("{n:0>1000}");
            let answer = a.request("x", payload.clone().into(), SOON).await;
            assert_eq!(answer.unwrap(), format!("{payload} b"));
        }
    };
    let all: tokio::task::JoinSet<()> = (0..500).map(ask).collect();
    all.join_all().await;
}
