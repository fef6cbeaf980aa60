//! Finding hosts for the parts of an application.
//!
//! Every part is placed once, and placing one looks at its neighbours and at the hosts: the work grows with
//! the links, and with the parts times the hosts. Hosts and parts are numbers here; names come back at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::neighbours::Neighbours;
use crate::order::Order;
use crate::share::divide;
use crate::wish::{PartWish, Spread, Where, Wish};
use crate::{Assignment, HostView, Share};

/// Where parts are to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// The hosts of each part; one that no host may run has none.
    pub assignment: Assignment,
    /// The parts, or shares of them, that no host may run.
    pub unplaced: Vec<Unplaced>,
}

/// Something that no host may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// The part.
    pub part: String,
    /// Why no host may run it.
    pub why: NoHost,
}

/// Why no host may run a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoHost {
    /// There is no host at all.
    NoHosts,
    /// No host has all labels of any of these sets.
    NoLabels(Vec<BTreeMap<String, String>>),
}

/// Finds hosts for what `wish` asks. `current` is where parts run now: they stay there if they may.
/// Depends on the order of `hosts` in nothing.
pub fn place(wish: &Wish, hosts: &[HostView], current: &Assignment) -> Placed {
    let neighbours = Neighbours::of(wish);
    let mut placing = Placing::new(wish, hosts, current, &neighbours);
    placing.run();
    placing.finish()
}

/// A host, by its place among the hosts sorted by id.
type HostIx = usize;

struct Placing<'a> {
    wish: &'a Wish,
    /// Sorted by id, so that the least index is the least id.
    hosts: Vec<&'a HostView>,
    current: &'a Assignment,
    neighbours: &'a Neighbours,
    /// How many parts each host has, with those that were placed so far.
    loads: Vec<usize>,
    /// The hosts of each part, once it is placed.
    placed: Vec<Option<BTreeMap<HostIx, Share>>>,
    unplaced: Vec<Unplaced>,
}

impl<'a> Placing<'a> {
    fn new(
        wish: &'a Wish,
        hosts: &'a [HostView],
        current: &'a Assignment,
        neighbours: &'a Neighbours,
    ) -> Self {
        let mut hosts: Vec<&HostView> = hosts.iter().collect();
        hosts.sort_by(|a, b| a.id.cmp(&b.id));
        Self {
            wish,
            loads: hosts.iter().map(|host| host.load).collect(),
            hosts,
            current,
            neighbours,
            placed: vec![None; wish.parts.len()],
            unplaced: Vec::new(),
        }
    }

    fn run(&mut self) {
        let wish = self.wish;
        let mut order = Order::new(self.neighbours);
        for (part, asks) in wish.parts.iter().enumerate() {
            match &asks.place {
                Where::Spread(spread) => self.spread(part, asks, spread),
                Where::Every(labels) => self.every(part, asks, labels),
                Where::WithCallers | Where::OneHost => continue,
            }
            order.placed(part);
        }
        while let Some(part) = order.next() {
            self.near(part, &wish.parts[part]);
            order.placed(part);
        }
    }

    fn finish(self) -> Placed {
        let id = |host: HostIx| self.hosts[host].id.clone();
        let named = |shares: BTreeMap<HostIx, Share>| {
            let shares = shares.into_iter();
            shares.map(|(host, share)| (id(host), share)).collect()
        };
        let parts = self.wish.parts.iter().zip(self.placed);
        Placed {
            assignment: parts
                .map(|(part, shares)| (part.name.clone(), named(shares.unwrap_or_default())))
                .collect(),
            unplaced: self.unplaced,
        }
    }

    /// The hosts of all of these parts that are placed.
    fn hosts_of(&self, parts: &[usize]) -> BTreeSet<HostIx> {
        let placed = parts.iter().filter_map(|part| self.placed[*part].as_ref());
        placed.flat_map(BTreeMap::keys).copied().collect()
    }

