//! Hosts that crash, leave, or are as if they were not there.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::eventually;
use crate::support::lattice::Lattice;
use crate::support::load::{Load, visit};

/// A call over the link from `front` ends after 30 seconds; connections and the page take a little more.
const DEADLINE: Duration = Duration::from_secs(45);

#[test]
fn what_a_killed_replica_did_the_other_does() {
    let lattice = Lattice::new();
    let [a, _b, mut c] = lattice.hosts(["a", "b", "c"]);
    let address = lattice.up(&lattice.visits());
    let load = Load::start(&address, "/killed");
    load.goes_on(200);
    c.kill();
    let fault = Instant::now();
    load.goes_on(200);
    lattice.runs_on("visits", &["b"]);
    let recovered = Instant::now();
    load.goes_on(200);

    // One of its name and labels takes its place.
    let _c = lattice.host("c");
    lattice.runs_on("visits", &["b", "c"]);
    lattice.runs();
    load.goes_on(200);
    let answers = load.stop();
    answers.report(fault, "kill -9 of one of two replicas");
    answers.none_failed_since(recovered);
    answers.none_hung(DEADLINE);
    answers.add_up(&lattice, &["visits"]);
    // The reason is for the host's operator.
    if answers.failed().next().is_some() {
        let log = a.log();
        assert!(log.contains("request failed: ") && log.contains("over link `front` -> `visits`"));
    }
}

#[test]
fn what_ran_only_on_a_killed_host_runs_on_another() {
    let lattice = Lattice::new();
    let mut hosts: Vec<_> = lattice.hosts(["a", "b", "c"]).into();
    let mut app = lattice.visits();
    (app.http, app.front, app.visits, app.store) = (&[], &[], &[], &[]);
    let address = lattice.up(&app);
    assert_eq!(visit(&address, "/only"), Ok(1));
    let on = lattice.hosts_of("http");
    assert_eq!(on.len(), 1);
    let place = hosts.iter().position(|h| h.name() == on[0]).unwrap();
    hosts.swap_remove(place).kill();
    let fault = Instant::now();
    let again = eventually("another host serves it", || {
        let address = lattice.json(&["get", "apps"])[0]["endpoints"][0]
            .as_str()
            .map(|url| {
                url.trim_start_matches("http://")
                    .trim_end_matches('/')
                    .to_owned()
            })?;
        visit(&address, "/only").ok()
    });
    eprintln!(
        "measured: kill -9 of the only host of all: served again after {:?}",
        fault.elapsed()
    );
    assert_eq!(again, 2);
    assert_ne!(lattice.hosts_of("http"), on);
}

#[test]
fn a_host_that_leaves_loses_no_request() {
    let lattice = Lattice::new();
    let [_a, _b, mut c] = lattice.hosts(["a", "b", "c"]);
    let address = lattice.up(&lattice.visits());
    let load = Load::start(&address, "/left");
    load.goes_on(200);
    assert_eq!(c.leave(), Some(0));
    load.goes_on(200);
    let _c = lattice.host("c");
    lattice.runs_on("visits", &["b", "c"]);
    load.goes_on(200);
    let answers = load.stop();
    answers.none_failed();
    answers.add_up(&lattice, &["visits"]);
}

#[test]
fn a_host_that_stood_still_takes_part_again() {
    let lattice = Lattice::new();
    let [_a, _b, c] = lattice.hosts(["a", "b", "c"]);
    let address = lattice.up(&lattice.visits());
    let load = Load::start(&address, "/still");
    load.goes_on(200);
    c.signal(Signal::STOP);
    let fault = Instant::now();
    // Longer than its lease.
    lattice.runs_on("visits", &["b"]);
    thread::sleep(Duration::from_secs(10).saturating_sub(fault.elapsed()));
    let meanwhile = Instant::now();
    load.goes_on(100);
    c.signal(Signal::CONT);
    lattice.runs_on("visits", &["b", "c"]);
    lattice.runs();
    load.goes_on(200);
    lattice.json(&["ping", "front/visits"]);
    let answers = load.stop();
    answers.report(fault, "a host stopped for 10 s");
    answers.none_failed_since(meanwhile);
    answers.none_hung(DEADLINE);
    answers.add_up(&lattice, &["visits"]);
}
