//! The provider: links come and go, stores are shared between them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::future::join_all;
use tokio::sync::Mutex;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{timeout, timeout_at};
use tokio_util::task::TaskTracker;
use withe_provider::settings::describe;
use withe_provider::{
    BackendCalls, BackendCount, Call, CallError, Callee, ConfigMap, ConfigRole, Functions, Health,
    Link, LinkId, Linked, Payload, Peer, Provider, ProviderError, SharedBackends,
};

use crate::config::{self, Backend, Config};
use crate::counted::CountedStore;
use crate::delivery::WatchedLink;
use crate::file::{FileError, FileStore};
use crate::interface::Opened;
use crate::memory::MemoryStore;
use crate::nats::{self, NatsConfig, NatsStore};
use crate::redis::{self, RedisConfig, RedisStore};
use crate::s3::{self, S3Config, S3Store};
use crate::store::Store;
use crate::wit;

/// How long a health check may take.
const HEALTH: Duration = Duration::from_secs(5);

/// How long telling of what a replaced link was told may take.
const REPLACED: Duration = Duration::from_secs(60);

/// The provider.
pub struct KeyValue {
    config: ConfigMap,
    functions: Functions<Opened>,
    memory: Arc<MemoryStore>,
    /// Read by every call, replaced when a link changes.
    links: ArcSwap<HashMap<LinkId, Arc<Linked<Opened>>>>,
    /// Held while links change.
    changes: Mutex<Changing>,
    /// Links to components that were replaced, until these were told what had changed.
    ending: TaskTracker,
    backend_calls: BackendCalls,
}

#[derive(Default)]
struct Changing {
    connections: Connections,
    /// Links to components that are told of changes.
    watched: HashMap<LinkId, WatchedLink>,
}

/// Connections to servers, by what was asked for.
#[derive(Default)]
struct Connections {
    redis: SharedBackends<RedisConfig, RedisStore>,
    nats: SharedBackends<NatsConfig, NatsStore>,
    s3: SharedBackends<S3Config, S3Store>,
}

impl KeyValue {
    /// A provider with this configuration of its own, which is the default of its links.
    pub fn new(config: ConfigMap) -> Self {
        Self {
            config,
            functions: wit::functions(),
            memory: Arc::default(),
            links: ArcSwap::default(),
            changes: Mutex::default(),
            ending: TaskTracker::new(),
            backend_calls: BackendCalls::default(),
        }
    }

    /// The configuration of a link in this role.
    fn read(&self, link: &Link, role: ConfigRole) -> Result<Config, ProviderError> {
        let (config, problems) = config::read(&self.config, &link.config, role);
        match problems.is_empty() {
            true => Ok(config),
            false => Err(ProviderError(describe(&problems))),
        }
    }

    /// A link from a component that uses the interfaces.
    async fn put_importer(&self, link: &Link) -> Result<(), ProviderError> {
        let config = self.read(link, ConfigRole::LinkTarget)?;
        let functions = self.functions.of(link)?;
        let mut changing = self.changes.lock().await;
        let connections = &mut changing.connections;
        let store = connections
            .open(&config.backend, &self.memory, &self.backend_calls)
            .await;
        let store = store.map_err(|why| ProviderError(why.to_string()))?;
        let mut links = HashMap::clone(&self.links.load());
        let before = links.get(&link.id);
        let cursors = before.map(|before| before.state.cursors.clone());
        let mut linked = functions.with(Opened {
            store,
            default_bucket: config.bucket.into(),
            cursors: cursors.unwrap_or_default(),
        });
        if let Some(before) = before {
            linked.replace(before);
        }
        links.insert(link.id, Arc::new(linked));
        release(self.links.swap(Arc::new(links))).await;
        Ok(())
    }

    /// A link to a component that is told of changes.
    async fn put_watched(&self, link: &Link, callee: &Callee) -> Result<(), ProviderError> {
        let config = self.read(link, ConfigRole::LinkSource)?;
        let mut changing = self.changes.lock().await;
        let connections = &mut changing.connections;
        let store = connections
            .open(&config.backend, &self.memory, &self.backend_calls)
            .await;
        let store = store.map_err(|why| ProviderError(why.to_string()))?;
        // Beside the one before, if there is one: nothing is missed.
        let watched = WatchedLink::start(link, callee, store, config.bucket, config.watch).await;
        let watched = watched.map_err(|why| ProviderError(why.to_string()))?;
        if let Some(before) = changing.watched.insert(link.id, watched) {
            self.ending.spawn(async move {
                let store = before.store.clone();
                before.stop(REPLACED).await;
                release(store).await;
            });
        }
        Ok(())
    }
}

