//! A cluster of Redis: its masters have some of the keys each, slots move between them, and masters die.

mod support;

use std::time::Duration;

use support::{Component, PATIENCE, config, link, until};
use tokio::time::timeout;
use withe_provider::{Health, Provider};
use withe_provider_keyvalue::KeyValue;
use withe_testing::certificates::Certificates;
use withe_testing::redis::{ClusterOptions, RedisCluster, RedisServer};

const ONE: &str = "0.2.0-draft";

/// How long nodes are silent until the others take them for dead, where tests wait for that.
const NODE_TIMEOUT: Duration = Duration::from_secs(1);

/// The error of a link that cannot be made.
async fn refused(pairs: &[(&str, &str)]) -> String {
    let provider = KeyValue::new(config(&[]));
    let put = provider.link_put(link(1, ONE, pairs));
    timeout(PATIENCE, put).await.unwrap().unwrap_err().0
}

fn pairs(count: usize) -> Vec<(String, String)> {
    (0..count)
        .map(|n| (format!("k{n}"), n.to_string()))
        .collect()
}

#[tokio::test]
async fn keys_are_with_all_masters_and_listed_from_all() {
    let cluster = RedisCluster::start(ClusterOptions::default()).unwrap();
    // One server knows the others.
    let url = cluster.nodes[1].url();
    let c = Component::linked(link(1, ONE, &[("url", &url), ("cluster", "true")])).await;
    let b = c.open("shop").await;
    let pairs = pairs(600);
    c.set_many(b, &pairs).await.unwrap();
    for node in &cluster.nodes {
        assert_ne!(node.ask("DBSIZE").unwrap(), "0");
    }
    let mut names: Vec<_> = pairs.into_iter().map(|(key, _)| key).collect();
    names.sort();
    assert_eq!(c.keys(b).await, names);
    c.delete_many(b, &names).await.unwrap();
    for node in &cluster.nodes {
        assert_eq!(node.ask("DBSIZE").unwrap(), "0");
    }
    assert_eq!(c.provider.health().await, Health::Healthy);
    // Braces keep keys together, as they do everywhere in Redis.
    c.set(b, "{cart}1", "v").await.unwrap();
    c.set(b, "{cart}2", "v").await.unwrap();
    let with = cluster.nodes.iter();
    let with: Vec<_> = with.map(|node| node.ask("DBSIZE").unwrap()).collect();
    assert!(with.contains(&"2".to_owned()), "{with:?}");
    c.provider.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn a_cluster_and_a_server_are_told_apart() {
    let cluster = RedisCluster::start(ClusterOptions::default()).unwrap();
    let url = cluster.nodes[0].url();
    let said = refused(&[("url", &url)]).await;
    assert!(said.contains("`cluster: true`"), "{said}");
    let alone = RedisServer::start().unwrap();
    let url = alone.url();
    let said = refused(&[("url", &url), ("cluster", "true")]).await;
    assert!(said.contains("is in no cluster"), "{said}");
    // Servers that are not there are passed over, as long as one is.
    let gone = "redis://127.0.0.1:1";
    let urls = format!("{gone},{}", cluster.nodes[2].url());
    Component::linked(link(1, ONE, &[("url", &urls)])).await;
    let limits = [
        ("url", "redis://127.0.0.1:1,redis://127.0.0.1:2"),
        ("backend_reconnect_num_retries", "1"),
    ];
    let said = refused(&limits).await;
    assert!(said.contains("cannot reach Redis"), "{said}");
}

#[tokio::test]
async fn slots_move_without_a_call_that_fails() {
    let cluster = RedisCluster::start(ClusterOptions::default()).unwrap();
    let urls = cluster.urls();
    let c = Component::linked(link(1, "0.2.0-draft2", &[("url", &urls)])).await;
    let b = c.open("").await;
    let [from, to, _] = &cluster.nodes[..] else {
        panic!("three masters")
    };
    // `{bar}` is slot 5061, which is the first master's.
    let slot = from.ask("CLUSTER KEYSLOT {bar}").unwrap();
    assert_eq!(slot, "5061");
    c.set(b, "{bar}old", "1").await.unwrap();
    c.set_many(b, &pairs(3000)).await.unwrap();
    let first: Result<(Vec<String>, Option<String>), _> = c.list(b, None::<String>).await;
    let cursor = first.unwrap().1.unwrap();
    let (from_id, to_id) = (
        from.ask("CLUSTER MYID").unwrap(),
        to.ask("CLUSTER MYID").unwrap(),
    );
    to.ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"))
        .unwrap();
    from.ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"))
        .unwrap();
    // One tells of keys that are there, the other of keys that are not.
    assert_eq!(c.get(b, "{bar}old").await, Ok(Some(b"1".to_vec())));
    c.set(b, "{bar}new", "2").await.unwrap();
    assert_eq!(c.get(b, "{bar}new").await, Ok(Some(b"2".to_vec())));
    assert_eq!(c.increment_signed(b, "{bar}n", 5).await, Ok(5));
    let port = to.port();
    let migrated = from.ask(&format!("MIGRATE 127.0.0.1 {port} {{bar}}old 0 5000"));
    assert_eq!(migrated.unwrap(), "OK");
    for node in [to, from] {
        let moved = node.ask(&format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
        assert_eq!(moved.unwrap(), "OK");
    }
    for key in ["{bar}old", "{bar}new"] {
        assert!(c.get(b, key).await.unwrap().is_some(), "{key}");
    }
    assert_eq!(c.increment_signed(b, "{bar}n", 1).await, Ok(6));
    // Whoever has begun to list might miss what has moved. Each node hears of it in its own time.
    until(async || {
        let next: Result<(Vec<String>, Option<String>), _> = c.list(b, Some(cursor.clone())).await;
        next.is_err_and(|why| why.0.contains("start again from the first page"))
    })
    .await;
    c.provider.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn a_master_that_dies_is_an_error_until_it_is_back() {
    let options = ClusterOptions {
        node_timeout: NODE_TIMEOUT,
        ..ClusterOptions::default()
    };
    let mut cluster = RedisCluster::start(options).unwrap();
    let urls = cluster.urls();
    let limits = [
        ("url", urls.as_str()),
        ("backend_connection_timeout_ms", "200"),
        ("backend_reconnect_max_delay_ms", "20"),
    ];
    let c = Component::linked(link(1, ONE, &limits)).await;
    let b = c.open("").await;
    // Slot 5061 is the first master's.
    c.set(b, "{bar}", "1").await.unwrap();
    cluster.nodes[0].stop();
    // Both before and after the others know: within the limit of a call, which is far below this.
    let failed = timeout(PATIENCE, c.increment(b, "{bar}", 1)).await.unwrap();
    let said = failed.unwrap_err().0;
    let port = cluster.nodes[0].port();
    assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
    assert!(matches!(c.provider.health().await, Health::Unhealthy(_)));
    cluster.nodes[0].restart().unwrap();
    until(async || {
        let is_back = c.set(b, "{bar}", "2").await.is_ok();
        is_back && c.provider.health().await == Health::Healthy
    })
    .await;
    assert_eq!(c.get(b, "{bar}").await, Ok(Some(b"2".to_vec())));
    c.provider.shutdown(PATIENCE).await;
}

/// Loses the first master of a cluster, of which there is a replica.
async fn without_the_first_master(lose: impl Fn(&mut RedisServer), patience: Duration) {
    let options = ClusterOptions {
        has_replica: true,
        node_timeout: NODE_TIMEOUT,
        ..ClusterOptions::default()
    };
    let mut cluster = RedisCluster::start(options).unwrap();
    let urls = cluster.urls();
    let mut c = Component::linked(link(1, ONE, &[("url", &urls)])).await;
    let b = c.open("").await;
    c.set(b, "{bar}", "1").await.unwrap();
    // With the replica, too.
    let replica = &cluster.nodes[3];
    until(async || replica.ask("DBSIZE").unwrap() == "1").await;
    lose(&mut cluster.nodes[0]);
    c.patience = patience;
    until(async || c.get(b, "{bar}").await == Ok(Some(b"1".to_vec()))).await;
    c.patience = PATIENCE;
    until(async || c.provider.health().await == Health::Healthy).await;
    c.set(b, "{bar}", "2").await.unwrap();
    c.provider.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn a_replica_takes_the_place_of_a_master_that_dies() {
    without_the_first_master(RedisServer::stop, PATIENCE).await;
}

#[tokio::test]
async fn a_replica_takes_the_place_of_a_master_that_does_not_answer() {
    // Callers that wait for less than the provider would do have it look for another master.
    let patience = Duration::from_millis(300);
    without_the_first_master(|master| master.freeze().unwrap(), patience).await;
}

#[tokio::test]
async fn a_cluster_speaks_tls() {
    let certificates = Certificates::new().unwrap();
    let options = ClusterOptions {
        tls: Some(&certificates),
        ..ClusterOptions::default()
    };
    let cluster = RedisCluster::start(options).unwrap();
    let (urls, ca) = (cluster.urls(), certificates.ca());
    assert!(urls.starts_with("rediss://"), "{urls}");
    let pairs_of = [
        ("url", urls.as_str()),
        ("tls_ca_file", ca.to_str().unwrap()),
    ];
    let c = Component::linked(link(1, ONE, &pairs_of)).await;
    let b = c.open("").await;
    c.set_many(b, &pairs(100)).await.unwrap();
    assert_eq!(c.keys(b).await.len(), 100);
    let others = Certificates::new().unwrap();
    let others = others.ca();
    let wrong = [
        ("url", urls.as_str()),
        ("tls_ca_file", others.to_str().unwrap()),
    ];
    let said = refused(&wrong).await;
    assert!(said.contains("no TLS with Redis"), "{said}");
    c.provider.shutdown(PATIENCE).await;
}
