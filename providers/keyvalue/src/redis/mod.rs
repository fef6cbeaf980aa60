//! Redis, or a server that speaks its protocol, or a cluster of them.
//!
//! One connection to a server is shared by all calls, which Redis answers in order. When it breaks it is made
//! again behind the scenes; calls that come meanwhile wait for that, but not longer than the
//! limits given here. A write whose answer is lost is not sent again: it may have been done.
//!
//! A cluster does what is about one key as a server does. Of many keys, those of one slot are written at once, and slots
//! one by one.

mod cluster;
mod config;
mod error;
mod keyspace;
mod list;
mod scripts;
mod server;
mod slots;
mod tls;
mod unheard;
mod watch;

use std::sync::Arc;

use ::redis as client;
use client::{Cmd, FromRedisValue};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use indexmap::IndexMap;

use self::cluster::{Cluster, Effect};
use self::keyspace::Keyspace;
use self::scripts::{ADD_TO_NATURAL, SWAP};
use self::server::{Access, Server};
use self::slots::slot_of;
use self::unheard::Unheard;
use crate::changes::{ChangedKeys, Watch};
use crate::store::{Store, StoreError, of_some};

pub(crate) use self::config::{Notifications, RedisConfig, check_cluster, check_url, is_tls};
pub(crate) use self::error::ConnectError;

/// How many commands of one batch are under way at a time.
const AT_ONCE: usize = 64;

/// Redis, connected.
#[derive(Debug)]
pub(crate) struct RedisStore {
    servers: Servers,
    notifications: Notifications,
    /// Watches that hear nothing.
    unheard: Unheard,
}

/// Who has the keys.
#[derive(Debug)]
enum Servers {
    One(Box<Server>),
    Cluster(Arc<Cluster>),
}

impl RedisStore {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If Redis cannot be used, in words that say where it should be.
    pub(crate) async fn connect(config: &RedisConfig) -> Result<Self, ConnectError> {
        let servers = match config.is_cluster() {
            true => Servers::Cluster(Arc::new(Cluster::connect(config).await?)),
            false => {
                let server = Server::connect(&Access::new(config, &config.url).await?).await?;
                if config.cluster.is_none() && server.is_in_cluster().await {
                    return Err(ConnectError::InCluster(server.address));
                }
                Servers::One(Box::new(server))
            }
        };
        Ok(Self {
            servers,
            notifications: config.notifications,
            unheard: Unheard::default(),
        })
    }

    /// Sends a command that only reads `key`, a key of Redis, and perhaps others in its slot.
    async fn read<T: FromRedisValue>(&self, key: &str, command: &Cmd) -> Result<T, StoreError> {
        match &self.servers {
            Servers::One(server) => server.read(command).await,
            Servers::Cluster(all) => all.send(slot_of(key), command, Effect::Reads).await,
        }
    }

    /// The same with a command that may have an effect, and is done at most once.
    async fn once<T: FromRedisValue>(&self, key: &str, command: &Cmd) -> Result<T, StoreError> {
        match &self.servers {
            Servers::One(server) => server.once(command).await,
            Servers::Cluster(all) => all.send(slot_of(key), command, Effect::Writes).await,
        }
    }

    /// The parts of `items` that one command takes each, by the keys of Redis that they have.
    fn grouped<T>(&self, items: Vec<(String, T)>) -> Vec<Vec<(String, T)>> {
        if items.is_empty() {
            return Vec::new();
        }
        if let Servers::One(_) = self.servers {
            return vec![items];
        }
        let mut slots: IndexMap<u16, Vec<(String, T)>> = IndexMap::new();
        for item in items {
            slots.entry(slot_of(&item.0)).or_default().push(item);
        }
        slots.into_values().collect()
    }

    /// Sends a command that writes for each of the groups.
    async fn write_all<T>(
        &self,
        groups: Vec<Vec<(String, T)>>,
        command: impl Fn(&[(String, T)]) -> Cmd,
    ) -> Result<(), StoreError> {
        let is_one = groups.len() == 1;
        let commands = groups.into_iter().filter_map(|group| {
            let command = command(&group);
            let (key, _) = group.into_iter().next()?;
            Some((key, command))
        });
        let written = stream::iter(commands)
            .map(async |(key, command)| self.once::<()>(&key, &command).await)
            .buffer_unordered(AT_ONCE)
            .try_for_each(async |()| Ok(()));
        written.await.map_err(|why| of_some(why, is_one))
    }
}

