//! The page of `--ui` and `withe ui`, and its API.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::get;
use crate::support::manifest::{application, component, http_server};
use crate::support::process::Up;
use crate::support::{Folder, LONG};

/// A server of HTTP, a component that calls another, and that one.
pub(super) fn shop() -> Folder {
    Folder::with(&application(&[
        http_server("hello"),
        component("hello", "hello-calls", "", &["target: ops, binding: local"]),
        component("ops", "ops", "", &[]),
    ]))
}

/// An answer of the page's server.
pub(super) struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

/// Where the page is, as `HOST:PORT`, and the secret of its address.
pub(super) fn page(up: &Up) -> (String, Option<String>) {
    let line = up.says("the page is at http://");
    let (_, url) = line.split_once("http://").unwrap();
    let (address, secret) = url.split_once('/').unwrap();
    let secret = secret.strip_prefix("#token=").map(str::to_owned);
    (address.to_owned(), secret)
}

/// Sends a request with these headers besides its length.
fn send(address: &str, request: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut head = format!("{request} HTTP/1.1\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let length = body.len();
    write!(stream, "{head}content-length: {length}\r\n\r\n{body}").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let (first, headers) = head.split_once("\r\n").unwrap();
    Answer {
        status: first.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: headers.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

/// Asks for a path as a browser does.
fn ask(address: &str, path: &str) -> Answer {
    send(address, &format!("GET {path}"), &[("host", address)], "")
}

fn json_of(address: &str, path: &str) -> Value {
    let answer = ask(address, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

/// Waits until an answer is as it should be.
fn eventually(address: &str, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + LONG;
    loop {
        let answer = json_of(address, path);
        if is_so(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "not in time: {path}: {answer:#}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn find<'a>(all: &'a Value, of: &str, target: &str) -> &'a Value {
    let mut all = all[of].as_array().unwrap().iter();
    let found = all.find(|one| one["target"] == target || one["name"] == target);
    found.unwrap_or(&Value::Null)
}

#[test]
fn the_api_shows_what_an_application_does() {
    let folder = shop();
    let up = folder.up(&["--ui=127.0.0.1:0"]);
    let (page, secret) = page(&up);
    assert_eq!(secret, None);
    let address = up.address();
    up.says("`app` runs");
    let lattice = json_of(&page, "/api/lattice");
    assert_eq!(lattice["applications"][0]["status"], "runs", "{lattice:#}");
    assert_eq!(find(&lattice, "parts", "ops")["kind"], "component");
    let link = find(&lattice, "links", "ops");
    assert_eq!(link["on"][0]["binding"], "local", "{lattice:#}");
    assert!(!link["on"][0]["why"].as_str().unwrap().is_empty());

    // Somebody has looked: what comes now is traced.
    for path in ["/add", "/add", "/trap"] {
        get(&address, path).unwrap();
    }
    let rates = eventually(&page, "/api/rates", |rates| {
        let calls = |target| find(rates, "links", target)["calls"] == 3;
        calls("ops") && calls("hello")
    });
    let ops = find(&rates, "links", "ops");
    assert_eq!(ops["kinds"], json!({"trap": 1}), "{rates:#}");
    assert_eq!(ops["by"][0]["interface"], "t:bench/ops", "{rates:#}");
    assert!(ops["p50"].as_u64() <= ops["p99"].as_u64(), "{rates:#}");
    let traces = eventually(&page, "/api/traces", |traces| {
        let all = traces.as_array().unwrap();
        all.len() == 3 && all.iter().all(|trace| trace["spans"] == 2)
    });
    let failed = traces.as_array().unwrap().iter();
    let failed: Vec<_> = failed.filter(|trace| trace["errors"] != 0).collect();
    assert_eq!(failed.len(), 1, "{traces:#}");
    let id = failed[0]["id"].as_str().unwrap();
    let spans = json_of(&page, &format!("/api/traces/{id}"));
    assert_eq!(spans[0]["name"], "GET hello", "{spans:#}");
    assert_eq!(spans[1]["parent"], spans[0]["id"], "{spans:#}");
    assert_eq!(ask(&page, "/api/traces/none").status, 404);

    get(&address, "/shout").unwrap();
    let lines = eventually(&page, "/api/lines?part=hello", |lines| {
        let all = lines.as_array().unwrap();
        all.iter().any(|line| line["level"] == "out")
    });
    let first = &lines[0];
    assert_eq!(
        (&first["part"], &first["application"]),
        (&json!("hello"), &json!("app"))
    );
    assert!(lines.as_array().unwrap().len() <= 1_000);
}

#[test]
fn what_happens_is_told_as_it_happens() {
    let folder = shop();
    let up = folder.up(&["--ui=127.0.0.1:0"]);
    let (page, _) = page(&up);
    let address = up.address();
    up.says("`app` runs");
    let mut stream = TcpStream::connect(&page).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(stream, "GET /api/live HTTP/1.1\r\nhost: {page}\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let head: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert!(
        head.iter()
            .any(|line| line == "content-type: text/event-stream"),
        "{head:#?}"
    );
    // It is told without being asked, when a call was made.
    get(&address, "/add").unwrap();
    let mut names = Vec::new();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("event: ") else {
            continue;
        };
        names.push(name.to_owned());
        let data = lines.next().unwrap();
        let told: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        if name == "rates" && find(&told, "links", "ops")["calls"] == 1 {
            break;
        }
    }
    for name in ["lattice", "rates", "lines", "events", "traces"] {
        assert!(
            names.iter().any(|told| told == name),
            "no {name} in {names:?}"
        );
    }
}

#[test]
fn the_page_is_for_those_who_were_given_its_address() {
    let folder = shop();
    let up = folder.up(&["--ui=127.0.0.1:0", "--ui-name=build.example"]);
    let (page, _) = page(&up);
    up.says("`app` runs");
    for path in ["/", "/app.js", "/style.css", "/api/about", "/api/none"] {
        let answer = ask(&page, path);
        let policy = answer
            .headers
            .lines()
            .find(|line| line.starts_with("content-security-policy: "));
        let policy = policy.unwrap_or_else(|| panic!("{path}: {}", answer.headers));
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        for header in [
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "referrer-policy: no-referrer",
        ] {
            assert!(
                answer.headers.contains(header),
                "{path}: {}",
                answer.headers
            );
        }
    }
    assert_eq!(ask(&page, "/api/none").status, 404);
    let asked_as = |host: &str| send(&page, "GET /api/about", &[("host", host)], "");
    assert_eq!(asked_as("build.example:80").status, 200);
    assert_eq!(asked_as("localhost").status, 200);
    let refused = asked_as("evil.example");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("--ui-name"), "{}", refused.body);
    assert_eq!(send(&page, "DELETE /", &[("host", &page)], "").status, 405);
    let about = json_of(&page, "/api/about");
    assert_eq!(about["calls"], false);
    let called = send(
        &page,
        "POST /api/call",
        &[("host", &page), ("content-type", "application/json")],
        "{}",
    );
    assert_eq!(called.status, 403, "{}", called.body);
    assert!(called.body.contains("--ui-allow-calls"), "{}", called.body);
    assert_eq!(
        ask(&page, "/api/functions?application=app&component=ops").status,
        403
    );
}

#[test]
fn exports_are_called_where_that_is_allowed() {
    let folder = shop();
    let up = folder.up(&["--ui=127.0.0.1:0", "--ui-allow-calls"]);
    let (page, secret) = page(&up);
    let secret = secret.unwrap();
    up.says("`app` runs");
    let functions = json_of(&page, "/api/functions?application=app&component=ops");
    let all = functions.as_array().unwrap();
    let add = all
        .iter()
        .find(|function| function["name"] == "add")
        .unwrap();
    assert_eq!(add["params"][0], json!({"name": "a", "type": "u32"}));
    let call_with = |secret: &str, origin: &str, call: &Value| {
        let headers = [
            ("host", page.as_str()),
            ("origin", origin),
            ("content-type", "application/json"),
            ("x-withe-token", secret),
        ];
        send(&page, "POST /api/call", &headers, &call.to_string())
    };
    let own = format!("http://{page}");
    let call = |function: &str, arguments: &str| {
        let call = json!({
            "application": "app", "component": "ops", "interface": add["interface"], "function": function,
            "arguments": arguments,
        });
        call_with(&secret, &own, &call)
    };
    let called = call("add", "1, 2");
    assert_eq!(
        (called.status, called.json()["result"].as_str()),
        (200, Some("3")),
        "{}",
        called.body
    );
    assert_eq!(call("greet", "\"you\"").json()["result"], "\"hello, you\"");
    for (function, arguments, why) in [
        ("add", "1", "add"),
        ("none", "", "exports no function `none`"),
        ("trap", "", "unreachable"),
    ] {
        let called = call(function, arguments);
        assert_eq!(called.status, 422, "{}", called.body);
        assert!(called.body.contains(why), "{}", called.body);
    }
    let wanted = json!({"application": "app", "component": "ops", "function": "add"});
    assert_eq!(call_with("0123", &own, &wanted).status, 403);
    assert_eq!(
        call_with(&secret, "http://evil.example", &wanted).status,
        403
    );
    assert_eq!(
        call_with(&secret, &own, &json!({"application": 1})).status,
        400
    );
}

#[test]
fn another_process_shows_what_runs_here() {
    let folder = shop();
    let up = folder.up(&[]);
    let address = up.address();
    up.says("`app` runs");
    let ui = Up::start(folder.command(&["ui", "--listen=0"]));
    let (page, secret) = page(&ui);
    assert_eq!(secret, None);
    let lattice = json_of(&page, "/api/lattice");
    assert_eq!(find(&lattice, "links", "ops")["on"][0]["binding"], "local");
    get(&address, "/add").unwrap();
    eventually(&page, "/api/rates", |rates| {
        find(rates, "links", "ops")["calls"] == 1
    });
    eventually(&page, "/api/traces", |traces| traces[0]["spans"] == 2);
    eventually(&page, "/api/lines", |lines| {
        !lines.as_array().unwrap().is_empty()
    });

    let figures = folder.run(&["top", "--json"]);
    let figures: Value = serde_json::from_str(figures.printed()).unwrap();
    assert_eq!(figures["rates"]["links"][0]["calls"], 1, "{figures:#}");
    let text = folder.run(&["top", "--once", "--app=app", "--sort=name"]);
    let text = text.printed();
    for shown in [
        "hello → ops",
        "local",
        "INSTANCES",
        "1 host, 1 application, 3 parts",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    // Its output is no terminal.
    folder.run(&["top"]).failed(&["`withe top --once`"]);
}

#[test]
fn a_page_that_cannot_be_served_keeps_the_application_from_starting() {
    let folder = shop();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = folder.run(&["up", "app.yaml", "--ui", &address]);
    ended.failed(&[&format!("cannot listen at `{address}` for the page")]);
}