    /// The hosts that have the part now.
    fn current_hosts(&self, part: &PartWish) -> BTreeSet<HostIx> {
        let current = self.current.get(&part.name);
        let ids = current.into_iter().flat_map(BTreeMap::keys);
        ids.filter_map(|id| self.hosts.binary_search_by(|host| host.id.cmp(id)).ok())
            .collect()
    }

    /// Places a part that may run anywhere near its neighbours.
    fn near(&mut self, part: usize, asks: &PartWish) {
        let callers = self.hosts_of(self.neighbours.callers(part));
        if asks.place == Where::WithCallers && !callers.is_empty() {
            return self.assign_evenly(part, asks, callers);
        }
        let callees = self.hosts_of(self.neighbours.callees(part));
        let current = self.current_hosts(asks);
        let best = (0..self.hosts.len()).min_by_key(|host| {
            (
                !current.contains(host),
                !callers.contains(host),
                !callees.contains(host),
                self.loads[*host],
                *host,
            )
        });
        match best {
            Some(host) => self.assign_evenly(part, asks, BTreeSet::from([host])),
            None => self.no_host(part, NoHost::NoHosts),
        }
    }

    fn every(&mut self, part: usize, asks: &PartWish, labels: &[BTreeMap<String, String>]) {
        let instances = asks.instances;
        let fitting = self.hosts.iter().enumerate().filter(|(_, host)| {
            labels.is_empty() || labels.iter().any(|labels| has_labels(host, labels))
        });
        let shares: BTreeMap<_, _> = fitting.map(|(ix, _)| (ix, Share { instances })).collect();
        if shares.is_empty() {
            return self.no_host(part, NoHost::of(labels));
        }
        self.assign(part, shares);
    }

    fn spread(&mut self, part: usize, asks: &PartWish, spread: &[Spread]) {
        let weights: Vec<u32> = spread.iter().map(|s| s.weight).collect();
        let counts: Vec<Option<u32>> = match asks.instances {
            Some(instances) => divide(instances, &weights).into_iter().map(Some).collect(),
            // Without a number each share is one host, and as many instances as fit.
            None => vec![None; spread.len()],
        };
        let current = self.current_hosts(asks);
        let mut shares: BTreeMap<HostIx, Share> = BTreeMap::new();
        for (spread, count) in spread.iter().zip(counts) {
            if count == Some(0) {
                continue;
            }
            let mut fitting: Vec<HostIx> = (0..self.hosts.len())
                .filter(|host| has_labels(self.hosts[*host], &spread.labels))
                .collect();
            if fitting.is_empty() {
                let why = NoHost::of(std::slice::from_ref(&spread.labels));
                self.note(part, why);
                continue;
            }
            fitting.sort_by_key(|host| {
                (
                    shares.contains_key(host),
                    !current.contains(host),
                    self.loads[*host],
                    *host,
                )
            });
            fitting.truncate(count.map_or(1, |count| count as usize));
            let each = vec![1; fitting.len()];
            let counts = count.map(|count| divide(count, &each));
            for (i, host) in fitting.into_iter().enumerate() {
                let share = shares.entry(host).or_insert(Share {
                    instances: counts.is_some().then_some(0),
                });
                if let (Some(counts), Some(instances)) = (&counts, &mut share.instances) {
                    *instances += counts[i];
                }
            }
        }
        self.assign(part, shares);
    }

    /// Divides a part's instances evenly among hosts.
    fn assign_evenly(&mut self, part: usize, asks: &PartWish, hosts: BTreeSet<HostIx>) {
        let each = vec![1; hosts.len()];
        let counts = asks.instances.map(|instances| divide(instances, &each));
        let share = |i: usize| Share {
            // A host that runs a part at all can run one of it.
            instances: counts.as_ref().map(|counts| counts[i].max(1)),
        };
        let hosts = hosts.into_iter().enumerate();
        self.assign(part, hosts.map(|(i, host)| (host, share(i))).collect());
    }

