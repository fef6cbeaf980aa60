//! A connection to a Redis server.

use std::fmt;
use std::time::Duration;

use ::redis as client;
use client::aio::{ConnectionManager, ConnectionManagerConfig};
use client::{
    Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError, ServerErrorKind,
};
use rustls::CertificateError;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;

use super::config::{Notifications, RedisConfig, address, is_tls};
use super::tls::{self, CaError};
use super::unheard::Unheard;
use crate::store::StoreError;

/// Shortest wait before connecting again.
const BACK_OFF: Duration = Duration::from_millis(20);

/// A server cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Nobody answers.
    #[error(
        "cannot reach Redis at `{address}`: {why}; start it there (`redis-server`), or correct the link's `url`{}",
        about_tls(*.is_tls, .why)
    )]
    Unreachable {
        address: String,
        is_tls: bool,
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
    /// The server is there, and its certificate is not believed, or it speaks no TLS.
    #[error("no TLS with Redis at `{address}`: {why}; {}", advice(.why))]
    Tls {
        address: String,
        #[source]
        why: rustls::Error,
    },
    /// The certificates that the link names.
    #[error(transparent)]
    Certificates(#[from] CaError),
    /// Reading them panicked.
    #[error("cannot read certificates: {0}")]
    Stopped(#[source] JoinError),
}

impl ConnectError {
    /// The error that says why there is no connection to the server at `address`.
    fn new(address: String, is_tls: bool, why: NoConnection) -> Self {
        match why {
            NoConnection::Client(why) if is_of_credentials(&why) => Self::Refused { address, why },
            NoConnection::Client(why) => match tls::fault(&why).cloned() {
                Some(why) => Self::Tls { address, why },
                None => Self::Unreachable {
                    address,
                    is_tls,
                    why: NoConnection::Client(why),
                },
            },
            late @ NoConnection::Late(_) => Self::Unreachable {
                address,
                is_tls,
                why: late,
            },
        }
    }
}

/// What there may be about TLS where a server is not understood.
fn about_tls(is_tls: bool, why: &NoConnection) -> &'static str {
    match (is_tls, why) {
        (_, NoConnection::Client(why)) if why.is_connection_refusal() => "",
        // A port without TLS waits for the end of what looks like a long command.
        (true, _) => ": with `rediss://`, that is for a port on which it speaks TLS (`tls-port`)",
        (false, NoConnection::Client(_)) => ": where it speaks TLS, that is `rediss://`",
        (false, NoConnection::Late(_)) => "",
    }
}

/// What to do about a fault of TLS.
fn advice(fault: &rustls::Error) -> &'static str {
    match fault {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "write a name in the link's `url` that its certificate has",
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "renew its certificate",
        rustls::Error::InvalidCertificate(_) => {
            "name the PEM file of the authority that signed its certificate: the link's `tls_ca_file`"
        }
        rustls::Error::InvalidMessage(_) => {
            "is this the port on which it speaks TLS (`tls-port`)? Without TLS, write `redis://` in the link's `url`"
        }
        _ => {
            "compare what it wants of its clients (`tls-auth-clients`, `tls-protocols`) and the link's `url`"
        }
    }
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
    pub(super) client: Client,
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
    /// If the server cannot be used, in words that say where it should be.
    pub(crate) async fn connect(config: &RedisConfig) -> Result<Self, ConnectError> {
        let address = address(&config.url);
        let roots = match (is_tls(&config.url), config.ca_file.clone()) {
            (false, _) => None,
            (true, path) => {
                let reading = spawn_blocking(move || match path {
                    Some(path) => tls::read(&path).map(Some),
                    None => Ok(tls::of_system()),
                });
                reading.await.map_err(ConnectError::Stopped)??
            }
        };
        let connected = Self::connection(config, roots).await;
        let (client, connection) = connected
            .map_err(|why| ConnectError::new(address.clone(), is_tls(&config.url), why))?;
        Ok(Self {
            client,
            connection,
            address,
            limit: config.limit(),
            notifications: config.notifications,
            unheard: Unheard::default(),
        })
    }

    /// A client and its connection; `roots` are the authorities that are believed.
    async fn connection(
        config: &RedisConfig,
        roots: Option<Vec<u8>>,
    ) -> Result<(Client, ConnectionManager), NoConnection> {
        let info = config.url.as_str().into_connection_info()?;
        let client = match is_tls(&config.url) {
            true => tls::client(info, roots)?,
            false => Client::open(info)?,
        };
        let settings = ConnectionManagerConfig::new()
            .set_number_of_retries(config.retries)
            .set_min_delay(BACK_OFF.min(config.max_delay))
            .set_max_delay(config.max_delay)
            .set_connection_timeout(Some(config.connect_timeout))
            .set_response_timeout(Some(config.response_timeout));
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
        let limit = config.limit();
        match timeout(limit, entering).await {
            Ok(connected) => Ok((client, connected?)),
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
