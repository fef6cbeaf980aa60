//! The interfaces, as a link's database does what they ask.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use withe_provider::{CallError, Context};

use crate::database::{Database, Fault, Limits, SqlError, UNKNOWN};
use crate::wit::wasmcloud::postgres::prepared;
use crate::wit::wasmcloud::postgres::query;
use crate::wit::wasmcloud::postgres::types::{
    PgValue, PreparedStatementExecError, QueryError, ResultRow, StatementPrepareError,
};

/// How long before its caller stops waiting a database has to be done, so that it can report the outcome.
const MARGIN: Duration = Duration::from_millis(40);
/// How long before that a call gives up on a database that does not say.
const LAST: Duration = Duration::from_millis(10);
/// Prepared statements that a link remembers. When there are more, the oldest is forgotten.
const STATEMENTS: usize = 1024;

/// The provider's end of a link.
pub(crate) struct Opened {
    pub(crate) database: Arc<dyn Database>,
    pub(crate) limits: Limits,
    /// Kept when the link is replaced.
    pub(crate) statements: Arc<Statements>,
}

/// A result of the interface, in the call's.
type Answer<T, E> = Result<Result<T, E>, CallError>;

impl From<SqlError> for QueryError {
    fn from(error: SqlError) -> Self {
        let text = error.to_string();
        match error.fault() {
            Fault::Params => Self::InvalidParams(text),
            Fault::Query => Self::InvalidQuery(text),
            Fault::Other => Self::Unexpected(text),
        }
    }
}

impl From<SqlError> for StatementPrepareError {
    fn from(error: SqlError) -> Self {
        Self::Unexpected(error.to_string())
    }
}

impl From<SqlError> for PreparedStatementExecError {
    fn from(error: SqlError) -> Self {
        Self::QueryError(error.into())
    }
}

/// Waits for a database's work until a deadline, as long as the caller can be told the outcome.
async fn done<T, E, F>(cx: &Context<'_>, doing: impl FnOnce(Instant) -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, SqlError>>,
    E: From<SqlError>,
{
    let before = |time: Duration| cx.deadline.checked_sub(time).unwrap_or(cx.deadline);
    let result = timeout_at(before(LAST).into(), doing(before(MARGIN))).await;
    result
        .unwrap_or(Err(SqlError::Late(UNKNOWN)))
        .map_err(E::from)
}

/// Checks what no database takes.
fn check_text(sql: &str) -> Result<(), SqlError> {
    match sql.contains('\0') {
        false => Ok(()),
        true => Err(SqlError::Refused {
            fault: Fault::Query,
            code: "42601".into(),
            message: "the statement holds the character 0".into(),
        }),
    }
}

impl query::Interface for Opened {
    async fn query(
        &self,
        cx: &Context<'_>,
        query: String,
        params: Vec<PgValue>,
    ) -> Answer<Vec<ResultRow>, QueryError> {
        let run = async |deadline| {
            check_text(&query)?;
            self.database
                .query(query, params, self.limits, deadline)
                .await
        };
        Ok(done(cx, run).await)
    }

    async fn query_batch(&self, cx: &Context<'_>, query: String) -> Answer<(), QueryError> {
        let run = async |deadline| {
            check_text(&query)?;
            self.database.batch(query, deadline).await
        };
        Ok(done(cx, run).await)
    }
}

impl prepared::Interface for Opened {
    async fn prepare(
        &self,
        cx: &Context<'_>,
        statement: String,
    ) -> Answer<String, StatementPrepareError> {
        let prepare = async |deadline| {
            check_text(&statement)?;
            self.database.prepare(statement.clone(), deadline).await?;
            Ok(self.statements.add(statement))
        };
        Ok(done(cx, prepare).await)
    }

    async fn exec(
        &self,
        cx: &Context<'_>,
        stmt_token: String,
        params: Vec<PgValue>,
    ) -> Answer<u64, PreparedStatementExecError> {
        let Some(sql) = self.statements.get(&stmt_token) else {
            return Ok(Err(PreparedStatementExecError::UnknownPreparedQuery));
        };
        let execute = |deadline| self.database.execute(sql, params, deadline);
        Ok(done(cx, execute).await)
    }
}

/// The statements that a component prepared, by token.
///
/// Connections come and go, so what a token stands for is the statement's text; each connection prepares it when it
/// first needs it. Tokens are random: one that a component kept from a provider that ended stands for nothing.
#[derive(Debug, Default)]
pub(crate) struct Statements(Mutex<VecDeque<(String, String)>>);

impl Statements {
    fn add(&self, sql: String) -> String {
        let token = format!("{:032x}", fastrand::u128(..));
        let mut statements = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if statements.len() == STATEMENTS {
            statements.pop_front();
        }
        statements.push_back((token.clone(), sql));
        token
    }

    fn get(&self, token: &str) -> Option<String> {
        let statements = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = statements.iter().rfind(|(known, _)| known == token);
        found.map(|(_, sql)| sql.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_statement_is_forgotten() {
        let statements = Statements::default();
        let first = statements.add("first".into());
        assert_eq!(statements.get(&first).as_deref(), Some("first"));
        for n in 1..STATEMENTS {
            statements.add(n.to_string());
        }
        assert!(statements.get(&first).is_some());
        let last = statements.add("last".into());
        assert_eq!(statements.get(&first), None);
        assert_eq!(statements.get(&last).as_deref(), Some("last"));
        assert_eq!(statements.get("made up"), None);
    }
}
