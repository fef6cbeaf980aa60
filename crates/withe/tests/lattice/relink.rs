//! Links that change while they are used.

use std::fs;
use std::time::Instant;

use crate::support::app::component;
use crate::support::eventually;
use crate::support::lattice::Lattice;
use crate::support::load::{Load, visit};
use crate::support::process::{Up, run};

/// How often a link changes.
const TIMES: usize = 100;

#[test]
fn a_hundred_relinks_lose_no_request() {
    let lattice = Lattice::new();
    let _hosts = lattice.hosts(["a", "b", "c"]);
    let mut app = lattice.visits();
    app.second = true;
    let address = lattice.up(&app);
    let load = Load::start(&address, "/relinked");
    load.goes_on(100);
    let mut number = lattice.status().1;
    for n in 0..TIMES {
        let to = ["visits-2", "visits"][n % 2];
        let before = lattice.counted(to, "/relinked");
        let began = Instant::now();
        lattice
            .run(&["link", "put", "visits", "front", to])
            .printed();
        let put = began.elapsed();
        eventually("the new target is called", || {
            (lattice.counted(to, "/relinked") > before).then_some(())
        });
        if n < 5 {
            eprintln!(
                "measured: the {n}th link put took {put:?}, a request reached `{to}` within {:?}",
                began.elapsed()
            );
        }
        let now = lattice.status().1;
        assert!(now > number, "deployment {now} after {number}");
        number = now;
    }
    load.goes_on(100);
    let answers = load.stop();
    eprintln!(
        "measured: {TIMES} relinks: nothing was served for {:?}",
        answers.longest_gap()
    );
    answers.none_failed();
    answers.add_up(&lattice, &["visits", "visits-2"]);
}

#[test]
fn what_is_changed_in_the_manifest_takes_over_and_nothing_is_lost() {
    let lattice = Lattice::new();
    let _hosts = lattice.hosts(["a", "b", "c"]);
    let mut app = lattice.visits();
    app.counter = lattice.path("counter.wasm");
    fs::copy(component("visits"), &app.counter).unwrap();
    let address = lattice.up(&app);
    let load = Load::start(&address, "/changed");
    load.goes_on(100);

    // Configuration.
    app.greeting = "Another greeting".into();
    assert_eq!(lattice.up(&app), address);
    load.goes_on(100);
    // A component that was not there.
    app.second = true;
    lattice.up(&app);
    load.goes_on(100);
    lattice
        .run(&["link", "put", "visits", "front", "visits-2"])
        .printed();
    load.goes_on(100);
    lattice
        .run(&["link", "put", "visits", "front", "visits"])
        .printed();
    load.goes_on(100);
    // And that is there no more.
    app.second = false;
    lattice.up(&app);
    load.goes_on(100);
    // Another version: a custom section makes other bytes of the same component.
    let digest = |lattice: &Lattice| lattice.json(&["get", "components"])[1]["digest"].to_string();
    let before = digest(&lattice);
    let mut bytes = fs::read(&app.counter).unwrap();
    bytes.extend(b"\0\x08\x07version");
    fs::write(&app.counter, bytes).unwrap();
    lattice.up(&app);
    assert_ne!(digest(&lattice), before);
    load.goes_on(100);
    // How a link is bound and what it is configured with.
    app.link = "timeout: 9s, scope: call";
    lattice.up(&app);
    load.goes_on(100);

    let answers = load.stop();
    answers.none_failed();
    answers.add_up(&lattice, &["visits", "visits-2"]);
}

#[test]
fn parts_that_move_to_other_hosts_lose_no_request() {
    let lattice = Lattice::new();
    let _hosts = lattice.hosts(["a", "b", "c"]);
    let mut app = lattice.visits();
    app.visits = &["b"];
    let address = lattice.up(&app);
    let load = Load::start(&address, "/moved");
    load.goes_on(100);
    for (visits, store) in [
        (&["c"], &["a"]),
        (&["c"], &["b"]),
        (&["a"], &["a"]),
        (&["b"], &["c"]),
    ] {
        (app.visits, app.store) = (visits, store);
        lattice.up(&app);
        lattice.runs_on("visits", visits);
        lattice.runs_on("store", store);
        load.goes_on(100);
    }
    let answers = load.stop();
    answers.none_failed();
    answers.add_up(&lattice, &["visits"]);
}

#[test]
fn an_application_on_one_machine_is_relinked_through_its_socket() {
    let lattice = Lattice::new();
    let mut app = lattice.visits();
    app.second = true;
    for link in ["binding: fused", "binding: local"] {
        app.link = link;
        let path = link.rsplit(' ').next().unwrap();
        fs::write(lattice.path("app.yaml"), app.manifest()).unwrap();
        let mut up = lattice.command(&["up", "app.yaml"]);
        up.env_remove("WITHE_LATTICE");
        let mut up = Up::start(up);
        let address = up.address();
        up.says("`visits` runs");
        let load = Load::start(&address, &format!("/{path}"));
        load.goes_on(50);
        for n in 0..20 {
            let to = ["visits-2", "visits"][n % 2];
            let mut put =
                lattice.command(&["link", "put", "visits", "front", to, "--binding", path]);
            put.env_remove("WITHE_LATTICE");
            run(put).printed();
            load.goes_on(10);
        }
        let answers = load.stop();
        answers.none_failed();
        answers.add_up(&lattice, &["visits", "visits-2"]);
        visit(&address, "/").unwrap();
        up.interrupt();
        assert_eq!(up.exit_code(), Some(0));
    }
}
