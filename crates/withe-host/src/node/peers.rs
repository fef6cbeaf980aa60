//! The hosts of the lattice: what they run, and the ways to them.
//!
//! A call looks nothing up. Each link that leaves this host has a route, which knows the replicas of its target;
//! what hosts report is put into the routes when it comes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use withe_lattice::transport::NatsConnector;
use withe_linker::plan::{Binding, PlannedLink};
use withe_rpc::tcp::TcpConnector;
use withe_rpc::{
    Client, Fingerprint, Identity, Limits, LinkRequest, Members, Replica, Route, RouteRules,
};

use super::records::HostRecord;
use crate::away::Away;

/// How long a host that is gone may still connect: its lease may run out while it is only slow.
const MEMBER: Duration = Duration::from_secs(60);
/// How long it may take to find out whether a host can be reached directly.
const PROBE: Duration = Duration::from_secs(2);
/// How often that is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// The hosts by id, with this one.
pub(super) type Hosts = BTreeMap<String, Arc<HostRecord>>;

/// Who this host is among the others.
pub(super) struct Own {
    pub(super) id: String,
    pub(super) machine: String,
    pub(super) lattice: String,
    pub(super) identity: Identity,
    pub(super) nats: Option<NatsConnector>,
}

/// The other hosts.
pub(super) struct Peers {
    own: Own,
    /// Who may connect here.
    members: Members,
    state: Mutex<State>,
    /// Changes with what is known of the hosts, and of the ways to them.
    hosts: watch::Sender<Arc<Hosts>>,
}

#[derive(Default)]
struct State {
    peers: HashMap<String, Peer>,
    routes: Vec<Leaving>,
    tasks: JoinSet<()>,
}

/// One other host.
struct Peer {
    /// What it told last.
    record: Arc<HostRecord>,
    /// When its lease ran out, if it did.
    gone: Option<Instant>,
    /// Whether it can be reached directly; not known until it was tried.
    direct: Option<bool>,
    tcp: Option<Arc<Client>>,
    nats: Option<Arc<Client>>,
}

/// A link that leaves this host.
struct Leaving {
    application: String,
    target: String,
    binding: Binding,
    route: Weak<Route>,
}

impl Peers {
    pub(super) fn new(own: Own) -> Arc<Self> {
        Arc::new(Self {
            own,
            members: Members::default(),
            state: Mutex::default(),
            hosts: watch::channel(Arc::default()).0,
        })
    }

    /// Who may connect.
    pub(super) fn members(&self) -> Members {
        self.members.clone()
    }

    /// The hosts as they are, and as they change.
    pub(super) fn hosts(&self) -> watch::Receiver<Arc<Hosts>> {
        self.hosts.subscribe()
    }

    /// Takes note of what all hosts tell.
    pub(super) fn set(self: &Arc<Self>, hosts: Hosts) {
        let mut state = self.lock();
        while state.tasks.try_join_next().is_some() {}
        let now = Instant::now();
        // With this one: links that are pinned to a wire may lead from it to itself.
        for (id, record) in &hosts {
            if let Some(peer) = state.peers.get_mut(id) {
                peer.record = record.clone();
                peer.gone = None;
                continue;
            }
            let peer = self.peer(record.clone());
            if let Some(client) = peer.tcp.as_ref().filter(|_| *id != self.own.id) {
                let probing = probe(Arc::downgrade(self), id.clone(), client.clone());
                state.tasks.spawn(probing);
            }
            state.peers.insert(id.clone(), peer);
        }
        for (id, peer) in &mut state.peers {
            if !hosts.contains_key(id) {
                peer.gone.get_or_insert(now);
            }
        }
        state
            .peers
            .retain(|_, peer| peer.gone.is_none_or(|gone| now - gone < MEMBER));
        let fingerprints = (state.peers.values())
            .filter_map(|peer| peer.record.tcp.as_ref()?.fingerprint.parse().ok());
        self.members.replace(fingerprints.collect::<HashSet<_>>());
        self.update(&mut state);
        drop(state);
        self.hosts.send_replace(Arc::new(hosts));
    }

