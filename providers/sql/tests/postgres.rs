//! Tests of PostgreSQL alone: all of its types, servers that go away, and connections that must not be mixed
//! up.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{
    Component, Date, Interval, Lexeme, LexemeWeight, MacAddressEui48, MacAddressEui64, PgValue,
    QueryError, TimeTz, Timestamp, at, config, day, float, link, text,
};
use withe_provider::{Health, LinkId, Provider};
use withe_provider_sql::Sql;
use withe_testing::certificates::Certificates;
use withe_testing::port::ReservedPort;
use withe_testing::postgres::{PASSWORD, PostgresServer, USER};

fn said<T: std::fmt::Debug>(result: Result<T, QueryError>) -> String {
    result.unwrap_err().to_string()
}

async fn linked(server: &PostgresServer, pairs: &[(&str, &str)]) -> Component {
    let url = server.url();
    let mut all = vec![("url", url.as_str())];
    all.extend(pairs);
    Component::linked(link(1, &all)).await
}

/// All values that the interface has, each with the type that it comes back from.
fn values() -> Vec<(&'static str, PgValue)> {
    let bits = || (10, vec![0b1010_1010, 0b1100_0000]);
    let point = |x: f64, y: f64| (float(x), float(y));
    let mac = || MacAddressEui48 {
        bytes: (8, 0, 43, 1, 2, 3),
    };
    let mac8 = || MacAddressEui64 {
        bytes: (8, 0, 43, 1, 2, 3, 4, 5),
    };
    let date = || day(2024, 2, 29);
    let moment = || Timestamp {
        date: date(),
        time: at(1, 2, 3, 456_789),
    };
    let utc = || support::TimestampTz {
        timestamp: moment(),
        offset: support::Offset::EasternHemisphereSecs(0),
    };
    let range = || Interval {
        start: date(),
        start_inclusive: true,
        end: day(2024, 3, 5),
        end_inclusive: false,
    };
    let time_tz = || TimeTz {
        timesonze: "+02:30".into(),
        time: at(1, 2, 3, 0),
    };
    let lexeme = |data: &str, position, weight| Lexeme {
        position,
        weight,
        data: data.into(),
    };
    let triangle = || vec![point(0.0, 0.0), point(1.0, 0.0), point(1.0, 1.0)];
    let uuid = || "6f2f4a44-9b1d-4c8e-8d43-0a4a5a0b7c11".to_owned();
    let odd = || {
        vec![
            "a,b".to_owned(),
            "{\"\\".into(),
            "NULL".into(),
            "".into(),
            " x ".into(),
        ]
    };
    vec![
        ("int8", PgValue::Int8(i64::MIN)),
        ("int8[]", PgValue::Int8Array(vec![1, -1])),
        ("int8[]", PgValue::Int8Array(vec![])),
        ("bool", PgValue::Bool(true)),
        ("bool[]", PgValue::BoolArray(vec![true, false])),
        ("float8", PgValue::Float8(float(f64::MIN_POSITIVE / 4.0))),
        ("float8", PgValue::Float8(float(f64::INFINITY))),
        (
            "float8[]",
            PgValue::Float8Array(vec![float(0.1), float(-0.0)]),
        ),
        ("float4", PgValue::Float4((1 << 23, -22, -1))),
        ("float4[]", PgValue::Float4Array(vec![(1 << 23, -23, 1)])),
        ("int4", PgValue::Int4(i32::MAX)),
        ("int4[]", PgValue::Int4Array(vec![1, 2, 3])),
        ("numeric", PgValue::Numeric("-0.000000000012345".into())),
        (
            "numeric",
            PgValue::Numeric("100000000000000000000000000.50".into()),
        ),
        ("numeric", PgValue::Numeric("NaN".into())),
        (
            "numeric[]",
            PgValue::NumericArray(vec!["1.5".into(), "0".into(), "10000".into()]),
        ),
        ("int2", PgValue::Int2(-32768)),
        ("int2[]", PgValue::Int2Array(vec![1])),
        ("int2vector", PgValue::Int2Vector(vec![1, 2])),
        (
            "int2vector[]",
            PgValue::Int2VectorArray(vec![vec![1, 2], vec![3]]),
        ),
        ("bit(10)", PgValue::Bit(bits())),
        ("bit(10)[]", PgValue::BitArray(vec![bits()])),
        ("varbit", PgValue::Varbit((Some(10), bits().1))),
        (
            "varbit[]",
            PgValue::VarbitArray(vec![(Some(10), bits().1), (Some(0), vec![])]),
        ),
        ("bytea", PgValue::Bytea(vec![0, 255, 92, 39])),
        ("bytea[]", PgValue::ByteaArray(vec![vec![0, 255], vec![]])),
        ("char(3)", PgValue::Char((3, "äb ".into()))),
        ("char(2)[]", PgValue::CharArray(vec![(2, "ab".into())])),
        ("\"char\"", PgValue::Char((1, "x".into()))),
        ("varchar(5)", PgValue::Varchar((None, "abc".into()))),
        (
            "varchar[]",
            PgValue::VarcharArray(vec![(None, "a,b".into())]),
        ),
        ("cidr", PgValue::Cidr("10.0.0.0/8".into())),
        ("cidr[]", PgValue::CidrArray(vec!["2001:db8::/32".into()])),
        ("inet", PgValue::Inet("192.168.0.1".into())),
        ("inet", PgValue::Inet("192.168.0.1/24".into())),
        ("inet[]", PgValue::InetArray(vec!["::1".into()])),
        ("macaddr", PgValue::Macaddr(mac())),
        ("macaddr[]", PgValue::MacaddrArray(vec![mac(), mac()])),
        ("macaddr8", PgValue::Macaddr8(mac8())),
        ("macaddr8[]", PgValue::Macaddr8Array(vec![mac8()])),
        ("box", PgValue::Box((point(0.0, 0.5), point(1.0, 2.0)))),
        (
            "box[]",
            PgValue::BoxArray(vec![
                (point(0.0, 0.0), point(1.0, 1.0)),
                (point(2.0, 2.0), point(3.0, 3.0)),
            ]),
        ),
        ("circle", PgValue::Circle((point(1.0, 2.0), float(0.5)))),
        (
            "circle[]",
            PgValue::CircleArray(vec![(point(1.0, 2.0), float(0.5))]),
        ),
        ("line", PgValue::Line((point(0.0, 1.0), point(1.0, 3.0)))),
        ("line", PgValue::Line((point(2.0, 0.0), point(2.0, 1.0)))),
        (
            "line[]",
            PgValue::LineArray(vec![(point(0.0, 1.0), point(1.0, 1.0))]),
        ),
        ("lseg", PgValue::Lseg((point(0.0, 1.0), point(2.0, 3.0)))),
        (
            "lseg[]",
            PgValue::LsegArray(vec![(point(0.0, 1.0), point(2.0, 3.0))]),
        ),
        ("path", PgValue::Path(triangle())),
        (
            "path",
            PgValue::Path([triangle(), vec![point(0.0, 0.0)]].concat()),
        ),
        ("path[]", PgValue::PathArray(vec![triangle()])),
        ("point", PgValue::Point(point(-1.5, 1e10))),
        ("point[]", PgValue::PointArray(triangle())),
        ("polygon", PgValue::Polygon(triangle())),
        ("polygon[]", PgValue::PolygonArray(vec![triangle()])),
        ("date", PgValue::Date(date())),
        ("date", PgValue::Date(day(-4712, 1, 1))),
        ("date", PgValue::Date(Date::NegativeInfinity)),
        (
            "date[]",
            PgValue::DateArray(vec![date(), Date::PositiveInfinity]),
        ),
        ("daterange", PgValue::Interval(range())),
        ("daterange[]", PgValue::IntervalArray(vec![range()])),
        ("time", PgValue::Time(at(24, 0, 0, 0))),
        ("time[]", PgValue::TimeArray(vec![at(0, 0, 0, 1)])),
        ("timetz", PgValue::TimeTz(time_tz())),
        ("timetz[]", PgValue::TimeTzArray(vec![time_tz()])),
        ("timestamp", PgValue::Timestamp(moment())),
        ("timestamp[]", PgValue::TimestampArray(vec![moment()])),
        ("timestamptz", PgValue::TimestampTz(utc())),
        ("timestamptz[]", PgValue::TimestampTzArray(vec![utc()])),
        ("json", PgValue::Json(r#"{"a": 1}"#.into())),
        (
            "json[]",
            PgValue::JsonArray(vec![r#"{"a": "b\"c"}"#.into()]),
        ),
        ("jsonb", PgValue::Jsonb(r#"{"a": 1}"#.into())),
        ("jsonb[]", PgValue::JsonbArray(vec!["[1, 2]".into()])),
        ("money", PgValue::Money("-1234.56".into())),
        ("money[]", PgValue::MoneyArray(vec!["0.05".into()])),
        ("pg_lsn", PgValue::PgLsn(0x16_B374_D848)),
        ("pg_lsn[]", PgValue::PgLsnArray(vec![0, u64::MAX])),
        ("pg_snapshot", PgValue::PgSnapshot((10, 20, vec![10, 14]))),
        ("name", PgValue::Name("a name".into())),
        ("name[]", PgValue::NameArray(vec!["a".into()])),
        ("text", text("ß 🦀")),
        ("text[]", PgValue::TextArray(odd())),
        ("xml", PgValue::Xml("<a>b</a>".into())),
        ("xml[]", PgValue::XmlArray(vec!["<a/>".into()])),
        (
            "tsquery",
            PgValue::TsQuery("( 'cat' & !'dog' ) <2> ( 'it''s':*AB | 'bird' )".into()),
        ),
        (
            "tsvector",
            PgValue::TsVector(vec![
                lexeme("cat", Some(1), Some(LexemeWeight::A)),
                lexeme("cat", Some(3), Some(LexemeWeight::D)),
                lexeme("it's", None, None),
            ]),
        ),
        ("uuid", PgValue::Uuid(uuid())),
        ("uuid[]", PgValue::UuidArray(vec![uuid()])),
        (
            "hstore",
            PgValue::Hstore(vec![("a".into(), Some("1".into())), ("b\"".into(), None)]),
        ),
    ]
}

#[tokio::test]
async fn every_type_goes_both_ways() {
    let server = PostgresServer::start().unwrap();
    let c = linked(&server, &[]).await;
    c.batch("CREATE EXTENSION hstore; CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN small AS int CHECK (VALUE < 10)")
        .await;
    for (ty, value) in values() {
        let back = c
            .try_query(&format!("SELECT $1::{ty} AS v"), vec![value.clone()])
            .await;
        let back = back.unwrap_or_else(|e| panic!("{ty}: {e}"));
        let wanted = match &value {
            // The operator between two sides is written with parentheses of its own.
            PgValue::TsQuery(text) => PgValue::TsQuery(format!("( {text} )")),
            other => other.clone(),
        };
        assert_eq!(back[0][0].value, wanted, "{ty}");
        // Through a table, whose columns have the type.
        let made = format!(
            "CREATE TEMP TABLE v (v {ty}); INSERT INTO v VALUES (NULL); SELECT 1; DROP TABLE v"
        );
        c.batch(&made).await;
        assert_eq!(
            c.value(&format!("SELECT NULL::{ty}"), vec![]).await,
            PgValue::Null
        );
    }
    // Names for parameters that come back under another.
    for (ty, value, back) in [
        ("int8", PgValue::BigInt(5), PgValue::Int8(5)),
        ("int8", PgValue::TxidSnapshot(5), PgValue::Int8(5)),
        ("int4", PgValue::Serial(5), PgValue::Int4(5)),
        ("int2", PgValue::SmallSerial(5), PgValue::Int2(5)),
        ("bool", PgValue::Boolean(true), PgValue::Bool(true)),
        (
            "varbit",
            PgValue::BitVarying((None, vec![1])),
            PgValue::Varbit((Some(8), vec![1])),
        ),
        (
            "interval",
            text("1 year 2 mons -3 days 04:05:06.7"),
            text("P1Y2M-3DT4H5M6.7S"),
        ),
        ("interval", text("0"), text("PT0S")),
        ("mood", text("happy"), text("happy")),
        (
            "mood[]",
            PgValue::TextArray(vec!["sad".into()]),
            PgValue::TextArray(vec!["sad".into()]),
        ),
        ("small", PgValue::Int8(5), PgValue::Int4(5)),
        (
            "oid",
            PgValue::Int8(4_000_000_000),
            PgValue::Int8(4_000_000_000),
        ),
        // The server makes of a parameter what the statement needs.
        ("int4", PgValue::Int8(5), PgValue::Int4(5)),
        ("int4", text("5"), PgValue::Int4(5)),
        ("date", text("2024-02-29"), PgValue::Date(day(2024, 2, 29))),
        ("text", PgValue::Int4(5), text("5")),
        ("text", PgValue::Bytea(vec![1]), text("\\x01")),
    ] {
        assert_eq!(
            c.value(&format!("SELECT $1::{ty}"), vec![value]).await,
            back,
            "{ty}"
        );
    }
    assert_eq!(c.value("SELECT pg_sleep(0)", vec![]).await, PgValue::Null);
    no_values(&c).await;
}

/// Types that the interface has no value for.
async fn no_values(c: &Component) {
    c.batch("CREATE TABLE done (a int)").await;
    // The refusal comes before the statement runs.
    let error = said(
        c.try_query(
            "INSERT INTO done VALUES (1) RETURNING int4range(1, 2) AS r",
            vec![],
        )
        .await,
    );
    assert!(
        error.contains("`r`") && error.contains("`int4range`") && error.contains("CAST(r AS text)"),
        "{error}"
    );
    assert_eq!(
        c.value("SELECT count(*) FROM done", vec![]).await,
        PgValue::Int8(0)
    );
    for (sql, says) in [
        ("SELECT ARRAY[1, NULL] AS a", "NULL"),
        ("SELECT ARRAY[[1], [2]] AS a", "array of arrays"),
        ("SELECT 'empty'::daterange AS a", "range that is empty"),
    ] {
        let error = said(c.try_query(sql, vec![]).await);
        assert!(
            error.contains(says) && error.contains("`a`"),
            "{sql}: {error}"
        );
    }
    for (sql, params, says) in [
        ("SELECT $1::int4", vec![text("x")], "SQLSTATE 22P02"),
        (
            "SELECT $1::int4",
            vec![PgValue::Int8(1 << 40)],
            "SQLSTATE 22003",
        ),
        (
            "SELECT $1::uuid",
            vec![PgValue::Uuid("x".into())],
            "SQLSTATE 22P02",
        ),
        (
            "SELECT 1 / $1::int4",
            vec![PgValue::Int4(0)],
            "SQLSTATE 22012",
        ),
    ] {
        let error = c.try_query(sql, params).await.unwrap_err();
        assert!(
            matches!(&error, QueryError::InvalidParams(text) if text.contains(says)),
            "{sql}: {error}"
        );
    }
}

#[tokio::test]
async fn connections_come_back_clean() {
    let server = PostgresServer::start().unwrap();
    // One connection, so that the next call has the one before's.
    let c = linked(&server, &[("postgres_pool_size", "1")]).await;
    c.batch("CREATE SCHEMA other; CREATE TABLE t (a int)").await;
    let before = c.value("SHOW search_path", vec![]).await;
    for sql in [
        "SET search_path = other",
        "SELECT set_config('search_path', 'other', false)",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    ] {
        c.query(sql, vec![]).await;
        assert_eq!(c.value("SHOW search_path", vec![]).await, before, "{sql}");
        c.query("INSERT INTO t VALUES (1)", vec![]).await;
    }
    c.batch("CREATE TEMP TABLE temporary (a int); SELECT pg_advisory_lock(1); LISTEN a")
        .await;
    assert!(
        c.try_query("SELECT * FROM temporary", vec![])
            .await
            .is_err()
    );
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    assert_eq!(c.value(locks, vec![]).await, PgValue::Int8(0));
    // Statements that are prepared are prepared again.
    let token = c.prepare("INSERT INTO t VALUES (2)").await.unwrap();
    c.batch("DEALLOCATE ALL").await;
    assert_eq!(c.exec(&token, vec![]).await, Ok(1));
    // Many different statements are not kept for ever.
    for n in 0..600 {
        c.query(&format!("SELECT {n}"), vec![]).await;
    }
    let kept = c
        .value("SELECT count(*) FROM pg_prepared_statements", vec![])
        .await;
    assert!(
        matches!(kept, PgValue::Int8(count) if count <= 257),
        "{kept:?}"
    );
    let pid = c.value("SELECT pg_backend_pid()", vec![]).await;
    assert_eq!(c.value("SELECT pg_backend_pid()", vec![]).await, pid);
}

#[tokio::test]
async fn links_with_the_same_settings_share_connections() {
    let server = PostgresServer::start().unwrap();
    let a = linked(&server, &[("postgres_pool_size", "1")]).await;
    let url = server.url();
    let b = a
        .beside(link(
            2,
            &[
                ("url", &url),
                ("postgres_pool_size", "1"),
                ("max_rows", "5"),
            ],
        ))
        .await;
    let port = server.port().to_string();
    let parts = [
        ("POSTGRES_HOST", "127.0.0.1"),
        ("POSTGRES_PORT", &port),
        ("POSTGRES_USERNAME", USER),
        ("POSTGRES_PASSWORD", PASSWORD),
        ("POSTGRES_DATABASE", "postgres"),
    ];
    let other = a.beside(link(3, &parts)).await;
    let pid = "SELECT pg_backend_pid()";
    assert_eq!(a.value(pid, vec![]).await, b.value(pid, vec![]).await);
    assert_ne!(a.value(pid, vec![]).await, other.value(pid, vec![]).await);
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'withe'";
    assert_eq!(a.value(connections, vec![]).await, PgValue::Int8(2));
    for link in [1, 2] {
        a.provider.link_deleted(LinkId(link), Duration::ZERO).await;
    }
    // The server hears of it a little later.
    let give_up = Instant::now() + support::PATIENCE;
    while other.value(connections, vec![]).await != PgValue::Int8(1) {
        assert!(Instant::now() < give_up, "the connection is still there");
    }
    other.provider.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn wrong_credentials_are_told_by_what_is_wrong() {
    let server = PostgresServer::start().unwrap();
    let port = server.port();
    let nobody = ReservedPort::new().unwrap().port();
    for (url, says) in [
        (
            format!("postgres://{USER}:s3cret@127.0.0.1:{port}/postgres"),
            "correct the user (`withe`) and the password",
        ),
        (
            format!("postgres://nobody:s3cret@127.0.0.1:{port}/postgres"),
            "correct the user (`nobody`)",
        ),
        (
            format!("postgres://{USER}@127.0.0.1:{port}/postgres"),
            "set `postgres_password`",
        ),
        (
            format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/missing"),
            "`createdb missing`",
        ),
        (
            format!("postgres://{USER}:s3cret@127.0.0.1:{nobody}/postgres"),
            "start it there",
        ),
        (
            format!("postgres://{USER}:s3cret@127.0.0.1:{port}/postgres?sslmode=require"),
            "`postgres_tls_required`",
        ),
    ] {
        // Nobody may yet come to be there, so that is waited for.
        let limit = if says == "start it there" {
            "500"
        } else {
            "60000"
        };
        let wait = ("postgres_connect_timeout_ms", limit);
        let provider = Sql::postgres(config(&[]));
        let error = provider
            .link_put(link(1, &[("url", &url), wait]))
            .await
            .unwrap_err();
        assert!(error.0.contains(says), "{error}");
        assert!(
            error.0.contains("127.0.0.1:") && !error.0.contains("s3cret"),
            "{error}"
        );
        assert!(!error.0.contains(PASSWORD), "{error}");
    }
    // A password by itself, which can be a secret.
    let url = format!("postgres://{USER}@127.0.0.1:{port}/postgres");
    let c = Component::linked(link(1, &[("url", &url), ("postgres_password", PASSWORD)])).await;
    assert_eq!(c.value("SELECT 1", vec![]).await, PgValue::Int4(1));
    // One that is changed meanwhile.
    c.batch("ALTER USER withe PASSWORD 'another'").await;
    c.batch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'withe'").await;
    let _ = c
        .try_query("SELECT pg_terminate_backend(pg_backend_pid())", vec![])
        .await;
    let error = said(
        c.patient(Duration::from_secs(20))
            .try_query("SELECT 1", vec![])
            .await,
    );
    assert!(
        error.contains("correct the user") || error.contains("connection"),
        "{error}"
    );
    assert!(
        matches!(c.provider.health().await, Health::Unhealthy(why) if why.contains("correct the user"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_comes_back_is_used_again() {
    let mut server = PostgresServer::start().unwrap();
    let c = linked(&server, &[]).await;
    c.batch("CREATE TABLE t (a int)").await;
    let token = c.prepare("INSERT INTO t VALUES ($1)").await.unwrap();
    assert_eq!(c.exec(&token, vec![PgValue::Int4(1)]).await, Ok(1));
    assert_eq!(c.provider.health().await, Health::Healthy);

    // A call that runs when the server ends.
    let running = {
        let c = c.clone();
        tokio::spawn(async move { c.try_query("SELECT pg_sleep(50)", vec![]).await })
    };
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(50)%' AND state = 'active'";
    while c.value(asleep, vec![]).await != PgValue::Int8(1) {}
    server.stop();
    let error = said(running.await.unwrap());
    assert!(
        ["may or may not", "57P0", "nothing was done"]
            .iter()
            .any(|words| error.contains(words)),
        "{error}"
    );

    let hurried = c.patient(Duration::from_secs(20));
    let mut errors = Vec::new();
    // The first may find a connection that does not know yet.
    for _ in 0..3 {
        errors.push(said(hurried.try_query("SELECT 1", vec![]).await));
    }
    assert!(
        errors[2].contains("cannot connect to PostgreSQL at `127.0.0.1:"),
        "{errors:?}"
    );
    assert!(errors[2].contains("nothing was done"), "{errors:?}");
    assert!(
        matches!(c.provider.health().await, Health::Unhealthy(why) if why.contains("cannot connect"))
    );

    server.restart().unwrap();
    assert_eq!(
        c.value("SELECT count(*) FROM t", vec![]).await,
        PgValue::Int8(1)
    );
    assert_eq!(c.exec(&token, vec![PgValue::Int4(2)]).await, Ok(1));
    assert_eq!(c.provider.health().await, Health::Healthy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_for_a_server_that_starts() {
    let mut server = PostgresServer::start().unwrap();
    let c = linked(&server, &[("postgres_connect_timeout_ms", "60000")]).await;
    server.stop();
    // Notices that its connection is gone.
    let _ = c
        .patient(Duration::from_millis(200))
        .try_query("SELECT 1", vec![])
        .await;
    let waiting = {
        let c = c.clone();
        tokio::spawn(async move { c.value("SELECT 1", vec![]).await })
    };
    server.restart().unwrap();
    assert_eq!(waiting.await.unwrap(), PgValue::Int4(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_waits_for_is_stopped() {
    let server = PostgresServer::start().unwrap();
    let c = linked(&server, &[("postgres_pool_size", "2")]).await;
    let watch = linked(&server, &[]).await;
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(%' AND state = 'active'";
    let until = async |count: i64| {
        let give_up = Instant::now() + support::PATIENCE;
        while watch.value(asleep, vec![]).await != PgValue::Int8(count) {
            assert!(Instant::now() < give_up, "not {count} are asleep");
        }
    };
    let hurried = c.patient(Duration::from_millis(400));
    let error = said(hurried.try_query("SELECT pg_sleep(100)", vec![]).await);
    assert!(
        error.contains("took longer") && error.contains("may or may not"),
        "{error}"
    );
    until(0).await;
    // Callers that go away leave nothing either.
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let c = c.clone();
            tokio::spawn(async move { c.try_query("SELECT pg_sleep(100)", vec![]).await })
        })
        .collect();
    until(2).await;
    // There is no connection for another meanwhile.
    let error = said(hurried.try_query("SELECT 1", vec![]).await);
    assert!(
        error.contains("all 2 connections") && error.contains("`postgres_pool_size`"),
        "{error}"
    );
    for caller in callers {
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    until(0).await;
    assert_eq!(c.value("SELECT 1", vec![]).await, PgValue::Int4(1));
    c.provider.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_costs_its_callers_their_time_only() {
    let server = PostgresServer::start().unwrap();
    let c = linked(&server, &[]).await;
    server.freeze();
    let hurried = c.patient(Duration::from_millis(1500));
    for _ in 0..3 {
        let error = said(hurried.try_query("SELECT 1", vec![]).await);
        assert!(
            error.contains("took longer")
                || error.contains("no answer in")
                || error.contains("did not answer"),
            "{error}"
        );
    }
    server.thaw();
    assert_eq!(c.value("SELECT 1", vec![]).await, PgValue::Int4(1));
}

#[tokio::test]
async fn results_are_limited() {
    let server = PostgresServer::start().unwrap();
    let c = linked(&server, &[("max_rows", "10"), ("max_bytes", "10000")]).await;
    assert_eq!(
        c.query("SELECT generate_series(1, 10)", vec![]).await.len(),
        10
    );
    let error = said(
        c.try_query("SELECT generate_series(1, 100000000)", vec![])
            .await,
    );
    assert!(
        error.contains("more than 10 rows") && error.contains("`max_rows`"),
        "{error}"
    );
    let error = said(c.try_query("SELECT repeat('x', 10000)", vec![]).await);
    assert!(error.contains("more than 10000 bytes"), "{error}");
    assert_eq!(c.query("SELECT 1", vec![]).await.len(), 1);
}

#[tokio::test]
async fn tls_is_checked() {
    let certificates = Certificates::new().unwrap();
    let server = PostgresServer::start_with_tls(&certificates).unwrap();
    let ca = certificates.ca();
    let ca = ca.to_str().unwrap();
    let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let plain = linked(&server, &[]).await;
    assert_eq!(plain.value(encrypted, vec![]).await, PgValue::Bool(false));
    for pairs in [
        vec![("postgres_tls_ca_file", ca)],
        vec![
            ("postgres_tls_ca_file", ca),
            ("postgres_tls_required", "true"),
        ],
    ] {
        let c = linked(&server, &pairs).await;
        assert_eq!(c.value(encrypted, vec![]).await, PgValue::Bool(true));
        // Statements are stopped over TLS, too.
        let hurried = c.patient(Duration::from_millis(300));
        said(hurried.try_query("SELECT pg_sleep(100)", vec![]).await);
        let asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(100)%' AND state = 'active'";
        let give_up = Instant::now() + support::PATIENCE;
        while plain.value(asleep, vec![]).await != PgValue::Int8(0) {
            assert!(Instant::now() < give_up, "it still runs");
        }
    }
    let url = format!("{}?sslmode=require", server.url());
    let missing = certificates.ca().with_file_name("missing.pem");
    for (pairs, says) in [
        (vec![("url", url.as_str())], "UnknownIssuer"),
        (
            vec![
                ("url", url.as_str()),
                ("postgres_tls_ca_file", missing.to_str().unwrap()),
            ],
            "missing.pem",
        ),
    ] {
        let provider = Sql::any(config(&[]));
        let error = provider.link_put(link(1, &pairs)).await.unwrap_err();
        assert!(
            error.0.contains(says) && error.0.contains("`postgres_tls_ca_file`"),
            "{error}"
        );
        assert!(!error.0.contains(PASSWORD), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_the_server_ends_is_a_connection_that_is_lost() {
    let server = PostgresServer::start().unwrap();
    let c = linked(&server, &[]).await;
    let running = {
        let c = c.clone();
        tokio::spawn(async move { c.try_query("SELECT pg_sleep(50)", vec![]).await })
    };
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(50)%' \
               AND wait_event = 'PgSleep'";
    // Ended before it sleeps, it might not have been begun.
    while c.value(end, vec![]).await != PgValue::Int8(1) {}
    let error = said(running.await.unwrap());
    assert!(
        error.contains("57P01") && error.contains("may or may not"),
        "{error}"
    );
    assert_eq!(c.value("SELECT 1", vec![]).await, PgValue::Int4(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_under_load_outlives_a_kill() {
    const CALLERS: usize = 8;
    let mut server = PostgresServer::start().unwrap();
    let c = linked(&server, &[("postgres_pool_size", "4")]).await;
    c.batch("CREATE TABLE kept (caller int8, n int8, PRIMARY KEY (caller, n))")
        .await;
    let enough = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..CALLERS as i64)
        .map(|caller| {
            let (c, enough) = (c.clone(), enough.clone());
            let acknowledged = acknowledged.clone();
            tokio::spawn(async move {
                let (mut kept, mut errors) = (Vec::new(), Vec::new());
                for n in 0_i64.. {
                    if enough.load(Ordering::Relaxed) {
                        break;
                    }
                    let sql = "INSERT INTO kept VALUES ($1, $2)";
                    let params = vec![PgValue::Int8(caller), PgValue::Int8(n)];
                    // A call that ran beyond its deadline would be none that the test could read.
                    match c.try_query(sql, params).await {
                        Ok(_) => {
                            kept.push(n);
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(why) => errors.push((n, why.to_string())),
                    }
                }
                (kept, errors)
            })
        })
        .collect();
    let more = async |count: usize| {
        let want = acknowledged.load(Ordering::Relaxed) + count;
        let reached = async {
            while acknowledged.load(Ordering::Relaxed) < want {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reached)
            .await
            .unwrap();
    };
    for _ in 0..3 {
        more(200).await;
        server.restart().unwrap();
    }
    more(200).await;
    enough.store(true, Ordering::Relaxed);
    for (caller, task) in callers.into_iter().enumerate() {
        let (kept, errors) = task.await.unwrap();
        let sql = "SELECT n FROM kept WHERE caller = $1 ORDER BY n";
        let rows = c.query(sql, vec![PgValue::Int8(caller as i64)]).await;
        let there: Vec<_> = rows
            .into_iter()
            .map(|row| match row[..] {
                [PgValue::Int8(n)] => n,
                _ => panic!("{row:?}"),
            })
            .collect();
        for n in &kept {
            assert!(there.contains(n), "{n} of caller {caller} is lost");
        }
        for (n, why) in errors {
            // Each says what became of it, and rightly.
            let is_sure = why.contains("nothing was done");
            assert!(is_sure || why.contains("may or may not"), "{why}");
            assert!(!(is_sure && there.contains(&n)), "{n} was done: {why}");
        }
    }
}
