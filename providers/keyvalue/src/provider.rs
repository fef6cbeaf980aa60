//! The provider: links come and go, stores are shared between them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout_at;
use withe_provider::settings::describe;
use withe_provider::{
    Call, CallError, ConfigMap, Functions, Health, Link, LinkId, Linked, Payload, Provider,
    ProviderError,
};

use crate::config::{self, Backend};
use crate::file::{FileError, FileStore};
use crate::interface::Opened;
use crate::memory::MemoryStore;
use crate::nats::{self, NatsConfig, NatsStore};
use crate::redis::{self, RedisConfig, RedisStore};
use crate::store::Store;
use crate::wit;

/// How long a health check may take.
const HEALTH: Duration = Duration::from_secs(5);

/// The provider.
pub struct KeyValue {
    config: ConfigMap,
    functions: Functions<Opened>,
    memory: Arc<MemoryStore>,
    /// Read by every call, replaced when a link changes.
    links: ArcSwap<HashMap<LinkId, Arc<Linked<Opened>>>>,
    /// Held while links change.
    changes: Mutex<Connections>,
}

/// Connections to servers, by what was asked for.
#[derive(Default)]
struct Connections {
    redis: HashMap<RedisConfig, Weak<RedisStore>>,
    nats: HashMap<NatsConfig, Weak<NatsStore>>,
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
        }
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
}

async fn open(
    backend: &Backend,
    memory: &Arc<MemoryStore>,
    connections: &mut Connections,
) -> Result<Arc<dyn Store>, OpenError> {
    match backend {
        Backend::Memory => Ok(memory.clone()),
        Backend::File(path) => {
            let path = path.clone();
            let opened = spawn_blocking(move || FileStore::open(&path)).await;
            Ok(opened.map_err(OpenError::Stopped)??)
        }
        Backend::Redis(config) => {
            let connections = &mut connections.redis;
            connections.retain(|_, store| store.strong_count() > 0);
            if let Some(store) = connections.get(config).and_then(Weak::upgrade) {
                return Ok(store);
            }
            let store = Arc::new(RedisStore::connect(config).await?);
            connections.insert(config.clone(), Arc::downgrade(&store));
            Ok(store)
        }
        Backend::Nats(config) => {
            let connections = &mut connections.nats;
            connections.retain(|_, store| store.strong_count() > 0);
            if let Some(store) = connections.get(config).and_then(Weak::upgrade) {
                return Ok(store);
            }
            let store = Arc::new(NatsStore::connect(config).await?);
            connections.insert(config.clone(), Arc::downgrade(&store));
            Ok(store)
        }
    }
}

/// Lets go of links. The last one of a file waits for its writer, so not in an async task.
async fn release(links: impl Send + 'static) {
    // It cannot fail: nothing here panics, and it is not cancelled.
    let _ = spawn_blocking(move || drop(links)).await;
}

#[async_trait::async_trait]
impl Provider for KeyValue {
    async fn start(&self) -> Result<(), ProviderError> {
        let (_, problems) = config::read(&self.config, &ConfigMap::new());
        match problems.is_empty() {
            true => Ok(()),
            false => Err(ProviderError(describe(&problems))),
        }
    }

    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        let (config, problems) = config::read(&self.config, &link.config);
        if !problems.is_empty() {
            return Err(ProviderError(describe(&problems)));
        }
        let functions = self.functions.of(&link)?;
        let mut connections = self.changes.lock().await;
        let store = open(&config.backend, &self.memory, &mut connections).await;
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

    async fn link_deleted(&self, id: LinkId, _grace: Duration) {
        let _changing = self.changes.lock().await;
        let mut links = HashMap::clone(&self.links.load());
        links.remove(&id);
        release(self.links.swap(Arc::new(links))).await;
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

    async fn health(&self) -> Health {
        let links = self.links.load_full();
        let deadline = Instant::now() + HEALTH;
        for linked in links.values() {
            match timeout_at(deadline.into(), linked.state.store.check()).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => return Health::Unhealthy(e.to_string()),
                Err(_) => {
                    return Health::Unhealthy(format!("{:?} does not answer", linked.state.store));
                }
            }
        }
        Health::Healthy
    }

    async fn shutdown(&self, _grace: Duration) {
        let _changing = self.changes.lock().await;
        release(self.links.swap(Arc::default())).await;
    }
}
