//! Links whose target runs on hosts that are reached in different ways.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::background::Background;
use crate::support::eventually;
use crate::support::lattice::Lattice;
use crate::support::load::Load;
use crate::support::way::Way;

/// A call over the link from `front` ends after 30 seconds; connections and the page take a little more.
const DEADLINE: Duration = Duration::from_secs(45);

/// A host that announces no address.
fn without_address(lattice: &Lattice, name: &str) -> Background {
    let label = format!("zone={name}");
    let command = lattice.command(&["host", "--name", name, "--no-listen", "--label", &label]);
    lattice.start_host(command, name)
}

/// Waits until the link from `front` to `visits` is bound so, for a reason in which all of `why` are.
fn is_bound(lattice: &Lattice, binding: &str, why: &[&str]) {
    let mut seen = Value::Null;
    eventually(&format!("it is `{binding}` for {why:?}"), || {
        let links = lattice.json(&["get", "links"]);
        let mut links = links.as_array().unwrap().iter();
        seen = links.find(|link| link["source"] == "front")?.clone();
        let text = seen["why"].as_str().unwrap();
        let fits = seen["binding"] == binding && why.iter().all(|part| text.contains(part));
        fits.then_some(())
    });
}

/// The binding over which `visits` is pinged from `front`.
fn pinged(lattice: &Lattice) -> String {
    let pongs = lattice.json(&["ping", "front/visits"]);
    pongs[0]["binding"].as_str().unwrap().to_owned()
}

#[test]
fn each_replica_is_reached_as_it_can_be() {
    let mut lattice = Lattice::new();
    let [_a, mut b] = lattice.hosts(["a", "b"]);
    let _c = without_address(&lattice, "c");
    let mut app = lattice.visits();
    let address = lattice.up(&app);
    let over_nats = "`c` cannot be reached directly and is called over `nats`";
    is_bound(&lattice, "tcp", &["`b` and `c`", over_nats]);
    assert_eq!(pinged(&lattice), "tcp");
    let load = Load::start(&address, "/ways");
    load.goes_on(200);
    lattice.nats.stop();
    load.goes_on(200);
    lattice.nats.restart().unwrap();
    lattice.runs_on("visits", &["b", "c"]);
    load.goes_on(50);

    b.kill();
    let fault = Instant::now();
    load.goes_on(100);
    is_bound(&lattice, "nats", &["`c`, which cannot be reached directly"]);
    let recovered = Instant::now();
    assert_eq!(pinged(&lattice), "nats");
    load.goes_on(200);

    let _b = lattice.host("b");
    lattice.runs_on("visits", &["b", "c"]);
    is_bound(&lattice, "tcp", &[over_nats]);
    assert_eq!(pinged(&lattice), "tcp");
    load.goes_on(200);
    // A pin to one way leaves out whom it does not reach, and says so.
    app.link = "binding: tcp";
    lattice.up(&app);
    let left_out = "`c` cannot be reached over TCP and is not called";
    is_bound(&lattice, "tcp", &["pinned by the manifest", left_out]);
    load.goes_on(50);
    app.link = "binding: nats";
    lattice.up(&app);
    assert_eq!(pinged(&lattice), "nats");
    load.goes_on(50);

    let answers = load.stop();
    answers.report(fault, "kill -9 of the replica that was reached directly");
    answers.none_failed_since(recovered);
    answers.none_hung(DEADLINE);
    answers.add_up(&lattice, &["visits"]);
}

#[test]
fn calls_go_by_way_of_nats_while_the_direct_way_is_broken() {
    let lattice = Lattice::new();
    let _a = lattice.host("a");
    let way = Way::new();
    let advertise = way.address.to_string();
    let mut command = lattice.command(&["host", "--name", "b", "--label", "zone=b"]);
    command.args(["--listen", "127.0.0.1:0", "--advertise", &advertise]);
    let mut b = lattice.start(command, "b");
    let said = b.says(" is on the lattice ");
    let listens = said.split("listening at ").nth(1).unwrap();
    way.leads_to(listens.split(';').next().unwrap().parse().unwrap());

    let mut app = lattice.visits();
    app.visits = &["b"];
    let address = lattice.up(&app);
    is_bound(&lattice, "tcp", &["`visits` runs on `b`"]);
    let load = Load::start(&address, "/broken");
    load.goes_on(100);
    let fault = Instant::now();
    way.breaks();
    is_bound(&lattice, "nats", &["cannot be reached directly"]);
    let recovered = Instant::now();
    assert_eq!(pinged(&lattice), "nats");
    load.goes_on(100);
    way.leads_to(listens.split(';').next().unwrap().parse().unwrap());
    is_bound(&lattice, "tcp", &["`visits` runs on `b`"]);
    assert_eq!(pinged(&lattice), "tcp");
    load.goes_on(100);
    let answers = load.stop();
    answers.report(fault, "a way between two hosts that is broken");
    answers.none_failed_since(recovered);
    answers.none_hung(DEADLINE);
    answers.add_up(&lattice, &["visits"]);
}

