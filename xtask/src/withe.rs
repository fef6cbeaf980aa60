//! Builds the `withe` command.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{process, tree, ui};

/// Builds `withe` and returns where it is.
///
/// # Errors
///
/// Returns an error if the command does not compile.
pub(crate) async fn build(release: bool) -> Result<PathBuf> {
    build_with(if release { "release" } else { "dev" }).await
}

/// The same with a profile of that name.
///
/// # Errors
///
/// Returns an error if the command does not compile.
pub(crate) async fn build_with(profile: &str) -> Result<PathBuf> {
    ui::step("build withe");
    let mut cargo = process::cargo(["build", "--package", "withe", "--bin", "withe"]);
    cargo.arg("--message-format=json-render-diagnostics");
    cargo.args(["--profile", profile]);
    let messages = process::output("build withe", &mut cargo, process::LONG).await?;
    executable(&messages).context("cargo built `withe`, but did not say where it is")
}

/// Where `cargo test` has just put the command, which its end-to-end tests run. Building it again for
/// itself would build much of what is below it again: other features are asked of it without tests.
pub(crate) fn built_by_tests() -> PathBuf {
    target_dir().join("debug/withe")
}

/// Where cargo puts what it compiles for this workspace.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tree::root().join("target"), PathBuf::from)
}

/// The last executable that cargo's messages name: the one that was asked for.
fn executable(messages: &str) -> Option<PathBuf> {
    let named = |line| {
        Some(
            serde_json::from_str::<Value>(line)
                .ok()?
                .get("executable")?
                .as_str()?
                .into(),
        )
    };
    messages.lines().rev().find_map(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_executable_among_the_messages() {
        let messages = r#"{"reason":"compiler-artifact","executable":null}
{"reason":"compiler-artifact","executable":"/t/withe"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(executable(messages), Some("/t/withe".into()));
        assert_eq!(executable(""), None);
    }
}
