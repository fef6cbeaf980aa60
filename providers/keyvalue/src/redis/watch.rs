//! Hearing of changes in Redis: its keyspace notifications, over a connection of their own.
//!
//! Redis says which key changed, on a channel of the key's name, if its setting `notify-keyspace-events` asks for that.
//! The setting is the server's, and costs all its users a little: a link changes it only where its configuration says so.
//! A server that was started again, or another that took its place, may not have it: so the setting is looked at whenever a
//! connection is made. Of changes while the connection is lost, Redis tells nobody.
//!
//! In a cluster each master tells of its own keys, so there is a connection to each. Who the masters are is looked at
//! every few seconds, and whenever a call finds that out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::redis as client;
use client::aio::{PubSub, PubSubStream};
use client::{RedisError, Value};
use futures::StreamExt as _;
use futures::future::try_join_all;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;
use withe_provider::BackOff;

use super::cluster::Cluster;
use super::config::Notifications;
use super::keyspace::{Keyspace, RESERVED, starting_with};
use super::server::Server;
use super::slots::Node;
use super::unheard::{Unheard, UnheardPlace};
use super::{RedisStore, Servers};
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
/// How often it is looked who the masters of a cluster are.
const LOOK: Duration = Duration::from_secs(5);
/// How long it is waited before connecting again.
const AGAIN: BackOff = BackOff {
    first: Duration::from_millis(100),
    most: Duration::from_secs(5),
};

/// The news of a bucket.
struct Subjects {
    keyspace: Keyspace,
    /// The beginning of channels.
    channel: String,
    subjects: Vec<Channels>,
    changed: Arc<ChangedKeys>,
    notifications: Notifications,
    unheard: Unheard,
}

/// Hears of the changes of a bucket from one server.
struct Listener {
    server: Server,
    heard: Arc<Subjects>,
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
    let database = match &store.servers {
        Servers::One(server) => server.client.get_connection_info().redis_settings().db(),
        // Clusters have no others.
        Servers::Cluster(_) => 0,
    };
    let channel = format!("__keyspace@{database}__:");
    let subjects = changed
        .watched()
        .iter()
        .map(|keys| channels(&channel, &keyspace, keys))
        .collect();
    let heard = Arc::new(Subjects {
        keyspace,
        channel,
        subjects,
        changed: changed.clone(),
        notifications: store.notifications,
        unheard: store.unheard.clone(),
    });
    match &store.servers {
        Servers::One(server) => {
            let (listener, connection) = Listener::start(Server::clone(server), heard).await?;
            Ok(Watch::by(changed, listener.listen(Some(connection))))
        }
        Servers::Cluster(cluster) => {
            let slots = cluster.look().await?;
            cluster.is_whole(&slots)?;
            let starting = slots.masters.iter().map(async |master| {
                let server = cluster.server(&master.node)?;
                let (listener, connection) = Listener::start(server, heard.clone()).await?;
                Ok::<_, StoreError>((master.node.clone(), listener, connection))
            });
            let started = try_join_all(starting).await?;
            let listening = started.into_iter().map(|(node, listener, connection)| {
                let task = tokio::spawn(listener.listen(Some(connection)));
                (node, AbortOnDropHandle::new(task))
            });
            let listening = listening.collect();
            Ok(Watch::by(
                changed,
                follow(cluster.clone(), heard, listening),
            ))
        }
    }
}

