//! No file of this crate knows one that knows it: what each uses is read from its `use` lines and paths.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module's path: `["http", "body"]`; of the crate's root: nothing.
type Module = Vec<String>;

#[test]
fn no_files_use_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    read(&root, &root, &mut sources);
    assert!(
        sources.len() > 40,
        "only {} modules were found",
        sources.len()
    );
    let uses: BTreeMap<&Module, BTreeSet<&Module>> = sources
        .iter()
        .map(|(module, source)| (module, used(module, source, &sources)))
        .collect();
    let known = uses.values().map(BTreeSet::len).sum::<usize>();
    assert!(known > 100, "only {known} uses were understood");
    let mut done = BTreeSet::new();
    for module in sources.keys() {
        let mut path = Vec::new();
        if let Some(circle) = circle(module, &uses, &mut path, &mut done) {
            let circle: Vec<_> = circle.iter().map(|m| m.join("/")).collect();
            panic!("files use each other in a circle: {}", circle.join(" -> "));
        }
    }
}

fn read(root: &Path, dir: &Path, sources: &mut BTreeMap<Module, String>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read(root, &path, sources);
            continue;
        }
        let relative = path.strip_prefix(root).unwrap().with_extension("");
        let mut module: Module = relative
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        // Tests may know everything.
        if module
            .last()
            .is_some_and(|name| name == "tests" || name == "dynamic")
        {
            continue;
        }
        module.retain(|name| name != "mod" && name != "lib");
        let source = fs::read_to_string(&path).unwrap();
        let own = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let code: String = own
            .lines()
            .map(|line| line.split("//").next().unwrap())
            .collect::<Vec<_>>()
            .join("\n");
        sources.insert(module, code);
    }
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
            for path in paths(&source[at + prefix.len()..]) {
                used.extend(file(&base, &path, sources));
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

fn circle<'a>(
    module: &'a Module,
    uses: &BTreeMap<&'a Module, BTreeSet<&'a Module>>,
    path: &mut Vec<&'a Module>,
    done: &mut BTreeSet<&'a Module>,
) -> Option<Vec<&'a Module>> {
    if let Some(at) = path.iter().position(|on| *on == module) {
        let mut circle = path[at..].to_vec();
        circle.push(module);
        return Some(circle);
    }
    if done.contains(module) {
        return None;
    }
    path.push(module);
    for used in &uses[module] {
        if let Some(found) = circle(used, uses, path, done) {
            return Some(found);
        }
    }
    path.pop();
    done.insert(module);
    None
}
