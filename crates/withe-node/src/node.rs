//! A host joins a lattice, and leaves it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use withe_files::TemporaryFolder;
use withe_host::{Broker, Host};
use withe_lattice::transport::{NatsConnector, NatsListener};
use withe_lattice::{LEASE, SharedLattice};
use withe_linker::input::{LinkDefaults, Surroundings};
use withe_load::{Loaded, Registry};
use withe_rpc::secure::SecureListener;
use withe_rpc::tcp::TcpListener;
use withe_rpc::{Identity, Limits};

use crate::address::{advertised, local_address, machine};
use crate::calls::Calls;
use crate::clock::millis;
use crate::desired::{self, PutError};
use crate::error::NodeError;
use crate::events::Event;
use crate::library::Library;
use crate::options::NodeOptions;
use crate::peers::{OwnHost, Peers};
use crate::programs::{Programs, ProgramsError};
use crate::real_path::real_path;
use crate::records::{APPS, DEPLOYMENTS, HOSTS, HostRecord, RunningApp, TcpRecord, key};
use crate::secrets::HostSecrets;
use crate::served::Applications;
use crate::table::DesiredTable;
use crate::tasks::{announce, hear, hear_hosts, run, tell};
use crate::this_host::{HEARD, ThisHost};
use crate::vouching::Vouching;
use crate::{beside, claims, controller, requests, wasmcloud};

/// The most events that wait to be told.
const EVENTS_WAITING: usize = 256;

