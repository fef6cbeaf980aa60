//! Providers that run, and the links that they hold.
//!
//! Both are values that plans share: a plan that leaves a provider or a link as it was has the very same one as the
//! plan before it, and what the older plan alone had is what it leaves behind.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use withe_linker::plan::{PlannedComponent, PlannedLink, PlannedSecret};
use withe_load::ProviderSource;
use withe_provider::{
    ConfigMap, Endpoint, FunctionName, Link, LinkId, Peer, Provider, ProviderError, SecretKeys,
};

use super::switch::{SourceSwitch, SourceTarget};
use crate::error::{HostError, ProviderFailure};

/// The longest that starting a provider, or making a link, may take.
const MAKE: Duration = Duration::from_secs(30);
/// How much longer than the grace a provider may take to stop before it is left behind.
const SLACK: Duration = Duration::from_secs(5);

static NEXT_LINK: AtomicU64 = AtomicU64::new(1);

/// A link's identity: source, target, name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkKey {
    /// The importer.
    pub source: String,
    /// The exporter.
    pub target: String,
    /// The link's own name.
    pub name: String,
}

impl LinkKey {
    /// The key of a planned link.
    pub fn of(link: &PlannedLink) -> Self {
        Self {
            source: link.source.clone(),
            target: link.target.clone(),
            name: link.name.clone(),
        }
    }
}

/// One running provider.
pub(crate) struct RunningProvider {
    pub(crate) name: String,
    source: ProviderSource,
    /// The base of relative paths in its configuration.
    folder: PathBuf,
    config: ConfigMap,
    provider: Arc<dyn Provider>,
}

/// A link that a provider holds.
#[derive(Clone)]
pub(crate) struct HeldLink {
    pub(crate) provider: Arc<RunningProvider>,
    pub(crate) id: LinkId,
    pub(crate) key: LinkKey,
    application: String,
    config: HeldConfig,
    pub(crate) end: HeldEnd,
}

/// A provider's side of a link's configuration.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HeldConfig {
    values: ConfigMap,
    /// The keys of `values` that the host fetched as secrets.
    secret_keys: SecretKeys,
}

impl HeldConfig {
    /// The configuration of a link's target.
    pub(crate) fn of_target(link: &PlannedLink) -> Self {
        Self::new(&link.target_config, &link.target_secrets)
    }

    /// The configuration of a link's source.
    pub(crate) fn of_source(link: &PlannedLink) -> Self {
        Self::new(&link.source_config, &link.source_secrets)
    }

    fn new(values: &ConfigMap, secrets: &[PlannedSecret]) -> Self {
        Self {
            values: values.clone(),
            secret_keys: secrets.iter().map(|secret| secret.name.clone()).collect(),
        }
    }
}

/// Which end of a link a provider is, and what is at the other.
#[derive(Clone)]
pub(crate) enum HeldEnd {
    /// Its target: what the importer calls.
    Target(Arc<[FunctionName]>),
    /// Its source: the component that it calls.
    Source(SourceSwitch),
}

impl RunningProvider {
    /// A provider that was made of `source`, and does not run yet.
    pub(crate) fn new(
        source: ProviderSource,
        component: &PlannedComponent,
        folder: &Path,
        provider: Arc<dyn Provider>,
    ) -> Self {
        Self {
            name: component.name.clone(),
            source,
            folder: folder.to_owned(),
            config: component.config.clone(),
            provider,
        }
    }

    /// Starts it.
    pub(crate) async fn start(&self) -> Result<(), HostError> {
        bounded(&self.name, "start", self.provider.start()).await
    }

    /// Whether it is what a plan asks for: then it can stay as it runs.
    pub(crate) fn fits(
        &self,
        source: &ProviderSource,
        component: &PlannedComponent,
        folder: &Path,
    ) -> bool {
        self.source.is(source) && self.config == component.config && self.folder == folder
    }

    pub(crate) fn provider(&self) -> &Arc<dyn Provider> {
        &self.provider
    }

    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        self.provider.endpoints()
    }

    /// Whether others connect to it from outside.
    pub(crate) fn listens(&self) -> bool {
        !self.endpoints().is_empty()
    }

    /// Gives `successor`, which has not started, what only one of the two can have; false if that can only be had when
    /// this one has stopped, such as the sockets of another sort of provider.
    pub(crate) fn hand_over(&self, successor: &Self) -> bool {
        match self.provider.handover() {
            Some(handover) => successor.provider.take_over(handover) || !self.listens(),
            None => !self.listens(),
        }
    }

    /// Finishes its work and stops it.
    pub(crate) async fn stop(&self, grace: Duration) {
        // A provider keeps to the grace by itself; one that does not is left behind.
        let stopping = self.provider.shutdown(grace);
        if timeout(grace + SLACK, stopping).await.is_err() {
            tracing::warn!(
                provider = self.name,
                "the provider did not stop in time and was left behind"
            );
        }
    }
}

