//! Components between a server and a handler, and between a component and the world: requests that one component
//! passes on to another, over every binding.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use withe_testing::nats::NatsServer;

use crate::support::client::{Exchange, get};
use crate::support::manifest::{
    LISTEN, application, component, entry, http_server, http_servers, provider, scaled,
};
use crate::support::process::Up;
use crate::support::{Folder, LONG, guest};

/// A gate, and the handler behind it, of WASI 0.2 and of 0.3.
const PAIRS: [(&str, &str); 2] = [("http-gate", "http-echo"), ("http-gate-p3", "http-echo-p3")];
/// A gate of the one release before a handler of the other, which the host translates between.
const MIXED: [(&str, &str); 2] = [("http-gate", "http-echo-p3"), ("http-gate-p3", "http-echo")];
const BINDINGS: [&str; 5] = ["fused", "local", "unix", "tcp", "nats"];
/// The bindings over which the host is between the two.
const APART: [&str; 4] = ["local", "unix", "tcp", "nats"];

/// Each pair with each of the bindings that can be between the two.
fn table() -> impl Iterator<Item = ((&'static str, &'static str), &'static str)> {
    let rows = |pairs: [(&'static str, &'static str); 2], bindings: &'static [&'static str]| {
        let pairs = pairs.into_iter();
        pairs.flat_map(|pair| bindings.iter().map(move |binding| (pair, *binding)))
    };
    rows(PAIRS, &BINDINGS).chain(rows(MIXED, &APART))
}

/// A running application, and what it runs on.
struct Running {
    up: Up,
    on_lattice: Option<(NatsServer, Up)>,
    _folder: Folder,
}

impl Running {
    fn start(manifest: &str, binding: &str) -> Self {
        let folder = Folder::with(manifest);
        if binding != "nats" {
            let up = folder.up(&[]);
            return Self {
                up,
                on_lattice: None,
                _folder: folder,
            };
        }
        // The broker is the lattice's.
        let nats = NatsServer::start().unwrap();
        let start = |args: &[&str]| {
            let mut command = folder.command(args);
            command.args(["--lattice", &nats.url()]);
            Up::start(command)
        };
        let host = start(&["host", "--listen", "127.0.0.1:0"]);
        host.says(" is on the lattice ");
        Self {
            up: start(&["up", "app.yaml"]),
            on_lattice: Some((nats, host)),
            _folder: folder,
        }
    }

    /// Where its only server listens.
    fn address(&self) -> String {
        if self.on_lattice.is_none() {
            return self.up.address();
        }
        let said = self.up.says("reached at http://");
        let (_, address) = said.split_once("http://").unwrap();
        address.trim_end_matches('/').to_owned()
    }

    /// A server, the gate, and a handler of which so many instances may run, linked by `binding`.
    fn gated((gate, handler): (&str, &str), binding: &str, instances: u32) -> Self {
        let link = format!("target: handler, binding: {binding}");
        let manifest = application(&[
            http_server("gate"),
            component("gate", gate, "", &[&link]),
            scaled("handler", handler, instances),
        ]);
        Self::start(&manifest, binding)
    }
}

/// Sends a request that has a body and trailers, and these header lines; the whole response.
pub(crate) fn post(address: &str, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: a.example\r\n{headers}transfer-encoding: chunked\r\nte: trailers\r\n\
         connection: close, te\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    String::from_utf8_lossy(&response).into_owned()
}

const KNOWN: &str = "authorization: ada\r\n";

#[test]
fn a_gate_lets_some_requests_through() {
    for (pair, binding) in table() {
        let running = Running::gated(pair, binding, 10);
        let address = running.address();
        let refused = get(&address, "/").unwrap();
        let what = format!("{pair:?} {binding}");
        assert_eq!(
            (refused.status, refused.text()),
            (401, "who are you?\n".into()),
            "{what}"
        );
        let passed = post(&address, "/a?b=c", KNOWN);
        let what = format!("{what}: {passed}");
        assert!(passed.starts_with("HTTP/1.1 200 OK\r\n"), "{what}");
        assert!(passed.contains("\r\n4\r\nbody\r\n"), "{what}");
        assert!(passed.ends_with("\r\n0\r\nx-sum: 42\r\n\r\n"), "{what}");
    }
}

#[test]
fn a_gate_changes_requests_and_responses() {
    for binding in BINDINGS {
        let running = Running::gated(PAIRS[1], binding, 10);
        let address = running.address();
        let has = |response: &str, lines: &[&str]| {
            for line in lines {
                let line = format!("\r\n{line}\r\n");
                assert!(response.contains(&line), "{binding} {line}: {response}");
            }
        };
        let asked = "x-asked: Method::Post Some(\"a.example\") Some(\"/a?b=c\")";
        let changed = post(&address, "/a?b=c", KNOWN);
        // Its own header to the handler, and that to the client in place of the handler's.
        has(&changed, &[asked, "x-gate: passed"]);
        assert!(!changed.contains("authorization"), "{binding}: {changed}");
        let as_is = post(&address, "/as-is", KNOWN);
        has(&as_is, &["authorization: ada"]);
        // A request need not say whom it asks.
        let nobody = post(&address, "/nobody", KNOWN);
        assert!(
            nobody.starts_with("HTTP/1.1 200 OK\r\n"),
            "{binding}: {nobody}"
        );
    }
}

