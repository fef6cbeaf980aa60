//! The file that is meant where a command takes an application: the one that is named, or the manifest of a folder.
//!
//! The rule is one for all commands. A manifest is found when the command line is read, so that the commands know files only; an error
//! is one of the command line, with how the command is used.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;

/// The folder where a manifest is looked for if none is named.
pub(super) const HERE: &str = ".";

/// Names of manifests that are taken before others of a folder.
const NAMES: [&str; 4] = ["app.yaml", "app.yml", "withe.yaml", "wadm.yaml"];

/// Reads an argument that is a file, or a folder with one manifest.
#[derive(Clone)]
pub(super) struct ApplicationFile;

impl TypedValueParser for ApplicationFile {
    type Value = PathBuf;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<PathBuf, clap::Error> {
        let path = Path::new(value);
        if !path.is_dir() {
            return Ok(path.to_owned());
        }
        manifest(path).map_err(|error| {
            let message = format!("{error}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// Why a folder stands for no manifest.
#[derive(Debug, thiserror::Error)]
enum FolderError {
    #[error("{} cannot be read: {source}", named(folder))]
    Unreadable {
        folder: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{} has no manifest of an application: looked for {} and other YAML files of the kind `Application`; name a file, or make one with \
         `withe new NAME --template application`",
        named(.0),
        NAMES.map(|name| format!("`{name}`")).join(", ")
    )]
    None(PathBuf),
    #[error("{} has several manifests: name one of {}", named(folder), found.join(", "))]
    Several { folder: PathBuf, found: Vec<String> },
}

fn named(folder: &Path) -> String {
    match folder == Path::new(HERE) {
        true => "this folder".into(),
        false => format!("the folder `{}`", folder.display()),
    }
}

/// The manifest of a folder.
fn manifest(folder: &Path) -> Result<PathBuf, FolderError> {
    let within = |name: &str| match folder == Path::new(HERE) {
        // As people write it.
        true => PathBuf::from(name),
        false => folder.join(name),
    };
    if let Some(usual) = NAMES.map(within).into_iter().find(|path| path.is_file()) {
        return Ok(usual);
    }
    let entries = fs::read_dir(folder).map_err(|source| FolderError::Unreadable {
        folder: folder.to_owned(),
        source,
    })?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<PathBuf> = names.map(|name| within(&name)).collect();
    found.retain(|path| is_manifest(path));
    found.sort();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(FolderError::None(folder.to_owned())),
        several => Err(FolderError::Several {
            folder: folder.to_owned(),
            found: several
                .iter()
                .map(|path| format!("`{}`", path.display()))
                .collect(),
        }),
    }
}

fn is_manifest(path: &Path) -> bool {
    let is_yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    is_yaml && fs::read_to_string(path).is_ok_and(|text| withe_load::is_manifest(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_of_a_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let write = |name: &str| fs::write(folder.join(name), "kind: Application\n").unwrap();
        let refused = || manifest(folder).unwrap_err().to_string();
        fs::write(folder.join("other.yaml"), "kind: ConfigMap\n").unwrap();
        assert!(refused().contains("has no manifest of an application: looked for `app.yaml`"));
        write("shop.yaml");
        assert_eq!(manifest(folder).unwrap(), folder.join("shop.yaml"));
        write("cart.yml");
        assert!(refused().contains("has several manifests: name one of "));
        write("app.yaml");
        assert_eq!(manifest(folder).unwrap(), folder.join("app.yaml"));
    }
}
