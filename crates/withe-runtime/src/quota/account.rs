//! The accounts of components, with that of their host: what they take of the pool, and give back.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::time::timeout_at;
use withe_rpc::CallError;

use super::level::{LevelScope, QuotaExceeded, Resource, ShareLevel};
use super::limits::ShareLimits;
use super::log::{self, DroppedLines, LineFate};
use super::queue::{Queue, QueuePlace, Turn};
use crate::turns::TurnOwner;

/// The shares of a host's pool, and who has them.
pub(crate) struct HostQuota {
    pub(crate) level: Arc<ShareLevel>,
    pub(super) shares: ShareLimits,
    instances: u32,
    applications: Mutex<HashMap<String, Weak<ShareLevel>>>,
    accounts: Mutex<HashMap<(String, String), Weak<Account>>>,
    queue: Mutex<Queue<Account, Taken>>,
    /// Waiters in the queue who wait because others have what they could have. Nothing is kept for later then.
    short: AtomicUsize,
    idle: Mutex<Vec<Weak<dyn KeepsIdle>>>,
}

/// Something that keeps instances for later.
pub(crate) trait KeepsIdle: Send + Sync {
    /// Drops those that nobody uses.
    fn drop_idle(&self);
}

impl HostQuota {
    /// Of a pool of so many instances.
    pub(crate) fn new(instances: u32, shares: ShareLimits) -> Arc<Self> {
        let most = most(instances, &shares, 100);
        Arc::new(Self {
            level: Arc::new(ShareLevel::new(LevelScope::Host, "", most)),
            shares,
            instances,
            applications: Mutex::default(),
            accounts: Mutex::default(),
            queue: Mutex::default(),
            short: AtomicUsize::new(0),
            idle: Mutex::default(),
        })
    }

    /// The account of a component, made if it has none.
    pub(crate) fn account(self: &Arc<Self>, application: &str, component: &str) -> Arc<Account> {
        let share = |scope, name: &str, percent| {
            ShareLevel::new(scope, name, most(self.instances, &self.shares, percent))
        };
        let of_application = live(&self.applications, application.to_owned(), || {
            let percent = self.shares.application;
            share(LevelScope::Application, application, percent)
        });
        let key = (application.to_owned(), component.to_owned());
        live(&self.accounts, key, || Account {
            levels: [
                Arc::new(share(
                    LevelScope::Component,
                    component,
                    self.shares.component,
                )),
                of_application,
                self.level.clone(),
            ],
            typical: AtomicU32::new(1),
            queued: AtomicUsize::new(0),
            dropped_lines: DroppedLines::default(),
            host: self.clone(),
        })
    }

    /// `keeps` may be told to drop what it keeps.
    pub(crate) fn keeps_idle(&self, keeps: Weak<dyn KeepsIdle>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|keeps| keeps.strong_count() > 0);
        idle.push(keeps);
    }

    /// Drops what is kept for later: somebody needs it now.
    fn drop_idle(&self) {
        // Nothing is locked while it is dropped: slots that come back are given to others, who may lack more and come here.
        let keepers: Vec<_> = {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.iter().filter_map(Weak::upgrade).collect()
        };
        for keeper in keepers {
            keeper.drop_idle();
        }
    }
}

fn most(instances: u32, shares: &ShareLimits, percent: u8) -> [u64; Resource::ALL.len()] {
    Resource::ALL.map(|resource| {
        let all = match resource {
            Resource::Instances => instances.into(),
            Resource::Memory => shares.memory,
            Resource::Waiting => shares.waiting.into(),
            Resource::Calls => shares.calls.into(),
            Resource::Log => shares.log,
        };
        ShareLimits::part(all, percent)
    })
}

/// The value that `map` has under `key` if somebody still has it, or else a new one.
fn live<K: Hash + Eq, V>(
    map: &Mutex<HashMap<K, Weak<V>>>,
    key: K,
    made: impl FnOnce() -> V,
) -> Arc<V> {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(value) = map.get(&key).and_then(Weak::upgrade) {
        return value;
    }
    // So that there are never more than those that are used, and this one.
    map.retain(|_, value| value.strong_count() > 0);
    let value = Arc::new(made());
    map.insert(key, Arc::downgrade(&value));
    value
}

/// The share that one component has, which counts with its application's and the host's.
pub(crate) struct Account {
    /// The component's, the application's, the host's.
    pub(crate) levels: [Arc<ShareLevel>; 3],
    /// How many slots a call of the component needed of late, with those of its callees.
    typical: AtomicU32,
    /// How many wait for a slot.
    queued: AtomicUsize,
    dropped_lines: DroppedLines,
    pub(super) host: Arc<HostQuota>,
}

