//! The provider: a task for each link, which calls the component whenever one of its jobs is due.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use withe_provider::settings::describe;
use withe_provider::{CallContext, ConfigMap, Link, LinkId, Once, Peer, Provider, ProviderError};

use crate::config::{self, Config, Job};
use crate::wit::wasmcloud::cron::scheduler::Client;

/// The longest that the clock is not looked at: somebody may set it.
const LOOK: Duration = Duration::from_secs(30);

/// How long the calls of a link that was replaced may take.
const REPLACED: Duration = Duration::from_secs(60);

/// The most calls of a link at the same time, where calls may overlap.
const CALLS: usize = 100;

/// How long a lattice may take to say whose a time is.
const CLAIM: Duration = Duration::from_secs(5);

/// The provider.
pub struct Timer {
    config: ConfigMap,
    links: Mutex<HashMap<LinkId, RunningLink>>,
    /// Links that were replaced, until their calls have ended.
    ending: TaskTracker,
}

/// A link, and the task that calls its component. Dropped, it ends at once.
struct RunningLink {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Timer {
    /// A provider with this configuration of its own, which is the default of its links.
    pub fn new(config: ConfigMap) -> Self {
        Self {
            config,
            links: Mutex::default(),
            ending: TaskTracker::new(),
        }
    }
}

impl RunningLink {
    fn start(link: &Link, config: Config, client: Client, once: Option<Once>) -> Self {
        let stop = CancellationToken::new();
        let jobs = Jobs {
            component: link.component.clone(),
            link: link.name.clone(),
            config,
            client,
            once,
        };
        let task = tokio::spawn(Arc::new(jobs).run(stop.clone()));
        Self {
            stop,
            task: AbortOnDropHandle::new(task),
        }
    }

    /// Calls nothing any more, and waits for the calls under way, at most `grace`.
    async fn stop(self, grace: Duration) {
        self.stop.cancel();
        _ = timeout(grace, self.task).await;
    }
}

#[async_trait::async_trait]
impl Provider for Timer {
    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        let (config, problems) = config::read(&self.config, &link.config);
        if !problems.is_empty() {
            return Err(ProviderError(describe(&problems)));
        }
        let (client, once) = match &link.peer {
            Peer::Callee(callee) => (Client::of(callee), Once::of(callee)),
            Peer::Importer(_) | Peer::Http(_) => (None, None),
        };
        let client = client.ok_or_else(|| {
            let component = &link.component;
            ProviderError(format!(
                "`{component}` exports no `wasmcloud:cron/scheduler`, which a timer calls"
            ))
        })?;
        let running = RunningLink::start(&link, config, client, once);
        let before = self.links.lock().await.insert(link.id, running);
        if let Some(before) = before {
            // Its calls go on beside the new link's times.
            self.ending.spawn(before.stop(REPLACED));
        }
        Ok(())
    }

    async fn link_deleted(&self, id: LinkId, grace: Duration) {
        let gone = self.links.lock().await.remove(&id);
        if let Some(gone) = gone {
            gone.stop(grace).await;
        }
    }

    async fn shutdown(&self, grace: Duration) {
        let all = std::mem::take(&mut *self.links.lock().await);
        let mut stopping: JoinSet<()> = all.into_values().map(|link| link.stop(grace)).collect();
        self.ending.close();
        let ending = timeout(grace, self.ending.wait());
        let (_, ()) = tokio::join!(ending, async {
            while stopping.join_next().await.is_some() {}
        });
    }
}

/// The jobs of a link.
struct Jobs {
    component: String,
    link: String,
    config: Config,
    client: Client,
    /// Decides whose a time is, on a lattice.
    once: Option<Once>,
}

/// When a job is due, and whether it is being called.
struct JobState {
    job: usize,
    due: Timestamp,
    is_called: Arc<AtomicBool>,
}

