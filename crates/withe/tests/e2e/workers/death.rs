//! A worker that is killed, or hangs, in the middle of what it does.

use std::thread;

use super::{Rig, eventually, is_busy, kill_now, send, stop_now};
use crate::support::client::{Exchange, get};
use crate::support::manifest::{application, component, http_server, http_servers};

/// `hello` calls `ops` in a worker; nothing that `beside` does leads there.
fn hello(link: &str) -> String {
    let link = format!("target: ops, binding: unix, {link}");
    application(&[
        http_servers(&["hello", "beside"]),
        component("hello", "hello-calls", "", &[&link]),
        component("ops", "ops", "", &[]),
        component("beside", "hello", "", &[]),
    ])
}

/// `get` of the given address answers.
fn answers(address: &str, path: &str, text: &str) {
    let response = get(address, path).unwrap();
    assert_eq!((response.status, response.text().trim_end()), (200, text));
}

#[test]
fn a_killed_worker_fails_the_calls_that_it_had_and_no_others() {
    let rig = Rig::start(&hello("timeout: 100s"), &[]);
    let [hello, beside] = rig.up.addresses(["hello", "beside"]);
    for _ in 0..2 {
        answers(&hello, "/add", "hello 3");
        let worker = rig.worker();
        let call = thread::spawn({
            let hello = hello.clone();
            move || get(&hello, "/spin").unwrap().status
        });
        is_busy(worker);
        let mut beside_it = Exchange::start(&beside, "GET /", 0).unwrap();
        kill_now(worker);
        assert_eq!(beside_it.status().unwrap(), 200);
        assert_eq!(call.join().unwrap(), 500);
        let line = rig.up.says("link `hello` -> `ops`");
        for text in ["t:bench/ops.spin", "unix", "unreachable", "was lost"] {
            assert!(line.contains(text), "no {text:?} in {line}");
        }
        // Nobody has to do anything: the worker is started again, and the call waits for it.
        answers(&hello, "/add", "hello 3");
        answers(&beside, "/", "hello");
        assert_ne!(rig.worker(), worker);
    }
}

#[test]
fn a_killed_worker_breaks_its_streams_off() {
    let rig = Rig::start(
        &application(&[
            http_server("upper"),
            component("upper", "upper-p3", "", &["target: pipe, binding: unix"]),
            component("pipe", "async-p3", "", &[]),
        ]),
        &[],
    );
    let address = rig.up.address();
    for _ in 0..2 {
        let mut exchange = half_way(&address, "HALF");
        kill_now(rig.worker());
        // The body is cut short: that must not look like its end.
        breaks_off(&mut exchange);
        let line = rig.up.says("broke off");
        for text in ["app/upper", "was lost"] {
            assert!(line.contains(text), "no {text:?} in {line}");
        }
        let mut exchange = half_way(&address, "HALF");
        exchange.send(b"rest").unwrap();
        assert_eq!(exchange.receive(4).unwrap(), b"REST");
        assert_eq!(exchange.part().unwrap(), None);
    }
}

#[test]
fn a_killed_worker_takes_the_resources_along_that_callers_hold() {
    for scope in ["caller", "shared"] {
        let link = format!("target: resources, binding: unix, scope: {scope}");
        let rig = Rig::start(
            &application(&[
                http_server("holder"),
                component("holder", "holder", "", &[&link]),
                component("resources", "resources", "", &[]),
            ]),
            &[],
        );
        let address = rig.up.address();
        let mut exchange = half_way(&address, "half");
        kill_now(rig.worker());
        // The resource is gone, also when the worker is there again: no other is taken for it. Calls
        // that were sent before the host knew that the worker was gone are not sent again.
        eventually("the worker is there again", || {
            get(&address, "/live").unwrap().text() == "0"
        });
        exchange.send(b"rest").unwrap();
        breaks_off(&mut exchange);
        let line = rig.up.says("link `holder` -> `resources`");
        assert!(line.contains("t:resources/counters"), "{scope}: {line}");

        let mut exchange = half_way(&address, "half");
        exchange.send(b"rest").unwrap();
        assert_eq!(exchange.receive(8).unwrap(), b"restheld");
        assert_eq!(exchange.part().unwrap(), None);
        eventually("nothing is held", || {
            get(&address, "/live").unwrap().text() == "0"
        });
    }
}

#[test]
fn a_hung_worker_fails_calls_by_their_deadline_and_then_goes_on() {
    let rig = Rig::start(&hello("timeout: 3s"), &[]);
    let [hello, beside] = rig.up.addresses(["hello", "beside"]);
    answers(&hello, "/add", "hello 3");
    let worker = rig.worker();
    stop_now(worker);
    for _ in 0..2 {
        assert_eq!(get(&hello, "/add").unwrap().status, 500);
        let line = rig.up.says("link `hello` -> `ops`");
        for text in ["t:bench/ops.add", "unix", "the deadline passed"] {
            assert!(line.contains(text), "no {text:?} in {line}");
        }
        answers(&beside, "/", "hello");
    }
    send("CONT", worker);
    // The first may still meet what waited meanwhile.
    eventually("the worker goes on", || {
        get(&hello, "/add").unwrap().status == 200
    });
    assert_eq!(rig.worker(), worker);
}

/// A request of which half is sent, and that half has come back.
fn half_way(address: &str, half: &str) -> Exchange {
    let mut exchange = Exchange::start(address, "POST /", 8).unwrap();
    exchange.send(b"half").unwrap();
    assert_eq!(exchange.status().unwrap(), 200);
    assert_eq!(exchange.receive(4).unwrap(), half.as_bytes());
    exchange
}

/// The response ends without its end.
fn breaks_off(exchange: &mut Exchange) {
    while let Ok(part) = exchange.part() {
        assert!(part.is_some(), "the response ended as if it were whole");
    }
}
