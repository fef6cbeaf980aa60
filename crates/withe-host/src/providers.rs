//! Providers running in this host, and the links they hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use withe_linker::input::Inputs;
use withe_linker::plan::{PlannedComponent, PlannedLink};
use withe_provider::{ConfigMap, Endpoint, FunctionName, Link, LinkId, Peer, Provider};

use crate::host::{HostError, HostOptions};
use crate::load::Loaded;
use crate::provider_source::ProviderSource;
use crate::retire::LeftLink;

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
    links: BTreeMap<LinkKey, Held>,
    /// Links that others took the place of, and that what runs now still calls.
    replaced: Vec<LinkId>,
}

/// A link as the provider has it.
struct Held {
    id: LinkId,
    config: ConfigMap,
    /// What its source calls; nothing if the provider is the source.
    functions: Option<Arc<[FunctionName]>>,
}

impl RunningProvider {
    /// Starts a provider.
    pub(crate) async fn start(
        source: ProviderSource,
        component: &PlannedComponent,
        loaded: &Loaded,
        inputs: &Inputs,
        options: &HostOptions,
    ) -> Result<Self, HostError> {
        let folder = &loaded.folder;
        let config = with_paths(component.config.clone(), &source, folder);
        let name = &component.name;
        let application = &inputs.application;
        let provider = source.create(name, application, config, options).await?;
        bounded(name, "start", provider.start()).await?;
        Ok(Self {
            name: name.clone(),
            source,
            folder: folder.to_owned(),
            config: component.config.clone(),
            provider,
            links: BTreeMap::new(),
            replaced: Vec::new(),
        })
    }

    /// Whether it is what the plan now asks for: then it can stay as it runs.
    pub(crate) fn fits(&self, source: &ProviderSource, component: &PlannedComponent) -> bool {
        self.source.is(source) && self.config == component.config
    }

    pub(crate) fn provider(&self) -> &Arc<dyn Provider> {
        &self.provider
    }

    /// Makes a link, in the place of the one of the same identity.
    ///
    /// A link that starts at the provider is changed where it is: it may have an address. One that ends there is left
    /// alone if it is the same, and else made beside the other: instances that run know that one by its number,
    /// and its functions by theirs.
    pub(crate) async fn put(
        &mut self,
        key: LinkKey,
        application: &str,
        component: &str,
        config: ConfigMap,
        peer: Peer,
    ) -> Result<LinkId, HostError> {
        let functions = match &peer {
            Peer::Importer(functions) => Some(functions.clone()),
            Peer::Http(_) => None,
        };
        let known = self.links.get(&key);
        let id = match known {
            Some(held) if functions.is_none() => held.id,
            Some(held) if held.functions == functions && held.config == config => {
                return Ok(held.id);
            }
            _ => LinkId(NEXT_LINK.fetch_add(1, Ordering::Relaxed)),
        };
        let link = Link {
            id,
            name: key.2.clone(),
            application: application.to_owned(),
            component: component.to_owned(),
            config: with_paths(config.clone(), &self.source, &self.folder),
            peer,
        };
        let what = format!("link with `{component}`");
        bounded(&self.name, &what, self.provider.link_put(link)).await?;
        let held = Held {
            id,
            config,
            functions,
        };
        let before = self.links.insert(key, held);
        self.replaced
            .extend(before.map(|held| held.id).filter(|before| *before != id));
        Ok(id)
    }

    /// Lets a link that starts at the provider go on with another target, if `kept` has no longer the one that it had:
    /// it keeps its address, and loses no request.
    pub(crate) fn retarget(&mut self, key: &LinkKey, kept: &[LinkKey]) {
        if self.links.contains_key(key) {
            return;
        }
        let mut keys = self.links.keys();
        let same = |old: &&LinkKey| (&old.0, &old.2) == (&key.0, &key.2) && !kept.contains(old);
        if let Some(old) = keys.find(same).cloned()
            && let Some(held) = self.links.remove(&old)
        {
            self.links.insert(key.clone(), held);
        }
    }

    /// Has no links any more but those among `keep`. The others are for the caller to end.
    pub(crate) fn retain(&mut self, keep: &[LinkKey]) -> Vec<LeftLink> {
        let left = |id: LinkId, is_source: bool| LeftLink {
            provider: self.provider.clone(),
            id,
            is_source,
        };
        let replaced = self.replaced.drain(..).map(|id| left(id, false));
        let gone = self.links.extract_if(.., |key, _| !keep.contains(key));
        let gone = gone.map(|(_, held)| left(held.id, held.functions.is_none()));
        replaced.chain(gone).collect()
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
