//! The settings, with the keys of wasmCloud v1's PostgreSQL provider.

use std::fmt;
use std::time::Duration;

use withe_provider::{ConfigMap, ConfigProblem, ConfigRole, Settings};

use crate::database::Limits;
use crate::url::{EXPECTED_URL, check_url};

/// Where the file is if nobody says.
const DEFAULT_PATH: &str = "data/sql.sqlite";
const BACKENDS: [&str; 3] = ["sqlite", "memory", "postgres"];
/// How much a query may return if nobody says.
const LIMITS: Limits = Limits {
    rows: 100_000,
    bytes: 32 << 20,
};
/// The most that `max_bytes` may be: as much as goes through one call over a wire.
const MOST_BYTES: u64 = 64 << 20;
const POOL_SIZE: usize = 10;
/// The most that `postgres_pool_size` may be.
const LARGEST_POOL: usize = 1000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Which databases a provider is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// All of them.
    Any,
    /// PostgreSQL.
    Postgres,
}

/// The backend that keeps a link's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The memory of this process.
    Memory,
    /// The SQLite file at this path.
    File(String),
    /// PostgreSQL.
    Postgres(PostgresConfig),
}

impl Backend {
    /// The name under which its calls are counted.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Memory | Self::File(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

/// A link's configuration, with the provider's own filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) backend: Backend,
    pub(crate) limits: Limits,
}

/// Where PostgreSQL is and how it is connected to. Links with the same share connections.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct PostgresConfig {
    pub(crate) server: Server,
    pub(crate) password: Option<String>,
    /// Whether TLS must be spoken; unless said, what the URL says.
    pub(crate) tls: Option<bool>,
    /// A PEM file of the certificates that are believed, and no others.
    pub(crate) ca_file: Option<String>,
    pub(crate) pool_size: usize,
    /// Longest that connecting may take, with all its attempts.
    pub(crate) connect_timeout: Duration,
}

/// Which server.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Server {
    /// May hold a password: never printed.
    Url(String),
    Parts {
        host: String,
        port: u16,
        username: String,
        database: Option<String>,
    },
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig").finish_non_exhaustive()
    }
}

/// The settings of one map.
#[derive(Default)]
struct Given {
    /// One of [`BACKENDS`]; said, or implied by another key.
    backend: Option<&'static str>,
    path: Option<String>,
    url: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    username: Option<String>,
    database: Option<String>,
    password: Option<String>,
    tls: Option<bool>,
    ca_file: Option<String>,
    pool_size: Option<usize>,
    connect_timeout: Option<Duration>,
    max_rows: Option<u64>,
    max_bytes: Option<u64>,
}

/// Finds what is wrong with a configuration.
pub(crate) fn check(choice: Choice, role: ConfigRole, config: &ConfigMap) -> Vec<ConfigProblem> {
    match role {
        ConfigRole::Own | ConfigRole::LinkTarget => read_given(choice, config).1,
        ConfigRole::LinkSource => Settings::new(config).finish(),
    }
}

/// Reads a link's configuration; what it does not say, the provider's `own` does. A faulty setting stays at
/// its default.
pub(crate) fn read(
    choice: Choice,
    own: &ConfigMap,
    link: &ConfigMap,
) -> (Config, Vec<ConfigProblem>) {
    let (own, mut problems) = read_given(choice, own);
    let (link, link_problems) = read_given(choice, link);
    problems.extend(link_problems);
    let limits = Limits {
        rows: link.max_rows.or(own.max_rows).unwrap_or(LIMITS.rows),
        bytes: link.max_bytes.or(own.max_bytes).unwrap_or(LIMITS.bytes),
    };
    let backend = match (choice, link.backend.or(own.backend)) {
        (Choice::Postgres, _) | (_, Some("postgres")) => Backend::Postgres(postgres(own, link)),
        (_, Some("memory")) => Backend::Memory,
        _ => Backend::File(
            link.path
                .or(own.path)
                .unwrap_or_else(|| DEFAULT_PATH.into()),
        ),
    };
    (Config { backend, limits }, problems)
}

fn postgres(own: Given, link: Given) -> PostgresConfig {
    let link_has_parts = link.host.is_some()
        || link.port.is_some()
        || link.username.is_some()
        || link.database.is_some();
    // A link names a server by a URL or by its parts; either goes before what the provider says.
    let url = match link_has_parts {
        true => None,
        false => link.url.or(own.url),
    };
    let server = match url {
        Some(url) => Server::Url(url),
        None => Server::Parts {
            host: link.host.or(own.host).unwrap_or_else(|| "127.0.0.1".into()),
            port: link.port.or(own.port).unwrap_or(5432),
            username: (link.username.or(own.username)).unwrap_or_else(|| "postgres".into()),
            database: link.database.or(own.database),
        },
    };
    PostgresConfig {
        server,
        password: link.password.or(own.password),
        tls: link.tls.or(own.tls),
        ca_file: link.ca_file.or(own.ca_file),
        pool_size: link.pool_size.or(own.pool_size).unwrap_or(POOL_SIZE),
        connect_timeout: (link.connect_timeout.or(own.connect_timeout)).unwrap_or(CONNECT_TIMEOUT),
    }
}