/// Why there is no store for a link.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    File(#[from] FileError),
    /// Opening the file panicked.
    #[error("cannot open the file: {0}")]
    Stopped(#[source] JoinError),
    #[error(transparent)]
    Redis(#[from] redis::ConnectError),
    #[error(transparent)]
    Nats(#[from] nats::ConnectError),
    #[error(transparent)]
    S3(#[from] s3::ConnectError),
}

impl Connections {
    /// The store of a backend. Backends beyond this process have their calls counted.
    async fn open(
        &mut self,
        backend: &Backend,
        memory: &Arc<MemoryStore>,
        calls: &BackendCalls,
    ) -> Result<Arc<dyn Store>, OpenError> {
        let counted = |store: Arc<dyn Store>, backend| {
            let calls = calls.clone();
            Arc::new(CountedStore {
                store,
                backend,
                calls,
            })
        };
        match backend {
            Backend::Memory => Ok(memory.clone()),
            Backend::File(path) => {
                let path = path.clone();
                let opened = spawn_blocking(move || FileStore::open(&path)).await;
                Ok(opened.map_err(OpenError::Stopped)??)
            }
            Backend::Redis(config) => {
                let connect = async { RedisStore::connect(config).await.map(Arc::new) };
                let store = self.redis.get_or_open(config, connect).await?;
                Ok(counted(store, "redis"))
            }
            Backend::Nats(config) => {
                let connect = async { NatsStore::connect(config).await.map(Arc::new) };
                let store = self.nats.get_or_open(config, connect).await?;
                Ok(counted(store, "nats"))
            }
            Backend::S3(config) => {
                let connect = async { S3Store::connect(config).await.map(Arc::new) };
                let store = self.s3.get_or_open(&**config, connect).await?;
                Ok(counted(store, "s3"))
            }
        }
    }
}

/// Lets go of links. The last one of a file waits for its writer, so not in an async task.
async fn release(links: impl Send + 'static) {
    // The task cannot fail: nothing here panics, and it is not cancelled.
    let _ = spawn_blocking(move || drop(links)).await;
}

#[async_trait::async_trait]
impl Provider for KeyValue {
    async fn start(&self) -> Result<(), ProviderError> {
        match config::check(ConfigRole::Own, &self.config) {
            problems if problems.is_empty() => Ok(()),
            problems => Err(ProviderError(describe(&problems))),
        }
    }

    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        match &link.peer {
            Peer::Importer(_) => self.put_importer(&link).await,
            Peer::Callee(callee) => self.put_watched(&link, callee).await,
            Peer::Http(_) => Err(ProviderError(
                "changes are told to `wasi:keyvalue/watcher`, and not to HTTP handlers".into(),
            )),
        }
    }

    async fn link_deleted(&self, id: LinkId, grace: Duration) {
        let mut changing = self.changes.lock().await;
        let watched = changing.watched.remove(&id);
        let mut links = HashMap::clone(&self.links.load());
        links.remove(&id);
        release(self.links.swap(Arc::new(links))).await;
        drop(changing);
        if let Some(watched) = watched {
            let store = watched.store.clone();
            watched.stop(grace).await;
            release(store).await;
        }
    }

    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        let linked = self.links.load().get(&call.link).cloned();
        let linked = linked.ok_or_else(|| {
            CallError::Unlinked("the link to the keyvalue provider was removed".into())
        })?;
        linked.call(call).await
    }

    fn drop_resource(&self, link: LinkId, handle: u32) {
        if let Some(linked) = self.links.load().get(&link) {
            linked.drop_resource(handle);
        }
    }

    fn backend_calls(&self) -> Vec<BackendCount> {
        self.backend_calls.read()
    }

    async fn health(&self) -> Health {
        let links = self.links.load_full();
        let mut stores: Vec<_> = links.values().map(|l| l.state.store.clone()).collect();
        let changing = self.changes.lock().await;
        stores.extend(changing.watched.values().map(|link| link.store.clone()));
        drop(changing);
        let deadline = Instant::now() + HEALTH;
        for store in &stores {
            match timeout_at(deadline.into(), store.check()).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => return Health::Unhealthy(e.to_string()),
                Err(_) => return Health::Unhealthy(format!("{store:?} does not answer")),
            }
        }
        Health::Healthy
    }

    async fn shutdown(&self, grace: Duration) {
        let mut changing = self.changes.lock().await;
        let watched = std::mem::take(&mut changing.watched);
        self.ending.close();
        let stores: Vec<_> = watched.values().map(|link| link.store.clone()).collect();
        let replaced = timeout(grace, self.ending.wait());
        let current = join_all(watched.into_values().map(|link| link.stop(grace)));
        _ = tokio::join!(replaced, current);
        release(stores).await;
        release(self.links.swap(Arc::default())).await;
    }
}
