//! Calls from process to process, and which of two they go to.

use std::collections::BTreeSet;
use std::thread;

use super::Rig;
use crate::support::client::get;
use crate::support::manifest::{application, component, http_server, provider};

#[test]
fn a_chain_of_workers_counts_exactly_and_named_links_are_never_confused() {
    const EACH: usize = 50;
    let middle = |name: &str| {
        let env = format!("grants: {{env: {{WHO: {name}}}}}");
        component(name, "chain-middle", &env, &["target: end, binding: unix"])
    };
    let rig = Rig::start(
        &application(&[
            http_server("front"),
            component(
                "front",
                "chain-front",
                // An instance serves many requests, each of which chooses anew.
                "reuse: 8",
                &[
                    "target: left, name: one, binding: unix",
                    "target: right, name: two, binding: unix",
                ],
            ),
            middle("left"),
            middle("right"),
            component("end", "chain-end", "", &["target: keyvalue"]),
            provider("keyvalue", "", &[]),
        ]),
        &[],
    );
    let address = rig.up.address();
    assert_eq!(rig.workers().len(), 3);

    let ask = |n: usize| {
        let (link, target) = [("one", "left"), ("two", "right")][n % 2];
        let response = get(&address, &format!("/{link}")).unwrap();
        let text = response.text();
        let count = text.strip_prefix(&format!("front {target} "));
        let count = count.and_then(|count| count.parse::<usize>().ok());
        let count = count.unwrap_or_else(|| panic!("link `{link}` answered {text:?}"));
        (target, count)
    };
    let counts: Vec<_> = thread::scope(|scope| {
        let ask = &ask;
        let callers: Vec<_> = (0..8)
            .map(|caller| scope.spawn(move || (0..EACH).map(|n| ask(caller + n)).collect()))
            .collect();
        let counts = callers.into_iter().map(|caller| caller.join().unwrap());
        counts.flat_map(|counts: Vec<_>| counts).collect()
    });
    // Every call has counted once, and none twice.
    let all: BTreeSet<_> = counts.iter().copied().collect();
    let one_to = |target| (1..=4 * EACH).map(move |count| (target, count));
    assert_eq!(counts.len(), 8 * EACH);
    assert_eq!(all, one_to("left").chain(one_to("right")).collect());
}