impl Account {
    /// A number that is this component's as long as it has an account.
    pub(crate) fn owner(&self) -> TurnOwner {
        Arc::as_ptr(&self.levels[0]).addr()
    }

    /// Takes so much at all levels, or nothing.
    ///
    /// # Errors
    ///
    /// The first level that has too little.
    fn take(&self, resource: Resource, amount: u64) -> Result<(), QuotaExceeded> {
        for (i, level) in self.levels.iter().enumerate() {
            if !level.take(resource, amount) {
                for taken in &self.levels[..i] {
                    taken.give(resource, amount);
                }
                return Err(level.exceeded(resource));
            }
        }
        Ok(())
    }

    fn give(&self, resource: Resource, amount: u64) {
        for level in &self.levels {
            level.give(resource, amount);
        }
    }

    /// Counts that something was refused, and says it.
    fn refuse(&self, exceeded: QuotaExceeded) -> QuotaExceeded {
        let level = self.levels.iter().find(|l| l.scope == exceeded.scope);
        if let Some(level) = level {
            level.count_refused(exceeded.resource);
        }
        exceeded
    }

    /// Counts a line of the log, of so many bytes.
    pub(crate) fn line(&self, bytes: usize) -> LineFate {
        self.line_at(bytes, log::second())
    }

    pub(super) fn line_at(&self, bytes: usize, second: u64) -> LineFate {
        for level in &self.levels {
            level.begin_second(second);
        }
        match self.take(Resource::Log, bytes as u64) {
            Ok(()) => LineFate::Logged {
                dropped: self.dropped_lines.take(),
            },
            Err(exceeded) => {
                let exceeded = self.refuse(exceeded);
                LineFate::Dropped(self.dropped_lines.add().then_some(exceeded))
            }
        }
    }

    /// Takes memory. If others have too much of it, what is kept for later goes first.
    ///
    /// # Errors
    ///
    /// The level that has too little.
    pub(crate) fn take_memory(&self, bytes: u64) -> Result<(), QuotaExceeded> {
        let Err(exceeded) = self.take(Resource::Memory, bytes) else {
            return Ok(());
        };
        if exceeded.scope != LevelScope::Component {
            self.host.drop_idle();
            if self.take(Resource::Memory, bytes).is_ok() {
                return Ok(());
            }
        }
        Err(self.refuse(exceeded))
    }

    pub(crate) fn give_memory(&self, bytes: u64) {
        self.give(Resource::Memory, bytes);
    }

    /// Counts a call that is made beside others, for as long as what this returns is kept.
    ///
    /// # Errors
    ///
    /// The level that has too many.
    pub(crate) fn call(self: &Arc<Self>) -> Result<CallUnderWay, QuotaExceeded> {
        self.take(Resource::Calls, 1).map_err(|e| self.refuse(e))?;
        Ok(CallUnderWay(self.clone()))
    }

    /// The weight of an instance that needs so many slots: never more than the component may have, or it could never
    /// run.
    pub(crate) fn weight(&self, slots: u32) -> u32 {
        let most = self.levels[0].most(Resource::Instances);
        slots.min(u32::try_from(most).unwrap_or(u32::MAX)).max(1)
    }

    /// Whether somebody waits for what an idle instance of the component would hold.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.queued.load(Ordering::SeqCst) > 0 || self.host.short.load(Ordering::SeqCst) > 0
    }

    /// The slots that a call takes at its beginning.
    pub(super) fn typical(&self) -> u32 {
        self.typical.load(Ordering::Relaxed)
    }

    /// A call needed, or would have needed, so many slots. More is believed at once, as far as some such calls fit into
    /// the component's share; less by and by.
    pub(super) fn learn(&self, needed: u32) {
        const AT_LEAST_CALLS: u64 = 8;
        const SLOWLY: u32 = 8;
        let most = self.levels[0].most(Resource::Instances) / AT_LEAST_CALLS;
        let needed = needed.min(u32::try_from(most).unwrap_or(u32::MAX)).max(1);
        let typical = self.typical();
        let next = match typical > needed {
            true => typical - (typical - needed).div_ceil(SLOWLY),
            false => needed,
        };
        if next != typical {
            self.typical.store(next, Ordering::Relaxed);
        }
    }
}

/// A call that is counted.
pub(crate) struct CallUnderWay(Arc<Account>);

impl Drop for CallUnderWay {
    fn drop(&mut self) {
        self.0.give(Resource::Calls, 1);
    }
}

/// Slots that an account has; given back when this is dropped.
pub(super) struct Taken {
    account: Arc<Account>,
    pub(super) slots: u32,
}

