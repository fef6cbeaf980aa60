//! How a provider of an application is started.

use std::path::Path;
use std::sync::Arc;

use withe_linker::plan::Plan;
use withe_load::ProviderSource;
use withe_process::{Confined, ProcessCommand};
use withe_provider::{ConfigMap, Provider};

use crate::error::{HostError, ProviderFailure};
use crate::options::HostOptions;
use crate::provider_process::ProcessProvider;
use crate::v1;

/// Makes a provider. Nothing runs yet. Paths in the configuration of its links are relative to `folder`.
///
/// # Errors
///
/// If the provider is to be a process, and the host cannot start one, or of wasmCloud v1, and the host has no NATS.
pub(crate) async fn create(
    source: &ProviderSource,
    name: &str,
    plan: &Plan,
    folder: &Path,
    config: ConfigMap,
    options: &HostOptions,
) -> Result<Arc<dyn Provider>, HostError> {
    let command = match source {
        ProviderSource::V1(part) => {
            let confined = confined(source, plan, name, folder, &config, options);
            return v1::provider(name, plan, part, config, confined, options).await;
        }
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
    let command = command
        .pass(options.pass_environment.iter().cloned())
        .confined(confined(source, plan, name, folder, &config, options));
    let provider = ProcessProvider::new(name, command, config, options.grace);
    Ok(Arc::new(provider))
}

/// How the process of a provider is confined. The process may change the folders of the files that its configuration,
/// or that of one of its links, names: a missing file is made there.
pub(crate) fn confined(
    source: &ProviderSource,
    plan: &Plan,
    name: &str,
    folder: &Path,
    config: &ConfigMap,
    options: &HostOptions,
) -> Option<Confined> {
    let confine = options.confine.as_ref()?;
    let links = plan.links.iter().flat_map(|link| {
        let as_source = (link.source == name).then_some(&link.source_config);
        let as_target = (link.target == name).then_some(&link.target_config);
        as_source.into_iter().chain(as_target)
    });
    let configs = [config].into_iter().chain(links);
    let paths = configs.flatten().filter_map(|(key, value)| {
        let is_path = !value.is_empty() && source.is_path(&key.to_ascii_lowercase());
        is_path.then_some(Path::new(value))
    });
    // Links have theirs made absolute when they are put.
    let folders = paths.filter_map(|path| Some(folder.join(path).parent()?.to_owned()));
    Some(confine.confined(folders))
}
