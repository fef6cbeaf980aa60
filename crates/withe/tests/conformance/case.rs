//! A case as it is in its folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A pair of components, and what is expected of calls of the one that is linked to the other.
pub(crate) struct Case {
    name: String,
    expected: PathBuf,
    /// The component that is called.
    pub(crate) importer: PathBuf,
    /// The component that it is linked to.
    pub(crate) exporter: PathBuf,
    /// Imports, and the exports under other names that serve them.
    pub(crate) pairs: Vec<(String, String)>,
    /// The calls and their results, the same for all bindings.
    pub(crate) calls: Vec<Call>,
    /// Holds what was assembled from text, for as long as the case is there.
    _assembled: TempDir,
}

/// A call of a function of the importer's world, without parameters.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) function: String,
    pub(crate) expected: Expected,
}

/// The expected result of a call.
#[derive(Clone)]
pub(crate) enum Expected {
    /// The call returns this text.
    Text(String),
    /// The call traps, and its message has all of these parts, each in one of its wordings.
    Trap(Vec<String>),
}

impl Case {
    /// Reads the case of this name; `name` is as in Rust, with underscores.
    pub(crate) fn read(name: &str) -> Self {
        let name = folder_name(name);
        let folder = cases().join(&name);
        let expected = folder.join("expected");
        let assembled = tempfile::tempdir().unwrap();
        let component = |end| component(&folder, &name, end, assembled.path());
        let case = Self {
            importer: component("importer"),
            exporter: component("exporter"),
            pairs: pairs(&folder.join("pairs")),
            calls: calls(&expected),
            expected,
            name,
            _assembled: assembled,
        };
        assert!(!case.calls.is_empty(), "{} expects nothing", case.name);
        case
    }

    /// The message when a link of this binding is refused, if it is to be.
    pub(crate) fn refused(&self, binding: &str) -> Option<Vec<String>> {
        let path = self.expected.join(format!("{}.refused", sort(binding)));
        path.is_file().then(|| parts(&path))
    }

    /// The calls and their results over a binding. Known deviations are in a folder of the binding's
    /// name.
    pub(crate) fn calls_over(&self, binding: &str) -> Vec<Call> {
        let folder = self.expected.join(sort(binding));
        let mut wrong = match folder.is_dir() {
            true => calls(&folder),
            false => Vec::new(),
        };
        let is_right = |call: &&Call| wrong.iter().all(|wrong| wrong.function != call.function);
        let right: Vec<_> = self.calls.iter().filter(is_right).cloned().collect();
        wrong.extend(right);
        wrong
    }

    /// Makes `text` what a call is expected to return.
    pub(crate) fn bless(&self, function: &str, text: &str) {
        fs::write(self.expected.join(format!("{function}.txt")), text).unwrap();
    }
}

/// The sort of a binding, whose bindings behave alike: those over a wire carry the same frames.
fn sort(binding: &str) -> &str {
    match binding {
        "unix" | "tcp" | "nats" => "wire",
        binding => binding,
    }
}

/// A case's folder: its name in Rust, with hyphens.
pub(crate) fn folder_name(name: &str) -> String {
    name.replace('_', "-")
}

/// The names of all folders of cases.
pub(crate) fn folders() -> BTreeSet<String> {
    let folders = fs::read_dir(cases()).unwrap().map(|entry| entry.unwrap());
    folders
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

fn cases() -> PathBuf {
    root().join("cases")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance")
}

/// One end of a case: what has been built of it or, if it is text, is assembled into a folder.
fn component(folder: &Path, case: &str, end: &str, assembled: &Path) -> PathBuf {
    let file = format!("{case}-{end}.wasm");
    let text = folder.join(end).with_extension("wat");
    if text.is_file() {
        let path = assembled.join(file);
        let bytes = wat::parse_file(text).unwrap_or_else(|error| panic!("{error}"));
        fs::write(&path, bytes).unwrap();
        return path;
    }
    let built = root().join("build").join(file);
    assert!(
        built.is_file(),
        "{} is not built: run `cargo xtask guests`",
        built.display()
    );
    built
}

/// The pairs of a case: a line each, `IMPORT=EXPORT`.
fn pairs(path: &Path) -> Vec<(String, String)> {
    if !path.is_file() {
        return Vec::new();
    }
    let text = fs::read_to_string(path).unwrap();
    let pair = |line: &str| {
        let (import, export) = line.split_once('=').unwrap();
        (import.to_owned(), export.to_owned())
    };
    text.lines().map(pair).collect()
}

/// The calls of a case: a file each, `FUNCTION.txt` with what it returns or `FUNCTION.trap`.
fn calls(expected: &Path) -> Vec<Call> {
    let mut calls = Vec::new();
    for entry in fs::read_dir(expected).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let extension = path.extension().and_then(|e| e.to_str());
        let expected = match extension {
            Some("txt") => Expected::Text(fs::read_to_string(&path).unwrap()),
            Some("trap") => Expected::Trap(parts(&path)),
            Some("refused") => continue,
            _ => panic!("`{}` is no expectation", path.display()),
        };
        let function = path.file_stem().and_then(|stem| stem.to_str()).unwrap();
        calls.push(Call {
            function: function.into(),
            expected,
        });
    }
    calls.sort_by(|a, b| a.function.cmp(&b.function));
    calls
}

/// The parts of a message: a line each. An empty file would demand nothing.
fn parts(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let parts: Vec<String> = text.lines().map(String::from).collect();
    assert!(!parts.is_empty(), "`{}` is empty", path.display());
    parts
}

impl Call {
    /// How the outcome of the call, which is the text that it returned or the message of its trap,
    /// differs from the expected one; `None` if it does not.
    pub(crate) fn difference(&self, found: &Result<String, String>) -> Option<String> {
        let what = match (&self.expected, found) {
            (Expected::Text(expected), Ok(found)) if expected == found => return None,
            (Expected::Text(expected), Ok(found)) => lines_that_differ(expected, found),
            (Expected::Text(_), Err(said)) => format!("it failed:\n{said}"),
            (Expected::Trap(_), Ok(found)) => format!("it did not trap, but returned:\n{found}"),
            (Expected::Trap(parts), Err(said)) => {
                let is_said =
                    |part: &String| part.split(" | ").any(|wording| said.contains(wording));
                let missing = parts.iter().find(|part| !is_said(part))?;
                format!("{missing:?} is not in what was said:\n{said}")
            }
        };
        Some(format!("`{}`: {what}", self.function))
    }
}

/// The lines in which two texts differ, of the first few.
pub(crate) fn lines_that_differ(expected: &str, found: &str) -> String {
    let (mut expected, mut found) = (expected.lines(), found.lines());
    let mut text = String::new();
    for line in 1.. {
        let (expected, found) = match (expected.next(), found.next()) {
            (None, None) => break,
            pair => pair,
        };
        if expected != found {
            let shown = |line: Option<&str>| line.map_or("(nothing)".into(), str::to_owned);
            text += &format!("\nline {line}:\n- {}\n+ {}", shown(expected), shown(found));
        }
    }
    text
}
