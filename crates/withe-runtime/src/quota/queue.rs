//! The line of those that wait for something that is shared.
//!
//! A slot that becomes free goes to the owner that has least, and within it to nested calls before those from outside, in the
//! order in which they came. Plain data, behind one lock that is taken only while somebody waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

/// The order of turns among those of one owner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    /// A nested call's: its caller holds something meanwhile.
    Nested,
    /// The class of calls from outside.
    Outside,
}

/// A waiter's place among those of its owner: by turn, then in the order of arrival.
pub(super) type QueuePlace = (Turn, u64);

struct Waiter<T> {
    amount: u32,
    /// Whether it waits for what other owners have.
    is_short: bool,
    grant: oneshot::Sender<T>,
}

/// The waiters of one owner, in their order.
type Waiters<T> = BTreeMap<QueuePlace, Waiter<T>>;

/// All who wait, by their owners. Each is given a `T`.
pub(super) struct Queue<O, T> {
    next: u64,
    owners: Vec<(Arc<O>, Waiters<T>)>,
}

impl<O, T> Default for Queue<O, T> {
    fn default() -> Self {
        Self {
            next: 0,
            owners: Vec::new(),
        }
    }
}

/// A grant to one that has left the line.
pub(super) struct Granted<O, T> {
    pub(super) owner: Arc<O>,
    /// Whether it waited for what other owners have.
    pub(super) is_short: bool,
    pub(super) given: T,
    pub(super) to: oneshot::Sender<T>,
}

/// The next thing to do when something became free.
pub(super) struct Step<O, T> {
    pub(super) granted: Option<Granted<O, T>>,
    /// The number of waiters newly found to wait for what other owners have.
    pub(super) newly_short: usize,
}

impl<O, T> Queue<O, T> {
    pub(super) fn push(
        &mut self,
        owner: &Arc<O>,
        turn: Turn,
        amount: u32,
        grant: oneshot::Sender<T>,
    ) -> QueuePlace {
        self.next += 1;
        let place = (turn, self.next);
        let waiter = Waiter {
            amount,
            is_short: false,
            grant,
        };
        match self.position(owner) {
            Some(i) => _ = self.owners[i].1.insert(place, waiter),
            None => {
                let waiters = BTreeMap::from([(place, waiter)]);
                self.owners.push((owner.clone(), waiters));
            }
        }
        place
    }

    /// Takes one out of the line; `None` if it is not there. Says whether it waited for what others have.
    pub(super) fn remove(&mut self, owner: &Arc<O>, place: QueuePlace) -> Option<bool> {
        let i = self.position(owner)?;
        let waiter = self.owners[i].1.remove(&place)?;
        self.tidy(i);
        Some(waiter.is_short)
    }

    /// Gives something to the waiter that should have it next. `take` fails with whether others have what is missing.
    pub(super) fn next(
        &mut self,
        has: impl Fn(&O) -> u64,
        take: impl Fn(&Arc<O>, u32) -> Result<T, bool>,
    ) -> Step<O, T> {
        let owners = self.owners.iter().enumerate();
        let mut order: Vec<_> = owners.map(|(i, (owner, _))| (has(owner), i)).collect();
        order.sort_unstable();
        let mut newly_short = 0;
        for (_, i) in order {
            let (owner, waiters) = &mut self.owners[i];
            let Some(mut first) = waiters.first_entry() else {
                continue;
            };
            match take(owner, first.get().amount) {
                Ok(given) => {
                    let waiter = first.remove();
                    let owner = owner.clone();
                    self.tidy(i);
                    let granted = Granted {
                        owner,
                        is_short: waiter.is_short,
                        given,
                        to: waiter.grant,
                    };
                    return Step {
                        granted: Some(granted),
                        newly_short,
                    };
                }
                Err(is_short) => {
                    let waiter = first.get_mut();
                    if is_short && !waiter.is_short {
                        waiter.is_short = true;
                        newly_short += 1;
                    }
                }
            }
        }
        Step {
            granted: None,
            newly_short,
        }
    }

    fn position(&self, owner: &Arc<O>) -> Option<usize> {
        let mut owners = self.owners.iter();
        owners.position(|(of, _)| Arc::ptr_eq(of, owner))
    }

    /// Forgets an owner without waiters.
    fn tidy(&mut self, i: usize) {
        if self.owners[i].1.is_empty() {
            self.owners.swap_remove(i);
        }
    }
}
