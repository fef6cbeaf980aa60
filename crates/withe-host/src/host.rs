//! An application running on this host: started, replaced while it runs, stopped.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;
use withe_lattice::LatticeError;
use withe_linker::input::{ComponentKind, Inputs};
use withe_linker::plan::{Plan, PlannedComponent, PlannedLink};
use withe_provider::{IncomingHandler, Peer};
use withe_runtime::wave::{self, FunctionPath, WaveError};
use withe_runtime::{EngineOptions, Engines, Graph, HttpEntry, Observer, RuntimeError, Tracer};

use crate::away::{self, Away};
use crate::build::build;
use crate::counts::Counts;
use crate::load::{Loaded, Registry};
use crate::loopback::Loopback;
use crate::parts::Parts;
use crate::provider_source::ProviderSource;
use crate::providers::{LinkKey, RunningProvider, key};
use crate::request::{http_request, leaves_host};
use crate::retire::{Left, Users, stop};
use crate::serve::Served;
use crate::units::{LinkEnd, units};
use crate::workers::{WorkerCommand, Workers};

/// How a host is set up.
#[derive(Clone)]
pub struct HostOptions {
    /// Where compiled components are kept; `None` compiles them at every start.
    pub cache_dir: Option<PathBuf>,
    /// How long work under way may take to finish when it is stopped or replaced.
    pub grace: Duration,
    /// Told what goes on.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
    /// How the processes of components are started that others serve; `None` refuses such links.
    pub worker: Option<WorkerCommand>,
    /// How the process of a first-party provider is started, whose short name is one more argument; `None`
    /// refuses such providers.
    pub provider: Option<WorkerCommand>,
    /// What carries links that are bound by `nats`, for a host that is on no lattice.
    pub broker: Option<Broker>,
    /// Where what runs is counted.
    pub counts: Counts,
    /// Where it is traced.
    pub tracer: Tracer,
}

/// A NATS server that a host is connected to.
#[derive(Clone)]
pub struct Broker {
    /// The connection.
    pub client: async_nats::Client,
    /// The name of the lattice whose subjects are used.
    pub lattice: String,
    /// Where providers of wasmCloud v1 connect, which are processes of their own. It may hold a password.
    pub url: String,
    /// The id by which they know this host.
    pub host: String,
}

/// What goes on while an application starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// A component, or a composition under its root's name, is being compiled.
    Compiling {
        /// Its name.
        component: String,
    },
    /// It is compiled.
    Compiled {
        /// Its name.
        component: String,
        /// Whether it was found in the cache.
        cached: bool,
        /// How long it took.
        took: Duration,
    },
    /// A provider is being started.
    Starting {
        /// Its name.
        provider: String,
    },
    /// A provider listens.
    Listening {
        /// Where.
        url: String,
        /// For which component.
        component: String,
    },
}

/// Why an application does not run.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The application has errors; its diagnostics say which.
    #[error("the application has errors; nothing was started")]
    NotLinked,
    /// The plan and the registry do not go together.
    #[error("there is no provider `{0}` in this host")]
    NoProvider(String),
    /// The bytes of a component are missing.
    #[error("component `{0}` has no bytes to run")]
    NoBytes(String),
    /// Components could not be fused.
    #[error("component `{component}` cannot be fused with what it is linked to: {why}")]
    Fuse {
        /// The root.
        component: String,
        /// Why not.
        why: String,
    },
    /// A component that a provider calls exports no HTTP handler.
    #[error("component `{0}` exports no HTTP handler that a provider could call")]
    NoHandler(String),
    /// A provider failed.
    #[error("provider `{provider}` could not {what}: {why}")]
    Provider {
        /// Its name.
        provider: String,
        /// What it was asked to do.
        what: String,
        /// Why it could not.
        why: String,
    },
    /// The process that serves a component failed.
    #[error("the worker process{} failed: {why}", of_component(component))]
    Worker {
        /// The component; empty if the process itself says so.
        component: String,
        /// Why.
        why: String,
    },
    /// The host cannot call itself over TCP.
    #[error("cannot listen on this machine for links that are bound by `tcp`: {0}")]
    Listen(std::io::Error),
    /// A link is bound by `nats`, and there is none.
    #[error("a link is bound by `nats`, and this host has no NATS; name it with `--lattice`")]
    NoBroker,
    /// What carries them failed.
    #[error(transparent)]
    Lattice(#[from] LatticeError),
    /// The runtime failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// Several things failed.
    #[error("{}", .0.iter().map(HostError::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<HostError>),
}

