//! `wit.lock`, in the folder of a component's WIT: the requests, and their results.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use semver::Version;
use serde::{Deserialize, Serialize};
use withe_oci::digest_of;

use super::fetch::FetchedPackages;
use super::registries::NamedPlace;
use super::sources::WitRequest;

/// The file's name.
const NAME: &str = "wit.lock";
/// The folder of the packages that a component uses, as all tools of WIT have it.
const DEPS: &str = "deps";
/// The form of the file.
const VERSION: u32 = 1;

/// The file's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WitLock {
    version: u32,
    /// The version with which all of WASI 0.2 is there.
    pub(crate) wasi: Version,
    /// The requests.
    pub(crate) requests: Vec<WitRequest>,
    /// The places of packages that were named, by namespace or package.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    registries: BTreeMap<String, String>,
    /// The packages that came from registries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) fetched: FetchedPackages,
    /// The packages that are there, by name.
    packages: BTreeMap<String, LockedPackage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockedPackage {
    /// The file, from the folder of the WIT.
    path: String,
    digest: String,
}

/// The state of a package in a folder, against the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PackageState {
    /// The lock's digest.
    Same,
    /// Something else.
    Changed,
    /// Nothing.
    Missing,
    /// Something that the lock does not know.
    Unknown,
}

/// A package in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FoundPackage {
    /// Its name; empty if only its file is known.
    pub(crate) package: String,
    pub(crate) path: String,
    pub(crate) state: PackageState,
}

/// The outcome for a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Written {
    Added,
    Changed,
    Same,
    Removed,
}

impl WitLock {
    /// A lock of nothing.
    pub(crate) fn new(wasi: Version) -> Self {
        Self {
            version: VERSION,
            wasi,
            requests: Vec::new(),
            registries: BTreeMap::new(),
            fetched: BTreeMap::new(),
            packages: BTreeMap::new(),
        }
    }

