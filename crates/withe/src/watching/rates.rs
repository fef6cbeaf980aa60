//! How often things happen in a second, and how long they take: the difference of what was counted at two times.
//!
//! Rates are taken over some seconds, for over one alone a link that is called now and then would blink.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use serde::Serialize;
use withe_host::{ComponentFigures, DurationFigures, Figures, LinkFigures};

use super::state::LatticeState;

/// The window of rates, in milliseconds, if samples come that often.
const WINDOW: u64 = 5_000;

/// Rates of the hosts' links and parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Rates {
    /// Links that were ever called, those of all hosts added up.
    pub(crate) links: Vec<LinkRates>,
    /// Parts that have instances or answered requests, those of all hosts added up.
    pub(crate) parts: Vec<PartRates>,
    /// How many links and parts hosts have left out, because they have so many.
    pub(crate) left_out: usize,
}

impl Rates {
    /// Gives links by which HTTP requests come in what is counted of their targets' requests: requests are counted where they are
    /// answered, and not as calls.
    pub(crate) fn add_requests(&mut self, state: &LatticeState) {
        for link in &state.links {
            let is_http = link.interfaces.iter().any(|name| is_http_handler(name));
            let is_counted = self.links.iter().any(|rates| {
                (
                    &rates.application,
                    &rates.source,
                    &rates.target,
                    &rates.name,
                ) == (&link.application, &link.source, &link.target, &link.name)
            });
            let is_target = |part: &&PartRates| {
                part.application == link.application && part.part == link.target
            };
            if let Some(part) = self.parts.iter().find(is_target)
                && is_http
                && !is_counted
                && part.requests.calls > 0
            {
                self.links.push(LinkRates {
                    application: link.application.clone(),
                    source: link.source.clone(),
                    target: link.target.clone(),
                    name: link.name.clone(),
                    sum: part.requests.clone(),
                    by: Vec::new(),
                });
            }
        }
    }
}

/// Whether an interface is that of handlers of HTTP requests, of whichever version.
fn is_http_handler(interface: &str) -> bool {
    let name = interface.split('@').next().unwrap_or_default();
    matches!(name, "wasi:http/incoming-handler" | "wasi:http/handler")
}

/// Rates of a link.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct LinkRates {
    pub(crate) application: String,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) sum: CallRates,
    /// The same by host, interface and binding.
    pub(crate) by: Vec<LinkRatesOn>,
}

/// Rates of one interface of a link from one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct LinkRatesOn {
    pub(crate) host: String,
    pub(crate) interface: String,
    pub(crate) binding: String,
    #[serde(flatten)]
    pub(crate) rates: CallRates,
}

/// How often something is called, and what comes of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct CallRates {
    /// Calls since the hosts have the link.
    pub(crate) calls: u64,
    /// The failed ones among them.
    pub(crate) errors: u64,
    /// The failed ones, by their kind.
    pub(crate) kinds: BTreeMap<String, u64>,
    /// Calls in a second.
    pub(crate) rate: f64,
    /// Calls in a second that failed.
    pub(crate) error_rate: f64,
    /// The time that half of the calls did not exceed, in nanoseconds; of all if there were none of late.
    pub(crate) p50: Option<u64>,
    /// The time that 99 of 100 did not exceed.
    pub(crate) p99: Option<u64>,
    /// Bytes in a second there, and back.
    pub(crate) sent_rate: f64,
    pub(crate) received_rate: f64,
}

/// Rates of a part.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct PartRates {
    pub(crate) application: String,
    pub(crate) part: String,
    /// Instances that live now.
    pub(crate) instances: u64,
    /// Their memory, in bytes.
    pub(crate) memory: u64,
    /// HTTP requests into it. Requests without an answer, and those answered by 5xx, are its errors.
    pub(crate) requests: CallRates,
}

/// The counts of hosts of late.
pub(crate) struct Samples {
    hosts: HashMap<String, OfHost>,
    /// Over how many milliseconds rates are taken.
    window: u64,
}