#[test]
fn hosts_of_one_machine_call_each_other_over_a_unix_socket() {
    let mut lattice = Lattice::new();
    lattice.set("WITHE_NO_UNIX", "false");
    let [_a, _b] = lattice.hosts(["a", "b"]);
    lattice.set("WITHE_NO_UNIX", "true");
    // One that can be reached over TCP alone, as one on another machine.
    let mut c = lattice.host("c");
    let mut app = lattice.visits();
    let address = lattice.up(&app);
    let over_unix = "`b` is on this machine and called over `unix`";
    is_bound(&lattice, "tcp", &["`b` and `c`", over_unix]);
    assert_eq!(pinged(&lattice), "tcp");
    let load = Load::start(&address, "/beside");
    load.goes_on(200);
    c.kill();
    is_bound(&lattice, "unix", &["`visits` runs on `b`"]);
    assert_eq!(pinged(&lattice), "unix");
    let recovered = Instant::now();
    load.goes_on(100);
    // No broker is on that way.
    lattice.nats.stop();
    load.goes_on(100);
    lattice.nats.restart().unwrap();
    lattice.runs_on("visits", &["b"]);
    app.visits = &["b"];
    let pins = ["binding: tcp", "binding: unix", "binding: nats"];
    for (pin, binding) in pins.into_iter().zip(["tcp", "unix", "nats"]) {
        app.link = pin;
        lattice.up(&app);
        is_bound(&lattice, binding, &["pinned by the manifest"]);
        assert_eq!(pinged(&lattice), binding);
        load.goes_on(50);
    }
    let answers = load.stop();
    answers.none_failed_since(recovered);
    answers.none_hung(DEADLINE);
    answers.add_up(&lattice, &["visits"]);
}

#[test]
fn a_plan_says_how_each_host_would_be_reached() {
    let lattice = Lattice::new();
    let _hosts = lattice.hosts(["b", "a"]);
    let _c = without_address(&lattice, "c");
    std::fs::write(lattice.path("app.yaml"), lattice.visits().manifest()).unwrap();
    let plans = lattice.json(&["plan", "app.yaml"]);
    let links = plans["a"]["links"].as_array().unwrap().iter();
    let mut from_front = links.filter(|link| link["source"] == "front");
    let link = from_front.next().unwrap();
    assert_eq!(link["binding"], "tcp");
    assert_eq!(
        link["why"],
        "`visits` runs on `b` and `c`; `c` cannot be reached directly and is called over `nats`"
    );
}

#[test]
fn a_pin_leads_from_a_host_to_itself_whatever_is_at_its_ends() {
    let lattice = Lattice::new();
    let _a = lattice.host("a");
    let mut app = lattice.visits();
    (app.visits, app.links) = (&["a"], "binding: tcp");
    let address = lattice.up(&app);
    let load = Load::start(&address, "/pinned");
    for (links, binding) in [
        ("binding: tcp", "tcp"),
        ("binding: nats", "nats"),
        ("binding: unix", "unix"),
        ("binding: tcp", "tcp"),
    ] {
        app.links = links;
        lattice.up(&app);
        load.goes_on(50);
        let links = lattice.json(&["get", "links"]);
        for link in links.as_array().unwrap() {
            assert_eq!(link["binding"], binding, "{link}");
            let (source, target) = (link["source"].as_str(), link["target"].as_str());
            let name = format!("{}/{}", source.unwrap(), target.unwrap());
            // A link from a worker to the host itself uses no way of the host's.
            if name != "visits/store" || binding != "unix" {
                let pongs = lattice.json(&["ping", &name]);
                assert_eq!(pongs[0]["binding"], binding, "{pongs}");
                assert!(pongs[0]["nanos"].as_u64().is_some(), "{pongs}");
            }
        }
    }
    let answers = load.stop();
    answers.none_failed();
    answers.add_up(&lattice, &["visits"]);
}