impl Taken {
    /// Takes slots, if nobody waits who should have them first.
    ///
    /// # Errors
    ///
    /// The level that has too few.
    pub(super) fn now(account: &Arc<Account>, slots: u32) -> Result<Self, QuotaExceeded> {
        account.take(Resource::Instances, slots.into())?;
        Ok(Self {
            account: account.clone(),
            slots,
        })
    }

    /// Gives so many of them to another owner in the same account.
    pub(super) fn split(&mut self, slots: u32) -> Self {
        let slots = slots.min(self.slots);
        self.slots -= slots;
        Self {
            account: self.account.clone(),
            slots,
        }
    }

    /// Has those of `other`, too, which is of the same account.
    pub(super) fn add(&mut self, mut other: Self) {
        self.slots += std::mem::take(&mut other.slots);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.slots == 0 {
            return;
        }
        let account = &self.account;
        account.give(Resource::Instances, self.slots.into());
        // A new waiter counts itself first and looks at the slots afterwards, so one of the two sees the other.
        if account.is_waited_for() {
            account.host.grant();
        }
    }
}

impl HostQuota {
    fn queue(&self) -> MutexGuard<'_, Queue<Account, Taken>> {
        // Nothing panics while the lock is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives what is free to those that wait.
    fn grant(&self) {
        loop {
            let step = {
                let mut queue = self.queue();
                let step = queue.next(
                    |account| account.levels[0].used(Resource::Instances),
                    |account, slots| {
                        let taken = Taken::now(account, slots);
                        taken.map_err(|e| e.scope != LevelScope::Component)
                    },
                );
                self.short.fetch_add(step.newly_short, Ordering::SeqCst);
                if let Some(granted) = &step.granted {
                    self.left(&granted.owner, granted.is_short);
                }
                step
            };
            // The lock is not held while anything is given: what nobody takes comes back here.
            if step.newly_short > 0 {
                self.drop_idle();
            }
            match step.granted {
                Some(granted) => _ = granted.to.send(granted.given),
                None if step.newly_short == 0 => return,
                None => {}
            }
        }
    }

    /// One of the account waits no more.
    fn left(&self, account: &Account, is_short: bool) {
        account.queued.fetch_sub(1, Ordering::SeqCst);
        if is_short {
            self.short.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Account {
    /// Slots for an instance, as soon as there are any.
    ///
    /// # Errors
    ///
    /// [`CallError::Exhausted`] if there are none until `deadline`, or if as many wait as may.
    pub(super) async fn slots(
        self: &Arc<Self>,
        slots: u32,
        turn: Turn,
        deadline: Instant,
    ) -> Result<Taken, CallError> {
        let exceeded = match self.is_waited_for() {
            false => match Taken::now(self, slots) {
                Ok(taken) => return Ok(taken),
                Err(exceeded) => Some(exceeded),
            },
            true => None,
        };
        let waiting = self.wait().map_err(QuotaExceeded::into_call_error)?;
        let (grant, granted) = oneshot::channel();
        let place = {
            let mut queue = self.host.queue();
            self.queued.fetch_add(1, Ordering::SeqCst);
            InQueue {
                account: self,
                place: queue.push(self, turn, slots, grant),
            }
        };
        self.host.grant();
        let taken = timeout_at(deadline.into(), granted).await;
        drop((place, waiting));
        match taken {
            Ok(Ok(taken)) => Ok(taken),
            // The sender goes only after it has sent.
            Ok(Err(_)) | Err(_) => {
                // Slots may have become free since the time ran out, and the call may have begun to wait behind others:
                // what it lacks is seen now.
                Taken::now(self, slots).map_err(|now| {
                    CallError::Exhausted(format!(
                        "no instance became free until the deadline: {}",
                        self.refuse(exceeded.unwrap_or(now))
                    ))
                })
            }
        }
    }

    /// Counts one that waits, for as long as what this returns is kept.
    ///
    /// # Errors
    ///
    /// The level at which too many wait.
    pub(crate) fn wait(self: &Arc<Self>) -> Result<Waiting, QuotaExceeded> {
        self.take(Resource::Waiting, 1)
            .map_err(|e| self.refuse(e))?;
        Ok(Waiting(self.clone()))
    }
}

/// One that waits, counted.
pub(crate) struct Waiting(Arc<Account>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.give(Resource::Waiting, 1);
    }
}

/// A place in the queue, which is left when this is dropped.
struct InQueue<'a> {
    account: &'a Arc<Account>,
    place: QueuePlace,
}

impl Drop for InQueue<'_> {
    fn drop(&mut self) {
        let host = &self.account.host;
        let left = {
            let mut queue = host.queue();
            let left = queue.remove(self.account, self.place);
            if let Some(is_short) = left {
                host.left(self.account, is_short);
            }
            left
        };
        // Waiters behind it may fit where it did not.
        if left.is_some() {
            host.grant();
        }
    }
}
