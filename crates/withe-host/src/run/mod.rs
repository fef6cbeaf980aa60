//! An application that runs: one plan at a time, replaced as a whole.
//!
//! ```text
//! plan ─ prepare ─→ Prepared ─ commit ─→ Live, and what the plan before it leaves behind: Left
//!            └ fails, or is cancelled: given up, and what runs goes on
//! ```
//!
//! * `live`: what runs of one plan; `providers`: providers and the links they hold; `switch`: what the links lead
//!   to that start at them.
//! * `prepare`: makes what a plan needs; `left`: ends what a plan leaves behind.

mod left;
mod live;
mod prepare;
mod providers;
mod switch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use withe_linker::plan::Plan;
use withe_runtime::invoke::{
    self, ComponentNamedList, FunctionPath, InvokeError, Lift, Lower, Val,
};
use withe_runtime::{Engines, Graph, HttpEntry, wave};

use crate::away::Away;
use crate::error::HostError;
use crate::fetch;
use crate::http_service::{CurrentHandler, HttpService};
use crate::loopback::Loopback;
use crate::options::{HostOptions, Phase, Progress};
use crate::parts::Parts;
use crate::runnable::Runnable;
use crate::serve::Served;
use left::{Left, Patience};
use live::Live;
use prepare::Preparation;
pub use prepare::Prepared;
pub use providers::LinkKey;

/// A running application. Dropped without [`Running::shutdown`], nothing that is under way is waited for.
pub struct Running {
    engines: Engines,
    options: HostOptions,
    live: Live,
    /// The connections by which this host calls itself over a wire, if it is on no lattice.
    loopback: Loopback,
    /// The HTTP handlers that were asked for, by the names of their components.
    services: Mutex<HashMap<String, Arc<CurrentHandler>>>,
    /// The leftovers of replaced plans, which others may still need.
    retiring: JoinSet<()>,
    /// The instances of the plan before this one.
    before: Weak<Graph>,
    /// Cancelled when those are waited for no longer.
    hurry: CancellationToken,
}

impl Running {
    /// An application of which nothing runs yet.
    pub(crate) fn nothing(engines: &Engines, options: &HostOptions) -> Self {
        Self {
            engines: engines.clone(),
            options: options.clone(),
            live: Live::default(),
            loopback: Loopback::default(),
            services: Mutex::default(),
            retiring: JoinSet::new(),
            before: Weak::new(),
            hurry: CancellationToken::new(),
        }
    }

    /// Replaces what runs by what `plan` says of `parts`: what is new is prepared beside what runs, new calls
    /// take it, and what is no longer needed finishes what it does. Providers whose own configuration
    /// is the same go on.
    ///
    /// # Errors
    ///
    /// If a component does not compile or link, or a provider fails. Everything goes on as it was then.
    pub async fn replace(&mut self, plan: &Plan, parts: Arc<Parts>) -> Result<(), HostError> {
        let mut loopback = std::mem::take(&mut self.loopback);
        let prepared = match loopback.prepare(plan, &self.options).await {
            Ok(()) => {
                let never = CancellationToken::new();
                self.prepare(plan, &parts, &loopback, &never).await
            }
            Err(error) => Err(error),
        };
        self.loopback = loopback;
        self.commit(prepared?);
        Ok(())
    }

    /// Replaces what runs by an application that was read and linked, as [`replace`](Self::replace) does.
    ///
    /// # Errors
    ///
    /// As that.
    pub async fn run(&mut self, application: &Runnable) -> Result<(), HostError> {
        self.replace(application.plan(), application.parts().clone())
            .await
    }

