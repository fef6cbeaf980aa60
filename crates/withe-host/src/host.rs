//! A host: engines to run applications on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use withe_linker::plan::Plan;
use withe_runtime::{EngineOptions, Engines, Observer, ShareLimits};

use crate::counts::Counts;
use crate::error::HostError;
use crate::options::{HostOptions, Progress};
use crate::parts::Parts;
use crate::run::Running;
use crate::runnable::Runnable;

/// A host: engines to run applications on.
pub struct Host {
    engines: Engines,
    options: HostOptions,
}

/// How a host is made that a program has within it. Options that are not set are as in
/// [`HostOptions::default`].
#[derive(Clone, Default)]
pub struct HostBuilder {
    options: HostOptions,
}

impl HostBuilder {
    /// Keeps compiled components in a folder, so that they are compiled once.
    #[must_use]
    pub fn cache_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.cache_dir = Some(folder.into());
        self
    }

    /// The most instances of components at a time; the host reserves address space for them.
    #[must_use]
    pub fn instances(mut self, most: u32) -> Self {
        self.options.limits.instances = most;
        self
    }

    /// How the instances and their memory are shared among applications and components.
    #[must_use]
    pub fn shares(mut self, shares: ShareLimits) -> Self {
        self.options.limits.shares = shares;
        self
    }

    /// The most linear memory of one instance, in bytes. A component's own limit can only be lower.
    #[must_use]
    pub fn memory(mut self, most: usize) -> Self {
        self.options.limits.memory = most;
        self
    }

    /// How long work under way may take to finish when an application is stopped or replaced.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// Sets what is told of each step while applications start.
    #[must_use]
    pub fn on_progress(mut self, told: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.options.progress = Arc::new(told);
        self
    }

    /// Makes the host.
    ///
    /// # Errors
    ///
    /// As [`Host::new`].
    pub fn build(self) -> Result<Host, HostError> {
        Host::new(self.options)
    }
}

impl Host {
    /// A host that keeps nothing on disk, starts no other processes, and is silent, unless the builder is told
    /// otherwise.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// Makes a host. Its engines are made when the first components need them.
    ///
    /// # Errors
    ///
    /// If the cache's folder cannot be used.
    pub fn new(options: HostOptions) -> Result<Self, HostError> {
        let engine = EngineOptions {
            cache_dir: options.cache_dir.clone(),
            key_dir: options.key_dir.clone(),
            observer: Observer {
                metrics: options.counts.own().clone(),
                tracer: options.tracer.clone(),
            },
            output: options.output.clone(),
            ..options.limits.engine_options(options.compiler.as_ref())
        };
        Ok(Self {
            engines: Engines::new(&engine)?,
            options,
        })
    }

    /// How long work under way may take to finish when it is stopped or replaced.
    pub fn grace(&self) -> Duration {
        self.options.grace
    }

    /// Where what runs here is counted.
    pub fn counts(&self) -> &Counts {
        &self.options.counts
    }

    /// An application of which nothing runs yet.
    pub fn empty(&self) -> Running {
        Running::nothing(&self.engines, &self.options)
    }

    /// Starts an application that was read and linked. If that fails, all that was started is stopped again.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn run(&self, application: &Runnable) -> Result<Running, HostError> {
        self.start(application.plan(), application.parts().clone())
            .await
    }

    /// Starts an application by its plan. If that fails, all that was started is stopped again.
    ///
    /// # Errors
    ///
    /// If a component does not compile or link, or a provider fails.
    pub async fn start(&self, plan: &Plan, parts: Arc<Parts>) -> Result<Running, HostError> {
        let mut running = self.empty();
        match running.replace(plan, parts).await {
            Ok(()) => Ok(running),
            Err(e) => {
                running.shutdown().await;
                Err(e)
            }
        }
    }
}
