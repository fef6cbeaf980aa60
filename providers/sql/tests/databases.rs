//! One table of cases that every database must pass: SQL that all of them understand.

mod support;

use std::future::Future;

use support::{
    Component, Date, Offset, PgValue, PreparedStatementExecError, QueryError, Timestamp,
    TimestampTz, at, day, float, link, text,
};
use withe_provider::Provider;
use withe_testing::postgres::PostgresServer;

/// Runs `case` on each database.
async fn everywhere<F: Future<Output = ()>>(
    server: &PostgresServer,
    name: &str,
    case: impl Fn(Component) -> F,
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/data.db");
    let url = server.url();
    // Each case has a schema, which is a database of its own but for the connections.
    let schema = name.replace(' ', "_");
    let admin = Component::linked(link(1, &[("url", &url)])).await;
    admin.batch(&format!("CREATE SCHEMA {schema}")).await;
    let url = format!("{url}?options=-c%20search_path%3D{schema}");
    let backends = [
        vec![("backend", "memory")],
        vec![("path", path.to_str().unwrap())],
        vec![("url", url.as_str())],
    ];
    for pairs in backends {
        println!("{name}, with {}", pairs[0].0);
        let component = Component::linked(link(1, &pairs)).await;
        case(component.clone()).await;
        component.provider.shutdown(support::PATIENCE).await;
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, QueryError>) -> (&'static str, String) {
    let (kind, text) = match result.unwrap_err() {
        QueryError::InvalidParams(text) => ("params", text),
        QueryError::InvalidQuery(text) => ("query", text),
        QueryError::Unexpected(text) => ("other", text),
    };
    let code = text
        .strip_prefix("SQLSTATE ")
        .and_then(|text| text.get(..5));
    (kind, code.map(str::to_owned).unwrap_or(text))
}

/// All of the table, on one server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_database_does_the_same() {
    let server = PostgresServer::start().unwrap();
    let s = &server;
    everywhere(s, "rows come back", rows_come_back).await;
    everywhere(s, "values of every common type", values).await;
    everywhere(s, "nulls", nulls).await;
    everywhere(s, "parameters are numbered", parameters).await;
    everywhere(s, "changes are counted", counts).await;
    everywhere(s, "mistakes", mistakes).await;
    everywhere(s, "constraints", constraints).await;
    everywhere(s, "batches are all or nothing", batches).await;
    everywhere(s, "transactions do not outlast a call", transactions).await;
    everywhere(s, "prepared statements", prepared).await;
    everywhere(s, "tables change", tables_change).await;
    everywhere(s, "no statements", no_statements).await;
    everywhere(s, "many callers", many_callers).await;
    everywhere(s, "large values", large_values).await;
}

async fn rows_come_back(c: Component) {
    c.batch("CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT NOT NULL)")
        .await;
    assert!(c.query("SELECT * FROM t", vec![]).await.is_empty());
    for (id, name) in [(1, "one"), (2, "two")] {
        let params = vec![PgValue::Int8(id), text(name)];
        assert!(
            c.query("INSERT INTO t VALUES ($1, $2)", params)
                .await
                .is_empty()
        );
    }
    let rows = c
        .try_query("SELECT id, name AS n FROM t ORDER BY id DESC", vec![])
        .await
        .unwrap();
    let names: Vec<_> = rows[0]
        .iter()
        .map(|entry| entry.column_name.as_str())
        .collect();
    assert_eq!(names, ["id", "n"]);
    assert_eq!(rows[0][1].value, text("two"));
    assert_eq!((rows.len(), &rows[1][0].value), (2, &PgValue::Int8(1)));
    let returned = c
        .query(
            "DELETE FROM t WHERE id = $1 RETURNING name",
            vec![PgValue::Int8(2)],
        )
        .await;
    assert_eq!(returned, [[text("two")]]);
    let params = vec![text("ONE")];
    assert_eq!(
        c.value("SELECT count(*) FROM t WHERE upper(name) = $1", params)
            .await,
        PgValue::Int8(1)
    );
}

