//! Counts calls, requests and instances.
//!
//! When a graph is built it gets counts for each of its links and units, and from then on a call only adds to the
//! atomics there: it locks, looks up and allocates nothing. Even so, looking at the clock is much beside a call that takes
//! half a microsecond, so of many such calls only some are timed. Counts belong to those who count. Two graphs that
//! have the same link, one of which takes over from the other, have the same counts, so that counters never go back;
//! with the last such graph the counts go, and their series with them.
//!
//! A fused link has no boundary at which anything could be counted. The link is listed, so that nobody has to wonder
//! where it is.

mod figures;
pub(crate) mod labels;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use withe_provider::{BlobError, BlobErrorKind, Durations, HttpError, HttpErrorKind};
use withe_rpc::{CallError, Route};

use crate::quota::{Resource, ShareLevel};
pub use figures::{ComponentFigures, DurationFigures, Figures, LinkFigures};
pub(crate) use labels::LinkLabels;
use snapshot::Family;
pub use snapshot::{Snapshot, SnapshotError};

/// All that is counted in one process. Cheap to clone; clones are one.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<Registered>>);

/// The counts in use, by their labels.
#[derive(Default)]
struct Registered {
    links: ByLabels<LinkCounts>,
    fused: ByLabels<Listed>,
    units: ByLabels<UnitCounts>,
    /// The routes of links that lead to other processes.
    routes: ByLabels<Route>,
    /// The shares, at each level.
    levels: ByLabels<ShareLevel>,
}

/// Weak references to counts that others hold, by their labels. Entries that nobody holds are removed now and then, so
/// that there are never more than twice as many as were held at once, and registering costs the same however many there
/// are.
struct ByLabels<T> {
    all: BTreeMap<Vec<String>, Weak<T>>,
    /// The number of entries at which unheld ones are looked for.
    look_at: usize,
}

/// Unheld entries are not looked for among fewer than these.
const FEW: usize = 16;

impl<T> Default for ByLabels<T> {
    fn default() -> Self {
        Self {
            all: BTreeMap::new(),
            look_at: FEW,
        }
    }
}

impl<T> ByLabels<T> {
    fn put(&mut self, labels: Vec<String>, value: &Arc<T>) {
        if self.all.len() >= self.look_at {
            self.all.retain(|_, value| value.strong_count() > 0);
            self.look_at = (2 * self.all.len()).max(FEW);
        }
        self.all.insert(labels, Arc::downgrade(value));
    }

    /// The value with these labels, made if nobody holds it.
    fn get(&mut self, labels: Vec<String>) -> Arc<T>
    where
        T: Default,
    {
        if let Some(value) = self.all.get(&labels).and_then(Weak::upgrade) {
            return value;
        }
        let value = Arc::new(T::default());
        self.put(labels, &value);
        value
    }

    /// The values that somebody holds.
    fn live(&self) -> impl Iterator<Item = (&[String], Arc<T>)> {
        let all = self.all.iter();
        all.filter_map(|(labels, value)| Some((labels.as_slice(), value.upgrade()?)))
    }
}

impl Metrics {
    /// The counts of a link that is not fused.
    pub(crate) fn link(&self, labels: &LinkLabels<'_>) -> Arc<LinkCounts> {
        self.lock().links.get(labels.values())
    }

    /// Counts the replicas of a link that leads to another process, for as long as the route is kept.
    pub(crate) fn route(&self, labels: &LinkLabels<'_>, route: &Arc<Route>) {
        let mut labels = labels.values();
        // The route is the same for all interfaces, and for all bindings of the link.
        labels.truncate(4);
        self.lock().routes.put(labels, route);
    }

    /// Lists a fused link for as long as what this returns is kept.
    pub(crate) fn fused(&self, labels: &LinkLabels<'_>) -> Arc<Listed> {
        self.lock().fused.get(labels.values())
    }

    /// The counts of a unit.
    pub(crate) fn unit(&self, application: &str, component: &str) -> Arc<UnitCounts> {
        let labels = vec![application.to_owned(), component.to_owned()];
        self.lock().units.get(labels)
    }

    /// Counts what a component, an application or the host has of what is shared, as long as it is kept. `of` are the
    /// application's name and the component's, as far as it has any.
    pub(crate) fn level(&self, of: &[&str], level: &Arc<ShareLevel>) {
        let names = of.iter().copied().chain(["", ""]).take(2);
        let labels = [level.scope.name()].into_iter().chain(names);
        let labels = labels.map(str::to_owned).collect();
        self.lock().levels.put(labels, level);
    }

