//! The keyvalue provider that is a component: it passes the table of cases that the provider passes, in memory and in
//! Redis, and what fails is told.
//!
//! The component is built by `cargo xtask guests` from `providers/keyvalue-component`.

mod client;
mod faults;
mod shared;

use std::future::Future;

use withe_testing::keyvalue::{Draft, KeyValue as _};
use withe_testing::redis::RedisServer;

pub(crate) use client::image;
use client::{Client, Running, app, configured};

withe_testing::keyvalue_table!(everywhere);

/// The grant that Redis needs.
const NETWORK: &str = "grants: {network: true}";

/// Properties of a provider that keeps its values in Redis.
fn in_redis(url: &str) -> String {
    let config = configured(&format!("url: {url:?}"));
    format!("{config}, {NETWORK}")
}

/// Runs a case on each backend.
async fn everywhere<F: Future<Output = ()>>(draft: Draft, name: &str, case: impl Fn(Client) -> F) {
    let redis = RedisServer::start().unwrap();
    // One instance has the handles of all requests, and so all calls one after the other.
    let is_one = name != "no_increment_is_lost";
    for provider in [configured("backend: memory"), in_redis(&redis.url())] {
        println!("with {provider}");
        let mut running = Running::start(&app("", is_one, &provider), &[]);
        case(running.client(draft)).await;
        running.up.interrupt();
        assert_eq!(running.up.exit_code(), Some(0));
    }
}

#[tokio::test]
async fn every_binding_leads_to_it() {
    let redis = RedisServer::start().unwrap();
    let provider = in_redis(&redis.url());
    for (n, binding) in ["local", "unix", "tcp"].into_iter().enumerate() {
        let manifest = app(&format!(", binding: {binding}"), true, &provider);
        let running = Running::start(&manifest, &[]);
        let c = running.client(Draft::One);
        let counted = c.increment(&"b".to_owned(), "k", 1).await;
        assert_eq!(counted, Ok(n as u64 + 1), "{binding}");
        let keys = c.list(&"b".to_owned(), None).await.unwrap().0;
        assert_eq!(keys, ["k"], "{binding}");
    }
}
