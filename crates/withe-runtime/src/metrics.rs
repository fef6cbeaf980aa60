//! What is counted of calls, requests and instances.
//!
//! When a graph is built it takes one place to count in for each of its links and units, and from then on a
//! call only adds to the atomics there: it locks, looks up and allocates nothing. A place belongs to those
//! who count in it. Two graphs that have the same link, one of which takes over from the other, have the same
//! place, so that counters never go back; with the last such graph the place goes, and its series with
//! it.
//!
//! A fused link has no boundary at which anything could be counted. It is listed, so that nobody has to wonder
//! where it is.

mod snapshot;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use withe_linker::plan::Binding;
use withe_provider::{HttpError, HttpErrorKind};
use withe_rpc::CallError;

use snapshot::Family;
pub use snapshot::{Snapshot, SnapshotError};

/// All that is counted in one process. Cheap to clone; clones are one.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<Places>>);

/// The places by their labels.
#[derive(Default)]
struct Places {
    links: BTreeMap<Vec<String>, Weak<LinkPlace>>,
    fused: BTreeMap<Vec<String>, Weak<Listed>>,
    units: BTreeMap<Vec<String>, Weak<UnitPlace>>,
}

/// Which link, and which of the interfaces that it carries.
pub(crate) struct LinkLabels<'a> {
    pub(crate) application: &'a str,
    pub(crate) source: &'a str,
    pub(crate) target: &'a str,
    pub(crate) name: &'a str,
    /// `namespace:package/interface`, or the name of a function of the world.
    pub(crate) interface: &'a str,
    pub(crate) binding: Binding,
}

impl LinkLabels<'_> {
    fn values(&self) -> Vec<String> {
        let binding = binding_name(self.binding);
        [
            self.application,
            self.source,
            self.target,
            self.name,
            self.interface,
            binding,
        ]
        .map(str::to_owned)
        .into()
    }
}

/// A binding, as metrics and traces name it.
pub(crate) fn binding_name(binding: Binding) -> &'static str {
    match binding {
        Binding::Fused => "fused",
        Binding::Local => "local",
        Binding::Host => "host",
        Binding::Unix => "unix",
        Binding::Tcp => "tcp",
        Binding::Nats => "nats",
    }
}

impl Metrics {
    /// The place of a link that is not fused.
    pub(crate) fn link(&self, labels: &LinkLabels<'_>) -> Arc<LinkPlace> {
        place(&mut self.lock().links, labels.values())
    }

    /// Lists a fused link for as long as what this returns is kept.
    pub(crate) fn fused(&self, labels: &LinkLabels<'_>) -> Arc<Listed> {
        place(&mut self.lock().fused, labels.values())
    }

    /// The place of a unit.
    pub(crate) fn unit(&self, application: &str, component: &str) -> Arc<UnitPlace> {
        let labels = vec![application.to_owned(), component.to_owned()];
        place(&mut self.lock().units, labels)
    }

    /// All counts as they are now.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let places = self.lock();
        for (labels, link) in live(&places.links) {
            link.read(labels, &mut snapshot);
        }
        for (labels, _) in live(&places.fused) {
            snapshot.add(Family::LinkInfo, labels, &[], vec![1]);
        }
        for (labels, unit) in live(&places.units) {
            unit.read(labels, &mut snapshot);
        }
        snapshot
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Places> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place with these labels, made if nobody has it. Those that are gone are forgotten, so that there are
/// never more than there were at once.
fn place<T: Default>(places: &mut BTreeMap<Vec<String>, Weak<T>>, labels: Vec<String>) -> Arc<T> {
    if let Some(place) = places.get(&labels).and_then(Weak::upgrade) {
        return place;
    }
    places.retain(|_, place| place.strong_count() > 0);
    let place = Arc::new(T::default());
    places.insert(labels, Arc::downgrade(&place));
    place
}

/// The places that somebody has.
fn live<T>(places: &BTreeMap<Vec<String>, Weak<T>>) -> impl Iterator<Item = (&[String], Arc<T>)> {
    places
        .iter()
        .filter_map(|(labels, place)| Some((labels.as_slice(), place.upgrade()?)))
}

/// A fused link, listed.
#[derive(Default)]
pub(crate) struct Listed;

/// What is counted of a link.
#[derive(Default)]
pub(crate) struct LinkPlace {
    durations: Durations,
    errors: [AtomicU64; ERROR_KINDS.len()],
    sent: AtomicU64,
    received: AtomicU64,
}

/// How a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    Trap,
    Deadline,
    Unreachable,
    Unlinked,
    TypeMismatch,
    Exhausted,
    Refused,
    /// Its caller went away, or gave up.
    Cancelled,
}