    /// All counts as they are now.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let registered = self.lock();
        for (labels, link) in registered.links.live() {
            link.read(labels, &mut snapshot);
        }
        for (labels, _) in registered.fused.live() {
            snapshot.add(Family::LinkInfo, labels, &[], vec![1]);
        }
        for (labels, unit) in registered.units.live() {
            unit.read(labels, &mut snapshot);
        }
        for (labels, route) in registered.routes.live() {
            let replicas = route.replicas() as u64;
            snapshot.add(Family::LinkReplicas, labels, &[], vec![replicas]);
            let brokered = route.brokered() as u64;
            snapshot.add(Family::LinkBrokered, labels, &[], vec![brokered]);
        }
        for (labels, level) in registered.levels.live() {
            for resource in Resource::ALL {
                let name = [resource.name()];
                for (family, count) in [
                    (Family::ShareUsed, level.used(resource)),
                    (Family::ShareLimit, level.most(resource)),
                    (Family::ShareRefused, level.refused(resource)),
                ] {
                    snapshot.add(family, labels, &name, vec![count]);
                }
            }
        }
        snapshot
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Registered> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fused link, listed.
#[derive(Default)]
pub(crate) struct Listed;

/// The counts of a link.
#[derive(Default)]
pub(crate) struct LinkCounts {
    calls: AtomicU64,
    /// Whether the call that was timed last took long.
    is_long: AtomicBool,
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

impl From<&BlobError> for ErrorKind {
    fn from(error: &BlobError) -> Self {
        match error.kind {
            BlobErrorKind::Deadline => Self::Deadline,
            BlobErrorKind::Unavailable => Self::Unreachable,
            BlobErrorKind::Exhausted => Self::Exhausted,
            BlobErrorKind::NotFound
            | BlobErrorKind::Invalid
            | BlobErrorKind::Denied
            | BlobErrorKind::Incomplete => Self::Refused,
            BlobErrorKind::Internal => Self::Trap,
        }
    }
}

impl LinkCounts {
    /// Counts a call that began at `began` with so many bytes of parameters.
    pub(crate) fn call(&self, began: Instant, sent: usize) -> CountedCall<'_> {
        CountedCall {
            counts: self,
            began,
            weight: self.weight(self.calls.fetch_add(1, Ordering::Relaxed)),
            sent,
            received: 0,
            error: Some(ErrorKind::Cancelled),
        }
    }

    /// For how many calls the one stands that came after `before` others, among the durations; 0 if it is
    /// not timed.
    fn weight(&self, before: u64) -> u64 {
        if before < ALL_TIMED || self.is_long.load(Ordering::Relaxed) {
            1
        } else if before.is_multiple_of(ONE_TIMED_OF) {
            ONE_TIMED_OF
        } else {
            0
        }
    }

    /// A call took so long that stands for so many.
    fn took(&self, took: Duration, weight: u64) {
        self.durations.add(took, weight);
        let is_long = took > LONG;
        // The flag rarely changes; writing it would cost others that count here their cached copy.
        if self.is_long.load(Ordering::Relaxed) != is_long {
            self.is_long.store(is_long, Ordering::Relaxed);
        }
    }

