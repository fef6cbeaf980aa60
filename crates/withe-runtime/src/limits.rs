//! Bounds of one instance: memory, time, and how long it goes on behind its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::ResourceLimiter;

/// Whether the head of an HTTP response is out. From then on the one who takes the body watches that
/// it goes on; the guest may run as long as it does.
#[derive(Clone, Default)]
pub(crate) struct Streaming(Arc<AtomicBool>);

impl Streaming {
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Keeps a unit's linear memory within its limit. All memories of an instance count together.
pub(crate) struct MemoryLimit {
    used: u64,
    most: u64,
    /// Whether growth was refused: a trap soon after is then explained by it.
    pub(crate) refused: bool,
}

impl MemoryLimit {
    /// At most so many bytes, if anything is said.
    pub(crate) fn new(most: Option<u64>) -> Self {
        Self {
            used: 0,
            most: most.unwrap_or(u64::MAX),
            refused: false,
        }
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self
            .used
            .saturating_add(desired.saturating_sub(current) as u64);
        if used > self.most {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Tables are bounded by the pool.
        Ok(true)
    }
}

/// The error a guest is stopped with when its deadline has passed.
#[derive(Debug, thiserror::Error)]
#[error("the deadline passed")]
pub(crate) struct DeadlinePassed;
