//! Watches, and how they go on over losses of the connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use withe_rpc::BackOff;

use super::bucket::{Bucket, Kept, Seen, Tail, pieces_of};
use super::connect::Connectivity;
use crate::backlog::Changes;
use crate::feed::Feed;
use crate::value::Pieces;
use crate::{Entry, LatticeError};

/// The pauses before a watch that failed begins again.
const PAUSES: BackOff = BackOff {
    first: Duration::from_millis(50),
    most: Duration::from_secs(2),
};
/// A duration that stands for never.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

/// A watch: a task that tells a feed what happens in a bucket.
///
/// Whenever the connection was made anew, it begins again with all that there is. (The library's consumers
/// would go on by themselves, but a server that lost its state, or removed what was too old, does not tell
/// what went.)
pub(super) struct Watching {
    pub(super) bucket: Arc<Bucket>,
    pub(super) prefix: String,
    pub(super) feed: Feed<Changes>,
    pub(super) connection: watch::Receiver<Connectivity>,
    /// How long listing may take.
    pub(super) timeout: Duration,
    /// Of leases, when each runs out.
    pub(super) leases: Option<Leases>,
    pub(super) values: Values,
}

/// The values that a watch knows.
#[derive(Default)]
pub(super) struct Values {
    /// Values in pieces, by key: those of a lease that is renewed are the same, and are not asked for again.
    large: HashMap<String, (Pieces, Bytes)>,
    /// The revision that was read in the place of one whose pieces had gone. Any revision up to this one is older.
    ahead: HashMap<String, u64>,
    /// The keys whose values could not be read when the watch began.
    unread: Vec<String>,
}

/// When leases run out. The server removes them without a word, so each has a timer here.
pub(super) struct Leases {
    lease: Duration,
    until: HashMap<String, Instant>,
}

impl Leases {
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            lease,
            until: HashMap::new(),
        }
    }

    fn renew(&mut self, key: String) {
        self.until.insert(key, Instant::now() + self.lease);
    }

    /// Removes those that have run out.
    fn expired(&mut self) -> Vec<String> {
        let now = Instant::now();
        let out = self.until.extract_if(|_, until| *until <= now);
        out.map(|(key, _)| key).collect()
    }

    fn postpone(&mut self, keys: Vec<String>, by: Duration) {
        let until = Instant::now() + by;
        self.until.extend(keys.into_iter().map(|key| (key, until)));
    }

    fn next(&self) -> Option<Instant> {
        self.until.values().min().copied()
    }
}

/// Why a watch does not go on as it did.
enum Stopped {
    /// The watch has to begin again.
    Again,
    /// Nobody reads.
    Unread,
}

