//! Finding hosts for the parts of an application.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Why: one line.
    pub why: String,
}

/// Finds hosts for what `wish` asks. `current` is where parts run now: they stay there if they may.
/// Depends on the order of `hosts` in nothing.
pub fn place(wish: &Wish, hosts: &[HostView], current: &Assignment) -> Placed {
    let mut placing = Placing {
        wish,
        hosts,
        current,
        placed: Placed::default(),
    };
    for part in &wish.parts {
        match &part.place {
            Where::Spread(spread) => placing.spread(part, spread),
            Where::Every(labels) => placing.every(part, labels),
            Where::WithCallers | Where::OneHost => {}
        }
    }
    while let Some(part) = placing.next() {
        placing.near(part);
    }
    placing.placed
}

struct Placing<'a> {
    wish: &'a Wish,
    hosts: &'a [HostView],
    current: &'a Assignment,
    placed: Placed,
}

impl<'a> Placing<'a> {
    /// The part to be placed next: the more is known of where its neighbours run, the sooner.
    fn next(&self) -> Option<usize> {
        let parts = 0..self.wish.parts.len();
        let waiting = parts.filter(|part| !self.is_placed(*part));
        waiting.min_by_key(|part| {
            let callers = self.callers(*part);
            let mut callees = self.callees(*part);
            if callers.clone().next().is_some() && callers.clone().all(|c| self.is_placed(c)) {
                0
            } else if callees.any(|c| self.is_placed(c)) {
                1
            } else {
                2
            }
        })
    }

    fn is_placed(&self, part: usize) -> bool {
        let name = &self.wish.parts[part].name;
        self.placed.assignment.contains_key(name)
    }

    fn callers(&self, part: usize) -> impl Iterator<Item = usize> + Clone {
        let links = self.wish.links.iter();
        links
            .filter(move |(source, target)| *target == part && *source != part)
            .map(|(source, _)| *source)
    }

    fn callees(&self, part: usize) -> impl Iterator<Item = usize> {
        let links = self.wish.links.iter();
        links
            .filter(move |(source, target)| *source == part && *target != part)
            .map(|(_, target)| *target)
    }

    fn hosts_of(&self, part: usize) -> BTreeSet<&String> {
        let name = &self.wish.parts[part].name;
        let hosts = self.placed.assignment.get(name);
        hosts.into_iter().flat_map(BTreeMap::keys).collect()
    }

    /// Places a part that may run anywhere near its neighbours.
    fn near(&mut self, index: usize) {
        let part = &self.wish.parts[index];
        let callers: BTreeSet<_> = self
            .callers(index)
            .flat_map(|caller| self.hosts_of(caller))
            .cloned()
            .collect();
        if part.place == Where::WithCallers && !callers.is_empty() {
            let hosts: Vec<_> = callers.into_iter().collect();
            return self.assign(part, &hosts);
        }
        let callees = self
            .callees(index)
            .flat_map(|callee| self.hosts_of(callee))
            .cloned()
            .collect();
        let all = self.hosts.iter().collect::<Vec<_>>();
        let order = |host: &&HostView| {
            let near = |hosts: &BTreeSet<String>| !hosts.contains(&host.id);
            (
                !self.runs_now(part, host),
                near(&callers),
                near(&callees),
                self.load(host),
                host.id.clone(),
            )
        };
        match all.into_iter().min_by_key(order) {
            Some(host) => {
                let host = host.id.clone();
                self.assign(part, &[host]);
            }
            None => self.unplaced(part, "there is no host".into()),
        }
    }

    fn every(&mut self, part: &PartWish, labels: &[BTreeMap<String, String>]) {
        let fits = |host: &&HostView| {
            labels.is_empty() || labels.iter().any(|labels| has_labels(host, labels))
        };
        let hosts: BTreeMap<_, _> = (self.hosts.iter().filter(fits))
            .map(|host| {
                let instances = part.instances;
                (host.id.clone(), Share { instances })
            })
            .collect();
        if hosts.is_empty() {
            let texts: Vec<_> = labels.iter().map(label_text).collect();
            let why = match texts.as_slice() {
                [] => "there is no host".into(),
                texts => format!("no host has the labels {}", texts.join(", or ")),
            };
            return self.unplaced(part, why);
        }
        self.placed.assignment.insert(part.name.clone(), hosts);
    }

