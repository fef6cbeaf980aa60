//! A provider's executable: what it says of itself.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use withe_linker::input::ProviderWorld;
use withe_provider::process::Description;
use withe_wit::World;

use super::ProviderProgram;
use super::artifact::digest;
use super::registry::PROVIDER_WORLD;
use crate::provider_process::{DescribeError, describe};

/// Why a program is not a provider that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramError {
    #[error(transparent)]
    Describe(#[from] DescribeError),
    #[error("its WIT cannot be read: {0}")]
    Wit(String),
}

/// Whether the file is a program of this machine or a script.
pub(super) fn is_one(path: &Path) -> bool {
    let begins = |magic: &[u8]| {
        let mut head = Vec::new();
        let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut head));
        read.is_ok() && head.starts_with(magic)
    };
    // A pipe would be waited for.
    path.is_file() && [b"\x7fELF".as_slice(), b"#!"].into_iter().any(begins)
}

/// Asks a program what provider it is.
///
/// # Errors
///
/// If it does not say so.
pub(super) fn read(path: &Path) -> Result<(ProviderWorld, ProviderProgram), ProgramError> {
    let written = fs::metadata(path).and_then(|file| file.modified()).ok();
    let description = describe(path)?;
    let Description {
        name, version, wit, ..
    } = &description;
    let texts: Vec<&str> = wit.iter().map(String::as_str).collect();
    let world = World::from_wit(&texts, PROVIDER_WORLD);
    let identity = [&[name.as_str(), version.as_str()], texts.as_slice()].concat();
    let world = ProviderWorld {
        name: name.clone(),
        world: Arc::new(world.map_err(|e| ProgramError::Wit(e.to_string()))?),
        digest: digest(identity.join("\0").as_bytes()),
        // The program says what is wrong with its configuration when it is given it.
        check_config: |_, _| Vec::new(),
    };
    let program = ProviderProgram {
        path: path.to_owned(),
        written,
        description,
    };
    Ok((world, program))
}