impl Jobs {
    /// Calls the jobs when they are due, until it is stopped and the calls have ended.
    async fn run(self: Arc<Self>, stop: CancellationToken) {
        let began = Timestamp::now();
        let jobs = self.config.jobs.iter().enumerate();
        let mut states: Vec<_> = jobs
            .filter_map(|(job, Job { schedule, .. })| {
                Some(JobState {
                    job,
                    due: schedule.next(began, began)?,
                    is_called: Arc::default(),
                })
            })
            .collect();
        let mut calls = JoinSet::new();
        while let Some(first) = states.iter().map(|state| state.due).min() {
            let now = Timestamp::now();
            if first > now {
                let wait = Duration::try_from(first.duration_since(now)).unwrap_or(LOOK);
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = sleep(wait.min(LOOK)) => continue,
                    Some(_) = calls.join_next() => continue,
                }
            }
            for state in states.iter_mut().filter(|state| state.due <= now) {
                self.clone().due(state, &mut calls);
                let schedule = &self.config.jobs[state.job].schedule;
                match schedule.next(state.due, now) {
                    // Each time has one call.
                    Some(next) => state.due = next.max(state.due),
                    None => state.due = Timestamp::MAX,
                }
            }
            if stop.is_cancelled() {
                break;
            }
        }
        while calls.join_next().await.is_some() {}
    }

    /// Begins the call of a job.
    fn due(self: Arc<Self>, state: &JobState, calls: &mut JoinSet<()>) {
        let job = state.job;
        let Self {
            component, link, ..
        } = &*self;
        let name = &self.config.jobs[job].name;
        if state.is_called.load(Ordering::Acquire) && !self.config.overlap {
            tracing::warn!(
                component,
                link,
                job = name,
                "a time was left out: the last call has not ended"
            );
            return;
        }
        // Jobs that do not overlap are as many as there are.
        if self.config.overlap && calls.len() >= CALLS {
            tracing::warn!(
                component,
                link,
                job = name,
                "a time was left out: {CALLS} calls have not ended"
            );
            return;
        }
        let is_called = state.is_called.clone();
        is_called.store(true, Ordering::Release);
        let moment = self.config.jobs[job].schedule.moment(state.due);
        calls.spawn(async move {
            if self.is_ours(job, moment).await {
                self.call(job).await;
            }
            is_called.store(false, Ordering::Release);
        });
    }

    /// Whether a job's time is called by this host.
    async fn is_ours(&self, job: usize, moment: u64) -> bool {
        let Some(once) = self.once.as_ref().filter(|_| self.config.once) else {
            return true;
        };
        let Self {
            component, link, ..
        } = self;
        let name = &self.config.jobs[job].name;
        let deadline = Instant::now() + CLAIM;
        // Two jobs may have one name.
        match once.claim(&format!("{job} {name}"), moment, deadline).await {
            Ok(is_ours) => is_ours,
            Err(why) => {
                tracing::warn!(
                    component,
                    link,
                    job = name,
                    "a time was left out: whose it is cannot be known: {why}"
                );
                false
            }
        }
    }

    async fn call(&self, job: usize) {
        let Self {
            component, link, ..
        } = self;
        let Job { name, payload, .. } = &self.config.jobs[job];
        let context = CallContext {
            deadline: Instant::now() + self.config.timeout,
            trace: None,
        };
        match self.client.invoke(context, payload.clone()).await {
            Ok(Ok(())) => tracing::debug!(component, link, job = name, "called"),
            Ok(Err(why)) => {
                tracing::warn!(component, link, job = name, "the component refused: {why}");
            }
            Err(why) => tracing::warn!(component, link, job = name, "the call failed: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;

    use tokio::sync::{Notify, Semaphore};
    use withe_provider::{BoxFuture, CallError, CallTarget, Callee, FunctionName, Payload};

    use super::*;

    /// Notes the payloads it is called with; each call takes a permit.
    struct Component {
        called: StdMutex<Vec<Vec<u8>>>,
        news: Notify,
        may_answer: Semaphore,
    }

    impl CallTarget for Component {
        fn call(
            &self,
            _: usize,
            params: Payload,
            _: CallContext,
        ) -> BoxFuture<'_, Result<Payload, CallError>> {
            let (payload,): (Vec<u8>,) = params.read().unwrap();
            self.called.lock().unwrap().push(payload);
            self.news.notify_one();
            Box::pin(async {
                self.may_answer.acquire().await.unwrap().forget();
                Ok(Payload::of(&(Ok::<(), String>(()),)))
            })
        }
    }

    fn component(answers: usize) -> Arc<Component> {
        Arc::new(Component {
            called: StdMutex::default(),
            news: Notify::new(),
            may_answer: Semaphore::new(answers),
        })
    }

    fn link(component: &Arc<Component>, config: &[(&str, &str)]) -> Link {
        let functions = [FunctionName {
            interface: "wasmcloud:cron/scheduler@0.1.0".into(),
            function: "invoke".into(),
        }];
        Link {
            id: LinkId(1),
            name: "default".into(),
            application: "app".into(),
            component: "c".into(),
            config: config
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
            peer: Peer::Callee(Callee::new(functions.into(), component.clone())),
        }
    }

    async fn until(component: &Component, calls: usize) {
        let enough = async {
            while component.called.lock().unwrap().len() < calls {
                component.news.notified().await;
            }
        };
        timeout(Duration::from_secs(60), enough).await.unwrap();
    }

    #[tokio::test]
    async fn a_component_is_called_again_and_again() {
        let (timer, component) = (Timer::new(ConfigMap::new()), component(1_000));
        let link = link(&component, &[("every", "10ms"), ("payload", "hello")]);
        timer.link_put(link).await.unwrap();
        until(&component, 3).await;
        timer.link_deleted(LinkId(1), Duration::from_secs(60)).await;
        let called = component.called.lock().unwrap().clone();
        assert!(called.iter().all(|payload| payload == b"hello"));
        // Nothing is left that could call.
        assert_eq!(Arc::strong_count(&component), 1);
    }

    #[tokio::test]
    async fn a_call_that_has_not_ended_leaves_times_out() {
        let (timer, component) = (Timer::new(ConfigMap::new()), component(0));
        timer
            .link_put(link(&component, &[("every", "10ms")]))
            .await
            .unwrap();
        until(&component, 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(component.called.lock().unwrap().len(), 1);
        component.may_answer.add_permits(1_000);
        until(&component, 2).await;
        timer.shutdown(Duration::from_secs(60)).await;
    }

    /// A component as two hosts have it, whose lattice gives each moment away once; an error if there is none.
    struct Shared {
        component: Arc<Component>,
        /// Of each job, the last moment that was given away, and how many were.
        claimed: StdMutex<Option<HashMap<String, (u64, usize)>>>,
        /// A permit for each time that the lattice was asked.
        asked: Semaphore,
    }

    impl Shared {
        fn new(component: &Arc<Component>, has_lattice: bool) -> Arc<Self> {
            Arc::new(Self {
                component: component.clone(),
                claimed: StdMutex::new(has_lattice.then(HashMap::new)),
                asked: Semaphore::new(0),
            })
        }
    }

    impl CallTarget for Shared {
        fn call(
            &self,
            function: usize,
            params: Payload,
            context: CallContext,
        ) -> BoxFuture<'_, Result<Payload, CallError>> {
            if function == 0 {
                return self.component.call(0, params, context);
            }
            let (what, moment): (String, u64) = params.read().unwrap();
            self.asked.add_permits(1);
            let mut claimed = self.claimed.lock().unwrap();
            let answer = match &mut *claimed {
                Some(claimed) => {
                    let (last, given) = claimed.entry(what).or_default();
                    let is_first = moment > *last;
                    *last = moment.max(*last);
                    *given += usize::from(is_first);
                    Ok(Payload::of(&(is_first,)))
                }
                None => Err(CallError::Unreachable("there is none".into())),
            };
            Box::pin(std::future::ready(answer))
        }
    }

    fn shared(target: &Arc<Shared>, config: &[(&str, &str)]) -> Link {
        let functions = [
            FunctionName {
                interface: "wasmcloud:cron/scheduler@0.1.0".into(),
                function: "invoke".into(),
            },
            Once::function(),
        ];
        Link {
            peer: Peer::Callee(Callee::new(functions.into(), target.clone())),
            ..link(&target.component, config)
        }
    }

    #[tokio::test]
    async fn of_two_hosts_one_calls_at_a_time() {
        let component = component(100_000);
        let target = Shared::new(&component, true);
        let hosts = [Timer::new(ConfigMap::new()), Timer::new(ConfigMap::new())];
        for host in &hosts {
            let link = shared(&target, &[("cronjobs", "a=* * * * * *:a; a=* * * * * *:b")]);
            host.link_put(link).await.unwrap();
        }
        until(&component, 6).await;
        for host in &hosts {
            host.shutdown(Duration::from_secs(60)).await;
        }
        let called = component.called.lock().unwrap();
        // Of each job, as many calls as moments were given away.
        let claimed = target.claimed.lock().unwrap();
        let claimed = claimed.as_ref().unwrap();
        assert_eq!(claimed.len(), 2);
        let of = |payload: &[u8]| called.iter().filter(|p| &***p == payload).count();
        assert_eq!(of(b"a"), claimed["0 a"].1);
        assert_eq!(of(b"b"), claimed["1 a"].1);
    }

    #[tokio::test]
    async fn a_time_whose_lattice_is_away_is_left_out_unless_each_host_calls() {
        let component = component(100_000);
        let target = Shared::new(&component, false);
        let timer = Timer::new(ConfigMap::new());
        let link = shared(&target, &[("every", "10ms")]);
        timer.link_put(link).await.unwrap();
        // Asked for the second time, it has done with the first.
        let twice = timeout(Duration::from_secs(60), target.asked.acquire_many(2)).await;
        twice.unwrap().unwrap().forget();
        assert_eq!(component.called.lock().unwrap().len(), 0);
        let link = shared(&target, &[("every", "10ms"), ("once", "host")]);
        timer.link_put(link).await.unwrap();
        until(&component, 2).await;
        timer.shutdown(Duration::from_secs(60)).await;
    }

    #[tokio::test]
    async fn calls_may_overlap_if_that_is_said() {
        let (timer, component) = (Timer::new(ConfigMap::new()), component(0));
        let settings = [("every", "10ms"), ("overlap", "true")];
        timer.link_put(link(&component, &settings)).await.unwrap();
        until(&component, 3).await;
        component.may_answer.add_permits(1_000);
        timer.shutdown(Duration::from_secs(60)).await;
    }

    #[tokio::test]
    async fn many_jobs_that_are_due_at_once_are_all_called() {
        let (timer, component) = (Timer::new(ConfigMap::new()), component(10_000));
        let jobs: String = (0..=CALLS)
            .map(|n| format!("{n}=* * * * * *:{n};"))
            .collect();
        let link = link(&component, &[("cronjobs", &jobs)]);
        timer.link_put(link).await.unwrap();
        until(&component, CALLS + 1).await;
        timer.shutdown(Duration::from_secs(60)).await;
        let called = component.called.lock().unwrap();
        assert!(called.contains(&CALLS.to_string().into_bytes()));
    }

    #[tokio::test]
    async fn shutdown_waits_for_calls_of_a_link_that_was_replaced() {
        let (timer, before) = (Timer::new(ConfigMap::new()), component(0));
        timer
            .link_put(link(&before, &[("every", "10ms")]))
            .await
            .unwrap();
        until(&before, 1).await;
        let after = component(10_000);
        timer
            .link_put(link(&after, &[("every", "10ms")]))
            .await
            .unwrap();
        until(&after, 1).await;
        let stopping = timer.shutdown(Duration::from_secs(60));
        let answering = async { before.may_answer.add_permits(1) };
        let stopped = async { tokio::join!(stopping, answering) };
        timeout(Duration::from_secs(60), stopped).await.unwrap();
        assert_eq!(Arc::strong_count(&before), 1);
    }

    #[tokio::test]
    async fn shutdown_waits_for_the_call_under_way_and_not_for_ever() {
        let (timer, component) = (Timer::new(ConfigMap::new()), component(0));
        timer
            .link_put(link(&component, &[("every", "10ms")]))
            .await
            .unwrap();
        until(&component, 1).await;
        let ending = timer.link_deleted(LinkId(1), Duration::from_millis(50));
        timeout(Duration::from_secs(60), ending).await.unwrap();
        assert_eq!(component.called.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_called_is_refused() {
        let timer = Timer::new(ConfigMap::new());
        let mut none = link(&component(0), &[("every", "1s")]);
        none.peer = Peer::Importer([].into());
        let refused = timer.link_put(none).await.unwrap_err();
        assert!(
            refused.0.contains("exports no `wasmcloud:cron/scheduler`"),
            "{refused}"
        );
        let refused = timer.link_put(link(&component(0), &[])).await.unwrap_err();
        assert!(refused.0.contains("there is no time"), "{refused}");
    }
}