    fn assign(&mut self, part: usize, shares: BTreeMap<HostIx, Share>) {
        for host in shares.keys() {
            self.loads[*host] += 1;
        }
        self.placed[part] = Some(shares);
    }

    fn no_host(&mut self, part: usize, why: NoHost) {
        self.placed[part] = Some(BTreeMap::new());
        self.note(part, why);
    }

    fn note(&mut self, part: usize, why: NoHost) {
        let part = self.wish.parts[part].name.clone();
        self.unplaced.push(Unplaced { part, why });
    }
}

fn has_labels(host: &HostView, labels: &BTreeMap<String, String>) -> bool {
    labels
        .iter()
        .all(|(key, value)| host.labels.get(key) == Some(value))
}

impl NoHost {
    fn of(labels: &[BTreeMap<String, String>]) -> Self {
        match labels {
            [] => Self::NoHosts,
            labels => Self::NoLabels(labels.to_vec()),
        }
    }
}

impl fmt::Display for NoHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHosts => f.write_str("there is no host"),
            Self::NoLabels(sets) => {
                let texts: Vec<_> = sets.iter().map(label_text).collect();
                write!(f, "no host has the labels {}", texts.join(", or "))
            }
        }
    }
}

impl fmt::Display for Unplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.part, self.why)
    }
}