impl HeldLink {
    /// A link that `provider` does not know yet.
    pub(crate) fn new(
        provider: &Arc<RunningProvider>,
        application: &str,
        key: LinkKey,
        config: HeldConfig,
        end: HeldEnd,
    ) -> Self {
        Self {
            provider: provider.clone(),
            id: LinkId(NEXT_LINK.fetch_add(1, Ordering::Relaxed)),
            key,
            application: application.to_owned(),
            config,
            end,
        }
    }

    /// Whether a link that ends at `provider` is the same as it is.
    pub(crate) fn is_target(
        &self,
        provider: &Arc<RunningProvider>,
        functions: &Arc<[FunctionName]>,
        config: &HeldConfig,
    ) -> bool {
        let same = |known: &Arc<[FunctionName]>| known == functions;
        Arc::ptr_eq(&self.provider, provider)
            && matches!(&self.end, HeldEnd::Target(known) if same(known))
            && self.config == *config
    }

    /// Whether a link that starts at `provider` can go on and lead to `target`.
    pub(crate) fn can_lead(&self, provider: &Arc<RunningProvider>, target: &SourceTarget) -> bool {
        Arc::ptr_eq(&self.provider, provider)
            && self.switch().is_some_and(|switch| switch.fits(target))
    }

    /// The same link, which starts at a provider, with another target or configuration.
    pub(crate) fn changed(&self, key: LinkKey, config: HeldConfig) -> Self {
        Self {
            key,
            config,
            ..self.clone()
        }
    }

    /// Whether its provider would be told the same of both.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        self.id == other.id && self.key == other.key && self.config == other.config
    }

    /// The component that its source calls, if that is the provider.
    pub(crate) fn switch(&self) -> Option<&SourceSwitch> {
        match &self.end {
            HeldEnd::Source(switch) => Some(switch),
            HeldEnd::Target(_) => None,
        }
    }

    /// Makes it, or changes what it was.
    pub(crate) async fn put(&self) -> Result<(), HostError> {
        let (component, peer) = match &self.end {
            HeldEnd::Target(functions) => (&self.key.source, Peer::Importer(functions.clone())),
            HeldEnd::Source(switch) => (&self.key.target, switch.peer()),
        };
        let provider = &self.provider;
        let link = Link {
            id: self.id,
            name: self.key.name.clone(),
            application: self.application.clone(),
            component: component.clone(),
            config: with_paths(
                self.config.values.clone(),
                &provider.source,
                &provider.folder,
            ),
            peer,
        };
        let what = format!("link with `{component}`");
        let secret_keys = &self.config.secret_keys;
        let put = (provider.provider).link_put_with_secrets(link, secret_keys);
        bounded(&provider.name, &what, put).await
    }

    /// Removes it when what is under way has finished, for which it has the grace.
    pub(crate) async fn delete(&self, grace: Duration) {
        let deleting = self.provider.provider.link_deleted(self.id, grace);
        if timeout(grace + SLACK, deleting).await.is_err() {
            let Self { key, provider, .. } = self;
            tracing::warn!(
                provider = provider.name,
                "the link from `{}` to `{}` was not let go in time",
                key.source,
                key.target
            );
        }
        if let Some(switch) = self.switch() {
            switch.end();
        }
    }

    /// Where others connect to it, if it starts at a provider that listens.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        let id = self.id;
        let all = self.provider.endpoints().into_iter();
        all.filter(move |endpoint| endpoint.link == id)
    }
}

/// Makes relative paths in a provider's configuration relative to `folder`.
pub(crate) fn with_paths(
    mut config: ConfigMap,
    source: &ProviderSource,
    folder: &Path,
) -> ConfigMap {
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
    work: impl Future<Output = Result<(), ProviderError>>,
) -> Result<(), HostError> {
    let why = match timeout(MAKE, work).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => ProviderFailure::Refused(error),
        Err(_) => ProviderFailure::Late(MAKE),
    };
    Err(HostError::Provider {
        provider: provider.into(),
        what: what.into(),
        why,
    })
}
