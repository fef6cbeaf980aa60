//! Providers that call what components export: messages and times, over every binding.

use std::io;

use withe_testing::nats::NatsServer;

use crate::support::client::{Exchange, get};
use crate::support::manifest::{application, component, entry, http_server, provider};
use crate::support::rig::{Rig, eventually};

/// The component `events`, which counts what it takes, its times and its messages. The links that start at the timer and
/// at the messaging provider have `properties`, and the provider this `broker`.
fn events(properties: &str, broker: &str, own: &str) -> String {
    let source = |name: &str, config: &str| {
        format!(
            "target: events{properties}, source: {{config: [{{name: {name}, properties: {{{config}}}}}]}}"
        )
    };
    let times = source("times", "every: 10ms, payload: ticks");
    let messages = source("messages", "subscriptions: \"orders.*, asked\"");
    application(&[
        http_server("events"),
        component(
            "events",
            "events",
            "",
            &["target: keyvalue", "target: messaging"],
        ),
        provider(
            "keyvalue",
            "config: [{name: kv, properties: {backend: memory}}]",
            &[],
        ),
        entry(
            "messaging",
            "capability",
            &format!(
                "image: \"withe:messaging\"{own}, config: [{{name: broker, properties: {{{broker}}}}}]"
            ),
            &[&messages],
        ),
        entry(
            "timer",
            "capability",
            &format!("image: \"withe:timer\"{own}"),
            &[&times],
        ),
    ])
}

pub(crate) fn post(address: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    let mut exchange = Exchange::start(address, &format!("POST {path}"), body.len())?;
    exchange.send(body.as_bytes())?;
    let status = exchange.status()?;
    let mut all = Vec::new();
    while let Some(part) = exchange.part()? {
        all.extend(part);
    }
    Ok((status, String::from_utf8_lossy(&all).into_owned()))
}

fn counted(address: &str, key: &str) -> u64 {
    let response = get(address, &format!("/count/{key}")).unwrap();
    let text = response.text();
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

/// Times come, messages are taken, and requests are answered.
fn works(rig: &Rig, address: &str) {
    eventually("times come", || counted(address, "ticks") >= 3);
    for _ in 0..3 {
        let published = post(address, "/publish/orders.new", "x").unwrap();
        assert_eq!(published, (200, String::new()));
    }
    eventually("messages are taken", || counted(address, "orders.new") == 3);
    let answer = post(address, "/request/asked", "louder").unwrap();
    assert_eq!(answer, (200, "LOUDER".to_owned()));
    let nobody = post(address, "/request/nobody", "x").unwrap();
    assert_eq!(nobody, (500, "nobody listens on `nobody`".to_owned()));
    // A message that a component refuses is reported, and takes nothing else with it.
    post(address, "/publish/orders.bad", "refuse").unwrap();
    let said = rig.up.says("a message was refused");
    assert!(
        said.contains("as was asked for") && said.contains("orders.bad"),
        "{said}"
    );
    post(address, "/publish/orders.worse", "trap").unwrap();
    let said = rig.up.says("a message was not handled");
    assert!(said.contains("orders.worse"), "{said}");
    post(address, "/publish/orders.worse", "well").unwrap();
    eventually("a trap harms no other message", || {
        counted(address, "orders.worse") == 2
    });
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
fn a_component_takes_times_and_messages_in_the_host() {
    runs(&events("", "backend: memory", ""));
}

#[test]
fn a_component_takes_times_and_messages_over_tcp() {
    runs(&events(", binding: tcp", "backend: memory", ""));
}

#[test]
fn a_worker_takes_times_and_messages() {
    // The HTTP server reaches the component in its worker as well.
    let manifest = events(", binding: unix", "backend: memory", "");
    let all = manifest.replace(
        "{target: events, source",
        "{target: events, binding: unix, source",
    );
    runs(&all);
}

#[test]
fn a_component_takes_times_and_messages_from_processes() {
    runs(&events("", "backend: memory", ", process: true"));
}

#[test]
fn a_component_takes_messages_from_nats() {
    let nats = NatsServer::start().unwrap();
    let broker = format!("cluster_uris: \"{}\"", nats.url());
    runs(&events("", &broker, ""));
}
