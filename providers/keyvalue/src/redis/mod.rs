//! Redis, or a server that speaks its protocol.
//!
//! One connection is shared by all calls, which Redis answers in order. When it breaks it is made
//! again behind the scenes; calls that come meanwhile wait for that, but not longer than the
//! limits given here. A write whose answer is lost is not sent again: it may have been done.

mod keyspace;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::redis as client;
use client::aio::{ConnectionManager, ConnectionManagerConfig};
use client::{Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError, ServerErrorKind};
use tokio::time::timeout;

use crate::changes::{ChangedKeys, Watch};
use crate::store::{PAGE, Store, StoreError};

use keyspace::Keyspace;

pub(crate) use watch::Notifications;

/// Sets a key if it is still what it was. `ARGV[1]` says whether it was anything.
const SWAP: &str = "local now = redis.call('GET', KEYS[1])
if (ARGV[1] == '1' and now == ARGV[2]) or (ARGV[1] == '0' and not now) then
  redis.call('SET', KEYS[1], ARGV[3])
  return 1
end
return 0";
/// Adds `ARGV[1]` to a number, unless the sum is below zero: then it is what it was. The sum comes as text, since
/// Lua's numbers are not exact.
const ADD_TO_NATURAL: &str = "redis.call('INCRBY', KEYS[1], ARGV[1])
local sum = redis.call('GET', KEYS[1])
if string.sub(sum, 1, 1) == '-' then
  redis.call('DECRBY', KEYS[1], ARGV[1])
  return redis.error_reply('ERR increment would overflow')
end
return sum";
/// What this store's cursors start with.
const SCAN: &str = "scan:";
/// What `notify-keyspace-events` needs: the keyspace, what all keys have in common, strings, and what expires or is
/// evicted. `A` has all but the first.
const NEEDED: &str = "Kg$xe";
/// Shortest wait before connecting again.
const BACK_OFF: Duration = Duration::from_millis(20);

/// Where Redis is and how long to wait for it, with v1's defaults.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct RedisConfig {
    /// May hold a password: never printed.
    pub(crate) url: String,
    /// Attempts to connect again before calls fail.
    pub(crate) retries: usize,
    /// Longest wait between two attempts.
    pub(crate) max_delay: Duration,
    /// Longest that connecting may take.
    pub(crate) connect_timeout: Duration,
    /// Longest that an answer may take.
    pub(crate) response_timeout: Duration,
    /// What may be done so that the server tells of changes.
    pub(crate) notifications: Notifications,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379/".into(),
            retries: 3,
            max_delay: Duration::from_millis(300),
            connect_timeout: Duration::from_secs(3),
            response_timeout: Duration::from_secs(1),
            notifications: Notifications::default(),
        }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &address(&self.url))
            .finish_non_exhaustive()
    }
}

/// Checks a URL; `Err` says what is expected.
pub(crate) fn check_url(url: &str) -> Result<(), &'static str> {
    match url.into_connection_info() {
        Ok(_) => Ok(()),
        Err(_) => Err("`redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`"),
    }
}

/// What of a URL can be shown: where the server is.
fn address(url: &str) -> String {
    match url.into_connection_info() {
        Ok(info) => info.addr().to_string(),
        Err(_) => "an address that cannot be read".into(),
    }
}

