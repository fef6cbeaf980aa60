//! One trace, whatever the links are bound by.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use withe_testing::nats::NatsServer;
use withe_testing::port::ReservedPort;

use super::collector::{CLIENT, Collector, INTERNAL, SERVER, Span};
use crate::support::manifest::{application, component, http_server, provider};
use crate::support::{Folder, LONG, guest};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// Asks for `path` as a part of a trace; returns the response as it came.
fn get(address: &str, path: &str, traceparent: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: app\r\nconnection: close\r\ntraceparent: {traceparent}\r\n\r\n"
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// The one of this name.
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut named = spans.iter().filter(|span| span.name == name);
    let span = named
        .next()
        .unwrap_or_else(|| panic!("no span `{name}` in {spans:#?}"));
    assert!(named.next().is_none(), "several spans `{name}`: {spans:#?}");
    span
}

/// Checks that spans are each other's children, and of which kinds and bindings they are.
fn is_chain(spans: &[Span], first_parent: &str, chain: &[(&str, u64, &str)]) {
    let mut parent = first_parent;
    for &(name, kind, binding) in chain {
        let span = named(spans, name);
        assert_eq!(span.parent, parent, "the parent of {span:#?} in {spans:#?}");
        assert_eq!(span.trace, named(spans, chain[0].0).trace, "{span:#?}");
        assert_eq!(span.kind, kind, "{span:#?}");
        let bound = span.attributes.get("withe.binding");
        assert_eq!(bound.map_or("", String::as_str), binding, "{span:#?}");
        assert!(!span.is_error, "{span:#?}");
        parent = &span.id;
    }
}

#[test]
fn a_trace_goes_through_all_processes_of_an_application() {
    let collector = Collector::start();
    let folder = Folder::with(&application(&[
        http_server("front"),
        component(
            "front",
            "chain-front",
            "",
            &["target: middle, binding: local"],
        ),
        component(
            "middle",
            "chain-middle",
            "",
            &["target: end, binding: unix"],
        ),
        component("end", "chain-end", "", &["target: keyvalue"]),
        provider("keyvalue", "", &[]),
    ]));
    let mut up = folder.up(&[&collector.option()]);
    let address = up.address();
    // One that is not to be recorded leaves nothing behind.
    let unsampled = get(&address, "/", &format!("00-{TRACE}-{CALLER}-00"));
    assert!(unsampled.starts_with("HTTP/1.1 200"), "{unsampled}");
    let sampled = get(&address, "/", &format!("00-{TRACE}-{CALLER}-01"));
    assert!(sampled.starts_with("HTTP/1.1 200"), "{sampled}");

    let spans = collector.spans(8);
    let to_end = [
        ("GET front", SERVER, ""),
        ("front → middle t:chain/step.step", INTERNAL, "local"),
        ("middle → end t:chain/step.step", CLIENT, "unix"),
        ("end t:chain/step.step", SERVER, ""),
    ];
    for [caller, callee] in [
        [
            "end → keyvalue wasi:keyvalue/store.open",
            "keyvalue wasi:keyvalue/store.open",
        ],
        [
            "end → keyvalue wasi:keyvalue/atomics.increment",
            "keyvalue wasi:keyvalue/atomics.increment",
        ],
    ] {
        let calls = [(caller, CLIENT, "unix"), (callee, SERVER, "")];
        is_chain(&spans, CALLER, &[&to_end[..], &calls[..]].concat());
    }
    let first = named(&spans, "GET front");
    assert_eq!(first.trace, TRACE);
    assert_eq!(first.attributes["http.response.status_code"], "200");
    assert_eq!(first.attributes["withe.application"], "app");
    let service = &first.service;
    assert!(
        spans.iter().all(|span| span.service == *service),
        "{spans:#?}"
    );

    // A header that is no context is passed over.
    get(&address, "/", "00-no-context");
    let spans = collector.spans(8);
    is_chain(&spans, "", &to_end);
    assert_ne!(named(&spans, "GET front").trace, TRACE);
    up.interrupt();
    assert_eq!(up.exit_code(), Some(0));
    assert_eq!(collector.rest().len(), 0);
}

