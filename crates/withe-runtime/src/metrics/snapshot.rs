//! Counts at one time, as plain data: of one process, or added up over several, and as Prometheus reads them.

use std::collections::BTreeMap;

use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use withe_provider::{BackendCount, Durations};
use withe_rpc::{DecodeError, Payload};

/// A family of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    LinkInfo,
    LinkCalls,
    LinkErrors,
    LinkDuration,
    LinkSent,
    LinkReceived,
    LinkReplicas,
    LinkBrokered,
    HttpRequests,
    HttpDuration,
    Instances,
    Units,
    ShareUsed,
    ShareLimit,
    ShareRefused,
    BackendErrors,
    BackendDuration,
}

/// How a family's values are to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One value, which only grows.
    Counter,
    /// One value.
    Gauge,
    /// Always 1: its labels are all that it says.
    Info,
    /// Buckets, and the sum in nanoseconds.
    Seconds,
}

/// A family's name, kind, labels and meaning.
type Description = (&'static str, Kind, &'static [&'static str], &'static str);

const LINK: &[&str] = &[
    "application",
    "source",
    "target",
    "link",
    "interface",
    "binding",
];

const BACKEND: &[&str] = &["application", "provider", "backend", "operation"];

const SHARE: &[&str] = &["scope", "application", "component", "resource"];

impl Family {
    const ALL: [Self; 17] = [
        Self::LinkInfo,
        Self::LinkCalls,
        Self::LinkErrors,
        Self::LinkDuration,
        Self::LinkSent,
        Self::LinkReceived,
        Self::LinkReplicas,
        Self::LinkBrokered,
        Self::HttpRequests,
        Self::HttpDuration,
        Self::Instances,
        Self::Units,
        Self::ShareUsed,
        Self::ShareLimit,
        Self::ShareRefused,
        Self::BackendErrors,
        Self::BackendDuration,
    ];

    fn description(self) -> Description {
        match self {
            Self::LinkInfo => (
                "withe_link_info",
                Kind::Info,
                LINK,
                "The links that there are. Calls over fused ones are not counted: they have no boundary.",
            ),
            Self::LinkCalls => (
                "withe_link_calls_total",
                Kind::Counter,
                LINK,
                "Calls over a link that began.",
            ),
            Self::LinkErrors => (
                "withe_link_errors_total",
                Kind::Counter,
                &[
                    "application",
                    "source",
                    "target",
                    "link",
                    "interface",
                    "binding",
                    "kind",
                ],
                "Calls over a link that failed.",
            ),
            Self::LinkDuration => (
                "withe_link_call_duration_seconds",
                Kind::Seconds,
                LINK,
                "How long calls over a link took, as their caller sees it.",
            ),
            Self::LinkSent => (
                "withe_link_sent_bytes_total",
                Kind::Counter,
                LINK,
                "Bytes of encoded parameters, without those of streams.",
            ),
            Self::LinkReceived => (
                "withe_link_received_bytes_total",
                Kind::Counter,
                LINK,
                "Bytes of encoded results, without those of streams.",
            ),
            Self::LinkReplicas => (
                "withe_link_replicas",
                Kind::Gauge,
                &["application", "source", "target", "link"],
                "Processes that a link leads to, where it leads to others.",
            ),
            Self::LinkBrokered => (
                "withe_link_brokered_replicas",
                Kind::Gauge,
                &["application", "source", "target", "link"],
                "Those of the replicas of a link that are called by way of NATS.",
            ),
            Self::HttpRequests => (
                "withe_http_requests_total",
                Kind::Counter,
                &["application", "component", "status"],
                "HTTP requests into a component by the class of its answer; `failed` if it gave none.",
            ),
            Self::HttpDuration => (
                "withe_http_request_duration_seconds",
                Kind::Seconds,
                &["application", "component"],
                "How long a component took until its response's head was there.",
            ),
            Self::Instances => (
                "withe_instances",
                Kind::Gauge,
                &["application", "component"],
                "Instances of a unit, named after its root component.",
            ),
            Self::Units => (
                "withe_units",
                Kind::Gauge,
                &["application"],
                "Components that are instantiated on their own, each with what is fused into it.",
            ),
            Self::ShareUsed => (
                "withe_share_used",
                Kind::Gauge,
                SHARE,
                "What a component, an application or the host has of what is shared.",
            ),
            Self::ShareLimit => (
                "withe_share_limit",
                Kind::Gauge,
                SHARE,
                "The most that it may have.",
            ),
            Self::ShareRefused => (
                "withe_share_refused_total",
                Kind::Counter,
                SHARE,
                "How often somebody did not get what it had too little of.",
            ),
            Self::BackendErrors => (
                "withe_backend_errors_total",
                Kind::Counter,
                BACKEND,
                "Calls of a provider's backend that failed.",
            ),
            Self::BackendDuration => (
                "withe_backend_call_duration_seconds",
                Kind::Seconds,
                BACKEND,
                "How long a provider's backend took.",
            ),
        }
    }
}

/// Counts at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<(Family, Vec<String>), Vec<u64>>);

/// Counts cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// They are not encoded as they should be.
    #[error("counts of another process cannot be read: {0}")]
    Decode(DecodeError),
    /// They are of another version of this program.
    #[error("counts of another process are not those that are counted here")]
    Unknown,
    /// They cannot be written as text.
    #[error("counts cannot be written as text: {0}")]
    Text(#[from] prometheus::Error),
}

impl Snapshot {
    /// Adds what a provider of an application has counted.
    pub fn add_backend(&mut self, application: &str, provider: &str, count: BackendCount) {
        let labels = [application, provider, &count.backend, &count.operation];
        let labels = labels.map(str::to_owned).to_vec();
        self.add_owned(Family::BackendErrors, labels.clone(), vec![count.failed]);
        // A process may say anything.
        let durations = count
            .durations
            .into_iter()
            .take(Durations::BOUNDS.len() + 2);
        self.add_owned(Family::BackendDuration, labels, durations.collect());
    }

    /// Adds to the counts with these labels.
    pub(super) fn add(
        &mut self,
        family: Family,
        labels: &[String],
        more: &[&str],
        values: Vec<u64>,
    ) {
        let more = more.iter().map(|label| (*label).to_owned());
        let labels = labels.iter().cloned().chain(more).collect();
        self.add_owned(family, labels, values);
    }

    fn add_owned(&mut self, family: Family, labels: Vec<String>, values: Vec<u64>) {
        let sums = self.0.entry((family, labels)).or_default();
        sums.resize(sums.len().max(values.len()), 0);
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = sum.saturating_add(value);
        }
    }

    /// All series: what each counts, its labels and its values.
    pub(super) fn series(&self) -> impl Iterator<Item = (Family, &[String], &[u64])> {
        let all = self.0.iter();
        all.map(|((family, labels), values)| (*family, labels.as_slice(), values.as_slice()))
    }

    /// Adds the counts of another process.
    pub fn merge(&mut self, other: Self) {
        for ((family, labels), values) in other.0 {
            self.add_owned(family, labels, values);
        }
    }

    /// The counts as another process may read them.
    pub fn to_payload(&self) -> Payload {
        let entry = |((family, labels), values): (&(Family, Vec<String>), &Vec<u64>)| {
            (*family as u32, labels.clone(), values.clone())
        };
        let entries: Vec<_> = self.0.iter().map(entry).collect();
        Payload::of(&(entries,))
    }

    /// Reads the snapshot that another process has written.
    ///
    /// # Errors
    ///
    /// If it was not written by a process of the same version.
    pub fn from_payload(payload: &Payload) -> Result<Self, SnapshotError> {
        type Entries = Vec<(u32, Vec<String>, Vec<u64>)>;
        let (entries,): (Entries,) = payload.read().map_err(SnapshotError::Decode)?;
        let mut snapshot = Self::default();
        for (family, labels, values) in entries {
            let family = Family::ALL.get(family as usize).copied();
            let family = family.ok_or(SnapshotError::Unknown)?;
            let (_, kind, names, _) = family.description();
            let width = match kind {
                Kind::Seconds => Durations::BOUNDS.len() + 2,
                Kind::Counter | Kind::Gauge | Kind::Info => 1,
            };
            if labels.len() != names.len() || values.len() != width {
                return Err(SnapshotError::Unknown);
            }
            snapshot.add_owned(family, labels, values);
        }
        Ok(snapshot)
    }

    /// The counts as text of Prometheus' format 0.0.4.
    ///
    /// # Errors
    ///
    /// If the encoder refuses them.
    pub fn to_text(&self) -> Result<String, SnapshotError> {
        let families = Family::ALL.into_iter().filter_map(|family| {
            let (name, kind, labels, help) = family.description();
            let of = (family, Vec::new())..;
            let series = self.0.range(of).take_while(|((f, _), _)| *f == family);
            let series: Vec<Metric> = series
                .map(|((_, values), counts)| metric(kind, labels, values, counts))
                .collect();
            let mut proto = MetricFamily::default();
            proto.set_name(name.to_owned());
            proto.set_help(help.to_owned());
            proto.set_field_type(match kind {
                Kind::Counter => MetricType::COUNTER,
                Kind::Gauge | Kind::Info => MetricType::GAUGE,
                Kind::Seconds => MetricType::HISTOGRAM,
            });
            let is_empty = series.is_empty();
            proto.set_metric(series);
            (!is_empty).then_some(proto)
        });
        let families: Vec<_> = families.collect();
        Ok(TextEncoder::new().encode_to_string(&families)?)
    }
}

