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

/// A page that is served.
pub(super) struct Page {
    /// As `HOST:PORT`.
    pub(super) address: String,
    /// The secret of its address.
    pub(super) secret: String,
}

impl Page {
    /// The one that a command serves.
    pub(super) fn of(up: &Up) -> Self {
        let line = up.says("the page is at http://");
        let (_, url) = line.split_once("http://").unwrap();
        let (address, secret) = url.split_once("/#token=").unwrap();
        Self {
            address: address.to_owned(),
            secret: secret.trim_end().to_owned(),
        }
    }

    /// Sends a request that has the secret.
    fn send(&self, request: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let secret = [("x-withe-token", self.secret.as_str())];
        send(&self.address, request, &[headers, &secret].concat(), body)
    }

    /// Asks for a path as the page does.
    fn ask(&self, path: &str) -> Answer {
        let headers = [("host", self.address.as_str())];
        self.send(&format!("GET {path}"), &headers, "")
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.ask(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// Waits until an answer is as it should be.
    fn eventually(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        self.after(|| (), path, is_so)
    }

    /// The same, where something is done before each time that it is asked.
    fn after(&self, act: impl Fn(), path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + LONG;
        loop {
            act();
            let answer = self.json(path);
            if is_so(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "not in time: {path}: {answer:#}");
            thread::sleep(Duration::from_millis(20));
        }
    }
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

fn find<'a>(all: &'a Value, of: &str, target: &str) -> &'a Value {
    let mut all = all[of].as_array().unwrap().iter();
    let found = all.find(|one| one["target"] == target || one["name"] == target);
    found.unwrap_or(&Value::Null)
}

#[test]
fn the_api_shows_what_an_application_does() {
    let folder = shop();
    let up = folder.up(&["--ui=127.0.0.1:0"]);
    let page = Page::of(&up);
    let address = up.address();
    up.says("`app` runs");
    // The page has it from the lattice's records, which may be a moment behind.
    let lattice = page.eventually("/api/lattice", |lattice| {
        lattice["applications"][0]["status"] == "runs"
            && find(lattice, "links", "ops")["on"][0].is_object()
    });
    assert_eq!(find(&lattice, "parts", "ops")["kind"], "component");
    let link = find(&lattice, "links", "ops");
    assert_eq!(link["on"][0]["binding"], "local", "{lattice:#}");
    assert!(!link["on"][0]["why"].as_str().unwrap().is_empty());

    for path in ["/add", "/add", "/trap"] {
        get(&address, path).unwrap();
    }
    let rates = page.eventually("/api/rates", |rates| {
        let calls = |target| find(rates, "links", target)["calls"] == 3;
        calls("ops") && calls("hello")
    });
    let ops = find(&rates, "links", "ops");
    assert_eq!(ops["kinds"], json!({"trap": 1}), "{rates:#}");
    assert_eq!(ops["by"][0]["interface"], "t:bench/ops", "{rates:#}");
    assert!(ops["p50"].as_u64() <= ops["p99"].as_u64(), "{rates:#}");
    // Requests are traced while somebody looks, which on a slow machine may be too long ago.
    let look_and_get = |path: &str| {
        page.json("/api/lattice");
        get(&address, path).unwrap();
    };
    let is_of =
        |trace: &Value, failed: bool| trace["spans"] == 2 && (trace["errors"] != 0) == failed;
    let traced = |path: &str, failed: bool| {
        page.after(
            || look_and_get(path),
            "/api/traces",
            |traces| {
                let mut all = traces.as_array().unwrap().iter();
                all.any(|trace| is_of(trace, failed))
            },
        )
    };
    traced("/add", false);
    let traces = traced("/trap", true);
    let mut failed = traces.as_array().unwrap().iter();
    let failed = failed.find(|trace| is_of(trace, true)).unwrap();
    let id = failed["id"].as_str().unwrap();
    let spans = page.json(&format!("/api/traces/{id}"));
    assert_eq!(spans[0]["name"], "GET hello", "{spans:#}");
    assert_eq!(spans[1]["parent"], spans[0]["id"], "{spans:#}");
    assert_eq!(page.ask("/api/traces/none").status, 404);

    get(&address, "/shout").unwrap();
    let lines = page.eventually("/api/lines?part=hello", |lines| {
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
    let Page {
        address: server,
        secret,
    } = Page::of(&up);
    let address = up.address();
    up.says("`app` runs");
    let mut stream = TcpStream::connect(&server).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // A browser sends no headers with it.
    write!(
        stream,
        "GET /api/live?token={secret} HTTP/1.1\r\nhost: {server}\r\n\r\n"
    )
    .unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let head: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert!(
        head.iter()
            .any(|line| line == "content-type: text/event-stream"),
        "{head:#?}"
    );
    let mut next = move || {
        let name = lines.find_map(|line| line.strip_prefix("event: ").map(str::to_owned));
        let data = lines.next().unwrap();
        let told: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        (name.unwrap(), told)
    };
    // First all that there is. Nobody has looked before, so there are no rates and no traces.
    for wanted in ["lattice", "rates", "lines", "events", "traces"] {
        let (name, told) = next();
        assert_eq!(name, wanted);
        match wanted {
            "rates" => assert!(find(&told, "links", "ops").is_null(), "{told:#}"),
            "traces" => assert_eq!(told, json!([])),
            _ => {}
        }
    }
    // Then what is new, without being asked: hosts were looked at, so that what comes now is traced and printed.
    while next().0 != "lattice" {}
    get(&address, "/add").unwrap();
    get(&address, "/shout").unwrap();
    let mut missing = vec!["rates", "lines", "traces"];
    while !missing.is_empty() {
        let (name, told) = next();
        let is_so = match name.as_str() {
            "rates" => find(&told, "links", "ops")["calls"] == 1,
            "lines" => told
                .as_array()
                .unwrap()
                .iter()
                .any(|line| line["level"] == "out"),
            "traces" => told[0]["spans"].as_u64() >= Some(1),
            _ => false,
        };
        if is_so {
            missing.retain(|missing| *missing != name);
        }
    }
}

#[test]
fn the_page_is_for_those_who_were_given_its_address() {
    let folder = shop();
    let up = folder.up(&["--ui=127.0.0.1:0", "--ui-name=build.example"]);
    let page = Page::of(&up);
    up.says("`app` runs");
    for path in ["/", "/app.js", "/style.css", "/api/about", "/api/none"] {
        let answer = page.ask(path);
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
    assert_eq!(page.ask("/api/none").status, 404);
    // Other users of the machine are shown nothing but the page itself, which shows nothing then.
    for path in [
        "about", "lattice", "rates", "lines", "events", "traces", "live", "none",
    ] {
        for given in ["", "?token=", "?token=0123"] {
            let request = format!("GET /api/{path}{given}");
            let refused = send(&page.address, &request, &[("host", &page.address)], "");
            assert_eq!(refused.status, 403, "{request}: {}", refused.body);
            assert!(refused.body.contains("#token="), "{}", refused.body);
        }
    }
    let query = format!("GET /api/about?token={}", page.secret);
    let by_query = send(&page.address, &query, &[("host", &page.address)], "");
    assert_eq!(by_query.status, 200);
    let html = send(&page.address, "GET /", &[("host", &page.address)], "");
    assert!(!html.body.contains(&page.secret));
    let asked_as = |host: &str| page.send("GET /api/about", &[("host", host)], "");
    assert_eq!(asked_as("build.example:80").status, 200);
    assert_eq!(asked_as("localhost").status, 200);
    let refused = asked_as("evil.example");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("--ui-name"), "{}", refused.body);
    let deleted = page.send("DELETE /", &[("host", &page.address)], "");
    assert_eq!(deleted.status, 405);
    let about = page.json("/api/about");
    assert_eq!(about["calls"], false);
    let called = page.send(
        "POST /api/call",
        &[
            ("host", &page.address),
            ("content-type", "application/json"),
        ],
        "{}",
    );
    assert_eq!(called.status, 403, "{}", called.body);
    assert!(called.body.contains("--ui-allow-calls"), "{}", called.body);
    assert_eq!(
        page.ask("/api/functions?application=app&component=ops")
            .status,
        403
    );
}

#[test]
fn exports_are_called_where_that_is_allowed() {
    let folder = shop();
    let up = folder.up(&["--ui=127.0.0.1:0", "--ui-allow-calls"]);
    let page = Page::of(&up);
    up.says("`app` runs");
    let functions = page.json("/api/functions?application=app&component=ops");
    let all = functions.as_array().unwrap();
    let add = all
        .iter()
        .find(|function| function["name"] == "add")
        .unwrap();
    assert_eq!(add["params"][0], json!({"name": "a", "type": "u32"}));
    let call_with = |secret: &str, origin: &str, call: &Value| {
        let headers = [
            ("host", page.address.as_str()),
            ("origin", origin),
            ("content-type", "application/json"),
            ("x-withe-token", secret),
        ];
        send(&page.address, "POST /api/call", &headers, &call.to_string())
    };
    let own = format!("http://{}", page.address);
    let call = |function: &str, arguments: &str| {
        let call = json!({
            "application": "app", "component": "ops", "interface": add["interface"], "function": function,
            "arguments": arguments,
        });
        call_with(&page.secret, &own, &call)
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
        call_with(&page.secret, "http://evil.example", &wanted).status,
        403
    );
    assert_eq!(
        call_with(&page.secret, &own, &json!({"application": 1})).status,
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
    let page = Page::of(&ui);
    page.eventually("/api/lattice", |lattice| {
        find(lattice, "links", "ops")["on"][0]["binding"] == "local"
    });
    get(&address, "/add").unwrap();
    page.eventually("/api/rates", |rates| {
        find(rates, "links", "ops")["calls"] == 1
    });
    let look_and_get = || {
        page.json("/api/lattice");
        get(&address, "/add").unwrap();
    };
    page.after(look_and_get, "/api/traces", |traces| {
        let mut all = traces.as_array().unwrap().iter();
        all.any(|trace| trace["spans"] == 2)
    });
    page.eventually("/api/lines", |lines| !lines.as_array().unwrap().is_empty());

    let figures = folder.run(&["top", "--json"]);
    let figures: Value = serde_json::from_str(figures.printed()).unwrap();
    let calls = figures["rates"]["links"][0]["calls"].as_u64();
    assert!(calls >= Some(2), "{figures:#}");
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
