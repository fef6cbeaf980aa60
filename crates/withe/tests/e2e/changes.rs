//! Components that are told of changes of keys, over every binding and from every backend.

use std::io;

use withe_testing::nats::NatsServer;
use withe_testing::redis::RedisServer;

use crate::support::client::{Exchange, get};
use crate::support::manifest::{application, component, entry, http_server};
use crate::support::rig::{Rig, eventually};

/// The component `edit` changes keys as requests say, and `watcher` is told of those that start with `a`. The link to it has
/// `properties`, the provider those of `own` and this configuration.
fn changes(properties: &str, own: &str, config: &str) -> String {
    let watched = format!(
        "target: watcher{properties}, source: {{config: [{{name: watched, properties: {{watch: \"a*, trap\"}}}}]}}"
    );
    application(&[
        http_server("edit"),
        component("edit", "kv-edit", "", &["target: keyvalue"]),
        component("watcher", "kv-watcher", "", &["target: keyvalue"]),
        entry(
            "keyvalue",
            "capability",
            &format!(
                "image: \"withe:keyvalue\"{own}, config: [{{name: kv, properties: {{{config}}}}}]"
            ),
            &[&watched],
        ),
    ])
}

fn send(address: &str, request: &str, body: &str) -> io::Result<u16> {
    let mut exchange = Exchange::start(address, request, body.len())?;
    exchange.send(body.as_bytes())?;
    let status = exchange.status()?;
    while exchange.part()?.is_some() {}
    Ok(status)
}

fn seen(address: &str, key: &str) -> Option<String> {
    let response = get(address, &format!("/seen/{key}")).unwrap();
    (response.status == 200).then(|| response.text())
}

/// Changes are told, and the bucket that comes with them can be used.
fn works(rig: &Rig, address: &str) {
    assert_eq!(send(address, "PUT /ab", "one").unwrap(), 200);
    eventually("a value is told", || {
        seen(address, "ab").as_deref() == Some("one")
    });
    assert_eq!(send(address, "PUT /trap", "x").unwrap(), 200);
    let said = rig.up.says("the component was not told of a change");
    assert!(said.contains("trap"), "{said}");
    assert_eq!(send(address, "PUT /b", "not watched").unwrap(), 200);
    assert_eq!(send(address, "PUT /ab", "two").unwrap(), 200);
    eventually("the next value is told", || {
        seen(address, "ab").as_deref() == Some("two")
    });
    assert_eq!(send(address, "DELETE /ab", "").unwrap(), 200);
    eventually("the end of a key is told", || {
        seen(address, "ab").as_deref() == Some("(gone)")
    });
    assert_eq!(seen(address, "b"), None);
}

fn runs(manifest: &str) {
    let mut rig = Rig::start(manifest, &[]);
    let address = rig.up.address();
    works(&rig, &address);
    rig.up.interrupt();
    assert_eq!(rig.up.exit_code(), Some(0));
    rig.leaves_nothing();
}

#[test]
fn a_component_is_told_of_changes_in_the_host() {
    runs(&changes("", "", "backend: memory"));
}

#[test]
fn a_component_is_told_of_changes_over_tcp() {
    runs(&changes(", binding: tcp", "", "backend: memory"));
}

#[test]
fn a_worker_is_told_of_changes() {
    runs(&changes(", binding: unix", "", "backend: memory"));
}

#[test]
fn all_changes_are_told_to_one_instance_that_is_shared() {
    // A trap ends the shared instance, and the next call has another.
    runs(&changes(", scope: shared", "", "backend: memory"));
}

#[test]
fn a_component_is_told_of_changes_by_a_process() {
    runs(&changes("", ", process: true", "backend: memory"));
}

#[test]
fn a_component_is_told_of_changes_in_redis_and_in_nats() {
    let redis = RedisServer::start().unwrap();
    let nats = NatsServer::start().unwrap();
    let url = format!("url: \"{}\", redis_notifications: enable", redis.url());
    runs(&changes("", "", &url));
    runs(&changes("", "", &format!("url: \"{}\"", nats.url())));
}
