//! A key-value bucket: entries, or leases. Values that are too large for it are in [pieces](super::pieces), which
//! go with the entry that names them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig};
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::kv::{
    Config, CreateErrorKind, Operation, Store, UpdateError, UpdateErrorKind,
};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::timeout;

use super::open::{open, time_for};
use super::pieces::PieceStore;
use crate::error::Unreachable;
use crate::value::{self, Head, Packed, Pieces, ValueError};
use crate::{Entry, Expect, LatticeError};

/// How long nothing may come of what there is before it counts as not coming: an entry may be gone between
/// the server's counting it and sending it.
const SILENCE: Duration = Duration::from_secs(1);

/// The header in which the server says what was done to a key.
const OPERATION: &str = "KV-Operation";

/// How often an entry is read again whose pieces went because it was replaced.
const READS: usize = 8;

/// The number of keys whose last put is remembered.
const OWN: usize = 10_000;

pub(super) struct Bucket {
    jetstream: Context,
    config: Config,
    store: Store,
    pieces: Arc<PieceStore>,
    /// The last put of this member to each key, which need not be asked for to be replaced.
    own: Mutex<HashMap<String, OwnPut>>,
}

/// A put of this member.
#[derive(Clone)]
struct OwnPut {
    revision: u64,
    at: Instant,
    parts: Option<(Head, Pieces)>,
}

/// An entry with the bytes that are in it: its value, or a head that says where that is.
pub(super) type Kept = Entry;

/// A key, and its entry if it has one.
pub(super) struct Seen {
    pub(super) key: String,
    /// Nothing if it was removed.
    pub(super) entry: Option<Kept>,
}

/// The changes after a listing.
pub(super) struct Tail {
    messages: Ordered,
    /// The part of a subject before the key.
    prefix: String,
}

impl Bucket {
    /// Opens the bucket, or makes it. Others may be making it too.
    ///
    /// # Errors
    ///
    /// The server does not answer, or does not let us.
    pub(super) async fn open(
        jetstream: &Context,
        name: String,
        max_age: Duration,
        pieces: Arc<PieceStore>,
    ) -> Result<Self, LatticeError> {
        let config = Config {
            bucket: name,
            history: 1,
            max_age,
            ..Config::default()
        };
        let store = open(jetstream, &config).await?;
        let found = store.stream.cached_info().config.max_age;
        if found != max_age {
            tracing::warn!(
                bucket = config.bucket,
                "entries live for {found:?} there and not for {max_age:?}: delete the bucket to have that changed"
            );
        }
        Ok(Self {
            jetstream: jetstream.clone(),
            config,
            store,
            pieces,
            own: Mutex::default(),
        })
    }

