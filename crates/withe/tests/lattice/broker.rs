//! The NATS server goes away and comes back.

use std::thread;
use std::time::Duration;

use withe_lattice::LEASE;

use crate::support::eventually;
use crate::support::lattice::Lattice;
use crate::support::load::Load;

/// The ids of all hosts, and what they run.
fn membership(lattice: &Lattice) -> Vec<(String, String)> {
    let hosts = lattice.json(&["get", "hosts"]);
    let hosts = hosts.as_array().unwrap().iter();
    hosts
        .map(|host| (host["id"].to_string(), host["apps"].to_string()))
        .collect()
}

#[test]
fn links_go_on_while_the_server_restarts() {
    let mut lattice = Lattice::new();
    let _hosts = lattice.hosts(["a", "b", "c"]);
    let mut app = lattice.visits();
    let address = lattice.up(&app);
    let before = membership(&lattice);
    let load = Load::start(&address, "/restarted");
    load.goes_on(100);
    for _ in 0..2 {
        lattice.nats.stop();
        load.goes_on(200);
        lattice.nats.restart().unwrap();
        eventually("all hosts are back", || {
            (membership(&lattice) == before).then_some(())
        });
        load.goes_on(100);
    }
    app.greeting = "After it".into();
    lattice.up(&app);
    load.goes_on(100);
    let answers = load.stop();
    answers.none_failed();
    answers.add_up(&lattice, &["visits"]);
}

#[test]
fn an_outage_longer_than_a_lease_tears_nothing_down() {
    let mut lattice = Lattice::new();
    let hosts = lattice.hosts(["a", "b", "c"]);
    let mut app = lattice.visits();
    let address = lattice.up(&app);
    let before = membership(&lattice);
    let load = Load::start(&address, "/outage");
    load.goes_on(100);
    lattice.nats.stop();
    thread::sleep(LEASE + Duration::from_secs(2));
    lattice.nats.restart().unwrap();
    eventually("all hosts are back", || {
        (membership(&lattice) == before).then_some(())
    });
    // The controller looks at least once more.
    thread::sleep(LEASE);
    assert_eq!(membership(&lattice), before);
    for host in &hosts {
        assert!(!host.log().contains("Stopped"), "{}", host.log());
    }
    app.greeting = "After it".into();
    lattice.up(&app);
    load.goes_on(100);
    let answers = load.stop();
    answers.none_failed();
    answers.add_up(&lattice, &["visits"]);
}
