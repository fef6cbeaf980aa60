//! Where parts may run, and what is said when they may run nowhere.

use crate::support::app::Visits;
use crate::support::eventually;
use crate::support::lattice::Lattice;
use crate::support::load::{Load, visit};

/// Puts an application until what is said of it has each of `texts`. The message comes only after a while, on a busy
/// machine after a long one.
fn is_refused(lattice: &Lattice, app: &Visits, texts: &[&str]) {
    eventually(&format!("`up` says {texts:?}"), || {
        let up = lattice.try_up(app, &["--wait", "3"]);
        assert_eq!(up.code, Some(1), "{up:#?}");
        let says = |text: &&str| up.stderr.contains(text);
        texts.iter().all(says).then_some(())
    });
}

#[test]
fn a_part_that_no_host_may_run_is_named_and_runs_when_one_may() {
    let lattice = Lattice::new();
    let _hosts = lattice.hosts(["a", "b"]);
    let mut app = lattice.visits();
    app.visits = &["mars"];
    is_refused(&lattice, &app, &["`visits`", "`zone=mars`"]);
    let (status, _) = lattice.status();
    assert_ne!(status, "runs");
    let _mars = lattice.host("mars");
    lattice.runs();
    assert_eq!(visit(&lattice.address(), "/"), Ok(1));
}

#[test]
fn what_a_placement_cannot_meet_is_refused_and_what_runs_goes_on() {
    let lattice = Lattice::new();
    let _hosts = lattice.hosts(["a", "b", "c"]);
    let mut app = lattice.visits();
    let address = lattice.up(&app);
    let load = Load::start(&address, "/pinned");
    load.goes_on(50);
    for (link, texts) in [
        ("locality: host", ["`front`", "`visits`"]),
        ("binding: local", ["`front`", "`visits`"]),
        ("binding: fused", ["`front`", "`visits`"]),
    ] {
        app.link = link;
        is_refused(&lattice, &app, &texts);
        load.goes_on(50);
    }
    // Together they can be.
    (app.link, app.visits) = ("locality: host", &["a"]);
    lattice.up(&app);
    load.goes_on(50);
    let answers = load.stop();
    answers.none_failed();
    answers.add_up(&lattice, &["visits"]);
}
