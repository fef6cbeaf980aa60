//! The part that one call from outside has of the pool: the instance that it entered, and those that came of its calls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use withe_rpc::CallError;

use super::account::{Account, Taken};
use super::level::QuotaExceeded;
use super::queue::Turn;

/// The longest that a nested call waits for an instance: its caller holds one meanwhile, and if all do, nobody gets
/// any.
const NESTED_WAIT: Duration = Duration::from_secs(1);

/// The slots of an instance that was entered from outside, with those of all that it made. They are given back when
/// the last of these instances goes.
pub(crate) struct Tenancy {
    pub(crate) account: Arc<Account>,
    slots: Mutex<Slots>,
}

struct Slots {
    held: Taken,
    used: u32,
    /// The most that were used at a time.
    peak: u32,
    /// Exchanges that may go on when the call that made them is over.
    exchanges: u32,
}

impl Slots {
    /// Uses so many of those that are held, if these are enough.
    fn take(&mut self, weight: u32) -> bool {
        let used = self.used.saturating_add(weight);
        let fits = used <= self.held.slots;
        if fits {
            self.used = used;
            self.peak = self.peak.max(used);
        }
        fits
    }
}

impl Tenancy {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        // Nothing panics while the lock is held.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        let peak = self.slots().peak;
        self.account.learn(peak);
    }
}

/// Where an instance stands: in which tenancy, and behind how many others.
#[derive(Clone)]
pub(crate) struct Nested {
    pub(crate) tenancy: Arc<Tenancy>,
    /// 1 for the instance that was entered from outside.
    depth: u32,
}

/// The slots of one instance.
pub(crate) struct Slot {
    pub(crate) nested: Nested,
    weight: u32,
}

/// Notes that something of a tenancy may go on when the call that made it is over, for as long as this is kept.
pub(crate) struct GoesOn(Arc<Tenancy>);

impl Drop for GoesOn {
    fn drop(&mut self) {
        self.0.slots().exchanges -= 1;
    }
}

impl Slot {
    /// Another call of the same instance begins. If something of the calls before goes on, that keeps its slots and the
    /// tenancy, which would otherwise hold more and more of them, and learn that all this is one call. The instance begins a
    /// tenancy of its own with the rest, in which it stands as is returned.
    pub(crate) fn begin_next_call(&mut self) -> Option<Nested> {
        let tenancy = &self.nested.tenancy;
        let slots = {
            let mut slots = tenancy.slots();
            if slots.exchanges == 0 {
                return None;
            }
            slots.used -= self.weight;
            let rest = slots.held.slots.saturating_sub(slots.used);
            Slots {
                held: slots.held.split(rest),
                used: self.weight,
                peak: self.weight,
                exchanges: 0,
            }
        };
        let tenancy = Tenancy {
            account: tenancy.account.clone(),
            slots: Mutex::new(slots),
        };
        self.nested = Nested {
            tenancy: Arc::new(tenancy),
            depth: self.nested.depth,
        };
        Some(self.nested.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.nested.tenancy.slots().used -= self.weight;
    }
}

impl Account {
    /// Slots for an instance of this account's component that is entered from outside, and that needs `weight`.
    ///
    /// # Errors
    ///
    /// [`CallError::Exhausted`] if there are none until `deadline`, or too many wait.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        weight: u32,
        deadline: Instant,
    ) -> Result<Slot, CallError> {
        let weight = self.weight(weight);
        let slots = self.weight(weight.max(self.typical()));
        let held = self.slots(slots, Turn::Outside, deadline).await?;
        let slots = Slots {
            held,
            used: weight,
            peak: weight,
            exchanges: 0,
        };
        let tenancy = Tenancy {
            account: self.clone(),
            slots: Mutex::new(slots),
        };
        let nested = Nested {
            tenancy: Arc::new(tenancy),
            depth: 1,
        };
        Ok(Slot { nested, weight })
    }
}

impl Nested {
    /// Slots for an instance that is called from here, and that needs `weight`.
    ///
    /// # Errors
    ///
    /// [`CallError::Exhausted`] if there are none soon, or if the calls are nested too deeply.
    pub(crate) async fn nest(&self, weight: u32, deadline: Instant) -> Result<Slot, CallError> {
        let tenancy = &self.tenancy;
        let account = &tenancy.account;
        let weight = account.weight(weight);
        let deepest = account.host.shares.depth;
        if self.depth >= deepest {
            return Err(CallError::Exhausted(format!(
                "calls are nested in {deepest} instances, and may not be in more (`--max-depth`)"
            )));
        }
        let slot = || Slot {
            nested: Self {
                tenancy: tenancy.clone(),
                depth: self.depth + 1,
            },
            weight,
        };
        loop {
            let missing = {
                let mut slots = tenancy.slots();
                if slots.take(weight) {
                    drop(slots);
                    return Ok(slot());
                }
                slots.used + weight - slots.held.slots
            };
            let soon = deadline.min(Instant::now() + NESTED_WAIT);
            let more = account.slots(missing, Turn::Nested, soon).await;
            match more {
                // Another call of the tenancy may be faster, so the loop checks again.
                Ok(more) => tenancy.slots().held.add(more),
                Err(refused) => {
                    account.learn(tenancy.slots().used + weight);
                    return Err(refused);
                }
            }
        }
    }

    /// Notes that something goes on that was called from here, also behind the call.
    pub(crate) fn goes_on(&self) -> GoesOn {
        self.tenancy.slots().exchanges += 1;
        GoesOn(self.tenancy.clone())
    }

    /// Takes memory for an instance.
    ///
    /// # Errors
    ///
    /// The level that has too little.
    pub(crate) fn take_memory(&self, bytes: u64) -> Result<(), QuotaExceeded> {
        self.tenancy.account.take_memory(bytes)
    }

    pub(crate) fn give_memory(&self, bytes: u64) {
        self.tenancy.account.give_memory(bytes);
    }
}
