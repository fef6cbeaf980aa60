//! Every diagnostic, as a person sees it: each manifest in `tests/diagnostics` is read, and what is
//! said about it is compared with the snapshot beside it.
//!
//! A file is named after the code it is about. `INSTA_UPDATE=always cargo test` writes snapshots.

mod render;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use withe_linker::Severity;
use withe_manifest::{CODES, parse};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let entries = std::fs::read_dir(folder).unwrap();
    let is_case = |path: &PathBuf| path.extension().is_some_and(|e| e == "yaml" || e == "json");
    let mut cases: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(is_case)
        .collect();
    cases.sort();
    cases
}

fn stem(case: &Path) -> String {
    case.file_stem().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn every_manifest_gets_its_diagnostics() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("diagnostics");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for case in cases() {
            let text = std::fs::read_to_string(&case).unwrap();
            let rendered = render::render(&text, &parse(&text).diagnostics);
            insta::assert_snapshot!(stem(&case), rendered);
        }
    });
}

#[test]
fn every_code_has_a_case_that_shows_it() {
    let mut shown = BTreeSet::new();
    for case in cases() {
        let stem = stem(&case);
        let text = std::fs::read_to_string(&case).unwrap();
        let codes: BTreeSet<&str> = parse(&text)
            .diagnostics
            .0
            .iter()
            .map(|d| d.code.0)
            .collect();
        if let Some((code, _)) = stem
            .split_once('-')
            .filter(|(code, _)| code.starts_with('W'))
        {
            assert!(codes.contains(code), "{stem} shows {codes:?}");
        }
        shown.extend(codes);
    }
    let all: BTreeSet<&str> = CODES.iter().map(|info| info.code.0).collect();
    assert_eq!(all, shown);
}

#[test]
fn ten_faults_are_reported_as_ten() {
    let text = include_str!("diagnostics/ten-faults.yaml");
    let diagnostics = parse(text).diagnostics;
    let codes: BTreeSet<&str> = diagnostics.0.iter().map(|d| d.code.0).collect();
    assert!(codes.len() >= 10, "{codes:?}");
    assert!(diagnostics.0.iter().all(|d| d.severity == Severity::Error));
}

#[test]
fn messages_keep_the_house_style() {
    for case in cases() {
        let text = std::fs::read_to_string(&case).unwrap();
        for diagnostic in parse(&text).diagnostics.0 {
            let message = &diagnostic.message;
            let first = message.chars().next().unwrap();
            assert!(!first.is_uppercase(), "{message}");
            assert!(
                !message.ends_with('.') && !message.contains('\n'),
                "{message}"
            );
            let has_help = diagnostic.help.is_some() || diagnostic.severity == Severity::Note;
            let is_syntax = diagnostic.code.0 == "W0001" || diagnostic.code.0 == "W0007";
            assert!(has_help || is_syntax, "no help: {message}");
        }
    }
}
