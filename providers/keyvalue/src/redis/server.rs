//! A connection to a Redis server, and how it is configured.

use std::fmt;
use std::time::Duration;

use ::redis as client;
use client::aio::{ConnectionManager, ConnectionManagerConfig};
use client::{Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError, ServerErrorKind};
use tokio::time::timeout;

use super::unheard::Unheard;
use crate::store::StoreError;

/// Shortest wait before connecting again.
const BACK_OFF: Duration = Duration::from_millis(20);

/// The right of a link over the server's `notify-keyspace-events`.
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
    /// The right to have the server tell of changes.
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

/// The part of a URL that can be shown: where the server is.
fn address(url: &str) -> String {
    match url.into_connection_info() {
        Ok(info) => info.addr().to_string(),
        Err(_) => "an address that cannot be read".into(),
    }
}

/// A server cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Nobody answers.
    #[error(
        "cannot reach Redis at `{address}`: {why}; start it there (`redis-server`), or correct the link's `url`"
    )]
    Unreachable {
        address: String,
        #[source]
        why: NoConnection,
    },
    /// The server is there, and knows nobody with this password.
    #[error(
        "Redis at `{address}` refuses the user or the password: {why}; correct them in the link's `url` (`redis://USER:PASSWORD@…`)"
    )]
    Refused {
        address: String,
        #[source]
        why: RedisError,
    },
}

/// Whether a server refuses who asks, and not what is asked.
fn is_of_credentials(error: &RedisError) -> bool {
    let code = error.code();
    error.kind() == ErrorKind::AuthenticationFailed
        || code.is_some_and(|code| matches!(code, "NOAUTH" | "WRONGPASS"))
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoConnection {
    #[error(transparent)]
    Client(#[from] RedisError),
    #[error("no answer in {} ms", .0.as_millis())]
    Late(Duration),
}

/// A connection to Redis. Its copies share it.
#[derive(Clone)]
pub(crate) struct RedisStore {
    pub(super) client: client::Client,
    connection: ConnectionManager,
    pub(super) address: String,
    /// Longest that one command may take, connecting again included.
    pub(super) limit: Duration,
    pub(super) notifications: Notifications,
    /// Watches that hear nothing.
    pub(super) unheard: Unheard,
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
                unheard: Unheard::default(),
            }),
            Err(NoConnection::Client(why)) if is_of_credentials(&why) => {
                Err(ConnectError::Refused { address, why })
            }
            Err(why) => Err(ConnectError::Unreachable { address, why }),
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
        let entering = async {
            let mut connection = connecting.await?;
            // A server that wants a password lets everybody connect, and refuses each command of those who gave none.
            match client::cmd("PING").query_async::<()>(&mut connection).await {
                Err(e) if is_of_credentials(&e) => Err(e),
                // Who may do little may be refused this one.
                Ok(()) | Err(_) => Ok(connection),
            }
        };
        match timeout(limit, entering).await {
            Ok(connected) => Ok((client, connected?, limit)),
            Err(_) => Err(NoConnection::Late(limit)),
        }
    }

    /// Sends a command that may have an effect, at most once.
    pub(super) async fn once<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
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
    pub(super) async fn read<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
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
