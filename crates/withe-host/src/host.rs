//! A host: engines to run applications on.

use std::sync::Arc;
use std::time::Duration;

use withe_linker::plan::Plan;
use withe_runtime::{EngineOptions, Engines, Observer};

use crate::error::HostError;
use crate::options::HostOptions;
use crate::parts::Parts;
use crate::run::Running;

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
    pub fn grace(&self) -> Duration {
        self.options.grace
    }

    /// An application of which nothing runs yet.
    pub fn empty(&self) -> Running {
        Running::nothing(&self.engines, &self.options)
    }

    /// Starts an application. If that fails, all that was started is stopped again.
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
