//! `cargo xtask site`: the documentation as a site, built by mdbook.
//!
//! The pages of `docs` are read on GitHub as well, where links lead out of the folder: to examples, to tests. Within the
//! site such a link leads to the repository, so mdbook is given a copy in which they are rewritten. A preprocessor of
//! mdbook's was rejected: it is a program of its own for one replacement.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::{process, tree, ui, withe};

/// The version that the site is built with.
const MDBOOK: &str = "0.5.4";

/// How links out of the folder begin.
const OUTSIDE: &str = "](../";

/// Builds the site, and says where it is.
///
/// # Errors
///
/// mdbook cannot be installed, or does not take the pages.
pub(crate) async fn build() -> Result<()> {
    let mdbook = ensure().await?;
    let docs = tree::root().join("docs");
    let copy = withe::target_dir().join("site-pages");
    let site = withe::target_dir().join("site");
    _ = fs::remove_dir_all(&copy);
    copy_pages(&docs, &copy).context("copying the pages")?;
    ui::step("build the site");
    let mut command = Command::new(mdbook);
    command.arg("build").arg(&copy).arg("--dest-dir").arg(&site);
    process::run("build the site", &mut command, process::LONG).await?;
    ui::step(format!(
        "the site is in {}",
        site.join("index.html").display()
    ));
    Ok(())
}

fn copy_pages(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let repository = format!("]({}/blob/main/", env!("CARGO_PKG_REPOSITORY"));
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&path)?;
            fs::write(target, text.replace(OUTSIDE, &repository))?;
        } else if path.is_file() {
            fs::copy(&path, target)?;
        }
    }
    Ok(())
}

/// mdbook: the machine's, or one that is installed below `target/`.
async fn ensure() -> Result<PathBuf> {
    if process::exists("mdbook") {
        return Ok("mdbook".into());
    }
    let tools = tree::root().join("target/tools");
    let binary = tools.join("bin/mdbook");
    if !binary.exists() {
        ui::step(format!(
            "install mdbook {MDBOOK}; this takes some minutes, once"
        ));
        let mut cargo = process::cargo(["install", "mdbook", "--version", MDBOOK, "--locked"]);
        cargo.args(["--no-default-features", "--features", "search"]);
        cargo.arg("--root").arg(&tools);
        process::run("install mdbook", &mut cargo, process::LONG).await?;
    }
    Ok(binary)
}
