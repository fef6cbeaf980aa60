//! The part that a component, an application or a host has of what is shared, and the most that it may have.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use withe_rpc::CallError;

/// A thing that is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Slots of the pool, with those that are kept for calls under way.
    Instances,
    /// Bytes of linear memories and tables.
    Memory,
    /// Calls and requests that wait for an instance.
    Waiting,
    /// Calls that components make beside others of theirs.
    Calls,
    /// Bytes that are logged in the second that is now.
    Log,
}

impl Resource {
    pub(crate) const ALL: [Self; 5] = [
        Self::Instances,
        Self::Memory,
        Self::Waiting,
        Self::Calls,
        Self::Log,
    ];

    /// As metrics name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Instances => "instances",
            Self::Memory => "memory",
            Self::Waiting => "waiting",
            Self::Calls => "calls",
            Self::Log => "log",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Instances => "--max-instances",
            Self::Memory => "--max-memory",
            Self::Waiting => "--max-waiting",
            Self::Calls => "--max-calls",
            Self::Log => "--max-log",
        }
    }

    /// The unit in which so many of it are told.
    fn units(self) -> &'static str {
        match self {
            Self::Instances => "instances at a time, with those that its calls made",
            Self::Memory => "bytes of memory in all its instances",
            Self::Waiting => "calls that wait for an instance",
            Self::Calls => "calls under way beside others of the same instance",
            Self::Log => "bytes a second in the log",
        }
    }
}

/// The owner of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LevelScope {
    Component,
    Application,
    Host,
}

impl LevelScope {
    /// As metrics name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Application => "application",
            Self::Host => "host",
        }
    }
}

/// The amount that one of them has. Only atomics: taking and giving back locks nothing.
#[derive(Debug)]
pub(crate) struct ShareLevel {
    pub(crate) scope: LevelScope,
    /// The component's or the application's name; the host has none.
    name: String,
    used: [AtomicU64; Resource::ALL.len()],
    most: [u64; Resource::ALL.len()],
    refused: [AtomicU64; Resource::ALL.len()],
    /// In which second the bytes were logged that are counted.
    second: AtomicU64,
}

impl ShareLevel {
    pub(crate) fn new(scope: LevelScope, name: &str, most: [u64; Resource::ALL.len()]) -> Self {
        Self {
            scope,
            name: name.to_owned(),
            used: Default::default(),
            most,
            refused: Default::default(),
            second: AtomicU64::default(),
        }
    }

    pub(crate) fn most(&self, resource: Resource) -> u64 {
        self.most[resource as usize]
    }

    pub(crate) fn used(&self, resource: Resource) -> u64 {
        // A waiter and a releaser look at each other's counts (`super::queue`).
        self.used[resource as usize].load(Ordering::SeqCst)
    }

    pub(crate) fn refused(&self, resource: Resource) -> u64 {
        self.refused[resource as usize].load(Ordering::Relaxed)
    }

    /// Takes so much, unless that would be more than it may have.
    pub(super) fn take(&self, resource: Resource, amount: u64) -> bool {
        let most = self.most(resource);
        let more = |used: u64| used.checked_add(amount).filter(|used| *used <= most);
        let used = &self.used[resource as usize];
        used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more)
            .is_ok()
    }

    /// Gives back what was taken.
    pub(super) fn give(&self, resource: Resource, amount: u64) {
        self.used[resource as usize].fetch_sub(amount, Ordering::SeqCst);
    }

    /// Counts bytes that are logged from zero, if it is another second than it was.
    pub(super) fn begin_second(&self, second: u64) {
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.used[Resource::Log as usize].store(0, Ordering::SeqCst);
        }
    }

    /// Counts that somebody did not get what this level has too little of.
    pub(super) fn count_refused(&self, resource: Resource) {
        self.refused[resource as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The error of one that has no more of `resource`.
    pub(super) fn exceeded(&self, resource: Resource) -> QuotaExceeded {
        QuotaExceeded {
            scope: self.scope,
            name: self.name.clone(),
            resource,
            most: self.most(resource),
        }
    }
}

/// Something was to have more than it may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct QuotaExceeded {
    pub(crate) scope: LevelScope,
    name: String,
    pub(crate) resource: Resource,
    most: u64,
}

impl QuotaExceeded {
    /// As a call fails by it.
    // Not `From`: with that, `?` could mean two things for every error of a call.
    pub(crate) fn into_call_error(self) -> CallError {
        CallError::Exhausted(self.to_string())
    }
}

impl fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scope,
            name,
            resource,
            most,
        } = self;
        let (units, flag) = (resource.units(), resource.flag());
        match scope {
            LevelScope::Component => write!(
                f,
                "component `{name}` may have {most} {units}: its share of this host's (`{flag}`, `--component-share`)"
            ),
            LevelScope::Application => write!(
                f,
                "application `{name}` may have {most} {units}: its share of this host's (`{flag}`, \
                 `--application-share`)"
            ),
            LevelScope::Host => write!(f, "this host may have {most} {units} (`{flag}`)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_and_what_is_given_back_is_there_again() {
        let level = ShareLevel::new(LevelScope::Host, "", [2, u64::MAX, 0, 1, 0]);
        assert!(level.take(Resource::Instances, 2));
        assert!(!level.take(Resource::Instances, 1));
        level.give(Resource::Instances, 1);
        assert!(level.take(Resource::Instances, 1));
        assert!(!level.take(Resource::Waiting, 1));
        assert!(level.take(Resource::Memory, u64::MAX));
        assert!(!level.take(Resource::Memory, 1), "the sum has no end");
    }

    #[test]
    fn whoever_is_refused_learns_which_limit_it_was() {
        let most = [10, 20, 30, 40, 50];
        let levels = [
            ShareLevel::new(LevelScope::Component, "cart", most),
            ShareLevel::new(LevelScope::Application, "shop", most),
            ShareLevel::new(LevelScope::Host, "", most),
        ];
        let texts: Vec<_> = (levels.iter())
            .flat_map(|level| Resource::ALL.map(|r| level.exceeded(r).to_string()))
            .collect();
        insta::assert_snapshot!(texts.join("\n"));
    }
}
