//! Connections: a pool of them, how long making one may take, and what is said if it fails.

use std::path::Path;
use std::time::{Duration, Instant};

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{sleep, timeout_at};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use withe_provider::BackOff;

use super::fault::{describe, is_tls, is_transient};
use super::tls::{Tls, TlsError};
use crate::config::{PostgresConfig, Server};
use crate::database::SqlError;
use crate::url::{EXPECTED_URL, NoUrl, parse_url};

/// How long to wait before a server is tried again.
const BACK_OFF: BackOff = BackOff {
    first: Duration::from_millis(25),
    most: Duration::from_secs(1),
};
/// How long a connection may be silent before the system asks whether the other end is there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A server cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Reading certificates panicked.
    #[error("TLS cannot be set up: {0}")]
    Stopped(#[from] JoinError),
    #[error("`url` cannot be used, expected {EXPECTED_URL}")]
    Url,
    #[error("the pool of connections cannot be made: {0}")]
    Pool(#[source] deadpool_postgres::BuildError),
    #[error("{0}")]
    Server(#[source] SqlError),
}

/// A pool of connections to a server.
pub(super) struct Connections {
    pub(super) pool: Pool,
    pub(super) tls: Tls,
    /// Where it is, to be shown.
    pub(super) address: String,
    database: String,
    user: String,
    connect_timeout: Duration,
}

impl Connections {
    /// Connects once, so that what is wrong is known at once.
    pub(super) async fn new(config: &PostgresConfig) -> Result<Self, ConnectError> {
        let client = client_config(config)?;
        let ca_file = config.ca_file.clone();
        let tls = spawn_blocking(move || Tls::new(ca_file.as_deref())).await??;
        let address = address(&client);
        let user = client.get_user().unwrap_or_default().to_owned();
        let database = client.get_dbname().unwrap_or(&user).to_owned();
        let manager = Manager::from_config(
            client,
            tls.clone(),
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(config.pool_size)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(ConnectError::Pool)?;
        let connections = Self {
            pool,
            tls,
            address,
            database,
            user,
            connect_timeout: config.connect_timeout,
        };
        let deadline = Instant::now() + config.connect_timeout;
        let first = connections.get(deadline).await;
        drop(first.map_err(ConnectError::Server)?);
        Ok(connections)
    }

    /// A connection: one that is free, or a new one. Waits and tries again until the deadline, or as long as connecting
    /// may take.
    pub(super) async fn get(&self, deadline: Instant) -> Result<Object, SqlError> {
        let mut failures = 0;
        // Begins when connecting first fails: waiting for others' connections has its own end.
        let mut give_up = deadline;
        let mut last = None;
        loop {
            let error = match timeout_at(give_up.into(), self.once()).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => error,
                Err(_) => return Err(last.unwrap_or_else(|| self.late())),
            };
            let (transient, text) = self.explain(&error);
            if failures == 0 {
                give_up = deadline.min(Instant::now() + self.connect_timeout);
            }
            failures += 1;
            let wait = BACK_OFF.after(failures);
            let why = SqlError::NotBegun(text);
            if !transient || Instant::now() + wait >= give_up {
                return Err(why);
            }
            last = Some(why);
            sleep(wait).await;
        }
    }

    async fn once(&self) -> Result<Object, PoolError> {
        let timeouts = Timeouts {
            create: Some(self.connect_timeout),
            ..Timeouts::default()
        };
        self.pool.timeout_get(&timeouts).await
    }

    fn late(&self) -> SqlError {
        let status = self.pool.status();
        let at = &self.address;
        let most = status.max_size;
        SqlError::NotBegun(match status.size >= most {
            true => format!(
                "all {most} connections to PostgreSQL at `{at}` are in use; raise the link's `postgres_pool_size`, \
                 or let callers wait longer"
            ),
            false => format!("PostgreSQL at `{at}` did not answer in time"),
        })
    }

    /// Whether connecting may succeed later, and what to tell.
    fn explain(&self, error: &PoolError) -> (bool, String) {
        let at = &self.address;
        let error = match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(_) => {
                let limit = self.connect_timeout.as_millis();
                let text =
                    format!("cannot connect to PostgreSQL at `{at}`: no answer in {limit} ms");
                return (true, text);
            }
            other => {
                return (
                    false,
                    format!("cannot connect to PostgreSQL at `{at}`: {other}"),
                );
            }
        };
        let why = describe(error);
        let advice = match error.code() {
            Some(code)
                if *code == SqlState::INVALID_PASSWORD
                    || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
            {
                format!(
                    "correct the user (`{}`) and the password in the link's configuration",
                    self.user
                )
            }
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => format!(
                "make the database (`createdb {}`), or correct its name in the link's configuration",
                self.database
            ),
            Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => {
                "lower `postgres_pool_size`, or raise the server's `max_connections`".into()
            }
            Some(_) => "look into the server's log".into(),
            None if is_tls(error) => {
                "correct `postgres_tls_required` or `postgres_tls_ca_file`, or the server's \
                                      certificate"
                    .into()
            }
            None if why.contains("password missing") => {
                "set `postgres_password` in the link's configuration".into()
            }
            None => "start it there, or correct where the link's configuration says it is".into(),
        };
        let transient = is_transient(error) && !why.contains("password missing");
        (
            transient,
            format!("cannot connect to PostgreSQL at `{at}`: {why}; {advice}"),
        )
    }
}

/// The client's configuration.
fn client_config(config: &PostgresConfig) -> Result<Config, ConnectError> {
    let (mut client, says_tls) = match &config.server {
        Server::Url(url) => {
            let client = parse_url(url).map_err(|NoUrl| ConnectError::Url)?;
            (client, url.contains("sslmode="))
        }
        Server::Parts {
            host,
            port,
            username,
            database,
        } => {
            let mut client = Config::new();
            client.host(host).port(*port).user(username);
            if let Some(database) = database {
                client.dbname(database);
            }
            (client, false)
        }
    };
    if client.get_user().is_none() {
        client.user("postgres");
    }
    if let Some(password) = &config.password {
        client.password(password);
    }
    match config.tls {
        Some(true) => {
            client.ssl_mode(SslMode::Require);
        }
        Some(false) => {
            client.ssl_mode(SslMode::Disable);
        }
        None if !says_tls => {
            client.ssl_mode(match config.ca_file {
                Some(_) => SslMode::Require,
                None => SslMode::Disable,
            });
        }
        None => {}
    }
    if client.get_application_name().is_none() {
        client.application_name("withe");
    }
    client.keepalives_idle(KEEPALIVE);
    client.connect_timeout(config.connect_timeout);
    Ok(client)
}

/// Where the servers are, without anything secret.
fn address(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |n: usize| ports.get(n).or(ports.first()).copied().unwrap_or(5432);
    let host = |host: &Host| match host {
        Host::Tcp(host) if host.contains(':') => format!("[{host}]"),
        Host::Tcp(host) => host.clone(),
        Host::Unix(path) => Path::display(path).to_string(),
    };
    let named = config.get_hosts().iter().map(host);
    let hosts: Vec<_> = match config.get_hosts().is_empty() {
        true => config
            .get_hostaddrs()
            .iter()
            .map(ToString::to_string)
            .collect(),
        false => named.collect(),
    };
    let list: Vec<_> = (hosts.iter().enumerate())
        .map(|(n, host)| format!("{host}:{}", port(n)))
        .collect();
    list.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(server: Server, tls: Option<bool>) -> PostgresConfig {
        PostgresConfig {
            server,
            password: None,
            tls,
            ca_file: None,
            pool_size: 1,
            connect_timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn tls_is_spoken_if_it_is_asked_for() {
        let mode = |url: &str, tls| {
            let config = config(Server::Url(url.into()), tls);
            client_config(&config).unwrap().get_ssl_mode()
        };
        assert_eq!(mode("postgres://h", None), SslMode::Disable);
        assert_eq!(mode("postgres://h?sslmode=require", None), SslMode::Require);
        assert_eq!(mode("postgres://h?sslmode=prefer", None), SslMode::Prefer);
        assert_eq!(mode("postgres://h", Some(true)), SslMode::Require);
        assert_eq!(
            mode("postgres://h?sslmode=require", Some(false)),
            SslMode::Disable
        );
    }

    #[test]
    fn no_password_is_in_an_address() {
        let url = "postgres://u:s3cret@db.example:5433,[::1]/d";
        let client = client_config(&config(Server::Url(url.into()), None)).unwrap();
        let shown = address(&client);
        assert!(shown.starts_with("db.example:5433,"), "{shown}");
        assert!(!shown.contains("s3cret"));
    }
}
