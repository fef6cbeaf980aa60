//! The provider: links come and go, stores are shared between them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout_at;
use withe_provider::settings::describe;
use withe_provider::{
    Call, CallError, ConfigMap, Health, Link, LinkId, Payload, Peer, Provider, ProviderError,
};

use crate::config::{self, Backend};
use crate::file::FileStore;
use crate::handles::Handles;
use crate::interface::{self, Function, Target};
use crate::memory::MemoryStore;
use crate::redis::{RedisConfig, RedisStore};
use crate::store::Store;

/// How long before its caller stops waiting a call gives up, so that the caller learns why.
const MARGIN: Duration = Duration::from_millis(20);
/// How long a health check may take.
const HEALTH: Duration = Duration::from_secs(5);

/// The provider.
pub struct KeyValue {
    config: ConfigMap,
    memory: Arc<MemoryStore>,
    /// Read by every call, replaced when a link changes.
    links: ArcSwap<HashMap<LinkId, Arc<Linked>>>,
    /// Held while links change. Connections to Redis by what was asked for.
    changes: Mutex<HashMap<RedisConfig, Weak<RedisStore>>>,
}

/// One link.
struct Linked {
    /// By the number that calls carry.
    functions: Vec<Function>,
    store: Arc<dyn Store>,
    default_bucket: Arc<str>,
    /// Kept when the link is replaced.
    handles: Arc<Handles>,
}

impl KeyValue {
    /// A provider with this configuration of its own, which is the default of its links.
    pub fn new(config: ConfigMap) -> Self {
        Self {
            config,
            memory: Arc::default(),
            links: ArcSwap::default(),
            changes: Mutex::default(),
        }
    }
}

async fn open(
    backend: &Backend,
    memory: &Arc<MemoryStore>,
    connections: &mut HashMap<RedisConfig, Weak<RedisStore>>,
) -> Result<Arc<dyn Store>, String> {
    match backend {
        Backend::Memory => Ok(memory.clone()),
        Backend::File(path) => {
            let path = path.clone();
            let opened = spawn_blocking(move || FileStore::open(&path)).await;
            Ok(opened.map_err(|e| format!("cannot open the file: {e}"))??)
        }
        Backend::Redis(config) => {
            connections.retain(|_, store| store.strong_count() > 0);
            if let Some(store) = connections.get(config).and_then(Weak::upgrade) {
                return Ok(store);
            }
            let store = Arc::new(RedisStore::connect(config).await?);
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
        let Peer::Importer(names) = &link.peer else {
            return Err(ProviderError(
                "the keyvalue provider calls nothing: it must be the link's target".into(),
            ));
        };
        let (config, problems) = config::read(&self.config, &link.config);
        if !problems.is_empty() {
            return Err(ProviderError(describe(&problems)));
        }
        let functions = names.iter().map(|name| {
            Function::named(name).ok_or_else(|| {
                let (interface, function) = (&name.interface, &name.function);
                ProviderError(format!(
                    "the keyvalue provider has no `{function}` in `{interface}`; it has \
                     `wasi:keyvalue` in the versions 0.2.0-draft and 0.2.0-draft2"
                ))
            })
        });
        let functions = functions.collect::<Result<_, _>>()?;
        let mut connections = self.changes.lock().await;
        let store = open(&config.backend, &self.memory, &mut connections).await;
        let store = store.map_err(ProviderError)?;
        let mut links = HashMap::clone(&self.links.load());
        let handles = links.get(&link.id).map(|linked| linked.handles.clone());
        let linked = Linked {
            functions,
            store,
            default_bucket: config.bucket.into(),
            handles: handles.unwrap_or_default(),
        };
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
        let function = linked
            .functions
            .get(call.function)
            .copied()
            .ok_or_else(|| {
                CallError::TypeMismatch(format!("the link has no function {}", call.function))
            })?;
        let target = Target {
            store: &*linked.store,
            handles: &linked.handles,
            default_bucket: &linked.default_bucket,
        };
        let deadline = call.deadline.checked_sub(MARGIN).unwrap_or(call.deadline);
        let answer = timeout_at(deadline.into(), target.call(function, &call.params)).await;
        answer.unwrap_or_else(|_| Ok(interface::unanswered(function)))
    }

    fn drop_resource(&self, link: LinkId, handle: u32) {
        if let Some(linked) = self.links.load().get(&link) {
            linked.handles.remove(handle);
        }
    }

    async fn health(&self) -> Health {
        let links = self.links.load_full();
        let deadline = Instant::now() + HEALTH;
        for linked in links.values() {
            match timeout_at(deadline.into(), linked.store.check()).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => return Health::Unhealthy(e.to_string()),
                Err(_) => return Health::Unhealthy(format!("{:?} does not answer", linked.store)),
            }
        }
        Health::Healthy
    }

    async fn shutdown(&self, _grace: Duration) {
        let _changing = self.changes.lock().await;
        release(self.links.swap(Arc::default())).await;
    }
}