    /// Makes the bucket again if the server has lost it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub(super) async fn ensure(&self) -> Result<(), LatticeError> {
        open(&self.jetstream, &self.config).await.map(drop)
    }

    /// The entry of a key, as it is kept.
    pub(super) async fn kept(&self, key: &str) -> Result<Option<Kept>, LatticeError> {
        let found = self.store.entry(key).await;
        let found = found.map_err(LatticeError::unreachable)?;
        let there = found.filter(|entry| entry.operation == Operation::Put);
        Ok(there.map(|entry| Entry {
            key: entry.key,
            value: entry.value,
            revision: entry.revision,
        }))
    }

    /// The entry with its value; `None` if it was removed meanwhile. If it was replaced, it is what it was
    /// replaced by.
    ///
    /// # Errors
    ///
    /// [`LatticeError::Value`] if its value is not there, or is another; or the server does not answer within
    /// `limit` and what it takes to send so much.
    pub(super) async fn whole(
        &self,
        mut kept: Kept,
        limit: Duration,
    ) -> Result<Option<Entry>, LatticeError> {
        let mut reads = 0;
        loop {
            let why = match self.value(&kept, limit).await? {
                Ok(value) => return Ok(Some(Entry { value, ..kept })),
                Err(why) => why,
            };
            reads += 1;
            // A writer that replaces a value removes its pieces.
            match self.kept(&kept.key).await? {
                None => return Ok(None),
                Some(now) if now.revision > kept.revision && reads < READS => kept = now,
                Some(_) => {
                    let key = kept.key;
                    return Err(LatticeError::Value { key, why });
                }
            }
        }
    }

    async fn value(
        &self,
        kept: &Kept,
        limit: Duration,
    ) -> Result<Result<Bytes, ValueError>, LatticeError> {
        let (head, body) = match value::parse(&kept.value) {
            Ok(None) => return Ok(Ok(kept.value.clone())),
            Ok(Some(parsed)) => parsed,
            Err(why) => return Ok(Err(why)),
        };
        let Some(pieces) = head.pieces.clone() else {
            return Ok(head.unpack(body));
        };
        let limit = limit + time_for(head.size());
        let got = timeout(limit, self.pieces.get(head, &pieces)).await;
        got.map_err(|_| Unreachable::NoAnswer(limit))?
    }

    /// Puts an entry; the pieces of what it replaces are removed.
    pub(super) async fn put(
        &self,
        key: &str,
        packed: Packed,
        expect: Expect,
    ) -> Result<u64, LatticeError> {
        let own = self.own().get(key).cloned();
        let replaced = self.replaced(key, own.as_ref(), expect).await?;
        let (kept, parts) = match packed {
            Packed::Whole(bytes) => (bytes, None),
            Packed::Parts(head, body) => {
                let pieces = match self.same(own.as_ref(), &head).await? {
                    Some(pieces) => pieces,
                    None => self.pieces.put(body).await?,
                };
                (head.clone().naming(pieces.clone()), Some((head, pieces)))
            }
        };
        let put = self.put_kept(key, kept, expect).await;
        let pieces = parts.as_ref().map(|(_, pieces)| pieces.clone());
        // Pieces that nothing names any more, or that nothing ever named. They are left if the fate of the entry is
        // not known.
        let unnamed = match &put {
            Ok(_) => replaced.filter(|replaced| Some(replaced) != pieces.as_ref()),
            Err(LatticeError::Conflict { .. }) => {
                let before = own.and_then(|own| own.parts);
                pieces.filter(|pieces| before.is_none_or(|(_, before)| before != *pieces))
            }
            Err(_) => None,
        };
        if let Ok(revision) = put {
            let at = Instant::now();
            self.note(
                key,
                OwnPut {
                    revision,
                    at,
                    parts,
                },
            );
        }
        if let Some(pieces) = unnamed {
            self.pieces.remove(&pieces.id).await;
        }
        put
    }

    /// The pieces of what is about to be replaced.
    async fn replaced(
        &self,
        key: &str,
        own: Option<&OwnPut>,
        expect: Expect,
    ) -> Result<Option<Pieces>, LatticeError> {
        match (expect, own) {
            (Expect::Absent, _) => Ok(None),
            (Expect::Revision(revision), Some(own)) if own.revision == revision => {
                Ok(own.parts.clone().map(|(_, pieces)| pieces))
            }
            // A lease has one who renews it, and that often. If another has put it since, that one's pieces are
            // swept up.
            (Expect::Any, Some(own)) if !self.config.max_age.is_zero() => {
                Ok(own.parts.clone().map(|(_, pieces)| pieces))
            }
            _ => Ok(self.kept(key).await?.and_then(|kept| pieces_of(&kept))),
        }
    }

    /// The pieces of a lease that is put again as it was: they need not be sent again.
    async fn same(
        &self,
        own: Option<&OwnPut>,
        head: &Head,
    ) -> Result<Option<Pieces>, LatticeError> {
        // One that ran out may be swept up this moment.
        let Some(own) = own.filter(|own| own.at.elapsed() < self.config.max_age) else {
            return Ok(None);
        };
        let parts = own.parts.as_ref().filter(|(same, _)| same.is_of_same(head));
        let Some((_, pieces)) = parts else {
            return Ok(None);
        };
        Ok(self.pieces.has(pieces).await?.then(|| pieces.clone()))
    }

    async fn put_kept(&self, key: &str, kept: Bytes, expect: Expect) -> Result<u64, LatticeError> {
        match expect {
            Expect::Any => {
                let put = self.store.put(key, kept).await;
                put.map_err(LatticeError::unreachable)
            }
            Expect::Absent => {
                let created = self.store.create(key, kept).await;
                created.map_err(|e| match e.kind() {
                    CreateErrorKind::AlreadyExists => conflict(key),
                    _ => LatticeError::unreachable(e),
                })
            }
            Expect::Revision(revision) => {
                let updated = self.store.update(key, kept, revision).await;
                updated.map_err(|e| changed(key, e))
            }
        }
    }

    pub(super) async fn delete(&self, key: &str, expect: Expect) -> Result<(), LatticeError> {
        // Deleting a key without an entry would leave a mark behind.
        let found = self.kept(key).await?;
        let revision = match (expect, found.as_ref().map(|kept| kept.revision)) {
            (Expect::Any | Expect::Absent, None) => return Ok(()),
            (Expect::Any, Some(_)) => None,
            (Expect::Revision(expected), Some(found)) if expected == found => Some(found),
            _ => return Err(conflict(key)),
        };
        let deleted = self.store.delete_expect_revision(key, revision).await;
        deleted.map_err(|e| changed(key, e))?;
        self.own().remove(key);
        if let Some(pieces) = found.and_then(|kept| pieces_of(&kept)) {
            self.pieces.remove(&pieces.id).await;
        }
        Ok(())
    }

    fn note(&self, key: &str, own: OwnPut) {
        let mut all = self.own();
        if all.len() >= OWN {
            // Only costs a question for each.
            all.clear();
        }
        all.insert(key.into(), own);
    }

    fn own(&self) -> MutexGuard<'_, HashMap<String, OwnPut>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ids of all pieces that are named.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub(super) async fn named(&self) -> Result<HashSet<String>, LatticeError> {
        let (there, _) = self.follow("").await?;
        let kept = there.into_iter().filter_map(|seen| seen.entry);
        Ok(kept.filter_map(|kept| Some(pieces_of(&kept)?.id)).collect())
    }

    /// All that there is with this prefix (also what was removed not long ago), and what comes after it.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub(super) async fn follow(&self, prefix: &str) -> Result<(Vec<Seen>, Tail), LatticeError> {
        loop {
            if let Some(followed) = self.try_follow(prefix).await? {
                return Ok(followed);
            }
        }
    }

    async fn try_follow(&self, prefix: &str) -> Result<Option<(Vec<Seen>, Tail)>, LatticeError> {
        let subjects = match prefix {
            "" => vec![format!("{}>", self.store.prefix)],
            _ => {
                let subject = format!("{}{prefix}", self.store.prefix);
                vec![format!("{subject}.>"), subject]
            }
        };
        let config = OrderedConfig {
            deliver_subject: self.jetstream.client().new_inbox(),
            description: Some("a watch of withe".into()),
            filter_subjects: subjects,
            replay_policy: ReplayPolicy::Instant,
            deliver_policy: DeliverPolicy::LastPerSubject,
            ..OrderedConfig::default()
        };
        let consumer = self.store.stream.create_consumer(config).await;
        let consumer = consumer.map_err(LatticeError::unreachable)?;
        let mut left = consumer.cached_info().num_pending;
        let messages = consumer.messages().await;
        let messages = messages.map_err(LatticeError::unreachable)?;
        let mut tail = Tail {
            messages,
            prefix: self.store.prefix.clone(),
        };
        let mut there = Vec::new();
        while left > 0 {
            let Ok(next) = timeout(SILENCE, tail.receive()).await else {
                return Ok(None);
            };
            let (seen, pending) = next?;
            there.push(seen);
            left = pending;
        }
        Ok(Some((there, tail)))
    }
}

