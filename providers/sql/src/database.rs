//! The operations of every database, and their failures. The interfaces are built from these few operations.

use std::fmt::Debug;
use std::time::Instant;

use crate::invalid::ValueError;
use crate::wit::wasmcloud::postgres::types::{PgValue, ResultRow};

/// A database, opened. Each operation is given a moment by which it has to be done: what is not is broken off.
///
/// Every statement is a transaction of its own, unless it is part of a batch. Nothing that a call did to its session is
/// there for the next one: not an open transaction, and in PostgreSQL, where the next call may have another connection,
/// no setting either.
#[async_trait::async_trait]
pub(crate) trait Database: Debug + Send + Sync {
    /// Runs one statement and returns its rows.
    async fn query(
        &self,
        sql: String,
        params: Vec<PgValue>,
        limits: Limits,
        deadline: Instant,
    ) -> Result<Vec<ResultRow>, SqlError>;

    /// Runs one statement and returns how many rows it changed, or found.
    async fn execute(
        &self,
        sql: String,
        params: Vec<PgValue>,
        deadline: Instant,
    ) -> Result<u64, SqlError>;

    /// Runs statements one after another, all of them or none, unless they say where transactions begin and end.
    async fn batch(&self, sql: String, deadline: Instant) -> Result<(), SqlError>;

    /// Checks that a statement can be run.
    async fn prepare(&self, sql: String, deadline: Instant) -> Result<(), SqlError>;

    /// Whether the database can be reached now.
    async fn check(&self, deadline: Instant) -> Result<(), SqlError>;

    /// Ends what is still going on, at most until then.
    async fn close(&self, deadline: Instant);
}

/// How much a query may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// The party at fault in a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The parameters do not fit.
    Params,
    /// The statement cannot be run.
    Query,
    /// Anything else.
    Other,
}

/// Why a database did not do what it was asked. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SqlError {
    /// A parameter is no value.
    #[error("parameter ${number}: {why}")]
    Parameter {
        number: usize,
        #[source]
        why: ValueError,
    },
    /// There are more or fewer parameters than the statement has.
    #[error("the statement has {needed} parameters, and {given} were given")]
    Count { needed: usize, given: usize },
    /// The database refused, with a code of the SQL standard or of PostgreSQL.
    #[error("SQLSTATE {code}: {message}")]
    Refused {
        fault: Fault,
        code: String,
        message: String,
    },
    /// A column has a type for which the interface has no value.
    #[error(
        "the column `{column}` has the type `{ty}`, for which there is no value; \
         cast it, as in `CAST({column} AS text)`"
    )]
    Column { column: String, ty: String },
    /// A column holds what the interface has no value for.
    #[error("the column `{column}` cannot be returned: {why}; the statement itself was done")]
    Value { column: String, why: String },
    /// A parameter has no number.
    #[error("the parameter `{0}` has no number: parameters are `$1`, `$2` and so on")]
    Unnumbered(String),
    /// A transaction was begun and not ended.
    #[error(
        "a transaction was left open, and rolled back: calls do not share transactions; \
         put all from BEGIN to COMMIT into one `query-batch`"
    )]
    LeftOpen,
    /// There are too many rows.
    #[error(
        "the result has more than {0} rows; ask for fewer (`LIMIT`), or raise the link's `max_rows`"
    )]
    Rows(u64),
    /// The rows are too large.
    #[error(
        "the result has more than {0} bytes; ask for less (`LIMIT`), or raise the link's `max_bytes`"
    )]
    Bytes(u64),
    /// Nothing was done in time.
    #[error("{0}; nothing was done")]
    NotBegun(String),
    /// The time ended before the statement did.
    #[error("the statement took longer than its caller waits, and was broken off; {0}")]
    Late(&'static str),
    /// The connection broke while the statement ran.
    #[error("{0}; the statement may or may not have been done")]
    Lost(String),
}

/// The effect of a statement that was broken off.
pub(crate) const NOTHING_DONE: &str = "nothing of it was done";
/// The effect of a statement that was broken off where nobody can tell.
pub(crate) const UNKNOWN: &str = "it may or may not have been done";

impl SqlError {
    /// The party at fault.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Parameter { .. } | Self::Count { .. } => Fault::Params,
            Self::Refused { fault, .. } => *fault,
            Self::Column { .. } | Self::Unnumbered(_) | Self::LeftOpen => Fault::Query,
            Self::Value { .. }
            | Self::Rows(_)
            | Self::Bytes(_)
            | Self::NotBegun(_)
            | Self::Late(_)
            | Self::Lost(_) => Fault::Other,
        }
    }
}

/// Rows that are collected, as many as may be.
pub(crate) struct Rows {
    rows: Vec<ResultRow>,
    bytes: u64,
    limits: Limits,
}

/// The cost of a value besides its own bytes.
const OVERHEAD: u64 = 16;

impl Rows {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            rows: Vec::new(),
            bytes: 0,
            limits,
        }
    }

    /// Whether another row may come.
    pub(crate) fn admit(&self) -> Result<(), SqlError> {
        match (self.rows.len() as u64) < self.limits.rows {
            true => Ok(()),
            false => Err(SqlError::Rows(self.limits.rows)),
        }
    }

    /// Counts a value of `bytes`, and its column's name.
    pub(crate) fn count(&mut self, name: &str, bytes: usize) -> Result<(), SqlError> {
        self.bytes += name.len() as u64 + bytes as u64 + OVERHEAD;
        match self.bytes <= self.limits.bytes {
            true => Ok(()),
            false => Err(SqlError::Bytes(self.limits.bytes)),
        }
    }

    pub(crate) fn push(&mut self, row: ResultRow) {
        self.rows.push(row);
    }

    pub(crate) fn finish(self) -> Vec<ResultRow> {
        self.rows
    }
}

/// The first word of a statement, in capitals, behind spaces, comments and parentheses.
pub(crate) fn first_word(sql: &str) -> String {
    let letters = |c: &char| c.is_ascii_alphabetic();
    let word: String = code(sql).chars().take_while(letters).collect();
    word.to_ascii_uppercase()
}

/// Whether there is nothing in a statement to be run.
pub(crate) fn is_empty(sql: &str) -> bool {
    code(sql).is_empty()
}

/// The rest of a statement behind the spaces, comments and parentheses that it begins with.
fn code(sql: &str) -> &str {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(' || c == ';');
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
        } else {
            return rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_found() {
        for (sql, word) in [
            ("select 1", "SELECT"),
            ("  -- a\n /* b */ ((Values (1)))", "VALUES"),
            (";;BEGIN;", "BEGIN"),
            ("", ""),
            ("-- only", ""),
            ("/* open", ""),
            ("1", ""),
        ] {
            assert_eq!(first_word(sql), word, "{sql}");
        }
        assert!(is_empty(" -- nothing"));
        assert!(!is_empty("1"));
    }

    #[test]
    fn rows_are_limited() {
        let mut rows = Rows::new(Limits { rows: 1, bytes: 40 });
        rows.admit().unwrap();
        rows.count("abc", 21).unwrap();
        rows.push(Vec::new());
        assert_eq!(rows.admit(), Err(SqlError::Rows(1)));
        assert_eq!(rows.count("", 0), Err(SqlError::Bytes(40)));
    }
}
