//! Parts of wasmCloud v1 as providers of an application here.

use std::sync::Arc;
use std::time::Duration;

use withe_linker::plan::Plan;
use withe_load::{V1Part, V1Source};
use withe_process::Confined;
use withe_provider::{ConfigMap, Provider, SecretKeys};
use withe_wasmcloud::{
    Executable, Ids, Limits, ProcessConfig, Supervision, TargetConfig, V1Process, V1Target, V1Wire,
};

use crate::error::{HostError, ProviderFailure};
use crate::options::HostOptions;

/// How long a component may take to handle a request that a v1 provider sends it: as long as v1's providers wait.
const HANDLE: Duration = Duration::from_secs(10);

/// Makes a provider of a part of wasmCloud v1. Nothing runs yet.
///
/// # Errors
///
/// If the host has no NATS, or the archive cannot be used.
pub(crate) async fn provider(
    name: &str,
    plan: &Plan,
    part: &V1Part,
    config: ConfigMap,
    confined: Option<Confined>,
    options: &HostOptions,
) -> Result<Arc<dyn Provider>, HostError> {
    let failed = |why| HostError::Provider {
        provider: name.into(),
        what: "start".into(),
        why,
    };
    let broker = (options.broker.as_ref()).ok_or_else(|| failed(ProviderFailure::NoNats))?;
    let wire = V1Wire::open(broker.client.clone(), Limits::default())
        .await
        .map_err(|e| failed(ProviderFailure::Wasmcloud(e.into())))?;
    let ids = ids(plan);
    let functions = part.functions.iter().cloned();
    match &part.source {
        V1Source::Lattice(id) => {
            let config = TargetConfig {
                wire,
                lattice: broker.lattice.clone(),
                id: id.clone(),
                ids,
            };
            let target = V1Target::new(config, functions)
                .map_err(|e| failed(ProviderFailure::Wasmcloud(e.into())))?;
            Ok(Arc::new(target))
        }
        V1Source::Archive(path, _) => {
            let path = path.clone();
            let executable = tokio::task::spawn_blocking(move || Executable::open(&path))
                .await
                .map_err(|e| failed(ProviderFailure::Wasmcloud(e.into())))?
                .map_err(|e| failed(ProviderFailure::Wasmcloud(e.into())))?;
            let config = ProcessConfig {
                wire,
                lattice: broker.lattice.clone(),
                id: ids.of(&plan.application, name),
                ids,
                host_id: broker.host.clone(),
                url: broker.url.clone(),
                user_jwt: String::new(),
                user_seed: String::new(),
                config,
                secret_keys: secret_keys(plan, name),
                executable,
                confined,
                supervision: Supervision::default(),
                timeout: HANDLE,
            };
            let process = V1Process::new(config, functions)
                .map_err(|e| failed(ProviderFailure::Wasmcloud(e.into())))?;
            let called = part.called.iter().cloned();
            Ok(Arc::new(process.calling(called)))
        }
    }
}

/// The keys of a provider's own configuration that the host fetched as secrets.
fn secret_keys(plan: &Plan, name: &str) -> SecretKeys {
    let own = plan.components.iter().filter(|c| c.name == name);
    own.flat_map(|component| &component.secrets)
        .map(|secret| secret.name.clone())
        .collect()
}

/// The ids by which v1 knows the parts of an application.
pub fn ids(plan: &Plan) -> Ids {
    let mut ids = Ids::default();
    for component in &plan.components {
        ids.set(&plan.application, &component.name, &component.id);
    }
    ids
}
