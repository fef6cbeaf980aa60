//! The shares of its pool, as a host is told of them.

use serde::{Deserialize, Serialize};

use super::machine::available_memory;

/// How a host's pool is shared: what all have together, and how much of each one application and one component may
/// take. How many instances there are is said beside this ([`crate::EngineOptions::instances`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareLimits {
    /// The most linear memory and tables of all instances together, in bytes.
    pub memory: u64,
    /// The most calls and requests that wait for an instance.
    pub waiting: u32,
    /// The most calls under way that components make beside others of theirs, to other components and to providers.
    pub calls: u32,
    /// The most bytes that all components log in a second.
    pub log: u64,
    /// The most instances that call each other in a row.
    pub depth: u32,
    /// How much of each of these, and of the instances, one application may have, in percent.
    pub application: u8,
    /// How much one component may have, in percent.
    pub component: u8,
}

impl Default for ShareLimits {
    /// Three quarters of the memory that this process may have; shares that leave room for others.
    fn default() -> Self {
        Self {
            memory: available_memory().map_or(u64::MAX, |bytes| bytes / 4 * 3),
            waiting: 5_000,
            calls: 20_000,
            log: 256 << 10,
            depth: 64,
            application: 80,
            component: 50,
        }
    }
}

impl ShareLimits {
    /// A percentage of `all`: at least 1, so that what is small is not forbidden.
    pub(crate) fn part(all: u64, percent: u8) -> u64 {
        let part = u128::from(all) * u128::from(percent.min(100)) / 100;
        // Not more than `all`.
        u64::try_from(part).unwrap_or(all).max(1)
    }

    /// The limits of a process that has one component of the host's: what is the component's share here is all there.
    /// `instances` are the host's; those of the process come first.
    #[must_use]
    pub fn of_one_component(&self, instances: u32) -> (u32, Self) {
        let part = |all| Self::part(all, self.component);
        // No part is larger than the whole.
        let small = |all: u32| u32::try_from(part(all.into())).unwrap_or(all);
        let shares = Self {
            memory: part(self.memory),
            waiting: small(self.waiting),
            calls: small(self.calls),
            log: part(self.log),
            depth: self.depth,
            application: 100,
            component: 100,
        };
        (small(instances), shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_at_least_one_and_at_most_all() {
        for (all, percent, part) in [
            (1000, 50, 500),
            (1, 50, 1),
            (3, 80, 2),
            (10, 200, 10),
            (u64::MAX, 100, u64::MAX),
        ] {
            assert_eq!(ShareLimits::part(all, percent), part, "{percent} of {all}");
        }
        let (instances, one) = ShareLimits::default().of_one_component(1000);
        assert_eq!((instances, one.component, one.application), (500, 100, 100));
    }
}