    fn spread(&mut self, part: &PartWish, spread: &[Spread]) {
        let weights: Vec<u32> = spread.iter().map(|s| s.weight).collect();
        let counts: Vec<Option<u32>> = match part.instances {
            Some(instances) => divide(instances, &weights).into_iter().map(Some).collect(),
            // Without a number each share is one host, and as many instances as fit.
            None => vec![None; spread.len()],
        };
        let mut shares: BTreeMap<String, Share> = BTreeMap::new();
        let mut missing = Vec::new();
        for (spread, count) in spread.iter().zip(counts) {
            if count == Some(0) {
                continue;
            }
            let mut fitting: Vec<&HostView> = self
                .hosts
                .iter()
                .filter(|host| has_labels(host, &spread.labels))
                .collect();
            if fitting.is_empty() {
                missing.push(format!(
                    "no host has the labels {}",
                    label_text(&spread.labels)
                ));
                continue;
            }
            fitting.sort_by_key(|host| {
                (
                    shares.contains_key(&host.id),
                    !self.runs_now(part, host),
                    self.load(host),
                    host.id.clone(),
                )
            });
            let most = count.map_or(1, |count| count as usize);
            fitting.truncate(most);
            let each = vec![1; fitting.len()];
            let counts = count.map(|count| divide(count, &each));
            for (i, host) in fitting.into_iter().enumerate() {
                let share = shares.entry(host.id.clone()).or_insert(Share {
                    instances: counts.is_some().then_some(0),
                });
                if let (Some(counts), Some(instances)) = (&counts, &mut share.instances) {
                    *instances += counts[i];
                }
            }
        }
        self.placed.assignment.insert(part.name.clone(), shares);
        for why in missing {
            let part = part.name.clone();
            self.placed.unplaced.push(Unplaced { part, why });
        }
    }

    fn assign(&mut self, part: &PartWish, hosts: &[String]) {
        let counts = part
            .instances
            .map(|instances| divide(instances, &vec![1; hosts.len()]));
        let share = |i: usize| Share {
            // A host that runs a part at all can run one of it.
            instances: counts.as_ref().map(|counts| counts[i].max(1)),
        };
        let hosts = hosts.iter().enumerate();
        let shares = hosts.map(|(i, host)| (host.clone(), share(i))).collect();
        self.placed.assignment.insert(part.name.clone(), shares);
    }

    fn unplaced(&mut self, part: &PartWish, why: String) {
        let name = part.name.clone();
        self.placed.assignment.insert(name.clone(), BTreeMap::new());
        self.placed.unplaced.push(Unplaced { part: name, why });
    }

    fn runs_now(&self, part: &PartWish, host: &HostView) -> bool {
        let hosts = self.current.get(&part.name);
        hosts.is_some_and(|hosts| hosts.contains_key(&host.id))
    }

    /// How many parts the host has, with those that were placed so far.
    fn load(&self, host: &HostView) -> usize {
        let parts = self.placed.assignment.values();
        host.load + parts.filter(|hosts| hosts.contains_key(&host.id)).count()
    }
}

fn has_labels(host: &HostView, labels: &BTreeMap<String, String>) -> bool {
    labels
        .iter()
        .all(|(key, value)| host.labels.get(key) == Some(value))
}

/// `zone=east,disk=fast`
fn label_text(labels: &BTreeMap<String, String>) -> String {
    let texts: Vec<_> = labels.iter().map(|(k, v)| format!("`{k}={v}`")).collect();
    match texts.as_slice() {
        [] => "(none)".into(),
        texts => texts.join(" and "),
    }
}

/// `total` in shares that are as the weights are, rounded so that they are `total` together.
fn divide(total: u32, weights: &[u32]) -> Vec<u32> {
    let sum: u64 = weights.iter().map(|w| u64::from(*w)).sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    let exact = |weight: u32| u64::from(total) * u64::from(weight);
    let mut shares: Vec<u32> = weights
        .iter()
        // A share is no more than the total, which is a `u32`.
        .map(|weight| u32::try_from(exact(*weight) / sum).unwrap_or(u32::MAX))
        .collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(exact(weights[*i]) % sum), *i));
    let given: u64 = shares.iter().map(|share| u64::from(*share)).sum();
    let left = usize::try_from(u64::from(total).saturating_sub(given)).unwrap_or(0);
    for i in order.into_iter().take(left) {
        shares[i] += 1;
    }
    shares
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
        assert_eq!(placed.unplaced[0].why, "no host has the labels `zone=x`");
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

    #[test]
    fn shares_add_up() {
        assert_eq!(divide(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(divide(1, &[80, 20]), [1, 0]);
        assert_eq!(divide(u32::MAX, &[1, 1]), [1 << 31, (1 << 31) - 1]);
        assert_eq!(divide(5, &[0, 0]), [0, 0]);
    }
}
