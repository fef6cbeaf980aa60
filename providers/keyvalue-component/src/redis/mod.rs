//! Redis, or a server that speaks its protocol.
//!
//! There is one connection, over which one command follows the other, as calls do. The store makes it when it is needed, and again
//! when it has broken, and one limit bounds all attempts of a call: a call that its caller gives up takes the instance with it, and with
//! that the knowledge that Redis is gone. A write whose answer is lost is not sent again: it may have been done.

mod connection;
#[path = "../../../keyvalue/src/redis/keyspace.rs"]
mod keyspace;
#[path = "../../../keyvalue/src/redis/scripts.rs"]
mod scripts;

use std::time::Duration;

use ::redis as client;
use client::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value};

use self::connection::{Connection, Deadline, NoAnswer, pause};
use self::keyspace::Keyspace;
use self::scripts::{ADD_TO_NATURAL, SWAP};
use crate::backend::Store;
use crate::config::RedisConfig;
use crate::store::{PAGE, StoreError};

/// The beginning of this store's cursors.
const SCAN: &str = "scan:";
/// How often Redis is asked for keys for one page of them.
const SCANS: usize = 64;
/// The shortest wait before connecting again.
const BACK_OFF: Duration = Duration::from_millis(20);

/// Whether a command may be sent again when its answer is lost.
#[derive(Clone, Copy, PartialEq)]
enum Sent {
    /// As often as it takes: it only reads.
    Again,
    /// Once: it may have been done.
    Once,
}

/// A command that has no answer.
struct Unanswered {
    why: NoAnswer,
    /// Whether the server may have it.
    is_sent: bool,
}

/// Values in Redis.
pub(crate) struct RedisStore {
    config: RedisConfig,
    connection: Option<Connection>,
    /// Whether the last attempts to connect failed.
    is_gone: bool,
    /// The attempts that failed: each begins at another of Redis's addresses.
    failed: usize,
}

impl RedisStore {
    pub(crate) fn new(config: RedisConfig) -> Self {
        Self {
            config,
            connection: None,
            is_gone: false,
            failed: 0,
        }
    }

    /// The connection, which is made if there is none or it was closed meanwhile.
    fn connection(&mut self, deadline: Deadline) -> Result<&mut Connection, NoAnswer> {
        let open = self.connection.take().filter(Connection::is_open);
        let connection = match open {
            Some(connection) => connection,
            None => self.connect(deadline)?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Connects, again after pauses if that fails, until the deadline. While the server is gone, each call tries
    /// once: others wait behind it.
    fn connect(&mut self, deadline: Deadline) -> Result<Connection, NoAnswer> {
        let retries = if self.is_gone { 0 } else { self.config.retries };
        let mut delay = BACK_OFF.min(self.config.max_delay);
        let mut retry = 0;
        loop {
            match Connection::open(&self.config, deadline, self.failed) {
                Ok(connection) => {
                    self.is_gone = false;
                    return Ok(connection);
                }
                // The same is said each time.
                Err(why @ (NoAnswer::NotGranted | NoAnswer::NoLookup | NoAnswer::Refused(_))) => {
                    return Err(why);
                }
                Err(why) => {
                    self.failed = self.failed.wrapping_add(1);
                    if retry == retries || deadline.left() <= delay {
                        self.is_gone = true;
                        return Err(why);
                    }
                    retry += 1;
                    pause(delay);
                    delay = (delay * 2).min(self.config.max_delay);
                }
            }
        }
    }

    /// Sends a command once, over a connection that is there by a deadline.
    fn attempt(&mut self, command: &Cmd, connected: Deadline) -> Result<Value, Unanswered> {
        let limit = self.config.response_timeout;
        let connection = self.connection(connected).map_err(|why| Unanswered {
            why,
            is_sent: false,
        })?;
        let answer = connection.ask(command, Deadline::after(limit));
        answer.map_err(|why| Unanswered { why, is_sent: true })
    }

    fn ask<T: FromRedisValue>(&mut self, command: &Cmd, sent: Sent) -> Result<T, StoreError> {
        let connected = Deadline::after(self.config.connect_timeout);
        let mut answer = self.attempt(command, connected);
        // A connection that was closed between two calls may not have been known to be.
        if let (Sent::Again, Err(Unanswered { why, is_sent: true })) = (sent, &answer)
            && matches!(why, NoAnswer::Closed | NoAnswer::Stream(_))
        {
            self.connection = None;
            answer = self.attempt(command, connected);
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(Unanswered {
                why: NoAnswer::Refused(why),
                is_sent: true,
            }) => return Err(self.refused(&why)),
            Err(Unanswered { why, is_sent }) => {
                self.connection = None;
                let why = self.unreachable(&why);
                return Err(match sent {
                    Sent::Once if is_sent => StoreError::Lost(why),
                    Sent::Once | Sent::Again => StoreError::Failed(why),
                });
            }
        };
        let value = client::from_redis_value(answer);
        value.map_err(|why| StoreError::Failed(format!("{} answered with {why}", self.place())))
    }

    fn place(&self) -> String {
        let RedisConfig { host, port, .. } = &self.config;
        match host.contains(':') {
            true => format!("Redis at `[{host}]:{port}`"),
            false => format!("Redis at `{host}:{port}`"),
        }
    }

    fn unreachable(&self, why: &NoAnswer) -> String {
        let at = self.place();
        match why {
            NoAnswer::Refused(why) => format!("{at} refused: {why}"),
            NoAnswer::Late(limit) => format!("{at} did not answer in {} ms", limit.as_millis()),
            why => format!("{at} cannot be reached: {why}"),
        }
    }

    fn refused(&self, why: &RedisError) -> StoreError {
        let response = ErrorKind::Server(ServerErrorKind::ResponseError);
        match why.detail().filter(|_| why.kind() == response) {
            Some(detail) if detail.contains("overflow") => StoreError::Overflow,
            Some(detail) if detail.contains("not an integer") => StoreError::NotANumber,
            _ => StoreError::Failed(format!("{} refused: {why}", self.place())),
        }
    }
}

/// A command about `keys` of a bucket.
fn about<'a>(name: &str, bucket: &str, keys: impl IntoIterator<Item = &'a str>) -> Cmd {
    let keyspace = Keyspace::of(bucket);
    let mut command = client::cmd(name);
    for key in keys {
        command.arg(keyspace.key(key));
    }
    command
}

impl Store for RedisStore {
    fn get(&mut self, bucket: &str, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        // Redis takes no list of nothing.
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let get = about("MGET", bucket, keys.iter().map(String::as_str));
        self.ask(&get, Sent::Again)
    }