/// `zone=east` and `disk=fast`, each in backticks.
fn label_text(labels: &BTreeMap<String, String>) -> String {
    let texts: Vec<_> = labels.iter().map(|(k, v)| format!("`{k}={v}`")).collect();
    match texts.as_slice() {
        [] => "(none)".into(),
        texts => texts.join(" and "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(id: &str, labels: &[(&str, &str)]) -> HostView {
        HostView {
            id: id.into(),
            labels: (labels.iter())
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            load: 0,
        }
    }

    fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
        host("", labels).labels
    }

    fn part(name: &str, place: Where) -> PartWish {
        PartWish {
            name: name.into(),
            place,
            instances: None,
        }
    }

    /// server -> shop -> cart -> kv
    fn wish(places: [Where; 4]) -> Wish {
        let names = ["server", "shop", "cart", "kv"];
        let parts = names.into_iter().zip(places);
        Wish {
            parts: parts.map(|(name, place)| part(name, place)).collect(),
            links: vec![(0, 1), (1, 2), (2, 3)],
        }
    }

    fn zone(zone: &str) -> Spread {
        Spread {
            labels: labels(&[("zone", zone)]),
            weight: 100,
        }
    }

    fn three() -> Vec<HostView> {
        ["a", "b", "c"]
            .into_iter()
            .map(|id| host(id, &[("zone", id)]))
            .collect()
    }

    /// `server: a; shop: a, b`
    fn text(placed: &Placed) -> String {
        let hosts = |shares: &BTreeMap<String, Share>| {
            let host = |(host, share): (&String, &Share)| match share.instances {
                Some(n) => format!("{host}*{n}"),
                None => host.clone(),
            };
            shares.iter().map(host).collect::<Vec<_>>().join(", ")
        };
        let parts = placed.assignment.iter();
        let texts: Vec<_> = parts.map(|(p, s)| format!("{p}: {}", hosts(s))).collect();
        texts.join("; ")
    }

    #[test]
    fn what_asks_for_nothing_runs_together() {
        let wish = wish([
            Where::OneHost,
            Where::WithCallers,
            Where::WithCallers,
            Where::OneHost,
        ]);
        let placed = place(&wish, &three(), &Assignment::new());
        assert_eq!(text(&placed), "cart: a; kv: a; server: a; shop: a");
        assert_eq!(placed.unplaced, []);
    }

    #[test]
    fn what_runs_somewhere_stays_there() {
        let wish = wish([
            Where::OneHost,
            Where::WithCallers,
            Where::WithCallers,
            Where::OneHost,
        ]);
        let on_c = BTreeMap::from([("c".to_owned(), Share::default())]);
        let current = BTreeMap::from([("server".to_owned(), on_c.clone()), ("kv".into(), on_c)]);
        let placed = place(&wish, &three(), &current);
        assert_eq!(text(&placed), "cart: c; kv: c; server: c; shop: c");
        let without_c = &three()[..2];
        let placed = place(&wish, without_c, &current);
        assert_eq!(text(&placed), "cart: a; kv: a; server: a; shop: a");
    }

    #[test]
    fn parts_follow_those_that_are_bound_to_a_place() {
        let wish = wish([
            Where::Spread(vec![zone("b")]),
            Where::WithCallers,
            Where::Spread(vec![zone("c"), zone("a")]),
            Where::OneHost,
        ]);
        let placed = place(&wish, &three(), &Assignment::new());
        assert_eq!(text(&placed), "cart: a, c; kv: a; server: b; shop: b");
    }

    #[test]
    fn a_part_without_placed_callers_goes_to_what_it_calls() {
        let wish = wish([
            Where::OneHost,
            Where::WithCallers,
            Where::WithCallers,
            Where::Spread(vec![zone("b")]),
        ]);
        let placed = place(&wish, &three(), &Assignment::new());
        assert_eq!(text(&placed), "cart: b; kv: b; server: b; shop: b");
    }

    #[test]
    fn instances_are_divided_by_weight_and_then_evenly() {
        let mut wish = Wish {
            parts: vec![part(
                "shop",
                Where::Spread(vec![
                    Spread {
                        weight: 80,
                        ..zone("x")
                    },
                    Spread {
                        weight: 20,
                        ..zone("y")
                    },
                ]),
            )],
            links: Vec::new(),
        };
        wish.parts[0].instances = Some(7);
        let host = |id: &str, zone: &str| host(id, &[("zone", zone)]);
        let hosts = [
            host("a", "x"),
            host("b", "x"),
            host("c", "y"),
            host("d", "y"),
        ];
        let placed = place(&wish, &hosts, &Assignment::new());
        assert_eq!(text(&placed), "shop: a*3, b*3, c*1");
        let placed = place(&wish, &hosts[2..], &Assignment::new());
        assert_eq!(text(&placed), "shop: c*1");
        assert_eq!(
            placed.unplaced[0].to_string(),
            "`shop`: no host has the labels `zone=x`"
        );
    }

    #[test]
    fn a_daemon_runs_on_every_host_with_its_labels() {
        let mut wish = Wish {
            parts: vec![part("shop", Where::Every(vec![labels(&[("zone", "a")])]))],
            links: Vec::new(),
        };
        wish.parts[0].instances = Some(2);
        let placed = place(&wish, &three(), &Assignment::new());
        assert_eq!(text(&placed), "shop: a*2");
        wish.parts[0].place = Where::Every(Vec::new());
        let placed = place(&wish, &three(), &Assignment::new());
        assert_eq!(text(&placed), "shop: a*2, b*2, c*2");
        let placed = place(&wish, &[], &Assignment::new());
        assert_eq!(
            (text(&placed).as_str(), placed.unplaced.len()),
            ("shop: ", 1)
        );
    }

    #[test]
    fn thousands_of_hosts_come_and_go_and_nothing_moves_without_need() {
        let mut wish = wish([
            Where::Every(Vec::new()),
            Where::WithCallers,
            Where::Spread(vec![zone("z0"), zone("z1")]),
            Where::OneHost,
        ]);
        wish.parts[2].instances = Some(40);
        let mut hosts: Vec<_> = (0..3_000)
            .map(|i| host(&format!("h{i:04}"), &[("zone", &format!("z{}", i % 7))]))
            .collect();
        let first = place(&wish, &hosts, &Assignment::new());
        assert_eq!(first.assignment["shop"].len(), 3_000);
        assert_eq!(first.assignment["cart"].len(), 40);
        hosts.reverse();
        assert_eq!(place(&wish, &hosts, &Assignment::new()), first);
        // Half of the hosts go, those with even numbers.
        let stay: Vec<_> = (hosts.iter())
            .filter(|host| host.id.ends_with(['1', '3', '5', '7', '9']))
            .cloned()
            .collect();
        let second = place(&wish, &stay, &first.assignment);
        for host in first.assignment["cart"].keys() {
            let stays = stay.iter().any(|h| h.id == *host);
            assert_eq!(
                second.assignment["cart"].contains_key(host),
                stays,
                "{host}"
            );
        }
        assert_eq!(second.assignment["cart"].len(), 40);
        // They come back: nothing that found a place leaves it.
        let third = place(&wish, &hosts, &second.assignment);
        assert_eq!(third.assignment["cart"], second.assignment["cart"]);
        assert_eq!(third.assignment["kv"], second.assignment["kv"]);
    }

    /// Layers of ten parts; each but those of the first has ten callers, and some are bound to a place.
    fn layered(parts: usize) -> Wish {
        let asks = |i: usize| match i % 100 {
            0 => Where::Spread(vec![zone("a"), zone("b")]),
            7 => Where::OneHost,
            _ => Where::WithCallers,
        };
        Wish {
            parts: (0..parts)
                .map(|i| part(&format!("p{i}"), asks(i)))
                .collect(),
            links: (0..parts * 10)
                .map(|i| (i / 10, (i / 100 + 1) * 10 + i % 10))
                .filter(|(_, target)| *target < parts)
                .collect(),
        }
    }

    #[test]
    fn the_work_grows_with_the_application() {
        let work = |parts: usize| {
            let wish = layered(parts);
            let neighbours = Neighbours::of(&wish);
            let hosts = three();
            let current = Assignment::new();
            let mut placing = Placing::new(&wish, &hosts, &current, &neighbours);
            placing.run();
            assert!(placing.placed.iter().all(Option::is_some));
            // Each part once: its neighbours are looked at to place it, and to tell them.
            neighbours.seen.get()
        };
        let (small, large) = (work(1_000), work(10_000));
        assert!(large <= 11 * small, "{large} and {small}");
    }

    /// The order in the simplest way to say it: the next part is searched for among all.
    fn order_by_search(wish: &Wish) -> Vec<usize> {
        let links = || {
            wish.links
                .iter()
                .filter(|(source, target)| source != target)
        };
        let mut order: Vec<usize> = Vec::new();
        while order.len() < wish.parts.len() {
            let waiting = (0..wish.parts.len()).filter(|part| !order.contains(part));
            let next = waiting.min_by_key(|part| {
                let mut callers = links()
                    .filter(|(_, t)| t == part)
                    .map(|(s, _)| s)
                    .peekable();
                let mut callees = links().filter(|(s, _)| s == part).map(|(_, t)| t);
                if callers.peek().is_some() && callers.all(|c| order.contains(c)) {
                    0
                } else if callees.any(|c| order.contains(c)) {
                    1
                } else {
                    2
                }
            });
            order.extend(next);
        }
        order
    }

    #[test]
    fn the_order_is_that_of_a_search() {
        // Links drawn by a fixed rule: circles, several between the same parts, and some to themselves.
        for seed in 1..40_usize {
            let parts = 3 + seed % 17;
            let draw = |i: usize| (i * 7_919 * seed + i / 3 * 104_729) >> 3;
            let wish = Wish {
                parts: (0..parts)
                    .map(|i| part(&i.to_string(), Where::OneHost))
                    .collect(),
                links: (0..seed * 2)
                    .map(|i| (draw(i) % parts, draw(i + seed) % parts))
                    .collect(),
            };
            let neighbours = Neighbours::of(&wish);
            let mut order = Order::new(&neighbours);
            let found: Vec<_> = std::iter::from_fn(|| {
                let next = order.next()?;
                order.placed(next);
                Some(next)
            })
            .collect();
            assert_eq!(found, order_by_search(&wish), "{seed}");
        }
    }
}
