//! The provider: links come and go, claims on listeners with them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use futures::future::join_all;
use tokio::time::{Instant, timeout_at};
use withe_provider::settings::describe;
use withe_provider::{
    ConfigMap, Endpoint, Handover, Link, LinkId, ListeningSocket, Peer, Provider, ProviderError,
};

use crate::config::{self, LinkConfig, OwnConfig};
use crate::link::{HttpRoute, Work};
use crate::listener::{Claim, Listener, Listeners};
use crate::reload::{self, Reloading, Stamp};
use crate::routes::{RoutePlace, RouteTable};
use crate::serving::ServingProvider;
use crate::tls::{self, TlsFiles};

/// How long requests may finish on a listener that a changed link has left.
const LEAVE: Duration = Duration::from_secs(30);

/// The provider.
pub struct HttpServer {
    config: ConfigMap,
    own: OwnConfig,
    /// Shared with the provider whose place this one takes.
    listeners: Mutex<Arc<Listeners>>,
    links: Mutex<HashMap<LinkId, ServerLink>>,
}

/// A link that is being served.
struct ServerLink {
    /// The address that was asked for.
    asked: SocketAddr,
    place: RoutePlace,
    tls: Option<TlsFiles>,
    /// Looks at the TLS files for as long as the link is there.
    _reloading: Option<Reloading>,
    route: Arc<HttpRoute>,
    claim: Arc<Claim>,
}

impl HttpServer {
    /// A provider with this configuration of its own.
    pub fn new(config: ConfigMap) -> Self {
        let (own, _) = config::read_own(&config);
        Self {
            config,
            own,
            listeners: Mutex::default(),
            links: Mutex::default(),
        }
    }

    fn links(&self) -> MutexGuard<'_, HashMap<LinkId, ServerLink>> {
        // Nothing panics while it is held, and if it did, the map would still be a map.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listeners(&self) -> MutexGuard<'_, Arc<Listeners>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The claim of a link: the one it has, or one that it can share.
    fn shared(
        links: &HashMap<LinkId, ServerLink>,
        id: LinkId,
        config: &LinkConfig,
    ) -> Option<Arc<Claim>> {
        let own = links.get(&id).filter(|l| l.asked == config.address);
        let same = |l: &&ServerLink| {
            config.address.port() != 0
                && (l.asked == config.address || l.claim.listener.bound == config.address)
        };
        let linked = own.or_else(|| links.values().find(same))?;
        Some(linked.claim.clone())
    }

    /// Ends links: takes no new work for them, and waits for the work under way, at most `grace`.
    async fn end(&self, ids: &[LinkId], grace: Duration) {
        let deadline = Instant::now() + grace;
        let (gone, closed) = {
            let mut links = self.links();
            let gone: Vec<_> = ids.iter().filter_map(|id| links.remove(id)).collect();
            let mut closed: Vec<Arc<Claim>> = Vec::new();
            for ServerLink { claim, .. } in &gone {
                if in_use(claim, &links) {
                    publish(claim, &links);
                } else if !closed.iter().any(|other| Arc::ptr_eq(other, claim)) && claim.leave() {
                    // Nobody is next. Connections that are there may still ask for something, and are answered: a successor
                    // in another process has the listener, and not them.
                    closed.push(claim.clone());
                }
            }
            (gone, closed)
        };
        let (last, others): (Vec<_>, Vec<_>) = gone.iter().partition(|gone| {
            let mut closed = closed.iter();
            closed.any(|claim| Arc::ptr_eq(claim, &gone.claim))
        });
        let finish = |gone: &Vec<&ServerLink>| {
            let works: Vec<_> = gone.iter().map(|gone| gone.route.work.clone()).collect();
            join_all(works.into_iter().map(|work| async move {
                work.requests.close();
                if timeout_at(deadline, work.requests.wait()).await.is_err() {
                    work.stop.give();
                }
            }))
        };
        let close = async {
            let mut closing = pin!(join_all(closed.iter().map(|claim| claim.close(deadline))));
            if timeout_at(deadline, &mut closing).await.is_err() {
                last.iter().for_each(|gone| gone.route.work.stop.give());
                closing.await;
            }
            finish(&last).await;
        };
        tokio::join!(finish(&others), close);
    }
}

/// Checks that a link fits with the others of its claim.
fn check_neighbours<'a>(
    mut others: impl Iterator<Item = &'a ServerLink>,
    config: &LinkConfig,
) -> Result<(), ProviderError> {
    let address = config.address;
    let clash = others.find(|l| l.place == config.place || l.tls != config.tls);
    let Some(other) = clash else { return Ok(()) };
    let name = &other.route.name;
    Err(ProviderError(if other.place == config.place {
        format!(
            "{} on `{address}` is already served by `{name}`; give one of the links another \
             `path`, `host` or `address`",
            config.place.describe()
        )
    } else {
        format!(
            "`{address}` is shared with `{name}`, whose TLS files are not the same; give both \
             links the same `tls_cert_file` and `tls_priv_key_file`, or another `address`"
        )
    }))
}

/// Serves by `claim` what `links` say.
fn publish(claim: &Arc<Claim>, links: &HashMap<LinkId, ServerLink>) {
    let here = links.values().filter(|l| Arc::ptr_eq(&l.claim, claim));
    claim.publish(RouteTable::new(here.map(|l| (&l.place, l.route.clone()))));
}

/// Whether any of `links` is served by `claim`.
fn in_use(claim: &Arc<Claim>, links: &HashMap<LinkId, ServerLink>) -> bool {
    links.values().any(|l| Arc::ptr_eq(&l.claim, claim))
}

