//! Components and clients that would have the whole pool, beside a component that is none of theirs.

use std::thread;

use crate::support::Folder;
use crate::support::client::{Exchange, get};
use crate::support::manifest::{application, component, http_servers};
use crate::support::process::Up;

/// As many instances as two attacks take that each component's share does not bound.
const INSTANCES: usize = 40;

/// Whether `address` answers as it should.
fn answers(address: &str) {
    let response = get(address, "/").unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
}

/// The value of a series that is served at `metrics`.
fn metric(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let text = get(metrics, "/metrics").unwrap().text();
    let mut lines = text.lines();
    let line = lines.find(|l| l.starts_with(name) && labels.iter().all(|label| l.contains(label)));
    let line = line.unwrap_or_else(|| panic!("no {name} {labels:?} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn metrics_of(up: &Up) -> String {
    let line = up.says("metrics are at http://");
    let (_, rest) = line.split_once("http://").unwrap();
    rest.trim_end_matches("/metrics").to_owned()
}

/// A component that calls itself, each time in another instance, until it is stopped.
fn recursing() -> Folder {
    Folder::with(&application(&[
        http_servers(&["front", "hello"]),
        component("front", "chain-front", "", &["target: middle"]),
        component(
            "middle",
            "chain-middle",
            "",
            &["target: middle, timeout: 60s"],
        ),
        component("hello", "hello", "", &[]),
    ]))
}

#[test]
fn a_request_that_nests_calls_without_end_is_stopped_by_the_depth() {
    let folder = recursing();
    let up = folder.up(&[]);
    let [front, hello] = up.addresses(["front", "hello"]);
    assert_eq!(get(&front, "/").unwrap().status, 503);
    let said = up.says("request failed");
    assert!(said.contains("nested in 64 instances"), "{said}");
    assert!(said.contains("--max-depth"), "{said}");
    answers(&hello);
}

#[test]
fn calls_nested_deeper_than_its_share_take_nothing_from_another_component() {
    let folder = recursing();
    let instances = format!("--max-instances={INSTANCES}");
    let up = folder.up(&[&instances, "--max-depth=1000", "--metrics=127.0.0.1:0"]);
    let metrics = metrics_of(&up);
    let [front, hello] = up.addresses(["front", "hello"]);
    thread::scope(|scope| {
        let nesting: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| get(&front, "/").unwrap().status))
            .collect();
        // As long as any of them goes on.
        while nesting.iter().any(|nesting| !nesting.is_finished()) {
            answers(&hello);
        }
        for status in nesting {
            assert_eq!(status.join().unwrap(), 503);
        }
    });
    let said = up.says("request failed");
    assert!(
        said.contains("component `front` may have 20 instances"),
        "{said}"
    );
    assert!(said.contains("--component-share"), "{said}");
    // All of it is put down to the one that was entered.
    let refused = |component| {
        let labels = ["scope=\"component\"", component, "resource=\"instances\""];
        metric(&metrics, "withe_share_refused_total", &labels)
    };
    assert!(refused("component=\"front\"") >= 1.0);
    assert_eq!(refused("component=\"hello\""), 0.0);
    // Their slots are there again.
    answers(&hello);
    assert!(
        metric(
            &metrics,
            "withe_share_used",
            &["scope=\"host\"", "\"instances\""]
        ) <= 5.0
    );
}

#[test]
fn unfinished_requests_of_one_component_leave_room_for_another() {
    let folder = Folder::with(&application(&[
        http_servers(&["echo", "hello"]),
        component("echo", "http-echo", "", &[]),
        component("hello", "hello", "", &[]),
    ]));
    let instances = format!("--max-instances={INSTANCES}");
    let up = folder.up(&[&instances, "--metrics=127.0.0.1:0"]);
    let metrics = metrics_of(&up);
    let [echo, hello] = up.addresses(["echo", "hello"]);
    // The echo answers at once, and then waits for bodies that never come.
    let unfinished: Vec<_> = (0..3 * INSTANCES)
        .map(|_| Exchange::start(&echo, "POST /", 1 << 20).unwrap())
        .collect();
    let used = || {
        let labels = ["component=\"echo\"", "resource=\"instances\""];
        metric(&metrics, "withe_share_used", &labels)
    };
    // A half of all is its share, and it has it.
    while used() < INSTANCES as f64 / 2.0 {
        thread::yield_now();
    }
    for _ in 0..10 {
        answers(&hello);
    }
    assert_eq!(used(), INSTANCES as f64 / 2.0);
    drop(unfinished);
    let response = get(&echo, "/").unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn a_component_that_takes_memory_is_told_which_limit_it_met() {
    let folder = Folder::with(&application(&[
        http_servers(&["hello"]),
        component("hello", "hello", "", &[]),
    ]));
    // Its memory is larger than a half of this.
    let up = folder.up(&["--max-memory=1MiB"]);
    let [hello] = up.addresses(["hello"]);
    assert_eq!(get(&hello, "/").unwrap().status, 503);
    let said = up.says("request failed");
    assert!(
        said.contains("component `hello` may have 524288 bytes"),
        "{said}"
    );
    assert!(said.contains("--max-memory"), "{said}");
}

#[test]
fn so_many_wait_and_the_rest_is_refused_at_once() {
    let folder = Folder::with(&application(&[
        http_servers(&["echo"]),
        component("echo", "http-echo", "", &[]),
    ]));
    let up = folder.up(&["--max-instances=2", "--max-waiting=2"]);
    let [echo] = up.addresses(["echo"]);
    let mut first = Exchange::start(&echo, "POST /", 5).unwrap();
    assert_eq!(first.status().unwrap(), 200);
    // One waits, and the second that would wait is not kept: one of both is answered.
    let waiting: Vec<_> = (0..2)
        .map(|_| Exchange::start(&echo, "POST /", 5).unwrap())
        .collect();
    let said = up.says("request failed");
    assert!(
        said.contains("component `echo` may have 1 calls that wait"),
        "{said}"
    );
    assert!(said.contains("--max-waiting"), "{said}");
    drop((first, waiting));
}
