//! A connection to one Redis server.

use std::fmt;
use std::time::Duration;

use ::redis as client;
use client::aio::{ConnectionLike as _, ConnectionManager, ConnectionManagerConfig};
use client::{
    Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo,
    RedisError, ServerErrorKind, Value,
};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::config::{RedisConfig, is_tls};
use super::error::{ConnectError, NoConnection, is_of_credentials};
use super::tls;
use crate::store::StoreError;

/// Shortest wait before connecting again.
const BACK_OFF: Duration = Duration::from_millis(20);

/// How servers are connected to: as what user, with which certificates, and with what patience.
#[derive(Clone)]
pub(super) struct Access {
    /// For its user, its database and whether TLS is spoken.
    info: ConnectionInfo,
    /// The authorities that are believed, as PEM; without any, Mozilla's.
    roots: Option<Vec<u8>>,
    settings: ConnectionManagerConfig,
    /// Longest that one command may take, connecting again included.
    pub(super) limit: Duration,
}

impl Access {
    /// As a configuration says it, whose first URL is `url`. Reads certificates.
    pub(super) async fn new(config: &RedisConfig, url: &str) -> Result<Self, ConnectError> {
        let address = super::config::address(url);
        let info = url.into_connection_info();
        let info = info.map_err(|why| ConnectError::new(address, false, why.into()))?;
        let roots = match (is_tls(url), config.ca_file.clone()) {
            (false, _) => None,
            (true, path) => {
                let reading = spawn_blocking(move || match path {
                    Some(path) => tls::read(&path).map(Some),
                    None => Ok(tls::of_system()),
                });
                reading.await.map_err(ConnectError::Stopped)??
            }
        };
        Ok(Self {
            info,
            roots,
            settings: ConnectionManagerConfig::new()
                .set_number_of_retries(config.retries)
                .set_min_delay(BACK_OFF.min(config.max_delay))
                .set_max_delay(config.max_delay)
                .set_connection_timeout(Some(config.connect_timeout))
                .set_response_timeout(Some(config.response_timeout)),
            limit: config.limit(),
        })
    }

    /// The address of the server that it is for.
    pub(super) fn at(&self) -> &ConnectionAddr {
        self.info.addr()
    }

    fn is_tls(&self) -> bool {
        matches!(self.info.addr(), ConnectionAddr::TcpTls { .. })
    }

    /// The same, to another server.
    pub(super) fn to(&self, host: &str, port: u16) -> Self {
        let host = host.to_owned();
        let addr = match self.is_tls() {
            true => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            },
            false => ConnectionAddr::Tcp(host, port),
        };
        Self {
            info: self.info.clone().set_addr(addr),
            ..self.clone()
        }
    }
}

/// A connection to a server. Its copies share it.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) client: Client,
    connection: ConnectionManager,
    pub(super) address: String,
    /// Longest that one command may take, connecting again included.
    pub(super) limit: Duration,
}

impl Server {
    /// A connection that is made when it is used first.
    pub(super) fn new(access: &Access) -> Result<Self, RedisError> {
        let info = access.info.clone();
        let client = match access.is_tls() {
            true => tls::client(info, access.roots.clone())?,
            false => Client::open(info)?,
        };
        let settings = access.settings.clone();
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(client.clone(), settings)?,
            client,
            address: access.at().to_string(),
            limit: access.limit,
        })
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// If the server cannot be used, in words that say where it should be.
    pub(super) async fn connect(access: &Access) -> Result<Self, ConnectError> {
        let no = |why| ConnectError::new(access.at().to_string(), access.is_tls(), why);
        let server = Self::new(access).map_err(|why| no(why.into()))?;
        // A server that wants a password lets everybody connect, and refuses each command of those who gave none.
        match timeout(server.limit, server.send(&client::cmd("PING"))).await {
            // Who may do little may be refused this one.
            Ok(Err(e)) if is_of_credentials(&e) || !matches!(e.kind(), ErrorKind::Server(_)) => {
                Err(no(e.into()))
            }
            Ok(Ok(_) | Err(_)) => Ok(server),
            Err(_) => Err(no(NoConnection::Late(server.limit))),
        }
    }

    /// Whether it is one of a cluster, as far as it says so.
    pub(super) async fn is_in_cluster(&self) -> bool {
        let mut ask = client::cmd("CLUSTER");
        let info: Result<String, _> = self.read(ask.arg("INFO")).await;
        info.is_ok_and(|info| info.contains("cluster_size:"))
    }

    /// Sends a command, once.
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        command.query_async(&mut self.connection.clone()).await
    }

    /// Sends a command about a slot that this server is being given.
    pub(super) async fn send_asking(&self, command: &Cmd) -> Result<Value, RedisError> {
        // In one piece, for others use the connection.
        let mut both = client::pipe();
        both.cmd("ASKING").add_command(command.clone());
        let mut connection = self.connection.clone();
        let answers = connection.req_packed_commands(&both, 1, 1).await?;
        answers
            .into_iter()
            .next()
            .unwrap_or(Value::Nil)
            .extract_error()
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

    pub(super) fn no_answer(&self) -> String {
        let limit = self.limit.as_millis();
        format!("Redis at `{}` did not answer in {limit} ms", self.address)
    }

    pub(super) fn describe(&self, error: &RedisError) -> String {
        let at = &self.address;
        match error.is_io_error() {
            true => format!("Redis at `{at}` cannot be reached: {error}"),
            false => format!("Redis at `{at}` refused: {error}"),
        }
    }

    pub(super) fn error(&self, error: &RedisError) -> StoreError {
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

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.address).finish()
    }
}