/// A host that has joined a lattice.
pub struct Node {
    pub(crate) this: Arc<ThisHost>,
    tasks: JoinSet<()>,
    announcing: JoinSet<()>,
    servers: JoinSet<()>,
    stop: CancellationToken,
    stop_announcing: CancellationToken,
    stop_servers: CancellationToken,
    table: watch::Receiver<Arc<DesiredTable>>,
    address: Option<SocketAddr>,
    /// With the socket for the other hosts of this machine. The folder goes after what listens there.
    _beside: Option<TemporaryFolder>,
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
        let policy = options.policy.resolved(real_path);
        let programs = options.programs;
        // Nothing of the machine is a program's to change before it is a provider.
        let confined = (options.host.confine.as_ref()).map(|confine| confine.confined([]));
        let programs = spawn_blocking(move || Programs::new(programs, confined)).await;
        let programs = programs.map_err(ProgramsError::Look).flatten()?;
        let identity = Identity::generate().map_err(NodeError::Identity)?;
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
        host_options.lattice_secrets = Some(Arc::new(HostSecrets::new(
            lattice.clone(),
            options.trust,
            options.seal_key.clone(),
        )));
        let host = Host::new(host_options)?;
        let wasmcloud = match &nats {
            Some(nats) if options.wasmcloud => Some(wasmcloud::open(nats.clone()).await?),
            _ => None,
        };
        let connector = (nats.clone())
            .map(|nats| NatsConnector::new(nats, lattice.name(), &id))
            .transpose()?;
        let peers = Peers::new(OwnHost {
            id: id.clone(),
            machine: machine(),
            lattice: lattice.name().to_owned(),
            identity: identity.clone(),
            nats: connector,
            claims: claims::of(&lattice),
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
            });
            let (served, limits) = (Arc::new(applications.clone()), limits.clone());
            let end = stop_servers.clone().cancelled_owned();
            servers.spawn(async move { withe_rpc::serve(listener, served, limits, end).await });
        }
        let mut unix = None;
        let mut beside = None;
        if options.unix {
            // The host is reached by other ways as well.
            match beside::listen(&identity, peers.members()).await {
                Ok((listener, path, folder)) => {
                    unix = Some(path);
                    beside = Some(folder);
                    let (served, limits) = (Arc::new(applications.clone()), limits.clone());
                    let end = stop_servers.clone().cancelled_owned();
                    servers.spawn(
                        async move { withe_rpc::serve(listener, served, limits, end).await },
                    );
                }
                Err(e) => tracing::warn!("no socket for the other hosts of this machine: {e}"),
            }
        }
        if let Some(nats) = &nats {
            let listener = NatsListener::bind(nats.clone(), lattice.name(), &id).await?;
            let listener = SecureListener::new(listener, &identity, peers.members())
                .map_err(NodeError::Tls)?;
            let served = Arc::new(applications.clone());
            let end = stop_servers.clone().cancelled_owned();
            servers.spawn(async move { withe_rpc::serve(listener, served, limits, end).await });
        }
        let (events, telling) = mpsc::channel(EVENTS_WAITING);
        let this = Arc::new(ThisHost {
            record: Mutex::new(HostRecord {
                id: id.clone(),
                name: options.name.clone(),
                version: env!("CARGO_PKG_VERSION").into(),
                machine: machine(),
                labels: options.labels,
                fingerprint,
                tcp,
                unix,
                nats: nats.is_some(),
                started: millis() / 1_000,
                signed_only: options.trust.is_some(),
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
            programs,
            policy,
            vouching: Vouching::new(lattice.name(), options.trust),
            key: options.key,
            seal_key: options.seal_key,
            library: Library::default(),
            recent: options.recent,
            gone: Mutex::default(),
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
        let asked = requests::serve(&this).await?;
        if let Some(wire) = &this.wasmcloud {
            let tools = wasmcloud::listen_to_tools(wire, &this).await?;
            tasks.spawn(wasmcloud::answer_tools(this.clone(), tools, stop.clone()));
        }
        let stop_announcing = CancellationToken::new();
        let mut announcing = JoinSet::new();
        announcing.spawn(announce(this.clone(), stop_announcing.clone()));
        let (table, heard) = watch::channel(Arc::new(DesiredTable::default()));
        tasks.spawn(tell(this.clone(), telling, stop.clone()));
        tasks.spawn(hear_hosts(this.clone(), hosts, stop.clone()));
        tasks.spawn(hear(this.clone(), table, apps, deployments, stop.clone()));
        tasks.spawn(run(this.clone(), heard.clone(), stop.clone()));
        tasks.spawn(controller::run(this.clone(), heard.clone(), stop.clone()));
        tasks.spawn(requests::answer(this.clone(), asked, stop.clone()));
        this.tell(Event::Joined);
        Ok(Self {
            this,
            tasks,
            announcing,
            servers,
            stop,
            stop_announcing,
            stop_servers,
            table: heard,
            address,
            _beside: beside,
        })
    }

    /// Its id, which no other host has.
    pub fn id(&self) -> &str {
        &self.this.id
    }

    /// By which people call what runs here.
    pub fn calls(&self) -> Calls {
        Calls(self.this.applications.clone())
    }

    /// Where it listens for other hosts.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Puts an application that was read and linked without errors in the lattice, as [`desired::put_application`]
    /// does; returns its revision. This host does not read it again, and runs the programs of its providers, which its
    /// operator has named with the application.
    ///
    /// # Errors
    ///
    /// As that.
    pub async fn put(
        &self,
        loaded: &Arc<Loaded>,
        defaults: &LinkDefaults,
    ) -> Result<u64, PutError> {
        let lattice = &*self.this.lattice;
        // No other host needs them where there is none.
        let sends_programs = desired::surroundings(lattice) == Surroundings::Lattice;
        let put = desired::Put::new(loaded, defaults, sends_programs).await?;
        let put = put.sealed(lattice, self.this.seal_key.as_deref())?;
        (self.this.programs).allow(loaded.name(), desired::programs_of(loaded));
        self.this.library.keep(put.record.clone(), loaded.clone());
        put.carry_out(lattice, None).await
    }

    /// Waits until this host has taken up the revision of an application, or failed to; `None` if it is not to
    /// run any of it.
    pub async fn settled(&self, application: &str, revision: u64) -> Option<RunningApp> {
        let mut changed = self.this.changed.subscribe();
        let mut table = self.table.clone();
        loop {
            let number = {
                let table = table.borrow_and_update();
                let deployment = table.deployments.get(application);
                let deployment = deployment.filter(|(d, _)| d.revision >= revision);
                let is_here = |hosts: &BTreeMap<_, _>| hosts.contains_key(&self.this.id);
                match deployment {
                    Some((d, _)) if !d.hosts.values().any(is_here) => return None,
                    deployment => deployment.map(|(d, _)| d.number),
                }
            };
            changed.borrow_and_update();
            // An earlier report may be of a failure of the previous revision.
            if let (Some(number), Some(app)) = (number, self.this.reported(application))
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
        let this = self.this.clone();
        this.tell(Event::Leaving);
        this.lock().leaving = true;
        this.changed.send_modify(|n| *n += 1);
        if timeout(this.host.grace(), self.taken_over()).await.is_err() {
            tracing::warn!("no other host took over all that runs here in time");
        }
        // The host must not be announced again once its record is deleted.
        self.stop_announcing.cancel();
        while self.announcing.join_next().await.is_some() {}
        let own = key(HOSTS, &this.id);
        let gone = this.lattice.delete_lease(&own);
        if matches!(timeout(LEASE, gone).await, Ok(Ok(()))) {
            this.settle_for(HEARD).await;
        }
        // Sources of calls end before the parts they call.
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.stop_servers.cancel();
        while self.servers.join_next().await.is_some() {}
        this.peers.close().await;
    }

    /// Waits until nothing is to run here any more, if there are others to run it.
    async fn taken_over(&mut self) {
        let this = &self.this;
        if !this.has_others() || !this.lattice.is_connected() {
            return;
        }
        let runs_here = |table: &Arc<DesiredTable>| {
            let mut parts = (table.deployments.values()).flat_map(|(d, _)| d.hosts.values());
            parts.any(|hosts| hosts.contains_key(&this.id))
        };
        // The wait fails only when the table's sender has gone.
        drop(self.table.wait_for(|table| !runs_here(table)).await);
    }
}
