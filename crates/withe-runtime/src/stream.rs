//! Streams and futures between a store and the pipes that lead out of it.
//!
//! What a guest passes out is given a consumer that writes into a pipe; what comes in is a producer that
//! reads from one. Both wait for the other side: nothing is taken from a guest before the reader wants
//! it. A stream that a guest only passes on is the pipe it came from.

mod inlet;
mod outlet;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use wasmtime::component::{FutureReader, StreamReader};
use wasmtime::{AsContextMut as _, Result, StoreContextMut};
use withe_rpc::{CallError, PipeReader, StreamKind};

use crate::abi::Transmit;
use crate::state::State;
use inlet::Inlet;

/// The most bytes that one chunk takes from a guest, or bytes' worth of elements that are asked for.
const MOST_BYTES: usize = 1 << 20;
/// The most elements that one chunk takes from a guest.
const MOST_ITEMS: usize = 1 << 12;

/// Whose resources the elements of a stream hold, seen from the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    /// The target's: the store imports them, and knows them by the target's numbers.
    Importer {
        /// The number of the host's resource type that stands for them.
        member: usize,
        /// How many links serve the import, and which of them this is.
        routes: usize,
        route: usize,
    },
    /// The store's own.
    Exporter,
}

/// What the streams of a store have in common. Made with the first of them.
#[derive(Default)]
pub(crate) struct Streams(Option<Arc<Shared>>);

#[derive(Default)]
struct Shared {
    /// Streams and futures that lead out of or into the store.
    open: AtomicUsize,
    /// Why the store was given up, once it is: streams that end with it did not end of themselves.
    failure: OnceLock<CallError>,
}

impl Streams {
    /// Whether any leads out of or into the store.
    pub(crate) fn any(&self) -> bool {
        let open = |shared: &Arc<Shared>| shared.open.load(Ordering::Relaxed) > 0;
        self.0.as_ref().is_some_and(open)
    }

    /// From here on streams that end were cut off, for this reason; the first one counts.
    pub(crate) fn fail(&self, why: impl FnOnce() -> CallError) {
        if let Some(shared) = &self.0 {
            shared.failure.get_or_init(why);
        }
    }

    fn open(&mut self) -> Open {
        let shared = self.0.get_or_insert_default().clone();
        shared.open.fetch_add(1, Ordering::Relaxed);
        Open(shared)
    }
}

/// Counts one open stream.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Pipes that carry `streams` out of the store.
pub(crate) fn lead_out(
    store: &mut StoreContextMut<'_, State>,
    streams: Vec<Transmit>,
    side: Side,
) -> Result<Vec<PipeReader>> {
    if streams.is_empty() {
        return Ok(Vec::new());
    }
    let mut store = store.as_context_mut();
    streams
        .into_iter()
        .map(|stream| outlet::out(&mut store, stream, side))
        .collect()
}

/// Streams of the store that carry what comes through `pipes`.
pub(crate) fn lead_in(
    store: &mut StoreContextMut<'_, State>,
    pipes: Vec<PipeReader>,
    side: Side,
) -> Result<Vec<Transmit>> {
    if pipes.is_empty() {
        return Ok(Vec::new());
    }
    let mut store = store.as_context_mut();
    pipes
        .into_iter()
        .map(|reader| {
            let kind = reader.kind();
            let inlet = Inlet::new(reader, store.data_mut().streams.open(), side);
            let store = store.as_context_mut();
            Ok(match kind {
                StreamKind::Bytes => Transmit::Bytes(StreamReader::new(store, Bytes(inlet))?),
                StreamKind::Items => Transmit::Items(StreamReader::new(store, Items(inlet))?),
                StreamKind::Units => Transmit::Units(StreamReader::new(store, Units(inlet))?),
                StreamKind::Future => Transmit::Future(FutureReader::new(store, Items(inlet))?),
                StreamKind::Signal => Transmit::Signal(FutureReader::new(store, Units(inlet))?),
            })
        })
        .collect()
}

/// How the elements of a stream are moved: as bytes, as encoded values, or only counted.
struct Bytes<T>(T);
struct Items<T>(T);
struct Units<T>(T);

/// A stream that a guest read from did not end of itself: the error with which the guest traps.
#[derive(Debug, thiserror::Error)]
#[error("a stream that came over a link broke off: {0}")]
pub(crate) struct StreamFailure(pub(crate) CallError);
