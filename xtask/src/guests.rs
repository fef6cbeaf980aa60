//! Builds the components: each workspace's into its own `build` folder.
//!
//! Cargo decides what has to be compiled again. A file in `build` is replaced only when its content
//! changes, so that whatever watches it is not woken for nothing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result};

use crate::{process, tree, ui, wasm_target};

/// Folder for what is compiled in the guests' and the tests' own workspaces, in place of `target` in each.
/// `CARGO_TARGET_DIR` is not used for it: that is for the workspace at the root.
const TARGET_DIR: &str = "WITHE_GUESTS_TARGET_DIR";

/// The name of the keyvalue provider that is a component.
const KEYVALUE: &str = "keyvalue";

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
    build(&tree::test_guests(), packages).await?;
    build(&tree::conformance(), ends_of_cases).await?;
    build_keyvalue().await?;
    build_examples().await
}

/// Builds the keyvalue provider that is a component, and returns its file.
///
/// # Errors
///
/// As [`run`].
pub(crate) async fn build_keyvalue() -> Result<PathBuf> {
    let workspace = tree::keyvalue_component();
    build(&workspace, keyvalue).await?;
    Ok(workspace
        .join("build")
        .join(KEYVALUE)
        .with_extension("wasm"))
}

/// Builds the components of the examples.
///
/// # Errors
///
/// As [`run`].
pub(crate) async fn build_examples() -> Result<()> {
    build(&tree::visits(), packages).await?;
    build(&tree::gallery(), packages).await?;
    build(&tree::greeted(), packages).await?;
    build(&tree::lines(), packages).await
}

/// Where cargo puts what it compiles for a workspace other than the one at the root.
pub(crate) fn target_dir(workspace: &Path) -> PathBuf {
    match std::env::var_os(TARGET_DIR) {
        Some(folder) => Path::new(&folder).join(workspace.file_name().unwrap_or_default()),
        None => workspace.join("target"),
    }
}

/// A component: its name, and the file that holds it in cargo's folder for the profile.
type Component = (String, PathBuf);

async fn build(workspace: &Path, components: fn(&Path) -> Result<Vec<Component>>) -> Result<()> {
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
        "--lib",
        "--examples",
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
    let compiled = target.join(wasm_target::TARGET).join("release");
    let collected = components(workspace).and_then(|c| collect(workspace, &compiled, &c));
    collected.with_context(|| format!("cannot put the components into {name}/build"))
}

/// Puts each of the components into `build`, under its name, and removes what is none of them.
fn collect(workspace: &Path, compiled: &Path, components: &[Component]) -> Result<()> {
    let build = workspace.join("build");
    fs::create_dir_all(&build)?;
    for (name, file) in components {
        let from = compiled.join(file);
        let bytes = fs::read(&from).with_context(|| format!("cannot read `{}`", from.display()))?;
        replace(&build.join(format!("{name}.wasm")), &bytes)?;
    }
    for entry in fs::read_dir(&build)? {
        let path = entry?.path();
        let stale = path
            .file_stem()
            .and_then(OsStr::to_str)
            .is_none_or(|stem| !components.iter().any(|(name, _)| name == stem));
        if path.extension() == Some(OsStr::new("wasm")) && stale {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The packages of a workspace, a component each: its folders with a manifest, of the same name.
fn packages(workspace: &Path) -> Result<Vec<Component>> {
    let mut components = Vec::new();
    for entry in fs::read_dir(workspace)? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let file = compiled_name(&name).into();
            components.push((name, file));
        }
    }
    Ok(components)
}

/// The only component of the keyvalue provider's workspace, which is its only package.
fn keyvalue(_: &Path) -> Result<Vec<Component>> {
    let file = compiled_name("keyvalue-component").into();
    Ok(vec![(KEYVALUE.to_owned(), file)])
}

/// The components of conformance cases, which are examples of one package: both ends of each, unless
/// they are written as text.
fn ends_of_cases(workspace: &Path) -> Result<Vec<Component>> {
    let mut components = Vec::new();
    let cases = fs::read_dir(workspace.join("cases"))?.map(|case| Ok(case?.path()));
    let mut folders = cases.collect::<io::Result<Vec<_>>>()?;
    folders.push(workspace.join("scripts"));
    for folder in folders {
        for end in ["importer", "exporter"] {
            if folder.join(end).with_extension("rs").is_file() {
                let case = folder.file_name().unwrap_or_default();
                let name = format!("{}-{end}", case.to_string_lossy());
                let file = Path::new("examples").join(compiled_name(&name));
                components.push((name, file));
            }
        }
    }
    Ok(components)
}

/// The file name that cargo gives the library or example of this name.
fn compiled_name(name: &str) -> String {
    format!("{}.wasm", name.replace('-', "_"))
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

        let components = packages(workspace.path()).unwrap();
        collect(workspace.path(), &at("compiled"), &components).unwrap();

        assert_eq!(fs::read(at("build/two-words.wasm")).unwrap(), b"new");
        assert_eq!(fs::read_dir(at("build")).unwrap().count(), 1);
    }

    #[test]
    fn collects_the_ends_of_cases_that_are_not_text() {
        let workspace = tempfile::tempdir().unwrap();
        let at = |path: &str| workspace.path().join(path);
        for folder in ["cases/two-words", "compiled/examples"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in [
            "cases/two-words/importer.rs",
            "cases/two-words/exporter.wat",
            "compiled/examples/two_words_importer.wasm",
        ] {
            fs::write(at(file), "").unwrap();
        }

        let components = ends_of_cases(workspace.path()).unwrap();
        collect(workspace.path(), &at("compiled"), &components).unwrap();

        assert!(at("build/two-words-importer.wasm").is_file());
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
