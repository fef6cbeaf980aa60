//! `docs/tutorial.md` as whoever follows it meets it: its commands are run, its changes are made, and what it shows is
//! what comes.
//!
//! In what it shows, `…` stands for any text, and on a line of its own for any lines.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use withe_testing::port::ReservedPort;

use crate::support::client::get;
use crate::support::process::{Up, build};
use crate::support::{Folder, TEMPORARY};

/// The port that the page has.
const PORT: &str = "8080";

#[derive(Debug)]
enum Step {
    /// A line that is typed, and the lines that are shown below it.
    Typed(String, Vec<String>),
    /// A change of files.
    Changed(String),
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut kind = None;
    for event in Parser::new(page) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => kind = Some(info),
            Event::End(TagEnd::CodeBlock) => kind = None,
            Event::Text(text) => match kind.as_deref() {
                Some("console") => {
                    for line in text.lines() {
                        match (line.strip_prefix("$ "), steps.last_mut()) {
                            (Some(typed), _) => {
                                steps.push(Step::Typed(typed.to_owned(), Vec::new()));
                            }
                            (None, Some(Step::Typed(_, shown))) => shown.push(line.to_owned()),
                            (None, _) => panic!("{line:?} is shown before anything is typed"),
                        }
                    }
                }
                Some("diff") => steps.push(Step::Changed(text.into_string())),
                _ => {}
            },
            _ => {}
        }
    }
    steps
}

/// Whether a line is what is shown.
fn is_line(shown: &str, line: &str) -> bool {
    match shown.split_once('…') {
        None => shown == line,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.any(|at| is_line(after, &rest[at..]))
        }),
    }
}

/// Whether lines are what is shown.
fn is_shown(shown: &[String], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((any, rest)) if any == "…" => {
            (0..=lines.len()).any(|skipped| is_shown(rest, &lines[skipped..]))
        }
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, lines)| is_line(first, line.trim_end()) && is_shown(rest, lines)),
    }
}

/// A command line, run by a shell that finds the built command first.
fn shell(typed: &str, folder: &Folder, inside: &Path) -> Command {
    let built = Path::new(env!("CARGO_BIN_EXE_withe")).parent().unwrap();
    let path = format!("{}:{}", built.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-c", typed]).current_dir(inside);
    command.env("PATH", path);
    command.env("WITHE_CACHE_DIR", folder.path("compiled"));
    command.env("TMPDIR", folder.path(TEMPORARY));
    command.env("XDG_STATE_HOME", folder.path("state"));
    command.env("XDG_RUNTIME_DIR", folder.path("."));
    // A change is one of this folder's files, whatever repository the folder is in.
    command.env("GIT_CEILING_DIRECTORIES", folder.path(""));
    // With what the components for tests were built with.
    command.env("CARGO_NET_OFFLINE", "true");
    for variable in [
        "CARGO_TARGET_DIR",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "WITHE_LOG",
        "WITHE_LATTICE",
        "NO_COLOR",
        "CLICOLOR_FORCE",
    ] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn what_it_shows_is_what_comes() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tutorial.md");
    let page = fs::read_to_string(page).unwrap();
    let port = ReservedPort::new().unwrap();
    let page = page.replace(PORT, &port.port().to_string());
    let folder = Folder::new();
    let mut inside = folder.path(".");
    // Runs until the next command is typed in its terminal.
    let mut running: Option<Up> = None;
    let steps = steps(&page);
    assert!(steps.len() > 10, "{steps:#?}");
    for step in steps {
        let (typed, shown) = match step {
            Step::Changed(change) => {
                fs::write(folder.path("change"), change).unwrap();
                let mut apply = shell("git apply -v \"$0\"", &folder, &inside);
                apply.arg(folder.path("change"));
                build(apply).printed();
                continue;
            }
            Step::Typed(typed, shown) => (typed, shown),
        };
        if typed.starts_with("withe ")
            && let Some(mut up) = running.take()
        {
            up.interrupt();
            assert_eq!(up.exit_code(), Some(0));
        }
        if let Some(folder) = typed.strip_prefix("cd ") {
            inside = inside.join(folder);
        } else if typed.starts_with("withe up") {
            // In the place of the shell, so that it hears Ctrl-C.
            let up = Up::start(shell(&format!("exec {typed}"), &folder, &inside));
            up.prints(&shown[0]);
            running = Some(up);
        } else if let Some(url) = typed.strip_prefix("curl http://") {
            // Not every machine has it.
            let (address, path) = url.split_once('/').unwrap();
            let response = get(address, &format!("/{path}")).unwrap();
            assert_eq!(
                response.text().lines().collect::<Vec<_>>(),
                shown,
                "{typed}"
            );
        } else {
            let ended = build(shell(&format!("{typed} 2>&1"), &folder, &inside));
            let lines: Vec<_> = ended.stdout.lines().collect();
            assert!(
                is_shown(&shown, &lines),
                "{typed}\nshows {shown:#?}\nand not {lines:#?}"
            );
            if typed.starts_with("withe new") {
                // The template has the page's port.
                let manifest = inside.join("shop/app.yaml");
                let text = fs::read_to_string(&manifest).unwrap();
                fs::write(manifest, text.replace("8080", &port.port().to_string())).unwrap();
            }
        }
    }
}

#[test]
fn an_ellipsis_stands_for_any_text_and_any_lines() {
    let shown = |text: &str| text.lines().map(ToOwned::to_owned).collect::<Vec<_>>();
    assert!(is_shown(&shown("a\n…\nd"), &["a", "b", "c", "d"]));
    assert!(is_shown(&shown("a\n…"), &["a"]));
    assert!(is_shown(&shown("took … s, all"), &["took 1.5 s, all"]));
    assert!(!is_shown(&shown("took … s"), &["took 1.5 ms"]));
    assert!(!is_shown(&shown("a"), &["a", "b"]));
    assert!(!is_shown(&shown("a\n…\nd"), &["a", "b"]));
}