    /// Reads the lock of a folder; `None` if it has none.
    ///
    /// # Errors
    ///
    /// If it has one that is not understood.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(NAME);
        let text = match fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("`{}` cannot be read", path.display()))?,
        };
        let lock: Self = serde_json::from_slice(&text)
            .with_context(|| format!("`{}` is not understood", path.display()))?;
        if lock.version != VERSION {
            bail!(
                "`{}` has version {}, and this program knows version {VERSION}",
                path.display(),
                lock.version
            );
        }
        if let Some(bad) = lock
            .packages
            .values()
            .find(|package| !is_safe(&package.path))
        {
            bail!(
                "`{}` names `{}`, which is not in `{DEPS}`",
                path.display(),
                bad.path
            );
        }
        Ok(Some(lock))
    }

    /// Takes note of places, in the place of those that it has for the same names. Packages that came from another place than the one
    /// that is named for them now are to be looked for anew, so they are no more locked.
    pub(crate) fn name_places(&mut self, places: &[NamedPlace]) {
        let before = self.registries.clone();
        let places = places.iter();
        self.registries
            .extend(places.map(|named| (named.name.clone(), named.place.to_string())));
        let after = &self.registries;
        self.fetched
            .retain(|name, _| place_of(&before, name) == place_of(after, name));
    }

    /// The places that were named.
    ///
    /// # Errors
    ///
    /// If one makes no sense.
    pub(crate) fn places(&self) -> anyhow::Result<Vec<NamedPlace>> {
        let read = |(name, place): (&String, &String)| {
            let place = place
                .parse()
                .with_context(|| format!("`{NAME}` has the registry `{place}` for `{name}`"))?;
            Ok(NamedPlace {
                name: name.clone(),
                place,
            })
        };
        self.registries.iter().map(read).collect()
    }

    /// The state of a folder, against the lock.
    pub(crate) fn found(&self, folder: &Path) -> Vec<FoundPackage> {
        let mut found: Vec<_> = (self.packages.iter())
            .map(|(name, package)| FoundPackage {
                package: name.clone(),
                path: package.path.clone(),
                state: match fs::read(folder.join(&package.path)) {
                    Ok(bytes) if digest_of(&bytes) == package.digest => PackageState::Same,
                    Ok(_) => PackageState::Changed,
                    Err(_) => PackageState::Missing,
                },
            })
            .collect();
        let known: Vec<PathBuf> = (self.packages.values())
            .map(|package| folder.join(&package.path))
            .collect();
        for path in wit_files(&folder.join(DEPS)) {
            if !known.contains(&path) {
                let path = path.strip_prefix(folder).unwrap_or(&path);
                found.push(FoundPackage {
                    package: String::new(),
                    path: path.display().to_string(),
                    state: PackageState::Unknown,
                });
            }
        }
        found
    }

    /// Has a folder have these packages, in the place of those that the lock has, and writes the lock. A file that
    /// somebody else wrote is replaced only with `force`.
    ///
    /// # Errors
    ///
    /// If files cannot be written, or something else is where they go: all such are named, and nothing is written.
    pub(crate) fn write(
        &mut self,
        folder: &Path,
        texts: &BTreeMap<String, String>,
        force: bool,
    ) -> anyhow::Result<BTreeMap<String, Written>> {
        let before = self.packages.clone();
        let mut packages = BTreeMap::new();
        let mut foreign = Vec::new();
        for (name, text) in texts {
            let package = LockedPackage {
                path: path_of(name),
                digest: digest_of(text.as_bytes()),
            };
            let there = fs::read(folder.join(&package.path))
                .ok()
                .map(|b| digest_of(&b));
            let ours = before.get(name).map(|before| &before.digest);
            let is_foreign = there
                .as_ref()
                .is_some_and(|there| Some(there) != ours && *there != package.digest);
            if is_foreign {
                foreign.push(format!("`{}`", package.path));
            }
            packages.insert(name.clone(), package);
        }
        let mut paths = BTreeMap::new();
        for (name, package) in &packages {
            if let Some(other) = paths.insert(&package.path, name) {
                bail!("`{other}` and `{name}` would both be in `{}`", package.path);
            }
        }
        let gone: Vec<_> = before
            .iter()
            .filter(|(name, _)| !packages.contains_key(*name))
            .collect();
        for (_, package) in &gone {
            let there = fs::read(folder.join(&package.path))
                .ok()
                .map(|b| digest_of(&b));
            if there.is_some_and(|there| there != package.digest) {
                foreign.push(format!("`{}`", package.path));
            }
        }
        if !foreign.is_empty() && !force {
            bail!(
                "{} in `{}` is not what was put there: `--force` replaces it",
                foreign.join(", "),
                folder.display()
            );
        }
        let mut written = BTreeMap::new();
        for (name, text) in texts {
            let package = &packages[name];
            let path = folder.join(&package.path);
            let is_there = fs::read(&path).is_ok_and(|there| there == text.as_bytes());
            let state = match (before.get(name), is_there) {
                (None, _) => Written::Added,
                (Some(before), true) if before == package => Written::Same,
                _ => Written::Changed,
            };
            if !is_there {
                let parent = path.parent().unwrap_or(folder);
                fs::create_dir_all(parent)
                    .and_then(|()| write_whole(&path, text))
                    .with_context(|| format!("`{}` cannot be written", path.display()))?;
            }
            written.insert(name.clone(), state);
        }
        for (name, package) in gone {
            let path = folder.join(&package.path);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(e)
                        .with_context(|| format!("`{}` cannot be removed", path.display()));
                }
                _ => {}
            }
            // The folder was for the file; others may have put something there.
            _ = path.parent().map(fs::remove_dir);
            written.insert(name.clone(), Written::Removed);
        }
        self.packages = packages;
        let path = folder.join(NAME);
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        // Last: a lock of files that are not all there would say that they were lost.
        write_whole(&path, &text)
            .with_context(|| format!("`{}` cannot be written", path.display()))?;
        Ok(written)
    }
}

/// The place that is named for a package, such as `acme:cart@1.0.0`.
fn place_of<'a>(places: &'a BTreeMap<String, String>, package: &str) -> Option<&'a String> {
    let package = package.split('@').next().unwrap_or(package);
    let namespace = package.split(':').next().unwrap_or(package);
    places.get(package).or_else(|| places.get(namespace))
}

/// Writes a file whole or not at all, so that nobody finds half of one.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // As other files: the mode is less what the user's mask takes.
    let mut unfinished = tempfile::Builder::new()
        .prefix(".wit.")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    unfinished.write_all(text.as_bytes())?;
    unfinished.persist(path)?;
    Ok(())
}

/// Where the package of a name goes: as `wkg` has it.
fn path_of(name: &str) -> String {
    let name = name.replace([':', '@'], "-");
    format!("{DEPS}/{name}/package.wit")
}