    /// Whether all of these hosts can be reached directly; it is found out first, if need be.
    pub(super) async fn are_direct(&self, hosts: &[String]) -> bool {
        let mut changes = self.hosts.subscribe();
        let known = async {
            loop {
                let unknown = {
                    let state = self.lock();
                    let mut peers = hosts.iter().filter_map(|id| state.peers.get(id));
                    peers.any(|peer| peer.tcp.is_some() && peer.direct.is_none())
                };
                if !unknown || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        _ = timeout(PROBE, known).await;
        let state = self.lock();
        let is_direct = |id: &String| {
            let peer = state.peers.get(id);
            peer.is_some_and(|peer| peer.direct == Some(true))
        };
        hosts.iter().all(is_direct)
    }

    /// Whether all of these hosts are on this machine.
    pub(super) fn are_on_this_machine(&self, hosts: &[String]) -> bool {
        let state = self.lock();
        let is_here = |id: &String| {
            let peer = state.peers.get(id);
            peer.is_some_and(|peer| peer.record.machine == self.own.machine)
        };
        hosts.iter().all(is_here)
    }

    /// Ends all connections.
    pub(super) async fn close(&self) {
        let state = std::mem::take(&mut *self.lock());
        drop(state.tasks);
        let peers = state.peers.into_values();
        let clients = peers.flat_map(|peer| [peer.tcp, peer.nats]).flatten();
        futures::future::join_all(clients.map(|client| async move { client.close().await })).await;
    }

    fn peer(&self, record: Arc<HostRecord>) -> Peer {
        let limits = Limits {
            // A host that has vanished is to be noticed soon: others may have what it had.
            keep_alive: Duration::from_secs(4),
            answer: Duration::from_secs(4),
            ..Limits::default()
        };
        let tcp = record.tcp.as_ref().and_then(|tcp| {
            let fingerprint: Fingerprint = tcp.fingerprint.parse().ok()?;
            let addresses = tcp.addresses.clone();
            let connector = TcpConnector::new(addresses, &self.own.identity, fingerprint).ok()?;
            Some(Client::new(Arc::new(connector), limits.clone()))
        });
        let nats = (self.own.nats.as_ref())
            .filter(|_| record.nats)
            .and_then(|nats| nats.to(&record.id).ok())
            .map(|connector| Client::new(Arc::new(connector), limits));
        Peer {
            record,
            gone: None,
            direct: None,
            tcp,
            nats,
        }
    }

    /// Puts what is known of the hosts into all routes.
    fn update(&self, state: &mut State) {
        state
            .routes
            .retain(|leaving| leaving.route.strong_count() > 0);
        for leaving in &state.routes {
            if let Some(route) = leaving.route.upgrade() {
                route.set(self.replicas(&state.peers, leaving));
            }
        }
    }

    fn replicas(&self, peers: &HashMap<String, Peer>, leaving: &Leaving) -> Vec<Replica> {
        let runs = |peer: &&Peer| {
            peer.gone.is_none() && peer.record.runs(&leaving.application, &leaving.target)
        };
        let replica = |peer: &Peer| {
            let client = match leaving.binding {
                Binding::Nats => peer.nats.as_ref(),
                _ => peer.tcp.as_ref(),
            };
            Some(Replica {
                id: peer.record.id.clone(),
                client: client?.clone(),
                near: peer.record.machine == self.own.machine,
            })
        };
        peers.values().filter(runs).filter_map(replica).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Away for Peers {
    fn route(&self, mut request: LinkRequest, link: &PlannedLink) -> Option<Arc<Route>> {
        request.lattice.clone_from(&self.own.lattice);
        let mut state = self.lock();
        let application = request.application.clone();
        let rules = RouteRules {
            idempotent: link.idempotent,
        };
        let route = Route::new(request, rules);
        let leaving = Leaving {
            application,
            target: link.target.clone(),
            binding: link.binding,
            route: Arc::downgrade(&route),
        };
        route.set(self.replicas(&state.peers, &leaving));
        state.routes.push(leaving);
        Some(route)
    }
}

/// Finds out whether a host can be reached directly, and goes on as long as it cannot.
async fn probe(peers: Weak<Peers>, id: String, client: Arc<Client>) {
    loop {
        let reached = timeout(PROBE, client.reach(Instant::now() + PROBE)).await;
        let is_direct = matches!(reached, Ok(Ok(())));
        let Some(peers) = peers.upgrade() else { return };
        {
            let mut state = peers.lock();
            let Some(peer) = state.peers.get_mut(&id) else {
                return;
            };
            peer.direct = Some(is_direct);
        }
        // Those who wait for it look again.
        peers.hosts.send_modify(|_| {});
        drop(peers);
        if is_direct {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}
