//! Providers that are processes of their own: those that come with the command, and one that somebody wrote.

mod builtin;
mod program;
mod streams;

use std::thread;
use std::time::Duration;

use crate::support::client::get;
use crate::support::rig::{Rig, eventually, kill_now, stop_now};

/// The only one of these processes.
fn only(processes: Vec<u32>) -> u32 {
    assert_eq!(processes.len(), 1, "{processes:?}");
    processes[0]
}

/// `get` of the given address answers with this text in its body.
fn answers(address: &str, path: &str, text: &str) {
    let response = get(address, path).unwrap();
    let body = response.text();
    assert!(response.status == 200 && body.contains(text), "{body}");
}

/// Kills the process of `provider` while a request waits for it, and returns what was said of the call.
fn kill_with_a_call_in_flight(
    rig: &Rig,
    address: &str,
    path: &str,
    process: impl Fn() -> Option<u32>,
) -> String {
    // Whether the call has reached the process cannot be seen from outside. One that has not is no failure:
    // it waits for the next process.
    eventually("a call fails with the process", || {
        let Some(process) = process() else {
            return false;
        };
        stop_now(process);
        let call = thread::spawn({
            let (address, path) = (address.to_owned(), path.to_owned());
            move || get(&address, &path).unwrap().status
        });
        thread::sleep(Duration::from_millis(300));
        kill_now(process);
        call.join().unwrap() == 500
    });
    rig.up.says("while the call was under way")
}
