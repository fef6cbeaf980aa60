//! How a provider of an application is started.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use withe_linker::plan::Plan;
use withe_load::ProviderSource;
use withe_provider::{ConfigMap, Provider};

use crate::error::{HostError, ProviderFailure};
use crate::options::HostOptions;
use crate::provider_process::{ProcessProvider, ProgramCommand};
use crate::v1;

/// Makes a provider. Nothing runs yet.
///
/// # Errors
///
/// If the provider is to be a process, and the host cannot start one, or of wasmCloud v1, and the host has no NATS.
pub(crate) async fn create(
    source: &ProviderSource,
    name: &str,
    plan: &Plan,
    config: ConfigMap,
    options: &HostOptions,
) -> Result<Arc<dyn Provider>, HostError> {
    let command = match source {
        ProviderSource::V1(part) => return v1::provider(name, plan, part, config, options).await,
        ProviderSource::InHost(descriptor) => return Ok((descriptor.create)(config)),
        ProviderSource::OwnProcess(descriptor) => {
            let command = options
                .provider
                .as_ref()
                .ok_or_else(|| HostError::Provider {
                    provider: name.into(),
                    what: "start".into(),
                    why: ProviderFailure::NoProcesses,
                })?;
            let mut args = command.args.clone();
            args.push(descriptor.name.into());
            ProgramCommand {
                program: command.program.clone(),
                args,
            }
        }
        ProviderSource::Program(program) => ProgramCommand {
            program: absolute(&program.path),
            args: Vec::new(),
        },
    };
    let provider = ProcessProvider::new(name, command, config, options.grace);
    Ok(Arc::new(provider))
}

/// A program's path, which is not to be looked for in `PATH`.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
