//! The handover of a provider to the one that takes its place.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Things that a running provider has and its successor wants: listening sockets, for example. Only providers of the same
/// sort know what it is.
///
/// A change of a provider's configuration makes another provider. Both are there for a while: the successor is
/// made, started and linked while its predecessor serves, and the predecessor is shut down when all of that has
/// worked. A thing that can be had only once, such as an address, goes from the one to the other in between.
#[derive(Clone)]
pub struct Handover(Arc<dyn Any + Send + Sync>);

impl Handover {
    /// Hands over `what`.
    pub fn new<T: Any + Send + Sync>(what: Arc<T>) -> Self {
        Self(what)
    }

    /// The thing that was handed over, if it is a `T`.
    pub fn get<T: Any + Send + Sync>(self) -> Option<Arc<T>> {
        self.0.downcast().ok()
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handover")
    }
}
