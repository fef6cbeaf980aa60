//! The resource handles in the elements of streams.

use crate::{CallError, HandleRef};

/// Moves the resource handles in stream elements. Called with the streams locked.
pub(crate) trait Handles: Send + Sync {
    /// Elements with these handles came.
    fn came(&self, session: u32, handles: &[HandleRef]) -> Result<(), CallError>;

    /// Elements with these handles are about to be sent.
    fn go(&self, session: u32, handles: &[HandleRef]) -> Result<(), CallError>;

    /// Nobody is there to read elements that came with these handles.
    fn discard(&self, session: u32, handles: &[HandleRef]);
}
