//! Counts as plain data, for observers of a host (`withe ui`, `withe top`).
//!
//! They are what Prometheus gets, by link and by component in the place of by series, so that a reader needs no parser of its
//! text and no histogram of its own. All but gauges only grow; a rate is the difference of two, over the time between them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use withe_provider::Durations;

use super::snapshot::{Family, Snapshot};

/// The counts of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// One for each interface of each link that is not fused.
    pub links: Vec<LinkFigures>,
    /// One for each component that has instances or answered requests.
    pub components: Vec<ComponentFigures>,
    /// How many links and components are not here, because there are too many.
    #[serde(default)]
    pub left_out: usize,
}

/// Counts of one interface of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFigures {
    /// The application.
    pub application: String,
    /// The importer.
    pub source: String,
    /// The exporter.
    pub target: String,
    /// The link's name.
    pub name: String,
    /// `namespace:package/interface`.
    pub interface: String,
    /// How it is bound.
    pub binding: String,
    /// Calls that began.
    pub calls: u64,
    /// Calls that failed, by their kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, u64>,
    /// Bytes of encoded parameters.
    pub sent: u64,
    /// Bytes of encoded results.
    pub received: u64,
    /// How long calls took.
    pub took: DurationFigures,
}

/// Counts of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentFigures {
    /// The application.
    pub application: String,
    /// The component.
    pub component: String,
    /// Instances that live now.
    pub instances: u64,
    /// The bytes of memory that they have.
    pub memory: u64,
    /// HTTP requests into it by the class of their status.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, u64>,
    /// How long these took.
    pub took: DurationFigures,
}

/// How long something took, how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurationFigures {
    /// How many there are in each bucket of durations that has any, by its place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub buckets: BTreeMap<u8, u64>,
    /// The sum of all, in nanoseconds.
    pub nanos: u64,
}

impl DurationFigures {
    /// Of a series: its buckets, what is above them, and the sum.
    fn of(counts: &[u64]) -> Self {
        let buckets = (0u8..).zip(counts.iter().take(Durations::BOUNDS.len() + 1));
        let buckets = buckets.filter(|(_, count)| **count > 0);
        Self {
            buckets: buckets.map(|(place, count)| (place, *count)).collect(),
            nanos: counts
                .get(Durations::BOUNDS.len() + 1)
                .copied()
                .unwrap_or_default(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.buckets.values().sum()
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        for (place, count) in &other.buckets {
            *self.buckets.entry(*place).or_default() += count;
        }
        self.nanos = self.nanos.saturating_add(other.nanos);
    }

    /// The counts since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let of = |(place, count): (&u8, &u64)| {
            let before = earlier.buckets.get(place).copied().unwrap_or_default();
            (*place, count.saturating_sub(before))
        };
        let buckets = self.buckets.iter().map(of).filter(|(_, count)| *count > 0);
        Self {
            buckets: buckets.collect(),
            nanos: self.nanos.saturating_sub(earlier.nanos),
        }
    }

    /// The duration, in nanoseconds, that this share of them did not exceed: 0.5 is the median. Within a bucket they are taken to
    /// be spread evenly. `None` if there are none.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        // Counts are exact as `f64` up to 2^53.
        let wanted = share.clamp(0.0, 1.0) * count as f64;
        let mut before = 0.0;
        for (place, in_bucket) in &self.buckets {
            let in_bucket = *in_bucket as f64;
            if before + in_bucket >= wanted {
                let place = usize::from(*place);
                let low = place
                    .checked_sub(1)
                    .and_then(|place| Durations::BOUNDS.get(place))
                    .copied()
                    .unwrap_or_default();
                // The last bucket has no end.
                let high = Durations::BOUNDS.get(place).copied().unwrap_or(low);
                let part = (wanted - before) / in_bucket;
                return Some(low + ((high.saturating_sub(low)) as f64 * part) as u64);
            }
            before += in_bucket;
        }
        None
    }
}

