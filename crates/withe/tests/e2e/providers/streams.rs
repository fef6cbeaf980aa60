//! Streams and futures to and from a provider that is a program of its own: `tests/pipe-provider`, and the example.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::only;
use crate::support::Folder;
use crate::support::client::{Exchange, get};
use crate::support::examples;
use crate::support::manifest::{application, component, entry, http_server};
use crate::support::rig::{Rig, eventually, kill_now, proc};

/// The program of `tests/pipe-provider`.
fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_withe")).with_file_name("pipe-provider");
    assert!(
        program.is_file(),
        "{} is not built: run `cargo build --workspace --bins`",
        program.display()
    );
    program
}

/// The provider, and a component that answers for it if it has a link.
fn pipe(links: &[&str]) -> [String; 2] {
    let image = format!("image: \"file://{}\"", program().display());
    [
        entry("pipe", "capability", &image, links),
        component("answers", "async-p3", "", &[]),
    ]
}

/// The provider answers by itself, or a component does, which it calls; over each binding.
const ENDS: [(&str, &[&str]); 4] = [
    ("target: pipe", &[]),
    ("target: pipe, binding: tcp", &[]),
    ("target: pipe", &["target: answers"]),
    (
        "target: pipe, binding: tcp",
        &["target: answers, binding: tcp"],
    ),
];

#[test]
fn streams_futures_and_async_functions_cross_to_a_program_and_from_it() {
    for (to_provider, behind) in ENDS {
        let user = component("user", "async-p3-user", "", &[to_provider]);
        let [pipe, answers] = pipe(behind);
        let folder = Folder::with(&application(&[user, pipe, answers]));
        let ran = folder.call("user", "t:streams/run#run()");
        assert_eq!(ran.printed(), "ok", "{to_provider} {behind:?}");
        let flowed = folder.call("user", "t:streams/run#flow(16)");
        let bytes = (16 << 20).to_string();
        assert_eq!(flowed.printed(), bytes, "{to_provider} {behind:?}");
    }
}

/// Answers requests with their bodies in upper case, as the provider has them.
fn upper(to_provider: &str, behind: &[&str]) -> Rig {
    let upper = component("upper", "upper-p3", "", &[to_provider]);
    let [pipe, answers] = pipe(behind);
    Rig::start(
        &application(&[http_server("upper"), upper, pipe, answers]),
        &["--metrics=127.0.0.1:0"],
    )
}

const PIECE: usize = 64 << 10;

/// By how much the most memory that a process ever had may grow with 64 MiB that go through it, in KiB.
const GROWTH: u64 = 24 << 10;

/// The most memory that a process ever had, in KiB.
fn peak(id: u32) -> u64 {
    let status = fs::read_to_string(proc(id, "status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let size = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    size.unwrap()
}

/// Sends so many pieces in lower case, each when the one before has come back.
fn through(address: &str, pieces: usize) {
    let mut exchange = Exchange::start(address, "POST /", pieces * PIECE).unwrap();
    exchange.send(&[b'a'; PIECE]).unwrap();
    assert_eq!(exchange.status().unwrap(), 200);
    for piece in 1..=pieces {
        assert_eq!(exchange.receive(PIECE).unwrap(), [b'A'; PIECE]);
        if piece < pieces {
            exchange.send(&[b'a'; PIECE]).unwrap();
        }
    }
    assert!(exchange.part().unwrap().is_none());
}

#[test]
fn bodies_of_64_mib_go_through_a_program_in_steady_memory() {
    for (to_provider, behind) in [ENDS[0], ENDS[3]] {
        let rig = upper(to_provider, behind);
        let address = rig.up.address();
        // With these each process has what it keeps.
        through(&address, 64);
        let provider = only(rig.processes.of_program("pipe-provider"));
        let before = [rig.up.id(), provider].map(peak);
        through(&address, 1024);
        let after = [rig.up.id(), provider].map(peak);
        for (before, after) in before.into_iter().zip(after) {
            assert!(after < before + GROWTH, "{before} KiB, then {after} KiB");
        }
    }
}

/// A request of which some has come back and more is to come.
fn half(address: &str) -> Exchange {
    let mut exchange = Exchange::start(address, "POST /", 2 * PIECE).unwrap();
    exchange.send(&[b'a'; PIECE]).unwrap();
    assert_eq!(exchange.status().unwrap(), 200);
    assert_eq!(exchange.receive(PIECE).unwrap(), [b'A'; PIECE]);
    exchange
}

#[test]
fn a_client_that_goes_away_ends_what_the_program_writes() {
    for (to_provider, _) in [ENDS[0], ENDS[1]] {
        let rig = upper(to_provider, &[]);
        let address = rig.up.address();
        drop(half(&address));
        rig.up.says("`upper` has ended");
        through(&address, 1);
    }
}

/// How many instances of a component there are.
fn instances(metrics: &str, component: &str) -> u64 {
    let text = get(metrics, "/metrics").unwrap().text();
    let start = format!("withe_instances{{application=\"app\",component=\"{component}\"}} ");
    let number = text.lines().find_map(|line| line.strip_prefix(&start));
    number.map_or(0, |number| number.parse().unwrap())
}

#[test]
fn a_component_that_a_program_calls_goes_on_for_as_long_as_somebody_reads_what_it_returned() {
    for (to_provider, behind) in [ENDS[2], ENDS[3]] {
        let rig = upper(to_provider, behind);
        let line = rig.up.says("metrics are at http://");
        let metrics = line.split("http://").nth(1).unwrap();
        let metrics = metrics.trim_end_matches("/metrics");
        let address = rig.up.address();
        let exchange = half(&address);
        assert_eq!(instances(metrics, "answers"), 1);
        drop(exchange);
        eventually("the instance that answered has ended", || {
            instances(metrics, "answers") == 0
        });
        through(&address, 1);
    }
}

#[test]
fn a_program_that_is_killed_cuts_streams_short_and_is_back() {
    let rig = upper("target: pipe", &[]);
    let address = rig.up.address();
    let mut exchange = half(&address);
    kill_now(only(rig.processes.of_program("pipe-provider")));
    // The client may be told before it has sent the rest, or after that.
    let rest = exchange.send(&[b'a'; PIECE]).and_then(|()| {
        loop {
            if exchange.part()?.is_none() {
                return Ok::<_, io::Error>(());
            }
        }
    });
    assert!(rest.is_err(), "half of a body looked like all of it");
    through(&address, 1);
}

/// The example's application on a free port.
fn lines() -> Rig {
    Rig::start(&examples::lines(), &[])
}

#[test]
fn the_example_numbers_lines_and_counts_their_lengths() {
    let rig = lines();
    let address = rig.up.address();
    let post = |path: &str, text: &str| {
        let request = format!("POST {path}");
        let mut exchange = Exchange::start(&address, &request, text.len()).unwrap();
        exchange.send(text.as_bytes()).unwrap();
        assert_eq!(exchange.status().unwrap(), 200);
        let mut body = Vec::new();
        while let Some(part) = exchange.part().unwrap() {
            body.extend(part);
        }
        String::from_utf8(body).unwrap()
    };
    assert_eq!(post("/", "one\ntwo\n"), "1\tone\n2\ttwo\n");
    assert_eq!(
        post("/lengths", "one\ntwo\nthree"),
        "3 bytes: 2 lines\n5 bytes: 1 lines\n"
    );
    assert_eq!(post("/", ""), "");
    assert_eq!(get(&address, "/elsewhere").unwrap().status, 404);
}
