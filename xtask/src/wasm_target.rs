//! Makes sure that components can be compiled.

use std::path::Path;

use anyhow::{Result, bail};
use tokio::process::Command;

use crate::{process, tree, ui};

/// The target that components are compiled for.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// Adds the target to the toolchain unless it is there.
///
/// # Errors
///
/// Returns an error if the target is missing and cannot be added.
pub(crate) async fn ensure() -> Result<()> {
    let mut rustc = Command::new("rustc");
    rustc
        .current_dir(tree::root())
        .args(["--print", "target-libdir", "--target", TARGET]);
    let libraries = process::output(
        "ask rustc where its libraries are",
        &mut rustc,
        process::SHORT,
    )
    .await?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    if !process::exists("rustup") {
        bail!(
            "this Rust toolchain cannot compile for `{TARGET}`, and there is no `rustup` to add the target: \
             install rustup (https://rustup.rs), or the target with your system's packages"
        );
    }
    ui::step(format!("add the target {TARGET}"));
    let mut rustup = Command::new("rustup");
    rustup
        .current_dir(tree::root())
        .args(["target", "add", TARGET]);
    process::run(
        &format!("add the target `{TARGET}`"),
        &mut rustup,
        process::LONG,
    )
    .await
}
