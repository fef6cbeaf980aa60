//! Redis, or a server that speaks its protocol.
//!
//! One connection is shared by all calls, which Redis answers in order. When it breaks it is made
//! again behind the scenes; calls that come meanwhile wait for that, but not longer than the
//! limits given here. A write whose answer is lost is not sent again: it may have been done.

mod config;
mod keyspace;
mod scripts;
mod server;
mod tls;
mod unheard;
mod watch;

use std::sync::Arc;

use ::redis as client;

use self::keyspace::Keyspace;
use self::scripts::{ADD_TO_NATURAL, SWAP};
use crate::changes::{ChangedKeys, Watch};
use crate::store::{PAGE, Store, StoreError};

pub(crate) use self::config::{Notifications, RedisConfig, check_url, is_tls};
pub(crate) use self::server::{ConnectError, RedisStore};

/// The beginning of this store's cursors.
const SCAN: &str = "scan:";

#[async_trait::async_trait]
impl Store for RedisStore {
    async fn get(
        &self,
        bucket: &str,
        keys: Vec<String>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        // Redis takes no list of nothing.
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keyspace = Keyspace::of(bucket);
        let mut command = client::cmd("MGET");
        for key in &keys {
            command.arg(keyspace.key(key));
        }
        self.read(&command).await
    }

    async fn exists(&self, bucket: &str, key: String) -> Result<bool, StoreError> {
        self.read(client::cmd("EXISTS").arg(Keyspace::of(bucket).key(&key)))
            .await
    }

    async fn set(&self, bucket: &str, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        if pairs.is_empty() {
            return Ok(());
        }
        let keyspace = Keyspace::of(bucket);
        let mut command = client::cmd("MSET");
        for (key, value) in &pairs {
            command.arg(keyspace.key(key)).arg(value.as_slice());
        }
        self.once(&command).await
    }

    async fn delete(&self, bucket: &str, keys: Vec<String>) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let keyspace = Keyspace::of(bucket);
        let mut command = client::cmd("DEL");
        for key in &keys {
            command.arg(keyspace.key(key));
        }
        self.once(&command).await
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
            return self.once(client::cmd("INCRBY").arg(key).arg(delta)).await;
        }
        // No other limit is asked for.
        debug_assert!(least == 0 && delta >= 0);
        let mut command = client::cmd("EVAL");
        command.arg(ADD_TO_NATURAL).arg(1).arg(key).arg(delta);
        self.once(&command).await
    }

    async fn swap(
        &self,
        bucket: &str,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let was = if expected.is_some() { "1" } else { "0" };
        let mut command = client::cmd("EVAL");
        command.arg(SWAP).arg(1).arg(Keyspace::of(bucket).key(&key));
        command
            .arg(was)
            .arg(expected.unwrap_or_default())
            .arg(value);
        self.once(&command).await
    }

    async fn list(
        &self,
        bucket: &str,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let keyspace = Keyspace::of(bucket);
        let pattern = keyspace.pattern();
        let mut cursor: u64 = match cursor {
            Some(text) => {
                let number = text.strip_prefix(SCAN).and_then(|n| n.parse().ok());
                number.ok_or(StoreError::Cursor)?
            }
            None => 0,
        };
        let mut page = Vec::new();
        // Redis looks at so many keys at a time, whether or not they match, and may find none. It
        // must not keep a caller waiting for long, so a page of a small bucket among many other
        // keys may be short, or empty.
        for _ in 0..64 {
            let mut command = client::cmd("SCAN");
            command
                .arg(cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(PAGE)
                // Others may have lists and sets there, which are no values.
                .arg("TYPE")
                .arg("string");
            let (next, found): (u64, Vec<Vec<u8>>) = self.read(&command).await?;
            cursor = next;
            // Keys that are no text were not written through this interface, which has no others.
            let keys = found
                .into_iter()
                .filter_map(|key| String::from_utf8(key).ok());
            page.extend(keys.filter_map(|key| keyspace.key_of(key)));
            if cursor == 0 || page.len() >= PAGE {
                break;
            }
        }
        // The server may find a key twice while its table grows.
        page.sort_unstable();
        page.dedup();
        Ok((page, (cursor != 0).then(|| format!("{SCAN}{cursor}"))))
    }

    async fn watch(&self, bucket: &str, changed: Arc<ChangedKeys>) -> Result<Watch, StoreError> {
        watch::watch(self, bucket, changed).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        let () = self.read(&client::cmd("PING")).await?;
        match self.unheard.reason() {
            Some(why) => Err(StoreError::Failed(why)),
            None => Ok(()),
        }
    }
}
