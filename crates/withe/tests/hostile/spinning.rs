//! Guests that use the processor for as long as they may, beside one that needs it for a moment.

use std::thread;

use crate::support::Folder;
use crate::support::client::get;
use crate::support::manifest::{application, component, http_servers};

/// How many requests spin, and for how long.
const SPINNING: usize = 30;
const TIMEOUT: &str = "timeout: 60s";
/// How often the other component is asked meanwhile. When guests waited for each other's ticks, this took several times
/// as long as the others spin.
const ASKED: usize = 200;

#[test]
fn guests_that_spin_leave_the_processor_to_one_that_needs_it_for_a_moment() {
    let link = format!("target: ops, {TIMEOUT}");
    let folder = Folder::with(&application(&[
        http_servers(&["spins", "hello"]),
        component("spins", "hello-calls", "", &[&link]),
        component("ops", "ops", "", &[]),
        component("hello", "hello", "", &[]),
    ]));
    let mut up = folder.up(&[]);
    let [spins, hello] = up.addresses(["spins", "hello"]);
    let spinning: Vec<_> = (0..SPINNING)
        .map(|_| {
            let spins = spins.clone();
            thread::spawn(move || get(&spins, "/spin").map(|response| response.status))
        })
        .collect();
    for _ in 0..ASKED {
        assert_eq!(get(&hello, "/").unwrap().status, 200);
    }
    assert!(spinning.iter().any(|request| !request.is_finished()));
    // Stopping waits for none of them for longer than the grace.
    up.interrupt();
    up.interrupt();
    up.exit_code();
    for request in spinning {
        _ = request.join().unwrap();
    }
}
