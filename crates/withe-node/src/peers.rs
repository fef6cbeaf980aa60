//! The hosts of the lattice: what they run, and the ways to them.
//!
//! A call looks nothing up. Each link that leaves this host has a route, which knows the replicas of its target;
//! what hosts report is put into the routes when it comes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use withe_host::Claims;
use withe_host::elsewhere::Away;
use withe_lattice::transport::NatsConnector;
use withe_linker::plan::{Binding, PlannedLink};
use withe_rpc::secure::SecureConnector;
use withe_rpc::tcp::{TcpConnector, TcpListener};
use withe_rpc::unix::UnixConnector;
use withe_rpc::{
    Client, Connect, Distance, Fingerprint, Identity, Limits, LinkRequest, Members, Proximity,
    Replica, Route, RouteRules, Serve,
};

use crate::beside;
use crate::hosts::{Hosts, Names, Reach};
use crate::records::HostRecord;

/// How long a host that is gone may still connect: its lease may run out while it is only slow.
const MEMBER: Duration = Duration::from_secs(60);
/// How long it may take to find out whether a host can be reached directly.
const PROBE: Duration = Duration::from_secs(2);
/// How often that is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Fewer routes are not worth searching for those that nobody has any more.
const FEW_ROUTES: usize = 64;

/// The identity of this host among the others.
pub(crate) struct OwnHost {
    pub(crate) id: String,
    pub(crate) machine: String,
    pub(crate) lattice: String,
    pub(crate) identity: Identity,
    pub(crate) nats: Option<NatsConnector>,
    /// Decides among hosts that run the same provider.
    pub(crate) claims: Option<Arc<dyn Claims>>,
}

/// The other hosts.
pub(crate) struct Peers {
    own: OwnHost,
    /// The identities that may connect here.
    members: Members,
    state: Mutex<PeerState>,
    /// Changes with what is known of the hosts, and of the ways to them.
    hosts: watch::Sender<Arc<Hosts>>,
}

#[derive(Default)]
struct PeerState {
    peers: HashMap<String, Peer>,
    routes: Vec<Leaving>,
    /// How many routes there may be before those are looked for that nobody has any more.
    crowded: usize,
    /// The way of this host to itself, where no other can reach it.
    to_itself: Option<Arc<Client>>,
    tasks: JoinSet<()>,
}

impl PeerState {
    /// Adds a route. On a lattice where no host changes, nothing else would ever look for those that went.
    fn add(&mut self, leaving: Leaving) {
        if self.routes.len() >= self.crowded {
            self.forget_unused();
        }
        self.routes.push(leaving);
    }

    /// Forgets the routes that nobody has any more.
    fn forget_unused(&mut self) {
        self.routes
            .retain(|leaving| leaving.route.strong_count() > 0);
        self.crowded = (2 * self.routes.len()).max(FEW_ROUTES);
    }
}

/// One other host.
struct Peer {
    /// The record that the host announced last.
    record: Arc<HostRecord>,
    /// When its lease ran out, if it did.
    gone: Option<Instant>,
    unix: Option<DirectWay>,
    tcp: Option<DirectWay>,
    nats: Option<Arc<Client>>,
}

/// A way to a host that no broker is on.
struct DirectWay {
    client: Arc<Client>,
    /// Whether it leads there, as was found last; not known until it was tried.
    leads: Option<bool>,
}

impl DirectWay {
    fn to(connector: impl Connect, limits: &Limits) -> Self {
        Self {
            client: Client::new(Arc::new(connector), limits.clone()),
            leads: None,
        }
    }
}

/// A link that leaves this host.
struct Leaving {
    application: String,
    target: String,
    ways: Ways,
    route: Weak<Route>,
}

/// The ways that a link may take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ways {
    /// Over a Unix socket, to hosts that cannot be reached so over TCP, and to the others by way of NATS.
    Cheapest,
    Unix,
    Tcp,
    Nats,
}

impl Ways {
    fn of(link: &PlannedLink) -> Self {
        match link.binding {
            _ if link.by_host => Self::Cheapest,
            Binding::Nats => Self::Nats,
            Binding::Unix => Self::Unix,
            _ => Self::Tcp,
        }
    }
}

impl Peer {
    /// The cheapest of these ways to it, and whether that is by way of a broker.
    fn way(&self, ways: Ways) -> Option<(&Arc<Client>, bool)> {
        let unix = self.unix.as_ref().map(|way| (&way.client, false));
        let tcp = self.tcp.as_ref().map(|way| (&way.client, false));
        let nats = self.nats.as_ref().map(|nats| (nats, true));
        match ways {
            Ways::Unix => unix,
            Ways::Tcp => tcp,
            Ways::Nats => nats,
            Ways::Cheapest if leads(&self.unix) => unix,
            Ways::Cheapest if leads(&self.tcp) => tcp,
            // Without NATS it can only be tried.
            Ways::Cheapest => nats.or(tcp).or(unix),
        }
    }

