//! A query that returns one row: of SQLite, and of a PostgreSQL server.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use tokio::task::spawn_blocking;
use withe_provider::ConfigMap;
use withe_provider_sql::Sql;
use withe_testing::postgres::PostgresServer;

use super::{Linked, Operation, operation, row};

const QUERY: &str = "wasmcloud:postgres/query@0.1.1-draft";
const TEXT: &str = "SELECT 42 AS answer";
/// Connections of a pool, ours and the native one.
const CONNECTIONS: usize = 10;

pub(super) async fn run(folder: &Path, server: &PostgresServer) -> Result<()> {
    let path = folder.join("ours.sqlite").display().to_string();
    let (linked, query) = ours(&[("path", &path)]).await?;
    let native = sqlite(&folder.join("native.sqlite"))?;
    row("one row, SQLite", query, native, 5_000).await?;
    linked.ends().await;

    let connections = CONNECTIONS.to_string();
    let config = [("url", server.url()), ("postgres_pool_size", connections)];
    let (linked, query) = ours(&config.each_ref().map(|(k, v)| (*k, v.as_str()))).await?;
    row("one row, PostgreSQL", query, postgres(server)?, 3_000).await?;
    linked.ends().await;
    Ok(())
}

async fn ours(config: &[(&str, &str)]) -> Result<(Linked<Sql>, Operation)> {
    let linked = Linked::new(Sql::any(ConfigMap::new()), config, &[(QUERY, "query")]).await?;
    let query = operation(linked.clone(), |linked| async move {
        // No parameters: a list of nothing, whatever its elements are.
        let rows = linked.call(0, &(TEXT, Vec::<u8>::new())).await?;
        anyhow::ensure!(rows.bytes.first() == Some(&0), "the query failed");
        Ok(())
    });
    Ok((linked, query))
}

fn sqlite(path: &Path) -> Result<Operation> {
    let connection = rusqlite::Connection::open(path)?;
    Ok(operation(
        Arc::new(Mutex::new(connection)),
        |connection| async move {
            let ask = move || -> Result<()> {
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                let mut statement = connection.prepare_cached(TEXT)?;
                let answer: i64 = statement.query_row([], |row| row.get(0))?;
                anyhow::ensure!(answer == 42);
                Ok(())
            };
            spawn_blocking(ask).await?
        },
    ))
}

/// The client of the provider, with the pool that it has.
fn postgres(server: &PostgresServer) -> Result<Operation> {
    let config = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = Manager::from_config(server.url().parse()?, tokio_postgres::NoTls, config);
    let pool = Pool::builder(manager).max_size(CONNECTIONS).build()?;
    Ok(operation(pool, |pool| async move {
        let client = pool.get().await?;
        let statement = client.prepare_cached(TEXT).await?;
        let answer: i32 = client.query_one(&statement, &[]).await?.try_get(0)?;
        anyhow::ensure!(answer == 42);
        Ok(())
    }))
}
