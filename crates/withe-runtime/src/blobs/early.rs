//! The bytes that are written of values before anybody knows where they go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most bytes that an instance may have written of such values.
pub(super) const MOST: usize = 16 << 20;

/// How many bytes an instance has written of such values. Cloned, it is the same count.
#[derive(Clone, Debug, Default)]
pub(crate) struct EarlyBytes(Arc<AtomicUsize>);

impl EarlyBytes {
    /// How many more there may be.
    pub(super) fn room(&self) -> usize {
        MOST.saturating_sub(self.written())
    }

    pub(super) fn written(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn forget(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}