/// A component that exports two handlers, in a folder of its own: that of WASI 0.2 says `hello`, that of 0.3 says what it
/// is sent. The caller chooses which comes first.
fn with_two_handlers(old_first: bool) -> Folder {
    let folder = Folder::new();
    let mut exports = [
        "export p2[\"wasi:http/incoming-handler@0.2.6\"];",
        "export p3[\"wasi:http/handler@0.3.0\"];",
    ];
    if !old_first {
        exports.reverse();
    }
    let [first, second] = exports;
    let wac = format!(
        "package t:two;\nlet p2 = new t:p2 {{ ... }};\nlet p3 = new t:p3 {{ ... }};\n{first}\n{second}\n"
    );
    folder.write("two.wac", &wac);
    let dependency = |name: &str, of: &str| format!("t:{name}={}", guest(of).display());
    let (p2, p3) = (dependency("p2", "hello"), dependency("p3", "http-echo-p3"));
    let compose = [
        "compose", "two.wac", "--dep", &p2, "--dep", &p3, "-o", "two.wasm",
    ];
    let made = folder.run(&compose);
    assert_eq!(made.code, Some(0), "{made:?}");
    folder
}

#[test]
fn of_two_handlers_the_one_answers_to_which_the_link_leads() {
    let http = "namespace: wasi, package: http";
    let crossed = "interfaces: [{import: \"wasi:http/incoming-handler@0.2.6\", export: \"wasi:http/handler@0.3.0\"}]";
    for old_first in [true, false] {
        let two = with_two_handlers(old_first);
        let image = format!("image: {:?}", two.path("two.wasm").display().to_string());
        let handler = || entry("handler", "component", &image, &[]);
        let answers = |manifest: &str, binding: &str, expected: &str| {
            let running = Running::start(manifest, binding);
            let answer = post(&running.address(), "/", KNOWN);
            let contents = format!("\r\n{expected}\r\n");
            let what = format!("old first: {old_first}, {binding}\n{manifest}");
            assert!(answer.contains(&contents), "{what}\n{answer}");
        };
        let gated = |gate: &str, more: &str, binding: &str, expected: &str| {
            let link = format!("target: handler, binding: {binding}{more}");
            let parts = [
                http_server("gate"),
                component("gate", gate, "", &[&link]),
                handler(),
            ];
            answers(&application(&parts), binding, expected);
        };
        for binding in BINDINGS {
            gated("http-gate", "", binding, "hello\n");
            gated("http-gate-p3", "", binding, "body");
        }
        for binding in APART {
            gated("http-gate", &format!(", {crossed}"), binding, "body");
        }
        // A provider is told by its link as well.
        for binding in ["host", "unix", "nats"] {
            for (interface, expected) in [("incoming-handler", "hello\n"), ("handler", "body")] {
                let binds = match binding {
                    "host" => String::new(),
                    binding => format!(", binding: {binding}"),
                };
                let link =
                    format!("target: handler{binds}, {http}, interfaces: [{interface}], {LISTEN}");
                let parts = [provider("http-server", "", &[&link]), handler()];
                answers(&application(&parts), binding, expected);
            }
        }
    }
}

#[test]
fn what_goes_wrong_behind_a_gate_is_answered() {
    // A handler of 0.3 behind a gate of either release.
    let apart = APART.map(|binding| (MIXED[0], binding));
    for (pair, binding) in BINDINGS
        .map(|binding| (PAIRS[1], binding))
        .into_iter()
        .chain(apart)
    {
        let running = Running::gated(pair, binding, 10);
        let address = running.address();
        for (path, status) in [("/trap", 500), ("/refuse", 502), ("/", 200)] {
            let response = post(&address, path, KNOWN);
            let want = format!("HTTP/1.1 {status} ");
            assert!(
                response.starts_with(&want),
                "{pair:?} {binding} {path}: {response}"
            );
        }
    }
    for binding in BINDINGS {
        // A body that the gate has consumed is gone for the handler, which hears of it: by a body that breaks off, or, where
        // both are one component, by being refused what its own half has taken, and then it traps.
        let running = Running::gated(PAIRS[0], binding, 10);
        let address = running.address();
        let response = post(&address, "/consumed", KNOWN);
        assert!(!response.contains("\r\nbody"), "{binding}: {response}");
        let heard = match binding {
            "fused" => "HTTP/1.1 500 ",
            _ => "x-broken: yes",
        };
        assert!(response.contains(heard), "{binding}: {response}");
        let response = post(&address, "/", KNOWN);
        assert!(response.contains("body"), "{binding}: {response}");
    }
}

