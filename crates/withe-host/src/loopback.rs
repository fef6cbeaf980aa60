//! A host without a lattice that calls itself over the wire: for links that are pinned to `tcp` or `nats` where
//! both ends are on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use withe_lattice::transport::{NatsConnector, NatsListener};
use withe_linker::plan::{Binding, Plan, PlannedLink};
use withe_rpc::secure::{SecureConnector, SecureListener};
use withe_rpc::tcp::{TcpConnector, TcpListener};
use withe_rpc::{
    CallError, Client, Identity, Limits, LinkRequest, Listener, Members, Route, Serve, ServedLink,
};

use crate::away::Away;
use crate::error::HostError;
use crate::options::{Broker, HostOptions};
use crate::serve::Served;

/// The clients and servers by which the host calls itself.
#[derive(Default)]
pub(crate) struct Loopback {
    tcp: Option<Arc<Client>>,
    nats: Option<Arc<Client>>,
    served: Arc<ArcSwapOption<Served>>,
    servers: JoinSet<()>,
    stop: CancellationToken,
}

struct LoopbackServe(Arc<ArcSwapOption<Served>>);

impl Serve for LoopbackServe {
    fn link(&self, request: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        match &*self.0.load() {
            Some(served) => served.link(request),
            None => Err(CallError::Unlinked("the application has not begun".into())),
        }
    }
}

impl Loopback {
    /// Makes what the links of `plan` need.
    ///
    /// # Errors
    ///
    /// If there is no address to listen at, or no NATS where a link needs it.
    pub(crate) async fn prepare(
        &mut self,
        plan: &Plan,
        options: &HostOptions,
    ) -> Result<(), HostError> {
        let needs = |binding| {
            let mut links = plan.links.iter();
            links.any(|link| link.leaves_host && link.binding == binding)
        };
        if needs(Binding::Tcp) && self.tcp.is_none() {
            self.tcp = Some(self.listen(options).await.map_err(HostError::Listen)?);
        }
        if needs(Binding::Nats) && self.nats.is_none() {
            self.nats = Some(self.subscribe(options).await?);
        }
        Ok(())
    }

    /// From now on new sessions reach this, if anything.
    pub(crate) fn set(&self, served: Option<Arc<Served>>) {
        self.served.store(served);
    }

    /// Ends all connections when the calls on them have ended.
    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        while self.servers.join_next().await.is_some() {}
        for client in [self.tcp, self.nats].into_iter().flatten() {
            client.close().await;
        }
    }

    async fn listen(&mut self, options: &HostOptions) -> std::io::Result<Arc<Client>> {
        let identity = Identity::generate().map_err(std::io::Error::other)?;
        let fingerprint = identity.fingerprint();
        let members = Members::new([fingerprint].into());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(address, &identity, members).await?;
        let address = listener.local_addr()?.to_string();
        self.serve(listener, options);
        let connector = TcpConnector::new([address], &identity, fingerprint)?;
        Ok(Client::new(Arc::new(connector), Limits::default()))
    }

    async fn subscribe(&mut self, options: &HostOptions) -> Result<Arc<Client>, HostError> {
        let Broker {
            client, lattice, ..
        } = options.broker.as_ref().ok_or(HostError::NoBroker)?;
        // Others that do the same there have other names.
        let identity =
            Identity::generate().map_err(|e| HostError::Listen(std::io::Error::other(e)))?;
        let fingerprint = identity.fingerprint();
        let id = &fingerprint.to_string()[..20];
        let members = Members::new([fingerprint].into());
        let listener = NatsListener::bind(client.clone(), lattice, id).await?;
        let listener =
            SecureListener::new(listener, &identity, members).map_err(HostError::Listen)?;
        self.serve(listener, options);
        let connector = NatsConnector::new(client.clone(), lattice, id)?;
        let connector =
            SecureConnector::new(connector, &identity, fingerprint).map_err(HostError::Listen)?;
        Ok(Client::new(Arc::new(connector), Limits::default()))
    }

    fn serve(&mut self, listener: impl Listener, options: &HostOptions) {
        let limits = Limits {
            grace: options.grace,
            ..Limits::default()
        };
        let serving = Arc::new(LoopbackServe(self.served.clone()));
        let end = self.stop.clone().cancelled_owned();
        self.servers
            .spawn(async move { withe_rpc::serve(listener, serving, limits, end).await });
    }
}

impl Away for Loopback {
    fn route(&self, request: LinkRequest, link: &PlannedLink) -> Option<Arc<Route>> {
        let client = match link.binding {
            Binding::Nats => self.nats.as_ref(),
            _ => self.tcp.as_ref(),
        };
        Some(Route::fixed(client?.link(request)))
    }
}