/// How each is called, in their order.
const ERROR_KINDS: [&str; 8] = [
    "trap",
    "deadline",
    "unreachable",
    "unlinked",
    "type-mismatch",
    "exhausted",
    "refused",
    "cancelled",
];

impl ErrorKind {
    pub(crate) fn name(self) -> &'static str {
        ERROR_KINDS[self as usize]
    }
}

impl From<&CallError> for ErrorKind {
    fn from(error: &CallError) -> Self {
        match error {
            CallError::Trap(_) => Self::Trap,
            CallError::Deadline => Self::Deadline,
            CallError::Unreachable(_) => Self::Unreachable,
            CallError::Unlinked(_) => Self::Unlinked,
            CallError::TypeMismatch(_) => Self::TypeMismatch,
            CallError::Exhausted(_) => Self::Exhausted,
            CallError::Refused(_) => Self::Refused,
        }
    }
}

impl From<&HttpError> for ErrorKind {
    fn from(error: &HttpError) -> Self {
        match error.kind {
            HttpErrorKind::Dns
            | HttpErrorKind::ConnectionRefused
            | HttpErrorKind::ConnectionTerminated
            | HttpErrorKind::Tls => Self::Unreachable,
            HttpErrorKind::ConnectionTimeout
            | HttpErrorKind::ResponseTimeout
            | HttpErrorKind::Deadline => Self::Deadline,
            HttpErrorKind::Denied => Self::Refused,
            HttpErrorKind::InvalidRequest | HttpErrorKind::Protocol => Self::TypeMismatch,
            HttpErrorKind::Exhausted => Self::Exhausted,
            HttpErrorKind::Handler | HttpErrorKind::Internal => Self::Trap,
        }
    }
}

impl LinkPlace {
    /// Counts a call that began at `began` with so many bytes of parameters.
    pub(crate) fn call(&self, began: Instant, sent: usize) -> CountedCall<'_> {
        CountedCall {
            place: self,
            began,
            sent,
            received: 0,
            error: Some(ErrorKind::Cancelled),
        }
    }

    fn read(&self, labels: &[String], snapshot: &mut Snapshot) {
        let durations = self.durations.read();
        let calls = Durations::count(&durations);
        snapshot.add(Family::LinkInfo, labels, &[], vec![1]);
        snapshot.add(Family::LinkCalls, labels, &[], vec![calls]);
        snapshot.add(Family::LinkDuration, labels, &[], durations);
        for (kind, errors) in ERROR_KINDS.iter().zip(&self.errors) {
            let errors = errors.load(Ordering::Relaxed);
            if errors > 0 {
                snapshot.add(Family::LinkErrors, labels, &[kind], vec![errors]);
            }
        }
        for (family, bytes) in [
            (Family::LinkSent, &self.sent),
            (Family::LinkReceived, &self.received),
        ] {
            snapshot.add(family, labels, &[], vec![bytes.load(Ordering::Relaxed)]);
        }
    }
}

/// A call under way. It is counted when this is dropped: as one that its caller gave up, unless it ended
/// before.
pub(crate) struct CountedCall<'a> {
    place: &'a LinkPlace,
    began: Instant,
    sent: usize,
    received: usize,
    error: Option<ErrorKind>,
}