#[test]
fn bodies_stream_through_a_gate() {
    const HALF: usize = 2 * 1024 * 1024;
    for (pair, binding) in table() {
        let running = Running::gated(pair, binding, 10);
        let request = "POST / HTTP/1.1\r\nauthorization: ada\r\nx-rest:";
        let mut exchange = Exchange::start(&running.address(), request, 2 * HALF).unwrap();
        let bytes: Vec<u8> = (0..2 * HALF).map(|i| (i % 251) as u8).collect();
        let mut received = Vec::new();
        // A piece is sent when the one before it has come back: nothing waits for the end of the request.
        for (i, piece) in bytes.chunks(64 * 1024).enumerate() {
            exchange.send(piece).unwrap();
            if i == 0 {
                assert_eq!(exchange.status().unwrap(), 200, "{pair:?} {binding}");
            }
            received.extend(exchange.receive(piece.len()).unwrap());
        }
        assert_eq!(exchange.part().unwrap(), None, "{pair:?} {binding}");
        assert!(
            received == bytes,
            "{pair:?} {binding}: it came back changed"
        );
    }
}

#[test]
fn a_client_that_goes_takes_the_handler_along() {
    for pair in PAIRS.into_iter().chain(MIXED) {
        for binding in APART {
            // One that is not ended would be the only one.
            let running = Running::gated(pair, binding, 1);
            let address = running.address();
            for _ in 0..3 {
                let request = "POST / HTTP/1.1\r\nauthorization: ada\r\nx-rest:";
                let mut exchange = Exchange::start(&address, request, 1024).unwrap();
                exchange.send(b"half").unwrap();
                assert_eq!(exchange.status().unwrap(), 200, "{pair:?} {binding}");
                assert_eq!(exchange.receive(4).unwrap(), b"half");
            }
            let response = post(&address, "/", KNOWN);
            assert!(response.contains("body"), "{pair:?} {binding}: {response}");
        }
    }
}

#[test]
fn a_component_sends_requests_for_others() {
    // Each front has a relay of its own release, or of the other one.
    let same = ["fused", "local", "unix", "tcp"].map(|binding| ("relay", "relay-p3", binding));
    let mixed = ["local", "unix", "tcp"].map(|binding| ("relay-p3", "relay", binding));
    for (relay, relay_p3, binding) in same.into_iter().chain(mixed) {
        let relayed = format!("target: {relay}, binding: {binding}");
        let relayed_p3 = format!("target: {relay_p3}, binding: {binding}");
        let to_client = "target: http-client";
        let manifest = application(&[
            http_servers(&["front", "front-p3", "echo"]),
            component("front", "http-out", "", &[&relayed]),
            component("relay", "http-relay", "", &[to_client]),
            component("front-p3", "http-out-p3", "", &[&relayed_p3]),
            component("relay-p3", "http-relay-p3", "", &[to_client]),
            component("echo", "http-echo", "", &[]),
            provider("http-client", "", &[]),
        ]);
        let running = Running::start(&manifest, binding);
        let [front, front_p3, echo] = (running.up).addresses(["front", "front-p3", "echo"]);
        let answer = get(&front, &format!("/?url=http://{echo}/")).unwrap();
        assert_eq!(answer.status, 200, "{binding}: {}", answer.text());
        let denied = get(&front, &format!("/?url=http://{echo}/denied")).unwrap();
        assert_eq!(denied.status, 502, "{binding}");
        assert!(
            denied.text().contains("HttpRequestDenied"),
            "{binding}: {}",
            denied.text()
        );

        let to = format!("x-to: {echo}\r\n");
        let answer = post(&front_p3, "/", &to);
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("body"),
            "{binding}: {answer}"
        );
        let denied = post(&front_p3, "/denied", &to);
        assert!(denied.contains("HttpRequestDenied"), "{binding}: {denied}");
    }
}

#[test]
fn what_a_component_sends_is_handled_by_another() {
    let handlers = [("http-echo", "http-echo-p3"), ("http-echo-p3", "http-echo")];
    for (handler, handler_p3) in handlers {
        for binding in ["local", "unix", "tcp"] {
            let link = |target: &str| format!("target: {target}, binding: {binding}");
            let manifest = application(&[
                http_servers(&["front", "front-p3"]),
                component("front", "http-out", "", &[&link("handler")]),
                component("handler", handler, "", &[]),
                component("front-p3", "http-out-p3", "", &[&link("handler-p3")]),
                component("handler-p3", handler_p3, "", &[]),
            ]);
            let running = Running::start(&manifest, binding);
            let [front, front_p3] = (running.up).addresses(["front", "front-p3"]);
            let what = format!("{handler} {binding}");
            let answer = get(&front, "/?url=http://a.example/").unwrap();
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            let answer = post(&front_p3, "/", "x-to: a.example\r\n");
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("body"),
                "{what}: {answer}"
            );
        }
    }
}