/// ` of `component``, unless it has no name.
fn of_component(component: &str) -> String {
    match component {
        "" => String::new(),
        _ => format!(" of `{component}`"),
    }
}

impl HostError {
    pub(crate) fn of(mut errors: Vec<HostError>) -> Self {
        match errors.len() {
            1 => errors.remove(0),
            _ => Self::Several(errors),
        }
    }
}

/// A host: engines to run applications on.
pub struct Host {
    engines: Engines,
    options: HostOptions,
}

impl Host {
    /// Makes the engines.
    ///
    /// # Errors
    ///
    /// If the machine cannot give the address space, or the cache's folder cannot be used.
    pub fn new(options: HostOptions) -> Result<Self, HostError> {
        let engine = EngineOptions {
            cache_dir: options.cache_dir.clone(),
            observer: Observer {
                metrics: options.counts.own().clone(),
                tracer: options.tracer.clone(),
            },
            ..EngineOptions::default()
        };
        Ok(Self {
            engines: Engines::new(&engine)?,
            options,
        })
    }

    /// How long work under way may take to finish when it is stopped or replaced.
    pub(crate) fn grace(&self) -> Duration {
        self.options.grace
    }

    /// An application of which nothing runs yet.
    pub(crate) fn empty(&self) -> Running {
        Running {
            engines: self.engines.clone(),
            options: self.options.clone(),
            providers: HashMap::new(),
            graph: None,
            served: None,
            loopback: Loopback::default(),
            workers: None,
            left: Left::default(),
            retiring: JoinSet::new(),
            hurry: watch::Sender::default(),
        }
    }

    /// Starts an application. If it fails, all that was started is stopped again.
    ///
    /// # Errors
    ///
    /// If the application has no plan, a component does not compile or link, or a provider fails.
    pub async fn start(&self, loaded: &Loaded, registry: &Registry) -> Result<Running, HostError> {
        let mut running = self.empty();
        match running.replace(loaded, registry).await {
            Ok(()) => Ok(running),
            Err(e) => {
                running.shutdown().await;
                Err(e)
            }
        }
    }
}

/// A running application.
pub struct Running {
    engines: Engines,
    options: HostOptions,
    providers: HashMap<String, RunningProvider>,
    graph: Option<Arc<Graph>>,
    served: Option<Arc<Served>>,
    /// What this host calls of itself over a wire, if it is on no lattice.
    loopback: Loopback,
    workers: Option<Workers>,
    /// What the next plan will leave behind besides what runs now.
    left: Left,
    /// What plans that were replaced have left behind, which others may still need.
    retiring: JoinSet<()>,
    /// Becomes true when those are waited for no longer.
    hurry: watch::Sender<bool>,
}

impl Running {
    /// Replaces what runs by what `loaded` says: what is new is prepared beside what runs, new calls
    /// take it, and what is no longer needed finishes what it does. Providers whose own configuration
    /// is the same go on.
    ///
    /// # Errors
    ///
    /// As [`Host::start`]. Everything goes on as it was then; but if a provider refuses a link that starts
    /// at it, those that were replaced before stay replaced.
    pub async fn replace(&mut self, loaded: &Loaded, registry: &Registry) -> Result<(), HostError> {
        let Some(plan) = &loaded.plan else {
            return Err(HostError::NotLinked);
        };
        let mut loopback = std::mem::take(&mut self.loopback);
        let prepared = loopback.prepare(plan, &self.options).await;
        let carried_out = match prepared {
            Ok(()) => self.carry_out(loaded, plan, registry, &loopback).await,
            Err(error) => Err(error),
        };
        if let Some(served) = &self.served {
            loopback.set(served.clone());
        }
        self.loopback = loopback;
        carried_out
    }

