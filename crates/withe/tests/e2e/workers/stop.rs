//! The host is stopped, or killed, while workers serve it.

use std::os::unix::process::CommandExt as _;

use super::{Rig, eventually, kill, send, stop_now};
use crate::support::Folder;
use crate::support::client::Exchange;
use crate::support::manifest::{application, component, http_servers, provider};
use crate::support::process::Up;

/// Components in workers: one streams, one holds resources, and one calls a provider of the host.
fn three_workers() -> String {
    application(&[
        http_servers(&["upper", "holder", "front"]),
        component("upper", "upper-p3", "", &["target: pipe, binding: unix"]),
        component("pipe", "async-p3", "", &[]),
        component(
            "holder",
            "holder",
            "",
            &["target: resources, binding: unix"],
        ),
        component("resources", "resources", "", &[]),
        component("front", "chain-front", "", &["target: end, binding: unix"]),
        component("end", "chain-end", "", &["target: keyvalue"]),
        provider("keyvalue", "", &[]),
    ])
}

/// Requests of which half is sent, and that half has come back: streams and resources are in use.
fn half_way(rig: &Rig) -> [Exchange; 2] {
    let [upper, holder, front] = rig.up.addresses(["upper", "holder", "front"]);
    let mut counted = Exchange::start(&front, "GET /", 0).unwrap();
    assert_eq!(counted.status().unwrap(), 200);
    [(upper, "HALF"), (holder, "half")].map(|(address, half)| {
        let mut exchange = Exchange::start(&address, "POST /", 8).unwrap();
        exchange.send(b"half").unwrap();
        assert_eq!(exchange.status().unwrap(), 200);
        assert_eq!(exchange.receive(4).unwrap(), half.as_bytes());
        exchange
    })
}

#[test]
fn workers_end_with_a_host_that_is_killed_and_leave_nothing() {
    let rig = Rig::start(&three_workers(), &[]);
    let exchanges = half_way(&rig);
    assert_eq!(rig.workers().len(), 3);
    send("KILL", rig.up.id());
    rig.leaves_nothing();
    drop(exchanges);
}

#[test]
fn what_is_under_way_in_workers_finishes_when_the_host_is_stopped() {
    // Ctrl-C reaches the whole group of the host, as it does from a terminal.
    for (signal, to_group) in [("TERM", false), ("INT", true)] {
        let folder = Folder::with(&three_workers());
        let mut command = folder.command(&["up", "app.yaml"]);
        command.process_group(0);
        let up = Up::start(command);
        let mut rig = Rig::of(folder, up);
        let [mut upper, mut holder] = half_way(&rig);

        let group = if to_group { "-" } else { "" };
        kill(signal, &format!("{group}{}", rig.up.id()));
        rig.up.says("stopping");
        for (exchange, rest) in [(&mut upper, "REST"), (&mut holder, "restheld")] {
            exchange.send(b"rest").unwrap();
            assert_eq!(exchange.receive(rest.len()).unwrap(), rest.as_bytes());
            assert_eq!(exchange.part().unwrap(), None, "{signal}");
        }
        assert_eq!(rig.up.exit_code(), Some(0), "{signal}");
        assert!(rig.workers().is_empty(), "{signal}");
        assert!(rig.temporary().is_empty(), "{signal}");
    }
}

#[test]
fn a_second_signal_ends_a_host_whose_worker_hangs() {
    let mut rig = Rig::start(&three_workers(), &[]);
    let exchanges = half_way(&rig);
    for worker in rig.workers() {
        stop_now(worker);
    }
    rig.up.interrupt();
    rig.up.says("stopping");
    rig.up.interrupt();
    assert_eq!(rig.up.exit_code(), Some(1));
    eventually("hung workers were killed", || rig.workers().is_empty());
    assert!(rig.temporary().is_empty());
    drop(exchanges);
}
