//! Hearing of changes in Redis: its keyspace notifications, over a connection of their own.
//!
//! Redis says which key changed, on a channel of the key's name, if its setting `notify-keyspace-events` asks for that.
//! The setting is the server's, and costs all its users a little: a link changes it only where its configuration says so.
//! What changes while the connection is lost, Redis tells nobody.

use std::sync::Arc;
use std::time::Duration;

use ::redis as client;
use client::aio::{PubSub, PubSubStream};
use client::{Client, RedisError, Value};
use futures::StreamExt as _;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use withe_provider::BackOff;

use super::keyspace::{Keyspace, RESERVED, starting_with};
use crate::changes::{ChangedKeys, Watch, WatchedKeys};
use crate::store::StoreError;

/// The events that change the value of a string, or are one's end or beginning.
const EVENTS: [&str; 16] = [
    "set",
    "setrange",
    "append",
    "incrby",
    "incrbyfloat",
    "decrby",
    "getset",
    "del",
    "expired",
    "evicted",
    "rename_from",
    "rename_to",
    "restore",
    "copy_to",
    "move_from",
    "move_to",
];
/// How often the connection is tried on which nothing comes.
const PING: Duration = Duration::from_secs(15);
/// How long it is waited before connecting again.
const AGAIN: BackOff = BackOff {
    first: Duration::from_millis(100),
    most: Duration::from_secs(5),
};

/// What a link may do about the server's `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Notifications {
    /// Look whether it is set as it must be.
    #[default]
    Check,
    /// Set it, if it is not.
    Enable,
    /// Take it for set: the server does not say.
    Assume,
}

/// Hears of the changes of a bucket.
struct Listener {
    client: Client,
    address: String,
    keyspace: Keyspace,
    /// What channels start with.
    channel: String,
    subjects: Vec<Channels>,
    /// The longest that connecting and an answer may take.
    limit: Duration,
    changed: Arc<ChangedKeys>,
}

/// What is subscribed to.
enum Channels {
    One(String),
    Matching(String),
}

/// Why nothing is heard of changes.
#[derive(Debug, thiserror::Error)]
enum NotHeard {
    #[error(transparent)]
    Client(#[from] RedisError),
    #[error("no answer in {} ms", .0.as_millis())]
    Late(Duration),
}

/// Watches `bucket`, as far as `changed` wants to know; connecting and an answer may take `limit`.
pub(super) async fn watch(
    client: Client,
    address: String,
    limit: Duration,
    bucket: &str,
    changed: Arc<ChangedKeys>,
) -> Result<Watch, StoreError> {
    let keyspace = Keyspace::of(bucket);
    let database = client.get_connection_info().redis_settings().db();
    let channel = format!("__keyspace@{database}__:");
    let subjects = changed
        .watched()
        .iter()
        .map(|keys| channels(&channel, &keyspace, keys))
        .collect();
    let listener = Listener {
        client,
        address,
        keyspace,
        channel,
        subjects,
        limit,
        changed,
    };
    let connection = listener.connect().await;
    let connection = connection.map_err(|why| {
        StoreError::Failed(format!(
            "Redis at `{}` tells nothing of changes: {why}",
            listener.address
        ))
    })?;
    Ok(Watch::by(listener.listen(connection)))
}

/// The channels of watched keys, and perhaps of others.
fn channels(channel: &str, keyspace: &Keyspace, keys: &WatchedKeys) -> Channels {
    if !keys.is_prefix {
        return Channels::One(format!("{channel}{}", keyspace.key(&keys.name)));
    }
    let start = match keyspace {
        // Some of the keys that start so are where those are that start with all of it.
        Keyspace::Default if RESERVED.starts_with(&keys.name) => String::new(),
        _ => keyspace.key(&keys.name),
    };
    Channels::Matching(starting_with(&format!("{channel}{start}")))
}

impl Listener {
    /// A connection that hears of all changes from here on.
    async fn connect(&self) -> Result<PubSub, NotHeard> {
        let connecting = async {
            let mut connection = self.client.get_async_pubsub().await?;
            for channels in &self.subjects {
                match channels {
                    Channels::One(name) => connection.subscribe(name).await?,
                    Channels::Matching(pattern) => connection.psubscribe(pattern).await?,
                }
            }
            Ok(connection)
        };
        let connected = timeout(self.limit, connecting).await;
        connected.unwrap_or(Err(NotHeard::Late(self.limit)))
    }

    /// Notes what changes, and connects again whenever the connection is lost.
    async fn listen(self, first: PubSub) {
        let mut connection = first;
        loop {
            self.hear(connection).await;
            tracing::warn!(
                "the connection to Redis at `{}` is lost on which it tells of changes: those that are made until it is \
                 there again are not told",
                self.address
            );
            let mut failures = 0;
            connection = loop {
                failures += 1;
                sleep(AGAIN.after(failures)).await;
                match self.connect().await {
                    Ok(connection) => break connection,
                    Err(why) => {
                        tracing::debug!(
                            "Redis at `{}` tells nothing of changes: {why}",
                            self.address
                        );
                    }
                }
            };
        }
    }

    /// Notes what changes until the connection is lost.
    async fn hear(&self, connection: PubSub) {
        let (mut asks, mut messages): (_, PubSubStream) = connection.split();
        let mut ping = Instant::now() + PING;
        loop {
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else { return };
                    let event = message.get_payload_bytes();
                    if !EVENTS.iter().any(|known| known.as_bytes() == event) {
                        continue;
                    }
                    let key = message.get_channel_name().strip_prefix(&self.channel);
                    if let Some(key) = key.and_then(|key| self.keyspace.key_of(key.to_owned())) {
                        self.changed.note(&key);
                    }
                }
                () = sleep_until(ping) => {
                    // A connection whose other end is gone without a word looks like one on which nothing comes.
                    match timeout(self.limit, asks.ping::<Value>()).await {
                        Ok(Ok(_)) => ping = Instant::now() + PING,
                        Ok(Err(_)) | Err(_) => return,
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DEFAULT_BUCKET;

    #[test]
    fn as_little_is_subscribed_to_as_there_is_watched() {
        let said = |bucket: &str, name: &str, is_prefix| {
            let keys = WatchedKeys {
                name: name.into(),
                is_prefix,
                ..WatchedKeys::all()
            };
            match channels("c:", &Keyspace::of(bucket), &keys) {
                Channels::One(name) => name,
                Channels::Matching(pattern) => format!("pattern {pattern}"),
            }
        };
        assert_eq!(said(DEFAULT_BUCKET, "k*", false), "c:k*");
        assert_eq!(
            said(DEFAULT_BUCKET, "withe:k", false),
            "c:withe:default:withe:k"
        );
        assert_eq!(said(DEFAULT_BUCKET, "k", true), "pattern c:k*");
        assert_eq!(said(DEFAULT_BUCKET, "wi", true), "pattern c:*");
        assert_eq!(
            said(DEFAULT_BUCKET, "withe:b", true),
            "pattern c:withe:default:withe:b*"
        );
        assert_eq!(said("b", "k", false), "c:withe:bucket:b:k");
        assert_eq!(said("b", "k?", true), "pattern c:withe:bucket:b:k\\?*");
    }
}
