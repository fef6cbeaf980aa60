//! Bounds of one instance: memory, time, and how long it goes on behind its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::quota::{Nested, QuotaExceeded};

/// The longest that giving back a resource of a caller that went may wait for its callee.
pub(crate) const GIVE_BACK: Duration = Duration::from_secs(30);

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

/// Keeps a unit's linear memory within its limit, and within what is left of its share. All memories of an instance
/// count together.
pub(crate) struct MemoryLimit {
    used: u64,
    most: u64,
    /// The bytes taken of the share: memories and tables.
    taken: u64,
    nested: Nested,
    /// Whether growth was refused: a trap soon after is then explained by it.
    pub(crate) refused: bool,
    /// Why it was, if that was the share.
    pub(crate) shortage: Option<QuotaExceeded>,
}

/// The cost of an element of a table, in bytes.
const TABLE_ELEMENT: u64 = 16;

impl MemoryLimit {
    /// At most so many bytes, if anything is said, on the account of an instance that stands there.
    pub(crate) fn new(most: Option<u64>, nested: Nested) -> Self {
        Self {
            used: 0,
            most: most.unwrap_or(u64::MAX),
            taken: 0,
            nested,
            refused: false,
            shortage: None,
        }
    }

    /// The instance stands there from now on, on the same account.
    pub(crate) fn stands(&mut self, nested: Nested) {
        self.nested = nested;
    }

    /// Takes so much of the share.
    fn take(&mut self, bytes: u64) -> bool {
        match self.nested.take_memory(bytes) {
            Ok(()) => {
                self.taken += bytes;
                true
            }
            Err(exceeded) => {
                self.shortage = Some(exceeded);
                false
            }
        }
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        self.nested.give_memory(self.taken);
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        let used = self.used.saturating_add(more);
        if used > self.most {
            self.refused = true;
            return Ok(false);
        }
        if !self.take(more) {
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // One table is bounded by the pool.
        let more = desired.saturating_sub(current) as u64;
        Ok(self.take(more.saturating_mul(TABLE_ELEMENT)))
    }
}

/// The error a guest is stopped with when its deadline has passed.
#[derive(Debug, thiserror::Error)]
#[error("the deadline passed")]
pub(crate) struct DeadlinePassed;
