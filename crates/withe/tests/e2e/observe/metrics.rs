//! Tests the metrics that `--metrics` serves.

use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::support::client::get;
use crate::support::manifest::{application, component, http_server, http_servers};
use crate::support::process::Up;
use crate::support::rig::{Rig, eventually};
use crate::support::shipped::gallery_of;
use crate::support::{Folder, LONG};

/// Where the metrics of what runs are, as `HOST:PORT`.
fn address_of_metrics(up: &Up) -> String {
    let line = up.says("metrics are at http://");
    let (_, rest) = line.split_once("http://").unwrap();
    rest.trim_end_matches("/metrics").to_owned()
}

fn metrics(address: &str) -> String {
    let response = get(address, "/metrics").unwrap();
    assert_eq!(response.status, 200);
    response.text()
}

/// The values of all series of a name that have all of these labels, added up; `None` if there are none.
fn value(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let of = |line: &&str| {
        let series = line.strip_prefix(name).and_then(|l| l.strip_prefix('{'));
        series.is_some_and(|series| labels.iter().all(|label| series.contains(label)))
    };
    let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
    text.lines().filter(of).map(value).reduce(|a, b| a + b)
}

fn calls(text: &str, target: &str) -> Option<f64> {
    let target = format!("target=\"{target}\"");
    value(text, "withe_link_calls_total", &[&target])
}

#[test]
fn calls_and_requests_are_counted_and_so_is_how_they_fail() {
    for binding in ["local", "unix"] {
        let link = format!("target: ops, binding: {binding}");
        let folder = Folder::with(&application(&[
            http_server("hello"),
            component("hello", "hello-calls", "", &[&link]),
            component("ops", "ops", "", &[]),
        ]));
        let up = folder.up(&["--metrics=127.0.0.1:0"]);
        let metrics_at = address_of_metrics(&up);
        let address = up.address();
        for path in ["/add", "/add", "/trap"] {
            get(&address, path).unwrap();
        }
        let text = metrics(&metrics_at);
        let bound = format!("binding=\"{binding}\"");
        let link = [
            "application=\"app\"",
            "source=\"hello\"",
            "target=\"ops\"",
            "link=\"default\"",
            "interface=\"t:bench/ops\"",
            bound.as_str(),
        ];
        let of_link = |name: &str, more: &[&str]| value(&text, name, &[&link, more].concat());
        assert_eq!(of_link("withe_link_calls_total", &[]), Some(3.0), "{text}");
        assert_eq!(of_link("withe_link_errors_total", &[]), Some(1.0), "{text}");
        let traps = of_link("withe_link_errors_total", &["kind=\"trap\""]);
        assert_eq!(traps, Some(1.0), "{text}");
        let count = of_link("withe_link_call_duration_seconds_count", &[]);
        assert_eq!(count, Some(3.0), "{text}");
        assert!(
            of_link("withe_link_call_duration_seconds_sum", &[]) > Some(0.0),
            "{text}"
        );
        // Of two calls two small numbers, and their sums.
        assert_eq!(
            of_link("withe_link_sent_bytes_total", &[]),
            Some(4.0),
            "{text}"
        );
        assert_eq!(
            of_link("withe_link_received_bytes_total", &[]),
            Some(2.0),
            "{text}"
        );

        let hello = "component=\"hello\"";
        let requests = |status: &str| {
            let status = format!("status=\"{status}\"");
            value(&text, "withe_http_requests_total", &[hello, &status])
        };
        assert_eq!(requests("2xx"), Some(2.0), "{text}");
        assert_eq!(requests("failed"), Some(1.0), "{text}");
        // Units of another process are counted as well.
        assert_eq!(value(&text, "withe_units", &[]), Some(2.0), "{text}");
        assert!(value(&text, "withe_instances", &[]).is_some(), "{text}");

        // Requests are answered from a moment before that.
        up.says("`app` runs");
        for path in ["/livez", "/healthz"] {
            assert_eq!(get(&metrics_at, path).unwrap().text(), "ok\n");
        }
        assert_eq!(get(&metrics_at, "/readyz").unwrap().text(), "ready\n");
        assert_eq!(get(&metrics_at, "/other").unwrap().status, 404);
    }
}

