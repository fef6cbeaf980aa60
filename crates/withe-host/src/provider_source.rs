//! How a provider of an application is started.

use std::sync::Arc;

use withe_linker::plan::Plan;
use withe_load::ProviderSource;
use withe_process::ProcessCommand;
use withe_provider::{ConfigMap, Provider};

use crate::error::{HostError, ProviderFailure};
use crate::options::HostOptions;
use crate::provider_process::ProcessProvider;
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
            ProcessCommand::new(&command.program)
                .args(&command.args)
                .args([descriptor.name])
        }
        ProviderSource::Program(program) => ProcessCommand::new(&program.path),
    };
    let command = command.pass(options.pass_environment.iter().cloned());
    let provider = ProcessProvider::new(name, command, config, options.grace);
    Ok(Arc::new(provider))
}
