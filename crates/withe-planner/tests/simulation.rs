//! Controllers and hosts that meet in a store, none of them with a true picture of it, while hosts crash, leave, join,
//! fall asleep and are cut off.
//!
//! The store, the leases and the hosts are models; where parts run is decided by the planner itself, by the rules of a
//! controller: the lease's holder decides by what it has seen, and writes over the entry that it knows. Time is a
//! counter, chance a seed, so that a run that fails fails again: `WITHE_SIMULATION_SEED=N`.
//!
//! The invariants:
//!
//! * Numbers of deployments only grow, whichever host writes them, and however long it has slept before.
//! * A part that is known to run somewhere is left nowhere before another host is known to run it.
//! * With the faults over, every part comes to run where the planner wants it and nowhere else, and nothing
//!   changes any more.

use std::collections::{BTreeMap, BTreeSet};
use std::env;

use fastrand::Rng;
use withe_planner::{
    Assignment, HostView, PartWish, Placed, Spread, Where, Wish, place, transition,
};

/// How many seeds each run of the tests tries.
const SEEDS: u64 = 400;
/// Steps with faults.
const STEPS: u64 = 600;
/// How many steps a lease lives that is not renewed.
const LEASE: u64 = 40;
/// Rounds after the last fault, in each of which every host does all that it can.
const ROUNDS: u64 = 80;
/// Of these the last, in which nothing may change.
const QUIET: u64 = 10;

/// The decision of a controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Deployment {
    number: u64,
    /// The revision of what was desired.
    desired: u64,
    hosts: Assignment,
}

/// The report of a host about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    labels: BTreeMap<String, String>,
    leaving: bool,
    running: BTreeSet<String>,
    number: u64,
}

/// The lattice, in which all meet.
#[derive(Clone, Debug, Default)]
struct Store {
    revision: u64,
    desired: (u64, Wish),
    deployment: Option<(Deployment, u64)>,
    /// The controller, and until when.
    lease: Option<(String, u64)>,
    records: BTreeMap<String, (Record, u64)>,
}

/// A host, with what it has seen of the store.
struct Host {
    id: String,
    record: Record,
    connected: bool,
    desired: (u64, Wish),
    deployment: Option<(Deployment, u64)>,
    records: BTreeMap<String, Record>,
    /// The decision that this host wrote last as the controller.
    decided: Option<(Deployment, u64)>,
    /// A decision on its way to the store, and the revision that it replaces.
    writing: Option<(Deployment, Option<u64>)>,
    /// Parts that are being started.
    starting: BTreeSet<String>,
}

