//! What a provider of an application is, and how it is started.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use withe_linker::input::{Application, Inputs, Part};
use withe_provider::process::Description;
use withe_provider::{ConfigMap, Descriptor, Provider};

use crate::host::{HostError, HostOptions};
use crate::load::{Loaded, Registry, V1Part};
use crate::provider_process::{ProcessProvider, ProgramCommand};
use crate::v1;

/// A provider of an application.
#[derive(Clone, Debug)]
pub(crate) enum ProviderSource {
    /// One that comes with the host, and runs in it.
    InHost(Descriptor),
    /// One that comes with the host, as a process of its own.
    OwnProcess(Descriptor),
    /// A program.
    Program(Arc<ProviderProgram>),
    /// One of wasmCloud v1.
    V1(Arc<V1Part>),
}

/// A program that is a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderProgram {
    /// Its file.
    pub path: PathBuf,
    /// The digest of the file's bytes: with others it is another provider.
    pub digest: String,
    /// What it says of itself.
    pub description: Description,
}

impl ProviderSource {
    /// The provider called `name` of a loaded application.
    pub(crate) fn of(
        loaded: &Loaded,
        inputs: &Inputs,
        registry: &Registry,
        name: &str,
    ) -> Option<Self> {
        if let Some(program) = loaded.programs.get(name) {
            return Some(Self::Program(program.clone()));
        }
        if let Some(part) = loaded.wasmcloud.get(name) {
            return Some(Self::V1(part.clone()));
        }
        let components = inputs.application.components.iter().zip(&inputs.parts);
        let mut named = components.filter(|(c, _)| c.name.value == name);
        let (component, part) = named.next()?;
        let Part::Provider(world) = part else {
            return None;
        };
        let descriptor = *registry.get(&world.name)?;
        Some(match &component.process {
            Some(process) if process.value => Self::OwnProcess(descriptor),
            _ => Self::InHost(descriptor),
        })
    }

    /// Whether it is the same provider, started in the same way.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::InHost(a), Self::InHost(b)) | (Self::OwnProcess(a), Self::OwnProcess(b)) => {
                a.name == b.name
            }
            (Self::Program(a), Self::Program(b)) => a == b,
            (Self::V1(a), Self::V1(b)) => a == b,
            _ => false,
        }
    }

    /// Whether the values of a configuration key, in lower case, are paths of files.
    pub(crate) fn is_path(&self, key: &str) -> bool {
        match self {
            Self::InHost(descriptor) | Self::OwnProcess(descriptor) => {
                descriptor.paths.contains(&key)
            }
            Self::Program(program) => program.description.paths.iter().any(|path| path == key),
            Self::V1(_) => false,
        }
    }

    /// Makes it. Nothing runs yet.
    ///
    /// # Errors
    ///
    /// If it is to be a process, and the host cannot start one, or of wasmCloud v1, and the host has no NATS.
    pub(crate) async fn create(
        &self,
        name: &str,
        application: &Application,
        config: ConfigMap,
        options: &HostOptions,
    ) -> Result<Arc<dyn Provider>, HostError> {
        let command = match self {
            Self::V1(part) => return v1::provider(name, application, part, config, options).await,
            Self::InHost(descriptor) => return Ok((descriptor.create)(config)),
            Self::OwnProcess(descriptor) => {
                let command = options
                    .provider
                    .as_ref()
                    .ok_or_else(|| HostError::Provider {
                        provider: name.into(),
                        what: "start".into(),
                        why: "this host cannot start other processes".into(),
                    })?;
                let mut args = command.args.clone();
                args.push(descriptor.name.into());
                ProgramCommand {
                    program: command.program.clone(),
                    args,
                }
            }
            Self::Program(program) => ProgramCommand {
                program: absolute(&program.path),
                args: Vec::new(),
            },
        };
        let provider = ProcessProvider::new(name, command, config, options.grace);
        Ok(Arc::new(provider))
    }
}

/// A program's path, which is not to be looked for in `PATH`.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
