//! A database whose calls are counted.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use withe_provider::BackendCalls;

use crate::database::{Database, Limits, SqlError};
use crate::wit::wasmcloud::postgres::types::{PgValue, ResultRow};

/// A database, and the counts of its calls.
pub(crate) struct CountedDatabase {
    pub(crate) database: Arc<dyn Database>,
    /// Its kind.
    pub(crate) backend: &'static str,
    pub(crate) calls: BackendCalls,
}

impl CountedDatabase {
    async fn count<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, SqlError>>,
    ) -> Result<T, SqlError> {
        self.calls.count(self.backend, operation, call).await
    }
}

impl fmt::Debug for CountedDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.database.fmt(f)
    }
}

#[async_trait::async_trait]
impl Database for CountedDatabase {
    async fn query(
        &self,
        sql: String,
        params: Vec<PgValue>,
        limits: Limits,
        deadline: Instant,
    ) -> Result<Vec<ResultRow>, SqlError> {
        let call = self.database.query(sql, params, limits, deadline);
        self.count("query", call).await
    }

    async fn execute(
        &self,
        sql: String,
        params: Vec<PgValue>,
        deadline: Instant,
    ) -> Result<u64, SqlError> {
        let call = self.database.execute(sql, params, deadline);
        self.count("execute", call).await
    }

    async fn batch(&self, sql: String, deadline: Instant) -> Result<(), SqlError> {
        self.count("batch", self.database.batch(sql, deadline))
            .await
    }

    async fn prepare(&self, sql: String, deadline: Instant) -> Result<(), SqlError> {
        self.count("prepare", self.database.prepare(sql, deadline))
            .await
    }

    async fn check(&self, deadline: Instant) -> Result<(), SqlError> {
        self.count("check", self.database.check(deadline)).await
    }

    async fn close(&self, deadline: Instant) {
        self.database.close(deadline).await;
    }
}
