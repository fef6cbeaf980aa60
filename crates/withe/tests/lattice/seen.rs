//! The running parts and their places, as the commands show them.

use crate::support::lattice::Lattice;
use crate::support::load::visit;

#[test]
fn an_application_spread_over_three_hosts_is_one_application() {
    let lattice = Lattice::new();
    let _hosts = lattice.hosts(["a", "b", "c"]);
    let mut events = lattice.start(lattice.command(&["events"]), "events");
    events.says("following the lattice");
    let _d = lattice.host("d");
    events.says("joined the lattice");
    let address = lattice.up(&lattice.visits());
    events.says("`visits`: linked by plan");
    for n in 1..=10 {
        assert_eq!(visit(&address, "/seen"), Ok(n));
    }
    assert_eq!(lattice.counted("visits", "/seen"), 10);

    let hosts = lattice.json(&["get", "hosts"]);
    let names: Vec<_> = (0..4).map(|i| hosts[i]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert_eq!(hosts[1]["labels"]["zone"], "b");
    for (part, on) in [
        ("http", &["a"][..]),
        ("front", &["a"]),
        ("visits", &["b", "c"]),
        ("store", &["a"]),
    ] {
        assert_eq!(lattice.hosts_of(part), on, "{part}");
    }
    let apps = lattice.json(&["get", "apps"]);
    assert_eq!(apps[0]["name"], "visits");
    assert_eq!(apps[0]["status"], "runs");
    let links = lattice.json(&["get", "links"]);
    let link = |source: &str, target: &str| {
        let mut all = links.as_array().unwrap().iter();
        let found = all.find(|l| l["source"] == source && l["target"] == target);
        found.unwrap_or_else(|| panic!("no link from {source} to {target} in {links}"))
    };
    assert_eq!(link("front", "visits")["binding"], "tcp");
    assert_eq!(link("visits", "store")["binding"], "tcp");
    assert_eq!(link("http", "front")["binding"], "host");
    let declared = lattice.json(&["link", "list", "visits"]);
    assert_eq!(declared.as_array().map(Vec::len), Some(3));

    let pongs = lattice.json(&["ping", "visits/store"]);
    let from: Vec<_> = (0..2).map(|i| pongs[i]["host"].as_str().unwrap()).collect();
    assert_eq!(from, ["b", "c"], "{pongs}");
    assert_eq!(pongs[0]["binding"], "tcp");
    assert!(pongs[0]["nanos"].as_u64().unwrap() > 0, "{pongs}");

    // Calls are counted where they are made from, and told by all hosts.
    let figures = lattice.json(&["top"]);
    assert!(
        figures["hosts"]
            .as_array()
            .unwrap()
            .iter()
            .all(|host| host["silent"].is_null())
    );
    let mut rates = figures["rates"]["links"].as_array().unwrap().iter();
    let called = rates.find(|rates| rates["source"] == "front" && rates["target"] == "visits");
    let called = called.unwrap_or_else(|| panic!("{figures:#}"));
    assert!(called["calls"].as_u64() >= Some(10), "{called:#}");
    assert_eq!(called["by"][0]["binding"], "tcp", "{called:#}");

    // Each as text for people, too.
    for what in ["hosts", "components", "providers", "links", "apps"] {
        let text = lattice.run(&["get", what]);
        assert!(text.printed().lines().count() > 1, "{what}: {text:?}");
    }
    lattice.run(&["down", "visits"]).printed();
    events.says("`visits`: ended");
    assert_eq!(
        lattice.json(&["get", "apps"]).as_array().map(Vec::len),
        Some(0)
    );
}

#[test]
fn events_are_lines_of_json() {
    let lattice = Lattice::new();
    let _a = lattice.host("a");
    let mut events = lattice.start(lattice.command(&["events", "--json"]), "events");
    events.says("following the lattice");
    let mut b = lattice.host("b");
    let joined = events.says("\"joined\"");
    let joined: serde_json::Value = serde_json::from_str(&joined).unwrap();
    assert_eq!(
        (&joined["event"], &joined["host"]),
        (&"joined".into(), &"b".into())
    );
    assert_eq!(b.leave(), Some(0));
    for event in ["\"leaving\"", "\"host-gone\""] {
        let line = events.says(event);
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }
}
