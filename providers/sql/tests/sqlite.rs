//! Tests of SQLite alone: files, what components may not do, and statements that nobody waits for.

mod support;

use std::time::Duration;

use support::{Component, PgValue, QueryError, config, link, text};
use withe_provider::{CallError, ConfigRole, Health, Link, LinkId, Peer, Provider, ProviderError};
use withe_provider_sql::{POSTGRES, SQL, Sql};

fn memory() -> Link {
    link(1, &[("backend", "memory")])
}

fn said<T: std::fmt::Debug>(result: Result<T, QueryError>) -> String {
    result.unwrap_err().to_string()
}

async fn refused(link: Link) -> ProviderError {
    let provider = Sql::any(config(&[]));
    provider.link_put(link).await.unwrap_err()
}

#[tokio::test]
async fn every_function_of_the_world_is_served() {
    for descriptor in [SQL, POSTGRES] {
        let mut resolve = wit_parser::Resolve::default();
        let mut last = None;
        for text in descriptor.wit {
            last = Some(resolve.push_str("package.wit", text).unwrap());
        }
        let world = resolve
            .select_world(&[last.unwrap()], Some("provider"))
            .unwrap();
        let names: Vec<_> = (resolve.worlds[world].exports.keys())
            .map(|key| resolve.name_world_key(key))
            .collect();
        for name in ["query", "prepared"] {
            assert!(
                names.contains(&format!("wasmcloud:postgres/{name}@0.1.1-draft")),
                "{names:?}"
            );
        }
    }
    Component::linked(memory()).await;
    let mut unknown = memory();
    unknown.peer = Peer::Importer(
        [withe_provider::FunctionName {
            interface: "wasmcloud:postgres/query@0.2.0".into(),
            function: "query".into(),
        }]
        .into(),
    );
    let error = refused(unknown).await;
    assert!(
        error.0.contains("`wasmcloud:postgres/query@0.2.0`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_is_shared_and_outlives_the_provider() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b.db");
    let detour = folder.path().join("a/../a/b.db");
    let a = Component::linked(link(1, &[("path", path.to_str().unwrap())])).await;
    let b = a
        .beside(link(2, &[("path", detour.to_str().unwrap())]))
        .await;
    // Another provider has a connection of its own.
    let c = Component::linked(link(1, &[("path", path.to_str().unwrap())])).await;
    a.batch("CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('kept')")
        .await;
    for component in [&b, &c] {
        assert_eq!(
            component.value("SELECT v FROM t", vec![]).await,
            text("kept")
        );
    }
    // A temporary table is of a connection, which the two links share.
    a.batch("CREATE TEMP TABLE temporary (v TEXT)").await;
    assert!(b.query("SELECT v FROM temporary", vec![]).await.is_empty());
    assert!(
        c.try_query("SELECT v FROM temporary", vec![])
            .await
            .is_err()
    );
    for component in [a, c] {
        component.provider.shutdown(Duration::ZERO).await;
        let gone = component.call::<()>("query-batch", ("SELECT 1",)).await;
        assert!(matches!(gone, Err(CallError::Unlinked(_))), "{gone:?}");
    }
    let again = Component::linked(link(1, &[("path", path.to_str().unwrap())])).await;
    assert_eq!(again.value("SELECT v FROM t", vec![]).await, text("kept"));
}

#[tokio::test]
async fn memory_is_the_providers() {
    let a = Component::linked(memory()).await;
    a.batch("CREATE TABLE t (v TEXT)").await;
    let b = a.beside(link(2, &[("backend", "memory")])).await;
    a.provider.link_deleted(LinkId(1), Duration::ZERO).await;
    assert!(b.query("SELECT * FROM t", vec![]).await.is_empty());
    let other = Component::linked(memory()).await;
    assert!(other.try_query("SELECT * FROM t", vec![]).await.is_err());
    assert_eq!(b.provider.health().await, Health::Healthy);
}

#[tokio::test]
async fn statements_stay_when_a_link_is_put_again() {
    let c = Component::linked(memory()).await;
    let token = c.prepare("SELECT 1").await.unwrap();
    let again = c
        .beside(link(1, &[("backend", "memory"), ("max_rows", "10")]))
        .await;
    assert_eq!(again.exec(&token, vec![]).await, Ok(1));
    let other = c.beside(link(2, &[("backend", "memory")])).await;
    assert!(other.exec(&token, vec![]).await.is_err());
}

#[tokio::test]
async fn files_that_are_no_databases_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "no database, ".repeat(100)).unwrap();
    let below = text.join("data.db");
    for (path, says) in [
        (text.to_str().unwrap(), "not a database"),
        (below.to_str().unwrap(), "cannot make the folder"),
        (folder.path().to_str().unwrap(), "unable to open"),
    ] {
        let error = refused(link(1, &[("path", path)])).await;
        assert!(error.0.contains(says) && error.0.contains(path), "{error}");
    }
}

