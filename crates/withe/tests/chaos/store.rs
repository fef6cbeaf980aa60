//! A NATS server in whose place an empty one starts, while hosts run and serve.

use std::thread::sleep;
use std::time::{Duration, Instant};

use withe_lattice::LEASE;

use crate::support::background::Background;
use crate::support::client::get;
use crate::support::eventually;
use crate::support::lattice::Lattice;
use crate::support::load::Load;

/// A host's words for an application that the lattice has lost.
const LOST: &str = "the lattice has lost this application";

/// Has an empty server take the place of the one that there is, and waits until all hosts are there and say so.
fn replace_server(lattice: &mut Lattice, hosts: &mut [Background], times: usize, load: &Load) {
    lattice.nats.lose_everything().unwrap();
    load.goes_on(50);
    lattice.nats.restart().unwrap();
    let fault = Instant::now();
    eventually("all hosts are on the new server", || {
        let there = lattice.run(&["get", "hosts", "--json"]).stdout;
        let there = serde_json::from_str::<serde_json::Value>(&there).ok()?;
        (there.as_array()?.len() == hosts.len()).then_some(())
    });
    eprintln!(
        "measured: NATS lost everything: all hosts are on the new server after {:?}",
        fault.elapsed()
    );
    for host in &mut *hosts {
        eventually("each host says that the application is lost", || {
            (host.log().matches(LOST).count() == times).then_some(())
        });
    }
    eventually("it is lost, and reached", || {
        let apps = lattice.json(&["get", "apps"]);
        let app = &apps[0];
        let is_reached = app["endpoints"].as_array()?.len() == 1;
        let names = app["hosts"].as_array()?.len();
        (app["status"] == "lost" && is_reached && names == hosts.len()).then_some(())
    });
    eprintln!(
        "measured: … and say that the application is lost after {:?}",
        fault.elapsed()
    );
}

/// Checks that nothing went round and round, or panicked.
fn are_quiet(hosts: &[Background]) {
    for host in hosts {
        let log = host.log();
        assert!(!log.contains("panicked"), "{log}");
        // All but what the component says of each visit.
        let own = log.lines().filter(|line| !line.contains(" component: "));
        assert!(own.count() < 50, "{log}");
    }
}

#[test]
fn what_runs_goes_on_when_the_server_has_lost_everything() {
    let mut lattice = Lattice::new();
    let mut hosts = lattice.hosts(["a", "b", "c"]);
    let mut app = lattice.visits();
    let address = lattice.up(&app);
    let load = Load::start(&address, "/lost");
    load.goes_on(50);
    replace_server(&mut lattice, &mut hosts, 1, &load);
    // The controller looks at least once.
    sleep(LEASE + Duration::from_secs(1));
    load.goes_on(50);
    assert_eq!(lattice.address(), address);

    // Another version is put, at the revision that the first one had. No host is started again.
    app.greeting = "Put again".into();
    let began = Instant::now();
    assert_eq!(lattice.up(&app), address);
    eprintln!(
        "measured: an application put again on an empty server runs after {:?}",
        began.elapsed()
    );
    let page = get(&address, "/page").unwrap().text();
    assert!(page.contains("Put again"), "{page}");
    lattice.runs();
    load.goes_on(50);

    // And once more, on a lattice that was lost before.
    replace_server(&mut lattice, &mut hosts, 2, &load);
    let answers = load.stop();
    answers.none_failed();
    answers.add_up(&lattice, &["visits"]);

    // Only who says so ends it, though the lattice has never heard of it.
    lattice.run(&["down", "other"]).failed(&["`other`"]);
    assert!(get(&address, "/page").is_ok());
    lattice.run(&["down", "visits"]).printed();
    eventually("it has ended", || {
        get(&address, "/page").is_err().then_some(())
    });
    eventually("nothing is said of it", || {
        let apps = lattice.json(&["get", "apps"]);
        (apps.as_array()?.is_empty()).then_some(())
    });
    lattice.up(&app);
    are_quiet(&hosts);
}

#[test]
fn signed_applications_go_on_and_are_put_again() {
    let mut lattice = Lattice::new();
    lattice.run(&["lattice", "init", "--dir", "keys"]).printed();
    let mut hosts = ["a", "b", "c"].map(|name| {
        let grant = ["lattice", "grant", "--dir", "keys", "--role", "host"];
        lattice
            .run(&[&grant[..], &["--name", name]].concat())
            .printed();
        let (zone, key) = (format!("zone={name}"), format!("keys/{name}.key"));
        let options = ["--label", &zone, "--trust", "keys/root.pub", "--key", &key];
        lattice.host_with(name, &options)
    });
    let deployer = ["--key", "keys/deployer.key"];
    let mut app = lattice.visits();
    lattice.try_up(&app, &deployer).printed();
    // So that numbers and revisions are greater than those on the new server.
    for n in 0..3 {
        app.greeting = format!("Greeting {n}");
        lattice.try_up(&app, &deployer).printed();
    }
    let address = lattice.address();
    let load = Load::start(&address, "/signed");
    replace_server(&mut lattice, &mut hosts, 1, &load);
    app.greeting = "Put again".into();
    lattice.try_up(&app, &deployer).printed();
    let page = get(&address, "/page").unwrap().text();
    assert!(page.contains("Put again"), "{page}");
    lattice.runs();
    replace_server(&mut lattice, &mut hosts, 2, &load);
    load.stop().none_failed();
    // A deployer without a key ends nothing, on an empty server either.
    lattice.run(&["down", "visits"]).printed();
    sleep(Duration::from_secs(1));
    assert!(get(&address, "/page").is_ok());
    lattice
        .run(&[&["down", "visits"], &deployer[..]].concat())
        .printed();
    eventually("it has ended", || {
        get(&address, "/page").is_err().then_some(())
    });
    are_quiet(&hosts);
}
