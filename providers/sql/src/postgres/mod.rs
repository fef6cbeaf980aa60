//! PostgreSQL.
//!
//! A call takes a connection of the pool, and gives it back as it was ([`session`]). A call whose caller goes away, or
//! has waited long enough, leaves a statement that the server still runs: it is asked to stop, and the connection is
//! closed. A statement whose answer is lost is not sent again.

mod connect;
mod decode;
mod fault;
mod session;
mod tls;

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use deadpool_postgres::{ClientWrapper, Object};
use futures::TryStreamExt;
use tokio::runtime::Handle;
use tokio::time::{timeout, timeout_at};
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Row, RowStream, SimpleQueryMessage, Statement};
use tokio_util::task::TaskTracker;

pub(crate) use connect::ConnectError;

use crate::config::PostgresConfig;
use crate::database::{Database, Limits, Rows, SqlError, UNKNOWN};
use crate::literal::literal;
use crate::wit::wasmcloud::postgres::types::{PgValue, ResultRow, ResultRowEntry};
use connect::Connections;
use decode::{Reader, Reading, reader};
use fault::{Begun, is_stale, sql_error};

/// Statements that a connection remembers. When there are more, all are forgotten.
const STATEMENTS: usize = 256;
/// How long asking a server to stop may take, and cleaning up after a statement.
const CLEANING: Duration = Duration::from_secs(5);

/// A pool of connections to one server.
pub(crate) struct Postgres {
    connections: Connections,
    /// The tasks that stop statements that nobody waits for.
    stopping: TaskTracker,
    runtime: Handle,
}

impl Postgres {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If the server cannot be connected to, in words that say where it should be and what is wrong.
    pub(crate) async fn connect(config: &PostgresConfig) -> Result<Self, ConnectError> {
        Ok(Self {
            connections: Connections::new(config).await?,
            stopping: TaskTracker::new(),
            runtime: Handle::current(),
        })
    }