impl Snapshot {
    /// The counts by link and by component. At most `most` of each are there: of links those with the most calls.
    pub fn figures(&self, most: usize) -> Figures {
        let mut links = BTreeMap::<&[String], LinkFigures>::new();
        let mut components = BTreeMap::<(&str, &str), ComponentFigures>::new();
        for (family, labels, values) in self.series() {
            let first = values.first().copied().unwrap_or_default();
            match (family, labels) {
                (
                    Family::LinkCalls
                    | Family::LinkErrors
                    | Family::LinkDuration
                    | Family::LinkSent
                    | Family::LinkReceived,
                    [
                        application,
                        source,
                        target,
                        name,
                        interface,
                        binding,
                        more @ ..,
                    ],
                ) => {
                    let link = links.entry(&labels[..6]).or_insert_with(|| LinkFigures {
                        application: application.clone(),
                        source: source.clone(),
                        target: target.clone(),
                        name: name.clone(),
                        interface: interface.clone(),
                        binding: binding.clone(),
                        ..LinkFigures::default()
                    });
                    match (family, more) {
                        (Family::LinkCalls, _) => link.calls = first,
                        (Family::LinkErrors, [kind]) => {
                            link.errors.insert(kind.clone(), first);
                        }
                        (Family::LinkSent, _) => link.sent = first,
                        (Family::LinkReceived, _) => link.received = first,
                        _ => link.took = DurationFigures::of(values),
                    }
                }
                (
                    Family::HttpRequests | Family::HttpDuration | Family::Instances,
                    [application, component, more @ ..],
                ) => {
                    let of = component_of(&mut components, application, component);
                    match (family, more) {
                        (Family::HttpRequests, [status]) => {
                            of.requests.insert(status.clone(), first);
                        }
                        (Family::HttpDuration, _) => of.took = DurationFigures::of(values),
                        _ => of.instances = first,
                    }
                }
                (Family::ShareUsed, [scope, application, component, resource])
                    if scope == "component" && resource == "memory" =>
                {
                    component_of(&mut components, application, component).memory = first;
                }
                _ => {}
            }
        }
        let mut links: Vec<_> = links.into_values().collect();
        let mut components: Vec<_> = components.into_values().collect();
        let left_out = links.len().saturating_sub(most) + components.len().saturating_sub(most);
        if links.len() > most {
            links.sort_by_key(|link| std::cmp::Reverse(link.calls));
            links.truncate(most);
        }
        components.truncate(most);
        Figures {
            links,
            components,
            left_out,
        }
    }
}

fn component_of<'m, 'a>(
    all: &'m mut BTreeMap<(&'a str, &'a str), ComponentFigures>,
    application: &'a str,
    component: &'a str,
) -> &'m mut ComponentFigures {
    all.entry((application, component))
        .or_insert_with(|| ComponentFigures {
            application: application.to_owned(),
            component: component.to_owned(),
            ..ComponentFigures::default()
        })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use withe_linker::plan::Binding;

    use super::*;
    use crate::metrics::{LinkLabels, Metrics};

    #[test]
    fn what_is_counted_of_a_link_is_together() {
        let metrics = Metrics::default();
        let labels = |target| LinkLabels {
            application: "shop",
            source: "cart",
            target,
            name: "default",
            interface: "shop:api/prices",
            binding: Binding::Local,
        };
        let (quiet, busy) = (
            metrics.link(&labels("quiet")),
            metrics.link(&labels("busy")),
        );
        for _ in 0..3 {
            busy.call(Instant::now(), 7).ended(None, 0);
        }
        // One whose caller went away.
        drop(busy.call(Instant::now(), 1));
        let figures = metrics.snapshot().figures(10);
        assert_eq!((figures.links.len(), figures.left_out), (2, 0));
        let link = figures.links.iter().find(|link| link.target == "busy");
        let link = link.unwrap();
        assert_eq!((link.calls, link.sent), (4, 22));
        assert_eq!(link.errors, BTreeMap::from([("cancelled".to_owned(), 1)]));
        assert_eq!(link.took.count(), 4);

        let figures = metrics.snapshot().figures(1);
        assert_eq!(figures.left_out, 1);
        assert_eq!(figures.links[0].target, "busy");
        drop(quiet);
    }

    #[test]
    fn quantiles_are_within_the_bucket_that_has_them() {
        let mut counts = vec![0; Durations::BOUNDS.len() + 2];
        assert_eq!(DurationFigures::of(&counts).quantile(0.5), None);
        // From 1 to 2.5 µs, and from 10 to 25 µs.
        (counts[2], counts[5]) = (90, 10);
        let took = DurationFigures::of(&counts);
        let median = took.quantile(0.5).unwrap();
        assert!((1_000..=2_500).contains(&median), "{median}");
        let high = took.quantile(0.99).unwrap();
        assert!((10_000..=25_000).contains(&high), "{high}");
        // A time above all buckets is at least as long as the last of them.
        counts[Durations::BOUNDS.len()] = 1_000;
        let took = DurationFigures::of(&counts);
        assert_eq!(
            took.quantile(0.99),
            Some(Durations::BOUNDS[Durations::BOUNDS.len() - 1])
        );

        let mut later = took.clone();
        later.add(&DurationFigures::of(&counts));
        assert_eq!(later.since(&took), took);
        assert!(took.since(&later).buckets.is_empty());
        assert_eq!(
            Duration::from_nanos(took.since(&later).nanos),
            Duration::ZERO
        );
    }
}
