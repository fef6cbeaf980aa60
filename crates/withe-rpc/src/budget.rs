//! Bounds on the payloads that connections hold: each for itself, and all of a server together.
//!
//! A bound for each connection bounds nothing where a peer can make a thousand of them. So connections of a server share a
//! [`Pool`], of which each may have no more than is left for others: one that takes all it can gets half, two a third
//! each, and there is always as much left for the next. A fixed share for each connection was rejected: it would be a
//! thousandth.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that all connections of a server hold together.
#[derive(Debug)]
pub(crate) struct Pool {
    held: AtomicUsize,
    limit: usize,
}

impl Pool {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicUsize::new(0),
            limit,
        })
    }

    /// Takes `n` bytes for a connection that will have `own` then, if that is no more than what was left.
    fn take(&self, n: usize, own: usize) -> bool {
        let before = self.held.fetch_add(n, Ordering::Relaxed);
        let fits = own <= self.limit.saturating_sub(before);
        if !fits {
            self.give_back(n);
        }
        fits
    }

    fn give_back(&self, n: usize) {
        self.held.fetch_sub(n, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// The bytes of payloads that a connection holds and cannot pass on yet.
#[derive(Debug)]
pub(crate) struct Budget {
    held: AtomicUsize,
    limit: usize,
    /// On the server's side.
    pool: Option<Arc<Pool>>,
}

/// Why there is nothing left. Displayed, it is the end of a sentence that says what holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("the connection have more than {0} bytes")]
    Connection(usize),
    #[error("all connections of the server have more than their share of {0} bytes")]
    Server(usize),
}

impl Budget {
    pub(crate) fn new(limit: usize, pool: Option<Arc<Pool>>) -> Self {
        Self {
            held: AtomicUsize::new(0),
            limit,
            pool,
        }
    }

    /// Takes `n` bytes.
    ///
    /// # Errors
    ///
    /// If there are not as many left; none are taken then.
    pub(crate) fn take(&self, n: usize) -> Result<(), Full> {
        let after = self.held.fetch_add(n, Ordering::Relaxed).saturating_add(n);
        let full = if after > self.limit {
            Full::Connection(self.limit)
        } else {
            match &self.pool {
                Some(pool) if !pool.take(n, after) => Full::Server(pool.limit),
                _ => return Ok(()),
            }
        };
        self.held.fetch_sub(n, Ordering::Relaxed);
        Err(full)
    }

    /// Takes `n` bytes until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub(crate) fn charge(self: &Arc<Self>, n: usize) -> Result<Charge, Full> {
        self.take(n)?;
        Ok(Charge {
            budget: self.clone(),
            n,
        })
    }

    pub(crate) fn give_back(&self, n: usize) {
        self.held.fetch_sub(n, Ordering::Relaxed);
        if let Some(pool) = &self.pool {
            pool.give_back(n);
        }
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        // The connection may have held something when it ended.
        if let Some(pool) = &self.pool {
            pool.give_back(*self.held.get_mut());
        }
    }
}

/// Bytes taken from a budget. They go back when this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    n: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.n);
    }
}

/// Bytes that count against a budget for as long as any of them is kept.
pub(crate) struct Charged {
    bytes: Vec<u8>,
    _charge: Charge,
}

impl Charged {
    pub(crate) fn new(bytes: Vec<u8>, charge: Charge) -> Self {
        Self {
            bytes,
            _charge: charge,
        }
    }
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_as_much_as_they_have() {
        let pool = Pool::new(1_200);
        let budget = || Arc::new(Budget::new(900, Some(pool.clone())));
        let most = |budget: &Budget| (0..).take_while(|_| budget.take(1).is_ok()).count();
        let first = budget();
        assert_eq!(most(&first), 600);
        assert_eq!(first.take(1), Err(Full::Server(1_200)));
        let second = budget();
        assert_eq!(most(&second), 300);
        let others: Vec<_> = (0..1_000).map(|_| budget()).collect();
        let held: usize = others.iter().map(|other| most(other)).sum();
        assert!(held <= 300 && pool.held() <= 1_200);
        // The pool has it all again: from those that gave back, and from those that ended.
        drop(others);
        second.give_back(100);
        assert_eq!(second.held(), 200);
        drop(second);
        assert_eq!(pool.held(), 600);
        let charge = first.charge(1);
        assert!(charge.is_err());
        first.give_back(600);
        let charge = first.charge(5).unwrap();
        assert_eq!(pool.held(), 5);
        drop(charge);
        assert_eq!((pool.held(), first.held()), (0, 0));
        let alone = Budget::new(7, None);
        assert_eq!(alone.take(8), Err(Full::Connection(7)));
        assert_eq!(alone.take(7), Ok(()));
    }
}
