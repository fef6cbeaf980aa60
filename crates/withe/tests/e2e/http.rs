//! Requests over HTTP to an application that `withe up` runs.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::support::client::{Exchange, get};
use crate::support::manifest::{application, component, http_server, http_server_by, provider};
use crate::support::{Folder, LONG};

#[test]
fn handlers_of_wasi_0_2_and_0_3_answer() {
    for guest in ["hello", "hello-p3"] {
        let folder = Folder::with(&application(&[
            http_server("hello"),
            component("hello", guest, "", &[]),
        ]));
        let up = folder.up(&[]);
        let address = up.address();
        for _ in 0..3 {
            let response = get(&address, "/").unwrap();
            assert_eq!(
                (response.status, response.text()),
                (200, "hello\n".into()),
                "{guest}"
            );
        }
    }
}

#[test]
fn bodies_stream_both_ways() {
    bodies_stream_by("host");
}

#[test]
fn bodies_stream_both_ways_from_another_process() {
    bodies_stream_by("unix");
}

#[test]
fn bodies_stream_both_ways_over_the_wire() {
    bodies_stream_by("tcp");
}

fn bodies_stream_by(binding: &str) {
    const HALF: usize = 4 * 1024 * 1024;
    let folder = Folder::with(&application(&[
        http_server_by(binding, "echo"),
        component("echo", "http-echo", "", &[]),
    ]));
    let up = folder.up(&[]);
    let mut exchange = Exchange::start(&up.address(), "POST /", 2 * HALF).unwrap();
    let bytes: Vec<u8> = (0..2 * HALF).map(|i| (i % 251) as u8).collect();
    let mut received = Vec::new();
    // A piece is sent when the one before it has come back: nothing waits for the end of the request.
    for (i, piece) in bytes.chunks(64 * 1024).enumerate() {
        exchange.send(piece).unwrap();
        if i == 0 {
            assert_eq!(exchange.status().unwrap(), 200);
        }
        received.extend(exchange.receive(piece.len()).unwrap());
    }
    assert_eq!(exchange.part().unwrap(), None);
    assert!(received == bytes, "what came back is not what was sent");
}

/// An application that echoes what is sent to it. The server has these properties, and its link these.
fn echo_behind(server: &str, link: &str, config: &str) -> Folder {
    let listen = format!("{{name: listen, properties: {{address: \"127.0.0.1:0\", {config}}}}}");
    let link = format!("target: echo, {link}, source: {{config: [{listen}]}}");
    Folder::with(&application(&[
        provider("http-server", server, &[&link]),
        component("echo", "http-echo", "", &[]),
    ]))
}

#[test]
fn a_body_may_pause_for_longer_than_an_answer_may_take() {
    const TIMEOUT_MS: u64 = 2_000;
    for (server, link) in [
        ("", "binding: host"),
        ("", "binding: unix"),
        ("process: true", "binding: host"),
    ] {
        let folder = echo_behind(server, link, &format!("timeout_ms: {TIMEOUT_MS}"));
        let up = folder.up(&[]);
        let mut exchange = Exchange::start(&up.address(), "POST /", 2).unwrap();
        for (n, part) in [b"a", b"b"].into_iter().enumerate() {
            if n > 0 {
                // Both sides are silent.
                thread::sleep(Duration::from_millis(TIMEOUT_MS * 3 / 2));
            }
            exchange.send(part).unwrap();
            if n == 0 {
                assert_eq!(exchange.status().unwrap(), 200, "{server} {link}");
            }
            let came = exchange.receive(1);
            assert_eq!(came.unwrap(), part, "{server} {link}");
        }
        assert_eq!(exchange.part().unwrap(), None, "{server} {link}");
    }
}

#[test]
fn a_body_that_pauses_for_too_long_is_broken_off() {
    let folder = echo_behind("", "binding: host", "idle_timeout_ms: 200");
    let up = folder.up(&[]);
    let mut exchange = Exchange::start(&up.address(), "POST /", 2).unwrap();
    exchange.send(b"a").unwrap();
    assert_eq!(exchange.status().unwrap(), 200);
    assert_eq!(exchange.receive(1).unwrap(), b"a");
    // The component may hear of it before its own pause is noticed, and end its answer; either way nothing is left open.
    let ended = exchange.part();
    let goes_on = match &ended {
        Ok(part) => part.is_some(),
        Err(why) => matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    };
    assert!(!goes_on, "it goes on: {ended:?}");
}

