//! Common to inlets and outlets.

use withe_rpc::CallError;

use crate::links::Numbering;

/// The most bytes that one chunk takes from a guest, or bytes' worth of elements that are asked for.
pub(super) const MOST_BYTES: usize = 1 << 20;
/// The most elements that one chunk takes from a guest.
pub(super) const MOST_ITEMS: usize = 1 << 12;

/// Whose resources the elements of a stream hold, seen from the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ElementSide {
    /// The target's: the store imports them.
    Importer {
        /// The number of the host's resource type that stands for them.
        member: usize,
        /// The parts of their handles.
        numbering: Numbering,
        /// The slot of the link.
        slot: usize,
    },
    /// The store's own.
    Exporter,
}

/// How the elements of a stream are moved: as bytes, as encoded values, or only counted.
pub(super) struct Bytes<T>(pub(super) T);
pub(super) struct Items<T>(pub(super) T);
pub(super) struct Units<T>(pub(super) T);

/// A stream that a guest read from did not end of itself: the error with which the guest traps.
#[derive(Debug, thiserror::Error)]
#[error("a stream that came over a link broke off: {0}")]
pub(crate) struct StreamFailure(pub(crate) CallError);
