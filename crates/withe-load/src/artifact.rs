//! A file that should be a component: its bytes, digest and world, or what it is instead.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs, io};

use sha2::{Digest as _, Sha256};
use withe_linker::{Code, Diagnostic};
use withe_wit::{ReadError, World};

use crate::codes;
use crate::file::{self, FileError, FileUse, is_manifest};

/// A component's file.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Where it was read.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Arc<[u8]>,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Its imports and exports.
    pub world: Arc<World>,
}

/// Why a file is not a component that can be used.
#[derive(Debug)]
pub enum ArtifactError {
    /// The file could not be read.
    File(FileError),
    /// The file was read, and is something else.
    Kind {
        /// The file.
        path: PathBuf,
        /// The kind of the file.
        found: Found,
    },
}

/// The kind of a file that is not a readable component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: no bytes.
    Empty,
    /// A core module.
    CoreModule,
    /// A WIT package in binary form.
    WitPackage,
    /// WIT text.
    WitText,
    /// The manifest of an application.
    Manifest,
    /// WebAssembly text.
    WasmText,
    /// A compressed or plain archive, as provider archives are.
    Archive,
    /// A native executable or a script.
    Executable,
    /// Nothing that is known here.
    Unknown,
    /// A damaged component, and what is wrong with it.
    Malformed(String),
    /// A valid component with imports or exports that no link can carry yet.
    Unsupported(ReadError),
}

impl Artifact {
    /// Reads the component in the file `path`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or holds no component.
    pub fn read(path: &Path) -> Result<Self, ArtifactError> {
        let bytes = file::read(path, FileUse::Component).map_err(ArtifactError::File)?;
        Self::from_bytes(path, bytes)
    }

    /// The component that `bytes` are. `path` is where they come from, for messages.
    ///
    /// # Errors
    ///
    /// If they are no component.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, ArtifactError> {
        let digest = digest(&bytes);
        Self::with_digest(path, bytes, digest)
    }

    /// The same where the digest of the bytes is known.
    pub(super) fn with_digest(
        path: &Path,
        bytes: Vec<u8>,
        digest: String,
    ) -> Result<Self, ArtifactError> {
        match World::read(&bytes) {
            Ok(world) => Ok(Self {
                path: path.into(),
                digest,
                bytes: bytes.into(),
                world: Arc::new(world),
            }),
            Err(error) => {
                let found = match error {
                    ReadError::NotWasm(_) => what_else(&bytes),
                    ReadError::CoreModule => Found::CoreModule,
                    ReadError::WitPackage => Found::WitPackage,
                    ReadError::Malformed(why) => Found::Malformed(why),
                    ReadError::Unsupported(_) => Found::Unsupported(error),
                };
                Err(ArtifactError::Kind {
                    path: path.into(),
                    found,
                })
            }
        }
    }
}

/// `sha256:` and the hexadecimal SHA-256 of `bytes`.
pub fn digest(bytes: &[u8]) -> String {
    text_of(Sha256::digest(bytes).as_slice())
}

/// The digest of a file's bytes.
///
/// # Errors
///
/// If it cannot be read.
pub fn digest_of(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut fs::File::open(path)?, &mut hash)?;
    Ok(text_of(hash.finalize().as_slice()))
}

fn text_of(hash: &[u8]) -> String {
    format!("sha256:{}", hex::encode(hash))
}

impl ArtifactError {
    /// The code under which it is reported.
    pub fn code(&self) -> Code {
        match self {
            Self::File(error) => error.code(),
            Self::Kind { found, .. } => match found {
                Found::Empty | Found::Manifest | Found::Unknown => codes::NOT_WASM,
                Found::CoreModule => codes::CORE_MODULE,
                Found::WitPackage | Found::WitText => codes::WIT_PACKAGE,
                Found::WasmText => codes::WASM_TEXT,
                Found::Archive | Found::Executable => codes::PROVIDER_FILE,
                Found::Malformed(_) | Found::Unsupported(_) => codes::MALFORMED,
            },
        }
    }

    /// The remedy, if there is something to suggest.
    pub fn help(&self) -> Option<String> {
        let (path, found) = match self {
            Self::File(error) => return error.help(),
            Self::Kind { path, found } => (path, found),
        };
        let file = path.display();
        let component = path.with_extension("component.wasm");
        Some(match found {
            Found::Empty => {
                "build it again: a build that was interrupted leaves an empty file".into()
            }
            Found::CoreModule => format!(
                "build for a component target (`cargo build --release --target wasm32-wasip2`), or \
                 turn the module into a component: `withe componentize {file} -o {}`",
                component.display()
            ),
            Found::WitPackage | Found::WitText => {
                "interfaces cannot run: give the component that implements them".into()
            }
            Found::Manifest => format!("give a component; `withe check {file}` reads a manifest"),
            Found::WasmText => {
                let binary = path.with_extension("wasm");
                format!(
                    "make a binary of it: `wasm-tools parse {file} -o {}`",
                    binary.display()
                )
            }
            Found::Archive => "a provider's archive is for `type: capability`".into(),
            Found::Executable => "a provider's program is for `type: capability`".into(),
            Found::Unknown => "give a component: a `.wasm` file built for `wasm32-wasip2`".into(),
            Found::Malformed(_) => {
                format!("`wasm-tools validate --features all {file}` tells whether it is damaged")
            }
            Found::Unsupported(_) => {
                "Withe links functions and interfaces of functions and types: give what is more to                  the component when it is built, for example with `wac`"
                    .into()
            }
        })
    }

