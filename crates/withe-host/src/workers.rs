//! The other processes of an application, as the host's process has them: started, watched, stopped.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use withe_files::TemporaryFolder;
use withe_linker::plan::{Plan, PlannedLink};
use withe_process::{
    Process, ProcessCommand, ProcessError, Supervised, Supervisor, SupervisorOptions,
};
use withe_rpc::unix::UnixListener;
use withe_rpc::{Limits, LinkRequest, Route};

use crate::assignment::Assignment;
use crate::error::{HostError, WorkerFailure};
use crate::options::HostOptions;
use crate::parts::Parts;
use crate::serve::Served;
use crate::sockets::Sockets;
use crate::units::LinkEnd;

/// The longest that a worker may take until it answers calls: it may have to compile.
const START: Duration = Duration::from_secs(600);

/// The workers of an application, and what the host's process serves to them.
pub(crate) struct Workers {
    sockets: Sockets,
    /// In the plan's order.
    workers: Vec<Worker>,
    /// Their places by when they end: those that call others end before these.
    stages: Vec<Vec<usize>>,
    server: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    /// The routes to the workers' counts, known to observers as long as they are here.
    counts: Vec<Arc<Route>>,
    /// Removed with its sockets when all have ended.
    _folder: TemporaryFolder,
}

struct Worker {
    supervisor: Supervisor<WorkerProcess>,
    has_ended: bool,
}

/// The workers of `plan`, by their places in it, so that each comes after those that call it, directly or through
/// others. Workers that call each other in a circle come together.
fn stages(plan: &Plan) -> Vec<Vec<usize>> {
    let called: Vec<BTreeSet<&str>> = (plan.workers.iter())
        .map(|worker| called_from(plan, &worker.component))
        .collect();
    let calls = |a: usize, b: usize| called[a].contains(plan.workers[b].component.as_str());
    let mut left: Vec<usize> = (0..plan.workers.len()).collect();
    let mut stages = Vec::new();
    while !left.is_empty() {
        let comes_later =
            |&i: &usize| (left.iter()).any(|&other| calls(other, i) && !calls(i, other));
        // Of those that are left, some are called by none but by those that they call.
        let (later, stage) = left.iter().partition(|i| comes_later(i));
        left = later;
        stages.push(stage);
    }
    stages
}

/// The components that a component calls, directly or through others.
fn called_from<'a>(plan: &'a Plan, component: &'a str) -> BTreeSet<&'a str> {
    let mut called = BTreeSet::new();
    let mut callers = vec![component];
    while let Some(caller) = callers.pop() {
        for link in plan.links.iter().filter(|link| link.source == caller) {
            if called.insert(link.target.as_str()) {
                callers.push(&link.target);
            }
        }
    }
    called
}

impl Workers {
    /// Starts the workers of `plan`; `None` if it has none.
    ///
    /// # Errors
    ///
    /// If one does not come to answer calls.
    pub(crate) async fn start(
        plan: &Plan,
        parts: &Arc<Parts>,
        ends: HashMap<usize, LinkEnd>,
        options: &HostOptions,
    ) -> Result<Option<Self>, HostError> {
        if plan.workers.is_empty() {
            return Ok(None);
        }
        let failed = |component: &str, why: WorkerFailure| HostError::Worker {
            component: component.into(),
            why,
        };
        let first = &plan.workers[0].component;
        let Some(command) = &options.worker else {
            return Err(failed(first, WorkerFailure::NoProcesses));
        };
        // Short, as a socket's path may have no more than about 100 bytes.
        let folder = TemporaryFolder::new();
        let folder = folder.map_err(|e| failed(first, WorkerFailure::Folder(e)))?;
        let sockets = Sockets::new(folder.path());
        let mut this = Self {
            workers: Vec::new(),
            stages: stages(plan),
            server: None,
            counts: Vec::new(),
            sockets,
            _folder: folder,
        };
        if !ends.is_empty() {
            let listener = UnixListener::bind(this.sockets.host())
                .await
                .map_err(|e| failed(first, WorkerFailure::Socket(e)))?;
            let served = Served {
                plan: Arc::new(plan.clone()),
                parts: parts.clone(),
                graph: None,
                ends,
                relays: true,
                tracer: options.tracer.clone(),
            };
            let (stop, stopped) = oneshot::channel();
            let limits = Limits {
                grace: options.grace,
                ..Limits::default()
            };
            let task = tokio::spawn(async move {
                let end = async { _ = stopped.await };
                withe_rpc::serve(listener, Arc::new(served), limits, end).await;
            });
            this.server = Some((stop, task));
        }
        for worker in &plan.workers {
            let assignment = Assignment::new(plan, worker, parts, this._folder.path(), options);
            let process = WorkerProcess {
                command: ProcessCommand::new(&command.program)
                    .args(&command.args)
                    .ready_within(START),
                assignment,
                parts: parts.clone(),
                options: options.clone(),
            };
            let supervisor = Supervisor::spawn(Arc::new(process), SupervisorOptions::default());
            this.workers.push(Worker {
                supervisor,
                has_ended: false,
            });
        }
        let mut errors = Vec::new();
        for (planned, worker) in plan.workers.iter().zip(&this.workers) {
            if let Err(why) = worker.supervisor.ready().await {
                errors.push(failed(&planned.component, why.into()));
            }
        }
        if errors.is_empty() {
            this.counts = this.sockets.counts(plan);
            this.counts
                .iter()
                .for_each(|route| options.counts.add(route));
            return Ok(Some(this));
        }
        this.stop(Duration::ZERO).await;
        Err(HostError::of(errors))
    }

