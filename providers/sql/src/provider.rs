//! The provider: links come and go, databases are shared between them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use withe_provider::settings::describe;
use withe_provider::{
    BackendCalls, BackendCount, Call, CallError, ConfigMap, Functions, Health, Link, LinkId,
    Linked, Payload, Provider, ProviderError, SharedBackends,
};

use crate::config::{self, Backend, Choice, PostgresConfig};
use crate::counted::CountedDatabase;
use crate::database::Database;
use crate::interface::Opened;
use crate::postgres::{ConnectError, Postgres};
use crate::sqlite::{OpenError, Sqlite, whole_path};
use crate::wit;

/// How long a health check may take.
const HEALTH: Duration = Duration::from_secs(5);
/// The longest that is waited for what a database that no link has any more still does.
const CLOSE: Duration = Duration::from_secs(5);

/// The provider.
pub struct Sql {
    choice: Choice,
    config: ConfigMap,
    functions: Functions<Opened>,
    /// Read by every call, replaced when a link changes.
    links: ArcSwap<HashMap<LinkId, Arc<Linked<Opened>>>>,
    /// Held while links change.
    databases: Mutex<Databases>,
    /// Calls under way.
    calls: TaskTracker,
    backend_calls: BackendCalls,
}

/// The databases that links have, by what was asked for.
#[derive(Default)]
struct Databases {
    /// Lives as long as the provider, once a link asked for it.
    memory: Option<Arc<Sqlite>>,
    files: SharedBackends<PathBuf, Sqlite>,
    servers: SharedBackends<PostgresConfig, Postgres>,
}

impl Sql {
    /// A provider of SQLite and PostgreSQL with this configuration of its own, which is the default of its links.
    pub fn any(config: ConfigMap) -> Self {
        Self::new(Choice::Any, config)
    }

    /// A provider of PostgreSQL with this configuration of its own, which is the default of its links.
    pub fn postgres(config: ConfigMap) -> Self {
        Self::new(Choice::Postgres, config)
    }

    fn new(choice: Choice, config: ConfigMap) -> Self {
        Self {
            choice,
            config,
            functions: wit::functions(),
            links: ArcSwap::default(),
            databases: Mutex::default(),
            calls: TaskTracker::new(),
            backend_calls: BackendCalls::default(),
        }
    }
}

/// Why there is no database for a link.
#[derive(Debug, thiserror::Error)]
enum NoDatabase {
    #[error(transparent)]
    Sqlite(#[from] OpenError),
    /// Opening the file panicked.
    #[error("cannot open the file: {0}")]
    Stopped(#[from] JoinError),
    #[error(transparent)]
    Postgres(#[from] ConnectError),
}

impl Databases {
    async fn open(&mut self, backend: &Backend) -> Result<Arc<dyn Database>, NoDatabase> {
        match backend {
            Backend::Memory => {
                if let Some(memory) = &self.memory {
                    return Ok(memory.clone());
                }
                let memory = Arc::new(spawn_blocking(Sqlite::memory).await??);
                Ok(self.memory.insert(memory).clone())
            }
            Backend::File(path) => {
                let path = path.clone();
                let path = spawn_blocking(move || whole_path(&path)).await??;
                let opening = path.clone();
                let open = async {
                    let file = spawn_blocking(move || Sqlite::open(&opening)).await??;
                    Ok::<_, NoDatabase>(Arc::new(file))
                };
                Ok(self.files.get_or_open(&path, open).await?)
            }
            Backend::Postgres(config) => {
                let connect = async { Postgres::connect(config).await.map(Arc::new) };
                Ok(self.servers.get_or_open(config, connect).await?)
            }
        }
    }
}

/// Lets go of links. The last one of a file waits for its thread, so not in an async task.
async fn release(links: impl Send + 'static) {
    // The task cannot fail: nothing here panics, and it is not cancelled.
    let _ = spawn_blocking(move || drop(links)).await;
}

#[async_trait::async_trait]
impl Provider for Sql {
    async fn start(&self) -> Result<(), ProviderError> {
        let (_, problems) = config::read(self.choice, &self.config, &ConfigMap::new());
        match problems.is_empty() {
            true => Ok(()),
            false => Err(ProviderError(describe(&problems))),
        }
    }

    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        let (config, problems) = config::read(self.choice, &self.config, &link.config);
        if !problems.is_empty() {
            return Err(ProviderError(describe(&problems)));
        }
        let functions = self.functions.of(&link)?;
        let mut databases = self.databases.lock().await;
        let database = databases.open(&config.backend).await;
        let database = Arc::new(CountedDatabase {
            database: database.map_err(|why| ProviderError(why.to_string()))?,
            backend: config.backend.kind(),
            calls: self.backend_calls.clone(),
        });
        let mut links = HashMap::clone(&self.links.load());
        let before = links.get(&link.id);
        let statements = before.map(|before| before.state.statements.clone());
        let mut linked = functions.with(Opened {
            database,
            limits: config.limits,
            statements: statements.unwrap_or_default(),
        });
        if let Some(before) = before {
            linked.replace(before);
        }
        links.insert(link.id, Arc::new(linked));
        release(self.links.swap(Arc::new(links))).await;
        Ok(())
    }

    async fn link_deleted(&self, id: LinkId, grace: Duration) {
        let _changing = self.databases.lock().await;
        let mut links = HashMap::clone(&self.links.load());
        let gone = links.remove(&id);
        release(self.links.swap(Arc::new(links))).await;
        if let Some(gone) = gone {
            // Others may have the database still; what is waited for is broken off already, and soon over.
            gone.state
                .database
                .close(Instant::now() + grace.min(CLOSE))
                .await;
            release(gone).await;
        }
    }

    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        let _under_way = self.calls.token();
        let linked = self.links.load().get(&call.link).cloned();
        let linked = linked.ok_or_else(|| {
            CallError::Unlinked("the link to the SQL provider was removed".into())
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
        let deadline = Instant::now() + HEALTH;
        for linked in links.values() {
            if let Err(why) = linked.state.database.check(deadline).await {
                return Health::Unhealthy(why.to_string());
            }
        }
        Health::Healthy
    }

    async fn shutdown(&self, grace: Duration) {
        let deadline = Instant::now() + grace;
        self.calls.close();
        // Calls that are not done by then are broken off with the databases.
        let _ = timeout(grace, self.calls.wait()).await;
        let mut databases = self.databases.lock().await;
        let links = self.links.swap(Arc::default());
        let last = deadline.max(Instant::now() + CLOSE);
        for linked in links.values() {
            linked.state.database.close(last).await;
        }
        release((links, std::mem::take(&mut *databases))).await;
    }
}
