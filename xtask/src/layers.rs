//! No file of a crate knows one that knows it: what each uses is read from its `use` lines and paths.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A module's path: `["http", "body"]`; of the crate's root: nothing.
type Module = Vec<String>;

/// A circle of files, `a -> b -> a`, for each use by which one is closed below `src`: when each of these uses is gone,
/// there is none.
///
/// # Errors
///
/// If a file cannot be read.
pub(crate) fn circles(src: &Path) -> Result<Vec<String>> {
    let mut sources = BTreeMap::new();
    read(src, src, &mut sources)?;
    let uses: BTreeMap<&Module, BTreeSet<&Module>> = sources
        .iter()
        .map(|(module, source)| (module, used(module, source, &sources)))
        .collect();
    let mut walk = Walk {
        uses: &uses,
        way: Vec::new(),
        done: BTreeSet::new(),
        found: Vec::new(),
    };
    for module in sources.keys() {
        walk.visit(module);
    }
    Ok(walk.found)
}

fn read(root: &Path, dir: &Path, sources: &mut BTreeMap<Module, String>) -> Result<()> {
    let shown = dir.display();
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .with_context(|| format!("cannot read `{shown}`"))?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read(root, &path, sources)?;
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let relative = path.strip_prefix(root)?.with_extension("");
        let parts = relative.iter();
        let mut module: Module = parts
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        // Tests may know everything.
        if module
            .iter()
            .any(|name| name == "tests" || name == "testing" || name == "dynamic")
        {
            continue;
        }
        module.retain(|name| name != "mod" && name != "lib" && name != "main");
        let source = fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let lines = own(&source).lines();
        let code: Vec<_> = lines.filter_map(|line| line.split("//").next()).collect();
        sources.insert(module, code.join("\n"));
    }
    Ok(())
}

/// A file without its tests, which come last; others may see them (`pub(super) mod tests {`).
fn own(source: &str) -> &str {
    let mut starts = source.match_indices("#[cfg(test)]\n");
    let tests = starts.find(|(at, attribute)| {
        let item = source[at + attribute.len()..].lines().next();
        item.is_some_and(|item| item.contains("mod tests {"))
    });
    tests.map_or(source, |(at, _)| &source[..at])
}

/// The modules that `module` uses.
fn used<'a>(
    module: &Module,
    source: &str,
    sources: &'a BTreeMap<Module, String>,
) -> BTreeSet<&'a Module> {
    let parent = module[..module.len().saturating_sub(1)].to_vec();
    let mut used = BTreeSet::new();
    for (prefix, base) in [("crate::", Vec::new()), ("super::", parent)] {
        for (at, _) in source.match_indices(prefix) {
            let before = source[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut rest = &source[at + prefix.len()..];
            let mut base = &base[..];
            while let Some(further) = rest.strip_prefix("super::") {
                rest = further;
                base = &base[..base.len().saturating_sub(1)];
            }
            for path in paths(rest) {
                used.extend(file(base, &path, sources));
            }
        }
    }
    // Children by their names.
    for line in source.lines() {
        let line = line.trim();
        let name = ["use ", "pub use ", "pub(crate) use "]
            .iter()
            .find_map(|start| line.strip_prefix(start));
        if let Some(rest) = name {
            for path in paths(rest) {
                let mut child = module.clone();
                child.extend(path.first().cloned());
                if path.first().is_some_and(|first| !first.is_empty())
                    && sources.contains_key(&child)
                {
                    used.extend(file(module, &path, sources));
                }
            }
        }
    }
    used.remove(module);
    // The root only says what there is.
    used.retain(|module| !module.is_empty());
    used
}

/// The paths that a use tree stands for, to the depth of one group.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut path = Vec::new();
    let mut rest = text;
    loop {
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        if end == 0 {
            break;
        }
        path.push(rest[..end].to_owned());
        match rest[end..].strip_prefix("::") {
            Some(next) => rest = next,
            None => return vec![path],
        }
    }
    let Some(group) = rest.strip_prefix('{') else {
        return vec![path];
    };
    let group = group.split('}').next().unwrap_or_default();
    group
        .split(',')
        .map(|item| {
            let mut whole = path.clone();
            whole.extend(
                item.trim()
                    .split("::")
                    .filter(|name| !name.is_empty() && *name != "self")
                    .map(str::to_owned),
            );
            whole
        })
        .collect()
}

/// The file in which what `path` means, below `base`, is found.
fn file<'a>(
    base: &[String],
    path: &[String],
    sources: &'a BTreeMap<Module, String>,
) -> Option<&'a Module> {
    (0..=path.len()).rev().find_map(|n| {
        let module: Module = base.iter().chain(&path[..n]).cloned().collect();
        sources.get_key_value(&module).map(|(module, _)| module)
    })
}

/// Goes along all uses, each once.
struct Walk<'a, 'u> {
    uses: &'u BTreeMap<&'a Module, BTreeSet<&'a Module>>,
    /// From where it began to where it is.
    way: Vec<&'a Module>,
    /// Modules left again: the modules that they use have been visited.
    done: BTreeSet<&'a Module>,
    found: Vec<String>,
}

impl<'a> Walk<'a, '_> {
    fn visit(&mut self, module: &'a Module) {
        if let Some(at) = self.way.iter().position(|on| *on == module) {
            let circle = self.way[at..].iter().chain([&module]);
            let names: Vec<_> = circle.map(|module| module.join("/")).collect();
            self.found.push(names.join(" -> "));
            return;
        }
        if self.done.contains(module) {
            return;
        }
        self.way.push(module);
        for used in &self.uses[module] {
            self.visit(used);
        }
        self.way.pop();
        self.done.insert(module);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_found_however_a_file_is_named_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("lib.rs", "mod a; mod b; mod c; mod d; pub use a::A;");
        write("a.rs", "use crate::{b::B, c};");
        write("b.rs", "fn f() { super::c::g() } // crate::a");
        write(
            "c.rs",
            "use crate::d::{deep::D};\n#[cfg(test)]\nmod tests { use crate::a; }",
        );
        write("d/mod.rs", "mod deep;\nuse deep::E;");
        write("d/deep.rs", "pub struct D;");
        assert_eq!(circles(dir.path()).unwrap(), Vec::<String>::new());
        // By one file two circles are closed, one of which is of a file and its own child.
        write("d/deep.rs", "use super::Other; use crate::a::A;");
        let found = circles(dir.path()).unwrap();
        assert_eq!(
            found,
            ["a -> b -> c -> d/deep -> a", "d/deep -> d -> d/deep"]
        );
        write("d/deep.rs", "fn f() { super::super::b::B }");
        let found = circles(dir.path()).unwrap();
        assert_eq!(found, ["b -> c -> d/deep -> b"]);
        write(
            "d/deep.rs",
            "pub struct D;\n#[cfg(test)]\npub(super) mod tests { use super::super::a; }",
        );
        assert_eq!(circles(dir.path()).unwrap(), Vec::<String>::new());
    }
}
