//! The hosts, the deployer and the faults of one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use withe_host::{HostLimits, HostOptions};
use withe_lattice::Lattice as _;
use withe_linker::input::LinkDefaults;
use withe_load::Registry;

use super::lattice::{Member, Store};
use super::observer::{Wrong, observe};
use super::shop::{Shop, Spread};
use super::time;
use crate::policy::AdmissionPolicy;
use crate::program_list::ProgramOptions;
use crate::this_host::ThisHost;
use crate::{Node, NodeOptions, desired};

/// The names of applications.
const NAMES: [&str; 2] = ["north", "south"];
/// The most hosts at a time.
const MOST_HOSTS: usize = 5;
/// How many things happen while things break.
const STEPS: usize = 30;
/// How long it may take until all is as it is desired, after the last fault.
const RECOVERY: Duration = Duration::from_secs(300);
/// How long it may take until all hosts have heard of each other: some leases.
const HEARD: Duration = Duration::from_secs(30);
/// How long nothing may change after that.
const QUIET: Duration = Duration::from_secs(30);
/// How often is looked whether all is as it is desired.
const LOOK: Duration = Duration::from_millis(200);
/// How often is looked whether a part is served somewhere.
const GLANCE: Duration = Duration::from_millis(5);

/// Counts of what happened in simulations.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) crashed: u64,
    pub(super) left: u64,
    pub(super) cut: u64,
    pub(super) put: u64,
    pub(super) removed: u64,
    pub(super) lost: u64,
}

impl AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.crashed += other.crashed;
        self.left += other.left;
        self.cut += other.cut;
        self.put += other.put;
        self.removed += other.removed;
        self.lost += other.lost;
    }
}

/// A host, and its connection.
struct SimulatedHost {
    member: Arc<Member>,
    node: Node,
}

/// All that there is.
pub(super) struct World {
    seed: u64,
    rng: Rng,
    store: Arc<Store>,
    deployer: Arc<Member>,
    hosts: Vec<SimulatedHost>,
    /// Hosts that there ever were.
    ever: u32,
    /// Versions of applications that there ever were.
    versions: u32,
    /// The desired applications, as far as the deployer knows, with their revisions in the lattice.
    desired: BTreeMap<&'static str, (Shop, u64)>,
    /// Hosts that are on their way out, and may take their time.
    leaving: JoinSet<()>,
    seen: Seen,
    wrong: Wrong,
}

