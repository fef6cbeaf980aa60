//! The directories that components are granted: they can be opened, and nothing in them decides what the host runs.
//!
//! A component that can write to compiled code, to the host's own program, or to the programs that the host has
//! extracted needs no hole in its sandbox: the host executes for it.

use std::path::{Path, PathBuf};

use withe_linker::plan::{Plan, PlannedDirectory};

use crate::error::{HostError, none_of};
use crate::options::HostOptions;
use crate::parts::Parts;

/// A place that no component may change.
struct Guarded {
    /// Free of links.
    path: PathBuf,
    /// The thing that is there.
    what: &'static str,
    /// Whether all that is below belongs to it.
    is_whole: bool,
}

/// Looks at the directories that components of `plan` which run here are granted.
///
/// # Errors
///
/// All that cannot be opened, or have what this host runs.
pub(crate) fn check_grants(
    plan: &Plan,
    parts: &Parts,
    options: &HostOptions,
) -> Result<(), HostError> {
    let guarded = guarded(options);
    let here = plan.components.iter().filter(|c| !c.elsewhere);
    let granted = here.flat_map(|c| c.grants.directories.iter().map(move |d| (c, d)));
    let refused = granted.filter_map(|(component, directory)| {
        let host = parts.folder.join(&directory.host);
        if let Err(why) = std::fs::read_dir(&host) {
            return Some(HostError::Directory {
                component: component.name.clone(),
                host,
                guest: directory.guest.clone(),
                why,
            });
        }
        let guarded = reached(directory, &host, &guarded)?;
        Some(HostError::GuardedDirectory {
            component: component.name.clone(),
            host,
            guest: directory.guest.clone(),
            what: guarded.what,
            path: guarded.path.clone(),
        })
    });
    none_of(refused.collect())
}

/// Finds the guarded place, if any, that a directory lets a component change.
fn reached<'a>(
    directory: &PlannedDirectory,
    host: &Path,
    guarded: &'a [Guarded],
) -> Option<&'a Guarded> {
    if directory.read_only {
        return None;
    }
    // The directory could be opened a moment ago.
    let host = host.canonicalize().ok()?;
    let mut guarded = guarded.iter();
    guarded.find(|guarded| {
        guarded.path.starts_with(&host) || (guarded.is_whole && host.starts_with(&guarded.path))
    })
}

fn guarded(options: &HostOptions) -> Vec<Guarded> {
    let mut guarded = Vec::new();
    let mut add = |path: &Path, what, is_whole| {
        // A place that is not there yet is made when it is needed, in a folder that is there.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let real = path.ancestors().find_map(|above| {
            let real = above.canonicalize().ok()?;
            Some(real.join(path.strip_prefix(above).ok()?))
        });
        guarded.push(Guarded {
            path: real.unwrap_or(path),
            what,
            is_whole,
        });
    };
    if let Some(folder) = &options.cache_dir {
        add(folder, "the compiled code that this host executes", true);
        let key = options.key_dir.as_ref().unwrap_or(folder);
        add(key, "the key of compiled code", true);
    }
    for folder in &options.guarded {
        add(folder, "the sockets of this host", true);
    }
    // Others may well be granted what they have there.
    let temporary = std::env::temp_dir();
    add(&temporary, "the programs and sockets of this host", false);
    if let Ok(program) = std::env::current_exe() {
        add(&program, "this host's own program", false);
    }
    guarded
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn what(options: &HostOptions, host: &Path, read_only: bool) -> Option<&'static str> {
        let directory = PlannedDirectory {
            host: String::new(),
            guest: "/data".into(),
            read_only,
        };
        let guarded = guarded(options);
        reached(&directory, host, &guarded).map(|guarded| guarded.what)
    }

    #[test]
    fn a_directory_that_leads_to_what_the_host_executes_is_found() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for folder in ["home/.cache/withe/old", "home/data", "run", "free"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        std::os::unix::fs::symlink(at("home/.cache"), at("link")).unwrap();
        let options = HostOptions {
            cache_dir: Some(at("home/.cache/withe")),
            // Not there yet.
            key_dir: Some(at("home/state/withe")),
            guarded: vec![at("run")],
            ..HostOptions::default()
        };
        let program = std::env::current_exe().unwrap();
        for (host, expected) in [
            (at("home"), "compiled"),
            (at("home/.cache"), "compiled"),
            (at("home/.cache/withe"), "compiled"),
            (at("home/.cache/withe/old"), "compiled"),
            (at("link"), "compiled"),
            (at("link/withe"), "compiled"),
            (at("run"), "sockets"),
            (program.parent().unwrap().to_owned(), "own program"),
            ("/".into(), "compiled"),
        ] {
            let found = what(&options, &host, false).unwrap_or_default();
            assert!(found.contains(expected), "{}: {found}", host.display());
            assert_eq!(what(&options, &host, true), None, "{}", host.display());
        }
        // The test's own folders are there, so of options that name none of them.
        let temporary = std::env::temp_dir();
        let found = what(&HostOptions::default(), &temporary, false);
        assert_eq!(found, Some("the programs and sockets of this host"));
        for host in ["home/data", "free"] {
            assert_eq!(what(&options, &at(host), false), None, "{host}");
        }
        fs::create_dir(at("home/state")).unwrap();
        let key = what(&options, &at("home/state"), false);
        assert_eq!(key, Some("the key of compiled code"));
    }
}
