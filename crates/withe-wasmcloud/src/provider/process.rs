//! A v1 provider's executable as a provider of Withe.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout_at;
use withe_process::{ProcessState, Supervisor};
use withe_provider::{
    BlobStore, Call, CallContext, CallError, CallTarget, Callee, FunctionName, Health, Link,
    LinkId, OutgoingHandler, Payload, Peer, Provider, ProviderError, SecretKeys,
};
use withe_wit::{Function, InterfaceName};

use super::config::ProcessConfig;
use super::control::Control;
use super::definition::{LinkDefinition, Secrets};
use super::supervised::V1Core;
use crate::interfaces::{http, watcher};
use crate::trace;
use crate::values::Signature;
use crate::wire::V1Wire;
use crate::wire::connection::OutgoingValues;
use crate::wire::names;
use crate::wire::server::{Endpoint, Handler, Invocation, ServedFunctions};
use crate::{TargetConfig, V1Target};

/// A provider of v1, run as a process of its own.
///
/// v1 tells nobody whether a provider took a link: what it thinks of a link's configuration stands in its
/// log only.
pub struct V1Process {
    core: Arc<V1Core>,
    target: V1Target,
    /// The types of the functions of components that it calls.
    called: HashMap<(String, String), Function>,
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
            called: HashMap::new(),
            sources: Mutex::default(),
            state: OnceLock::new(),
            supervisor: Mutex::default(),
        })
    }

    /// The same, which calls these functions of components.
    #[must_use]
    pub fn calling(mut self, called: impl IntoIterator<Item = (FunctionName, Function)>) -> Self {
        let called = called.into_iter();
        let called = called.map(|(name, ty)| ((name.interface, name.function), ty));
        self.called.extend(called);
        self
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
            Peer::Callee(callee) => {
                let packages = packages(callee.functions())?.into_iter();
                Ok(packages
                    .map(|(package, interfaces)| LinkDefinition {
                        source_id: own.clone(),
                        target: component.clone(),
                        source_config: settings.clone(),
                        source_secrets: secrets.clone(),
                        ..definition(package, interfaces)
                    })
                    .collect())
            }
        }
    }

    /// The functions of a component that the provider calls, as they are on the wire.
    fn endpoints(&self, callee: &Callee) -> Result<Vec<Endpoint>, ProviderError> {
        let functions = callee.functions().iter().enumerate();
        let endpoint = |(number, name): (usize, &FunctionName)| {
            let refuse = |why: String| {
                let (id, interface) = (&self.core.config.id, &name.interface);
                ProviderError(format!(
                    "`{id}`, a provider of wasmCloud v1, cannot call `{interface}`: {why}"
                ))
            };
            let key = (name.interface.clone(), name.function.clone());
            let ty = self.called.get(&key).ok_or_else(|| {
                refuse(format!("the type of its `{}` is not known", name.function))
            })?;
            let (name, ty) = watcher::on_wire(name, ty).unwrap_or((name.clone(), ty.clone()));
            let signature = Signature::new(&ty).map_err(|why| refuse(why.to_string()))?;
            Ok::<_, ProviderError>(Endpoint {
                instance: name.interface,
                function: name.function,
                params: signature.params.paths.clone(),
                results: signature.result.paths.clone(),
                handler: Arc::new(CalledFunction {
                    target: callee.target().clone(),
                    function: number,
                    signature: Arc::new(signature),
                    wire: self.core.config.wire.clone(),
                }),
            })
        };
        functions.map(endpoint).collect()
    }

    /// Makes the component that the provider calls reachable for it.
    async fn serve(
        &self,
        link: &Link,
        endpoints: Vec<Endpoint>,
    ) -> Result<ServedFunctions, ProviderError> {
        let config = &self.core.config;
        let component = config.ids.of(&link.application, &link.component);
        if !names::is_token(&component) {
            return Err(ProviderError(format!(
                "the id `{component}` cannot be part of a NATS subject; leave out spaces, dots, `*` and `>`"
            )));
        }
        let prefix = names::prefix(&config.lattice, &component);
        let served = config.wire.serve(prefix, endpoints, config.timeout);
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
            Peer::Http(handler) => {
                let endpoints = vec![http::endpoint(handler.clone())];
                Some(self.serve(&link, endpoints).await?)
            }
            Peer::Callee(callee) => Some(self.serve(&link, self.endpoints(callee)?).await?),
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

/// A function of a component, as the provider calls it.
struct CalledFunction {
    target: Arc<dyn CallTarget>,
    function: usize,
    signature: Arc<Signature>,
    wire: V1Wire,
}

impl Handler for CalledFunction {
    fn is_complete(&self, bytes: &[u8]) -> bool {
        self.signature.params.is_complete(bytes)
    }

    fn invoke(
        &self,
        invocation: Invocation,
    ) -> BoxFuture<'static, Result<OutgoingValues, CallError>> {
        let (target, function) = (self.target.clone(), self.function);
        let signature = self.signature.clone();
        let context = CallContext {
            deadline: invocation.deadline.into_std(),
            trace: trace::of(&invocation.headers),
        };
        let params = (signature.params).lift(invocation.params, invocation.streams, &self.wire);
        Box::pin(async move {
            let result = target.call(function, params?, context).await?;
            signature.result.lower(result)
        })
    }
}
