//! A part that kills its host as soon as it is made there.

use serde_json::{Value, json};
use withe_lattice::Lattice as _;

use super::support::client::get;
use super::support::eventually;
use super::support::lattice::Lattice;
use super::{Member, problem};

/// Takes part as a host in the zone of `visits`, which never gets as far as running anything.
fn ghost(id: &str) -> Value {
    json!({
        "id": id, "name": id, "version": "0", "machine": "m", "labels": {"zone": "v"}, "nats": false,
        "started": 0, "apps": {},
    })
}

#[test]
fn a_part_is_not_handed_on_at_once_when_its_host_dies_making_it() {
    let lattice = Lattice::new();
    let member = Member::of(&lattice);
    let mut a = lattice.host("a");
    let mut app = lattice.visits();
    app.visits = &["v"];

    let given = |id: &str| {
        let key = format!("hosts.{id}");
        eventually(&format!("`{id}` is to make the part"), || {
            member.put_lease(&key, &ghost(id));
            let entry = member.entry("deployments.visits")?;
            (!entry["hosts"]["visits"][id].is_null()).then_some(())
        });
        let dying = member.lattice.delete_lease(&key);
        member.runtime.block_on(dying).unwrap();
    };
    member.put_lease("hosts.first", &ghost("first"));
    assert_eq!(lattice.try_up(&app, &["--wait", "1"]).code, Some(1));
    given("first");
    // Another is given the part, but not before a while has passed.
    given("second");
    let entry = member.entry("deployments.visits").unwrap();
    let deaths = entry["quarantine"]["visits"]["deaths"].as_array().unwrap();
    assert_eq!(deaths[0]["id"], "first");

    let mut v = lattice.host("v");
    let text = "`visits` is in quarantine: the hosts `first`, `second` were gone";
    eventually(&format!("it is said that {text}"), || {
        problem(&lattice, "visits").contains(text).then_some(())
    });
    assert_eq!(lattice.hosts_of("visits"), Vec::<String>::new());
    // An application that is put anew is tried at once.
    app.greeting = "Hello again".into();
    let address = lattice.up(&app);
    assert_eq!(get(&address, "/").unwrap().status, 200);
    for host in [&mut a, &mut v] {
        assert_eq!(host.leave(), Some(0));
    }
}
