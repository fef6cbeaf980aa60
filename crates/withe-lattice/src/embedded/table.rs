//! Entries, or leases, and who watches them. Plain data: the time is handed in.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use tokio::time::Instant;

use crate::backlog::Changes;
use crate::feed::Feed;
use crate::keys::has_prefix;
use crate::{Entry, Expect, LatticeError, Watch};

#[derive(Default)]
pub(super) struct EntryTable {
    entries: BTreeMap<String, Kept>,
    watches: Vec<(String, Feed<Changes>)>,
}

struct Kept {
    value: Bytes,
    revision: u64,
    /// When it is gone, if it is a lease.
    until: Option<Instant>,
}

impl Kept {
    fn is_there(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    fn entry(&self, key: &str) -> Entry {
        Entry {
            key: key.into(),
            value: self.value.clone(),
            revision: self.revision,
        }
    }
}

impl EntryTable {
    pub(super) fn get(&self, key: &str, now: Instant) -> Option<Entry> {
        let kept = self.entries.get(key).filter(|kept| kept.is_there(now))?;
        Some(kept.entry(key))
    }

    pub(super) fn list(&self, prefix: &str, now: Instant) -> Vec<Entry> {
        self.entries
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, kept)| has_prefix(key, prefix) && kept.is_there(now))
            .map(|(key, kept)| kept.entry(key))
            .collect()
    }

    /// # Errors
    ///
    /// [`LatticeError::Conflict`] if the entry is not as `expect` says.
    pub(super) fn expect(
        &self,
        key: &str,
        expect: Expect,
        now: Instant,
    ) -> Result<(), LatticeError> {
        let there = self.entries.get(key).filter(|kept| kept.is_there(now));
        let is_so = match expect {
            Expect::Any => true,
            Expect::Absent => there.is_none(),
            Expect::Revision(revision) => there.is_some_and(|kept| kept.revision == revision),
        };
        if is_so {
            Ok(())
        } else {
            Err(LatticeError::Conflict { key: key.into() })
        }
    }

    pub(super) fn put(&mut self, entry: Entry, until: Option<Instant>) {
        let kept = Kept {
            value: entry.value.clone(),
            revision: entry.revision,
            until,
        };
        self.entries.insert(entry.key.clone(), kept);
        for feed in self.watching(&entry.key) {
            feed.tell(|changes| changes.put(entry.clone()));
        }
    }

    pub(super) fn remove(&mut self, key: &str) {
        if self.entries.remove(key).is_some() {
            for feed in self.watching(key) {
                feed.tell(|changes| changes.gone(key));
            }
        }
    }

    /// Removes the leases that have run out; returns when the next one does.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Instant> {
        let out = |kept: &Kept| !kept.is_there(now);
        let gone: Vec<String> = self
            .entries
            .iter()
            .filter(|(_, kept)| out(kept))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.remove(&key);
        }
        self.entries.values().filter_map(|kept| kept.until).min()
    }

    pub(super) fn watch(&mut self, prefix: &str, now: Instant) -> Watch {
        // Also those who would never be told anything again are forgotten some time.
        self.watches.retain(|(_, feed)| !feed.is_unread());
        let (feed, watch) = Feed::new(Changes::default());
        feed.tell(|changes| changes.all(self.list(prefix, now)));
        self.watches.push((prefix.into(), feed));
        watch
    }

    fn watching<'a>(&'a mut self, key: &'a str) -> impl Iterator<Item = &'a Feed<Changes>> {
        self.watches.retain(|(_, feed)| !feed.is_unread());
        self.watches
            .iter()
            .filter(|(prefix, _)| has_prefix(key, prefix))
            .map(|(_, feed)| feed)
    }
}