fn metric(kind: Kind, names: &[&str], values: &[String], counts: &[u64]) -> Metric {
    let label = |(name, value): (&&str, &String)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value.clone());
        pair
    };
    let mut metric = Metric::default();
    metric.set_label(names.iter().zip(values).map(label).collect());
    // The format has no integers.
    let first = counts.first().copied().unwrap_or_default() as f64;
    match kind {
        Kind::Counter => {
            let mut counter = Counter::default();
            counter.set_value(first);
            metric.set_counter(counter);
        }
        Kind::Gauge | Kind::Info => {
            let mut gauge = Gauge::default();
            gauge.set_value(if kind == Kind::Info { 1.0 } else { first });
            metric.set_gauge(gauge);
        }
        Kind::Seconds => metric.set_histogram(histogram(counts)),
    }
    metric
}

fn histogram(counts: &[u64]) -> Histogram {
    const NANOS: f64 = 1e9;
    let mut so_far = 0;
    let mut buckets = Vec::with_capacity(Durations::BOUNDS.len());
    for (bound, count) in Durations::BOUNDS.iter().zip(counts) {
        so_far += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound as f64 / NANOS);
        bucket.set_cumulative_count(so_far);
        buckets.push(bucket);
    }
    let (above, nanos) = (
        counts
            .get(Durations::BOUNDS.len())
            .copied()
            .unwrap_or_default(),
        counts
            .get(Durations::BOUNDS.len() + 1)
            .copied()
            .unwrap_or_default(),
    );
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(so_far + above);
    histogram.set_sample_sum(nanos as f64 / NANOS);
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_a_number_a_name_of_its_own_and_a_meaning() {
        let mut names = Vec::new();
        for (number, family) in Family::ALL.into_iter().enumerate() {
            assert_eq!(family as usize, number);
            let (name, kind, labels, help) = family.description();
            assert!(name.starts_with("withe_") && !help.is_empty(), "{name}");
            assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
            assert!(!labels.is_empty(), "{name}");
            names.push(name);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Family::ALL.len());
    }

    #[test]
    fn what_another_version_says_is_refused() {
        type FamilyEntry = (u32, Vec<String>, Vec<u64>);
        let refused = |entry: FamilyEntry| {
            let payload = Payload::of(&(vec![entry],));
            assert!(Snapshot::from_payload(&payload).is_err());
        };
        let units = Family::Units as u32;
        refused((Family::ALL.len() as u32, vec!["shop".into()], vec![1]));
        refused((units, vec!["shop".into(), "cart".into()], vec![1]));
        refused((units, vec!["shop".into()], vec![1, 2]));
        refused((units, vec!["shop".into()], vec![]));
        let good: FamilyEntry = (units, vec!["shop".into()], vec![1]);
        assert!(Snapshot::from_payload(&Payload::of(&(vec![good],))).is_ok());
        assert!(Snapshot::from_payload(&Payload::of(&(7u8,))).is_err());
    }

    #[test]
    fn labels_are_escaped_and_durations_are_in_seconds() {
        let mut snapshot = Snapshot::default();
        let mut counts = vec![0; Durations::BOUNDS.len() + 2];
        (
            counts[1],
            counts[Durations::BOUNDS.len()],
            counts[Durations::BOUNDS.len() + 1],
        ) = (2, 1, 1_500_000_000);
        let labels = ["a \"b\"\n".to_owned(), "c".to_owned()];
        snapshot.add(Family::HttpDuration, &labels, &[], counts);
        let text = snapshot.to_text().unwrap();
        for line in [
            "# TYPE withe_http_request_duration_seconds histogram",
            r#"withe_http_request_duration_seconds_bucket{application="a \"b\"\n",component="c",le="0.000001"} 2"#,
            r#"withe_http_request_duration_seconds_bucket{application="a \"b\"\n",component="c",le="30"} 2"#,
            r#"withe_http_request_duration_seconds_bucket{application="a \"b\"\n",component="c",le="+Inf"} 3"#,
            r#"withe_http_request_duration_seconds_sum{application="a \"b\"\n",component="c"} 1.5"#,
            r#"withe_http_request_duration_seconds_count{application="a \"b\"\n",component="c"} 3"#,
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in {text}");
        }
    }
}
