//! The settings: those of the provider's keys that are for memory and Redis.
//!
//! The values come from `wasi:config/store`, and where a secret has the name of a key, from `wasmcloud:secrets`, which goes
//! before what is configured: as the host gives a provider its secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use ::redis as client;
use client::{ConnectionAddr, IntoConnectionInfo};

use crate::store::DEFAULT_BUCKET;
use crate::wit::wasi::config::store as given;
use crate::wit::wasmcloud::secrets::reveal::{SecretValue, reveal};
use crate::wit::wasmcloud::secrets::store::{SecretsError, get as secret};

/// The keys that there are.
const KEYS: [&str; 7] = [
    "backend",
    "url",
    "bucket",
    "backend_connection_timeout_ms",
    "backend_response_timeout_ms",
    "backend_reconnect_num_retries",
    "backend_reconnect_max_delay_ms",
];
/// The description that the component gives of them, in a section that `withe check` reads before anything runs.
#[cfg(target_family = "wasm")]
#[used]
#[unsafe(link_section = "withe:config")]
static SAID: [u8; include_bytes!("config.json").len()] = *include_bytes!("config.json");
/// Redis, if nobody says where.
const DEFAULT_URL: &str = "redis://127.0.0.1:6379/";
/// The form of a URL of Redis.
const URL: &str = "`redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`";

/// The configuration.
#[derive(Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) backend: Backend,
    /// The bucket that `default` and the empty identifier open.
    pub(crate) bucket: String,
}

/// Where the values are.
#[derive(Debug, PartialEq)]
pub(crate) enum Backend {
    Memory,
    Redis(RedisConfig),
}

/// Where Redis is, and how long it is waited for.
#[derive(Clone, PartialEq)]
pub(crate) struct RedisConfig {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: Option<String>,
    /// Never printed.
    pub(crate) password: Option<String>,
    pub(crate) database: i64,
    /// The longest that connecting may take, with all attempts and addresses.
    pub(crate) connect_timeout: Duration,
    /// The longest that an answer may take, from the command to its last byte.
    pub(crate) response_timeout: Duration,
    /// Attempts to connect again before a call fails.
    pub(crate) retries: u32,
    /// The longest wait between two attempts.
    pub(crate) max_delay: Duration,
}

impl std::fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields = (&self.host, self.port, self.database);
        f.debug_tuple("RedisConfig").field(&fields).finish()
    }
}

/// Why there is no configuration. No message repeats a URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The host gives no values.
    #[error("the configuration is not given: {0:?}")]
    NotGiven(given::Error),
    /// The host does not give a secret.
    #[error("the secret `{key}` is not given: {why:?}")]
    Secret {
        key: &'static str,
        why: SecretsError,
    },
    /// A secret is not UTF-8.
    #[error("the secret `{0}` is no text")]
    NotText(&'static str),
    /// Everything that is wrong with the values.
    #[error("the configuration cannot be used: {}", .0.join("; "))]
    Unusable(Vec<String>),
}

/// The configuration of this component.
pub(crate) fn read() -> Result<Config, ConfigError> {
    let given = given::get_all().map_err(ConfigError::NotGiven)?;
    let mut values: BTreeMap<String, String> = given.into_iter().collect();
    for key in KEYS {
        match secret(key) {
            Ok(found) => {
                let value = match reveal(&found) {
                    SecretValue::String(text) => text,
                    SecretValue::Bytes(bytes) => {
                        String::from_utf8(bytes).map_err(|_| ConfigError::NotText(key))?
                    }
                };
                values.insert(key.to_owned(), value);
            }
            Err(SecretsError::NotFound) => {}
            Err(why) => return Err(ConfigError::Secret { key, why }),
        }
    }
    parse(&values)
}