fn is_safe(path: &str) -> bool {
    let rest = path
        .strip_prefix(DEPS)
        .and_then(|rest| rest.strip_prefix('/'));
    rest.is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

/// The texts of WIT in a folder and in its folders.
fn wit_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    for path in list(folder) {
        match path.is_dir() {
            true => found.extend(list(&path)),
            false => found.push(path),
        }
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "wit"));
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        let entries = entries.iter();
        entries
            .map(|(name, text)| ((*name).into(), (*text).into()))
            .collect()
    }

    #[test]
    fn what_is_there_follows_what_is_wanted_and_what_others_wrote_stays() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut lock = WitLock::new(Version::new(0, 2, 10));
        let written = lock
            .write(folder, &texts(&[("a:b@1.0.0", "x"), ("a:c", "y")]), false)
            .unwrap();
        assert_eq!(written["a:b@1.0.0"], Written::Added);
        let lock_read = WitLock::read(folder).unwrap().unwrap();
        assert_eq!(lock_read, lock);
        assert!(
            lock.found(folder)
                .iter()
                .all(|found| found.state == PackageState::Same)
        );

        fs::write(folder.join("deps/own.wit"), "package own:own;").unwrap();
        fs::write(folder.join("deps/a-c/package.wit"), "mine").unwrap();
        let states: Vec<_> = lock
            .found(folder)
            .into_iter()
            .map(|found| found.state)
            .collect();
        assert_eq!(
            states,
            [
                PackageState::Same,
                PackageState::Changed,
                PackageState::Unknown
            ]
        );
        let refused = lock
            .write(folder, &texts(&[("a:b@1.0.0", "x")]), false)
            .unwrap_err();
        assert!(
            refused.to_string().contains("deps/a-c/package.wit"),
            "{refused}"
        );
        let written = lock
            .write(folder, &texts(&[("a:b@1.0.0", "z")]), true)
            .unwrap();
        assert_eq!(
            (written["a:b@1.0.0"], written["a:c"]),
            (Written::Changed, Written::Removed)
        );
        assert!(!folder.join("deps/a-c").exists());
        // No unfinished file stays behind, and others can read what is there.
        let names = |folder: &Path| fs::read_dir(folder).unwrap().count();
        assert_eq!(
            (names(folder), names(&folder.join("deps/a-b-1.0.0"))),
            (2, 1)
        );
        let plain = folder.join("deps/own.wit");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&folder.join(NAME)), mode(&plain));
        assert!(folder.join("deps/own.wit").exists());
    }

    #[test]
    fn a_place_that_is_named_anew_unlocks_what_came_from_another() {
        let mut lock = WitLock::new(Version::new(0, 2, 10));
        let fetched = |name: &str| {
            let package = super::super::fetch::FetchedPackage {
                reference: String::new(),
                digest: String::new(),
            };
            (name.to_owned(), package)
        };
        let names = ["acme:cart@1.0.0", "acme:money@1.0.0", "wasi:io@0.2.9"];
        lock.fetched = names.map(fetched).into();
        let mut named = |places: &[&str]| {
            let places: Vec<_> = places.iter().map(|place| place.parse().unwrap()).collect();
            lock.name_places(&places);
            lock.fetched.keys().cloned().collect::<Vec<_>>()
        };
        // wkg's configuration had the place of `wasi:io`.
        assert_eq!(named(&["wasi=wasi.example"]), names[..2]);
        assert_eq!(named(&["acme:cart=cart.example"]), names[1..2]);
        lock.fetched = names.map(fetched).into();
        let mut named = |places: &[&str]| {
            let places: Vec<_> = places.iter().map(|place| place.parse().unwrap()).collect();
            lock.name_places(&places);
            lock.fetched.keys().cloned().collect::<Vec<_>>()
        };
        // The package's own place still stands, and the same place changes nothing.
        assert_eq!(named(&["acme=acme.example"]), [names[0], names[2]]);
        assert_eq!(named(&["acme=acme.example"]), [names[0], names[2]]);
    }

    #[test]
    fn a_lock_that_leads_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"version": 1, "wasi": "0.2.10", "requests": [],
            "packages": {"a:b": {"path": "deps/../../x", "digest": ""}}}"#;
        fs::write(folder.path().join(NAME), text).unwrap();
        let refused = WitLock::read(folder.path()).unwrap_err();
        assert!(refused.to_string().contains("deps/../../x"), "{refused}");
    }
}