    fn exists(&mut self, bucket: &str, key: &str) -> Result<bool, StoreError> {
        self.ask(&about("EXISTS", bucket, [key]), Sent::Again)
    }

    fn set(&mut self, bucket: &str, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        if pairs.is_empty() {
            return Ok(());
        }
        let keyspace = Keyspace::of(bucket);
        let mut set = client::cmd("MSET");
        for (key, value) in &pairs {
            set.arg(keyspace.key(key)).arg(value.as_slice());
        }
        self.ask(&set, Sent::Once)
    }

    fn delete(&mut self, bucket: &str, keys: &[String]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let delete = about("DEL", bucket, keys.iter().map(String::as_str));
        self.ask(&delete, Sent::Once)
    }

    fn increment(
        &mut self,
        bucket: &str,
        key: &str,
        delta: i64,
        least: i64,
    ) -> Result<i64, StoreError> {
        if least == i64::MIN {
            return self.ask(about("INCRBY", bucket, [key]).arg(delta), Sent::Once);
        }
        // No other limit is asked for.
        debug_assert!(least == 0 && delta >= 0);
        let key = Keyspace::of(bucket).key(key);
        let mut add = client::cmd("EVAL");
        add.arg(ADD_TO_NATURAL).arg(1).arg(key).arg(delta);
        self.ask(&add, Sent::Once)
    }

    fn swap(
        &mut self,
        bucket: &str,
        key: &str,
        expected: Option<&[u8]>,
        value: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let was = if expected.is_some() { "1" } else { "0" };
        let mut swap = client::cmd("EVAL");
        swap.arg(SWAP).arg(1).arg(Keyspace::of(bucket).key(key));
        swap.arg(was).arg(expected.unwrap_or_default()).arg(value);
        self.ask(&swap, Sent::Once)
    }

    fn list(
        &mut self,
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
        // Redis looks at so many keys at a time, of whatever bucket, and others wait meanwhile: so a page may be short.
        for _ in 0..SCANS {
            let mut scan = client::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern);
            // Others may have lists and sets there, which are no values.
            scan.arg("COUNT").arg(PAGE).arg("TYPE").arg("string");
            let (next, found): (u64, Vec<Vec<u8>>) = self.ask(&scan, Sent::Again)?;
            cursor = next;
            // Keys that are no text were not written through this interface.
            let keys = (found.into_iter()).filter_map(|key| String::from_utf8(key).ok());
            page.extend(keys.filter_map(|key| keyspace.key_of(key)));
            if cursor == 0 || page.len() >= PAGE {
                break;
            }
        }
        // Redis may find a key twice while its table grows.
        page.sort_unstable();
        page.dedup();
        Ok((page, (cursor != 0).then(|| format!("{SCAN}{cursor}"))))
    }
}