#[test]
fn trailers_go_through_a_component_in_both_directions() {
    for (server, link) in [
        ("", "binding: host"),
        ("", "binding: unix"),
        ("", "binding: tcp"),
        ("process: true", "binding: host"),
    ] {
        let folder = echo_behind(server, link, "");
        let up = folder.up(&[]);
        let mut stream = TcpStream::connect(up.address()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let request = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nte: trailers\r\n\
                       connection: close, te\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let what = format!("{server} {link}: {response}");
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{what}");
        assert!(response.ends_with("\r\n0\r\nx-sum: 42\r\n\r\n"), "{what}");
    }
}

#[test]
fn a_request_is_for_one_host() {
    let folder = echo_behind("", "binding: host", "");
    let up = folder.up(&[]);
    let address = up.address();
    for (line, hosts, status) in [
        ("GET / HTTP/1.1", &["a.example"][..], 200),
        ("GET / HTTP/1.1", &["a.example", "b.example"], 400),
        ("GET / HTTP/1.1", &["a.example", "a.example"], 400),
        ("GET http://b.example/ HTTP/1.1", &["a.example"], 200),
        ("GET https://b.example/ HTTP/1.1", &["b.example"], 421),
    ] {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let hosts: String = hosts.iter().map(|h| format!("host: {h}\r\n")).collect();
        write!(stream, "{line}\r\n{hosts}connection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let want = format!("HTTP/1.1 {status} ");
        assert!(response.starts_with(&want), "{line} {hosts}: {response}");
    }
}

#[test]
fn a_trap_or_a_runaway_call_ends_its_own_request_only() {
    // Over a local link the link's own timeout ends the call; a fused one has none, and there the
    // limit of the component that serves the request does. Calls that end by themselves take less, also on a
    // busy machine.
    for (binding, link, limits) in [
        ("fused", "", "limits: {time: 5s}"),
        ("local", "timeout: 5s", ""),
    ] {
        let link = format!("target: ops, binding: {binding}, {link}");
        let folder = Folder::with(&application(&[
            http_server("hello"),
            component("hello", "hello-calls", limits, &[&link]),
            component("ops", "ops", "", &[]),
        ]));
        let up = folder.up(&[]);
        let address = up.address();
        let add = || {
            let response = get(&address, "/add").unwrap();
            assert_eq!(
                (response.status, response.text()),
                (200, "hello 3\n".into()),
                "{binding}"
            );
        };
        add();
        assert_eq!(get(&address, "/trap").unwrap().status / 100, 5, "{binding}");
        // The line that says why is for whoever runs the application.
        let line = up.says("`t:bench/ops#trap`");
        assert!(line.contains("component `ops`"), "{binding}: {line}");
        add();

        let runaway = thread::spawn({
            let address = address.clone();
            move || get(&address, "/spin").unwrap().status
        });
        // At least one is served while the runaway has the processor, most often many.
        loop {
            add();
            if runaway.is_finished() {
                break;
            }
        }
        assert_eq!(runaway.join().unwrap() / 100, 5, "{binding}");
        add();
    }
}

#[test]
fn a_scope_says_how_long_a_callee_lives() {
    // The second request is served by a fresh instance of `hello`; what it calls counts its calls.
    for (scope, counts) in [
        ("scope: caller, binding: fused", [1, 1]),
        ("scope: caller, binding: local", [1, 1]),
        ("scope: call", [1, 1]),
        ("scope: shared", [1, 2]),
    ] {
        let folder = Folder::with(&application(&[
            http_server("hello"),
            component(
                "hello",
                "hello-calls",
                "",
                &[&format!("target: ops, {scope}")],
            ),
            component("ops", "ops", "", &[]),
        ]));
        let up = folder.up(&[]);
        let address = up.address();
        for count in counts {
            let response = get(&address, "/counter").unwrap();
            assert_eq!(response.text(), format!("hello {count}\n"), "{scope}");
        }
    }
}

#[test]
fn requests_go_out_through_a_link_to_the_client_and_only_to_hosts_it_allows() {
    requests_go_out_by("host");
}

#[test]
fn requests_go_out_through_the_client_over_the_wire() {
    requests_go_out_by("tcp");
}

fn requests_go_out_by(binding: &str) {
    let server = Server::start("from outside");
    let url = format!("/?url=http://127.0.0.1:{}/", server.port);
    for (allow, status, text) in [
        ("127.0.0.1", 200, "from outside"),
        ("example.com", 502, "Denied"),
    ] {
        let link = format!(
            "binding: {binding}, \
             target: {{name: http-client, config: [{{name: out, properties: {{allow: {allow}}}}}]}}"
        );
        let folder = Folder::with(&application(&[
            http_server("front"),
            component("front", "http-out", "", &[&link]),
            provider("http-client", "", &[]),
        ]));
        let up = folder.up(&[]);
        let response = get(&up.address(), &url).unwrap();
        assert_eq!(response.status, status, "{allow}: {response:?}");
        assert!(
            response.text().contains(text),
            "{allow}: {}",
            response.text()
        );
    }
}

/// A server that answers every request with the same text. The server ends with the process.
struct Server {
    port: u16,
}

impl Server {
    fn start(text: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // The request is short enough to come as one.
                let _ = stream.read(&mut [0; 4096]);
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                    text.len()
                );
            }
        });
        Self { port }
    }
}