/// A server cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot reach Redis at `{address}`: {why}; start it there (`redis-server`), or correct the link's `url`"
)]
pub(crate) struct ConnectError {
    address: String,
    #[source]
    why: NoConnection,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum NoConnection {
    #[error(transparent)]
    Client(#[from] RedisError),
    #[error("no answer in {} ms", .0.as_millis())]
    Late(Duration),
}

/// A connection to Redis.
pub(crate) struct RedisStore {
    client: client::Client,
    connection: ConnectionManager,
    address: String,
    /// Longest that one command may take, connecting again included.
    limit: Duration,
    notifications: Notifications,
}

impl RedisStore {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, in words that say where it should be.
    pub(crate) async fn connect(config: &RedisConfig) -> Result<Self, ConnectError> {
        let address = address(&config.url);
        match Self::connection(config).await {
            Ok((client, connection, limit)) => Ok(Self {
                client,
                connection,
                address,
                limit,
                notifications: config.notifications,
            }),
            Err(why) => Err(ConnectError { address, why }),
        }
    }

    /// A client, its connection, and the longest that one command over it may take.
    async fn connection(
        config: &RedisConfig,
    ) -> Result<(client::Client, ConnectionManager, Duration), NoConnection> {
        let client = client::Client::open(config.url.as_str())?;
        let settings = ConnectionManagerConfig::new()
            .set_number_of_retries(config.retries)
            .set_min_delay(BACK_OFF.min(config.max_delay))
            .set_max_delay(config.max_delay)
            .set_connection_timeout(Some(config.connect_timeout))
            .set_response_timeout(Some(config.response_timeout));
        let waits = config.max_delay * u32::try_from(config.retries).unwrap_or(u32::MAX);
        let limit = config.connect_timeout + waits + config.response_timeout;
        let connecting = ConnectionManager::new_with_config(client.clone(), settings);
        match timeout(limit, connecting).await {
            Ok(connected) => Ok((client, connected?, limit)),
            Err(_) => Err(NoConnection::Late(limit)),
        }
    }

    /// Sends a command that may have an effect, at most once.
    async fn once<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let mut connection = self.connection.clone();
        match timeout(self.limit, command.query_async(&mut connection)).await {
            // Who was never connected to has done nothing.
            Ok(Err(e)) if e.is_io_error() && !e.is_connection_refusal() => {
                Err(StoreError::Lost(self.describe(&e)))
            }
            Ok(answer) => answer.map_err(|e| self.error(&e)),
            Err(_) => Err(StoreError::Lost(self.no_answer())),
        }
    }

    /// Sends a command that only reads; again, if the connection turns out to be broken.
    async fn read<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let reading = async {
            let mut connection = self.connection.clone();
            match command.query_async(&mut connection).await {
                Err(e) if e.is_connection_dropped() => command.query_async(&mut connection).await,
                answer => answer,
            }
        };
        match timeout(self.limit, reading).await {
            Ok(answer) => answer.map_err(|e| self.error(&e)),
            Err(_) => Err(StoreError::Failed(self.no_answer())),
        }
    }

    /// Sees to it that the server tells of changes.
    async fn allow(&self) -> Result<(), StoreError> {
        const SETTING: &str = "notify-keyspace-events";
        if self.notifications == Notifications::Assume {
            return Ok(());
        }
        let at = &self.address;
        let mut ask = client::cmd("CONFIG");
        ask.arg("GET").arg(SETTING);
        let settings: HashMap<String, String> = self.read(&ask).await.map_err(|why| {
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
        if self.notifications == Notifications::Check {
            return Err(StoreError::Failed(format!(
                "Redis at `{at}` does not tell of changes: its `{SETTING}` is `{now}`, without `{missing}`. Set it (`redis-cli \
                 config set {SETTING} '{now}{missing}'`), or let the link do so: `redis_notifications: enable`"
            )));
        }
        let mut set = client::cmd("CONFIG");
        set.arg("SET").arg(SETTING).arg(format!("{now}{missing}"));
        let set: Result<(), _> = self.once(&set).await;
        set.map_err(|why| {
            StoreError::Failed(format!(
                "Redis at `{at}` cannot be told to tell of changes: {why}"
            ))
        })
    }

    fn no_answer(&self) -> String {
        let limit = self.limit.as_millis();
        format!("Redis at `{}` did not answer in {limit} ms", self.address)
    }

    fn describe(&self, error: &RedisError) -> String {
        let at = &self.address;
        match error.is_io_error() {
            true => format!("Redis at `{at}` cannot be reached: {error}"),
            false => format!("Redis at `{at}` refused: {error}"),
        }
    }

    fn error(&self, error: &RedisError) -> StoreError {
        let refused = ErrorKind::Server(ServerErrorKind::ResponseError);
        if let (kind, Some(detail)) = (error.kind(), error.detail())
            && kind == refused
        {
            if detail.contains("overflow") {
                return StoreError::Overflow;
            }
            if detail.contains("not an integer") {
                return StoreError::NotANumber;
            }
        }
        StoreError::Failed(self.describe(error))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisStore").field(&self.address).finish()
    }
}

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
        self.allow().await?;
        let (client, address) = (self.client.clone(), self.address.clone());
        watch::watch(client, address, self.limit, bucket, changed).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.read(&client::cmd("PING")).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_printed() {
        let url = "redis://user:s3cret@db.example:7000/2";
        assert_eq!(address(url), "db.example:7000");
        let config = RedisConfig {
            url: url.into(),
            ..Default::default()
        };
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
