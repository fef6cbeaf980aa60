//! `cargo xtask tidy`: what no compiler checks. Also a unit test, so that `cargo test` does it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{layers, tree, ui};

/// More than this in one file, and a second idea has moved in.
const MAX_LINES: usize = 1000;

/// Leftovers that must not stay in the code; written in two parts, for this is code too.
const LEFTOVERS: [&str; 3] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
];

/// Folders of crates, which `ARCHITECTURE.md` maps.
const MAPPED: [&str; 2] = ["crates", "providers"];

/// Checks the whole tree.
///
/// # Errors
///
/// Everything that was found.
pub(crate) fn run() -> Result<()> {
    ui::step("tidy");
    let problems = problems(tree::root())?;
    if !problems.is_empty() {
        bail!("{}", problems.join("\n       "));
    }
    Ok(())
}

fn problems(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let files = files(root)?;
    sources(root, &files, &mut problems)?;
    architecture(root, &mut problems)?;
    circles(root, &mut problems)?;
    packages(root, &files, &mut problems)?;
    wit_copies(root, &files, &mut problems)?;
    problems.sort();
    Ok(problems)
}

fn sources(root: &Path, files: &[PathBuf], problems: &mut Vec<String>) -> Result<()> {
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "rs"))
    {
        let text = read(file)?;
        let name = name(root, file);
        let lines = text.lines().count();
        if lines > MAX_LINES {
            problems.push(format!(
                "`{name}` has {lines} lines, and {MAX_LINES} are enough: split it"
            ));
        }
        for (number, line) in text.lines().enumerate() {
            for leftover in LEFTOVERS
                .iter()
                .filter(|leftover| line.contains(**leftover))
            {
                problems.push(format!(
                    "`{name}:{}` has `{leftover}`: finish it",
                    number + 1
                ));
            }
        }
    }
    Ok(())
}

/// Every crate is in the map, and everything in the map is there.
fn architecture(root: &Path, problems: &mut Vec<String>) -> Result<()> {
    let map = read(&root.join("ARCHITECTURE.md"))?;
    let mapped: BTreeSet<String> = MAPPED
        .iter()
        .flat_map(|folder| mentioned(&map, folder))
        .collect();
    let mut found = BTreeSet::new();
    for folder in MAPPED {
        for entry in entries(&root.join(folder))? {
            if entry.join("Cargo.toml").is_file() {
                found.insert(name(root, &entry));
            }
        }
    }
    let missing = found
        .difference(&mapped)
        .map(|c| format!("`ARCHITECTURE.md` does not say what `{c}` is"));
    let gone = mapped
        .difference(&found)
        .map(|c| format!("`ARCHITECTURE.md` maps `{c}`, which is not there"));
    problems.extend(missing.chain(gone));
    Ok(())
}

/// Every crate could be published: it says what it is, and takes nothing from outside of its folder.
fn packages(root: &Path, files: &[PathBuf], problems: &mut Vec<String>) -> Result<()> {
    for folder in MAPPED {
        for entry in entries(&root.join(folder))? {
            if entry.join("Cargo.toml").is_file() && !entry.join("README.md").is_file() {
                problems.push(format!("`{}` has no `README.md`", name(root, &entry)));
            }
        }
    }
    let of_crates = |file: &&PathBuf| {
        let relative = file.strip_prefix(root).unwrap_or(file);
        let mut parts = relative.iter();
        let is_mapped = parts
            .next()
            .is_some_and(|first| MAPPED.iter().any(|f| first == *f));
        is_mapped && parts.nth(1).is_some_and(|third| third == "src")
    };
    for file in files.iter().filter(of_crates) {
        let relative = file.strip_prefix(root).unwrap_or(file);
        // Of `crates/a/src/b.rs`: what is below the crate.
        let depth = relative.iter().count() - 3;
        let outside = format!("include_str!(\"{}", "../".repeat(depth + 1));
        for (number, line) in read(file)?.lines().enumerate() {
            if line.contains(&outside) {
                let at = format!("{}:{}", name(root, file), number + 1);
                problems.push(format!("`{at}` includes a file from outside of its crate"));
            }
        }
    }
    Ok(())
}

