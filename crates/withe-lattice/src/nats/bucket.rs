//! A key-value bucket: entries, or leases.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig};
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::kv::{
    Config, CreateErrorKind, Operation, Store, UpdateError, UpdateErrorKind,
};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::timeout;

use super::unreachable;
use crate::{Entry, Expect, LatticeError, MAX_VALUE};

/// How long nothing may come of what there is before it counts as not coming: an entry may be gone between
/// the server's counting it and sending it.
const SILENCE: Duration = Duration::from_secs(1);

/// The header in which the server says what was done to a key.
const OPERATION: &str = "KV-Operation";

pub(super) struct Bucket {
    jetstream: Context,
    config: Config,
    store: Store,
}

/// What is, or was, of a key.
pub(super) struct Seen {
    pub(super) key: String,
    /// Nothing if it was removed.
    pub(super) entry: Option<Entry>,
}

/// What comes after what there was.
pub(super) struct Tail {
    messages: Ordered,
    /// What precedes keys in subjects.
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

    pub(super) async fn get(&self, key: &str) -> Result<Option<Entry>, LatticeError> {
        let found = self.store.entry(key).await.map_err(|e| unreachable(&e))?;
        let there = found.filter(|entry| entry.operation == Operation::Put);
        Ok(there.map(|entry| Entry {
            key: entry.key,
            value: entry.value,
            revision: entry.revision,
        }))
    }

    pub(super) async fn put(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
    ) -> Result<u64, LatticeError> {
        match expect {
            Expect::Any => {
                let put = self.store.put(key, value).await;
                put.map_err(|e| unreachable(&e))
            }
            Expect::Absent => {
                let created = self.store.create(key, value).await;
                created.map_err(|e| match e.kind() {
                    CreateErrorKind::AlreadyExists => conflict(key),
                    _ => unreachable(&e),
                })
            }
            Expect::Revision(revision) => {
                let updated = self.store.update(key, value, revision).await;
                updated.map_err(|e| changed(key, &e))
            }
        }
    }

    pub(super) async fn delete(&self, key: &str, expect: Expect) -> Result<(), LatticeError> {
        // What is not there is not deleted, for that would leave a mark behind.
        let found = self.get(key).await?;
        let found = found.map(|entry| entry.revision);
        let revision = match (expect, found) {
            (Expect::Any | Expect::Absent, None) => return Ok(()),
            (Expect::Any, Some(_)) => None,
            (Expect::Revision(expected), Some(found)) if expected == found => Some(found),
            _ => return Err(conflict(key)),
        };
        let deleted = self.store.delete_expect_revision(key, revision).await;
        deleted.map_err(|e| changed(key, &e))
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
        let consumer = consumer.map_err(|e| unreachable(&e))?;
        let mut left = consumer.cached_info().num_pending;
        let messages = consumer.messages().await.map_err(|e| unreachable(&e))?;
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
    /// What happens next.
    ///
    /// # Errors
    ///
    /// It cannot go on.
    pub(super) async fn next(&mut self) -> Result<Seen, LatticeError> {
        self.receive().await.map(|(seen, _)| seen)
    }

    async fn receive(&mut self) -> Result<(Seen, u64), LatticeError> {
        let ended = || LatticeError::Unreachable("the watch ended".into());
        let message = self.messages.next().await.ok_or_else(ended)?;
        let message = message.map_err(|e| unreachable(&e))?;
        let info = message.info().map_err(|e| unreachable(&*e))?;
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

async fn open(jetstream: &Context, config: &Config) -> Result<Store, LatticeError> {
    if let Ok(store) = jetstream.get_key_value(&config.bucket).await {
        return Ok(store);
    }
    let error = match jetstream.create_key_value(config.clone()).await {
        Ok(store) => return Ok(store),
        Err(e) => e,
    };
    // Another host may have made it this moment, and otherwise.
    let store = jetstream.get_key_value(&config.bucket).await;
    store.map_err(|_| no_bucket(&config.bucket, &error))
}

/// A bucket that is not there and cannot be made.
pub(super) fn no_bucket(bucket: &str, e: &dyn std::fmt::Display) -> LatticeError {
    LatticeError::Unreachable(format!(
        "cannot open the bucket `{bucket}`: {e}; is JetStream enabled on the server, and may we use it?"
    ))
}

fn changed(key: &str, e: &UpdateError) -> LatticeError {
    match e.kind() {
        UpdateErrorKind::WrongLastRevision => conflict(key),
        _ => unreachable(e),
    }
}

fn conflict(key: &str) -> LatticeError {
    LatticeError::Conflict { key: key.into() }
}

const _: () = assert!(MAX_VALUE < 1 << 20, "a value must fit into a message");