struct World {
    rng: Rng,
    seed: u64,
    time: u64,
    store: Store,
    hosts: Vec<Host>,
    /// Hosts that there ever were: each has an id of its own.
    ever: u32,
    /// Deployments that were written.
    written: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            rng: Rng::with_seed(seed),
            seed,
            time: 0,
            store: Store::default(),
            hosts: Vec::new(),
            ever: 0,
            written: 0,
        };
        for _ in 0..world.rng.u8(1..=5) {
            world.joins();
        }
        world.desires();
        world
    }

    fn joins(&mut self) {
        self.ever += 1;
        let zone = ["east", "west"][self.rng.usize(..2)];
        self.hosts.push(Host {
            id: format!("h{:02}", self.ever),
            record: Record {
                labels: BTreeMap::from([("zone".into(), zone.into())]),
                leaving: false,
                running: BTreeSet::new(),
                number: 0,
            },
            connected: true,
            desired: Default::default(),
            deployment: None,
            records: BTreeMap::new(),
            decided: None,
            writing: None,
            starting: BTreeSet::new(),
        });
    }

    /// Somebody puts the application, or another form of it.
    fn desires(&mut self) {
        let parts = (0..self.rng.usize(1..=5)).map(|i| {
            let east = BTreeMap::from([("zone".to_owned(), "east".to_owned())]);
            let place = match self.rng.u8(..5) {
                0 => Where::OneHost,
                1 => Where::Every(vec![]),
                2 => Where::Every(vec![east]),
                3 => Where::Spread(vec![Spread {
                    labels: east,
                    weight: 100,
                }]),
                _ => Where::WithCallers,
            };
            PartWish {
                name: format!("p{i}"),
                place,
                instances: self.rng.bool().then(|| self.rng.u32(1..4)),
            }
        });
        let parts: Vec<PartWish> = parts.collect();
        let links = (1..parts.len()).map(|target| (self.rng.usize(..target), target));
        let links = links.collect();
        self.store.revision += 1;
        self.store.desired = (self.store.revision, Wish { parts, links });
    }

    fn step(&mut self) {
        self.time += 1;
        self.expire();
        let i = self.rng.usize(..self.hosts.len());
        match self.rng.u8(..100) {
            0..20 => self.hears(i),
            20..40 => self.tells(i),
            40..60 => self.decides(i),
            60..72 => self.writes(i),
            72..82 => self.follows(i),
            82..90 => self.starts(i),
            90..92 => self.hosts[i].connected ^= true,
            92 if self.hosts.len() > 1 => drop(self.hosts.swap_remove(i)),
            93 if self.hosts.len() > 1 => self.hosts[i].record.leaving = true,
            94..96 if self.hosts.len() < 6 => self.joins(),
            96 => self.desires(),
            // A host sleeps for longer than its lease lives.
            97 => self.time += LEASE,
            _ => {}
        }
    }

    fn expire(&mut self) {
        let time = self.time;
        self.store.records.retain(|_, (_, until)| *until > time);
        self.store.lease.take_if(|(_, until)| *until <= time);
    }

    /// Some of what changed in the store reaches a host.
    fn hears(&mut self, i: usize) {
        let (host, store) = (&mut self.hosts[i], &self.store);
        if !host.connected {
            return;
        }
        let some = self.rng.u8(1..8);
        if some & 1 != 0 {
            host.desired = store.desired.clone();
        }
        if some & 2 != 0 {
            host.deployment = store.deployment.clone();
        }
        if some & 4 != 0 {
            let records = store.records.iter();
            host.records = records
                .map(|(id, (r, _))| (id.clone(), r.clone()))
                .collect();
        }
    }

    /// A host renews its lease, with what it runs.
    fn tells(&mut self, i: usize) {
        let host = &self.hosts[i];
        if host.connected {
            let record = (host.record.clone(), self.time + LEASE);
            self.store.records.insert(host.id.clone(), record);
        }
    }

    /// A host decides, if it is the controller or can become it.
    fn decides(&mut self, i: usize) {
        let (host, store) = (&mut self.hosts[i], &mut self.store);
        let others = |(id, _): &(String, u64)| *id != host.id;
        if !host.connected || store.lease.as_ref().is_some_and(others) {
            return;
        }
        if store.lease.is_none() {
            host.decided = None;
        }
        store.lease = Some((host.id.clone(), self.time + LEASE));
        if !host.records.contains_key(&host.id) || host.desired.0 == 0 {
            return;
        }
        let known = [host.deployment.as_ref(), host.decided.as_ref()];
        let current = known
            .into_iter()
            .flatten()
            .max_by_key(|(_, revision)| *revision);
        let none = Assignment::new();
        let before = current.map_or(&none, |(deployment, _)| &deployment.hosts);
        let (placed, hosts) = next(&host.desired.1, &host.records, before);
        keeps_what_runs(self.seed, before, &placed, &hosts, &host.records);
        let numbers = known.into_iter().flatten().map(|(d, _)| d.number);
        let followed = host.records.values().map(|record| record.number);
        let highest = numbers.chain(followed).max().unwrap_or(0);
        let deployment = Deployment {
            number: host.desired.0.max(highest + 1),
            desired: host.desired.0,
            hosts,
        };
        let is_same = current.is_some_and(|(d, _)| {
            d.number == highest && (d.desired, &d.hosts) == (deployment.desired, &deployment.hosts)
        });
        if !is_same {
            host.writing = Some((deployment, current.map(|(_, revision)| *revision)));
        }
    }

    /// A decision of a host reaches the store, perhaps long after.
    fn writes(&mut self, i: usize) {
        let (host, store) = (&mut self.hosts[i], &mut self.store);
        if !host.connected {
            return;
        }
        let Some((deployment, expect)) = host.writing.take() else {
            return;
        };
        let there = store.deployment.as_ref();
        if there.map(|(_, revision)| *revision) != expect {
            host.decided = None;
            return;
        }
        assert!(
            there.is_none_or(|(before, _)| before.number < deployment.number),
            "seed {}: {deployment:?} is no newer than {there:?}",
            self.seed
        );
        store.revision += 1;
        store.deployment = Some((deployment.clone(), store.revision));
        host.decided = Some((deployment, store.revision));
        self.written += 1;
    }

    /// A host does what the deployment says that it has seen.
    fn follows(&mut self, i: usize) {
        let host = &mut self.hosts[i];
        let Some((deployment, _)) = &host.deployment else {
            return;
        };
        if deployment.number < host.record.number || deployment.desired != host.desired.0 {
            return;
        }
        host.record.number = deployment.number;
        let own = deployment
            .hosts
            .iter()
            .filter(|(_, on)| on.contains_key(&host.id));
        let own: BTreeSet<String> = own.map(|(part, _)| part.clone()).collect();
        host.record.running.retain(|part| own.contains(part));
        host.starting = own.difference(&host.record.running).cloned().collect();
    }

    /// Parts that are being started have started.
    fn starts(&mut self, i: usize) {
        let host = &mut self.hosts[i];
        host.record.running.append(&mut host.starting);
    }

    /// Ends all faults; then everything comes to rest where the planner wants it.
    fn heals(&mut self) {
        for host in &mut self.hosts {
            host.connected = true;
        }
        if self.hosts.iter().all(|host| host.record.leaving) {
            self.joins();
        }
        // Leases of those who are gone run out.
        self.time += LEASE;
        for round in 0..ROUNDS {
            let written = self.written;
            for i in 0..self.hosts.len() {
                self.time += 1;
                self.expire();
                self.tells(i);
                for _ in 0..8 {
                    self.hears(i);
                }
                self.decides(i);
                self.writes(i);
                self.follows(i);
                self.starts(i);
            }
            assert!(
                round < ROUNDS - QUIET || self.written == written,
                "seed {}: deployments are written without end: {:?}",
                self.seed,
                self.store.deployment
            );
        }
        let records = self.store.records.iter();
        let records: BTreeMap<String, Record> = records
            .map(|(id, (record, _))| (id.clone(), record.clone()))
            .collect();
        let (deployment, _) = self.store.deployment.as_ref().unwrap();
        let placed = wanted(&self.store.desired.1, &records, &deployment.hosts);
        for part in &self.store.desired.1.parts {
            let running = |(_, record): &(&String, &Record)| record.running.contains(&part.name);
            let running = records.iter().filter(running).map(|(id, _)| id);
            let wanted = placed.assignment[&part.name].keys();
            let (running, wanted): (Vec<_>, Vec<_>) = (running.collect(), wanted.collect());
            // One that no host may run any more stays where it is.
            if !wanted.is_empty() {
                assert_eq!(running, wanted, "seed {}: `{}`", self.seed, part.name);
            }
        }
    }
}

