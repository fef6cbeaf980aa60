//! Reading one file, and saying what to do where that fails.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use withe_linker::Code;

use crate::codes;

/// Why a file could not be read.
#[derive(Debug)]
pub enum FileError {
    /// There is nothing of this name.
    NotFound {
        /// The name.
        path: PathBuf,
        /// Files with names like it, relative to the same place, the most alike first.
        similar: Vec<PathBuf>,
        /// The first folder on the way that is missing, if the file's own folder is.
        missing_folder: Option<PathBuf>,
    },
    /// The path is a folder.
    Folder {
        /// The folder.
        path: PathBuf,
        /// `.wasm` files in it, by name.
        components: Vec<PathBuf>,
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

/// Reads the whole of the regular file `path`.
///
/// # Errors
///
/// If there is none, or it cannot be read.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::Unreadable {
        path: path.into(),
        source,
    };
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            return Err(FileError::Folder {
                path: path.into(),
                components: components_in(path),
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
            return Err(not_found(path));
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
            Self::NotFound {
                missing_folder: Some(folder),
                ..
            } => Some(format!(
                "the folder `{}` does not exist: build the component first, or correct the path",
                folder.display()
            )),
            Self::NotFound { .. } => Some("build the component first, or correct the path".into()),
            Self::Folder { components, .. } if !components.is_empty() => {
                Some(format!("name the file in it: {}", alternatives(components)))
            }
            Self::Folder { .. } | Self::Special(_) => Some("name a file".into()),
            Self::Unreadable { .. } => None,
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

fn not_found(path: &Path) -> FileError {
    let folder = folder_of(path);
    if folder.is_dir() {
        return FileError::NotFound {
            path: path.into(),
            similar: similar_names(path, folder),
            missing_folder: None,
        };
    }
    let missing = folder
        .ancestors()
        .take_while(|a| !a.as_os_str().is_empty() && !a.exists())
        .last();
    FileError::NotFound {
        path: path.into(),
        similar: Vec::new(),
        missing_folder: missing.map(Path::to_owned),
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
    let mut found: Vec<(usize, PathBuf)> = files_in(folder)
        .filter_map(|name| {
            // `my_app.wasm` for `my-app.wasm` is the commonest slip: the build writes one, people
            // write the other.
            let canonical = |s: &str| s.to_lowercase().replace('_', "-");
            let distance = strsim::damerau_levenshtein(&canonical(&wanted), &canonical(&name));
            (distance <= wanted.len() / 3).then(|| (distance, path.with_file_name(name)))
        })
        .collect();
    found.sort();
    found
        .into_iter()
        .map(|(_, path)| path)
        .take(SUGGESTIONS)
        .collect()
}

fn components_in(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = files_in(folder)
        .filter(|name| name.ends_with(".wasm"))
        .map(|name| folder.join(name))
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
        let error = read(&folder.path().join("my-counter.wasm")).unwrap_err();
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
        let error = read(&folder.path().join("target/wasm32-wasip2/x.wasm")).unwrap_err();
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
        let error = read(folder.path()).unwrap_err();
        assert_eq!(error.code(), codes::NOT_A_FILE);
        let help = error.help().unwrap();
        assert!(
            help.contains("a.wasm` or `") && help.contains("b.wasm") && !help.contains("c.txt"),
            "{help}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused_without_reading_it() {
        assert!(matches!(
            read(Path::new("/dev/zero")),
            Err(FileError::Special(_))
        ));
    }
}
