//! How many instances of a component may run at a time.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The bound of a component's instances, shared by all units that it is in.
#[derive(Debug)]
pub struct InstanceLimit {
    /// The most at a time.
    most: u32,
    free: Arc<Semaphore>,
}

impl InstanceLimit {
    /// At most so many at a time.
    pub fn new(most: u32) -> Self {
        Self {
            most,
            free: Arc::new(Semaphore::new(most as usize)),
        }
    }

    /// The most at a time.
    pub(crate) fn most(&self) -> u32 {
        self.most
    }

    /// Waits until so many more may run, which they may for as long as what this returns is kept.
    ///
    /// # Errors
    ///
    /// None that comes about: the semaphore is never closed.
    pub async fn acquire(&self, count: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.free.clone().acquire_many_owned(count).await
    }
}
