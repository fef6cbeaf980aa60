//! An application that is stopped, or changed, while it serves.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::Folder;
use crate::support::client::{Exchange, get};
use crate::support::manifest::{application, component, http_server, http_server_at};

/// An application that sends back what it is sent.
fn echo(n: u32) -> String {
    let config = version(n);
    application(&[
        http_server("echo"),
        component("echo", "http-echo", &config, &[]),
    ])
}

/// Configuration that differs with `n`, so that the application does.
fn version(n: u32) -> String {
    format!("config: [{{name: version, properties: {{n: {n}}}}}]")
}

/// A request of which half is sent, and that half has come back.
fn half_way(address: &str) -> Exchange {
    let mut exchange = Exchange::start(address, "POST /", 8).unwrap();
    exchange.send(b"half").unwrap();
    assert_eq!(exchange.status().unwrap(), 200);
    assert_eq!(exchange.receive(4).unwrap(), b"half");
    exchange
}

/// The other half of the request, and the end of its response.
fn finish(mut exchange: Exchange) {
    exchange.send(b"rest").unwrap();
    assert_eq!(exchange.receive(4).unwrap(), b"rest");
    assert_eq!(exchange.part().unwrap(), None);
}

#[test]
fn a_request_under_way_finishes_when_the_application_is_stopped() {
    let folder = Folder::with(&echo(1));
    let mut up = folder.up(&[]);
    let exchange = half_way(&up.address());
    up.says("`app` runs");
    up.interrupt();
    up.says("stopping");
    finish(exchange);
    assert_eq!(up.exit_code(), Some(0));
}

#[test]
fn a_host_that_stops_is_not_ready_while_a_request_is_under_way() {
    let folder = Folder::with(&echo(1));
    let mut up = folder.up(&["--metrics=127.0.0.1:0"]);
    let line = up.says("metrics are at http://");
    let metrics_at = line.split("http://").nth(1).unwrap();
    let metrics_at = metrics_at.trim_end_matches("/metrics");
    let exchange = half_way(&up.address());
    up.says("runs; Ctrl-C stops it");
    let ready = get(metrics_at, "/readyz").unwrap();
    assert_eq!((ready.status, &*ready.text()), (200, "ready\n"));
    up.interrupt();
    up.says("stopping");
    let ready = get(metrics_at, "/readyz").unwrap();
    assert_eq!((ready.status, &*ready.text()), (503, "leaving\n"));
    assert_eq!(get(metrics_at, "/livez").unwrap().status, 200);
    finish(exchange);
    assert_eq!(up.exit_code(), Some(0));
}

#[test]
fn a_second_interrupt_does_not_wait_for_requests() {
    let folder = Folder::with(&echo(1));
    let mut up = folder.up(&[]);
    let mut exchange = half_way(&up.address());
    up.says("`app` runs");
    up.interrupt();
    up.says("stopping");
    up.interrupt();
    assert_eq!(up.exit_code(), Some(1));
    assert!(exchange.part().is_err(), "the response was cut short");
}

#[test]
fn a_request_under_way_outlives_a_change() {
    let folder = Folder::with(&echo(1));
    let mut up = folder.up(&["--watch"]);
    let address = up.address();
    up.says("`app` runs");
    let before = half_way(&address);
    folder.write("app.yaml", &echo(2));
    up.says("`app` reloaded");
    let after = half_way(&address);
    finish(before);
    finish(after);
    up.interrupt();
    assert_eq!(up.exit_code(), Some(0));
}

#[test]
fn no_request_fails_while_a_change_is_taken_over() {
    let manifest = |n: u32| {
        application(&[
            http_server("hello"),
            component("hello", "hello", &version(n), &[]),
        ])
    };
    serves_through_changes(&manifest);
}

#[test]
fn no_connection_is_refused_while_the_server_itself_is_replaced() {
    serves_through_changes(&|n| replaced_server(n, ""));
}

#[test]
fn no_connection_is_refused_while_the_process_of_the_server_is_replaced() {
    serves_through_changes(&|n| replaced_server(n, "process: true, "));
}

/// An application whose server is another one for each number.
fn replaced_server(n: u32, more: &str) -> String {
    let own = format!(
        "{more}config: [{{name: own, properties: {{max_connections: \"{}\"}}}}]",
        500 + n
    );
    let server = http_server("hello").replace(
        "\"withe:http-server\", ",
        &format!("\"withe:http-server\", {own}"),
    );
    assert!(server.contains("max_connections"), "{server}");
    application(&[server, component("hello", "hello", "", &[])])
}

/// Every request is answered while `hello` runs as `manifest` says it for one number after the other.
fn serves_through_changes(manifest: &dyn Fn(u32) -> String) {
    let folder = Folder::with(&manifest(1));
    let mut up = folder.up(&["--watch"]);
    let address = up.address();
    up.says("`app` runs");

    let stop = AtomicBool::new(false);
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // A panic here is handed on by the scope.
                    let response = get(&address, "/").unwrap();
                    assert_eq!((response.status, response.text()), (200, "hello\n".into()));
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let stopper = StopOnDrop(&stop);
        for n in 2..5 {
            folder.write("app.yaml", &manifest(n));
            up.says("`app` reloaded");
        }
        drop(stopper);
    });
    assert!(served.into_inner() > 0);
    up.interrupt();
    assert_eq!(up.exit_code(), Some(0));
}

#[test]
fn a_change_that_cannot_be_made_leaves_all_as_it_was() {
    let hello = || component("hello", "hello", "", &[]);
    let folder = Folder::with(&application(&[http_server("hello"), hello()]));
    let mut up = folder.up(&["--watch"]);
    let address = up.address();
    up.says("`app` runs");
    // One more server, at an address that this machine has not.
    let nowhere = http_server_at("203.0.113.1:80", "hello");
    let nowhere = nowhere
        .replace("name: http-server", "name: nowhere")
        .replace("name: listen", "name: elsewhere");
    for version in 2..4 {
        let changed = component("hello", "hello", &self::version(version), &[]);
        let all = [http_server("hello"), changed, nowhere.clone()];
        folder.write("app.yaml", &application(&all));
        up.says("provider `nowhere` could not link with `hello`");
        for _ in 0..20 {
            assert_eq!(get(&address, "/").unwrap().text(), "hello\n");
        }
    }
    // A directory that is not there.
    let grants = "grants: {directories: [{host: ./nowhere, guest: /data}]}";
    let granted = component("hello", "hello", grants, &[]);
    folder.write("app.yaml", &application(&[http_server("hello"), granted]));
    up.says("`hello` is granted the directory");
    assert_eq!(get(&address, "/").unwrap().text(), "hello\n");
    up.interrupt();
    assert_eq!(up.exit_code(), Some(0));
}

/// Ends the threads also when waiting for the command fails, so that the failure is seen.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
