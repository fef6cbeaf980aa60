//! A provider that is called, made of its functions.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use withe_rpc::{BoxFuture, CallError, Payload};

use crate::functions::{Functions, Linked};
use crate::{Call, Link, LinkId, Provider, ProviderError};

type Make<L> = Box<dyn Fn(Link) -> BoxFuture<'static, Result<L, ProviderError>> + Send + Sync>;

type Links<L> = HashMap<LinkId, Arc<Linked<L>>>;

/// A provider that only exports: its [`Functions`], and what it has of each link, `L`.
///
/// ```
/// # mod acme { pub fn functions() -> withe_provider::Functions<String> { withe_provider::Functions::new() } }
/// use withe_provider::Exporter;
///
/// // The provider's state of a link: here, the greeting that its configuration says.
/// let provider = Exporter::new(acme::functions(), async |link| {
///     Ok(link.config.get("greeting").cloned().unwrap_or("Hello".into()))
/// });
/// # let _ = provider;
/// ```
///
/// One that also calls, listens or reports its health implements [`Provider`] itself, with [`Functions::of`] for
/// what it exports.
pub struct Exporter<L> {
    functions: Functions<L>,
    make: Make<L>,
    links: RwLock<Links<L>>,
}

impl<L: Send + Sync + 'static> Exporter<L> {
    /// A provider that makes of each link what `make` returns. The state is made anew when the link is put again: calls
    /// under way go on with what they began with, and the resources that the component has stay.
    pub fn new<F, A>(functions: Functions<L>, make: F) -> Self
    where
        F: Fn(Link) -> A + Send + Sync + 'static,
        A: Future<Output = Result<L, ProviderError>> + Send + 'static,
    {
        Self {
            functions,
            make: Box::new(move |link| Box::pin(make(link))),
            links: RwLock::default(),
        }
    }

    fn links(&self) -> RwLockReadGuard<'_, Links<L>> {
        // Nothing panics while the lock is held.
        self.links.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Links<L>> {
        // Nothing panics while the lock is held.
        self.links.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl<L: Send + Sync + 'static> Provider for Exporter<L> {
    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        let id = link.id;
        let functions = self.functions.of(&link)?;
        let mut linked = functions.with((self.make)(link).await?);
        let mut links = self.change();
        if let Some(before) = links.get(&id) {
            linked.replace(before);
        }
        let before = links.insert(id, Arc::new(linked));
        // Outside the lock: what a provider has of a link may take long to let go.
        drop(links);
        drop(before);
        Ok(())
    }

    async fn link_deleted(&self, id: LinkId, _: Duration) {
        let gone = self.change().remove(&id);
        drop(gone);
    }

    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        let linked = self.links().get(&call.link).cloned();
        let linked = linked.ok_or_else(|| CallError::Unlinked("the link was removed".into()))?;
        linked.call(call).await
    }

    fn drop_resource(&self, link: LinkId, handle: u32) {
        let linked = self.links().get(&link).cloned();
        if let Some(linked) = linked {
            linked.drop_resource(handle);
        }
    }

    async fn shutdown(&self, _: Duration) {
        let gone = std::mem::take(&mut *self.change());
        drop(gone);
    }
}