/// No files of a crate use each other in a circle.
fn circles(root: &Path, problems: &mut Vec<String>) -> Result<()> {
    for folder in MAPPED {
        for entry in entries(&root.join(folder))? {
            let src = entry.join("src");
            if !src.is_dir() {
                continue;
            }
            let name = name(root, &entry);
            let found = layers::circles(&src)?.into_iter();
            problems.extend(
                found.map(|circle| {
                    format!("files of `{name}` use each other in a circle: {circle}")
                }),
            );
        }
    }
    Ok(())
}

/// Every `folder/name` in a text.
fn mentioned(text: &str, folder: &str) -> Vec<String> {
    let prefix = format!("{folder}/");
    let name_of = |rest: &str| -> String {
        rest.chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect()
    };
    let names = text
        .split(&prefix)
        .skip(1)
        .map(name_of)
        .filter(|name| !name.is_empty());
    names.map(|name| prefix.clone() + &name).collect()
}

/// Components are built on their own, so each workspace has its own copy of the standard interfaces.
/// Copies of one version must be the same.
fn wit_copies(root: &Path, files: &[PathBuf], problems: &mut Vec<String>) -> Result<()> {
    let mut packages: BTreeMap<String, (&Path, String)> = BTreeMap::new();
    let is_copy = |file: &&PathBuf| {
        file.extension().is_some_and(|e| e == "wit")
            && file.parent().is_some_and(|folder| folder.ends_with("deps"))
    };
    for file in files.iter().filter(is_copy) {
        let text = read(file)?;
        let Some(package) = text.lines().find(|line| line.starts_with("package ")) else {
            continue;
        };
        match packages.get(package) {
            Some((first, other)) if *other != text => problems.push(format!(
                "`{}` and `{}` are the same package and differ",
                name(root, first),
                name(root, file)
            )),
            Some(_) => {}
            None => {
                packages.insert(package.to_string(), (file, text));
            }
        }
    }
    Ok(())
}

/// All files of the repository in a fixed order, but for what is built or hidden.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in entries(&folder)? {
            let skipped = entry.file_name().is_some_and(|name| {
                name == "target"
                    || name == "build"
                    || name == "data"
                    || name.to_string_lossy().starts_with('.')
            });
            if entry.is_symlink() || skipped {
                continue;
            }
            if entry.is_dir() {
                folders.push(entry)
            } else {
                files.push(entry)
            }
        }
    }
    files.sort();
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<_>>()
    };
    read().with_context(|| format!("cannot list `{}`", folder.display()))
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))
}

fn name(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let problems = problems(tree::root()).unwrap();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn everything_untidy_is_found() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "ARCHITECTURE.md",
            "`crates/kept` and `crates/gone`, and all of `providers/`\n",
        );
        write("crates/kept/Cargo.toml", "");
        write("crates/kept/README.md", "");
        let include = |path: &str| format!("include_str!({path:?})\n");
        let both = include("../../wit/own.wit") + &include("../../../other/own.wit");
        write("crates/kept/src/deep/include.rs", &both);
        write("crates/unmapped/Cargo.toml", "");
        write("crates/kept/src/long.rs", &"\n".repeat(MAX_LINES + 1));
        write("crates/kept/src/open.rs", &format!("\n{})\n", LEFTOVERS[0]));
        write("providers/kv/Cargo.toml", "");
        write("examples/a/wit/deps/x.wit", "package x:y;\n// one\n");
        write("examples/b/wit/deps/x.wit", "package x:y;\n// two\n");
        write("examples/b/target/ignored.rs", &"\n".repeat(MAX_LINES + 1));

        let found = problems(root.path()).unwrap();
        let expected = [
            "`ARCHITECTURE.md` does not say what `crates/unmapped` is".to_string(),
            "`ARCHITECTURE.md` does not say what `providers/kv` is".into(),
            "`ARCHITECTURE.md` maps `crates/gone`, which is not there".into(),
            "`crates/kept/src/deep/include.rs:2` includes a file from outside of its crate".into(),
            "`crates/kept/src/long.rs` has 1001 lines, and 1000 are enough: split it".into(),
            format!("`crates/kept/src/open.rs:2` has `{}`: finish it", LEFTOVERS[0]),
            "`crates/unmapped` has no `README.md`".into(),
            "`examples/a/wit/deps/x.wit` and `examples/b/wit/deps/x.wit` are the same package and differ".into(),
            "`providers/kv` has no `README.md`".into(),
        ];
        assert_eq!(found, expected);
    }
}