    /// The same with another plan for the same application: that of one of several hosts. `away` has the ways
    /// to the others.
    pub(crate) async fn carry_out(
        &mut self,
        loaded: &Loaded,
        plan: &Plan,
        registry: &Registry,
        away: &dyn Away,
    ) -> Result<(), HostError> {
        let Some(inputs) = &loaded.inputs else {
            return Err(HostError::NotLinked);
        };
        self.start_providers(loaded, inputs, plan, registry).await?;
        let parts = Arc::new(Parts::of(loaded));
        let own = self.put_target_links(&parts, plan).await?;
        // A link that is pinned to a wire leads there, also to a provider that runs here.
        let mut ends = own.clone();
        ends.extend(away::ends(plan, &parts, away));
        let mut workers = Workers::start(plan, &parts, ends.clone(), &self.options).await?;
        if let Some(workers) = &mut workers {
            ends.extend(workers.ends(plan, &parts));
        }
        let specs = units(&parts, plan, &plan.host_units, &ends).map_err(HostError::of)?;
        let graph = build(&self.engines, specs, self.options.progress.clone()).await?;
        // Whoever comes over the wire is to reach the provider itself.
        ends.extend(own);
        let served = Arc::new(Served {
            plan: Arc::new(plan.clone()),
            parts,
            graph: Some(graph.clone()),
            ends,
            relays: false,
            tracer: self.options.tracer.clone(),
        });
        away.begin(&served);
        self.put_source_links(&served, &graph, away, workers.as_mut())
            .await?;
        let mut left = self.let_go(plan);
        left.workers = std::mem::replace(&mut self.workers, workers);
        let before = self.served.replace(served);
        self.graph = Some(graph);
        if let Some(before) = before {
            self.retire(&before, left).await;
        }
        Ok(())
    }

    /// What other hosts may call of it.
    pub(crate) fn served(&self) -> Option<Arc<Served>> {
        self.served.clone()
    }

    /// Lets what was replaced finish what it does, with what it needs for that.
    async fn retire(&mut self, before: &Served, left: Left) {
        let Some(graph) = &before.graph else { return };
        graph.retire().await;
        let users = Users {
            graph: Arc::downgrade(graph),
            others: before.plan.links.iter().any(|link| link.incoming),
            grace: self.options.grace,
            hurry: self.hurry.subscribe(),
        };
        self.retiring.spawn(left.end(users));
        while self.retiring.try_join_next().is_some() {}
    }

    /// Where the application can be reached from outside.
    pub fn endpoints(&self) -> Vec<String> {
        let mut urls: Vec<_> = self
            .providers
            .values()
            .flat_map(RunningProvider::endpoints)
            .map(|e| e.url)
            .collect();
        urls.sort();
        urls.dedup();
        urls
    }

    /// Calls an export of `component` with WAVE-encoded `args` (`(1, "a")`); returns the result's text.
    ///
    /// # Errors
    ///
    /// See [`WaveError`].
    pub async fn call(
        &self,
        component: &str,
        function: &FunctionPath,
        args: &str,
        timeout: Duration,
    ) -> Result<String, WaveError> {
        let Some(graph) = &self.graph else {
            return Err(WaveError::NoComponent(component.to_owned()));
        };
        wave::call(graph, component, function, args, Instant::now() + timeout).await
    }

    /// Finishes the work under way, within the grace, and stops everything.
    pub async fn shutdown(self) {
        // Those that call components first, so that none of their calls meets a provider that stopped.
        let (mut callers, mut others) = (Vec::new(), Vec::new());
        let providers = self.providers.into_values().chain(self.left.providers);
        for provider in providers {
            if provider.endpoints().is_empty() {
                others.push(provider)
            } else {
                callers.push(provider)
            }
        }
        stop(callers, self.options.grace).await;
        stop(others, self.options.grace).await;
        if let Some(graph) = self.graph {
            graph.retire().await;
        }
        if let Some(workers) = self.workers {
            workers.stop(self.options.grace).await;
        }
        self.loopback.close().await;
        self.hurry.send_replace(true);
        self.retiring.join_all().await;
    }

