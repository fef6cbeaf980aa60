//! The host on a lattice: it tells what it is and runs, hears what is desired, makes its part of that run,
//! and calls and is called by the other hosts.
//!
//! Everything here is level-triggered: a task looks at what is there and does what is missing, and does so
//! again whenever something changes. Nothing depends on having seen a change.
//!
//! * [`records`]: what is in the lattice; [`desired`]: putting and changing it; [`links`]: changes of links.
//! * `table` and `peers`: what this host has heard, of applications and of other hosts.
//! * [`placement`]: what follows from where parts run for each host.
//! * `library`: the applications that were read here.
//! * `controller`: where parts run; one host at a time decides it.
//! * `apps`: what this host runs of each application; `served`: what others may call of it.
//! * `programs`: programs of providers, given by the lattice.
//! * `wasmcloud`: what wasmCloud v1 has of this host: components here, and what its tools show.
//! * [`events`]: what happens, told to whoever listens; [`requests`]: what may be asked of a host.

mod apps;
mod controller;
pub mod desired;
pub mod events;
mod library;
pub mod links;
mod peers;
pub mod placement;
mod programs;
pub mod records;
pub mod requests;
mod served;
mod table;
mod wasmcloud;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use withe_lattice::transport::{NatsConnector, NatsListener};
use withe_lattice::{Change, Expect, LEASE, LatticeError, SharedLattice, Watch};
use withe_linker::input::LinkDefaults;
use withe_load::{Loaded, Registry};
use withe_rpc::tcp::TcpListener;
use withe_rpc::{Identity, Limits};

use crate::error::HostError;
use crate::host::Host;
use crate::options::{Broker, HostOptions};
use apps::{Application, Wanted};
use desired::PutError;
use events::{Event, Told};
use library::Library;
use peers::{Hosts, Own, Peers};
use programs::Programs;
use records::{
    APPS, DEPLOYMENTS, EVENTS, HOSTS, HostRecord, RunningApp, TcpRecord, key, read, write,
};
use served::Applications;
use table::Table;

/// How long others may take to hear of what this host tells.
const HEARD: Duration = Duration::from_millis(250);
/// The most events that wait to be told.
const EVENTS_WAITING: usize = 256;

/// How a host takes part in a lattice.
#[derive(Clone)]
pub struct NodeOptions {
    /// Its name, for people.
    pub name: String,
    /// Its labels, by which parts are placed.
    pub labels: BTreeMap<String, String>,
    /// Where it listens for other hosts; `None` if it cannot be reached directly.
    pub listen: Option<SocketAddr>,
    /// The addresses (`host:port`, or `host` for the port that it listens on) at which the others reach it,
    /// where they are not those that it finds itself.
    pub advertise: Vec<String>,
    /// The URL of the lattice's NATS server, for providers of wasmCloud v1, which connect themselves.
    pub url: Option<String>,
    /// Whether hosts, providers and tools of wasmCloud v1 on the lattice may call the components here.
    pub wasmcloud: bool,
    /// Whether it runs programs of providers that the lattice gives it, besides those that it has itself.
    pub programs: bool,
    /// How it runs applications.
    pub host: HostOptions,
}

/// Why a host does not join a lattice.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// It cannot run anything.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The lattice failed.
    #[error(transparent)]
    Lattice(#[from] LatticeError),
    /// Other hosts cannot connect.
    #[error("cannot listen for other hosts at `{address}`: {why}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        why: std::io::Error,
    },
    /// It has no place for programs.
    #[error("there is no place for the lattice's programs: {0}")]
    Programs(std::io::Error),
    /// It has no identity.
    #[error("cannot make an identity for this host: {0}")]
    Identity(String),
}

/// A host that has joined a lattice.
pub struct Node {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    announcing: JoinSet<()>,
    servers: JoinSet<()>,
    stop: CancellationToken,
    stop_announcing: CancellationToken,
    stop_servers: CancellationToken,
    table: watch::Receiver<Arc<Table>>,
    address: Option<SocketAddr>,
}

