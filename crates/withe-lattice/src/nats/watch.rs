//! Watches, and how they go on over losses of the connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::bucket::{Bucket, Seen, Tail};
use super::connect::Connection;
use crate::backlog::Changes;
use crate::feed::Feed;

/// The first pause before a watch that failed begins again; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What stands for never.
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
    pub(super) connection: watch::Receiver<Connection>,
    /// How long listing may take.
    pub(super) timeout: Duration,
    /// Of leases, when each runs out.
    pub(super) leases: Option<Leases>,
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
    /// It has to begin again.
    Again,
    /// Nobody reads.
    Unread,
}

impl Watching {
    /// Runs until nobody reads any more.
    pub(super) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
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
                    pause = FIRST_PAUSE;
                    self.tell_all(there);
                    if let Stopped::Unread = self.tell_changes(tail, generation).await {
                        return;
                    }
                }
                Ok(Err(e)) => tracing::debug!(prefix = self.prefix, error = %e, "a watch fails"),
                Err(_) => tracing::debug!(prefix = self.prefix, "a watch gets no answer"),
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = self.feed.unread() => return,
            }
        }
    }

    /// Tells all that there is, and what is gone of what there was.
    fn tell_all(&mut self, there: Vec<Seen>) {
        let mut entries = Vec::new();
        let mut removed = Vec::new();
        for seen in there {
            match seen.entry {
                Some(entry) => entries.push(entry),
                None => removed.push(seen.key),
            }
        }
        let Some(leases) = &mut self.leases else {
            return self.feed.tell(|changes| changes.all(entries));
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
                seen = tail.next() => match seen {
                    Ok(seen) => self.tell(seen),
                    Err(e) => {
                        tracing::debug!(prefix = self.prefix, error = %e, "a watch fails");
                        return Stopped::Again;
                    }
                },
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
        let ask = expired.iter().map(|key| self.bucket.get(key));
        let Ok(answers) = timeout(self.timeout, join_all(ask)).await else {
            return leases.postpone(expired, leases.lease);
        };
        let mut kept = Vec::new();
        for (key, answer) in expired.into_iter().zip(answers) {
            match answer {
                Ok(None) => self.feed.tell(|changes| changes.gone(&key)),
                Ok(Some(_)) => kept.push(key),
                // Who renews it cannot be heard.
                Err(_) => leases.postpone(vec![key], leases.lease),
            }
        }
        // If it was renewed that will be told; or the server is about to remove it.
        leases.postpone(kept, leases.lease / 8);
    }

    fn tell(&mut self, seen: Seen) {
        if let Some(leases) = &mut self.leases {
            match &seen.entry {
                Some(_) => leases.renew(seen.key.clone()),
                None => _ = leases.until.remove(&seen.key),
            }
        }
        self.feed.tell(|changes| match seen.entry {
            Some(entry) => changes.put(entry),
            None => changes.gone(&seen.key),
        });
    }
}