    /// The error as a diagnostic without a place.
    pub fn diagnostic(&self) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(self.code(), self.to_string());
        diagnostic.help = self.help();
        diagnostic
    }
}

impl fmt::Display for ArtifactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, found) = match self {
            Self::File(error) => return error.fmt(f),
            Self::Kind { path, found } => (path.display(), found),
        };
        match found {
            Found::Empty => write!(f, "`{path}` is empty"),
            Found::CoreModule => {
                write!(f, "`{path}` is a core WebAssembly module, not a component")
            }
            Found::WitPackage => write!(f, "`{path}` is a WIT package, not a component"),
            Found::WitText => write!(f, "`{path}` is WIT text, not a component"),
            Found::Manifest => write!(f, "`{path}` is a manifest, not a component"),
            Found::WasmText => write!(f, "`{path}` is WebAssembly text, not a binary"),
            Found::Archive => write!(f, "`{path}` is an archive, not a component"),
            Found::Executable => write!(
                f,
                "`{path}` is an executable of this machine, not a component"
            ),
            Found::Unknown => write!(f, "`{path}` is not WebAssembly"),
            Found::Malformed(why) => write!(f, "`{path}` cannot be read as a component: {why}"),
            Found::Unsupported(why) => {
                write!(
                    f,
                    "`{path}` is a component that Withe cannot link yet: {why}"
                )
            }
        }
    }
}

impl std::error::Error for ArtifactError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => error.source(),
            Self::Kind { .. } => None,
        }
    }
}

/// The kind of bytes that are no WebAssembly binary, by how they begin.
fn what_else(bytes: &[u8]) -> Found {
    const EXECUTABLE: [&[u8]; 7] = [
        b"\x7fELF",
        b"MZ",
        b"#!",
        b"\xfe\xed\xfa\xce",
        b"\xfe\xed\xfa\xcf",
        b"\xce\xfa\xed\xfe",
        b"\xcf\xfa\xed\xfe",
    ];
    const ARCHIVE: [&[u8]; 3] = [b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"];

    if bytes.is_empty() {
        Found::Empty
    } else if EXECUTABLE.iter().any(|magic| bytes.starts_with(magic)) {
        Found::Executable
    } else if ARCHIVE.iter().any(|magic| bytes.starts_with(magic))
        || bytes.get(257..262) == Some(b"ustar")
    {
        Found::Archive
    } else {
        std::str::from_utf8(bytes).map_or(Found::Unknown, what_text)
    }
}

fn what_text(text: &str) -> Found {
    let first = text
        .lines()
        .map(str::trim_start)
        .find(|line| !line.is_empty() && !line.starts_with(";;") && !line.starts_with("//"))
        .unwrap_or_default();
    let begins_with_word = |words: &[&str]| {
        words.iter().any(|word| {
            let rest = first.strip_prefix(word);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == ':'))
        })
    };
    if begins_with_word(&["(component", "(module"]) || first.starts_with("(;") {
        Found::WasmText
    } else if begins_with_word(&["package", "interface", "world"]) {
        Found::WitText
    } else if is_manifest(text) {
        Found::Manifest
    } else {
        Found::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Found {
        match Artifact::from_bytes(Path::new("x"), bytes.to_vec()) {
            Err(ArtifactError::Kind { found, .. }) => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tells_what_a_file_is_instead() {
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let table: [(&[u8], Found); 13] = [
            (b"", Found::Empty),
            (b"\0asm\x01\0\0\0", Found::CoreModule),
            (b"\x7fELF\x02\x01", Found::Executable),
            (b"#!/bin/sh\n", Found::Executable),
            (b"\x1f\x8b\x08", Found::Archive),
            (&tar, Found::Archive),
            (b";; a comment\n\n(component\n)", Found::WasmText),
            (b"(module $m)", Found::WasmText),
            (b"(component)", Found::WasmText),
            (b"// counts\npackage a:b;\ninterface i {}", Found::WitText),
            (
                b"apiVersion: core.oam.dev/v1beta1\nkind: Application\n",
                Found::Manifest,
            ),
            (b"packages: 3", Found::Unknown),
            (b"\xff\xfe\x00", Found::Unknown),
        ];
        for (bytes, want) in table {
            assert_eq!(found(bytes), want, "{}", String::from_utf8_lossy(bytes));
        }
        assert!(matches!(
            found(b"\0asm\x0d\0\x01\0\xff"),
            Found::Malformed(_)
        ));
    }

    #[test]
    fn an_empty_component_has_an_empty_world_and_a_digest() {
        let artifact = Artifact::from_bytes(Path::new("x"), b"\0asm\x0d\0\x01\0".to_vec()).unwrap();
        assert_eq!(*artifact.world, World::default());
        assert_eq!(
            artifact.digest,
            "sha256:24eaf3439a60c96764c4f2c92a0a81b52bd4fe5d5b91f090184a0f6486b1bf29".to_owned(),
            "the digest is that of `sha256sum`"
        );
    }
}
