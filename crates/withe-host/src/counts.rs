//! The counts of a host: of its own process, of those that serve components for it, and of its providers.
//!
//! A worker counts what its components call. The host asks for its counts over the worker's socket when somebody wants
//! to know: workers send nothing unasked. Providers count the calls of their backends. One in a process of its own tells of them
//! with its health, so that nobody waits for it here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, join_all};
use withe_linker::plan::Plan;
use withe_provider::Provider;
use withe_rpc::{
    CallContext, CallError, LinkFunction, LinkRequest, Payload, Route, ServedLink, ServedSession,
};
use withe_runtime::{Figures, Metrics, Snapshot, SnapshotError};

/// The longest that a worker may take to say what it has counted. Counts of a worker that takes longer are missing.
const ANSWER: Duration = Duration::from_secs(2);
/// The same where somebody looks at the host, who waits for all of its answer.
pub const LOOKED_AT: Duration = Duration::from_secs(1);

/// The interface of the one function of links that ask for counts.
const COUNTS: &str = "withe:counts";

/// Raised when what is answered changes.
const VERSION: u64 = 4;

/// The counts of a host. Cheap to clone; clones are one.
#[derive(Clone, Default)]
pub struct Counts {
    own: Metrics,
    workers: Arc<Mutex<Vec<Weak<Route>>>>,
    providers: Arc<Mutex<Vec<CountingProvider>>>,
}

/// A provider that runs, and its labels.
struct CountingProvider {
    application: String,
    name: String,
    provider: Weak<dyn Provider>,
}

/// How many operations of its backends a provider is believed to have. Each is a series, and a process may say anything.
const OPERATIONS: usize = 64;

impl Counts {
    /// The counts of this process.
    pub(crate) fn own(&self) -> &Metrics {
        &self.own
    }

    /// From now on what is counted at the end of `route` belongs to it, for as long as that is kept.
    pub(crate) fn add(&self, route: &Arc<Route>) {
        let mut workers = lock(&self.workers);
        workers.retain(|worker| worker.strong_count() > 0);
        workers.push(Arc::downgrade(route));
    }

    /// From now on the calls of its backends that `provider` counts belong to it, for as long as that is kept.
    pub(crate) fn add_provider(&self, application: &str, name: &str, provider: &Arc<dyn Provider>) {
        let mut providers = lock(&self.providers);
        providers.retain(|known| known.provider.strong_count() > 0);
        providers.push(CountingProvider {
            application: application.to_owned(),
            name: name.to_owned(),
            provider: Arc::downgrade(provider),
        });
    }

    /// All counts as they are now. A worker that does not answer is left out.
    pub async fn snapshot(&self) -> Snapshot {
        self.within(ANSWER).await
    }

    async fn within(&self, time: Duration) -> Snapshot {
        let mut snapshot = self.own.snapshot();
        self.add_backends(&mut snapshot);
        let workers: Vec<_> = lock(&self.workers)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        for counts in join_all(workers.iter().map(|worker| ask(worker, time))).await {
            match counts {
                Ok(counts) => snapshot.merge(counts),
                Err(why) => tracing::debug!("what a worker has counted is not known: {why}"),
            }
        }
        snapshot
    }

    /// All counts as they are now, by link and by component: at most `most` of each. They are there within about [`LOOKED_AT`].
    pub async fn figures(&self, most: usize) -> Figures {
        self.within(LOOKED_AT).await.figures(most)
    }

    fn add_backends(&self, snapshot: &mut Snapshot) {
        for known in lock(&self.providers).iter() {
            let Some(provider) = known.provider.upgrade() else {
                continue;
            };
            for count in provider.backend_calls().into_iter().take(OPERATIONS) {
                snapshot.add_backend(&known.application, &known.name, count);
            }
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while a lock is held.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why it is not known what a worker has counted.
#[derive(Debug, thiserror::Error)]
enum UnknownCounts {
    #[error(transparent)]
    NoAnswer(#[from] CallError),
    #[error(transparent)]
    Unreadable(#[from] SnapshotError),
}

async fn ask(route: &Arc<Route>, within: Duration) -> Result<Snapshot, UnknownCounts> {
    let context = CallContext {
        deadline: Instant::now() + within,
        trace: None,
    };
    let answer = route.session().call(0, Payload::default(), context).await;
    Ok(Snapshot::from_payload(&answer?)?)
}

/// Asks for the counts of a process that carries out a part of `plan`.
pub(crate) fn request(plan: &Plan) -> LinkRequest {
    LinkRequest {
        application: plan.application.clone(),
        functions: vec![LinkFunction {
            interface: COUNTS.into(),
            function: "read".into(),
            digest: VERSION,
        }],
        ..LinkRequest::default()
    }
}

/// Whether counts are asked for.
pub(crate) fn is_asked(functions: &[LinkFunction]) -> bool {
    matches!(functions, [one] if one.interface == COUNTS && one.digest == VERSION)
}

/// Answers with what is in `metrics`.
pub(crate) fn link(metrics: &Metrics) -> Arc<dyn ServedLink> {
    Arc::new(Reading(metrics.clone()))
}

struct Reading(Metrics);

impl ServedLink for Reading {
    fn session(&self) -> Arc<dyn ServedSession> {
        Arc::new(Self(self.0.clone()))
    }
}

impl ServedSession for Reading {
    fn call(
        self: Arc<Self>,
        _: usize,
        _: Payload,
        _: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move { Ok(self.0.snapshot().to_payload()) })
    }

    fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}