async fn values(c: Component) {
    let midnight = Timestamp {
        date: day(2024, 2, 29),
        time: at(13, 5, 7, 250_000),
    };
    let cases = [
        ("SMALLINT", PgValue::Int2(-5)),
        ("INTEGER", PgValue::Int4(i32::MIN)),
        ("BIGINT", PgValue::Int8(i64::MAX)),
        ("DOUBLE PRECISION", PgValue::Float8(float(0.1))),
        ("DOUBLE PRECISION", PgValue::Float8(float(1e300))),
        (
            "DOUBLE PRECISION",
            PgValue::Float8(float(f64::NEG_INFINITY)),
        ),
        ("FLOAT4", PgValue::Float4((1 << 23, -24, -1))),
        ("BOOLEAN", PgValue::Bool(true)),
        ("BOOLEAN", PgValue::Bool(false)),
        ("NUMERIC", PgValue::Numeric("12.5".into())),
        ("NUMERIC", PgValue::Numeric("-1234567890.12345".into())),
        ("TEXT", text("ß 🦀 'quoted' \"and\" \\ more")),
        ("TEXT", text("")),
        ("VARCHAR(10)", PgValue::Varchar((None, b"abc".to_vec()))),
        ("CHAR(3)", PgValue::Char((3, b"abc".to_vec()))),
        ("BYTEA", PgValue::Bytea(vec![0, 1, 255])),
        ("BYTEA", PgValue::Bytea(vec![])),
        (
            "UUID",
            PgValue::Uuid("6f2f4a44-9b1d-4c8e-8d43-0a4a5a0b7c11".into()),
        ),
        ("JSON", PgValue::Json(r#"{"a": [1, 2]}"#.into())),
        ("JSONB", PgValue::Jsonb(r#"{"a": [1, 2]}"#.into())),
        ("DATE", PgValue::Date(day(2024, 2, 29))),
        ("DATE", PgValue::Date(day(-43, 3, 15))),
        ("DATE", PgValue::Date(Date::PositiveInfinity)),
        ("TIME", PgValue::Time(at(13, 5, 0, 0))),
        ("TIMESTAMP", PgValue::Timestamp(midnight)),
        (
            "TIMESTAMP WITH TIME ZONE",
            PgValue::TimestampTz(TimestampTz {
                timestamp: midnight,
                offset: Offset::EasternHemisphereSecs(0),
            }),
        ),
    ];
    for (n, (ty, value)) in cases.into_iter().enumerate() {
        c.batch(&format!("CREATE TABLE v{n} (v {ty})")).await;
        c.query(
            &format!("INSERT INTO v{n} VALUES ($1)"),
            vec![value.clone()],
        )
        .await;
        assert_eq!(
            c.value(&format!("SELECT v FROM v{n}"), vec![]).await,
            value,
            "{ty}"
        );
        let found = c
            .query(&format!("SELECT 1 FROM v{n} WHERE v IS NOT NULL"), vec![])
            .await;
        assert_eq!(found.len(), 1, "{ty}");
    }
    // Other names for the same types come back under the one that the column has.
    c.batch("CREATE TABLE n (a INTEGER, b BIGINT, c DOUBLE PRECISION, d NUMERIC, e TEXT)")
        .await;
    let params = vec![
        PgValue::Int(1),
        PgValue::BigSerial(2),
        PgValue::Double(float(3.5)),
        PgValue::Decimal("4.5".into()),
        PgValue::Name("five".into()),
    ];
    c.query("INSERT INTO n VALUES ($1, $2, $3, $4, $5)", params)
        .await;
    let want = vec![
        PgValue::Int4(1),
        PgValue::Int8(2),
        PgValue::Float8(float(3.5)),
        PgValue::Numeric("4.5".into()),
        text("five"),
    ];
    assert_eq!(c.query("SELECT * FROM n", vec![]).await, [want]);
    // Another time zone is the same moment.
    c.batch("CREATE TABLE z (v TIMESTAMP WITH TIME ZONE)").await;
    let local = |offset, hour| {
        PgValue::TimestampTz(TimestampTz {
            timestamp: Timestamp {
                date: day(2024, 3, 1),
                time: at(hour, 0, 0, 0),
            },
            offset,
        })
    };
    c.query(
        "INSERT INTO z VALUES ($1)",
        vec![local(Offset::EasternHemisphereSecs(7200), 12)],
    )
    .await;
    let utc = local(Offset::EasternHemisphereSecs(0), 10);
    assert_eq!(c.value("SELECT v FROM z", vec![]).await, utc);
    let western = local(Offset::WesternHemisphereSecs(3600), 9);
    assert_eq!(
        c.query("SELECT v FROM z WHERE v = $1", vec![western]).await,
        [[utc]]
    );
}

async fn nulls(c: Component) {
    c.batch("CREATE TABLE t (a INTEGER, b TEXT)").await;
    c.query(
        "INSERT INTO t VALUES ($1, $2)",
        vec![PgValue::Null, PgValue::Null],
    )
    .await;
    assert_eq!(
        c.query("SELECT a, b FROM t", vec![]).await,
        [[PgValue::Null, PgValue::Null]]
    );
    assert_eq!(
        c.value("SELECT coalesce(b, $1) FROM t", vec![text("x")])
            .await,
        text("x")
    );
}

async fn parameters(c: Component) {
    c.batch("CREATE TABLE t (a BIGINT, b BIGINT, c BIGINT)")
        .await;
    let (one, two) = (PgValue::Int8(1), PgValue::Int8(2));
    c.query(
        "INSERT INTO t VALUES ($2, $1, $2)",
        vec![one.clone(), two.clone()],
    )
    .await;
    assert_eq!(
        c.query("SELECT a, b, c FROM t", vec![]).await,
        [[two.clone(), one.clone(), two.clone()]]
    );
    for params in [
        vec![],
        vec![one.clone()],
        vec![one.clone(), one.clone(), one.clone()],
    ] {
        let given = params.len();
        let (kind, said) = code(
            c.try_query("SELECT a FROM t WHERE a = $1 AND b = $2", params)
                .await,
        );
        assert_eq!(kind, "params");
        assert_eq!(
            said,
            format!("the statement has 2 parameters, and {given} were given")
        );
    }
    let wrong = c
        .try_query(
            "SELECT a FROM t WHERE a = $1",
            vec![PgValue::Numeric("x".into())],
        )
        .await;
    assert_eq!(
        code(wrong),
        ("params", "parameter $1: `x` is no decimal number".into())
    );
    let zero = c
        .try_query("SELECT a FROM t WHERE $1 = ''", vec![text("\0")])
        .await;
    assert_eq!(code(zero).0, "params");
    // Text that looks like SQL is only text.
    let tricky = text("'); DROP TABLE t; --");
    c.batch("CREATE TABLE s (v TEXT)").await;
    c.query("INSERT INTO s VALUES ($1)", vec![tricky.clone()])
        .await;
    assert_eq!(
        c.value("SELECT v FROM s WHERE v = $1", vec![tricky.clone()])
            .await,
        tricky
    );
    assert_eq!(
        c.value("SELECT count(*) FROM t", vec![]).await,
        PgValue::Int8(1)
    );
}

async fn counts(c: Component) {
    let exec = async |sql: &str| {
        let token = c.prepare(sql).await.unwrap();
        c.exec(&token, vec![]).await.unwrap()
    };
    assert_eq!(exec("CREATE TABLE t (a INTEGER)").await, 0);
    assert_eq!(exec("INSERT INTO t VALUES (1), (2), (3)").await, 3);
    assert_eq!(exec("UPDATE t SET a = a + 1 WHERE a > 1").await, 2);
    assert_eq!(exec("UPDATE t SET a = 0 WHERE a > 100").await, 0);
    assert_eq!(exec("CREATE TABLE u (a INTEGER)").await, 0);
    assert_eq!(exec("SELECT a FROM t").await, 3);
    assert_eq!(exec("INSERT INTO t VALUES (9) RETURNING a").await, 1);
    assert_eq!(exec("DELETE FROM t").await, 4);
}

async fn mistakes(c: Component) {
    for (sql, kind, state) in [
        ("SELEC 1", "query", "42601"),
        ("SELECT * FROM nowhere", "query", "42P01"),
        ("SELECT made_up FROM (SELECT 1 AS a) AS s", "query", "42703"),
        ("SELECT made_up(1)", "query", "42883"),
        ("SELECT 1; SELECT 2", "query", "42601"),
        ("SELECT '\0'", "query", "42601"),
    ] {
        assert_eq!(
            code(c.try_query(sql, vec![]).await),
            (kind, state.to_owned()),
            "{sql}"
        );
        if sql.contains(';') {
            continue;
        }
        assert_eq!(
            code(c.try_batch(sql).await),
            (kind, state.to_owned()),
            "{sql}"
        );
        let error = c.prepare(sql).await.unwrap_err().to_string();
        assert!(error.contains(state), "{sql}: {error}");
    }
    c.batch("CREATE TABLE t (a INTEGER)").await;
    assert_eq!(
        code(c.try_batch("CREATE TABLE t (a INTEGER)").await),
        ("query", "42P07".into())
    );
    let error = code(c.try_batch("SELECT $1").await);
    assert_eq!(error, ("query", "42P02".into()));
    // A call that made a mistake does not stop the next.
    assert!(c.query("SELECT a FROM t", vec![]).await.is_empty());
}

async fn constraints(c: Component) {
    c.batch(
        "CREATE TABLE p (id INTEGER PRIMARY KEY);
         CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER NOT NULL CHECK (a > 0), p INTEGER REFERENCES p(id));
         INSERT INTO p VALUES (1);
         INSERT INTO t VALUES (1, 1, 1);",
    )
    .await;
    for (sql, state) in [
        ("INSERT INTO t VALUES (1, 1, 1)", "23505"),
        ("INSERT INTO t VALUES (2, NULL, 1)", "23502"),
        ("INSERT INTO t VALUES (2, 0, 1)", "23514"),
        ("INSERT INTO t VALUES (2, 1, 9)", "23503"),
    ] {
        assert_eq!(
            code(c.try_query(sql, vec![]).await),
            ("other", state.to_owned()),
            "{sql}"
        );
    }
    assert_eq!(
        c.value("SELECT count(*) FROM t", vec![]).await,
        PgValue::Int8(1)
    );
}

async fn batches(c: Component) {
    c.batch("CREATE TABLE t (a INTEGER PRIMARY KEY); INSERT INTO t VALUES (1); -- done")
        .await;
    let failed = c
        .try_batch("INSERT INTO t VALUES (2); INSERT INTO t VALUES (1); INSERT INTO t VALUES (3)")
        .await;
    assert_eq!(code(failed), ("other", "23505".into()));
    let count = async || c.value("SELECT count(*) FROM t", vec![]).await;
    assert_eq!(count().await, PgValue::Int8(1));
    // Where the batch commits a transaction itself, the rows of that stay.
    let failed = c
        .try_batch("BEGIN; INSERT INTO t VALUES (2); COMMIT; INSERT INTO t VALUES (3); INSERT INTO t VALUES (1)")
        .await;
    assert_eq!(code(failed).1, "23505");
    assert_eq!(count().await, PgValue::Int8(2));
    // Statements before BEGIN belong to it.
    c.batch("INSERT INTO t VALUES (4); BEGIN; INSERT INTO t VALUES (5); ROLLBACK; INSERT INTO t VALUES (6)").await;
    let rows = c.query("SELECT a FROM t ORDER BY a", vec![]).await.concat();
    assert_eq!(rows, [1, 2, 6].map(PgValue::Int4));
    c.batch("BEGIN; SAVEPOINT a; INSERT INTO t VALUES (7); ROLLBACK TO a; INSERT INTO t VALUES (8); COMMIT").await;
    assert_eq!(count().await, PgValue::Int8(4));
    c.batch("SELECT a FROM t; SELECT 1").await;
}

async fn transactions(c: Component) {
    c.batch("CREATE TABLE t (a INTEGER)").await;
    let hint = "put all from BEGIN to COMMIT into one `query-batch`";
    for _ in 0..3 {
        let (kind, said) = code(c.try_query("BEGIN", vec![]).await);
        assert!(kind == "query" && said.contains(hint), "{said}");
        let (_, said) = code(c.try_batch("BEGIN; INSERT INTO t VALUES (1)").await);
        assert!(said.contains(hint), "{said}");
        let failed = c.try_batch("BEGIN; INSERT INTO t VALUES (1); SELEC").await;
        assert_eq!(code(failed).1, "42601");
    }
    // Nothing of it is there, and nothing holds a lock.
    assert_eq!(
        c.value("SELECT count(*) FROM t", vec![]).await,
        PgValue::Int8(0)
    );
    c.batch("INSERT INTO t VALUES (1); DROP TABLE t").await;
}

async fn prepared(c: Component) {
    c.batch("CREATE TABLE t (a BIGINT, b TEXT)").await;
    let insert = c.prepare("INSERT INTO t VALUES ($1, $2)").await.unwrap();
    for n in 0..5 {
        let params = vec![PgValue::Int8(n), text(&n.to_string())];
        assert_eq!(c.exec(&insert, params).await, Ok(1));
    }
    let wrong = c.exec(&insert, vec![]).await.unwrap_err();
    let count = "the statement has 2 parameters, and 0 were given";
    let count = QueryError::InvalidParams(count.into());
    assert_eq!(wrong, PreparedStatementExecError::QueryError(count));
    for token in ["", "1", "made up"] {
        let unknown = c.exec(token, vec![]).await.unwrap_err();
        assert_eq!(unknown, PreparedStatementExecError::UnknownPreparedQuery);
    }
    assert_ne!(c.prepare("SELECT 1").await, c.prepare("SELECT 1").await);
}

async fn tables_change(c: Component) {
    c.batch("CREATE TABLE t (a INTEGER)").await;
    let insert = c.prepare("INSERT INTO t (a) VALUES (1)").await.unwrap();
    assert_eq!(c.exec(&insert, vec![]).await, Ok(1));
    assert_eq!(
        c.query("SELECT * FROM t", vec![]).await,
        [[PgValue::Int4(1)]]
    );
    c.batch("ALTER TABLE t ADD COLUMN b TEXT").await;
    assert_eq!(
        c.query("SELECT * FROM t", vec![]).await,
        [[PgValue::Int4(1), PgValue::Null]]
    );
    assert_eq!(c.exec(&insert, vec![]).await, Ok(1));
    c.batch("DROP TABLE t; CREATE TABLE t (a BIGINT)").await;
    assert!(c.query("SELECT * FROM t", vec![]).await.is_empty());
    assert_eq!(c.exec(&insert, vec![]).await, Ok(1));
    assert_eq!(
        c.query("SELECT * FROM t", vec![]).await,
        [[PgValue::Int8(1)]]
    );
}

async fn no_statements(c: Component) {
    for sql in ["", "  -- nothing\n", "/* nothing */ ;"] {
        assert!(c.query(sql, vec![]).await.is_empty(), "{sql}");
        c.batch(sql).await;
    }
    let token = c.prepare("").await.unwrap();
    assert_eq!(c.exec(&token, vec![]).await, Ok(0));
}

async fn many_callers(c: Component) {
    c.batch("CREATE TABLE t (n BIGINT); INSERT INTO t VALUES (0)")
        .await;
    let callers: Vec<_> = (0..32)
        .map(|_| {
            let c = c.clone();
            tokio::spawn(async move {
                for _ in 0..5 {
                    c.query("UPDATE t SET n = n + 1", vec![]).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(c.value("SELECT n FROM t", vec![]).await, PgValue::Int8(160));
}

async fn large_values(c: Component) {
    let large = PgValue::Bytea(vec![7; 4 << 20]);
    c.batch("CREATE TABLE t (v BYTEA)").await;
    c.query("INSERT INTO t VALUES ($1)", vec![large.clone()])
        .await;
    assert_eq!(c.value("SELECT v FROM t", vec![]).await, large);
}
