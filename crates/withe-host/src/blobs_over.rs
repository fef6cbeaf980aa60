//! Objects that a provider in another process keeps, as what carries out a plan sees them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use withe_provider::blob_wire::BlobsOver;
use withe_provider::{BlobStore, Link, LinkId, Provider, ProviderError};
use withe_rpc::Route;

use crate::units::LinkEnd;

/// A provider that keeps objects at the end of a route.
struct BlobsProvider(Arc<dyn BlobStore>);

/// Where a link leads that carries objects by `route`.
pub(crate) fn end(route: Arc<Route>) -> LinkEnd {
    LinkEnd::Provider {
        provider: Arc::new(BlobsProvider(Arc::new(BlobsOver(route)))),
        // The answer has no other stream.
        link: LinkId(0),
    }
}

#[async_trait]
impl Provider for BlobsProvider {
    async fn link_put(&self, _: Link) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn link_deleted(&self, _: LinkId, _: Duration) {}

    fn blob_store(&self, _: LinkId) -> Option<Arc<dyn BlobStore>> {
        Some(self.0.clone())
    }

    async fn shutdown(&self, _: Duration) {}
}