    /// Makes all that another plan needs, for the same application: that of one of several hosts. `away` has the
    /// ways to the others.
    ///
    /// # Errors
    ///
    /// As [`Running::replace`], or if it is cancelled. The running plan is not touched.
    pub async fn prepare(
        &self,
        plan: &Plan,
        parts: &Arc<Parts>,
        away: &dyn Away,
        cancel: &CancellationToken,
    ) -> Result<Prepared, HostError> {
        let plan = &*tokio::select! {
            fetched = fetch::fetch(plan, parts, &self.options) => fetched?,
            () = cancel.cancelled() => return Err(HostError::Cancelled),
        };
        let preparation = Preparation {
            engines: &self.engines,
            options: &self.options,
            plan,
            parts,
            away,
            now: &self.live,
        };
        let began = Instant::now();
        self.options.secrets.know(plan);
        let mut new = Prepared::default();
        let made = tokio::select! {
            made = preparation.make(&mut new) => made,
            () = cancel.cancelled() => Err(HostError::Cancelled),
        };
        match made {
            Ok(()) => {
                self.options.took(Phase::Prepare, began);
                Ok(new)
            }
            Err(error) => {
                new.give_up(&self.live, self.at_once()).await;
                Err(error.masked(&plan.secrets()))
            }
        }
    }

    /// Has new calls take what was prepared, and what is no longer needed end when nobody can need it any more.
    pub fn commit(&mut self, prepared: Prepared) {
        let began = Instant::now();
        let announced = prepared.announced.clone();
        let left = self.live.commit(prepared, &self.loopback);
        self.turn_services();
        for link in announced
            .iter()
            .filter_map(|key| self.live.sources.get(key))
        {
            for endpoint in link.endpoints() {
                (self.options.progress)(Progress::Listening {
                    url: endpoint.url,
                    component: link.key.target.clone(),
                });
            }
        }
        self.options.took(Phase::Commit, began);
        let patience = Patience {
            grace: self.options.grace,
            others: true,
            hurry: self.hurry.clone(),
        };
        self.before = left.graph.as_ref().map(Arc::downgrade).unwrap_or_default();
        self.retiring.spawn(left.end(patience));
        while self.retiring.try_join_next().is_some() {}
    }

    /// Waits until the calls have ended that began before the last [`commit`](Self::commit), for `limit` at the longest.
    pub async fn earlier_calls(&self, limit: Duration) {
        left::unused(&self.before, tokio::time::Instant::now() + limit).await;
    }

    /// The parts that other hosts may call.
    pub fn served(&self) -> Option<Arc<Served>> {
        self.live.served.clone()
    }

    /// Where the application can be reached from outside.
    pub fn endpoints(&self) -> Vec<String> {
        let providers = self.live.providers.values();
        let endpoints = providers.flat_map(|provider| provider.endpoints());
        let mut urls: Vec<_> = endpoints.map(|endpoint| endpoint.url).collect();
        urls.sort();
        urls.dedup();
        urls
    }

    /// Calls an export of `component` with WAVE-encoded `args` (`(1, "a")`); returns the result's text.
    ///
    /// # Errors
    ///
    /// See [`InvokeError`].
    pub async fn call(
        &self,
        component: &str,
        function: &FunctionPath,
        args: &str,
        timeout: Duration,
    ) -> Result<String, InvokeError> {
        let graph = self.graph(component)?;
        wave::call(graph, component, function, args, Instant::now() + timeout).await
    }

    /// Calls exports of `component` in a row, all on one instance, so that one that returns a resource may be followed by
    /// those of the resource. Streams in the result keep the instance, and end when the host is shut down.
    ///
    /// # Errors
    ///
    /// See [`wave::RowError`].
    pub async fn call_in_row(
        &self,
        component: &str,
        calls: Vec<wave::RowCall>,
        timeout: Duration,
    ) -> Result<wave::RowResult, wave::RowError> {
        let graph = self.graph(component);
        let graph = graph.map_err(|error| wave::RowError { call: 0, error })?;
        wave::call_in_row(graph, component, calls, Instant::now() + timeout).await
    }