/// What the tasks of a node have in common.
pub(crate) struct Shared {
    pub(crate) id: String,
    name: String,
    pub(crate) lattice: SharedLattice,
    registry: Registry,
    host: Host,
    peers: Arc<Peers>,
    applications: Applications,
    programs: Programs,
    library: Library,
    /// By which components here are reached from wasmCloud v1, if they are.
    wasmcloud: Option<withe_wasmcloud::Wire>,
    /// What this host tells of itself.
    record: Mutex<HostRecord>,
    /// Changes with the record.
    changed: watch::Sender<u64>,
    /// How far the others can have heard.
    told: watch::Sender<u64>,
    events: mpsc::Sender<Event>,
}

impl Node {
    /// Joins `lattice`, with the providers of `registry`.
    ///
    /// # Errors
    ///
    /// If the host cannot run anything, cannot listen, or the lattice cannot be reached.
    pub async fn join(
        lattice: SharedLattice,
        registry: Registry,
        options: NodeOptions,
    ) -> Result<Self, NodeError> {
        let identity = Identity::generate().map_err(|e| NodeError::Identity(e.to_string()))?;
        let fingerprint = identity.fingerprint().to_string();
        // No other host has it, and it says which certificate is this host's.
        let id = fingerprint[..20].to_owned();
        let nats = lattice.nats();
        let mut host_options = options.host.clone();
        host_options.broker = nats.clone().map(|client| Broker {
            client,
            lattice: lattice.name().to_owned(),
            url: options.url.clone().unwrap_or_default(),
            host: id.clone(),
        });
        let host = Host::new(host_options)?;
        let wasmcloud = match &nats {
            Some(nats) if options.wasmcloud => Some(wasmcloud::open(nats.clone()).await?),
            _ => None,
        };
        let connector = (nats.clone())
            .map(|nats| NatsConnector::new(nats, lattice.name(), &id))
            .transpose()?;
        let peers = Peers::new(Own {
            id: id.clone(),
            machine: machine(),
            lattice: lattice.name().to_owned(),
            identity: identity.clone(),
            nats: connector,
        });
        let limits = Limits {
            grace: options.host.grace,
            ..Limits::default()
        };
        let stop_servers = CancellationToken::new();
        let mut servers = JoinSet::new();
        let applications = Applications::default();
        let mut tcp = None;
        let mut address = None;
        if let Some(listen) = options.listen {
            let failed = |why| NodeError::Listen {
                address: listen,
                why,
            };
            let listener = TcpListener::bind(listen, &identity, peers.members())
                .await
                .map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?;
            address = Some(bound);
            tcp = Some(TcpRecord {
                addresses: advertised(bound, &options.advertise, local_address(nats.as_ref())),
                fingerprint,
            });
            let (served, limits) = (Arc::new(applications.clone()), limits.clone());
            let end = stop_servers.clone().cancelled_owned();
            servers.spawn(async move { withe_rpc::serve(listener, served, limits, end).await });
        }
        if let Some(nats) = &nats {
            let listener = NatsListener::bind(nats.clone(), lattice.name(), &id).await?;
            let served = Arc::new(applications.clone());
            let end = stop_servers.clone().cancelled_owned();
            servers.spawn(async move { withe_rpc::serve(listener, served, limits, end).await });
        }
        let (events, telling) = mpsc::channel(EVENTS_WAITING);
        let shared = Arc::new(Shared {
            record: Mutex::new(HostRecord {
                id: id.clone(),
                name: options.name.clone(),
                version: env!("CARGO_PKG_VERSION").into(),
                machine: machine(),
                labels: options.labels,
                tcp,
                nats: nats.is_some(),
                started: millis() / 1_000,
                leaving: false,
                apps: BTreeMap::new(),
            }),
            id,
            name: options.name,
            lattice: lattice.clone(),
            registry,
            host,
            peers: peers.clone(),
            applications,
            programs: Programs::new(options.programs).map_err(NodeError::Programs)?,
            library: Library::default(),
            wasmcloud,
            changed: watch::channel(1).0,
            told: watch::channel(0).0,
            events,
        });
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let hosts = lattice.watch_leases(HOSTS).await?;
        let apps = lattice.watch(APPS).await?;
        let deployments = lattice.watch(DEPLOYMENTS).await?;
        let asked = requests::serve(&shared).await?;
        if let Some(wire) = &shared.wasmcloud {
            let tools = wasmcloud::listen_to_tools(wire, &shared).await?;
            tasks.spawn(wasmcloud::answer_tools(shared.clone(), tools, stop.clone()));
        }
        let stop_announcing = CancellationToken::new();
        let mut announcing = JoinSet::new();
        announcing.spawn(announce(shared.clone(), stop_announcing.clone()));
        let (table, heard) = watch::channel(Arc::new(Table::default()));
        tasks.spawn(tell(shared.clone(), telling, stop.clone()));
        tasks.spawn(hear_hosts(shared.clone(), hosts, stop.clone()));
        tasks.spawn(hear(table, apps, deployments, stop.clone()));
        tasks.spawn(run(shared.clone(), heard.clone(), stop.clone()));
        tasks.spawn(controller::run(shared.clone(), heard.clone(), stop.clone()));
        tasks.spawn(requests::answer(shared.clone(), asked, stop.clone()));
        shared.tell(Event::Joined);
        Ok(Self {
            shared,
            tasks,
            announcing,
            servers,
            stop,
            stop_announcing,
            stop_servers,
            table: heard,
            address,
        })
    }