#[tokio::test]
async fn components_reach_no_other_files() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.db");
    let other = other.to_str().unwrap();
    let c = Component::linked(memory()).await;
    for sql in [
        format!("ATTACH '{other}' AS o"),
        format!("ATTACH '{other}' || '' AS o"),
        format!("VACUUM INTO '{other}'"),
        format!("VACUUM INTO '{other}' || ''"),
        "SELECT load_extension('x')".into(),
        "PRAGMA journal_mode = OFF".into(),
        "PRAGMA foreign_keys = OFF".into(),
        "PRAGMA writable_schema = ON".into(),
        format!(
            "PRAGMA temp_store_directory = '{}'",
            folder.path().display()
        ),
        "DELETE FROM sqlite_master".into(),
    ] {
        let single = said(c.try_query(&sql, vec![]).await);
        let batch = said(c.try_batch(&sql).await);
        for error in [single, batch] {
            let refused = [
                "not authorized",
                "authorization denied",
                "no such function",
                "may not be modified",
            ];
            assert!(
                refused.iter().any(|words| error.contains(words)),
                "{sql}: {error}"
            );
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // Harmless statements are allowed.
    c.batch("CREATE TABLE t (a INTEGER)").await;
    c.batch("VACUUM").await;
    for sql in [
        "PRAGMA table_info(t)",
        "PRAGMA foreign_keys",
        "PRAGMA user_version = 7",
        "VACUUM",
    ] {
        c.query(sql, vec![]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_waits_for_is_broken_off() {
    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let c = Component::linked(memory()).await;
    c.batch("CREATE TABLE t (a INTEGER)").await;
    let hurried = c.patient(Duration::from_millis(300));
    // Whether it is also said that nothing was done depends on how soon the thread hears of it.
    let error = said(hurried.try_query(ENDLESS, vec![]).await);
    assert!(error.contains("took longer"), "{error}");
    let batch = format!("INSERT INTO t VALUES (1); {ENDLESS}");
    let error = said(hurried.try_batch(&batch).await);
    assert!(error.contains("took longer"), "{error}");
    // A caller that goes away frees the thread too.
    let calling = {
        let c = c.clone();
        tokio::spawn(async move { c.try_query(ENDLESS, vec![]).await })
    };
    // However far the call came: waiting in the queue, or running.
    tokio::task::yield_now().await;
    calling.abort();
    assert!(calling.await.unwrap_err().is_cancelled());
    assert_eq!(
        c.value("SELECT count(*) FROM t", vec![]).await,
        PgValue::Int8(0)
    );
}

#[tokio::test]
async fn results_are_limited() {
    let limits = [
        ("backend", "memory"),
        ("max_rows", "10"),
        ("max_bytes", "10000"),
    ];
    let c = Component::linked(link(1, &limits)).await;
    let rows = |n: i32| {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n}) SELECT i FROM n"
        )
    };
    assert_eq!(c.query(&rows(10), vec![]).await.len(), 10);
    let error = said(c.try_query(&rows(11), vec![]).await);
    assert!(
        error.contains("more than 10 rows") && error.contains("`max_rows`"),
        "{error}"
    );
    let error = said(c.try_query("SELECT zeroblob(10000)", vec![]).await);
    assert!(error.contains("more than 10000 bytes"), "{error}");
    c.query("SELECT zeroblob(9000)", vec![]).await;
}

#[tokio::test]
async fn parameters_have_numbers() {
    let c = Component::linked(memory()).await;
    let one = || vec![PgValue::Int8(1)];
    for sql in ["SELECT ?", "SELECT :name", "SELECT @a", "SELECT $name"] {
        let error = said(c.try_query(sql, one()).await);
        assert!(
            error.contains("parameters are `$1`, `$2` and so on"),
            "{sql}: {error}"
        );
    }
    assert_eq!(c.value("SELECT ?1", one()).await, PgValue::Int8(1));
    let nan = PgValue::Float8(((1 << 52) + 1, 972, 1));
    let error = said(c.try_query("SELECT $1", vec![nan]).await);
    assert!(error.contains("SQLite cannot keep"), "{error}");
}

#[tokio::test]
async fn arrays_and_the_like_are_kept_as_text() {
    let c = Component::linked(memory()).await;
    for (value, kept) in [
        (PgValue::Int4Array(vec![1, 2]), r#"{"1","2"}"#),
        (PgValue::Inet("10.0.0.1".into()), "10.0.0.1"),
        (PgValue::PgLsn(1), "0/1"),
    ] {
        assert_eq!(c.value("SELECT $1", vec![value]).await, text(kept));
    }
}

#[test]
fn a_link_from_a_provider_has_nothing_to_set() {
    let problems = (SQL.check_config)(ConfigRole::LinkSource, &config(&[("path", "x")]));
    assert_eq!(problems.len(), 1);
}