#[test]
fn links_that_are_gone_are_counted_no_more_and_those_that_stay_go_on() {
    let version = |target: &str, binding: &str| {
        let link = format!("target: {target}, binding: {binding}");
        application(&[
            http_servers(&["hello", "other"]),
            component("hello", "hello-calls", "", &[&link]),
            component(
                "other",
                "hello-calls",
                "",
                &["target: stays, binding: local"],
            ),
            component(target, "ops", "", &[]),
            component("stays", "ops", "", &[]),
        ])
    };
    let folder = Folder::with(&version("left", "local"));
    let up = folder.up(&["--metrics=127.0.0.1:0", "--watch"]);
    let metrics_at = address_of_metrics(&up);
    let [hello, other] = up.addresses(["hello", "other"]);
    up.says("`app` runs");
    // Calls under way may hold old links for a moment.
    let until = |what: &str, is_so: &dyn Fn(&str) -> bool| {
        let deadline = Instant::now() + LONG;
        loop {
            let text = metrics(&metrics_at);
            if is_so(&text) {
                return;
            }
            assert!(Instant::now() < deadline, "not in time: {what}: {text}");
            thread::sleep(Duration::from_millis(20));
        }
    };
    let add = |address: &str| assert_eq!(get(address, "/add").unwrap().status, 200);
    add(&hello);
    add(&other);
    let text = metrics(&metrics_at);
    assert_eq!(calls(&text, "left"), Some(1.0), "{text}");
    assert_eq!(calls(&text, "stays"), Some(1.0), "{text}");

    folder.write("app.yaml", &version("right", "local"));
    up.says("`app` reloaded");
    add(&hello);
    add(&other);
    until("the old link is gone", &|text| {
        calls(text, "left").is_none()
    });
    let text = metrics(&metrics_at);
    assert_eq!(calls(&text, "right"), Some(1.0), "{text}");
    assert_eq!(calls(&text, "stays"), Some(2.0), "{text}");

    folder.write("app.yaml", &version("right", "fused"));
    up.says("`app` reloaded");
    add(&hello);
    until("a fused link is not counted", &|text| {
        calls(text, "right").is_none()
    });
    let text = metrics(&metrics_at);
    let listed = ["target=\"right\"", "binding=\"fused\""];
    assert_eq!(
        value(&text, "withe_link_info", &listed),
        Some(1.0),
        "{text}"
    );
    assert_eq!(calls(&text, "stays"), Some(2.0), "{text}");
}

#[test]
fn metrics_that_cannot_be_served_keep_the_application_from_starting() {
    let folder = Folder::with(&application(&[
        http_server("hello"),
        component("hello", "hello", "", &[]),
    ]));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = folder.run(&["up", "app.yaml", "--metrics", &address]);
    ended.failed(&[&format!("cannot listen at `{address}` for `--metrics`")]);
}

/// The number of calls that a provider of the gallery has counted of an operation of its backend.
fn backend_calls(text: &str, provider: &str, backend: &str, operation: &str) -> Option<f64> {
    let labels = [
        ("provider", provider),
        ("backend", backend),
        ("operation", operation),
    ];
    let labels = labels.map(|(name, label)| format!("{name}=\"{label}\""));
    let name = "withe_backend_call_duration_seconds_count";
    value(text, name, &labels.each_ref().map(String::as_str))
}

#[test]
fn calls_of_backends_are_counted_in_the_host_and_in_a_process() {
    for process in [false, true] {
        let mut manifest = gallery_of("gallery.yaml");
        if process {
            for image in ["withe:sql", "withe:blobstore", "withe:http-client"] {
                let image = format!("image: {image}\n");
                assert!(manifest.contains(&image), "{image}");
                manifest = manifest.replace(&image, &format!("{image}        process: true\n"));
            }
        }
        let folder = Folder::with(&manifest);
        // A process is given the folders that it may change when it starts, so they have to be there.
        fs::create_dir_all(folder.path("data/pictures")).unwrap();
        let up = folder.up(&["--metrics=127.0.0.1:0"]);
        let metrics_at = address_of_metrics(&up);
        let mut rig = Rig::of(folder, up);
        let address = rig.up.address();
        assert_eq!(get(&address, "/").unwrap().status, 200);
        let url = format!("http://{address}/notes");
        let (status, _) = crate::events::post(&address, "/pictures/notes.txt", &url).unwrap();
        assert_eq!(status, 201);
        // A process tells of its counts with its health, every few seconds.
        eventually("the calls are counted", || {
            let text = metrics(&metrics_at);
            backend_calls(&text, "database", "sqlite", "query") > Some(0.0)
                && backend_calls(&text, "pictures", "folder", "write") == Some(1.0)
                && backend_calls(&text, "web", "http", "GET") == Some(1.0)
        });
        let text = metrics(&metrics_at);
        assert_eq!(backend_calls(&text, "web", "http", "POST"), None, "{text}");
        assert!(text.contains("withe_backend_errors_total{"), "{text}");
        rig.up.interrupt();
        assert_eq!(rig.up.exit_code(), Some(0));
    }
}
