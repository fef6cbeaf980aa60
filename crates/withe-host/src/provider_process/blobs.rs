//! The objects that a provider's process keeps.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use withe_process::ProcessState;
use withe_provider::blob_wire::{BlobSession, BlobsOver};
use withe_provider::{BlobStore, BoxFuture, CallTarget, LinkId};
use withe_rpc::CallError;

use super::running::{self, RunningProcess};
use super::supervised::ProviderCore;

/// The store of objects of `link`, in whichever process runs when one is asked for.
pub(super) fn store(
    core: &Arc<ProviderCore>,
    process: watch::Receiver<ProcessState<RunningProcess>>,
    link: LinkId,
) -> Arc<dyn BlobStore> {
    let core = core.clone();
    Arc::new(BlobsOver(ProcessBlobs {
        core,
        process,
        link,
    }))
}

struct ProcessBlobs {
    core: Arc<ProviderCore>,
    process: watch::Receiver<ProcessState<RunningProcess>>,
    link: LinkId,
}

impl BlobSession for ProcessBlobs {
    fn session(&self, deadline: Instant) -> BoxFuture<'_, Result<Arc<dyn CallTarget>, CallError>> {
        Box::pin(async move {
            let name = &self.core.name;
            let live = running::wait(name, self.process.clone(), deadline).await?;
            let link = live.ready().link(self.link).ok_or_else(|| {
                CallError::Unlinked(format!("the link to provider `{name}` was removed"))
            })?;
            let session: Arc<dyn CallTarget> = link.blobs.clone();
            Ok(session)
        })
    }
}