impl Tail {
    /// The next change.
    ///
    /// # Errors
    ///
    /// The watch cannot go on.
    pub(super) async fn next(&mut self) -> Result<Seen, LatticeError> {
        self.receive().await.map(|(seen, _)| seen)
    }

    async fn receive(&mut self) -> Result<(Seen, u64), LatticeError> {
        let message = self.messages.next().await.ok_or(Unreachable::Closed)?;
        let message = message.map_err(LatticeError::unreachable)?;
        let info = message.info().map_err(LatticeError::unreachable)?;
        let operation = message.headers.as_ref().and_then(|h| h.get(OPERATION));
        let is_put = operation.is_none_or(|operation| operation.as_str() == "PUT");
        let subject = message.subject.as_str();
        let key = subject.strip_prefix(&self.prefix).unwrap_or(subject);
        let entry = is_put.then(|| Entry {
            key: key.into(),
            value: message.payload.clone(),
            revision: info.stream_sequence,
        });
        let seen = Seen {
            key: key.into(),
            entry,
        };
        Ok((seen, info.pending))
    }
}

/// The pieces of an entry's value, if it is in pieces.
pub(super) fn pieces_of(kept: &Kept) -> Option<Pieces> {
    let (head, _) = value::parse(&kept.value).ok()??;
    head.pieces
}

fn changed(key: &str, e: UpdateError) -> LatticeError {
    match e.kind() {
        UpdateErrorKind::WrongLastRevision => conflict(key),
        _ => LatticeError::unreachable(e),
    }
}

fn conflict(key: &str) -> LatticeError {
    LatticeError::Conflict { key: key.into() }
}