struct OfHost {
    name: String,
    samples: VecDeque<(u64, Figures)>,
}

impl Samples {
    /// No samples yet. Samples come each `every`: rates are taken over that, if it is longer than the usual window.
    pub(crate) fn every(every: Duration) -> Self {
        let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        Self {
            hosts: HashMap::new(),
            window: WINDOW.max(every),
        }
    }

    /// Whether rates are of two times on each host.
    pub(crate) fn are_compared(&self) -> bool {
        self.hosts.values().all(|host| host.samples.len() > 1)
    }

    /// Takes what a host has counted at a time.
    pub(crate) fn add(&mut self, id: &str, name: &str, time: u64, figures: Figures) {
        let window = self.window;
        let host = self.hosts.entry(id.to_owned()).or_insert_with(|| OfHost {
            name: name.to_owned(),
            samples: VecDeque::new(),
        });
        // Its clock was set back, or nobody has looked for long: what was before is not compared.
        let is_of_late = |last: u64| last < time && time - last <= window.saturating_mul(2);
        if host
            .samples
            .back()
            .is_some_and(|(last, _)| !is_of_late(*last))
        {
            host.samples.clear();
        }
        host.samples.push_back((time, figures));
        while host
            .samples
            .get(1)
            .is_some_and(|(second, _)| time - second >= window)
        {
            host.samples.pop_front();
        }
    }

    /// Forgets the hosts that are gone.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.hosts.retain(|id, _| is_there(id));
    }

    /// The rates now.
    pub(crate) fn rates(&self) -> Rates {
        let mut links = BTreeMap::<_, (Sum, Vec<LinkRatesOn>)>::new();
        let mut parts = BTreeMap::<_, (u64, u64, Sum)>::new();
        let mut left_out = 0;
        let mut hosts: Vec<_> = self.hosts.values().collect();
        hosts.sort_by(|a, b| a.name.cmp(&b.name));
        for host in hosts {
            let Some((time, now)) = host.samples.back() else {
                continue;
            };
            let (first, before) = &host.samples[0];
            let seconds = (time - first) as f64 / 1e3;
            left_out += now.left_out;
            let earlier: HashMap<_, _> = before.links.iter().map(|l| (link_key(l), l)).collect();
            for link in &now.links {
                let sum = Sum::of_link(link, earlier.get(&link_key(link)).copied(), seconds);
                let key = (&link.application, &link.source, &link.target, &link.name);
                let (all, by) = links.entry(key).or_default();
                by.push(LinkRatesOn {
                    host: host.name.clone(),
                    interface: link.interface.clone(),
                    binding: link.binding.clone(),
                    rates: sum.rates(),
                });
                all.add(sum);
            }
            let earlier: HashMap<_, _> = before
                .components
                .iter()
                .map(|c| ((&c.application, &c.component), c))
                .collect();
            for component in &now.components {
                let key = (&component.application, &component.component);
                let sum = Sum::of_requests(component, earlier.get(&key).copied(), seconds);
                let (instances, memory, requests) = parts.entry(key).or_default();
                *instances += component.instances;
                *memory += component.memory;
                requests.add(sum);
            }
        }
        let links = links.into_iter().filter(|(_, (sum, _))| sum.calls > 0);
        Rates {
            links: links
                .map(
                    |((application, source, target, name), (sum, by))| LinkRates {
                        application: application.clone(),
                        source: source.clone(),
                        target: target.clone(),
                        name: name.clone(),
                        sum: sum.rates(),
                        by,
                    },
                )
                .collect(),
            parts: parts
                .into_iter()
                .map(
                    |((application, part), (instances, memory, requests))| PartRates {
                        application: application.clone(),
                        part: part.clone(),
                        instances,
                        memory,
                        requests: requests.rates(),
                    },
                )
                .collect(),
            left_out,
        }
    }
}

/// The key of a link's interface on a host.
fn link_key(link: &LinkFigures) -> [&str; 6] {
    [
        &link.application,
        &link.source,
        &link.target,
        &link.name,
        &link.interface,
        &link.binding,
    ]
}

