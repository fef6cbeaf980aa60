//! Components and clients that would fill the host's log, or write into it what others seem to have said.

use crate::support::Folder;
use crate::support::client::get;
use crate::support::manifest::{application, component, http_server};
use crate::support::process::Up;

fn shouting() -> Folder {
    Folder::with(&application(&[
        http_server("hello"),
        component("hello", "hello-calls", "", &["target: ops"]),
        component("ops", "ops", "", &[]),
    ]))
}

/// How many lines that are left have `text` in them. Ends the command.
fn count(up: Up, text: &str) -> usize {
    up.interrupt();
    let ended = up.ended();
    assert_eq!(ended.code, Some(0));
    let lines = ended.stderr.lines();
    lines.filter(|line| line.contains(text)).count()
}

#[test]
fn a_component_logs_no_more_than_its_share() {
    let folder = shouting();
    let up = folder.up(&["--max-log=64KiB", "--log=info"]);
    let address = up.address();
    // 2 MB in a moment: a second or two have room for 32 KiB each.
    assert_eq!(get(&address, "/shout").unwrap().status, 200);
    let said = up.says("lines of it are not logged");
    assert!(
        said.contains("component `hello` may have 32768 bytes"),
        "{said}"
    );
    assert!(said.contains("--max-log"), "{said}");
    assert!(count(up, "aaaaaaaa") < 1_000);
}

#[test]
fn what_a_component_logs_is_a_line_that_is_its_own() {
    let folder = shouting();
    let up = folder.up(&["--max-log=100MiB", "--log=info"]);
    let address = up.address();
    assert_eq!(get(&address, "/shout").unwrap().status, 200);
    let said = up.says("WARN two");
    assert!(said.contains(r"one\u{1b}[31m\rWARN two"), "{said}");
}

#[test]
fn requests_that_fail_by_the_thousand_are_told_of_by_the_dozen() {
    const FAILING: usize = 500;
    let folder = shouting();
    let up = folder.up(&[]);
    let address = up.address();
    for _ in 0..FAILING {
        assert_eq!(get(&address, "/trap").unwrap().status / 100, 5);
    }
    assert!(count(up, "request failed") < FAILING);
}
