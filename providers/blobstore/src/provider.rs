//! The provider: links come and go, stores are shared between them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout_at;
use withe_provider::nats::NatsConnectError;
use withe_provider::settings::describe;
use withe_provider::{
    BackendCalls, BackendCount, BlobStore, ConfigMap, Health, Link, LinkId, Peer, Provider,
    ProviderError, SharedBackends,
};

use crate::cloud::{self, CloudStore};
use crate::config::{self, Backend};
use crate::counted::CountedStore;
use crate::folder::{FolderError, FolderStore};
use crate::memory::MemoryStore;
use crate::names::Named;
use crate::nats::NatsStore;
use crate::store::Store;

/// How long a health check may take.
const HEALTH: Duration = Duration::from_secs(5);

/// The provider.
pub struct Blobs {
    config: ConfigMap,
    /// Read by every call, replaced when a link changes.
    links: ArcSwap<HashMap<LinkId, Arc<dyn Store>>>,
    /// Held while links change.
    changes: Mutex<Opened>,
    backend_calls: BackendCalls,
}

/// Stores that are open, by what was asked for.
#[derive(Default)]
struct Opened {
    /// The store in memory stays as long as the provider does: links come and go.
    memory: HashMap<u64, Arc<dyn Store>>,
    others: SharedBackends<Backend, dyn Store>,
}

/// Why there is no store for a link.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Nats(#[from] NatsConnectError),
    #[error(transparent)]
    Cloud(#[from] cloud::OpenError),
    /// Opening it panicked.
    #[error("the store cannot be opened: {0}")]
    Stopped(#[from] JoinError),
}

impl Blobs {
    /// A provider with this configuration of its own, which is the default of its links.
    pub fn new(config: ConfigMap) -> Self {
        Self {
            config,
            links: ArcSwap::default(),
            changes: Mutex::default(),
            backend_calls: BackendCalls::default(),
        }
    }
}

impl Opened {
    async fn store(&mut self, backend: Backend) -> Result<Arc<dyn Store>, OpenError> {
        if let Backend::Memory(most) = backend {
            let store = self.memory.entry(most);
            return Ok(store
                .or_insert_with(|| Arc::new(MemoryStore::new(most)))
                .clone());
        }
        self.others.get_or_open(&backend, open(&backend)).await
    }
}

async fn open(backend: &Backend) -> Result<Arc<dyn Store>, OpenError> {
    Ok(match backend {
        Backend::Memory(most) => Arc::new(MemoryStore::new(*most)),
        Backend::Folder(path) => {
            let path = path.clone();
            Arc::new(spawn_blocking(move || FolderStore::open(&path)).await??)
        }
        Backend::Nats(config) => Arc::new(NatsStore::connect(config).await?),
        Backend::Cloud(config) => Arc::new(CloudStore::open(config).await?),
    })
}

#[async_trait::async_trait]
impl Provider for Blobs {
    async fn start(&self) -> Result<(), ProviderError> {
        let (_, problems) = config::read(&self.config, &ConfigMap::new());
        match problems.is_empty() {
            true => Ok(()),
            false => Err(ProviderError(describe(&problems))),
        }
    }

    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        let Peer::Importer(_) = link.peer else {
            return Err(ProviderError(
                "the blobstore provider calls nothing: it must be the link's target".into(),
            ));
        };
        let (backend, problems) = config::read(&self.config, &link.config);
        if !problems.is_empty() {
            return Err(ProviderError(describe(&problems)));
        }
        let mut opened = self.changes.lock().await;
        let kind = backend.kind();
        let store = opened.store(backend).await;
        let mut store = store.map_err(|why| ProviderError(why.to_string()))?;
        if let Some(backend) = kind {
            store = Arc::new(CountedStore {
                store,
                backend,
                calls: self.backend_calls.clone(),
            });
        }
        let mut links = HashMap::clone(&self.links.load());
        links.insert(link.id, store);
        self.links.store(Arc::new(links));
        Ok(())
    }

    async fn link_deleted(&self, id: LinkId, _grace: Duration) {
        let _changing = self.changes.lock().await;
        let mut links = HashMap::clone(&self.links.load());
        links.remove(&id);
        self.links.store(Arc::new(links));
    }

    fn blob_store(&self, link: LinkId) -> Option<Arc<dyn BlobStore>> {
        let store = self.links.load().get(&link).cloned()?;
        Some(Arc::new(Named(store)))
    }

    fn backend_calls(&self) -> Vec<BackendCount> {
        self.backend_calls.read()
    }

    async fn health(&self) -> Health {
        let links = self.links.load_full();
        let deadline = Instant::now() + HEALTH;
        for store in links.values() {
            match timeout_at(deadline.into(), store.check()).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => return Health::Unhealthy(format!("{store:?}: {why}")),
                Err(_) => return Health::Unhealthy(format!("{store:?} does not answer")),
            }
        }
        Health::Healthy
    }

    async fn shutdown(&self, _grace: Duration) {
        let _changing = self.changes.lock().await;
        self.links.store(Arc::default());
    }
}