#[test]
fn a_trace_crosses_tcp_and_nats() {
    let nats = NatsServer::start().unwrap();
    let url = nats.url();
    for (binding, more) in [("tcp", vec![]), ("nats", vec!["--lattice", &url])] {
        let collector = Collector::start();
        let [caller, ops] = ["caller", "ops"].map(|name| guest(name).display().to_string());
        let option = collector.option();
        let mut args = vec![
            "call",
            &caller,
            "t:bench/run#call-add(40, 2)",
            "--link",
            &ops,
        ];
        args.extend(["--binding", binding, &option]);
        args.extend(more);
        assert_eq!(Folder::new().run(&args).printed(), "42", "{binding}");
        let spans = collector.spans(3);
        let calls = [
            ("caller t:bench/run.call-add", INTERNAL, ""),
            ("caller → ops t:bench/ops.add", CLIENT, binding),
            ("ops t:bench/ops.add", SERVER, ""),
        ];
        is_chain(&spans, "", &calls);
        assert_eq!(collector.rest().len(), 0, "{binding}");
    }
}

#[test]
fn a_request_out_takes_the_trace_along() {
    let collector = Collector::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let outside = listener.local_addr().unwrap();
    let heads = thread::spawn(move || {
        let accept = || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(LONG)).unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(head).unwrap().to_ascii_lowercase()
        };
        [accept(), accept()]
    });
    let link = "target: {name: http-client, config: [{name: out, properties: {allow: 127.0.0.1}}]}";
    let manifest = application(&[
        http_server("front"),
        component("front", "http-out", "", &[link]),
        provider("http-client", "", &[]),
    ]);
    let path = format!("/?url=http://{outside}/");
    let traceparent = format!("00-{TRACE}-{CALLER}-01");

    let folder = Folder::with(&manifest);
    let traced = folder.up(&[&collector.option()]);
    get(&traced.address(), &path, &traceparent);
    let spans = collector.spans(2);
    let (inner, outer) = ("GET front → http-client", "GET front");
    assert_eq!(named(&spans, outer).parent, CALLER);
    assert_eq!(named(&spans, inner).parent, named(&spans, outer).id);
    assert_eq!(named(&spans, inner).kind, CLIENT);

    // Without a collector there are no spans in between.
    let folder = Folder::with(&manifest);
    let untraced = folder.up(&[]);
    get(&untraced.address(), &path, &traceparent);

    let [with, without] = heads.join().unwrap();
    let expected = format!("traceparent: 00-{TRACE}-{}-01\r\n", named(&spans, inner).id);
    assert!(with.contains(&expected), "no {expected} in {with}");
    let expected = format!("traceparent: {traceparent}\r\n");
    assert!(without.contains(&expected), "no {expected} in {without}");
}

#[test]
fn a_failure_is_noted_at_every_hop() {
    let collector = Collector::start();
    let [caller, ops] = ["caller", "ops"].map(|name| guest(name).display().to_string());
    let option = collector.option();
    let args = ["call", &caller, "t:bench/run#call-trap()", "--link", &ops];
    let ended = Folder::new().run(&[&args[..], &["--binding", "unix", &option]].concat());
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    for span in collector.spans(3) {
        assert!(span.is_error, "{span:#?}");
        assert_eq!(span.attributes["error.type"], "trap", "{span:#?}");
    }
}

#[test]
fn traces_that_cannot_be_sent_are_said_to_be_lost_and_hold_up_nothing() {
    let [caller, ops] = ["caller", "ops"].map(|name| guest(name).display().to_string());
    let nobody = ReservedPort::new().unwrap();
    let url = format!("--otlp=http://{}", nobody.address());
    let args = [
        "call",
        &caller,
        "t:bench/run#call-add(40, 2)",
        "--link",
        &ops,
    ];
    let args = [&args[..], &["--binding", "local", &url]].concat();
    let ended = Folder::new().run(&args);
    assert_eq!(ended.printed(), "42");
    assert!(ended.stderr.contains("could not be sent"), "{ended:#?}");

    let call = "t:bench/ops#add(1, 2)";
    let ended = Folder::new().run(&["call", &ops, call, "--otlp", "https://c.example"]);
    ended.failed(&["`https://c.example`", "http://127.0.0.1:4318"]);
}