    fn read(&self, labels: &[String], snapshot: &mut Snapshot) {
        let durations = self.durations.read();
        let calls = self.calls.load(Ordering::Relaxed);
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

/// The number of calls over a link up to which all are timed.
const ALL_TIMED: u64 = 1024;

/// Of those behind them one in so many is, as long as they take no longer than [`LONG`].
const ONE_TIMED_OF: u64 = 16;

/// Beside a call that takes longer than this, timing it is nothing.
const LONG: Duration = Duration::from_micros(10);

/// A call under way. How it ended is counted when this is dropped: that its caller gave it up, unless it ended
/// before.
pub(crate) struct CountedCall<'a> {
    counts: &'a LinkCounts,
    began: Instant,
    /// See [`LinkCounts::weight`].
    weight: u64,
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
        let counts = self.counts;
        if self.weight > 0 {
            counts.took(self.began.elapsed(), self.weight);
        }
        counts.sent.fetch_add(self.sent as u64, Ordering::Relaxed);
        match self.error {
            Some(kind) => counts.errors[kind as usize].fetch_add(1, Ordering::Relaxed),
            None => counts
                .received
                .fetch_add(self.received as u64, Ordering::Relaxed),
        };
    }
}

/// The counts of a unit.
#[derive(Default)]
pub(crate) struct UnitCounts {
    instances: AtomicU64,
    requests: [AtomicU64; STATUSES.len()],
    durations: Durations,
}

/// The values of the label `status` of requests.
const STATUSES: [&str; 6] = ["failed", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl UnitCounts {
    /// Counts an instance for as long as what this returns is kept.
    pub(crate) fn instance(self: &Arc<Self>) -> LiveInstance {
        self.instances.fetch_add(1, Ordering::Relaxed);
        LiveInstance(self.clone())
    }

    /// Counts an HTTP request that began at `began`.
    pub(crate) fn request(&self, began: Instant) -> CountedRequest<'_> {
        CountedRequest {
            counts: self,
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
pub(crate) struct LiveInstance(Arc<UnitCounts>);

impl Drop for LiveInstance {
    fn drop(&mut self) {
        self.0.instances.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that waits for its answer. Dropping this counts the request: as one without an answer, unless it was
/// answered before.
pub(crate) struct CountedRequest<'a> {
    counts: &'a UnitCounts,
    began: Instant,
    /// The index of its status among [`STATUSES`].
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
        if let Some(count) = self.counts.requests.get(self.class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.counts.durations.add(self.began.elapsed(), 1);
    }
}

#[cfg(test)]
mod tests {
    use withe_linker::plan::Binding;

    use super::*;

    fn labels<'a>(target: &'a str, binding: Binding) -> LinkLabels<'a> {
        LinkLabels {
            application: "shop",
            source: "cart",
            target,
            name: "default",
            interface: "shop:api/prices",
            binding,
        }
    }

    /// The value of the one line that begins with `name` and has `label`.
    fn value(text: &str, name: &str, label: &str) -> Option<f64> {
        let mut lines = text
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(label));
        let value = lines.next()?.rsplit(' ').next()?.parse().ok();
        assert_eq!(lines.next(), None, "several of {name} {label}");
        value
    }

    fn text(metrics: &Metrics) -> String {
        metrics.snapshot().to_text().unwrap()
    }

    #[test]
    fn calls_are_counted_with_their_bytes_and_how_they_failed() {
        let metrics = Metrics::default();
        let link = metrics.link(&labels("prices", Binding::Local));
        let now = Instant::now();
        link.call(now, 10).ended(None, 100);
        let trap = CallError::Trap("unreachable".into());
        link.call(now, 10).ended(Some(ErrorKind::from(&trap)), 0);
        // Its caller went away.
        drop(link.call(now, 10));

        let text = text(&metrics);
        for (name, label, expected) in [
            ("withe_link_calls_total", "prices", 3.0),
            ("withe_link_errors_total", "kind=\"trap\"", 1.0),
            ("withe_link_errors_total", "kind=\"cancelled\"", 1.0),
            ("withe_link_sent_bytes_total", "prices", 30.0),
            ("withe_link_received_bytes_total", "prices", 100.0),
            ("withe_link_call_duration_seconds_count", "prices", 3.0),
            ("withe_link_call_duration_seconds_bucket", "+Inf", 3.0),
            ("withe_link_info", "binding=\"local\"", 1.0),
        ] {
            assert_eq!(
                value(&text, name, label),
                Some(expected),
                "{name} {label}: {text}"
            );
        }
        assert!(!text.contains("kind=\"deadline\""), "{text}");
    }

    #[test]
    fn every_kind_of_error_has_its_own_name() {
        let text = String::new;
        let errors = [
            CallError::Trap(text()),
            CallError::Deadline,
            CallError::Unreachable(text()),
            CallError::Unlinked(text()),
            CallError::TypeMismatch(text()),
            CallError::Exhausted(text()),
            CallError::Refused(text()),
        ];
        let mut names: Vec<_> = errors.iter().map(|e| ErrorKind::from(e).name()).collect();
        names.push(ErrorKind::Cancelled.name());
        assert_eq!(names, ERROR_KINDS);
    }

    #[test]
    fn of_many_short_calls_one_is_timed_for_all() {
        let place = LinkCounts::default();
        let short = Duration::from_nanos(400);
        let timed = |calls: std::ops::Range<u64>| {
            let weights: Vec<_> = calls.map(|before| place.weight(before)).collect();
            let timed = weights.iter().filter(|weight| **weight > 0).count();
            (timed, weights.iter().sum::<u64>())
        };
        assert_eq!(timed(0..ALL_TIMED), (1024, 1024));
        assert_eq!(timed(ALL_TIMED..ALL_TIMED + 160), (10, 160));
        place.took(short, 16);
        assert_eq!(Durations::count(&place.durations.read()), 16);
        assert_eq!(
            place.durations.read()[Durations::BOUNDS.len() + 1],
            16 * 400
        );

        place.took(LONG * 2, 16);
        assert_eq!(timed(ALL_TIMED..ALL_TIMED + 160), (160, 160));
        place.took(short, 1);
        assert_eq!(timed(ALL_TIMED..ALL_TIMED + 160), (10, 160));
    }

    #[test]
    fn what_counts_the_same_counts_in_one_place_and_takes_it_along_when_it_goes() {
        let metrics = Metrics::default();
        let before = metrics.link(&labels("prices", Binding::Local));
        before.call(Instant::now(), 0).ended(None, 0);
        let after = metrics.link(&labels("prices", Binding::Local));
        let other = metrics.link(&labels("stock", Binding::Unix));
        drop(before);
        after.call(Instant::now(), 0).ended(None, 0);
        let both = text(&metrics);
        assert_eq!(
            value(&both, "withe_link_calls_total", "target=\"prices\""),
            Some(2.0)
        );
        assert_eq!(
            value(&both, "withe_link_calls_total", "target=\"stock\""),
            Some(0.0)
        );
        drop(after);
        let one = text(&metrics);
        assert!(!one.contains("target=\"prices\""), "{one}");
        drop(other);
        assert_eq!(text(&metrics), "");
        // Labels are forgotten, too, when there are many more.
        for i in 0..10 * FEW {
            metrics.link(&labels(&format!("{i}"), Binding::Host));
        }
        let known = metrics.lock().links.all.len();
        assert!(known <= FEW + 1, "{known} of links that are gone");
    }

    #[test]
    fn fused_links_are_listed_and_have_no_counts() {
        let metrics = Metrics::default();
        let _listed = metrics.fused(&labels("prices", Binding::Fused));
        let text = text(&metrics);
        assert_eq!(
            value(&text, "withe_link_info", "binding=\"fused\""),
            Some(1.0)
        );
        assert!(!text.contains("withe_link_calls_total{"), "{text}");
    }

    #[test]
    fn units_have_instances_and_requests_by_the_class_of_their_status() {
        let metrics = Metrics::default();
        let unit = metrics.unit("shop", "cart");
        let (one, _two) = (unit.instance(), unit.instance());
        drop(one);
        let status = |code| http::StatusCode::from_u16(code).unwrap();
        for code in [200, 204, 503, 999] {
            unit.request(Instant::now()).answered(status(code));
        }
        drop(unit.request(Instant::now()));
        let text = text(&metrics);
        for (name, label, expected) in [
            ("withe_instances", "cart", 1.0),
            ("withe_units", "shop", 1.0),
            ("withe_http_requests_total", "status=\"2xx\"", 2.0),
            ("withe_http_requests_total", "status=\"5xx\"", 1.0),
            ("withe_http_requests_total", "status=\"failed\"", 1.0),
            ("withe_http_request_duration_seconds_count", "cart", 5.0),
        ] {
            assert_eq!(
                value(&text, name, label),
                Some(expected),
                "{name} {label}: {text}"
            );
        }
    }

    #[test]
    fn counts_of_several_processes_add_up() {
        let (host, worker) = (Metrics::default(), Metrics::default());
        let links = [&host, &worker].map(|m| m.link(&labels("prices", Binding::Unix)));
        links[0].call(Instant::now(), 1).ended(None, 2);
        links[1].call(Instant::now(), 3).ended(None, 4);
        let of_worker = worker.snapshot();
        let carried = Snapshot::from_payload(&of_worker.to_payload()).unwrap();
        assert_eq!(carried, of_worker);
        let mut all = host.snapshot();
        all.merge(carried);
        let text = all.to_text().unwrap();
        for (name, expected) in [
            ("withe_link_calls_total", 2.0),
            ("withe_link_sent_bytes_total", 4.0),
            ("withe_link_received_bytes_total", 6.0),
            ("withe_link_call_duration_seconds_count", 2.0),
            ("withe_link_info", 1.0),
        ] {
            assert_eq!(
                value(&text, name, "prices"),
                Some(expected),
                "{name}: {text}"
            );
        }
    }
}
