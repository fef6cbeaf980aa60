//! A provider's executable: what it says of itself.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use withe_linker::input::{ConfigCheck, ConfigProblem, ProviderWorld};
use withe_process::Confined;
use withe_provider::process::{Description, Question};
use withe_wit::{FromWitError, World};

use crate::artifact::digest_of;
use crate::ask::{self, AskError, describe};
use crate::options::SuppliedProgram;
use crate::registry::PROVIDER_WORLD;

/// A program that is a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderProgram {
    /// Its file.
    pub path: PathBuf,
    /// The digest of the file's bytes: with others it is another provider.
    pub digest: String,
    /// The program's own description.
    pub description: Description,
}

/// Why a program is not a provider that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramError {
    #[error(transparent)]
    Describe(#[from] AskError),
    #[error("it cannot be read: {0}")]
    File(std::io::Error),
    #[error("its WIT cannot be read: {0}")]
    Wit(#[source] FromWitError),
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

/// Asks a program what provider it is, confined, if anything is given.
///
/// # Errors
///
/// If it does not say so.
pub(super) fn read(
    path: &Path,
    confined: Option<&Confined>,
) -> Result<(ProviderWorld, ProviderProgram), ProgramError> {
    let digest = digest_of(path).map_err(ProgramError::File)?;
    let description = describe(path, confined.cloned())?;
    let check_config = if description.checks {
        checked_by(path, confined)
    } else {
        ConfigCheck::none()
    };
    as_described(path.to_owned(), digest, description, check_config)
}

/// A program that was asked elsewhere what provider it is, and will be at its place when it is started.
///
/// # Errors
///
/// If its WIT cannot be read.
pub(super) fn supplied(
    program: &SuppliedProgram,
    description: &Description,
) -> Result<(ProviderWorld, ProviderProgram), ProgramError> {
    as_described(
        program.path.clone(),
        program.digest.clone(),
        description.clone(),
        // The supplier has already had the program check it.
        ConfigCheck::none(),
    )
}

fn as_described(
    path: PathBuf,
    digest: String,
    description: Description,
    check_config: ConfigCheck,
) -> Result<(ProviderWorld, ProviderProgram), ProgramError> {
    let texts: Vec<&str> = description.wit.iter().map(String::as_str).collect();
    let world = World::from_wit(&texts, PROVIDER_WORLD);
    let world = ProviderWorld {
        name: description.name.clone(),
        world: Arc::new(world.map_err(ProgramError::Wit)?),
        digest: digest.clone(),
        check_config,
        may_be_component: false,
    };
    let program = ProviderProgram {
        path,
        digest,
        description,
    };
    Ok((world, program))
}

/// Has a program look at configuration. The program is asked once for each: an application is linked again
/// and again.
fn checked_by(program: &Path, confined: Option<&Confined>) -> ConfigCheck {
    let (program, confined) = (program.to_owned(), confined.cloned());
    let answers = Mutex::new(HashMap::new());
    ConfigCheck::new(move |role, config| {
        let question = Question {
            role,
            config: config.clone(),
        };
        // Nothing panics while the lock is held.
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.get(&question) {
            return Vec::clone(answer);
        }
        match ask::check(&program, &question, confined.clone()) {
            Ok(answer) => {
                answers.insert(question, answer.clone());
                answer
            }
            Err(why) => vec![ConfigProblem {
                key: None,
                message: format!("`{}` does not check it: {why}", program.display()),
                help: None,
            }],
        }
    })
}
