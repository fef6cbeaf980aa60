//! A timer that runs on several hosts: each of its times is called once.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::eventually;
use crate::support::lattice::Lattice;
use crate::support::redis::number;

/// The component `events`, which counts its times in Redis, and a timer for each second, on all hosts.
fn write(lattice: &Lattice, timer: &str) {
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/build/events.wasm");
    assert!(events.is_file(), "run `cargo xtask guests`");
    let everywhere = "{type: daemonscaler, properties: {spread: [{name: all}]}}";
    let redis = lattice.redis.url();
    let manifest = format!(
        "\
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: app}}
spec:
  components:
    - name: events
      type: component
      properties: {{image: {events:?}}}
      traits:
        - {everywhere}
        - {{type: link, properties: {{target: keyvalue}}}}
        - {{type: link, properties: {{target: messaging}}}}
    - name: keyvalue
      type: capability
      properties: {{image: \"withe:keyvalue\", config: [{{name: kv, properties: {{url: {redis:?}}}}}]}}
      traits: [{everywhere}]
    - name: messaging
      type: capability
      properties: {{image: \"withe:messaging\"}}
      traits: [{everywhere}]
    - name: timer
      type: capability
      properties: {{image: \"withe:timer\"{timer}}}
      traits:
        - {everywhere}
        - type: link
          properties:
            target: events
            source: {{config: [{{name: seconds, properties: {{cron: \"* * * * * *\", payload: ticks}}}}]}}
"
    );
    fs::write(lattice.path("app.yaml"), manifest).unwrap();
}

fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn ticks(lattice: &Lattice) -> u64 {
    number(lattice.redis.port(), "ticks")
}

/// Waits for so many more ticks, and sees that there are no more in all than there were seconds since `began`, before which
/// nothing ticked: a call may take its time, so those of two moments are not told apart by when they come.
fn tick(lattice: &Lattice, more: u64, began: u64) {
    let before = ticks(lattice);
    eventually("times come", || {
        (ticks(lattice) >= before + more).then_some(())
    });
    let came = ticks(lattice);
    // The first second and the last are both among them.
    let passed = seconds() - began + 1;
    assert!(came <= passed, "{came} times came in {passed} seconds");
}

fn each_time_is_called_once(timer: &str) {
    let lattice = Lattice::new();
    let [_a, _b, mut c] = lattice.hosts(["a", "b", "c"]);
    write(&lattice, timer);
    let began = seconds();
    lattice.run(&["up", "app.yaml"]).printed();
    lattice.runs_on("timer", &["a", "b", "c"]);
    tick(&lattice, 10, began);
    // The others go on.
    c.kill();
    tick(&lattice, 10, began);
    lattice.run(&["down", "app"]).printed();
}

#[test]
fn each_time_is_called_once_by_three_hosts() {
    each_time_is_called_once("");
}

#[test]
fn each_time_is_called_once_by_processes_of_three_hosts() {
    each_time_is_called_once(", process: true");
}
