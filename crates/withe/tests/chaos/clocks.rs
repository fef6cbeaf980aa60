//! Hosts whose clocks are an hour apart.

use std::fs;
use std::path::Path;

use crate::shim::{build, preload};
use crate::support::background::Background;
use crate::support::client::get;
use crate::support::eventually;
use crate::support::lattice::Lattice;
use crate::support::load::Load;
use crate::support::process::run;

const AHEAD: &str = "3600";
const BEHIND: &str = "-3600";

/// Makes a key for a host, which ends tomorrow.
fn grant(lattice: &Lattice, name: &str) {
    let grant = ["lattice", "grant", "--dir", "keys", "--role", "host"];
    lattice
        .run(&[&grant[..], &["--days", "1", "--name", name]].concat())
        .printed();
}

/// A host in the zone of its name, whose clock is so many seconds ahead.
fn host(lattice: &Lattice, library: &Path, name: &str, ahead: &str) -> Background {
    let (zone, key) = (format!("zone={name}"), format!("keys/{name}.key"));
    let mut command = lattice.command(&["host", "--name", name, "--listen", "127.0.0.1:0"]);
    command.args(["--label", &zone, "--trust", "keys/root.pub", "--key", &key]);
    preload(&mut command, library);
    command.env("CHAOS_CLOCK", ahead);
    lattice.start_host(command, name)
}

#[test]
fn hosts_and_deployers_whose_clocks_are_an_hour_apart_work_together() {
    let Some(library) = build("clock") else {
        return;
    };
    let mut lattice = Lattice::new();
    lattice.run(&["lattice", "init", "--dir", "keys"]).printed();
    for name in ["a", "b", "c"] {
        grant(&lattice, name);
    }
    let mut hosts = vec![
        host(&lattice, &library, "b", AHEAD),
        host(&lattice, &library, "a", "0"),
        host(&lattice, &library, "c", BEHIND),
    ];
    let mut app = lattice.visits();
    let put = |lattice: &Lattice, ahead: &str, wait: &str| {
        let up = [
            "up",
            "app.yaml",
            "--key",
            "keys/deployer.key",
            "--wait",
            wait,
        ];
        let mut command = lattice.command(&up);
        preload(&mut command, &library);
        command.env("CHAOS_CLOCK", ahead);
        run(command)
    };
    let mut up = |lattice: &Lattice, greeting: &str, ahead: &str| {
        app.greeting = greeting.into();
        fs::write(lattice.path("app.yaml"), app.manifest()).unwrap();
        put(lattice, ahead, "120").printed();
        let address = lattice.address();
        let page = get(&address, "/page").unwrap().text();
        assert!(page.contains(greeting), "{page}");
        address
    };
    let address = up(&lattice, "From the future", AHEAD);
    let load = Load::start(&address, "/clocks");
    load.goes_on(50);
    // Older by its clock, and newer by its number.
    up(&lattice, "From the past", BEHIND);
    up(&lattice, "From now", "0");
    load.goes_on(50);
    // Hosts know each other directly, whatever the clocks say of certificates.
    let links = lattice.json(&["get", "links"]);
    let links = links.as_array().unwrap().iter();
    let far: Vec<_> = links.filter(|link| link["source"] == "front").collect();
    assert!(far.iter().all(|link| link["binding"] == "tcp"), "{far:?}");
    load.stop().none_failed();
    // The controller's clock was ahead; another's decisions count all the same.
    hosts.remove(0).kill();
    lattice.runs_on("visits", &["c"]);
    hosts.push(host(&lattice, &library, "b", BEHIND));
    lattice.runs_on("visits", &["b", "c"]);
    up(&lattice, "After it", BEHIND);
    lattice.runs();

    // On an empty server nothing but the clock says what is newer, and the host says so.
    lattice.nats.lose_everything().unwrap();
    lattice.nats.restart().unwrap();
    eventually("all hosts are back", || {
        let there = lattice.run(&["get", "hosts"]).stdout;
        (there.lines().count() == 1 + hosts.len()).then_some(())
    });
    assert_eq!(put(&lattice, BEHIND, "2").code, Some(1));
    for host in &mut hosts {
        host.says("the clock of who signed it may be behind");
    }
    up(&lattice, "By a clock that is right", AHEAD);
    for host in &hosts {
        assert!(!host.log().contains("panicked"), "{}", host.log());
    }
}

#[test]
fn a_key_that_a_wrong_clock_takes_for_expired_is_said_to_be_a_matter_of_the_clock() {
    let Some(library) = build("clock") else {
        return;
    };
    let lattice = Lattice::new();
    lattice.run(&["lattice", "init", "--dir", "keys"]).printed();
    grant(&lattice, "b");
    // Two days ahead: keys that have an end have ended, as this host sees it.
    let mut b = lattice.command(&["host", "--name", "b", "--listen", "127.0.0.1:0"]);
    b.args(["--trust", "keys/root.pub", "--key", "keys/b.key"]);
    preload(&mut b, &library);
    b.env("CHAOS_CLOCK", (2 * 24 * 3600).to_string());
    run(b).failed(&["has expired by this machine's clock"]);
}
