//! Reading one file, and saying what to do where that fails.
//!
//! The remedy depends on what the file is read for: a component may not be built yet, and a manifest is written by somebody.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use withe_linker::Code;

use crate::codes;

/// The use that a file is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileUse {
    /// The manifest of an application.
    Manifest,
    /// The image of a component, or a component that is named on the command line.
    Component,
    /// The image of a component that the manifest says how to build.
    Built,
    /// The image of a provider.
    Provider,
}

/// Why a file could not be read.
#[derive(Debug)]
pub enum FileError {
    /// There is nothing of this name.
    NotFound {
        /// The name.
        path: PathBuf,
        /// The use that the file was to have.
        wanted: FileUse,
        /// Files with names like it, relative to the same place, the most alike first.
        similar: Vec<PathBuf>,
        /// The first folder on the way that is missing, if the file's own folder is.
        missing_folder: Option<PathBuf>,
        /// Files in the folder that are what is wanted, if it is a manifest and none has a name like it.
        others: Vec<PathBuf>,
    },
    /// The path is a folder.
    Folder {
        /// The folder.
        path: PathBuf,
        /// The use that the file at the path was to have.
        wanted: FileUse,
        /// Files in it that are what is wanted, by name.
        inside: Vec<PathBuf>,
    },
    /// The path is a pipe, a socket or a device: reading it might never end.
    Special(PathBuf),
    /// The operating system refuses.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// How many suggestions are given at most.
const SUGGESTIONS: usize = 3;

/// The most bytes of a file that is looked at as a manifest that might have been meant.
const MOST_MANIFEST: u64 = 1 << 20;

/// Whether a text is a manifest, by its kind.
pub fn is_manifest(text: &str) -> bool {
    text.lines()
        .any(|line| line.trim_end() == "kind: Application")
}

/// Reads the whole of the regular file `path`.
///
/// # Errors
///
/// If there is none, or it cannot be read.
pub(super) fn read(path: &Path, wanted: FileUse) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::Unreadable {
        path: path.into(),
        source,
    };
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            return Err(FileError::Folder {
                path: path.into(),
                wanted,
                inside: found_in(path, wanted),
            });
        }
        Ok(metadata) if !metadata.is_file() => return Err(FileError::Special(path.into())),
        Ok(_) => {}
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Err(not_found(path, wanted));
        }
        Err(e) => return Err(unreadable(e)),
    }
    fs::read(path).map_err(unreadable)
}