/// Reads a number from 1 to `most`.
fn count<T>(s: &mut Settings<'_>, key: &'static str, most: T) -> Option<T>
where
    T: std::str::FromStr + PartialOrd + From<u8> + fmt::Display,
{
    let expected = format!("a number from 1 to {most}");
    let number = s.parse::<T>(key, &expected)?;
    if number < T::from(1) || number > most {
        s.bad_value(key, expected);
        return None;
    }
    Some(number)
}

fn read_given(choice: Choice, config: &ConfigMap) -> (Given, Vec<ConfigProblem>) {
    let mut s = Settings::new(config);
    let (said, path) = match choice {
        Choice::Any => (s.choice("backend", &BACKENDS), s.text("path")),
        Choice::Postgres => (None, None),
    };
    let url = s.text("url");
    let host = s.text("postgres_host");
    let port = s.parse("postgres_port", "the number of a port");
    let username = s.text("postgres_username");
    let password = s.text("postgres_password");
    let database = s.text("postgres_database");
    let given = Given {
        backend: None,
        path: path.map(str::to_owned),
        url: url.map(str::to_owned),
        host: host.map(str::to_owned),
        port,
        username: username.map(str::to_owned),
        database: database.map(str::to_owned),
        password: password.map(str::to_owned),
        tls: s.flag("postgres_tls_required"),
        ca_file: s.text("postgres_tls_ca_file").map(str::to_owned),
        pool_size: count(&mut s, "postgres_pool_size", LARGEST_POOL),
        connect_timeout: s.millis("postgres_connect_timeout_ms"),
        max_rows: count(&mut s, "max_rows", u64::MAX),
        max_bytes: count(&mut s, "max_bytes", MOST_BYTES),
    };
    // v1 has it for how it shares connections: links with the same settings share them always here.
    s.ignore(&["postgres_share_connections_by_url"]);

    for (key, value, expected) in [
        ("path", path, "the path of a file"),
        ("postgres_host", host, "a name or an address"),
        ("postgres_username", username, "a user's name"),
        ("postgres_database", database, "a database's name"),
    ] {
        if value == Some("") {
            s.bad_value(key, expected);
        }
    }
    if let Some(url) = url {
        // The value may hold a password, so it is not repeated.
        if check_url(url).is_err() {
            let message = format!("`url` cannot be used, expected {EXPECTED_URL}");
            s.problem(Some("url"), message, None);
        }
        let parts = [
            ("postgres_host", given.host.is_some()),
            ("postgres_port", given.port.is_some()),
            ("postgres_username", given.username.is_some()),
            ("postgres_database", given.database.is_some()),
        ];
        for (key, _) in parts.into_iter().filter(|(_, given)| *given) {
            let message = format!("`{key}` and `url` both say where the server is");
            s.problem(Some(key), message, Some("remove one of them".into()));
        }
    }
    let (backend, why) = match choice {
        Choice::Any => implied(said, &given),
        Choice::Postgres => (None, ""),
    };
    let of_postgres = server_keys(&given);
    let keys = of_postgres
        .into_iter()
        .filter_map(|(key, given)| given.then_some((key, "postgres")))
        .chain(path.map(|_| ("path", "sqlite")));
    for (key, its) in keys {
        if let Some(backend) = backend
            && backend != its
        {
            let message = format!("`{key}` is for `backend: {its}`, but {why} `{backend}`");
            let help = format!("remove `{key}`, or write `backend: {its}`");
            s.problem(Some(key), message, Some(help));
        }
    }
    (Given { backend, ..given }, s.finish())
}

/// The backend that a map means, and what of it says so.
fn implied(said: Option<&'static str>, given: &Given) -> (Option<&'static str>, &'static str) {
    let server = given.url.is_some() || given.host.is_some();
    match said {
        Some(backend) => (Some(backend), "`backend` says"),
        None if given.url.is_some() => (Some("postgres"), "with a `url` it is"),
        None if server => (Some("postgres"), "with a `postgres_host` it is"),
        None if given.path.is_some() => (Some("sqlite"), "with a `path` it is"),
        None => (None, ""),
    }
}

