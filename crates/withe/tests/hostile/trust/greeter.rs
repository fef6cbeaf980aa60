//! The example's provider, which is a program, and what it takes to call it.

use crate::support::Folder;
use crate::support::client::get;
use crate::support::examples;
use crate::support::process::Up;

/// A folder with the example's application on a free port, each part of which is a process of its own.
pub(super) fn folder() -> Folder {
    Folder::with(&examples::greeter(
        &examples::greeter_program(),
        "process: true",
        "binding: unix",
        "target: greeter",
    ))
}

/// Waits until Ada is greeted so.
pub(super) fn greets(up: &Up, address: &str, greeting: &str) {
    super::support::eventually(&format!("{} says {greeting:?}", up.id()), || {
        let answer = get(address, "/Ada").ok()?;
        (answer.status == 200 && answer.body == greeting.as_bytes()).then_some(())
    });
}
