//! Which streams of a store are open, and why they break off if the store is given up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use withe_rpc::CallError;

/// What the streams of a store have in common. Made with the first of them.
#[derive(Default)]
pub(crate) struct Streams(Option<Arc<OpenStreams>>);

#[derive(Default)]
struct OpenStreams {
    /// Streams and futures that lead out of or into the store.
    count: AtomicUsize,
    /// Why the store was given up, once it is: streams that end with it did not end of themselves.
    failure: OnceLock<CallError>,
}

impl Streams {
    /// Whether any leads out of or into the store.
    pub(crate) fn any(&self) -> bool {
        let open = |streams: &Arc<OpenStreams>| streams.count.load(Ordering::Relaxed) > 0;
        self.0.as_ref().is_some_and(open)
    }

    /// From here on streams that end were cut off, for this reason; the first one counts.
    pub(crate) fn fail(&self, why: impl FnOnce() -> CallError) {
        if let Some(streams) = &self.0 {
            streams.failure.get_or_init(why);
        }
    }

    /// Counts one more.
    pub(super) fn open(&mut self) -> OpenStream {
        let streams = self.0.get_or_insert_default().clone();
        streams.count.fetch_add(1, Ordering::Relaxed);
        OpenStream(streams)
    }
}

/// Counts one open stream.
pub(super) struct OpenStream(Arc<OpenStreams>);

impl OpenStream {
    /// Why the store was given up, if it was.
    pub(super) fn failure(&self) -> Option<&CallError> {
        self.0.failure.get()
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}
