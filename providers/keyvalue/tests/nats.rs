//! Cases of NATS alone: buckets that others see and make, servers that go away, and what a message may hold.

mod support;

use std::time::Duration;

use async_nats::jetstream::{self, kv};
use support::{Component, config, link};
use withe_provider::{Health, Provider};
use withe_provider_keyvalue::KeyValue;
use withe_testing::nats::NatsServer;
use withe_testing::port::ReservedPort;

const ONE: &str = "0.2.0-draft";

async fn linked(server: &NatsServer, pairs: &[(&str, &str)]) -> Component {
    let url = server.url();
    let mut all = vec![("url", url.as_str())];
    all.extend(pairs);
    if pairs.is_empty() {
        all.push(("backend_response_timeout_ms", "20000"));
    }
    Component::linked(link(1, ONE, &all)).await
}

#[tokio::test]
async fn other_clients_see_the_keys_of_the_default_bucket() {
    let server = NatsServer::start().unwrap();
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    // A bucket as others make them, which cannot take batches.
    let made = kv::Config {
        bucket: "shared".into(),
        history: 1,
        ..Default::default()
    };
    let theirs = context.create_key_value(made).await.unwrap();
    theirs.put("before", "1".into()).await.unwrap();
    let c = linked(&server, &[("nats_bucket", "shared")]).await;
    let b = c.open("").await;
    assert_eq!(c.get(b, "before").await, Ok(Some(b"1".to_vec())));
    let pairs = [("a/b.c", "2"), ("before", "3")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    c.set_many(b, &pairs).await.unwrap();
    assert_eq!(theirs.get("a/b.c").await.unwrap().unwrap(), "2");
    assert_eq!(theirs.get("before").await.unwrap().unwrap(), "3");
    assert_eq!(c.increment(b, "before", 4).await, Ok(7));
    assert_eq!(c.keys(b).await, ["a/b.c", "before"]);
    // Removed by either, in any way.
    theirs.delete("a/b.c").await.unwrap();
    theirs.purge("before").await.unwrap();
    assert_eq!(c.get(b, "a/b.c").await, Ok(None));
    assert!(c.keys(b).await.is_empty());
    assert_eq!(c.increment(b, "before", 1).await, Ok(1));
    c.delete(b, "before").await.unwrap();
    assert_eq!(theirs.get("before").await.unwrap(), None);
    // One that keeps what was there before will not do.
    let made = kv::Config {
        bucket: "long".into(),
        history: 5,
        ..Default::default()
    };
    context.create_key_value(made).await.unwrap();
    let url = server.url();
    let long = link(2, ONE, &[("url", &url), ("nats_bucket", "long")]);
    let error = c.provider.link_put(long).await.unwrap_err();
    assert!(error.0.contains("keeps 5 values of each key"), "{error}");
    // Other buckets are there under names of their own.
    c.set(c.open("other").await, "k", "v").await.unwrap();
    assert_eq!(theirs.get("=B.other.=K.k").await.unwrap().unwrap(), "v");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_of_several_providers_is_lost() {
    let server = NatsServer::start().unwrap();
    let mut callers = Vec::new();
    for _ in 0..3 {
        let c = linked(&server, &[]).await;
        for _ in 0..4 {
            let c = c.clone();
            callers.push(tokio::spawn(async move {
                let b = c.open("").await;
                for _ in 0..10 {
                    c.increment(b, "n", 1).await.unwrap();
                }
            }));
        }
    }
    for caller in callers {
        caller.await.unwrap();
    }
    let c = linked(&server, &[]).await;
    assert_eq!(c.increment(c.open("").await, "n", 0).await, Ok(120));
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_is_used_again() {
    let mut server = NatsServer::start().unwrap();
    let c = linked(&server, &[("backend_response_timeout_ms", "2000")]).await;
    let b = c.open("").await;
    c.set(b, "k", "v").await.unwrap();
    assert_eq!(c.provider.health().await, Health::Healthy);
    server.stop();
    let read = c.get(b, "k").await.unwrap_err();
    assert!(read.0.contains("NATS at `127.0.0.1:"), "{read:?}");
    let written = c.set(b, "k", "w").await.unwrap_err();
    assert!(written.0.contains("may or may not"), "{written:?}");
    assert!(matches!(c.provider.health().await, Health::Unhealthy(_)));
    server.restart().unwrap();
    support::until(async || c.provider.health().await == Health::Healthy).await;
    c.set(b, "k", "x").await.unwrap();
    assert_eq!(c.get(b, "k").await, Ok(Some(b"x".to_vec())));
}

#[tokio::test]
async fn a_value_is_as_large_as_a_message() {
    let server = NatsServer::start().unwrap();
    let c = linked(&server, &[]).await;
    let b = c.open("").await;
    let large = "v".repeat((1 << 20) - 4096);
    c.set(b, "large", &large).await.unwrap();
    assert_eq!(
        c.get(b, "large").await,
        Ok(Some(large.clone().into_bytes()))
    );
    let larger = format!("{large}v");
    let error = c.set(b, "large", &larger).await.unwrap_err();
    assert_eq!(error.0, "the value has 1044481 bytes, and may have 1044480");
    // One that is too large keeps the others from being set.
    let pairs = [("a", "1"), ("large", larger.as_str())].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert!(c.set_many(b, &pairs).await.is_err());
    assert_eq!(c.keys(b).await, ["large"]);
}

#[tokio::test]
async fn servers_that_cannot_be_used_are_told_by_what_is_wrong() {
    let server = NatsServer::start_with("authorization { user: u, password: p4ss }").unwrap();
    let port = server.port();
    let nobody = ReservedPort::new().unwrap().port();
    let missing = "/nowhere/user.creds";
    for (pairs, says) in [
        (
            vec![("url", format!("nats://127.0.0.1:{nobody}"))],
            "start it there",
        ),
        (
            vec![("url", format!("nats://u:s3cret@127.0.0.1:{port}"))],
            "authorization",
        ),
        (
            vec![
                ("url", format!("nats://127.0.0.1:{port}")),
                ("nats_creds_file", missing.into()),
            ],
            missing,
        ),
    ] {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let provider = KeyValue::new(config(&[]));
        let error = provider.link_put(link(1, ONE, &pairs)).await.unwrap_err();
        assert!(
            error.0.contains(says) && !error.0.contains("s3cret"),
            "{error}"
        );
    }
    let url = format!("nats://u:p4ss@127.0.0.1:{port}");
    let c = Component::linked(link(1, ONE, &[("url", &url)])).await;
    c.set(c.open("").await, "k", "v").await.unwrap();
    assert_eq!(c.provider.health().await, Health::Healthy);
    c.provider.shutdown(Duration::ZERO).await;
}
