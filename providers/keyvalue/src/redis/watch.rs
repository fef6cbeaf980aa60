//! Hearing of changes in Redis: its keyspace notifications, over a connection of their own.
//!
//! Redis says which key changed, on a channel of the key's name, if its setting `notify-keyspace-events` asks for that.
//! The setting is the server's, and costs all its users a little: a link changes it only where its configuration says so.
//! A server that was started again, or another that took its place, may not have it: so the setting is looked at whenever a
//! connection is made. Of changes while the connection is lost, Redis tells nobody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::redis as client;
use client::aio::{PubSub, PubSubStream};
use client::{RedisError, Value};
use futures::StreamExt as _;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use withe_provider::BackOff;

use super::config::Notifications;
use super::keyspace::{Keyspace, RESERVED, starting_with};
use super::server::RedisStore;
use super::unheard::UnheardPlace;
use crate::changes::{ChangedKeys, Watch, WatchedKeys};
use crate::store::StoreError;

/// The flags that `notify-keyspace-events` needs: the keyspace, what all keys have in common, strings, and what expires or is
/// evicted. `A` has all but the first.
const NEEDED: &str = "Kg$xe";
/// The events that change the value of a string, or are one's end or beginning.
const EVENTS: [&str; 18] = [
    "set",
    "setrange",
    "setbit",
    "pfadd",
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

/// Hears of the changes of a bucket.
struct Listener {
    store: RedisStore,
    keyspace: Keyspace,
    /// The beginning of channels.
    channel: String,
    subjects: Vec<Channels>,
    changed: Arc<ChangedKeys>,
    unheard: UnheardPlace,
}

/// The channels that are subscribed to.
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
    /// Its setting is not as it must be, or cannot be seen or changed.
    #[error(transparent)]
    Setting(#[from] StoreError),
}

/// Watches `bucket`, as far as `changed` wants to know.
pub(super) async fn watch(
    store: &RedisStore,
    bucket: &str,
    changed: Arc<ChangedKeys>,
) -> Result<Watch, StoreError> {
    let keyspace = Keyspace::of(bucket);
    let database = store.client.get_connection_info().redis_settings().db();
    let channel = format!("__keyspace@{database}__:");
    let subjects = changed
        .watched()
        .iter()
        .map(|keys| channels(&channel, &keyspace, keys))
        .collect();
    let listener = Listener {
        store: store.clone(),
        keyspace,
        channel,
        subjects,
        changed: changed.clone(),
        unheard: store.unheard.place(),
    };
    let connection = match listener.connect().await {
        Ok(connection) => connection,
        Err(NotHeard::Setting(why)) => return Err(why),
        Err(why) => {
            let at = &store.address;
            return Err(StoreError::Failed(format!(
                "Redis at `{at}` tells nothing of changes: {why}"
            )));
        }
    };
    Ok(Watch::by(changed, listener.listen(connection)))
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

/// Sees to it that the server tells of changes.
async fn allow(store: &RedisStore) -> Result<(), StoreError> {
    const SETTING: &str = "notify-keyspace-events";
    if store.notifications == Notifications::Assume {
        return Ok(());
    }
    let at = &store.address;
    let mut ask = client::cmd("CONFIG");
    ask.arg("GET").arg(SETTING);
    let settings: HashMap<String, String> = store.read(&ask).await.map_err(|why| {
        StoreError::Failed(format!(
            "it cannot be seen whether Redis at `{at}` tells of changes: {why}. If its `{SETTING}` is set to `{NEEDED}`, \
             write `redis_notifications: assume`"
        ))
    })?;
    let now = settings.get(SETTING).map_or("", String::as_str);
    let missing: String = NEEDED
        .chars()
        .filter(|flag| !now.contains(*flag) && (*flag == 'K' || !now.contains('A')))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if store.notifications == Notifications::Check {
        return Err(StoreError::Failed(format!(
            "Redis at `{at}` does not tell of changes: its `{SETTING}` is `{now}`, without `{missing}`. Set it (`redis-cli \
             config set {SETTING} '{now}{missing}'`), or let the link do so: `redis_notifications: enable`"
        )));
    }
    let mut set = client::cmd("CONFIG");
    set.arg("SET").arg(SETTING).arg(format!("{now}{missing}"));
    let set: Result<(), _> = store.once(&set).await;
    set.map_err(|why| {
        StoreError::Failed(format!(
            "Redis at `{at}` cannot be told to tell of changes: {why}"
        ))
    })
}

impl Listener {
    /// A connection that hears of all changes from here on, to a server that tells of them.
    async fn connect(&self) -> Result<PubSub, NotHeard> {
        allow(&self.store).await?;
        let limit = self.store.limit;
        let connecting = async {
            let mut connection = self.store.client.get_async_pubsub().await?;
            for channels in &self.subjects {
                match channels {
                    Channels::One(name) => connection.subscribe(name).await?,
                    Channels::Matching(pattern) => connection.psubscribe(pattern).await?,
                }
            }
            Ok(connection)
        };
        let connected = timeout(limit, connecting).await;
        connected.unwrap_or(Err(NotHeard::Late(limit)))
    }

    /// Notes what changes, and connects again whenever the connection is lost.
    async fn listen(self, first: PubSub) {
        let mut connection = first;
        let at = &self.store.address;
        loop {
            self.hear(connection).await;
            tracing::warn!(
                "the connection to Redis at `{at}` is lost on which it tells of changes: those that are made until it is \
                 there again are not told"
            );
            let mut failures = 0;
            connection = loop {
                failures += 1;
                sleep(AGAIN.after(failures)).await;
                match self.connect().await {
                    Ok(connection) => break connection,
                    Err(why) => {
                        match failures {
                            1 => tracing::warn!(
                                "Redis at `{at}` tells nothing of changes, which is tried again: {why}"
                            ),
                            _ => {
                                tracing::debug!("Redis at `{at}` tells nothing of changes: {why}")
                            }
                        }
                        self.unheard.say(why.to_string());
                    }
                }
            };
            self.unheard.clear();
            tracing::info!("Redis at `{at}` tells of changes again");
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
                    match timeout(self.store.limit, asks.ping::<Value>()).await {
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