fn wanted(wish: &Wish, records: &BTreeMap<String, Record>, before: &Assignment) -> Placed {
    let views = records.iter().filter(|(_, record)| !record.leaving);
    let views = views.map(|(id, record)| HostView {
        id: id.clone(),
        labels: record.labels.clone(),
        load: 0,
    });
    place(wish, &views.collect::<Vec<_>>(), before)
}

/// Decides as a controller that has seen these hosts.
fn next(
    wish: &Wish,
    records: &BTreeMap<String, Record>,
    before: &Assignment,
) -> (Placed, Assignment) {
    let placed = wanted(wish, records, before);
    let alive = records.keys().cloned().collect();
    let is_ready = |part: &str, host: &str| records[host].running.contains(part);
    let is_ready = |part: &str, host: &str| records.contains_key(host) && is_ready(part, host);
    let mut hosts = transition(before, &placed.assignment, &alive, is_ready);
    for (part, on) in &mut hosts {
        if placed.assignment.get(part).is_none_or(BTreeMap::is_empty) {
            on.retain(|id, _| records.get(id).is_some_and(|record| !record.leaving));
        }
    }
    (placed, hosts)
}

/// A part that runs on a host that has it goes on to run on one that is to have it.
fn keeps_what_runs(
    seed: u64,
    before: &Assignment,
    placed: &Placed,
    after: &Assignment,
    records: &BTreeMap<String, Record>,
) {
    for (part, hosts) in after {
        let runs = |id: &&String| records.get(*id).is_some_and(|r| r.running.contains(part));
        let ran = before
            .get(part)
            .is_some_and(|on| on.keys().any(|id| runs(&id)));
        let is_wanted = placed.assignment.get(part).is_some_and(|on| !on.is_empty());
        assert!(
            !ran || !is_wanted || hosts.keys().any(|id| runs(&id)),
            "seed {seed}: `{part}` is left by all that run it: {before:?} to {after:?}"
        );
    }
}

#[test]
fn whatever_hosts_have_seen_no_plan_goes_back_and_all_come_to_rest() {
    let seeds = match env::var("WITHE_SIMULATION_SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => 0..SEEDS,
    };
    for seed in seeds {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.heals();
        assert!(world.written > 0, "seed {seed}: nothing was deployed");
    }
}
