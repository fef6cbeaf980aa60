//! A part of wasmCloud v1 that others run (`lattice:ID`), called by an HTTP server, a timer and a message broker of an
//! application that has no component of its own. A host of Withe with `--wasmcloud` runs the part: `tests/wasmcloud` has one
//! of v1's own crates.

use std::fs;
use std::path::Path;

use crate::support::client::{Exchange, get};
use crate::support::eventually;
use crate::support::lattice::Lattice;
use crate::support::redis::number;

/// The component `events`, as v1's tools know it: by its id.
fn others(lattice: &Lattice) -> String {
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/build/events.wasm");
    assert!(events.is_file(), "run `cargo xtask guests`");
    let spread = on("v1");
    let (redis, messaging) = (lattice.redis.url(), messaging(lattice));
    format!(
        "\
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: others}}
spec:
  components:
    - name: events
      type: component
      properties: {{image: {events:?}, id: v1-events}}
      traits:
        - {spread}
        - {{type: link, properties: {{target: keyvalue}}}}
        - {{type: link, properties: {{target: messaging}}}}
    - name: keyvalue
      type: capability
      properties: {{image: \"withe:keyvalue\", config: [{{name: kv, properties: {{url: {redis:?}}}}}]}}
      traits: [{spread}]
    - name: messaging
      type: capability
      properties: {messaging}
      traits: [{spread}]
"
    )
}

/// The properties of a broker that both applications share.
fn messaging(lattice: &Lattice) -> String {
    let nats = lattice.nats.url();
    format!(
        "{{image: \"withe:messaging\", config: [{{name: broker, properties: {{cluster_uris: {nats:?}}}}}]}}"
    )
}

fn on(zone: &str) -> String {
    format!(
        "{{type: spreadscaler, properties: {{spread: [{{name: s, requirements: {{zone: {zone}}}}}]}}}}"
    )
}

/// The providers on host `a`, and what stands for the part on host `zone`.
fn front(lattice: &Lattice, zone: &str) -> String {
    let link = |package: &str, interface: &str, config: &str| {
        let (namespace, package) = package.split_once(':').unwrap();
        format!(
            "{{type: link, properties: {{target: part, namespace: {namespace}, package: {package}, interfaces: [{interface}], \
             source: {{config: [{{name: of-{interface}, properties: {{{config}}}}}]}}}}}}"
        )
    };
    let server = link("wasi:http", "incoming-handler", "address: \"127.0.0.1:0\"");
    let timer = link(
        "wasmcloud:cron",
        "scheduler",
        "cron: \"* * * * * *\", payload: ticks",
    );
    let messages = link("wasmcloud:messaging", "handler", "subscriptions: orders");
    let (spread, of_part, messaging) = (on("a"), on(zone), messaging(lattice));
    format!(
        "\
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: front}}
spec:
  components:
    - name: http
      type: capability
      properties: {{image: \"withe:http-server\"}}
      traits: [{spread}, {server}]
    - name: timer
      type: capability
      properties: {{image: \"withe:timer\"}}
      traits: [{spread}, {timer}]
    - name: messages
      type: capability
      properties: {messaging}
      traits: [{spread}, {messages}]
    - name: part
      type: capability
      properties: {{image: \"lattice:v1-events\"}}
      traits: [{of_part}]
"
    )
}

/// Where the application `front` is reached.
fn address(lattice: &Lattice) -> String {
    eventually("the application is reached", || {
        let apps = lattice.json(&["get", "apps"]);
        let front = apps.as_array()?.iter().find(|app| app["name"] == "front")?;
        let url = front["endpoints"][0].as_str()?;
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        Some(address.to_owned())
    })
}

/// The number of calls from `source` to the part that the hosts have counted.
fn calls(lattice: &Lattice, source: &str) -> u64 {
    let figures = lattice.json(&["top"]);
    let mut links = figures["rates"]["links"].as_array().unwrap().iter();
    let link = links.find(|link| link["source"] == source && link["target"] == "part");
    link.and_then(|link| link["calls"].as_u64()).unwrap_or(0)
}

fn providers_reach_a_part_of_v1s(zone: &str) {
    let lattice = Lattice::new();
    let _hosts = lattice.hosts(["a", "b"]);
    let _v1 = lattice.host_with("v1", &["--label", "zone=v1", "--wasmcloud"]);
    for (file, manifest) in [
        ("others.yaml", others(&lattice)),
        ("front.yaml", front(&lattice, zone)),
    ] {
        fs::write(lattice.path(file), manifest).unwrap();
        lattice.run(&["up", file]).printed();
    }
    lattice.runs_on("part", &[zone]);
    let address = address(&lattice);
    let counted = |key: &str| number(lattice.redis.port(), key);

    eventually("the timer calls the part", || {
        (counted("ticks") >= 2).then_some(())
    });
    // The part publishes what it is sent, and the broker of `front` brings it that.
    let mut exchange = Exchange::start(&address, "POST /publish/orders", 3).unwrap();
    exchange.send(b"one").unwrap();
    assert_eq!(exchange.status().unwrap(), 200);
    while exchange.part().unwrap().is_some() {}
    eventually("the broker calls the part", || {
        (counted("orders") == 1).then_some(())
    });
    let answer = get(&address, "/count/orders").unwrap();
    assert_eq!((answer.status, &*answer.text()), (200, "1"));

    for (source, least) in [("http", 2), ("timer", 2), ("messages", 1)] {
        eventually(&format!("calls of `{source}` are counted"), || {
            (calls(&lattice, source) >= least).then_some(())
        });
    }
    for app in ["front", "others"] {
        lattice.run(&["down", app]).printed();
    }
}

#[test]
fn providers_reach_a_part_of_v1s_through_their_own_host() {
    providers_reach_a_part_of_v1s("a");
}

#[test]
fn providers_reach_a_part_of_v1s_through_another_host() {
    providers_reach_a_part_of_v1s("b");
}
