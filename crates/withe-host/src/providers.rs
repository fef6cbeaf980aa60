//! Providers running in this host, and the links they hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use withe_linker::plan::{PlannedComponent, PlannedLink};
use withe_provider::{ConfigMap, Endpoint, Link, LinkId, Peer, Provider};

use crate::host::{HostError, HostOptions};
use crate::provider_source::ProviderSource;

/// The longest that starting a provider, or making a link, may take.
const MAKE: Duration = Duration::from_secs(30);

static NEXT_LINK: AtomicU64 = AtomicU64::new(1);

/// A link's identity: source, target, name.
pub(crate) type LinkKey = (String, String, String);

/// The key of a planned link.
pub(crate) fn key(link: &PlannedLink) -> LinkKey {
    (link.source.clone(), link.target.clone(), link.name.clone())
}

/// One running provider.
pub(crate) struct RunningProvider {
    name: String,
    source: ProviderSource,
    /// What relative paths in its configuration are relative to.
    folder: PathBuf,
    config: ConfigMap,
    provider: Arc<dyn Provider>,
    links: BTreeMap<LinkKey, LinkId>,
}

impl RunningProvider {
    /// Starts a provider.
    pub(crate) async fn start(
        source: ProviderSource,
        component: &PlannedComponent,
        folder: &Path,
        options: &HostOptions,
    ) -> Result<Self, HostError> {
        let config = with_paths(component.config.clone(), &source, folder);
        let name = &component.name;
        let provider = source.create(name, config, options)?;
        bounded(name, "start", provider.start()).await?;
        Ok(Self {
            name: name.clone(),
            source,
            folder: folder.to_owned(),
            config: component.config.clone(),
            provider,
            links: BTreeMap::new(),
        })
    }

    /// Whether it is what the plan now asks for: then it can stay as it runs.
    pub(crate) fn fits(&self, source: &ProviderSource, component: &PlannedComponent) -> bool {
        self.source.is(source) && self.config == component.config
    }

    pub(crate) fn provider(&self) -> &Arc<dyn Provider> {
        &self.provider
    }

    /// Makes a link, or replaces the one of the same identity.
    pub(crate) async fn put(
        &mut self,
        key: LinkKey,
        application: &str,
        component: &str,
        config: ConfigMap,
        peer: Peer,
    ) -> Result<LinkId, HostError> {
        let known = self.links.get(&key).copied();
        let id = known.unwrap_or_else(|| LinkId(NEXT_LINK.fetch_add(1, Ordering::Relaxed)));
        let link = Link {
            id,
            name: key.2.clone(),
            application: application.to_owned(),
            component: component.to_owned(),
            config: with_paths(config, &self.source, &self.folder),
            peer,
        };
        let what = format!("link with `{component}`");
        bounded(&self.name, &what, self.provider.link_put(link)).await?;
        self.links.insert(key, id);
        Ok(id)
    }

    /// Removes the links that are not among `keep`.
    pub(crate) async fn retain(&mut self, keep: &[LinkKey], grace: Duration) {
        let gone: Vec<_> = self
            .links
            .keys()
            .filter(|key| !keep.contains(key))
            .cloned()
            .collect();
        for key in gone {
            if let Some(id) = self.links.remove(&key) {
                self.provider.link_deleted(id, grace).await;
            }
        }
    }

    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        self.provider.endpoints()
    }

    /// Finishes its work and stops it.
    pub(crate) async fn stop(self, grace: Duration) {
        // A provider keeps to the grace by itself; one that does not is left behind.
        let slack = grace + Duration::from_secs(5);
        if timeout(slack, self.provider.shutdown(grace)).await.is_err() {
            tracing::warn!(
                provider = self.name,
                "the provider did not stop in time and was left behind"
            );
        }
    }
}

/// Makes relative paths in a provider's configuration relative to `folder`.
fn with_paths(mut config: ConfigMap, source: &ProviderSource, folder: &Path) -> ConfigMap {
    for (key, value) in &mut config {
        if !value.is_empty() && source.is_path(&key.to_ascii_lowercase()) {
            *value = folder.join(&*value).display().to_string();
        }
    }
    config
}

async fn bounded(
    provider: &str,
    what: &str,
    work: impl Future<Output = Result<(), withe_provider::ProviderError>>,
) -> Result<(), HostError> {
    let error = |why: String| HostError::Provider {
        provider: provider.into(),
        what: what.into(),
        why,
    };
    match timeout(MAKE, work).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(error(e.to_string())),
        Err(_) => Err(error(format!(
            "nothing came of it in {} seconds",
            MAKE.as_secs()
        ))),
    }
}
