//! Parts of wasmCloud v1 as providers of an application here.

use std::sync::Arc;
use std::time::Duration;

use withe_linker::input::Application;
use withe_provider::{ConfigMap, Provider};
use withe_wasmcloud::{
    Executable, Ids, Limits, ProcessConfig, Supervision, TargetConfig, V1Process, V1Target, Wire,
};

use crate::host::{HostError, HostOptions};
use crate::load::{V1Part, V1Source};

/// How long a component may take to handle a request that a v1 provider sends it: as long as v1's providers wait.
const HANDLE: Duration = Duration::from_secs(10);

/// Makes a provider of a part of wasmCloud v1. Nothing runs yet.
///
/// # Errors
///
/// If the host has no NATS, or the archive cannot be used.
pub(crate) async fn provider(
    name: &str,
    application: &Application,
    part: &V1Part,
    config: ConfigMap,
    options: &HostOptions,
) -> Result<Arc<dyn Provider>, HostError> {
    let failed = |why: String| HostError::Provider {
        provider: name.into(),
        what: "start".into(),
        why,
    };
    let broker = options.broker.as_ref().ok_or_else(|| {
        failed(
            "it is of wasmCloud v1, which is reached by NATS; name it with `--lattice nats://…`"
                .into(),
        )
    })?;
    let wire = Wire::open(broker.client.clone(), Limits::default())
        .await
        .map_err(|e| failed(e.to_string()))?;
    let ids = ids(application);
    let functions = part.functions.iter().cloned();
    match &part.source {
        V1Source::Lattice(id) => {
            let config = TargetConfig {
                wire,
                lattice: broker.lattice.clone(),
                id: id.clone(),
                ids,
            };
            let target = V1Target::new(config, functions).map_err(|e| failed(e.to_string()))?;
            Ok(Arc::new(target))
        }
        V1Source::Archive(path, _) => {
            let path = path.clone();
            let executable = tokio::task::spawn_blocking(move || Executable::open(&path))
                .await
                .map_err(|e| failed(e.to_string()))?
                .map_err(|e| failed(e.to_string()))?;
            let config = ProcessConfig {
                wire,
                lattice: broker.lattice.clone(),
                id: ids.of(&application.name.value, name),
                ids,
                host_id: broker.host.clone(),
                url: broker.url.clone(),
                user_jwt: String::new(),
                user_seed: String::new(),
                config,
                executable,
                supervision: Supervision::default(),
                timeout: HANDLE,
            };
            let process = V1Process::new(config, functions).map_err(|e| failed(e.to_string()))?;
            Ok(Arc::new(process))
        }
    }
}

/// The ids by which v1 knows the parts of an application.
pub(crate) fn ids(application: &Application) -> Ids {
    let mut ids = Ids::default();
    for component in &application.components {
        if let Some(id) = &component.id {
            ids.set(&application.name.value, &component.name.value, &id.value);
        }
    }
    ids
}