    /// The ways that no broker is on.
    fn direct(&mut self) -> impl Iterator<Item = &mut DirectWay> {
        [&mut self.unix, &mut self.tcp].into_iter().flatten()
    }
}

impl Peers {
    pub(crate) fn new(own: OwnHost) -> Arc<Self> {
        Arc::new(Self {
            own,
            members: Members::default(),
            state: Mutex::default(),
            hosts: watch::channel(Arc::default()).0,
        })
    }

    /// The identities that may connect.
    pub(crate) fn members(&self) -> Members {
        self.members.clone()
    }

    /// The hosts as they are, and as they change.
    pub(crate) fn hosts(&self) -> watch::Receiver<Arc<Hosts>> {
        self.hosts.subscribe()
    }

    /// Takes note of what all hosts tell.
    pub(crate) fn set(self: &Arc<Self>, hosts: Hosts) {
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
            let mut peer = self.peer(record.clone());
            if *id == self.own.id {
                if let (None, Some(client)) = (&peer.tcp, &state.to_itself) {
                    let client = client.clone();
                    peer.tcp = Some(DirectWay {
                        client,
                        leads: None,
                    });
                }
                // Nothing is between a host and itself.
                peer.direct().for_each(|way| way.leads = Some(true));
            } else {
                for way in peer.direct() {
                    let probing = probe(Arc::downgrade(self), id.clone(), way.client.clone());
                    state.tasks.spawn(probing);
                }
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
        let fingerprints =
            (state.peers.values()).filter_map(|peer| peer.record.fingerprint.parse().ok());
        self.members.replace(fingerprints.collect::<HashSet<_>>());
        self.update(&mut state);
        drop(state);
        self.hosts.send_replace(Arc::new(hosts));
    }

    /// Sees to it that this host can call what `served` has over TCP, also if no other host can.
    ///
    /// # Errors
    ///
    /// If it cannot listen on its own machine.
    pub(crate) async fn reach_itself(&self, served: Arc<impl Serve>) -> std::io::Result<()> {
        let is_reached = |state: &PeerState| {
            let own = state.peers.get(&self.own.id);
            state.to_itself.is_some() || own.is_some_and(|own| own.tcp.is_some())
        };
        if is_reached(&self.lock()) {
            return Ok(());
        }
        let identity = &self.own.identity;
        let fingerprint = identity.fingerprint();
        let nobody_else = Members::new([fingerprint].into());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(address, identity, nobody_else).await?;
        let address = listener.local_addr()?.to_string();
        let connector = TcpConnector::new([address], identity, fingerprint)?;
        let client = Client::new(Arc::new(connector), Limits::default());
        let mut state = self.lock();
        if is_reached(&state) {
            return Ok(());
        }
        // The server ends with all other ways to hosts.
        state.tasks.spawn(withe_rpc::serve(
            listener,
            served,
            Limits::default(),
            std::future::pending(),
        ));
        if let Some(own) = state.peers.get_mut(&self.own.id) {
            own.tcp = Some(DirectWay {
                client: client.clone(),
                leads: Some(true),
            });
        }
        state.to_itself = Some(client);
        self.update(&mut state);
        Ok(())
    }

    /// How each of these hosts is reached; hosts not tried yet are probed first.
    pub(crate) async fn reach(&self, hosts: &BTreeSet<String>) -> BTreeMap<String, Reach> {
        let mut changes = self.hosts.subscribe();
        let known = async {
            loop {
                let unknown = {
                    let state = self.lock();
                    let peers = hosts.iter().filter_map(|id| state.peers.get(id));
                    let mut ways = peers.flat_map(|peer| [&peer.unix, &peer.tcp]).flatten();
                    ways.any(|way| way.leads.is_none())
                };
                if !unknown || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        _ = timeout(PROBE, known).await;
        let state = self.lock();
        let reach = |id: &String| {
            let peer = state.peers.get(id)?;
            let reach = Reach {
                tcp: leads(&peer.tcp),
                unix: leads(&peer.unix),
                same_machine: peer.record.machine == self.own.machine,
            };
            Some((id.clone(), reach))
        };
        hosts.iter().filter_map(reach).collect()
    }

    /// Ends all connections.
    pub(crate) async fn close(&self) {
        let state = std::mem::take(&mut *self.lock());
        drop(state.tasks);
        let peers = state.peers.into_values();
        let clients = peers.flat_map(|peer| {
            let direct = [peer.unix, peer.tcp].into_iter().flatten();
            direct.map(|way| way.client).chain(peer.nats)
        });
        futures::future::join_all(clients.map(|client| async move { client.close().await })).await;
    }

    fn peer(&self, record: Arc<HostRecord>) -> Peer {
        let limits = Limits {
            // A host that has vanished is to be noticed soon: others may have what it had.
            keep_alive: Duration::from_secs(4),
            answer: Duration::from_secs(4),
            ..Limits::default()
        };
        // A host without a fingerprint cannot be told from others, and is not called.
        let fingerprint: Option<Fingerprint> = record.fingerprint.parse().ok();
        let identity = &self.own.identity;
        let tcp = record.tcp.as_ref().zip(fingerprint);
        let tcp = tcp.and_then(|(tcp, fingerprint)| {
            let connector = TcpConnector::new(tcp.addresses.clone(), identity, fingerprint).ok()?;
            Some(DirectWay::to(connector, &limits))
        });
        // Links that are pinned to `unix` lead from a host to itself by its workers.
        let is_beside = record.machine == self.own.machine && record.id != self.own.id;
        let is_socket = |path: &&String| is_beside && beside::is_of_host(path.as_ref());
        let unix = record.unix.as_ref().filter(is_socket);
        let unix = unix.zip(fingerprint).and_then(|(socket, fingerprint)| {
            let connector = UnixConnector::new(socket);
            let connector = SecureConnector::new(connector, identity, fingerprint).ok()?;
            Some(DirectWay::to(connector, &limits))
        });
        let nats = self.own.nats.as_ref().filter(|_| record.nats);
        let nats = nats.zip(fingerprint).and_then(|(nats, fingerprint)| {
            let connector = nats.to(&record.id).ok()?;
            let connector = SecureConnector::new(connector, identity, fingerprint).ok()?;
            Some(Client::new(Arc::new(connector), limits.clone()))
        });
        Peer {
            record,
            gone: None,
            unix,
            tcp,
            nats,
        }
    }

    /// Puts what is known of the hosts into all routes.
    fn update(&self, state: &mut PeerState) {
        state.forget_unused();
        for leaving in &state.routes {
            if let Some(route) = leaving.route.upgrade() {
                route.set(self.replicas(&state.peers, leaving));
            }
        }
    }

    fn replicas(&self, peers: &HashMap<String, Peer>, leaving: &Leaving) -> Vec<Replica> {
        let names = Names::of(peers.values().map(|peer| &*peer.record));
        let runs = |peer: &&Peer| {
            peer.gone.is_none() && peer.record.runs(&leaving.application, &leaving.target)
        };
        let replica = |peer: &Peer| {
            let (client, brokered) = peer.way(leaving.ways)?;
            let record = &peer.record;
            let place = match record {
                _ if record.id == self.own.id => Proximity::Host,
                _ if record.machine == self.own.machine => Proximity::Machine,
                _ => Proximity::Elsewhere,
            };
            Some(Replica {
                id: record.id.clone(),
                name: names.of_host(record),
                client: client.clone(),
                distance: Distance { brokered, place },
            })
        };
        peers.values().filter(runs).filter_map(replica).collect()
    }

    fn lock(&self) -> MutexGuard<'_, PeerState> {
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
            ways: Ways::of(link),
            route: Arc::downgrade(&route),
        };
        route.set(self.replicas(&state.peers, &leaving));
        state.add(leaving);
        Some(route)
    }

    fn claims(&self) -> Option<Arc<dyn Claims>> {
        self.own.claims.clone()
    }
}

/// Whether a way was found to lead to its host.
fn leads(way: &Option<DirectWay>) -> bool {
    way.as_ref().is_some_and(|way| way.leads == Some(true))
}

/// Finds out whether a way leads to its host, and again and again whether it still does: a network breaks and is
/// mended while the hosts at its ends go on. The task ends with the host.
async fn probe(peers: Weak<Peers>, id: String, client: Arc<Client>) {
    let mut is_reached = false;
    loop {
        // Where nothing has failed since, there is nothing to find out, and no connection to be made.
        let goes_on = is_reached && client.is_ready();
        if !goes_on {
            let reached = timeout(PROBE, client.reach((Instant::now() + PROBE).into_std())).await;
            is_reached = matches!(reached, Ok(Ok(())));
        }
        let Some(peers) = peers.upgrade() else { return };
        {
            let mut state = peers.lock();
            let peer = state.peers.get_mut(&id);
            let mut ways = peer.into_iter().flat_map(Peer::direct);
            let Some(way) = ways.find(|way| Arc::ptr_eq(&way.client, &client)) else {
                return;
            };
            let before = way.leads.replace(is_reached);
            drop(ways);
            if before != Some(is_reached) {
                peers.update(&mut state);
            }
        }
        if !goes_on {
            // Callers that wait for a way look again.
            peers.hosts.send_modify(|_| {});
        }
        drop(peers);
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use withe_rpc::LinkRequest;

    use super::*;

    fn leaving(route: &Arc<Route>) -> Leaving {
        Leaving {
            application: "a".into(),
            target: "t".into(),
            ways: Ways::Cheapest,
            route: Arc::downgrade(route),
        }
    }

    #[tokio::test]
    async fn routes_that_nobody_has_do_not_pile_up() {
        let route = || Route::new(LinkRequest::default(), RouteRules::default());
        let kept = route();
        let mut state = PeerState::default();
        state.add(leaving(&kept));
        for _ in 0..10_000 {
            state.add(leaving(&route()));
            assert!(state.routes.len() <= FEW_ROUTES + 1);
        }
        state.forget_unused();
        assert_eq!(state.routes.len(), 1);
    }
}