impl FileError {
    /// The code under which it is reported.
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => codes::NOT_FOUND,
            Self::Folder { .. } | Self::Special(_) => codes::NOT_A_FILE,
            Self::Unreadable { .. } => codes::UNREADABLE,
        }
    }

    /// The remedy, if there is something to suggest.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NotFound { similar, .. } if !similar.is_empty() => {
                Some(format!("did you mean {}?", alternatives(similar)))
            }
            Self::NotFound { others, .. } if !others.is_empty() => Some(format!(
                "correct the path; in that folder there is {}",
                alternatives(others)
            )),
            Self::NotFound {
                wanted,
                missing_folder,
                ..
            } => {
                let remedy = match wanted {
                    FileUse::Component => "build the component first, or correct the path",
                    FileUse::Built => "`withe build` builds it",
                    FileUse::Provider => "build the provider first, or correct the path",
                    FileUse::Manifest if missing_folder.is_some() => "correct the path",
                    FileUse::Manifest => {
                        "correct the path; `withe new NAME --template application` makes an application"
                    }
                };
                Some(match missing_folder {
                    Some(folder) => {
                        let folder = folder.display();
                        format!("the folder `{folder}` does not exist: {remedy}")
                    }
                    None => remedy.into(),
                })
            }
            Self::Folder { inside, .. } if !inside.is_empty() => {
                Some(format!("name the file in it: {}", alternatives(inside)))
            }
            Self::Folder {
                wanted: FileUse::Manifest,
                ..
            } => Some("name a manifest: the application's YAML or JSON file".into()),
            Self::Folder { .. } | Self::Special(_) => Some("name a file".into()),
            Self::Unreadable { path, source } => {
                let is_denied = source.kind() == io::ErrorKind::PermissionDenied;
                is_denied.then(|| format!("`ls -l {}` shows who may read it", path.display()))
            }
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { path, .. } => write!(f, "`{}` does not exist", path.display()),
            Self::Folder { path, .. } => write!(f, "`{}` is a folder", path.display()),
            Self::Special(path) => write!(f, "`{}` is not a regular file", path.display()),
            Self::Unreadable { path, source } => {
                write!(f, "`{}` cannot be read: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}

fn alternatives(paths: &[PathBuf]) -> String {
    let quoted: Vec<_> = paths.iter().map(|p| format!("`{}`", p.display())).collect();
    quoted.join(" or ")
}

fn not_found(path: &Path, wanted: FileUse) -> FileError {
    let folder = folder_of(path);
    if folder.is_dir() {
        let others = match wanted {
            FileUse::Manifest => found_in(folder, wanted),
            // Any other image is something else.
            FileUse::Component | FileUse::Built | FileUse::Provider => Vec::new(),
        };
        return FileError::NotFound {
            path: path.into(),
            wanted,
            similar: similar_names(path, folder),
            missing_folder: None,
            others,
        };
    }
    let missing = folder
        .ancestors()
        .take_while(|a| !a.as_os_str().is_empty() && !a.exists())
        .last();
    FileError::NotFound {
        path: path.into(),
        wanted,
        similar: Vec::new(),
        missing_folder: missing.map(Path::to_owned),
        others: Vec::new(),
    }
}

/// The folder that `path` is in; the current one for a bare name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Files in `folder` whose names are like that of `path`, the most alike first.
fn similar_names(path: &Path, folder: &Path) -> Vec<PathBuf> {
    let wanted = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    // An extension is alike among files that are not.
    let stem = wanted.rsplit_once('.').map_or(&*wanted, |(stem, _)| stem);
    let most = (stem.len() / 3).max(1);
    let mut found: Vec<(usize, PathBuf)> = files_in(folder)
        .filter_map(|name| {
            // `my_app.wasm` for `my-app.wasm` is the commonest slip: the build writes one, people
            // write the other.
            let canonical = |s: &str| s.to_lowercase().replace('_', "-");
            let distance = strsim::damerau_levenshtein(&canonical(&wanted), &canonical(&name));
            // `hello` for `hello.wasm`.
            let distance = match name.rsplit_once('.') {
                Some((stem, "wasm" | "yaml" | "yml")) if stem == wanted => 0,
                _ => distance,
            };
            (distance <= most).then(|| (distance, path.with_file_name(name)))
        })
        .collect();
    found.sort();
    found
        .into_iter()
        .map(|(_, path)| path)
        .take(SUGGESTIONS)
        .collect()
}

/// Files in a folder that are what is wanted.
fn found_in(folder: &Path, wanted: FileUse) -> Vec<PathBuf> {
    let is_wanted = |name: &String| match wanted {
        FileUse::Component | FileUse::Built | FileUse::Provider => name.ends_with(".wasm"),
        FileUse::Manifest => {
            let path = folder.join(name);
            let is_small = |path: &Path| fs::metadata(path).is_ok_and(|m| m.len() <= MOST_MANIFEST);
            (name.ends_with(".yaml") || name.ends_with(".yml"))
                && is_small(&path)
                && fs::read_to_string(&path).is_ok_and(|text| is_manifest(&text))
        }
    };
    let mut found: Vec<_> = files_in(folder)
        .filter(is_wanted)
        // A bare name is shown as one.
        .map(|name| match folder == Path::new(".") {
            true => name.into(),
            false => folder.join(name),
        })
        .collect();
    found.sort();
    found.truncate(SUGGESTIONS);
    found
}

/// The names of the files in `folder` that are UTF-8; none if it cannot be listed, since this only
/// feeds suggestions.
fn files_in(folder: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), b"x").unwrap();
        }
        folder
    }

    #[test]
    fn suggests_names_that_are_alike_and_no_others() {
        let folder = folder_with(&["my_counter.wasm", "my_countet.wasm", "README.md"]);
        let error = read(&folder.path().join("my-counter.wasm"), FileUse::Component).unwrap_err();
        assert_eq!(error.code(), codes::NOT_FOUND);
        let FileError::NotFound { similar, .. } = &error else {
            panic!("{error:?}")
        };
        let names: Vec<_> = similar
            .iter()
            .map(|p| p.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["my_counter.wasm", "my_countet.wasm"]);
    }

    #[test]
    fn names_the_first_folder_that_is_missing() {
        let folder = folder_with(&[]);
        let error = read(
            &folder.path().join("target/wasm32-wasip2/x.wasm"),
            FileUse::Component,
        )
        .unwrap_err();
        let FileError::NotFound { missing_folder, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(
            missing_folder.as_deref(),
            Some(folder.path().join("target").as_path())
        );
    }

    #[test]
    fn a_folder_lists_its_components() {
        let folder = folder_with(&["b.wasm", "a.wasm", "c.txt"]);
        let error = read(folder.path(), FileUse::Component).unwrap_err();
        assert_eq!(error.code(), codes::NOT_A_FILE);
        let help = error.help().unwrap();
        assert!(
            help.contains("a.wasm` or `") && help.contains("b.wasm") && !help.contains("c.txt"),
            "{help}"
        );
    }

    #[test]
    fn the_remedy_for_a_manifest_is_not_to_build_it() {
        let folder = folder_with(&["notes.yaml", "hello.wasm"]);
        let at = |name: &str| folder.path().join(name);
        let help = |name: &str| {
            let error = read(&at(name), FileUse::Manifest).unwrap_err();
            error.help().unwrap()
        };
        assert!(
            help("app.yaml").contains("withe new"),
            "{}",
            help("app.yaml")
        );
        assert!(help("none/app.yaml").ends_with("/none` does not exist: correct the path"));
        assert!(help("hello").contains("hello.wasm`?"), "{}", help("hello"));
        assert!(help("").contains("name a manifest"), "{}", help(""));
        fs::write(at("shop.yaml"), "kind: Application\n").unwrap();
        assert!(
            help("app.yaml").ends_with("/shop.yaml`"),
            "{}",
            help("app.yaml")
        );
        assert!(help("").contains("name the file in it") && help("").ends_with("/shop.yaml`"));
    }

    #[test]
    fn an_image_that_is_not_there_is_built_by_what_builds_it() {
        let folder = folder_with(&[]);
        for (wanted, remedy) in [
            (
                FileUse::Component,
                "build the component first, or correct the path",
            ),
            (
                FileUse::Provider,
                "build the provider first, or correct the path",
            ),
            (FileUse::Built, "`withe build` builds it"),
        ] {
            let error = read(&folder.path().join("x.wasm"), wanted).unwrap_err();
            assert_eq!(error.help().as_deref(), Some(remedy));
        }
    }

    #[test]
    fn a_file_that_is_somebody_elses_is_shown_by_its_rights() {
        let denied = |kind: io::ErrorKind| FileError::Unreadable {
            path: "x".into(),
            source: kind.into(),
        };
        let help = denied(io::ErrorKind::PermissionDenied).help();
        assert_eq!(help.as_deref(), Some("`ls -l x` shows who may read it"));
        assert_eq!(denied(io::ErrorKind::InvalidInput).help(), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused_without_reading_it() {
        assert!(matches!(
            read(Path::new("/dev/zero"), FileUse::Manifest),
            Err(FileError::Special(_))
        ));
    }
}