/// Sums, before they are rates.
#[derive(Default)]
struct Sum {
    calls: u64,
    kinds: BTreeMap<String, u64>,
    rate: f64,
    error_rate: f64,
    sent_rate: f64,
    received_rate: f64,
    /// All, and those of late.
    took: DurationFigures,
    took_of_late: DurationFigures,
}

impl Sum {
    fn of_link(now: &LinkFigures, before: Option<&LinkFigures>, seconds: f64) -> Self {
        let nothing = LinkFigures::default();
        // One that was made again counts anew.
        let before = before.filter(|before| before.calls <= now.calls);
        let seconds = before.map_or(0.0, |_| seconds);
        let before = before.unwrap_or(&nothing);
        let errors = |of: &LinkFigures| of.errors.values().sum::<u64>();
        Self {
            calls: now.calls,
            kinds: now.errors.clone(),
            rate: per_second(now.calls, before.calls, seconds),
            error_rate: per_second(errors(now), errors(before), seconds),
            sent_rate: per_second(now.sent, before.sent, seconds),
            received_rate: per_second(now.received, before.received, seconds),
            took: now.took.clone(),
            took_of_late: now.took.since(&before.took),
        }
    }

    fn of_requests(
        now: &ComponentFigures,
        before: Option<&ComponentFigures>,
        seconds: f64,
    ) -> Self {
        let nothing = ComponentFigures::default();
        let requests = |of: &ComponentFigures| of.requests.values().sum::<u64>();
        let failed = |of: &ComponentFigures| {
            let failed = ["failed", "5xx"].map(|class| of.requests.get(class).copied());
            failed.into_iter().flatten().sum::<u64>()
        };
        let before = before.filter(|before| requests(before) <= requests(now));
        let seconds = before.map_or(0.0, |_| seconds);
        let before = before.unwrap_or(&nothing);
        let mut kinds = now.requests.clone();
        kinds.retain(|class, _| class == "failed" || class == "5xx");
        Self {
            calls: requests(now),
            kinds,
            rate: per_second(requests(now), requests(before), seconds),
            error_rate: per_second(failed(now), failed(before), seconds),
            took: now.took.clone(),
            took_of_late: now.took.since(&before.took),
            ..Self::default()
        }
    }

    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        self.rate += other.rate;
        self.error_rate += other.error_rate;
        self.sent_rate += other.sent_rate;
        self.received_rate += other.received_rate;
        self.took.add(&other.took);
        self.took_of_late.add(&other.took_of_late);
    }

    fn rates(&self) -> CallRates {
        let took = match self.took_of_late.count() {
            0 => &self.took,
            _ => &self.took_of_late,
        };
        CallRates {
            calls: self.calls,
            errors: self.kinds.values().sum(),
            kinds: self.kinds.clone(),
            rate: self.rate,
            error_rate: self.error_rate,
            p50: took.quantile(0.5),
            p99: took.quantile(0.99),
            sent_rate: self.sent_rate,
            received_rate: self.received_rate,
        }
    }
}

