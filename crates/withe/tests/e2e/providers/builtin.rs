//! First-party providers with `process: true`.

use super::{answers, kill_with_a_call_in_flight, only};
use crate::support::client::get;
use crate::support::examples;
use crate::support::rig::{Rig, eventually, kill_now, send, stop_now};

/// The example that counts visits, with all its providers as processes.
fn visits() -> String {
    examples::visits("process: true", "timeout: 100s")
}

fn store(rig: &Rig) -> Vec<u32> {
    rig.processes
        .with_arguments(&["provider", "run", "keyvalue"])
}

fn http(rig: &Rig) -> Vec<u32> {
    rig.processes
        .with_arguments(&["provider", "run", "http-server"])
}

#[test]
fn an_application_runs_with_its_providers_as_processes_and_leaves_nothing() {
    let mut rig = Rig::start(&visits(), &[]);
    let address = rig.up.address();
    rig.up.says("runs; Ctrl-C");
    answers(&address, "/a", "visited <strong>once");
    answers(&address, "/a", "visited <strong>2 times");
    only(store(&rig));
    only(http(&rig));
    rig.up.interrupt();
    assert_eq!(rig.up.exit_code(), Some(0));
    rig.leaves_nothing();
}

#[test]
fn a_killed_provider_fails_the_calls_that_it_had_and_loses_no_link() {
    let rig = Rig::start(&visits(), &[]);
    let address = rig.up.address();
    answers(&address, "/a", "visited <strong>once");
    let before = only(store(&rig));
    let other = only(http(&rig));
    let line = kill_with_a_call_in_flight(&rig, &address, "/b", || store(&rig).first().copied());
    for text in [
        "wasi:keyvalue",
        "provider `store` exited (signal: 9",
        "is being restarted",
    ] {
        assert!(line.contains(text), "no {text:?} in {line}");
    }
    // Nobody has to do anything: calls wait for the next process, which has the link and the file again.
    answers(&address, "/a", "visited <strong>2 times");
    assert_ne!(only(store(&rig)), before);
    assert_eq!(only(http(&rig)), other);
}

#[test]
fn a_killed_server_listens_again() {
    let rig = Rig::start(&visits(), &[]);
    let address = rig.up.address();
    answers(&address, "/a", "visited <strong>once");
    kill_now(only(http(&rig)));
    let line = rig.up.says("provider `http` exited");
    assert!(line.contains("started again"), "{line}");
    // On a port of its own again, which its log says: that is how one finds it.
    let line = rig.up.says("listening on http://");
    assert!(line.contains("provider=\"http\""), "{line}");
    let address = line.split("http://").nth(1).unwrap();
    let address = address.split(' ').next().unwrap();
    answers(address, "/a", "visited <strong>2 times");
}

#[test]
fn a_provider_that_hangs_is_killed_and_restarted() {
    let rig = Rig::start(&visits(), &[]);
    let address = rig.up.address();
    answers(&address, "/a", "visited <strong>once");
    let hung = only(store(&rig));
    stop_now(hung);
    let line = rig.up.says("provider `store` was killed");
    assert!(line.contains("did not answer for 10s"), "{line}");
    answers(&address, "/a", "visited <strong>2 times");
    assert_ne!(only(store(&rig)), hung);
}

#[test]
fn providers_end_with_a_host_that_is_killed() {
    let rig = Rig::start(&visits(), &[]);
    let address = rig.up.address();
    answers(&address, "/a", "visited <strong>once");
    send("KILL", rig.up.id());
    eventually("nobody listens any more", || get(&address, "/a").is_err());
    rig.leaves_only_folders();
}