#[async_trait::async_trait]
impl Provider for HttpServer {
    async fn start(&self) -> Result<(), ProviderError> {
        let (_, problems) = config::read_own(&self.config);
        match problems.is_empty() {
            true => Ok(()),
            false => Err(ProviderError(describe(&problems))),
        }
    }

    fn handover(&self) -> Option<Handover> {
        Some(Handover::new(self.listeners().clone()))
    }

    fn take_over(&self, handover: Handover) -> bool {
        let inherited = || handover.clone().get().map(Listeners::inheriting);
        let listeners = handover.clone().get().or_else(|| inherited().map(Arc::new));
        let is_known = listeners.is_some();
        if let Some(listeners) = listeners {
            *self.listeners() = listeners;
        }
        is_known
    }

    fn sockets(&self) -> Option<Vec<ListeningSocket>> {
        let links = self.links();
        let mut listeners: Vec<_> = links.values().map(|link| &link.claim.listener).collect();
        listeners.sort_by_key(|listener| listener.bound);
        listeners.dedup_by_key(|listener| listener.bound);
        let duplicate = |listener: &Arc<Listener>| match listener.duplicate() {
            Ok(socket) => socket,
            Err(e) => {
                tracing::warn!("`{}` cannot be handed over: {e}", listener.bound);
                None
            }
        };
        Some(listeners.into_iter().filter_map(duplicate).collect())
    }

    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        let Peer::Http(handler) = link.peer else {
            return Err(ProviderError(
                "the http-server provider exports nothing: it must be the link's source".into(),
            ));
        };
        let (config, problems) = config::read_link(&link.config, &self.own);
        if !problems.is_empty() {
            return Err(ProviderError(describe(&problems)));
        }
        let (tls, read) = match &config.tls {
            Some(files) => {
                // A change after this is seen, and one before it is read.
                let read = Stamp::of(files).await;
                (Some(tls::load(files).await?), Some(read))
            }
            None => (None, None),
        };

        let mut links = self.links();
        let shared = Self::shared(&links, link.id, &config);
        if let Some(claim) = &shared {
            let others = links
                .iter()
                .filter(|(id, l)| **id != link.id && Arc::ptr_eq(&l.claim, claim))
                .map(|(_, l)| l);
            check_neighbours(others, &config)?;
        }
        let work = links.get(&link.id).map(|l| l.route.work.clone());
        let name = format!("{}/{}", link.application, link.component);
        let route = Arc::new(HttpRoute {
            name: name.clone(),
            handler,
            limits: config.limits,
            methods: config.methods,
            access_log: config.access_log,
            close: config.close,
            cache_control: config.cache_control,
            cors: config.cors,
            work: work.unwrap_or_else(|| Arc::new(Work::default())),
        });
        let claim = match shared {
            Some(claim) => {
                claim.speak(tls);
                claim
            }
            None => {
                let serving = ServingProvider {
                    host_header: self.own.header.clone(),
                    ambiguous_paths: self.own.ambiguous_paths,
                    head_timeout: self.own.head_timeout,
                    head_bytes: self.own.head_bytes,
                    crowd: self.own.crowd,
                    table: ArcSwap::from_pointee(RouteTable::new([(&config.place, route.clone())])),
                    tls: ArcSwapOption::new(tls),
                };
                let asked_by = format!("{name}/{}", link.name);
                let has = |listener: &Listener| {
                    let mut own = links.values();
                    own.any(|l| std::ptr::eq(&*l.claim.listener, listener))
                };
                let listeners = self.listeners().clone();
                Arc::new(listeners.claim(config.address, &asked_by, serving, has)?)
            }
        };
        let reloading = (config.tls.clone().zip(read))
            .map(|(files, read)| reload::start(files, read, Arc::downgrade(&claim)));
        let linked = ServerLink {
            _reloading: reloading,
            asked: config.address,
            place: config.place,
            tls: config.tls,
            route,
            claim: claim.clone(),
        };
        let before = links.insert(link.id, linked);
        publish(&claim, &links);
        tracing::info!(component = name, "listening on {}", claim.url());

        if let Some(left) = before
            .map(|l| l.claim)
            .filter(|left| !Arc::ptr_eq(left, &claim))
        {
            let is_last = !in_use(&left, &links) && left.leave();
            publish(&left, &links);
            if is_last {
                tokio::spawn(async move { left.close(Instant::now() + LEAVE).await });
            }
        }
        Ok(())
    }

    async fn link_deleted(&self, id: LinkId, grace: Duration) {
        self.end(&[id], grace).await;
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        let links = self.links();
        let mut endpoints: Vec<_> = links.iter().map(|(id, l)| endpoint(*id, l)).collect();
        endpoints.sort_by_key(|e| e.link);
        endpoints
    }

    async fn shutdown(&self, grace: Duration) {
        let ids: Vec<_> = self.links().keys().copied().collect();
        self.end(&ids, grace).await;
    }
}

impl Drop for HttpServer {
    /// Without [`shutdown`](Provider::shutdown), nothing that is under way is waited for.
    fn drop(&mut self) {
        for linked in self.links().values() {
            linked.claim.abandon();
        }
    }
}

fn endpoint(link: LinkId, linked: &ServerLink) -> Endpoint {
    let path = if linked.place.path.is_empty() {
        "/"
    } else {
        &linked.place.path
    };
    Endpoint {
        link,
        url: format!("{}{path}", linked.claim.url()),
    }
}
