//! Builds the components: each workspace's into its own `build` folder.
//!
//! Cargo decides what has to be compiled again. A file in `build` is replaced only when its content
//! changes, so that whatever watches it is not woken for nothing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result};

use crate::{process, tree, ui, wasm_target};

/// Folder for the guests' compiled artifacts, in place of `target` in each of their workspaces.
/// `CARGO_TARGET_DIR` is not used for it: that is for what runs on this machine.
const TARGET_DIR: &str = "WITHE_GUESTS_TARGET_DIR";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only those of the examples
    #[arg(long)]
    examples: bool,
}

/// Builds what the arguments ask for.
///
/// # Errors
///
/// Something does not compile, or cannot be written.
pub(crate) async fn run(args: Args) -> Result<()> {
    if args.examples {
        build_examples().await
    } else {
        build_all().await
    }
}

/// Builds all components.
///
/// # Errors
///
/// As [`run`].
pub(crate) async fn build_all() -> Result<()> {
    build(&tree::test_guests()).await?;
    build_examples().await
}

/// Builds the components of the examples.
///
/// # Errors
///
/// As [`run`].
pub(crate) async fn build_examples() -> Result<()> {
    build(&tree::visits()).await
}

/// Where cargo puts what it compiles for a workspace of guests.
pub(crate) fn target_dir(workspace: &Path) -> PathBuf {
    match std::env::var_os(TARGET_DIR) {
        Some(folder) => Path::new(&folder).join(workspace.file_name().unwrap_or_default()),
        None => workspace.join("target"),
    }
}

async fn build(workspace: &Path) -> Result<()> {
    wasm_target::ensure().await?;
    let name = workspace
        .strip_prefix(tree::root())
        .unwrap_or(workspace)
        .display()
        .to_string();
    ui::step(format!("build the components in {name}"));
    let target = target_dir(workspace);
    let mut cargo = process::cargo([
        "build",
        "--release",
        "--locked",
        "--target",
        wasm_target::TARGET,
    ]);
    cargo
        .arg("--target-dir")
        .arg(&target)
        .current_dir(workspace);
    process::run(
        &format!("build the components in {name}"),
        &mut cargo,
        process::LONG,
    )
    .await?;
    collect(workspace, &target.join(wasm_target::TARGET).join("release"))
        .with_context(|| format!("cannot put the components into {name}/build"))
}

/// Puts the component of each package into `build`, under the package's name, and removes what no
/// package has built.
fn collect(workspace: &Path, compiled: &Path) -> Result<()> {
    let build = workspace.join("build");
    fs::create_dir_all(&build)?;
    let packages = packages(workspace)?;
    for package in &packages {
        let from = compiled.join(format!("{}.wasm", package.replace('-', "_")));
        let bytes = fs::read(&from).with_context(|| format!("cannot read `{}`", from.display()))?;
        replace(&build.join(format!("{package}.wasm")), &bytes)?;
    }
    for entry in fs::read_dir(&build)? {
        let path = entry?.path();
        let stale = path
            .file_stem()
            .and_then(OsStr::to_str)
            .is_none_or(|stem| !packages.iter().any(|p| p == stem));
        if path.extension() == Some(OsStr::new("wasm")) && stale {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The packages of a workspace: its folders with a manifest, of the same name.
fn packages(workspace: &Path) -> Result<Vec<String>> {
    let mut packages = Vec::new();
    for entry in fs::read_dir(workspace)? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            packages.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(packages)
}

/// Writes a file as a whole, for it may be read at any time, and only if it changes.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collects_what_the_packages_built_and_nothing_else() {
        let workspace = tempfile::tempdir().unwrap();
        let at = |path: &str| workspace.path().join(path);
        for folder in ["two-words", "docs", "compiled", "build"] {
            fs::create_dir(at(folder)).unwrap();
        }
        fs::write(at("two-words/Cargo.toml"), "").unwrap();
        fs::write(at("compiled/two_words.wasm"), "new").unwrap();
        fs::write(at("build/two-words.wasm"), "old").unwrap();
        fs::write(at("build/gone.wasm"), "stale").unwrap();

        collect(workspace.path(), &at("compiled")).unwrap();

        assert_eq!(fs::read(at("build/two-words.wasm")).unwrap(), b"new");
        assert_eq!(fs::read_dir(at("build")).unwrap().count(), 1);
    }

    #[test]
    fn leaves_a_file_alone_that_does_not_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        fs::write(&path, "same").unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).unwrap();

        replace(&path, b"same").unwrap();
        assert!(fs::metadata(&path).unwrap().permissions().readonly());
        replace(&path, b"other").unwrap();
        assert!(!fs::metadata(&path).unwrap().permissions().readonly());
    }
}