    async fn start_providers(
        &mut self,
        loaded: &Loaded,
        inputs: &Inputs,
        plan: &Plan,
        registry: &Registry,
    ) -> Result<(), HostError> {
        for component in providers(plan) {
            let source = ProviderSource::of(loaded, inputs, registry, &component.name)
                .ok_or_else(|| HostError::NoProvider(component.name.clone()))?;
            if self
                .providers
                .get(&component.name)
                .is_some_and(|p| p.fits(&source, component))
            {
                continue;
            }
            if let Some(old) = self.providers.remove(&component.name) {
                // One that listens has to make room for its successor; one that is called is called until the
                // successor is.
                if old.endpoints().is_empty() {
                    self.left.providers.push(old);
                } else {
                    old.stop(self.options.grace).await;
                }
            }
            (self.options.progress)(Progress::Starting {
                provider: component.name.clone(),
            });
            let options = &self.options;
            let provider =
                RunningProvider::start(source, component, loaded, inputs, options).await?;
            self.providers.insert(component.name.clone(), provider);
        }
        Ok(())
    }

    /// Links that end at providers: they must be ready before a component calls.
    async fn put_target_links(
        &mut self,
        parts: &Parts,
        plan: &Plan,
    ) -> Result<HashMap<usize, LinkEnd>, HostError> {
        let mut ends = HashMap::new();
        let mut errors = Vec::new();
        for (i, link) in plan.links.iter().enumerate() {
            let Some(provider) = self.providers.get_mut(&link.target) else {
                continue;
            };
            let peer = Peer::Importer(parts.names(link));
            let config = link.target_config.clone();
            match provider
                .put(key(link), &plan.application, &link.source, config, peer)
                .await
            {
                Ok(id) => {
                    ends.insert(
                        i,
                        LinkEnd::Provider {
                            provider: provider.provider().clone(),
                            link: id,
                        },
                    );
                }
                Err(e) => errors.push(e),
            }
        }
        if errors.is_empty() {
            Ok(ends)
        } else {
            Err(HostError::of(errors))
        }
    }

    /// Links that start at providers: from here on the application is called.
    async fn put_source_links(
        &mut self,
        served: &Served,
        graph: &Arc<Graph>,
        away: &dyn Away,
        mut workers: Option<&mut Workers>,
    ) -> Result<(), HostError> {
        let plan = &served.plan;
        let mut errors = Vec::new();
        let keep: Vec<LinkKey> = plan.links.iter().map(key).collect();
        for link in &plan.links {
            let Some(provider) = self.providers.get_mut(&link.source) else {
                continue;
            };
            provider.retarget(&key(link), &keep);
            let route = match workers.as_deref_mut() {
                _ if leaves_host(link) => away.route(http_request(plan, link), link),
                Some(workers) => workers.route(plan, link, http_request(plan, link)),
                None => None,
            };
            let handler: Option<Arc<dyn IncomingHandler>> = match route {
                Some(route) => {
                    let graph = graph.clone();
                    Some(away::handler(plan, link, route, graph, &served.tracer))
                }
                None => HttpEntry::new(graph, &link.target).map(|entry| Arc::new(entry) as _),
            };
            let Some(handler) = handler else {
                errors.push(HostError::NoHandler(link.target.clone()));
                continue;
            };
            let (config, peer) = (link.source_config.clone(), Peer::Http(handler));
            let put = provider.put(key(link), &plan.application, &link.target, config, peer);
            match put.await {
                Ok(id) => {
                    for endpoint in provider.endpoints().into_iter().filter(|e| e.link == id) {
                        let component = link.target.clone();
                        (self.options.progress)(Progress::Listening {
                            url: endpoint.url,
                            component,
                        });
                    }
                }
                Err(e) => errors.push(e),
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(HostError::of(errors))
        }
    }

    /// Has no links and providers any more but those of the plan; what is left of the others.
    fn let_go(&mut self, plan: &Plan) -> Left {
        let mut left = std::mem::take(&mut self.left);
        let is_gone = |name: &String| !providers(plan).any(|c| c.name == *name);
        let gone = self.providers.extract_if(|name, _| is_gone(name));
        left.providers.extend(gone.map(|(_, provider)| provider));
        for (name, provider) in &mut self.providers {
            let touches = |link: &&PlannedLink| link.source == *name || link.target == *name;
            let keep: Vec<LinkKey> = plan.links.iter().filter(touches).map(key).collect();
            left.links.extend(provider.retain(&keep));
        }
        left
    }
}

/// The providers that run on this host.
fn providers(plan: &Plan) -> impl Iterator<Item = &PlannedComponent> {
    plan.components
        .iter()
        .filter(|c| c.kind == ComponentKind::Provider && !c.elsewhere)
}