/// The configuration that `values` are, or all that is wrong with them.
fn parse(values: &BTreeMap<String, String>) -> Result<Config, ConfigError> {
    let mut problems = Vec::new();
    // Keys are read without regard to case, as the provider's are.
    let values: BTreeMap<_, _> = (values.iter())
        .map(|(key, value)| (key.to_lowercase(), value.as_str()))
        .collect();
    // wasmCloud gives these to every provider.
    let unknown = |key: &&String| !KEYS.contains(&key.as_str()) && !key.starts_with("otel_");
    for key in values.keys().filter(unknown) {
        let known = KEYS.map(|key| format!("`{key}`")).join(", ");
        problems.push(format!("`{key}` is no setting of it; there are {known}"));
    }
    let text = |key: &str| values.get(key).copied();
    let mut number = |key: &str, least: u32, otherwise: u32| match text(key) {
        None => otherwise,
        Some(given) => match given.parse() {
            Ok(number) if number >= least => number,
            _ => {
                problems.push(format!(
                    "`{key}` is `{given}`, and has to be a number from {least}"
                ));
                otherwise
            }
        },
    };
    let mut redis = RedisConfig {
        host: String::new(),
        port: 0,
        user: None,
        password: None,
        database: 0,
        connect_timeout: Duration::from_millis(
            number("backend_connection_timeout_ms", 1, 3_000).into(),
        ),
        response_timeout: Duration::from_millis(
            number("backend_response_timeout_ms", 1, 1_000).into(),
        ),
        retries: number("backend_reconnect_num_retries", 0, 3),
        max_delay: Duration::from_millis(number("backend_reconnect_max_delay_ms", 1, 300).into()),
    };
    let is_redis = match (text("backend"), text("url")) {
        (Some("redis"), _) | (None, Some(_)) => true,
        (Some("memory"), None) | (None, None) => false,
        (Some("memory"), Some(_)) => {
            problems.push("`url` is for `backend: redis`, and it is `memory`".into());
            false
        }
        (Some(other), _) => {
            problems.push(format!(
                "`backend` is `{other}`; the component keeps values in `memory` or in `redis`, the provider \
                 `withe:keyvalue` in others as well"
            ));
            false
        }
    };
    if is_redis {
        locate(
            &mut redis,
            text("url").unwrap_or(DEFAULT_URL),
            &mut problems,
        );
    }
    let bucket = text("bucket").unwrap_or(DEFAULT_BUCKET);
    if bucket.is_empty() {
        problems.push("`bucket` is empty, and has to be a bucket's name".into());
    }
    match problems.is_empty() {
        true => Ok(Config {
            backend: match is_redis {
                true => Backend::Redis(redis),
                false => Backend::Memory,
            },
            bucket: bucket.to_owned(),
        }),
        false => Err(ConfigError::Unusable(problems)),
    }
}

/// Fills in where a URL leads.
fn locate(redis: &mut RedisConfig, url: &str, problems: &mut Vec<String>) {
    if url.starts_with("rediss:") {
        problems.push("`url` asks for TLS, which is not supported".into());
        return;
    }
    let Ok(info) = url.into_connection_info() else {
        problems.push(format!("`url` cannot be used, expected {URL}"));
        return;
    };
    let ConnectionAddr::Tcp(host, port) = info.addr() else {
        problems.push(format!("`url` cannot be used, expected {URL}"));
        return;
    };
    let settings = info.redis_settings();
    redis.host = host.trim_matches(['[', ']']).to_owned();
    redis.port = *port;
    redis.user = settings.username().map(str::to_owned);
    redis.password = settings.password().map(str::to_owned);
    redis.database = settings.db();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_says_all_keys_that_there_are() {
        let said = include_str!("config.json");
        for key in KEYS {
            assert!(said.contains(&format!("\"name\": \"{key}\"")), "{key}");
        }
        assert_eq!(said.matches("\"name\"").count(), KEYS.len());
    }

    fn parsed(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        parse(&pairs.collect())
    }

    fn redis(pairs: &[(&str, &str)]) -> RedisConfig {
        match parsed(pairs).unwrap().backend {
            Backend::Redis(config) => config,
            Backend::Memory => panic!("in memory"),
        }
    }

    #[test]
    fn memory_is_what_nothing_says() {
        let config = parsed(&[]).unwrap();
        assert_eq!(
            (config.backend, &*config.bucket),
            (Backend::Memory, "default")
        );
        let config = parsed(&[("bucket", "b"), ("otel_level", "x")]).unwrap();
        assert_eq!(config.bucket, "b");
    }

    #[test]
    fn a_url_says_all_of_redis() {
        let config = redis(&[("URL", "redis://me:s3cret@db.example:7000/2")]);
        assert_eq!(
            (&*config.host, config.port, config.database),
            ("db.example", 7000, 2)
        );
        assert_eq!(config.user.as_deref(), Some("me"));
        assert_eq!(config.password.as_deref(), Some("s3cret"));
        assert!(!format!("{config:?}").contains("s3cret"));
        let config = redis(&[("backend", "redis"), ("backend_response_timeout_ms", "50")]);
        assert_eq!((&*config.host, config.port), ("127.0.0.1", 6379));
        assert_eq!(config.response_timeout, Duration::from_millis(50));
        assert_eq!(redis(&[("url", "redis://[::1]:7000")]).host, "::1");
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_and_no_url() {
        let why = parsed(&[
            ("url", "http://me:s3cret@x"),
            ("retries", "1"),
            ("backend_response_timeout_ms", "0"),
            ("bucket", ""),
        ]);
        let why = why.unwrap_err().to_string();
        for part in [
            "`retries` is no setting",
            "`url` cannot",
            "`0`",
            "`bucket` is empty",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
        assert!(!why.contains("s3cret"), "{why}");
        for (backend, part) in [
            ("redb", "`withe:keyvalue` in others"),
            ("memory", "`url` is for"),
        ] {
            let why = parsed(&[("backend", backend), ("url", "redis://x")]).unwrap_err();
            assert!(why.to_string().contains(part), "{why}");
        }
        assert!(
            parsed(&[("url", "rediss://x")])
                .unwrap_err()
                .to_string()
                .contains("TLS")
        );
    }
}