/// Listens to whoever is a master of the cluster.
async fn follow(
    cluster: Arc<Cluster>,
    heard: Arc<Subjects>,
    mut listening: HashMap<Node, AbortOnDropHandle<()>>,
) {
    let mut known = cluster.subscribe();
    loop {
        tokio::select! {
            changed = known.changed() => {
                // The cluster is kept here, and so is whoever tells of it.
                if changed.is_err() {
                    return;
                }
            }
            () = sleep(LOOK) => {
                // Who cannot be asked now is asked again, and those who listen say that they hear nothing.
                _ = cluster.look().await;
            }
        }
        let slots = known.borrow_and_update().clone();
        listening.retain(|node, _| slots.masters.iter().any(|master| master.node == *node));
        for master in &slots.masters {
            if listening.contains_key(&master.node) {
                continue;
            }
            let Ok(server) = cluster.server(&master.node) else {
                continue;
            };
            let at = &server.address;
            tracing::info!(
                "Redis at `{at}` is a master of its cluster now, and is to tell of changes"
            );
            let listener = Listener {
                server,
                unheard: heard.unheard.place(),
                heard: heard.clone(),
            };
            let task = AbortOnDropHandle::new(tokio::spawn(listener.listen(None)));
            listening.insert(master.node.clone(), task);
        }
    }
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
async fn allow(server: &Server, notifications: Notifications) -> Result<(), StoreError> {
    const SETTING: &str = "notify-keyspace-events";
    if notifications == Notifications::Assume {
        return Ok(());
    }
    let at = &server.address;
    let mut ask = client::cmd("CONFIG");
    ask.arg("GET").arg(SETTING);
    let settings: HashMap<String, String> = server.read(&ask).await.map_err(|why| {
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
    if notifications == Notifications::Check {
        return Err(StoreError::Failed(format!(
            "Redis at `{at}` does not tell of changes: its `{SETTING}` is `{now}`, without `{missing}`. Set it (`redis-cli \
             config set {SETTING} '{now}{missing}'`), or let the link do so: `redis_notifications: enable`"
        )));
    }
    let mut set = client::cmd("CONFIG");
    set.arg("SET").arg(SETTING).arg(format!("{now}{missing}"));
    let set: Result<(), _> = server.once(&set).await;
    set.map_err(|why| {
        StoreError::Failed(format!(
            "Redis at `{at}` cannot be told to tell of changes: {why}"
        ))
    })
}

impl Listener {
    /// A listener to a server that tells of changes, and its first connection.
    async fn start(server: Server, heard: Arc<Subjects>) -> Result<(Self, PubSub), StoreError> {
        let listener = Self {
            server,
            unheard: heard.unheard.place(),
            heard,
        };
        match listener.connect().await {
            Ok(connection) => Ok((listener, connection)),
            Err(NotHeard::Setting(why)) => Err(why),
            Err(why) => {
                let at = &listener.server.address;
                Err(StoreError::Failed(format!(
                    "Redis at `{at}` tells nothing of changes: {why}"
                )))
            }
        }
    }

    /// A connection that hears of all changes from here on, to a server that tells of them.
    async fn connect(&self) -> Result<PubSub, NotHeard> {
        allow(&self.server, self.heard.notifications).await?;
        let limit = self.server.limit;
        let connecting = async {
            let mut connection = self.server.client.get_async_pubsub().await?;
            for channels in &self.heard.subjects {
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

    /// Notes what changes, and connects whenever there is no connection.
    async fn listen(self, first: Option<PubSub>) {
        let mut connection = first;
        let at = &self.server.address;
        loop {
            if let Some(connection) = connection.take() {
                self.hear(connection).await;
                tracing::warn!(
                    "the connection to Redis at `{at}` is lost on which it tells of changes: those that are made until it \
                     is there again are not told"
                );
            }
            let mut failures = 0;
            let connected = loop {
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
            connection = Some(connected);
            self.unheard.clear();
            tracing::info!("Redis at `{at}` tells of changes");
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
                    let key = message.get_channel_name().strip_prefix(&self.heard.channel);
                    if let Some(key) = key.and_then(|key| self.heard.keyspace.key_of(key.to_owned())) {
                        self.heard.changed.note(&key);
                    }
                }
                () = sleep_until(ping) => {
                    // A connection whose other end is gone without a word looks like one on which nothing comes.
                    match timeout(self.server.limit, asks.ping::<Value>()).await {
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