    /// Its id, which no other host has.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// Where it listens for other hosts.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Puts an application that was read and linked without errors in the lattice, as
    /// [`desired::put_application`] does; returns its revision. This host does not read it again.
    ///
    /// # Errors
    ///
    /// As that.
    pub async fn put(
        &self,
        loaded: &Arc<Loaded>,
        defaults: &LinkDefaults,
    ) -> Result<u64, PutError> {
        let lattice = &*self.shared.lattice;
        let put = desired::Put::new(loaded, defaults, desired::surroundings(lattice)).await?;
        self.shared.library.keep(put.record.clone(), loaded.clone());
        put.carry_out(lattice).await
    }

    /// Waits until this host has taken up the revision of an application, or failed to; `None` if it is not to
    /// run any of it.
    pub async fn settled(&self, application: &str, revision: u64) -> Option<RunningApp> {
        let mut changed = self.shared.changed.subscribe();
        let mut table = self.table.clone();
        loop {
            let number = {
                let table = table.borrow_and_update();
                let deployment = table.deployments.get(application);
                let deployment = deployment.filter(|(d, _)| d.revision >= revision);
                let is_here = |hosts: &BTreeMap<_, _>| hosts.contains_key(&self.shared.id);
                match deployment {
                    Some((d, _)) if !d.hosts.values().any(is_here) => return None,
                    deployment => deployment.map(|(d, _)| d.number),
                }
            };
            changed.borrow_and_update();
            // What was reported before may be a failure of what was desired before.
            if let (Some(number), Some(app)) = (number, self.shared.reported(application))
                && app.number >= number
                && (app.revision >= revision || app.failure.is_some())
            {
                return Some(app);
            }
            tokio::select! {
                changed = changed.changed() => changed.ok()?,
                changed = table.changed() => changed.ok()?,
            }
        }
    }

    /// Leaves the lattice: others take over what runs here, work under way is finished, and all ends.
    pub async fn leave(mut self) {
        let shared = self.shared.clone();
        shared.tell(Event::Leaving);
        shared.lock().leaving = true;
        shared.changed.send_modify(|n| *n += 1);
        if timeout(shared.host.grace(), self.taken_over())
            .await
            .is_err()
        {
            tracing::warn!("no other host took over all that runs here in time");
        }
        // It must not be announced again once it is taken back.
        self.stop_announcing.cancel();
        while self.announcing.join_next().await.is_some() {}
        let own = key(HOSTS, &shared.id);
        let gone = shared.lattice.delete_lease(&own);
        if matches!(timeout(LEASE, gone).await, Ok(Ok(()))) {
            shared.settle_for(HEARD).await;
        }
        // What calls from outside ends before what it calls.
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.stop_servers.cancel();
        while self.servers.join_next().await.is_some() {}
        shared.peers.close().await;
    }