    /// The links of `plan` that lead to the workers.
    pub(crate) fn ends(&mut self, plan: &Plan, parts: &Parts) -> HashMap<usize, LinkEnd> {
        self.sockets.ends(plan, parts, false)
    }

    /// The way of a link from the host's process to the worker of its target, if it leads to one.
    pub(crate) fn route(
        &mut self,
        plan: &Plan,
        link: &PlannedLink,
        request: LinkRequest,
    ) -> Option<Arc<Route>> {
        self.sockets.route(plan, link, request)
    }

    /// Lets calls under way finish, for at most `grace`, and ends all: callers before those that they call, which
    /// what is under way needs. When the grace is over, all are told to end, and have as long again.
    pub(crate) async fn stop(mut self, grace: Duration) {
        let over = Instant::now() + grace;
        for stage in &self.stages {
            for worker in stage.iter().filter_map(|&i| self.workers.get(i)) {
                worker.supervisor.begin_stop(grace);
            }
            for &i in stage {
                if let Some(worker) = self.workers.get_mut(i) {
                    worker.has_ended = timeout_at(over, worker.supervisor.ended()).await.is_ok();
                }
            }
        }
        // All have been told to end, so they end at the same time.
        for worker in self.workers.into_iter().filter(|worker| !worker.has_ended) {
            worker.supervisor.stop(grace).await;
        }
        if let Some((stop, task)) = self.server {
            _ = stop.send(());
            _ = timeout(SERVER, task).await;
        }
    }
}

/// How long the host's server may take to end when nobody calls it any more.
const SERVER: Duration = Duration::from_secs(2);

/// A worker's process, as it is kept running.
struct WorkerProcess {
    command: ProcessCommand,
    assignment: Assignment,
    parts: Arc<Parts>,
    options: HostOptions,
}

impl Supervised for WorkerProcess {
    type Ready = ();

    fn subject(&self) -> String {
        format!("the worker process of `{}`", self.assignment.component)
    }

    fn command(&self) -> ProcessCommand {
        self.command.clone()
    }

    async fn bring_up(&self, _run: u32, process: &mut Process) -> Result<(), ProcessError> {
        let head = self.assignment.head();
        process
            .write(&head.map_err(|e| ProcessError::Input(e.into()))?)
            .await?;
        for bytes in self.assignment.bodies(&self.parts) {
            process.write(bytes).await?;
        }
        let progress = |progress| (self.options.progress)(progress);
        process.said_ready(progress).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The stages of these workers, by name, where components are linked so.
    fn staged(workers: &[&str], links: &[(&str, &str)]) -> Vec<Vec<String>> {
        let link = |(source, target): &(&str, &str)| {
            json!({
                "source": source, "target": target, "name": "default", "interfaces": [],
                "binding": "unix", "why": "", "scope": "call", "timeout_ms": 1000,
                "timeout_given": false, "idempotent": false, "source_config": {},
                "target_config": {},
            })
        };
        let worker = |name: &&str| json!({"component": name, "units": [name]});
        let plan: Plan = serde_json::from_value(json!({
            "application": "a",
            "components": [],
            "links": links.iter().map(link).collect::<Vec<Value>>(),
            "workers": workers.iter().map(worker).collect::<Vec<Value>>(),
        }))
        .unwrap();
        let name = |i: usize| plan.workers[i].component.clone();
        let stages = stages(&plan).into_iter();
        stages
            .map(|stage| stage.into_iter().map(name).collect())
            .collect()
    }

    #[test]
    fn workers_end_after_those_that_call_them() {
        assert_eq!(staged(&["a"], &[]), [["a"]]);
        // A component between two workers may be in either.
        let chain = [("a", "x"), ("x", "b"), ("b", "c"), ("d", "c")];
        let stages = staged(&["c", "b", "a", "d"], &chain);
        assert_eq!(stages, [vec!["a", "d"], vec!["b"], vec!["c"]]);
        let circle = [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")];
        let stages = staged(&["a", "b", "c", "d"], &circle);
        assert_eq!(stages, [vec!["a"], vec!["b", "c"], vec!["d"]]);
    }
}
