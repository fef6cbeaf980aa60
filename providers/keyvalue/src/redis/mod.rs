//! Redis, or a server that speaks its protocol.
//!
//! One connection is shared by all calls, which Redis answers in order. When it breaks it is made
//! again behind the scenes; calls that come meanwhile wait for that, but not longer than the
//! limits given here. A write whose answer is lost is not sent again: it may have been done.

mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::redis as client;
use client::aio::{ConnectionManager, ConnectionManagerConfig};
use client::{Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError, ServerErrorKind};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::time::timeout;

use crate::changes::{ChangedKeys, Watch};
use crate::store::{DEFAULT_BUCKET, PAGE, Store, StoreError};

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
/// What keys of Redis start with that are not as components name them.
const RESERVED: &str = "withe:";
/// Keys of the default bucket that start with [`RESERVED`] themselves.
const ESCAPED: &str = "withe:default:";
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

/// A connection to Redis. Its copies share it.
#[derive(Clone)]
pub(crate) struct RedisStore {
    client: client::Client,
    connection: ConnectionManager,
    address: String,
    /// Longest that one command may take, connecting again included.
    limit: Duration,
    notifications: Notifications,
    /// Watches that hear nothing.
    unheard: watch::Unheard,
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
                unheard: watch::Unheard::default(),
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

/// What a colon is written as in a bucket's name, which a colon ends.
const IN_NAME: &AsciiSet = &CONTROLS.add(b':').add(b'%');

/// Where a bucket's keys are in Redis, which has none: no two buckets have a key of Redis in common.
enum Keyspace {
    /// The default bucket's keys are the keys of Redis, so that what v1's provider has written, which knows no
    /// buckets, is found there. Those that start with [`RESERVED`] are kept apart.
    Default,
    /// Another bucket's keys start with `withe:bucket:NAME:`.
    Named { prefix: String },
}

impl Keyspace {
    fn of(bucket: &str) -> Self {
        if bucket == DEFAULT_BUCKET {
            return Self::Default;
        }
        let name = utf8_percent_encode(bucket, IN_NAME);
        Self::Named {
            prefix: format!("{RESERVED}bucket:{name}:"),
        }
    }

    /// The key of Redis that `key` of the bucket is.
    fn key(&self, key: &str) -> String {
        match self {
            Self::Default if key.starts_with(RESERVED) => format!("{ESCAPED}{key}"),
            Self::Default => key.to_owned(),
            Self::Named { prefix } => format!("{prefix}{key}"),
        }
    }

    /// The key of the bucket that a key of Redis is, if it is one.
    fn key_of(&self, found: String) -> Option<String> {
        match self {
            Self::Default if !found.starts_with(RESERVED) => Some(found),
            Self::Default => found
                .strip_prefix(ESCAPED)
                .filter(|key| key.starts_with(RESERVED))
                .map(str::to_owned),
            Self::Named { prefix } => found.strip_prefix(prefix.as_str()).map(str::to_owned),
        }
    }

    /// A pattern that matches all keys of the bucket, if not only those.
    fn pattern(&self) -> String {
        starting_with(match self {
            Self::Default => "",
            Self::Named { prefix } => prefix,
        })
    }
}

/// A pattern that matches what starts with `prefix`.
fn starting_with(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for c in prefix.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('*');
    pattern
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

    #[test]
    fn no_two_buckets_share_a_key() {
        let cases = [
            ("default", "k", "k"),
            ("default", "a:b", "a:b"),
            (
                "default",
                "withe:bucket:a:b",
                "withe:default:withe:bucket:a:b",
            ),
            (
                "default",
                "withe:default:withe:x",
                "withe:default:withe:default:withe:x",
            ),
            ("default", "withe", "withe"),
            ("a", "b:c", "withe:bucket:a:b:c"),
            ("a:b", "c", "withe:bucket:a%3Ab:c"),
            ("a%3Ab", "c", "withe:bucket:a%253Ab:c"),
            ("withe:", "", "withe:bucket:withe%3A:"),
        ];
        for (bucket, key, redis) in cases {
            assert_eq!(Keyspace::of(bucket).key(key), redis);
            for (other, ..) in cases {
                let found = Keyspace::of(other).key_of(redis.to_owned());
                let want = (other == bucket).then(|| key.to_owned());
                assert_eq!(found, want, "{redis} in {other}");
            }
        }
        // Somebody else's, which no key of the interface is.
        for foreign in ["withe:", "withe:default:x", "withe:other"] {
            assert_eq!(Keyspace::of("default").key_of(foreign.to_owned()), None);
        }
        assert_eq!(starting_with("a*[b]?\\:"), "a\\*\\[b\\]\\?\\\\:*");
    }
}