#[async_trait::async_trait]
impl Store for RedisStore {
    async fn get(
        &self,
        bucket: &str,
        keys: Vec<String>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let keyspace = Keyspace::of(bucket);
        let mut values = vec![None; keys.len()];
        let places = keys.iter().enumerate();
        let groups = self.grouped(places.map(|(n, key)| (keyspace.key(key), n)).collect());
        let found: Vec<(Vec<usize>, Vec<Option<Vec<u8>>>)> = stream::iter(groups)
            .map(async |group| {
                let mut command = client::cmd("MGET");
                for (key, _) in &group {
                    command.arg(key);
                }
                let key = group.first().map_or("", |(key, _)| key);
                let values = self.read(key, &command).await?;
                Ok((group.iter().map(|(_, place)| *place).collect(), values))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        for (places, found) in found {
            for (place, value) in places.into_iter().zip(found) {
                values[place] = value;
            }
        }
        Ok(values)
    }

    async fn exists(&self, bucket: &str, key: String) -> Result<bool, StoreError> {
        let key = Keyspace::of(bucket).key(&key);
        self.read(&key, client::cmd("EXISTS").arg(&key)).await
    }

    async fn set(&self, bucket: &str, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        let keyspace = Keyspace::of(bucket);
        let pairs = pairs.into_iter();
        let groups = self.grouped(
            pairs
                .map(|(key, value)| (keyspace.key(&key), value))
                .collect(),
        );
        let set = |group: &[(String, Vec<u8>)]| {
            let mut command = client::cmd("MSET");
            for (key, value) in group {
                command.arg(key).arg(value.as_slice());
            }
            command
        };
        self.write_all(groups, set).await
    }

    async fn delete(&self, bucket: &str, keys: Vec<String>) -> Result<(), StoreError> {
        let keyspace = Keyspace::of(bucket);
        let keys = keys.into_iter();
        let groups = self.grouped(keys.map(|key| (keyspace.key(&key), ())).collect());
        let delete = |group: &[(String, ())]| {
            let mut command = client::cmd("DEL");
            for (key, ()) in group {
                command.arg(key);
            }
            command
        };
        self.write_all(groups, delete).await
    }

    async fn increment(
        &self,
        bucket: &str,
        key: String,
        delta: i64,
        least: i64,
    ) -> Result<i64, StoreError> {
        let key = Keyspace::of(bucket).key(&key);
        if least == i64::MIN {
            return self
                .once(&key, client::cmd("INCRBY").arg(&key).arg(delta))
                .await;
        }
        // No other limit is asked for.
        debug_assert!(least == 0 && delta >= 0);
        let mut command = client::cmd("EVAL");
        command.arg(ADD_TO_NATURAL).arg(1).arg(&key).arg(delta);
        self.once(&key, &command).await
    }

    async fn swap(
        &self,
        bucket: &str,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let key = Keyspace::of(bucket).key(&key);
        let was = if expected.is_some() { "1" } else { "0" };
        let mut command = client::cmd("EVAL");
        command.arg(SWAP).arg(1).arg(&key);
        command
            .arg(was)
            .arg(expected.unwrap_or_default())
            .arg(value);
        self.once(&key, &command).await
    }

    async fn list(
        &self,
        bucket: &str,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let keyspace = Keyspace::of(bucket);
        match &self.servers {
            Servers::One(server) => list::of_server(server, &keyspace, cursor).await,
            Servers::Cluster(all) => list::of_cluster(all, &keyspace, cursor).await,
        }
    }

    async fn watch(&self, bucket: &str, changed: Arc<ChangedKeys>) -> Result<Watch, StoreError> {
        watch::watch(self, bucket, changed).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        match &self.servers {
            Servers::One(server) => server.read::<()>(&client::cmd("PING")).await?,
            Servers::Cluster(all) => all.check().await?,
        }
        match self.unheard.reason() {
            Some(why) => Err(StoreError::Failed(why)),
            None => Ok(()),
        }
    }
}
