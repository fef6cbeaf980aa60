//! How often a provider asks its backends for something, how long that takes, and how often it fails.
//!
//! The calls of a link are counted by the host. Behind one such call a provider may ask a backend many times, or not at all, and asks also
//! when nobody called. Only the provider sees that, so it counts here, and hosts show it as metrics
//! ([`Provider::backend_calls`](crate::Provider::backend_calls)).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::Durations;

/// The counts of a provider. Cheap to clone; clones are one.
#[derive(Clone, Debug, Default)]
pub struct BackendCalls(Arc<RwLock<OperationCounts>>);

/// The counts by backend and operation.
type OperationCounts = BTreeMap<(&'static str, &'static str), Arc<OperationCount>>;

/// The counts of one operation. Both are added to without a lock.
#[derive(Debug, Default)]
struct OperationCount {
    failed: AtomicU64,
    durations: Durations,
}

/// A provider's counts of one operation of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendCount {
    /// The kind of the backend, such as `redis`.
    pub backend: String,
    /// The operation, such as `get`.
    pub operation: String,
    /// How many calls failed.
    pub failed: u64,
    /// How long calls took: a histogram as [`Durations::read`] returns it.
    pub durations: Vec<u64>,
}

impl BackendCalls {
    /// Awaits a call of a backend and counts it. One that is given up is not counted.
    ///
    /// # Errors
    ///
    /// The errors of the call.
    pub async fn count<T, E>(
        &self,
        backend: &'static str,
        operation: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let outcome = call.await;
        let count = self.of(backend, operation);
        count.durations.add(began.elapsed(), 1);
        if outcome.is_err() {
            count.failed.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    fn of(&self, backend: &'static str, operation: &'static str) -> Arc<OperationCount> {
        // Nothing panics while the lock is held.
        let counts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get(&(backend, operation)) {
            return count.clone();
        }
        drop(counts);
        let mut counts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        counts.entry((backend, operation)).or_default().clone()
    }

    /// The counts so far.
    pub fn read(&self) -> Vec<BackendCount> {
        let counts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let read =
            |((backend, operation), count): (&(&str, &str), &Arc<OperationCount>)| BackendCount {
                backend: (*backend).to_owned(),
                operation: (*operation).to_owned(),
                failed: count.failed.load(Ordering::Relaxed),
                durations: count.durations.read(),
            };
        counts.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[tokio::test]
    async fn calls_are_counted_by_backend_and_operation() {
        let calls = BackendCalls::default();
        assert_eq!(calls.read(), []);
        for outcome in [Ok(1), Err("gone")] {
            assert_eq!(calls.count("redis", "get", ready(outcome)).await, outcome);
        }
        let other = calls.clone();
        other
            .count("redis", "set", ready(Ok::<_, ()>(2)))
            .await
            .unwrap();
        let read = calls.read();
        let counts = read.iter().map(|count| {
            let calls = Durations::count(&count.durations);
            (&*count.backend, &*count.operation, calls, count.failed)
        });
        let wanted = [("redis", "get", 2, 1), ("redis", "set", 1, 0)];
        assert_eq!(counts.collect::<Vec<_>>(), wanted);
    }
}