    /// Waits until nothing is to run here any more, if there are others to run it.
    async fn taken_over(&mut self) {
        let shared = &self.shared;
        if !shared.has_others() || !shared.lattice.is_connected() {
            return;
        }
        let runs_here = |table: &Arc<Table>| {
            let mut parts = (table.deployments.values()).flat_map(|(d, _)| d.hosts.values());
            parts.any(|hosts| hosts.contains_key(&shared.id))
        };
        // It fails if nobody can hear of it any more.
        drop(self.table.wait_for(|table| !runs_here(table)).await);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HostRecord> {
        // Nothing panics while the lock is held.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what happened, if anybody can hear it.
    pub(crate) fn tell(&self, event: Event) {
        tracing::debug!(?event);
        // A lattice that takes no events for so long has other worries.
        _ = self.events.try_send(event);
    }

    /// Tells what this host runs of an application now.
    fn report(&self, application: &str, app: Option<RunningApp>) {
        let is_new = {
            let mut record = self.lock();
            match app {
                Some(app) if record.apps.get(application) == Some(&app) => false,
                Some(app) => {
                    record.apps.insert(application.to_owned(), app);
                    true
                }
                None => record.apps.remove(application).is_some(),
            }
        };
        if is_new {
            self.changed.send_modify(|n| *n += 1);
        }
    }

    fn reported(&self, application: &str) -> Option<RunningApp> {
        self.lock().apps.get(application).cloned()
    }

    /// Waits until the others can have heard what was reported.
    async fn settle(&self) {
        let now = *self.changed.borrow();
        let mut told = self.told.subscribe();
        let heard = async { drop(told.wait_for(|told| *told >= now).await) };
        _ = timeout(HEARD, heard).await;
        self.settle_for(HEARD).await;
    }

    async fn settle_for(&self, time: Duration) {
        if self.has_others() {
            sleep(time).await;
        }
    }

    /// Whether there are other hosts.
    fn has_others(&self) -> bool {
        self.peers.hosts().borrow().len() > 1
    }
}

/// Keeps this host's lease, with what it tells of itself.
async fn announce(shared: Arc<Shared>, stop: CancellationToken) {
    let mut changed = shared.changed.subscribe();
    let mut ticks = interval(LEASE / 3);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let number = *changed.borrow_and_update();
        let value = write(&*shared.lock());
        match value {
            Ok(value) => match shared
                .lattice
                .put_lease(&key(HOSTS, &shared.id), value, Expect::Any)
                .await
            {
                Ok(_) => _ = shared.told.send_replace(number),
                Err(error) => tracing::debug!("the host's lease: {error}"),
            },
            Err(error) => tracing::error!("the host's lease: {error}"),
        }
        tokio::select! {
            _ = ticks.tick() => {}
            _ = changed.changed() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Takes note of what hosts tell.
async fn hear_hosts(shared: Arc<Shared>, mut watch: Watch, stop: CancellationToken) {
    let mut hosts = Hosts::new();
    let mut synced = false;
    loop {
        let change = tokio::select! {
            change = watch.recv() => change,
            () = stop.cancelled() => return,
        };
        let Some(change) = change else { return };
        match change {
            Change::Put(entry) => {
                if let Some(record) = read::<HostRecord>(&entry) {
                    let record = Arc::new(record);
                    let before = hosts.insert(record.id.clone(), record.clone());
                    // It was only renewed.
                    if synced && before.as_ref() == Some(&record) {
                        continue;
                    }
                }
            }
            Change::Gone { key } => {
                let id = records::name_of(HOSTS, &key);
                if let Some(record) = hosts.remove(&id) {
                    let name = record.name.clone();
                    shared.tell(Event::HostGone { name, id });
                }
            }
            Change::Synced => synced = true,
        }
        if synced {
            shared.peers.set(hosts.clone());
        }
    }
}

/// Takes note of what is desired and decided.
async fn hear(
    table: watch::Sender<Arc<Table>>,
    mut apps: Watch,
    mut deployments: Watch,
    stop: CancellationToken,
) {
    let (mut apps_synced, mut deployments_synced) = (false, false);
    loop {
        tokio::select! {
            change = apps.recv() => {
                let Some(change) = change else { return };
                apps_synced |= change == Change::Synced;
                table.send_modify(|table| Arc::make_mut(table).application(change));
            }
            change = deployments.recv() => {
                let Some(change) = change else { return };
                deployments_synced |= change == Change::Synced;
                table.send_modify(|table| Arc::make_mut(table).deployment(change));
            }
            () = stop.cancelled() => return,
        }
        if apps_synced && deployments_synced && !table.borrow().synced {
            table.send_modify(|table| Arc::make_mut(table).synced = true);
        }
    }
}

/// Has a task for each application.
async fn run(shared: Arc<Shared>, mut table: watch::Receiver<Arc<Table>>, stop: CancellationToken) {
    let mut running: HashMap<String, watch::Sender<Wanted>> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let now = table.borrow_and_update().clone();
        if now.synced {
            running.retain(|_, wanted| wanted.receiver_count() > 0);
            let names = now.desired.keys().chain(running.keys()).cloned();
            let names: Vec<_> = names.collect();
            for name in names {
                let wanted = Wanted {
                    desired: now.desired.get(&name).cloned(),
                    deployment: now.deployments.get(&name).map(|(d, _)| d.clone()),
                };
                match running.get(&name) {
                    Some(sender) => {
                        sender.send_if_modified(|before| before.replace_if_other(wanted));
                    }
                    None if wanted.desired.is_some() => {
                        let (sender, receiver) = watch::channel(wanted);
                        let application = Application::new(name.clone(), shared.clone());
                        tasks.spawn(application.run(receiver, stop.clone()));
                        running.insert(name, sender);
                    }
                    None => {}
                }
            }
        }
        tokio::select! {
            changed = table.changed() => if changed.is_err() { break },
            Some(_) = tasks.join_next() => {}
            () = stop.cancelled() => break,
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Tells events to whoever listens.
async fn tell(shared: Arc<Shared>, mut events: mpsc::Receiver<Event>, stop: CancellationToken) {
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = stop.cancelled() => return,
        };
        let Some(event) = event else { return };
        let told = Told {
            time: millis(),
            host: shared.name.clone(),
            host_id: shared.id.clone(),
            event,
        };
        let told = match write(&told) {
            Ok(told) => shared.lattice.publish(&key(EVENTS, &shared.id), told).await,
            Err(error) => Err(LatticeError::invalid(error)),
        };
        if let Err(error) = told {
            tracing::debug!("an event was not told: {error}");
        }
    }
}

/// Milliseconds since 1970.
fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// What tells this machine from others as long as it is up.
fn machine() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let id = id.or_else(|_| std::fs::read_to_string("/etc/machine-id"));
    id.map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}

/// The address by which this host reaches the broker, as the broker sees it.
fn local_address(nats: Option<&async_nats::Client>) -> Option<IpAddr> {
    nats?.server_info().client_ip.parse().ok()
}

/// The addresses at which others reach this host.
fn advertised(bound: SocketAddr, given: &[String], local: Option<IpAddr>) -> Vec<String> {
    if given.is_empty() {
        let ip = match bound.ip() {
            // The address by which it reaches the broker is one that others may reach it by.
            ip if ip.is_unspecified() => local.unwrap_or(Ipv4Addr::LOCALHOST.into()),
            ip => ip,
        };
        return vec![SocketAddr::new(ip, bound.port()).to_string()];
    }
    let with_port = |address: &String| {
        let has_port = address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        let is_bare_v6 = address.parse::<Ipv6Addr>().is_ok();
        match (has_port && !is_bare_v6, is_bare_v6) {
            (true, _) => address.clone(),
            (false, true) => format!("[{address}]:{}", bound.port()),
            (false, false) => format!("{address}:{}", bound.port()),
        }
    };
    given.iter().map(with_port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_with_their_ports() {
        let bound: SocketAddr = "0.0.0.0:7000".parse().unwrap();
        let local = Some("10.0.0.7".parse().unwrap());
        assert_eq!(advertised(bound, &[], local), ["10.0.0.7:7000"]);
        assert_eq!(advertised(bound, &[], None), ["127.0.0.1:7000"]);
        let given = [
            "a.example",
            "b.example:9",
            "fd00::1",
            "[fd00::1]:8",
            "1.2.3.4",
        ];
        assert_eq!(
            advertised(bound, &given.map(str::to_owned), local),
            [
                "a.example:7000",
                "b.example:9",
                "[fd00::1]:7000",
                "[fd00::1]:8",
                "1.2.3.4:7000"
            ]
        );
    }
}
