//! A provider's executable: what it says of itself.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use withe_linker::input::{ConfigCheck, ConfigProblem, ProviderWorld};
use withe_provider::process::{Description, Question};
use withe_wit::World;

use super::ProviderProgram;
use super::artifact::digest;
use super::registry::PROVIDER_WORLD;
use crate::provider_process::{self, AskError, describe};

/// Why a program is not a provider that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramError {
    #[error(transparent)]
    Describe(#[from] AskError),
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
        check_config: if description.checks {
            checked_by(path)
        } else {
            ConfigCheck::none()
        },
    };
    let program = ProviderProgram {
        path: path.to_owned(),
        written,
        description,
    };
    Ok((world, program))
}

/// Has a program look at configuration. It is asked once for each: an application is linked again and again.
fn checked_by(program: &Path) -> ConfigCheck {
    let program = program.to_owned();
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
        match provider_process::check(&program, &question) {
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
