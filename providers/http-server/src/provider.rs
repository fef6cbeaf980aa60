//! The provider: links come and go, listeners with them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout_at};
use withe_provider::settings::describe;
use withe_provider::{ConfigMap, Endpoint, Link, LinkId, Peer, Provider, ProviderError};

use crate::config::{self, LinkConfig, Own};
use crate::exchange::{Route, Work};
use crate::listener::Listener;
use crate::routes::{Place, Table};
use crate::tls::{self, TlsFiles};

/// How long requests may finish on a listener that a changed link has left.
const LEAVE: Duration = Duration::from_secs(30);

/// The provider.
pub struct HttpServer {
    config: ConfigMap,
    own: Own,
    links: Mutex<HashMap<LinkId, Linked>>,
}

/// A link that is being served.
struct Linked {
    /// The address that was asked for.
    asked: SocketAddr,
    place: Place,
    tls: Option<TlsFiles>,
    route: Arc<Route>,
    listener: Arc<Listener>,
}

impl HttpServer {
    /// A provider with this configuration of its own.
    pub fn new(config: ConfigMap) -> Self {
        let (own, _) = config::read_own(&config);
        Self {
            config,
            own,
            links: Mutex::default(),
        }
    }

    fn links(&self) -> MutexGuard<'_, HashMap<LinkId, Linked>> {
        // Nothing panics while it is held, and if it did, the map would still be a map.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The listener for a link: the one it has, one that it can share, or a new one.
    fn listener(
        &self,
        links: &HashMap<LinkId, Linked>,
        id: LinkId,
        config: &LinkConfig,
    ) -> Result<Arc<Listener>, ProviderError> {
        if let Some(linked) = links.get(&id).filter(|l| l.asked == config.address) {
            return Ok(linked.listener.clone());
        }
        let same = |l: &&Linked| {
            config.address.port() != 0
                && (l.asked == config.address || l.listener.bound == config.address)
        };
        match links.values().find(same) {
            Some(linked) => Ok(linked.listener.clone()),
            None => {
                let header = self.own.header.clone();
                Listener::open(config.address, header, self.own.max_connections)
            }
        }
    }
}

/// Checks that a link fits with the others on its listener.
fn check_neighbours<'a>(
    mut others: impl Iterator<Item = &'a Linked>,
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

/// Makes `listener` serve what `links` say.
fn publish(listener: &Arc<Listener>, links: &HashMap<LinkId, Linked>) {
    let here = links
        .values()
        .filter(|l| Arc::ptr_eq(&l.listener, listener));
    listener.table.store(Arc::new(Table::new(
        here.map(|l| (&l.place, l.route.clone())),
    )));
}

/// Whether any of `links` is served by `listener`.
fn in_use(listener: &Arc<Listener>, links: &HashMap<LinkId, Linked>) -> bool {
    links.values().any(|l| Arc::ptr_eq(&l.listener, listener))
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
        let tls = match &config.tls {
            Some(files) => Some(tls::load(files).await?),
            None => None,
        };

        let mut links = self.links();
        let listener = self.listener(&links, link.id, &config)?;
        let others = links
            .iter()
            .filter(|(id, l)| **id != link.id && Arc::ptr_eq(&l.listener, &listener))
            .map(|(_, l)| l);
        check_neighbours(others, &config)?;
        let work = links.get(&link.id).map(|l| l.route.work.clone());
        let route = Arc::new(Route {
            name: format!("{}/{}", link.application, link.component),
            handler,
            timeout: config.timeout,
            readonly: config.readonly,
            close: config.close,
            cache_control: config.cache_control,
            cors: config.cors,
            work: work.unwrap_or_else(|| Arc::new(Work::default())),
        });
        let linked = Linked {
            asked: config.address,
            place: config.place,
            tls: config.tls,
            route,
            listener: listener.clone(),
        };
        let name = linked.route.name.clone();
        let before = links.insert(link.id, linked);
        listener.tls.store(tls);
        publish(&listener, &links);
        tracing::info!(component = name, "listening on {}", listener.url());

        if let Some(left) = before
            .map(|l| l.listener)
            .filter(|l| !Arc::ptr_eq(l, &listener))
        {
            publish(&left, &links);
            if !in_use(&left, &links) {
                tokio::spawn(async move { left.close(Instant::now() + LEAVE).await });
            }
        }
        Ok(())
    }

    async fn link_deleted(&self, id: LinkId, grace: Duration) {
        let deadline = Instant::now() + grace;
        let (gone, last) = {
            let mut links = self.links();
            let Some(gone) = links.remove(&id) else {
                return;
            };
            publish(&gone.listener, &links);
            let last = !in_use(&gone.listener, &links);
            (gone, last)
        };
        let work = &gone.route.work;
        work.requests.close();
        let finish = async {
            if timeout_at(deadline, work.requests.wait()).await.is_err() {
                work.stop.give();
            }
        };
        if last {
            tokio::join!(finish, gone.listener.close(deadline));
        } else {
            finish.await;
        }
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        let links = self.links();
        let mut endpoints: Vec<_> = links.iter().map(|(id, l)| endpoint(*id, l)).collect();
        endpoints.sort_by_key(|e| e.link);
        endpoints
    }

    async fn shutdown(&self, grace: Duration) {
        let ids: Vec<_> = self.links().keys().copied().collect();
        join_all(ids.into_iter().map(|id| self.link_deleted(id, grace))).await;
    }
}

impl Drop for HttpServer {
    /// Without [`shutdown`](Provider::shutdown), nothing that is under way is waited for.
    fn drop(&mut self) {
        for linked in self.links().values() {
            linked.listener.abandon();
        }
    }
}

fn endpoint(link: LinkId, linked: &Linked) -> Endpoint {
    let path = if linked.place.path.is_empty() {
        "/"
    } else {
        &linked.place.path
    };
    Endpoint {
        link,
        url: format!("{}{path}", linked.listener.url()),
    }
}