    async fn lease(&self, deadline: Instant) -> Result<Lease<'_>, SqlError> {
        let connection = self.connections.get(deadline).await?;
        Ok(Lease {
            connection: Some(connection),
            postgres: self,
        })
    }

    /// Runs something over a connection until a deadline, and cleans up after `sql`.
    async fn run<T>(
        &self,
        sql: &str,
        deadline: Instant,
        run: impl AsyncFnOnce(&ClientWrapper) -> Result<T, SqlError>,
    ) -> Ran<T> {
        let lease = match self.lease(deadline).await {
            Ok(lease) => lease,
            Err(error) => return Ran::Done(Err(error)),
        };
        let client = lease.client();
        let result = match timeout_at(deadline.into(), run(client)).await {
            Ok(result) => result,
            // The lease is dropped, which stops the statement.
            Err(_) => return Ran::Done(Err(SqlError::Late(UNKNOWN))),
        };
        match &result {
            // The server still sends what nobody reads.
            Err(SqlError::Rows(_) | SqlError::Bytes(_) | SqlError::Value { .. }) => {
                return Ran::Done(result);
            }
            Err(SqlError::NotBegun(_)) if client.is_closed() => return Ran::Broken,
            _ if session::may_leave_something(sql) => {
                let clean = timeout(CLEANING, clean(client)).await;
                let clean = clean.unwrap_or(Cleaned::No);
                if !matches!(clean, Cleaned::No) && !session::may_prepare(sql) {
                    lease.finish();
                }
                if let (Ok(_), Cleaned::OfTransaction) = (&result, clean) {
                    return Ran::Done(Err(SqlError::LeftOpen));
                }
            }
            _ => lease.finish(),
        }
        Ran::Done(result)
    }

    /// The error when no connection held.
    fn broken(&self) -> SqlError {
        let at = &self.connections.address;
        SqlError::NotBegun(format!(
            "PostgreSQL at `{at}` ends connections as soon as they are made"
        ))
    }

    fn error(&self, error: &tokio_postgres::Error, begun: Begun) -> SqlError {
        sql_error(error, &self.connections.address, begun)
    }

    /// Prepares a statement, or takes it from those that the connection remembers.
    async fn prepare_on(&self, client: &ClientWrapper, sql: &str) -> Result<Statement, SqlError> {
        if client.statement_cache.size() >= STATEMENTS {
            client.statement_cache.clear();
        }
        let prepared = client.prepare_cached(sql).await;
        prepared.map_err(|e| self.error(&e, Begun::No))
    }

    /// Prepares a statement and sends it with its parameters. One that has become stale is prepared again.
    async fn send(
        &self,
        client: &ClientWrapper,
        sql: &str,
        params: &[Param],
        check: impl Fn(&Statement) -> Result<(), SqlError>,
    ) -> Result<(Statement, RowStream), SqlError> {
        let mut again = true;
        loop {
            let statement = self.prepare_on(client, sql).await?;
            let (needed, given) = (statement.params().len(), params.len());
            if needed != given {
                return Err(SqlError::Count { needed, given });
            }
            check(&statement)?;
            match client.query_raw(&statement, params).await {
                Ok(rows) => return Ok((statement, rows)),
                Err(e) if again && is_stale(&e) => {
                    client.statement_cache.clear();
                    again = false;
                }
                Err(e) => return Err(self.error(&e, Begun::Perhaps)),
            }
        }
    }

    /// The facts that reading the rows of a statement needs.
    async fn reading(
        &self,
        client: &ClientWrapper,
        statement: &Statement,
    ) -> Result<Reading, SqlError> {
        let is_money = |ty: &Type| *ty == Type::MONEY || *ty == Type::MONEY_ARRAY;
        let mut money_digits = 0;
        if statement
            .columns()
            .iter()
            .any(|column| is_money(column.type_()))
        {
            // A unit of money, in its smallest part: 100 where it has two digits.
            let row = client.query_one("SELECT 1::pg_catalog.money", &[]).await;
            let row = row.map_err(|e| self.error(&e, Begun::No))?;
            let Raw(unit) = row.try_get(0).map_err(|e| self.error(&e, Begun::No))?;
            let unit = unit
                .and_then(|bytes| bytes.try_into().ok())
                .map(i64::from_be_bytes);
            money_digits = unit.and_then(i64::checked_ilog10).unwrap_or(2);
        }
        Ok(Reading { money_digits })
    }

    async fn rows(
        &self,
        client: &ClientWrapper,
        sql: &str,
        params: &[Param],
        limits: Limits,
    ) -> Result<Vec<ResultRow>, SqlError> {
        // Asked before the statement runs: the answer would wait for its rows.
        let reading = self
            .reading(client, &self.prepare_on(client, sql).await?)
            .await?;
        let (statement, rows) = self
            .send(client, sql, params, |s| readers(s).map(drop))
            .await?;
        let readers = readers(&statement)?;
        let mut rows = std::pin::pin!(rows);
        let mut collected = Rows::new(limits);
        while let Some(row) = rows
            .try_next()
            .await
            .map_err(|e| self.error(&e, Begun::Perhaps))?
        {
            collected.admit()?;
            let row = self.row(&row, &readers, reading, &mut collected)?;
            collected.push(row);
        }
        Ok(collected.finish())
    }

    fn row(
        &self,
        row: &Row,
        readers: &[Reader],
        reading: Reading,
        collected: &mut Rows,
    ) -> Result<ResultRow, SqlError> {
        let mut values = Vec::with_capacity(readers.len());
        for (n, (column, read)) in row.columns().iter().zip(readers).enumerate() {
            let Raw(bytes) = row.try_get(n).map_err(|e| self.error(&e, Begun::Perhaps))?;
            collected.count(column.name(), bytes.map_or(0, <[u8]>::len))?;
            let value = match bytes {
                Some(bytes) => read(bytes, reading).map_err(|why| SqlError::Value {
                    column: column.name().to_owned(),
                    why: why.to_string(),
                })?,
                None => PgValue::Null,
            };
            values.push(ResultRowEntry {
                column_name: column.name().to_owned(),
                value,
            });
        }
        Ok(values)
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Postgres")
            .field(&self.connections.address)
            .finish()
    }
}

/// Runs something over a connection. One of the pool may turn out to be broken before anything was done over it, and after
/// a server ended all of them may be so; then another one is taken. A macro, since an async closure that is called more
/// than once is not known to be `Send`.
macro_rules! run {
    ($self:ident, $sql:expr, $deadline:ident, $run:expr) => {{
        for _ in 0..=$self.connections.pool.status().max_size {
            if let Ran::Done(result) = $self.run($sql, $deadline, $run).await {
                return result;
            }
        }
        Err($self.broken())
    }};
}

#[async_trait::async_trait]
impl Database for Postgres {
    async fn query(
        &self,
        sql: String,
        params: Vec<PgValue>,
        limits: Limits,
        deadline: Instant,
    ) -> Result<Vec<ResultRow>, SqlError> {
        let params = Param::list(params)?;
        run!(self, &sql, deadline, async |client| {
            self.rows(client, &sql, &params, limits).await
        })
    }

    async fn execute(
        &self,
        sql: String,
        params: Vec<PgValue>,
        deadline: Instant,
    ) -> Result<u64, SqlError> {
        let params = Param::list(params)?;
        run!(self, &sql, deadline, async |client| {
            let (_, rows) = self.send(client, &sql, &params, |_| Ok(())).await?;
            let mut rows = std::pin::pin!(rows);
            let lost = |e: tokio_postgres::Error| self.error(&e, Begun::Perhaps);
            while rows.try_next().await.map_err(lost)?.is_some() {}
            Ok(rows.rows_affected().unwrap_or(0))
        })
    }

    async fn batch(&self, sql: String, deadline: Instant) -> Result<(), SqlError> {
        run!(self, &sql, deadline, async |client| {
            let done = client.batch_execute(&sql).await;
            done.map_err(|e| self.error(&e, Begun::Perhaps))
        })
    }

