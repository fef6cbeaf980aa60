//! The resources that one caller holds of a callee that it shares with others.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use tokio::runtime::Handle;
use tokio::time::timeout;
use withe_rpc::HandleRef;

use crate::core::Holding;
use crate::limits::GIVE_BACK;

impl Holding {
    /// The callee gave the caller these.
    pub(crate) fn given(&self, handles: &[HandleRef]) {
        if !handles.is_empty() {
            self.lock().extend(handles.iter().map(|handle| handle.id));
        }
    }

    /// The caller passes these back; those that are its own no longer are.
    pub(crate) fn passed(&self, handles: &[HandleRef]) {
        for handle in handles.iter().filter(|handle| handle.own) {
            self.lock().remove(&handle.id);
        }
    }

    /// The caller drops one.
    pub(crate) fn dropped(&self, id: u32) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<u32>> {
        // Nothing panics while the lock is held.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let held = std::mem::take(&mut *self.lock());
        // Without a runtime the process is ending, and the callee with it.
        if held.is_empty() || Handle::try_current().is_err() {
            return;
        }
        let callee = self.callee.clone();
        tokio::spawn(async move {
            for id in held {
                match timeout(GIVE_BACK, callee.drop_handle(id)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(e)) => tracing::warn!("dropping a resource of a caller that went: {e}"),
                    Err(_) => {
                        return tracing::warn!("a shared callee is too busy to drop resources");
                    }
                }
            }
        });
    }
}
