//! Callers that go away: what they held is released.

use super::{Rig, eventually};
use crate::support::client::{Exchange, get};
use crate::support::manifest::{application, component, http_server, scaled};

/// `holder` holds resources of `resources`.
fn holder(link: &str, resources: String) -> Rig {
    let link = format!("target: resources, timeout: 20s, {link}");
    Rig::start(
        &application(&[
            http_server("holder"),
            component("holder", "holder", "", &[&link]),
            resources,
        ]),
        &[],
    )
}

/// A request that holds a resource as long as it is not finished.
fn holding(address: &str) -> Exchange {
    let mut exchange = Exchange::start(address, "POST /", 8).unwrap();
    exchange.send(b"half").unwrap();
    assert_eq!(exchange.status().unwrap(), 200);
    assert_eq!(exchange.receive(4).unwrap(), b"half");
    exchange
}

#[test]
fn a_shared_callee_gets_back_what_callers_held() {
    for binding in ["local", "unix"] {
        let link = format!("scope: shared, binding: {binding}");
        let rig = holder(&link, component("resources", "resources", "", &[]));
        let address = rig.up.address();
        let live = || get(&address, "/live").unwrap().text();
        for _ in 0..3 {
            assert_eq!(get(&address, "/leave").unwrap().text(), "7", "{binding}");
        }
        eventually("what was left is dropped", || live() == "0");

        let held = [(); 5].map(|()| holding(&address));
        assert_eq!(live(), "5", "{binding}");
        let [finished, cancelled @ ..] = held;
        drop(cancelled);
        eventually("what cancelled requests held is dropped", || live() == "1");
        drop(finished);
        eventually("nothing is held", || live() == "0");
    }
}

#[test]
fn the_callee_of_a_caller_goes_with_it() {
    // Only so many can be there at a time: one that stayed would keep the next caller waiting, and
    // then fail it.
    for binding in ["local", "unix"] {
        let link = format!("scope: caller, binding: {binding}");
        let rig = holder(&link, scaled("resources", "resources", 2));
        let address = rig.up.address();
        for _ in 0..10 {
            let held = [(); 2].map(|()| holding(&address));
            drop(held);
            assert_eq!(get(&address, "/leave").unwrap().text(), "7", "{binding}");
        }
    }
}