    async fn prepare(&self, sql: String, deadline: Instant) -> Result<(), SqlError> {
        // Preparing runs nothing, so there is nothing to clean up.
        run!(self, "SELECT", deadline, async |client| {
            self.prepare_on(client, &sql).await.map(drop)
        })
    }

    async fn check(&self, deadline: Instant) -> Result<(), SqlError> {
        run!(self, "SELECT", deadline, async |client| {
            let asked = client.batch_execute("SELECT 1").await;
            asked.map_err(|e| self.error(&e, Begun::No))
        })
    }

    async fn close(&self, deadline: Instant) {
        self.stopping.close();
        // Tasks that take longer end by their own limit.
        let _ = timeout_at(deadline.into(), self.stopping.wait()).await;
    }
}

/// The reader of each column of a statement's rows.
fn readers(statement: &Statement) -> Result<Vec<Reader>, SqlError> {
    let columns = statement.columns().iter();
    let readers = columns.map(|column| {
        reader(column.type_()).ok_or_else(|| SqlError::Column {
            column: column.name().to_owned(),
            ty: column.type_().to_string(),
        })
    });
    readers.collect()
}

/// The outcome of work that was to run over a connection.
enum Ran<T> {
    Done(Result<T, SqlError>),
    /// Nothing was done: the connection was broken.
    Broken,
}

/// The outcome of cleaning a connection.
enum Cleaned {
    Yes,
    /// The connection is clean, but a transaction had been left open.
    OfTransaction,
    /// The connection is of no use any more.
    No,
}

/// Ends an open transaction, and forgets settings, temporary tables and whatever else a session has.
async fn clean(client: &ClientWrapper) -> Cleaned {
    // A statement outside of a transaction is one, and begins with it.
    let ask = "SELECT pg_catalog.now() <> pg_catalog.statement_timestamp()";
    let open = match client.simple_query(ask).await {
        Ok(answer) => answer.iter().any(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0) == Some("t"),
            _ => false,
        }),
        // One that failed refuses everything.
        Err(e) if e.as_db_error().is_some() => true,
        Err(_) => return Cleaned::No,
    };
    if open && client.batch_execute("ROLLBACK").await.is_err() {
        return Cleaned::No;
    }
    match (client.batch_execute(session::FORGET).await, open) {
        (Ok(()), false) => Cleaned::Yes,
        (Ok(()), true) => Cleaned::OfTransaction,
        (Err(_), _) => Cleaned::No,
    }
}

/// A connection that is used. Unless it is [finished](Self::finish), a statement may run on it still: dropping it stops
/// that, and closes the connection.
struct Lease<'a> {
    /// There until it is finished or dropped.
    connection: Option<Object>,
    postgres: &'a Postgres,
}

impl Lease<'_> {
    fn client(&self) -> &ClientWrapper {
        // Only what ends the lease takes it.
        self.connection.as_ref().expect("the lease has ended")
    }

    /// Gives the connection back.
    fn finish(mut self) {
        self.connection = None;
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let client = Object::take(connection);
        if client.is_closed() {
            return;
        }
        let (token, tls) = (client.cancel_token(), self.postgres.connections.tls.clone());
        let stop = async move {
            // The connection is closed whatever comes of it.
            let _ = timeout(CLEANING, token.cancel_query(tls)).await;
            drop(client);
        };
        // The task ends by its own limit; `close` waits for it.
        drop((self.postgres.stopping).spawn_on(stop, &self.postgres.runtime));
    }
}

/// A parameter, as it is sent.
#[derive(Debug)]
enum Param {
    Null,
    /// The server makes of it what the statement needs.
    Text(String),
    /// Bytes, which would be twice as large as text.
    Bytes(Vec<u8>),
}

impl Param {
    fn list(values: Vec<PgValue>) -> Result<Vec<Self>, SqlError> {
        let params = values
            .into_iter()
            .enumerate()
            .map(|(n, value)| match value {
                PgValue::Bytea(bytes) => Ok(Self::Bytes(bytes)),
                value => match literal(&value) {
                    Ok(Some(text)) => Ok(Self::Text(text)),
                    Ok(None) => Ok(Self::Null),
                    Err(why) => Err(SqlError::Parameter { number: n + 1, why }),
                },
            });
        params.collect()
    }
}

type BoxError = Box<dyn Error + Sync + Send>;

impl ToSql for Param {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Bytes(bytes) if *ty == Type::BYTEA => out.extend_from_slice(bytes),
            Self::Bytes(bytes) => {
                let text = literal(&PgValue::Bytea(bytes.clone()))?;
                out.extend_from_slice(text.unwrap_or_default().as_bytes());
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, ty: &Type) -> Format {
        match self {
            Self::Bytes(_) if *ty == Type::BYTEA => Format::Binary,
            _ => Format::Text,
        }
    }

    to_sql_checked!();
}

/// A column's bytes, as they came.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, BoxError> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
