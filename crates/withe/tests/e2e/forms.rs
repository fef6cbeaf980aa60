//! The example in the form of WASI 0.3, where visits stream from component to component to the client: what it answers is
//! what the form of WASI 0.2 answers, over every binding.

use withe_testing::nats::NatsServer;

use crate::support::client::get;
use crate::support::process::Up;
use crate::support::{Folder, shipped};

/// The requests, the last of which lists what was counted.
const PATHS: [&str; 7] = [
    "/a",
    "/b?q=<b>",
    "/a",
    "/favicon.ico",
    "/api/other",
    "/api/visits?limit=many",
    "/api/visits?limit=1",
];

/// The answers of the application of a manifest, without the times in them.
fn answers(manifest: &str, binding: &str) -> Vec<(u16, String)> {
    let folder = Folder::with(&shipped::visits_of(manifest));
    let up = folder.up(&["--binding", binding]);
    ask(&up.address())
}

fn ask(address: &str) -> Vec<(u16, String)> {
    let answer = |path: &&str| {
        let answer = get(address, path).unwrap();
        (answer.status, without_times(&answer.text()))
    };
    PATHS.iter().map(answer).collect()
}

/// A text without what it says of when a visit was.
fn without_times(text: &str) -> String {
    let mut text = text.to_owned();
    for (from, to) in [("The last visit was ", " s ago"), ("\"at\":", ",")] {
        if let Some((before, after)) = text.split_once(from) {
            let (_, after) = after.split_once(to).unwrap();
            text = format!("{before}{from}{to}{after}");
        }
    }
    text
}

fn forms_answer_alike(binding: &str) {
    let found = answers("visits-p3.yaml", binding);
    are_as_in_the_other_form(&found, binding);
}

fn are_as_in_the_other_form(found: &[(u16, String)], binding: &str) {
    let expected = answers("visits.yaml", "fused");
    for ((expected, found), path) in expected.iter().zip(found).zip(PATHS) {
        assert_eq!(expected, found, "{path} over {binding}");
    }
    let (status, list) = found.last().unwrap();
    assert!(*status == 200 && list.contains("\"count\":2"), "{list}");
}

#[test]
fn both_forms_of_the_example_answer_alike_fused() {
    forms_answer_alike("fused");
}

#[test]
fn both_forms_of_the_example_answer_alike_over_local() {
    forms_answer_alike("local");
}

#[test]
fn both_forms_of_the_example_answer_alike_over_unix() {
    forms_answer_alike("unix");
}

#[test]
fn both_forms_of_the_example_answer_alike_over_tcp() {
    forms_answer_alike("tcp");
}

#[test]
fn both_forms_of_the_example_answer_alike_over_nats() {
    let nats = NatsServer::start().unwrap();
    let folder = Folder::with(&shipped::visits_of("visits-p3.yaml"));
    let on_lattice = |args: &[&str]| {
        let mut command = folder.command(args);
        command.args(["--lattice", &nats.url()]);
        command
    };
    // On a lattice a host lets nobody have files of its own unasked.
    let data = folder.path("").canonicalize().unwrap();
    let policy = format!("grants:\n  directories:\n    - host: {data:?}\n      writable: true\n");
    folder.write("policy.yaml", &policy);
    let host = ["host", "--listen", "127.0.0.1:0", "--policy", "policy.yaml"];
    let host = Up::start(on_lattice(&host));
    host.says(" is on the lattice ");
    let up = Up::start(on_lattice(&["up", "app.yaml", "--binding", "nats"]));
    let said = up.says("reached at http://");
    let (_, address) = said.split_once("http://").unwrap();
    let address = address.trim_end_matches('/');
    let links = on_lattice(&["get", "links", "--json"]).output().unwrap();
    let links: serde_json::Value = serde_json::from_slice(&links.stdout).unwrap();
    let links = links.as_array().unwrap().iter();
    let between: Vec<_> = links.filter(|link| link["target"] == "visits").collect();
    assert!(
        between.len() == 1 && between[0]["binding"] == "nats",
        "{between:#?}"
    );
    are_as_in_the_other_form(&ask(address), "nats");
    host.interrupt();
    host.ended();
}
