//! Where links and sessions are: on one connection, under a number.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::HandleRef;

/// A link, as it is on this connection.
#[derive(Debug)]
pub(super) struct PlacedLink {
    pub(super) id: u32,
    /// Whether the server refused the link.
    pub(super) refused: AtomicBool,
}

impl PlacedLink {
    /// Whether the server has refused it.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }
}

/// A session, as it is on this connection.
#[derive(Debug)]
pub(super) struct PlacedSession {
    pub(super) id: u32,
    pub(super) link: Arc<PlacedLink>,
    /// How many resource handles the caller holds.
    pub(super) held: AtomicU64,
    pub(super) ended: AtomicBool,
}

impl PlacedSession {
    /// How many resource handles the caller holds.
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Acquire)
    }

    /// Whether the caller has ended it.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Whether the server has refused its link.
    pub(super) fn is_refused(&self) -> bool {
        self.link.is_refused()
    }

    pub(super) fn came(&self, handles: &[HandleRef]) {
        let n = handles.iter().filter(|h| h.own).count();
        self.held.fetch_add(n as u64, Ordering::AcqRel);
    }

    pub(super) fn went(&self, n: usize) {
        let update = |held: u64| Some(held.saturating_sub(n as u64));
        // The closure always has a value.
        _ = self
            .held
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
    }
}
