//! A v1 provider's executable as a provider of Withe.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout_at;
use withe_process::{ProcessState, Supervisor};
use withe_provider::{
    BlobStore, Call, CallError, Callee, FunctionName, Health, IncomingHandler, Link, LinkId,
    OutgoingHandler, Payload, Peer, Provider, ProviderError, SecretKeys,
};
use withe_wit::{Function, InterfaceName};

use super::config::ProcessConfig;
use super::control::Control;
use super::definition::{LinkDefinition, Secrets};
use super::supervised::V1Core;
use crate::interfaces::http;
use crate::wire::names;
use crate::wire::server::ServedFunctions;
use crate::{TargetConfig, V1Target};

/// A provider of v1, run as a process of its own.
///
/// v1 tells nobody whether a provider took a link: what it thinks of a link's configuration stands in its
/// log only.
pub struct V1Process {
    core: Arc<V1Core>,
    target: V1Target,
    /// Components that it calls, by link.
    sources: Mutex<HashMap<LinkId, ServedFunctions>>,
    /// The state of the process, once it was started.
    state: OnceLock<watch::Receiver<ProcessState<()>>>,
    /// From `start` to `shutdown`.
    supervisor: Mutex<Option<Supervisor<V1Core>>>,
}

impl V1Process {
    /// The provider that `config` says; nothing runs yet. `functions` are those that its importers import,
    /// as for a [`V1Target`].
    ///
    /// # Errors
    ///
    /// If the lattice or the id cannot be part of a subject.
    pub fn new(
        config: ProcessConfig,
        functions: impl IntoIterator<Item = (FunctionName, Function)>,
    ) -> Result<Self, ProviderError> {
        let target = TargetConfig {
            wire: config.wire.clone(),
            lattice: config.lattice.clone(),
            id: config.id.clone(),
            ids: config.ids.clone(),
        };
        let client = config.wire.client().clone();
        let control = Control::new(client, &config.lattice, &config.id, &config.host_id);
        Ok(Self {
            target: V1Target::new(target, functions)?,
            core: Arc::new(V1Core::new(config, control)),
            sources: Mutex::default(),
            state: OnceLock::new(),
            supervisor: Mutex::default(),
        })
    }

    /// The links that v1 would have for `link`: one for each package.
    fn definitions(
        &self,
        link: &Link,
        secret_keys: &SecretKeys,
    ) -> Result<Vec<LinkDefinition>, ProviderError> {
        let config = &self.core.config;
        let component = config.ids.of(&link.application, &link.component);
        let own = config.id.clone();
        let (settings, secrets) = Secrets::split(&link.config, secret_keys);
        let definition = |package: (String, String), interfaces: Vec<String>| LinkDefinition {
            source_id: String::new(),
            target: String::new(),
            name: link.name.clone(),
            wit_namespace: package.0,
            wit_package: package.1,
            interfaces,
            source_config: BTreeMap::new(),
            target_config: BTreeMap::new(),
            source_secrets: Secrets::default(),
            target_secrets: Secrets::default(),
        };
        match &link.peer {
            Peer::Importer(functions) => {
                let packages = packages(functions)?.into_iter();
                Ok(packages
                    .map(|(package, interfaces)| LinkDefinition {
                        source_id: component.clone(),
                        target: own.clone(),
                        target_config: settings.clone(),
                        target_secrets: secrets.clone(),
                        ..definition(package, interfaces)
                    })
                    .collect())
            }
            Peer::Http(_) => {
                let package = ("wasi".to_owned(), "http".to_owned());
                Ok(vec![LinkDefinition {
                    source_id: own,
                    target: component,
                    source_config: settings,
                    source_secrets: secrets,
                    ..definition(package, vec!["incoming-handler".into()])
                }])
            }
            Peer::Callee(callee) => Err(no_functions(callee)),
        }
    }

    /// Makes the component that the provider calls reachable for it.
    async fn serve(
        &self,
        link: &Link,
        handler: Arc<dyn IncomingHandler>,
    ) -> Result<ServedFunctions, ProviderError> {
        let config = &self.core.config;
        let component = config.ids.of(&link.application, &link.component);
        if !names::is_token(&component) {
            return Err(ProviderError(format!(
                "the id `{component}` cannot be part of a NATS subject; leave out spaces, dots, `*` and `>`"
            )));
        }
        let prefix = names::prefix(&config.lattice, &component);
        let served = config
            .wire
            .serve(prefix, vec![http::endpoint(handler)], config.timeout);
        served
            .await
            .map_err(|why| ProviderError(format!("`{component}` cannot be served: {why}")))
    }
}