impl Watching {
    /// Runs until nobody reads any more.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            tokio::select! {
                up = self.connection.wait_for(|connection| connection.is_up) => {
                    // The client is gone, and nothing will come.
                    if up.is_err() { return }
                }
                () = self.feed.unread() => return,
            }
            let generation = self.connection.borrow_and_update().generation;
            let followed = timeout(self.timeout, self.bucket.follow(&self.prefix)).await;
            match followed {
                Ok(Ok((there, tail))) => {
                    failures = 0;
                    match self.tell_all(there).await {
                        Ok(()) => {
                            if let Stopped::Unread = self.tell_changes(tail, generation).await {
                                return;
                            }
                        }
                        Err(e) => {
                            tracing::debug!(prefix = self.prefix, error = %e, "a watch fails")
                        }
                    }
                }
                Ok(Err(e)) => tracing::debug!(prefix = self.prefix, error = %e, "a watch fails"),
                Err(_) => tracing::debug!(prefix = self.prefix, "a watch gets no answer"),
            }
            failures += 1;
            tokio::select! {
                () = sleep(PAUSES.after(failures)) => {}
                () = self.feed.unread() => return,
            }
        }
    }

    /// Tells all that there is, and what is gone of what there was.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    async fn tell_all(&mut self, there: Vec<Seen>) -> Result<(), LatticeError> {
        self.values = Values::default();
        let mut entries = Vec::new();
        let mut removed = Vec::new();
        for seen in there {
            match seen.entry {
                Some(kept) => match self.whole(kept).await? {
                    Some(entry) => entries.push(entry),
                    None => removed.push(seen.key),
                },
                None => removed.push(seen.key),
            }
        }
        // Entries that cannot be read were not removed.
        removed.retain(|key| !self.values.unread.contains(key));
        let Some(leases) = &mut self.leases else {
            // The reader keeps its old values of entries that cannot be read. Removing an entry leaves a mark in its
            // place for ever: without one a server has lost what it had, and says nothing of what is wanted.
            let unread = &self.values.unread;
            self.feed
                .tell(|changes| changes.all_of_store(entries, &removed, unread));
            return Ok(());
        };
        // A lease that is not there may have run out because nobody could renew it, as when the server was
        // gone: it gets the time to come back.
        for key in self.feed.tell(|changes| changes.known()) {
            leases.renew(key);
        }
        for entry in &entries {
            leases.renew(entry.key.clone());
        }
        for key in &removed {
            leases.until.remove(key);
        }
        self.feed.tell(|changes| {
            removed.iter().for_each(|key| changes.gone(key));
            entries.into_iter().for_each(|entry| changes.put(entry));
            changes.synced();
        });
        Ok(())
    }

    /// The entry with its value; `None` if there is none to be told, for it was removed meanwhile, something newer
    /// was told before, or its value cannot be read.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    async fn whole(&mut self, kept: Kept) -> Result<Option<Entry>, LatticeError> {
        let (key, revision) = (kept.key.clone(), kept.revision);
        let values = &mut self.values;
        if values
            .ahead
            .get(&key)
            .is_some_and(|ahead| revision <= *ahead)
        {
            return Ok(None);
        }
        values.ahead.remove(&key);
        let pieces = pieces_of(&kept);
        let known = values.large.remove(&key);
        let entry = match (known, &pieces) {
            (Some((same, value)), Some(pieces)) if same == *pieces => Entry { value, ..kept },
            _ => match self.bucket.whole(kept, self.timeout).await {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(None),
                Err(error @ LatticeError::Value { .. }) => {
                    tracing::warn!("{error}");
                    values.unread.push(key);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            },
        };
        if entry.revision > revision {
            values.ahead.insert(key, entry.revision);
        } else if let Some(pieces) = pieces {
            values.large.insert(key, (pieces, entry.value.clone()));
        }
        Ok(Some(entry))
    }

    /// Tells what happens until the connection is lost.
    async fn tell_changes(&mut self, mut tail: Tail, generation: u64) -> Stopped {
        loop {
            let next = self.leases.as_ref().and_then(Leases::next);
            let expiry = next.unwrap_or_else(|| Instant::now() + FAR);
            tokio::select! {
                // Leases that come are renewed before any is given up.
                biased;
                () = self.feed.unread() => return Stopped::Unread,
                changed = self.connection.changed() => {
                    let now = *self.connection.borrow();
                    if changed.is_err() || !now.is_up || now.generation != generation {
                        return Stopped::Again;
                    }
                }
                seen = tail.next() => {
                    let told = match seen {
                        Ok(seen) => self.tell(seen).await,
                        Err(e) => Err(e),
                    };
                    if let Err(e) = told {
                        tracing::debug!(prefix = self.prefix, error = %e, "a watch fails");
                        return Stopped::Again;
                    }
                }
                () = sleep_until(expiry) => self.expire().await,
            }
        }
    }

    /// Tells of leases that have run out. The server is asked once more: it may be that the watch is what
    /// does not get through, as when the one of several servers that feeds it is gone.
    async fn expire(&mut self) {
        let Some(leases) = &mut self.leases else {
            return;
        };
        let expired = leases.expired();
        let ask = expired.iter().map(|key| self.bucket.kept(key));
        let Ok(answers) = timeout(self.timeout, join_all(ask)).await else {
            return leases.postpone(expired, leases.lease);
        };
        let mut kept = Vec::new();
        for (key, answer) in expired.into_iter().zip(answers) {
            match answer {
                Ok(None) => {
                    self.values.large.remove(&key);
                    self.feed.tell(|changes| changes.gone(&key));
                }
                Ok(Some(_)) => kept.push(key),
                // The lease's owner may renew it unheard.
                Err(_) => leases.postpone(vec![key], leases.lease),
            }
        }
        // If it was renewed that will be told; or the server is about to remove it.
        leases.postpone(kept, leases.lease / 8);
    }

    async fn tell(&mut self, seen: Seen) -> Result<(), LatticeError> {
        if let Some(leases) = &mut self.leases {
            match &seen.entry {
                Some(_) => leases.renew(seen.key.clone()),
                None => _ = leases.until.remove(&seen.key),
            }
        }
        match seen.entry {
            Some(kept) => {
                if let Some(entry) = self.whole(kept).await? {
                    self.feed.tell(|changes| changes.put(entry));
                }
            }
            None => {
                self.values.large.remove(&seen.key);
                self.feed.tell(|changes| changes.gone(&seen.key));
            }
        }
        Ok(())
    }
}
