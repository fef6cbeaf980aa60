//! What is counted of calls, requests and instances.
//!
//! When a graph is built it takes one place to count in for each of its links and units, and from then on a
//! call only adds to the atomics there: it locks, looks up and allocates nothing. Even so, looking at the clock
//! is much beside a call that takes half a microsecond, so of many such calls only some are timed. A place belongs to those
//! who count in it. Two graphs that have the same link, one of which takes over from the other, have the same
//! place, so that counters never go back; with the last such graph the place goes, and its series with
//! it.
//!
//! A fused link has no boundary at which anything could be counted. It is listed, so that nobody has to wonder
//! where it is.

mod snapshot;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use withe_linker::plan::Binding;
use withe_provider::{HttpError, HttpErrorKind};
use withe_rpc::{CallError, Route};

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
    /// Those of links that lead to other processes.
    routes: BTreeMap<Vec<String>, Weak<Route>>,
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

    /// Counts the replicas of a link that leads to another process, for as long as the route is kept.
    pub(crate) fn route(&self, labels: &LinkLabels<'_>, route: &Arc<Route>) {
        let mut labels = labels.values();
        // It is the same for all interfaces, and for others if it is bound anew.
        labels.truncate(4);
        let routes = &mut self.lock().routes;
        routes.retain(|_, route| route.strong_count() > 0);
        routes.insert(labels, Arc::downgrade(route));
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
        for (labels, route) in live(&places.routes) {
            let replicas = route.replicas() as u64;
            snapshot.add(Family::LinkReplicas, labels, &[], vec![replicas]);
            let brokered = route.brokered() as u64;
            snapshot.add(Family::LinkBrokered, labels, &[], vec![brokered]);
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

impl LinkPlace {
    /// Counts a call that began at `began` with so many bytes of parameters.
    pub(crate) fn call(&self, began: Instant, sent: usize) -> CountedCall<'_> {
        CountedCall {
            place: self,
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
        // Mostly it is what it was, and whoever else counts here has it at hand.
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

/// So many calls over a link are all timed.
const ALL_TIMED: u64 = 1024;

/// Of those behind them one in so many is, as long as they take no longer than [`LONG`].
const ONE_TIMED_OF: u64 = 16;

/// Beside a call that takes longer than this, timing it is nothing.
const LONG: Duration = Duration::from_micros(10);

/// A call under way. How it ended is counted when this is dropped: that its caller gave it up, unless it ended
/// before.
pub(crate) struct CountedCall<'a> {
    place: &'a LinkPlace,
    began: Instant,
    /// See [`LinkPlace::weight`].
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
        let place = self.place;
        if self.weight > 0 {
            place.took(self.began.elapsed(), self.weight);
        }
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
        self.place.durations.add(self.began.elapsed(), 1);
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
    /// Adds one that stands for `weight` of them.
    fn add(&self, took: Duration, weight: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // Those that are called most take least.
        let bucket = BOUNDS.iter().position(|bound| nanos <= *bound);
        self.buckets[bucket.unwrap_or(BOUNDS.len())].fetch_add(weight, Ordering::Relaxed);
        let all = nanos.saturating_mul(weight);
        self.nanos.fetch_add(all, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
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
    fn durations_fall_into_the_bucket_of_their_bound() {
        let durations = Durations::default();
        for nanos in [0, 500, 501, BOUNDS[18], BOUNDS[18] + 1] {
            durations.add(Duration::from_nanos(nanos), 1);
        }
        let read = durations.read();
        assert_eq!((read[0], read[1], read[18], read[19]), (2, 1, 1, 1));
        assert_eq!(read[20], 500 + 501 + 2 * BOUNDS[18] + 1);
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn of_many_short_calls_one_is_timed_for_all() {
        let place = LinkPlace::default();
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
        assert_eq!(place.durations.read()[BOUNDS.len() + 1], 16 * 400);

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
        // Labels are forgotten, too, when the next place is made.
        let _next = metrics.link(&labels("next", Binding::Host));
        assert_eq!(metrics.lock().links.len(), 1);
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