    /// Calls an export of `component` with a value for each parameter; returns its result, if it has one. Programs that
    /// know the function's type at compile time use [`call_typed`](Self::call_typed).
    ///
    /// # Errors
    ///
    /// See [`InvokeError`].
    pub async fn call_values(
        &self,
        component: &str,
        function: impl Into<FunctionPath>,
        params: &[Val],
        timeout: Duration,
    ) -> Result<Option<Val>, InvokeError> {
        let (graph, function) = (self.graph(component)?, function.into());
        invoke::values(
            graph,
            component,
            &function,
            params,
            Instant::now() + timeout,
        )
        .await
    }

    /// Calls an export of `component` with a tuple of its parameters; returns a tuple of its result.
    ///
    /// # Errors
    ///
    /// See [`InvokeError`].
    pub async fn call_typed<Params, Return>(
        &self,
        component: &str,
        function: impl Into<FunctionPath>,
        params: Params,
        timeout: Duration,
    ) -> Result<Return, InvokeError>
    where
        Params: ComponentNamedList + Lower + Send + Sync + 'static,
        Return: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let (graph, function) = (self.graph(component)?, function.into());
        invoke::typed(
            graph,
            component,
            &function,
            params,
            Instant::now() + timeout,
        )
        .await
    }

    /// Runs `component` as a command of this process, with the process's standard input, output and error, until it
    /// ends: its exit code.
    ///
    /// # Errors
    ///
    /// See [`InvokeError`].
    pub async fn run_command(
        &self,
        component: &str,
        arguments: Vec<String>,
    ) -> Result<i32, InvokeError> {
        withe_runtime::run_command(self.graph(component)?, component, arguments).await
    }

    /// The HTTP handler of `component` as a service, which goes on when the application is replaced.
    ///
    /// # Errors
    ///
    /// If the component does not run in this process, or exports no handler.
    pub fn http_service(&self, component: &str) -> Result<HttpService, InvokeError> {
        let graph = self.graph(component)?;
        if graph.find(component).is_none() {
            return Err(InvokeError::NoComponent(component.to_owned()));
        }
        let Some(entry) = HttpEntry::new(graph, component) else {
            let what = format!("`{component}` exports no HTTP handler");
            return Err(InvokeError::NoFunction(what));
        };
        // Nothing panics while the lock is held.
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let handler = services.entry(component.to_owned()).or_default();
        handler.store(Some(Arc::new(entry)));
        Ok(HttpService::new(component, handler.clone()))
    }

    /// Has services lead to what runs now.
    fn turn_services(&self) {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        for (component, handler) in &*services {
            let graph = self.live.graph.as_ref();
            let entry = graph.and_then(|graph| HttpEntry::new(graph, component));
            handler.store(entry.map(Arc::new));
        }
    }

    fn graph(&self, component: &str) -> Result<&Arc<Graph>, InvokeError> {
        let graph = self.live.graph.as_ref();
        graph.ok_or_else(|| InvokeError::NoComponent(component.to_owned()))
    }

    /// Finishes the work under way, within the grace, and stops everything: nothing takes the place of what runs.
    pub async fn shutdown(mut self) {
        let left = self.live.commit(Prepared::default(), &self.loopback);
        self.turn_services();
        left.end(self.at_once()).await;
        self.loopback.close().await;
        self.hurry.cancel();
        self.retiring.join_all().await;
    }

    /// The patience that waits for requests to be answered, but not for instances that somebody keeps.
    fn at_once(&self) -> Patience {
        let hurry = CancellationToken::new();
        hurry.cancel();
        Patience {
            grace: self.options.grace,
            others: false,
            hurry,
        }
    }
}

impl Live {
    /// Takes the place of what runs, which is what is left then.
    fn commit(&mut self, prepared: Prepared, loopback: &Loopback) -> Left {
        loopback.set(prepared.live.served.clone());
        for (key, target) in prepared.leads {
            if let Some(switch) = (prepared.live.sources.get(&key)).and_then(|link| link.switch()) {
                switch.open(target);
            }
        }
        std::mem::replace(self, prepared.live).without(self)
    }
}