impl World {
    /// Runs the world of a seed to its end.
    ///
    /// # Panics
    ///
    /// If something does not hold.
    pub(super) fn run(seed: u64) -> Seen {
        // For what draws without being given a generator.
        fastrand::seed(seed);
        let compiled = tempfile::tempdir().unwrap();
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(Self::new(seed).live(compiled.path()))
    }

    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let store = Store::new(rng.u64(..));
        Self {
            seed,
            rng,
            deployer: Member::new(&store),
            store,
            hosts: Vec::new(),
            ever: 0,
            versions: 0,
            desired: BTreeMap::new(),
            leaving: JoinSet::new(),
            seen: Seen::default(),
            wrong: Wrong::default(),
        }
    }

    async fn live(mut self, compiled: &Path) -> Seen {
        time::start();
        let observer = tokio::spawn(observe(self.store.clone(), self.wrong.clone()));
        for _ in 0..self.rng.usize(1..=3) {
            self.joins(compiled).await;
        }
        for _ in 0..STEPS {
            self.step(compiled).await;
            let wait = if self.rng.bool() { 300 } else { 8_000 };
            sleep(Duration::from_millis(self.rng.u64(..wait))).await;
        }
        self.mend(compiled).await;
        self.settles("after the faults").await;
        // The controller may hear some seconds later of a host that came or went, and share instances anew.
        sleep(HEARD).await;
        self.settles("after all was heard").await;
        self.stays_so().await;
        self.changes_without_a_gap().await;
        let wrong = self.wrong.all();
        assert!(wrong.is_empty(), "seed {}: {wrong:#?}", self.seed);
        observer.abort();
        self.seen
    }

    /// Something happens.
    async fn step(&mut self, compiled: &Path) {
        match self.rng.u8(..20) {
            0..=2 if self.hosts.len() < MOST_HOSTS => self.joins(compiled).await,
            3 | 4 if !self.hosts.is_empty() => {
                let host = self.hosts.swap_remove(self.rng.usize(..self.hosts.len()));
                host.member.connect(false);
                drop(host.node);
                self.seen.crashed += 1;
            }
            5 if !self.hosts.is_empty() => {
                let host = self.hosts.swap_remove(self.rng.usize(..self.hosts.len()));
                self.leaving.spawn(host.node.leave());
                self.seen.left += 1;
            }
            6..=8 => self.cut(false),
            9 | 10 => self.cut(true),
            11..=16 => {
                let name = NAMES[self.rng.usize(..NAMES.len())];
                // A deployer that is cut off may not know whether the put took place.
                _ = self.put(name).await;
            }
            17 => {
                let name = NAMES[self.rng.usize(..NAMES.len())];
                _ = desired::delete_application(&*self.deployer, name, None).await;
                self.desired.remove(name);
                self.seen.removed += 1;
            }
            18 => time::jump(self.rng.i64(-3_600_000..3_600_000)),
            19 if self.rng.u8(..3) == 0 => {
                self.store.lose();
                self.seen.lost += 1;
            }
            _ => {}
        }
    }

    /// Cuts or mends somebody's connection.
    fn cut(&mut self, connected: bool) {
        let of = self.rng.usize(..=self.hosts.len());
        let host = self.hosts.get(of).map(|host| &host.member);
        host.unwrap_or(&self.deployer).connect(connected);
        self.seen.cut += u64::from(!connected);
    }

    /// A host joins; one that cannot, does not.
    async fn joins(&mut self, compiled: &Path) {
        self.ever += 1;
        let member = Member::new(&self.store);
        let options = NodeOptions {
            name: format!("host{}", self.ever),
            labels: BTreeMap::new(),
            listen: None,
            advertise: Vec::new(),
            unix: false,
            url: None,
            wasmcloud: false,
            programs: ProgramOptions::default(),
            policy: AdmissionPolicy::of_lattice(),
            trust: None,
            key: None,
            seal_key: None,
            recent: None,
            host: HostOptions {
                cache_dir: Some(compiled.to_owned()),
                limits: HostLimits {
                    instances: 20,
                    ..HostLimits::default()
                },
                ..HostOptions::default()
            },
        };
        let registry = Registry::new(&[]).unwrap();
        let node = Node::join(member.clone(), registry, options).await.unwrap();
        self.hosts.push(SimulatedHost { member, node });
    }

    /// The deployer puts an application of this name.
    async fn put(&mut self, name: &'static str) -> Result<(), desired::PutError> {
        self.versions += 1;
        let shop = Shop::draw(name, self.versions, &mut self.rng);
        let (loaded, defaults) = (shop.load(), LinkDefaults::default());
        self.desired.remove(name);
        let put = desired::put_application(&*self.deployer, &loaded, &defaults, None, None).await?;
        self.desired.insert(name, (shop, put));
        self.seen.put += 1;
        Ok(())
    }

    /// Ends all faults, and has all that is desired put again, or removed.
    async fn mend(&mut self, compiled: &Path) {
        self.deployer.connect(true);
        for host in &self.hosts {
            host.member.connect(true);
        }
        while self.leaving.join_next().await.is_some() {}
        if self.hosts.is_empty() {
            self.joins(compiled).await;
        }
        // Hosts that were cut off hear again, and are heard, within that time.
        sleep(Duration::from_secs(10)).await;
        for name in NAMES {
            // An application that was lost is put again: `down` says of one that nobody reports just now that there is none.
            let is_there = desired::application(&*self.deployer, name)
                .await
                .unwrap()
                .is_some();
            if is_there && self.rng.u8(..4) == 0 {
                let removed = desired::delete_application(&*self.deployer, name, None).await;
                removed.unwrap();
                self.desired.remove(name);
            } else {
                self.put(name).await.unwrap();
            }
        }
    }

    /// Waits until all is as it is desired.
    async fn settles(&self, when: &str) {
        let began = Instant::now();
        while let Some(differs) = self.differs().await {
            let took = began.elapsed();
            assert!(took < RECOVERY, "seed {}, {when}: {differs}", self.seed);
            sleep(LOOK).await;
        }
    }

    /// Sees that nothing changes any more.
    async fn stays_so(&self) {
        let before = self.deployments().await;
        sleep(QUIET).await;
        let differs = self.differs().await;
        assert_eq!(differs, None, "seed {}, after a while", self.seed);
        assert_eq!(self.deployments().await, before, "seed {}", self.seed);
    }

    /// A host leaves, and applications are replaced, without a moment in which a part is nowhere.
    async fn changes_without_a_gap(&mut self) {
        let mut all: Vec<_> = self
            .hosts
            .iter()
            .map(|host| host.node.this.clone())
            .collect();
        if self.hosts.len() > 1 {
            let host = self.hosts.swap_remove(self.rng.usize(..self.hosts.len()));
            let leaving = tokio::spawn(host.node.leave());
            while !leaving.is_finished() {
                self.everything_is_served(&all, &self.desired);
                sleep(GLANCE).await;
            }
            leaving.await.unwrap();
            all.retain(|this| self.hosts.iter().any(|host| host.node.id() == this.id));
            self.settles("after a host has left").await;
        }
        let before = self.desired.clone();
        for name in before.keys() {
            self.put(name).await.unwrap();
        }
        while self.differs().await.is_some() {
            self.everything_is_served(&all, &before);
            sleep(GLANCE).await;
        }
        self.settles("after applications were replaced").await;
    }

    /// Sees that every part which there is before and after a change runs somewhere.
    fn everything_is_served(
        &self,
        all: &[Arc<ThisHost>],
        before: &BTreeMap<&'static str, (Shop, u64)>,
    ) {
        for (name, (shop, _)) in before {
            let served: BTreeSet<String> = (all.iter())
                .filter_map(|this| this.applications.get(name))
                .flat_map(|served| {
                    let parts = served.plan.components.clone();
                    parts.into_iter().filter(|part| !part.elsewhere)
                })
                .map(|part| part.name)
                .collect();
            let now = self.desired.get(name).map(|(shop, _)| &shop.parts);
            for part in shop.parts.keys() {
                let stays = now.is_none_or(|parts| parts.contains_key(part));
                let is_served = !stays || served.contains(part);
                assert!(
                    is_served,
                    "seed {}: `{part}` of `{name}` is nowhere",
                    self.seed
                );
            }
        }
    }

    /// The number and revision of each deployment.
    async fn deployments(&self) -> Vec<(u64, u64)> {
        let lattice = self.store.kept().borrow().lattice.clone();
        let entries = lattice.list(crate::records::DEPLOYMENTS).await.unwrap();
        let mut all = Vec::new();
        for entry in entries {
            let deployment = crate::records::read::<crate::records::Deployment>(&entry).unwrap();
            all.push((deployment.number, entry.revision));
        }
        all
    }

    /// The first difference from the desired state.
    async fn differs(&self) -> Option<String> {
        let lattice = self.store.kept().borrow().lattice.clone();
        let hosts = desired::hosts(&lattice).await.unwrap();
        let alive: BTreeSet<&str> = self.hosts.iter().map(|host| host.node.id()).collect();
        let known: BTreeSet<&str> = hosts.iter().map(|host| &*host.id).collect();
        if alive != known {
            return Some(format!("the hosts are {known:?} and not {alive:?}"));
        }
        for name in NAMES {
            let deployment = desired::deployment(&lattice, name).await.unwrap();
            let Some((shop, revision)) = self.desired.get(name) else {
                let here = |host: &&SimulatedHost| host.node.this.applications.get(name).is_some();
                let told = hosts.iter().find(|host| host.apps.contains_key(name));
                if deployment.is_some() || told.is_some() || self.hosts.iter().any(|h| here(&h)) {
                    return Some(format!("`{name}` goes on: {deployment:?}, {told:#?}"));
                }
                continue;
            };
            let Some(deployment) = deployment.filter(|d| d.revision == *revision) else {
                return Some(format!("`{name}` has no deployment of revision {revision}"));
            };
            if !deployment.unplaced.is_empty() || !deployment.hosts.keys().eq(shop.parts.keys()) {
                return Some(format!("`{name}` is placed in part: {deployment:#?}"));
            }
            for (part, shares) in &deployment.hosts {
                let on: BTreeSet<&str> = shares.keys().map(String::as_str).collect();
                let is_so = match shop.parts[part] {
                    Spread::Every => on == alive,
                    Spread::Instances(_) | Spread::Unsaid => !on.is_empty() && on.is_subset(&alive),
                };
                if !is_so {
                    return Some(format!(
                        "`{part}` of `{name}` is to run on {on:?} of {alive:?}"
                    ));
                }
            }
            for host in &hosts {
                let wanted: BTreeSet<&str> = (deployment.hosts.iter())
                    .filter(|(_, shares)| shares.contains_key(&host.id))
                    .map(|(part, _)| &**part)
                    .collect();
                let report = host.apps.get(name);
                let runs: BTreeSet<&str> = (report.iter())
                    .flat_map(|report| &report.parts)
                    .map(|part| &*part.name)
                    .collect();
                let is_current = report.is_none_or(|report| {
                    let is_well = report.failure.is_none() && !report.lost;
                    is_well && (report.number, report.revision) == (deployment.number, *revision)
                });
                if runs != wanted || !is_current || report.is_some() == wanted.is_empty() {
                    let host = &host.name;
                    return Some(format!(
                        "`{host}` is to run {wanted:?} of `{name}` by {deployment:#?}, and runs {report:#?}"
                    ));
                }
            }
        }
        None
    }
}