/// The interfaces of `functions`, by namespace and package.
fn packages(
    functions: &[FunctionName],
) -> Result<BTreeMap<(String, String), Vec<String>>, ProviderError> {
    let mut packages: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for function in functions {
        let name: InterfaceName = function.interface.parse().map_err(|_| {
            ProviderError(format!(
                "wasmCloud v1 links interfaces of packages only, and `{}` is none",
                function.interface
            ))
        })?;
        let interfaces = packages.entry((name.namespace, name.package)).or_default();
        if !interfaces.contains(&name.interface) {
            interfaces.push(name.interface);
        }
    }
    Ok(packages)
}

#[async_trait]
impl Provider for V1Process {
    async fn start(&self) -> Result<(), ProviderError> {
        let supervision = self.core.config.supervision.options();
        let supervisor = Supervisor::spawn(self.core.clone(), supervision);
        let mut state = supervisor.state();
        _ = self.state.set(state.clone());
        // Kept where it can be stopped while it starts.
        *self.supervisor.lock().await = Some(supervisor);
        let ready = withe_process::ready(&mut state).await;
        ready.map_err(|why| {
            let id = &self.core.config.id;
            ProviderError(format!(
                "the wasmCloud v1 provider `{id}` does not start: it {why}"
            ))
        })
    }

    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        self.link_put_with_secrets(link, &SecretKeys::new()).await
    }

    async fn link_put_with_secrets(
        &self,
        link: Link,
        secret_keys: &SecretKeys,
    ) -> Result<(), ProviderError> {
        let definitions = self.definitions(&link, secret_keys)?;
        let serving = match &link.peer {
            Peer::Importer(_) => {
                self.target.link_put(link.clone()).await?;
                None
            }
            Peer::Http(handler) => Some(self.serve(&link, handler.clone()).await?),
            Peer::Callee(callee) => return Err(no_functions(callee)),
        };
        // From here on nothing is refused.
        let mut sources = self.sources.lock().await;
        let replaced = match serving {
            Some(serving) => sources.insert(link.id, serving),
            None => sources.remove(&link.id),
        };
        drop(sources);
        let config = &self.core.config;
        let component = config.ids.of(&link.application, &link.component);
        // The one that serves the component now takes its calls, so the other can go while the provider is told.
        let replaced = async {
            if let Some(replaced) = replaced {
                replaced.stop(config.timeout).await;
            }
        };
        let told = self.core.links.put(link.id, &component, definitions);
        let (told, ()) = tokio::join!(told, replaced);
        told.map_err(|why| {
            ProviderError(format!(
                "`{}` could not be told of its link: {why}",
                config.id
            ))
        })
    }

    async fn link_deleted(&self, id: LinkId, grace: Duration) {
        if let Err(why) = self.core.links.delete(id).await {
            tracing::warn!(
                "`{}` could not be told of a link's end: {why}",
                self.core.config.id
            );
        }
        // If another link has the same component, that one's serving goes on to take its calls.
        let serving = self.sources.lock().await.remove(&id);
        if let Some(serving) = serving {
            serving.stop(grace).await;
        }
        self.target.link_deleted(id, grace).await;
    }

    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        let passed = timeout_at(call.deadline.into(), self.core.links.pass(call.link)).await;
        let _passed = passed.map_err(|_| CallError::Deadline)?;
        self.target.call(call).await
    }

    fn drop_resource(&self, link: LinkId, handle: u32) {
        self.target.drop_resource(link, handle);
    }

    fn blob_store(&self, link: LinkId) -> Option<Arc<dyn BlobStore>> {
        self.target.blob_store(link)
    }

    fn outgoing_http(&self) -> Option<&dyn OutgoingHandler> {
        self.target.outgoing_http()
    }

    async fn health(&self) -> Health {
        let state = self.state.get().map(watch::Receiver::borrow);
        match state.as_deref() {
            Some(ProcessState::Running(_)) => self.core.health(),
            Some(ProcessState::Starting) => Health::Unhealthy("it is being started".into()),
            Some(ProcessState::Down(why) | ProcessState::Failed(why)) => {
                Health::Unhealthy(format!("it {}", why.with_last_lines()))
            }
            Some(ProcessState::Stopped) => Health::Unhealthy("it was stopped".into()),
            None => Health::Unhealthy("it was not started".into()),
        }
    }

    async fn shutdown(&self, grace: Duration) {
        if let Some(supervisor) = self.supervisor.lock().await.take() {
            supervisor.stop(grace).await;
        }
        let sources = std::mem::take(&mut *self.sources.lock().await);
        let stopping = sources.into_values().map(|serving| serving.stop(grace));
        futures::future::join_all(stopping).await;
        self.target.shutdown(grace).await;
    }
}

/// The error for a provider of v1 that would call a component's functions through Withe.
fn no_functions(callee: &Callee) -> ProviderError {
    let function = callee.functions().first();
    let interface = function.map_or("", |function| &function.interface);
    ProviderError(format!(
        "a provider of wasmCloud v1 can call `wasi:http/incoming-handler` of a component here, and not `{interface}`: \
         link one of Withe's own providers to the component"
    ))
}
