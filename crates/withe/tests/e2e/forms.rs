//! The example in the form of WASI 0.3, where visits stream from component to component to the client: what it answers is
//! what the form of WASI 0.2 answers, over every binding.

use crate::support::Folder;
use crate::support::client::get;
use crate::support::examples;

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
    let folder = Folder::with(&examples::visits_of(manifest));
    let up = folder.up(&["--binding", binding]);
    let address = up.address();
    let answer = |path: &&str| {
        let answer = get(&address, path).unwrap();
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
    let expected = answers("visits.yaml", "fused");
    let found = answers("visits-p3.yaml", binding);
    for ((expected, found), path) in expected.iter().zip(&found).zip(PATHS) {
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