/// The keys that are for PostgreSQL, and whether they are given.
fn server_keys(given: &Given) -> [(&'static str, bool); 10] {
    [
        ("url", given.url.is_some()),
        ("postgres_host", given.host.is_some()),
        ("postgres_port", given.port.is_some()),
        ("postgres_username", given.username.is_some()),
        ("postgres_password", given.password.is_some()),
        ("postgres_database", given.database.is_some()),
        ("postgres_tls_required", given.tls.is_some()),
        ("postgres_tls_ca_file", given.ca_file.is_some()),
        ("postgres_pool_size", given.pool_size.is_some()),
        (
            "postgres_connect_timeout_ms",
            given.connect_timeout.is_some(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect()
    }

    fn backend(own: &[(&str, &str)], link: &[(&str, &str)]) -> Backend {
        let (config, problems) = read(Choice::Any, &map(own), &map(link));
        assert_eq!(problems, []);
        config.backend
    }

    fn messages(choice: Choice, pairs: &[(&str, &str)]) -> Vec<String> {
        let problems = check(choice, ConfigRole::LinkTarget, &map(pairs));
        problems.into_iter().map(|p| p.message).collect()
    }

    #[test]
    fn the_backend_is_said_or_implied() {
        let file = |path: &str| Backend::File(path.into());
        assert_eq!(backend(&[], &[]), file("data/sql.sqlite"));
        assert_eq!(backend(&[], &[("path", "a.db")]), file("a.db"));
        assert_eq!(backend(&[], &[("backend", "Memory")]), Backend::Memory);
        assert_eq!(
            backend(&[("url", "postgres://h")], &[("path", "b")]),
            file("b")
        );
        for server in [
            ("url", "postgres://h"),
            ("POSTGRES_HOST", "h"),
            ("backend", "postgres"),
        ] {
            assert!(matches!(
                backend(&[("path", "b")], &[server]),
                Backend::Postgres(_)
            ));
        }
        let (config, _) = read(Choice::Postgres, &map(&[]), &map(&[]));
        assert!(matches!(config.backend, Backend::Postgres(_)));
    }

    #[test]
    fn v1_keys_are_understood() {
        let link = [
            ("POSTGRES_HOST", "db"),
            ("POSTGRES_PORT", "5433"),
            ("POSTGRES_USERNAME", "u"),
            ("POSTGRES_PASSWORD", "s3cret"),
            ("POSTGRES_DATABASE", "d"),
            ("POSTGRES_TLS_REQUIRED", "true"),
            ("POSTGRES_POOL_SIZE", "3"),
            ("POSTGRES_SHARE_CONNECTIONS_BY_URL", "true"),
        ];
        let (config, problems) = read(Choice::Postgres, &map(&[]), &map(&link));
        assert_eq!(problems, []);
        let Backend::Postgres(config) = config.backend else {
            panic!("not PostgreSQL")
        };
        assert!(!format!("{config:?}").contains("s3cret"));
        let server = Server::Parts {
            host: "db".into(),
            port: 5433,
            username: "u".into(),
            database: Some("d".into()),
        };
        assert!(config.server == server);
        assert_eq!(config.password.as_deref(), Some("s3cret"));
        assert_eq!((config.tls, config.pool_size), (Some(true), 3));
    }

    #[test]
    fn a_link_names_another_server_by_url_or_by_parts() {
        let server = |own: &[(&str, &str)], link: &[(&str, &str)]| match read(
            Choice::Postgres,
            &map(own),
            &map(link),
        )
        .0
        .backend
        {
            Backend::Postgres(config) => config.server,
            other => panic!("{other:?}"),
        };
        let url = [("url", "postgres://h")];
        let parts = [("postgres_host", "h2")];
        assert!(server(&url, &parts) != Server::Url("postgres://h".into()));
        assert!(server(&parts, &url) == Server::Url("postgres://h".into()));
    }

    #[test]
    fn everything_wrong_is_found_and_no_password_shown() {
        let wrong = [
            ("backend", "sqlit"),
            ("url", "http://u:s3cret@h"),
            ("postgres_port", "70000"),
            ("postgres_pool_size", "0"),
            ("max_bytes", "1000000000"),
            ("pth", "x"),
        ];
        assert_eq!(
            messages(Choice::Any, &wrong),
            [
                "`backend` is `sqlit`, expected `sqlite`, `memory` or `postgres`",
                "`postgres_port` is `70000`, expected the number of a port",
                "`postgres_pool_size` is `0`, expected a number from 1 to 1000",
                "`max_bytes` is `1000000000`, expected a number from 1 to 67108864",
                "`url` cannot be used, expected `postgres://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE][?sslmode=require]`",
                "unknown key `pth`",
            ]
        );
    }

    #[test]
    fn keys_of_another_backend_are_a_problem() {
        for (pairs, message) in [
            (
                [("backend", "postgres"), ("path", "x")],
                "`path` is for `backend: sqlite`, but `backend` says `postgres`",
            ),
            (
                [("backend", "memory"), ("postgres_pool_size", "2")],
                "`postgres_pool_size` is for `backend: postgres`, but `backend` says `memory`",
            ),
            (
                [("url", "postgres://h"), ("path", "x")],
                "`path` is for `backend: sqlite`, but with a `url` it is `postgres`",
            ),
            (
                [("url", "postgres://h"), ("postgres_host", "x")],
                "`postgres_host` and `url` both say where the server is",
            ),
        ] {
            assert_eq!(messages(Choice::Any, &pairs), [message]);
        }
        assert_eq!(
            messages(Choice::Postgres, &[("path", "x")]),
            ["unknown key `path`"]
        );
    }
}