fn per_second(now: u64, before: u64, seconds: f64) -> f64 {
    match seconds > 0.0 {
        true => now.saturating_sub(before) as f64 / seconds,
        false => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watching::state::LinkState;

    fn figures(calls: u64, failed: u64) -> Figures {
        let took = DurationFigures {
            buckets: BTreeMap::from([(10, calls)]),
            nanos: calls * 700_000,
        };
        let link = LinkFigures {
            application: "shop".into(),
            source: "cart".into(),
            target: "prices".into(),
            name: "default".into(),
            interface: "shop:api/prices".into(),
            binding: "local".into(),
            calls,
            errors: BTreeMap::from([("trap".to_owned(), failed)]),
            took,
            ..LinkFigures::default()
        };
        Figures {
            links: vec![link],
            ..Figures::default()
        }
    }

    fn samples() -> Samples {
        Samples::every(Duration::from_secs(1))
    }

    #[test]
    fn rates_are_those_of_the_last_seconds_of_all_hosts() {
        let mut samples = samples();
        samples.add("A", "east", 1_000, figures(100, 0));
        // From one time alone nothing follows.
        let link = &samples.rates().links[0];
        assert_eq!((link.sum.calls, link.sum.rate), (100, 0.0));
        assert!(link.sum.p99.unwrap() > 500_000);
        for second in 1..=20 {
            let calls = 100 + 10 * second;
            samples.add("A", "east", 1_000 + 1_000 * second, figures(calls, second));
            samples.add("B", "west", 7_000 + 1_000 * second, figures(calls, 0));
        }
        assert!(samples.hosts["A"].samples.len() <= 7);
        let rates = samples.rates();
        let [link] = rates.links.as_slice() else {
            panic!("{rates:#?}")
        };
        assert_eq!((link.sum.calls, link.sum.errors), (600, 20));
        assert!((link.sum.rate - 20.0).abs() < 0.1, "{link:#?}");
        assert!((link.sum.error_rate - 1.0).abs() < 0.1, "{link:#?}");
        assert_eq!(link.by.len(), 2);

        // A host that started again, and one that is gone.
        samples.add("A", "east", 22_000, figures(3, 0));
        samples.retain(|id| id == "A");
        let link = &samples.rates().links[0];
        assert_eq!((link.sum.calls, link.sum.rate), (3, 0.0));
    }

    #[test]
    fn links_of_requests_have_what_is_counted_of_requests() {
        let mut samples = samples();
        let component = ComponentFigures {
            application: "shop".into(),
            component: "cart".into(),
            requests: BTreeMap::from([("2xx".to_owned(), 5), ("failed".to_owned(), 1)]),
            ..ComponentFigures::default()
        };
        let figures = Figures {
            components: vec![component],
            ..Figures::default()
        };
        samples.add("A", "east", 1_000, figures);
        let link = |interface: &str| LinkState {
            application: "shop".into(),
            source: "http".into(),
            target: "cart".into(),
            name: interface.into(),
            interfaces: vec![interface.into()],
            ..LinkState::default()
        };
        let state = LatticeState {
            links: vec![link("wasi:http/incoming-handler@0.2.6"), link("a:b/c")],
            ..LatticeState::default()
        };
        let mut rates = samples.rates();
        rates.add_requests(&state);
        let [link] = rates.links.as_slice() else {
            panic!("{rates:#?}")
        };
        assert_eq!((link.sum.calls, link.sum.errors), (6, 1));
    }

    #[test]
    fn what_was_counted_before_a_pause_is_not_compared() {
        let mut samples = samples();
        assert!(samples.are_compared());
        samples.add("A", "east", 1_000, figures(100, 0));
        assert!(!samples.are_compared());
        samples.add("A", "east", 2_000, figures(110, 0));
        assert!(samples.are_compared());
        assert_eq!(samples.rates().links[0].sum.rate, 10.0);
        // Ten minutes later.
        samples.add("A", "east", 602_000, figures(6_110, 0));
        assert!(!samples.are_compared());
        assert_eq!(samples.rates().links[0].sum.rate, 0.0);
        samples.add("A", "east", 603_000, figures(6_115, 0));
        assert_eq!(samples.rates().links[0].sum.rate, 5.0);
        // A watcher that looks once a minute has the rates of a minute.
        let mut samples = Samples::every(Duration::from_secs(60));
        samples.add("A", "east", 1_000, figures(100, 0));
        samples.add("A", "east", 62_000, figures(161, 0));
        assert_eq!(samples.rates().links[0].sum.rate, 1.0);
    }

    #[test]
    fn a_clock_that_was_set_back_is_no_rate() {
        let mut samples = samples();
        samples.add("A", "east", 9_000, figures(100, 0));
        samples.add("A", "east", 2_000, figures(200, 0));
        assert_eq!(samples.rates().links[0].sum.rate, 0.0);
    }
}