impl CountedCall<'_> {
    /// The call ended, with so many bytes of results.
    pub(crate) fn ended(mut self, error: Option<ErrorKind>, received: usize) {
        self.error = error;
        self.received = received;
    }
}

impl Drop for CountedCall<'_> {
    fn drop(&mut self) {
        let place = self.place;
        place.durations.add(self.began.elapsed());
        place.sent.fetch_add(self.sent as u64, Ordering::Relaxed);
        match self.error {
            Some(kind) => place.errors[kind as usize].fetch_add(1, Ordering::Relaxed),
            None => place
                .received
                .fetch_add(self.received as u64, Ordering::Relaxed),
        };
    }
}

/// What is counted of a unit.
#[derive(Default)]
pub(crate) struct UnitPlace {
    instances: AtomicU64,
    requests: [AtomicU64; STATUSES.len()],
    durations: Durations,
}

/// What the label `status` of requests may be.
const STATUSES: [&str; 6] = ["failed", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl UnitPlace {
    /// Counts an instance for as long as what this returns is kept.
    pub(crate) fn instance(self: &Arc<Self>) -> LiveInstance {
        self.instances.fetch_add(1, Ordering::Relaxed);
        LiveInstance(self.clone())
    }

    /// Counts an HTTP request that began at `began`.
    pub(crate) fn request(&self, began: Instant) -> CountedRequest<'_> {
        CountedRequest {
            place: self,
            began,
            class: 0,
        }
    }

    fn read(&self, labels: &[String], snapshot: &mut Snapshot) {
        let instances = self.instances.load(Ordering::Relaxed);
        snapshot.add(Family::Units, &labels[..1], &[], vec![1]);
        snapshot.add(Family::Instances, labels, &[], vec![instances]);
        let durations = self.durations.read();
        if Durations::count(&durations) == 0 {
            return;
        }
        snapshot.add(Family::HttpDuration, labels, &[], durations);
        for (status, requests) in STATUSES.iter().zip(&self.requests) {
            let requests = requests.load(Ordering::Relaxed);
            if requests > 0 {
                snapshot.add(Family::HttpRequests, labels, &[status], vec![requests]);
            }
        }
    }
}

/// An instance that is counted.
pub(crate) struct LiveInstance(Arc<UnitPlace>);

impl Drop for LiveInstance {
    fn drop(&mut self) {
        self.0.instances.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that waits for its answer. It is counted when this is dropped: as one that got none, unless it
/// was answered before.
pub(crate) struct CountedRequest<'a> {
    place: &'a UnitPlace,
    began: Instant,
    /// The place of its status among [`STATUSES`].
    class: usize,
}

impl CountedRequest<'_> {
    /// The head of the response is there.
    pub(crate) fn answered(mut self, status: http::StatusCode) {
        self.class = usize::from(status.as_u16() / 100);
    }
}

impl Drop for CountedRequest<'_> {
    fn drop(&mut self) {
        // A status of more than 599 has no class.
        if let Some(count) = self.place.requests.get(self.class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.place.durations.add(self.began.elapsed());
    }
}

/// The upper bounds of a histogram's buckets, in nanoseconds: three in each power of ten, from what an
/// add over `local` takes to what a default timeout allows.
const BOUNDS: [u64; 19] = [
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

/// A histogram of durations.
#[derive(Default)]
struct Durations {
    /// One for each bound, and one for what is above.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Durations {
    fn add(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // Those that are called most take least.
        let bucket = BOUNDS.iter().position(|bound| nanos <= *bound);
        self.buckets[bucket.unwrap_or(BOUNDS.len())].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The buckets, and then the sum.
    fn read(&self) -> Vec<u64> {
        let all = self.buckets.iter().chain([&self.nanos]);
        all.map(|value| value.load(Ordering::Relaxed)).collect()
    }

    fn count(read: &[u64]) -> u64 {
        read[..=BOUNDS.len()].iter().sum()
    }
}
