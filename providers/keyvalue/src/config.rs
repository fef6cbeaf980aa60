//! The settings, with the keys of wasmCloud v1's providers of Redis and NATS, and those of the blobstore provider for
//! S3.

use std::time::Duration;

use withe_provider::nats::NatsAccess;
use withe_provider::object_store::S3;
use withe_provider::{ConfigMap, ConfigProblem, ConfigRole, Settings};

use crate::changes::WatchedKeys;
use crate::nats::{self, NatsConfig};
use crate::redis::{Notifications, RedisConfig, check_cluster, check_url, is_tls};
use crate::s3::{self, NO_WATCH, S3Config};
use crate::store::DEFAULT_BUCKET;

/// Where the file is if nobody says.
const DEFAULT_PATH: &str = "data/keyvalue.redb";
const BACKENDS: [&str; 5] = ["redb", "memory", "redis", "nats", "s3"];
/// Where buckets of S3 are if nobody says.
const DEFAULT_REGION: &str = "us-east-1";
/// How long an answer of S3 may take if nobody says.
const S3_TIMEOUT: Duration = Duration::from_secs(10);
/// The keys that say who asks S3.
const S3_ACCESS: [&str; 3] = ["access_key_id", "secret_access_key", "session_token"];
/// The backends that speak TLS.
const WITH_TLS: [&str; 3] = ["redis", "nats", "s3"];
/// The keys for S3 alone.
const OF_S3: [&str; 7] = [
    "s3_bucket",
    "s3_folder",
    "endpoint",
    "region",
    "access_key_id",
    "secret_access_key",
    "session_token",
];
/// The beginning of a URL of NATS.
const NATS_SCHEMES: [&str; 2] = ["nats:", "tls:"];

/// How long a call that tells of a change may take if nobody says.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How many changes a component is told of at a time if nobody says.
const AT_ONCE: usize = 10;

/// The backend that keeps a link's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The memory of this process.
    Memory,
    /// The file at this path.
    File(String),
    /// Redis.
    Redis(RedisConfig),
    /// A bucket of NATS.
    Nats(NatsConfig),
    /// A bucket of S3.
    S3(Box<S3Config>),
}

/// A link's configuration, with the provider's own filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) backend: Backend,
    /// The bucket that `default` and the empty identifier open.
    pub(crate) bucket: String,
    pub(crate) watch: WatchConfig,
}

/// How the component of a link is told of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WatchConfig {
    pub(crate) keys: Vec<WatchedKeys>,
    /// The longest that a call may take.
    pub(crate) timeout: Duration,
    /// How many calls are under way at a time.
    pub(crate) at_once: usize,
}

/// The fields of one map.
#[derive(Clone, Debug, Default)]
struct Given {
    /// One of [`BACKENDS`]; said, or implied by `url` or `path`.
    backend: Option<&'static str>,
    path: Option<String>,
    url: Option<String>,
    bucket: Option<String>,
    redis: RedisLimits,
    nats: Nats,
    /// The settings of S3 alone, by their keys.
    s3: ConfigMap,
    tls_ca_file: Option<String>,
    watch: WatchGiven,
}

/// The keys for links to components that are told of changes.
#[derive(Clone, Debug, Default)]
struct WatchGiven {
    keys: Option<Vec<WatchedKeys>>,
    timeout: Option<Duration>,
    at_once: Option<usize>,
}

/// The settings for NATS alone.
#[derive(Clone, Debug, Default)]
struct Nats {
    bucket: Option<String>,
    creds_file: Option<String>,
    replicas: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct RedisLimits {
    cluster: Option<bool>,
    retries: Option<usize>,
    max_delay: Option<Duration>,
    connect_timeout: Option<Duration>,
    response_timeout: Option<Duration>,
    notifications: Option<Notifications>,
}

/// Finds what is wrong with a configuration.
pub(crate) fn check(role: ConfigRole, config: &ConfigMap) -> Vec<ConfigProblem> {
    read_given(config, role).1
}

/// Reads the configuration of a link in this role; the provider's `own` fills in what is left out. A faulty setting stays at its
/// default.
pub(crate) fn read(
    own: &ConfigMap,
    link: &ConfigMap,
    role: ConfigRole,
) -> (Config, Vec<ConfigProblem>) {
    let (own, mut problems) = read_given(own, ConfigRole::Own);
    let (link, link_problems) = read_given(link, role);
    problems.extend(link_problems);
    let backend = link.backend.or(own.backend);
    // Where the link names its backend, the key has been compared with that.
    if let (true, None) = (link.tls_ca_file.is_some(), link.backend)
        && !backend.is_some_and(|backend| WITH_TLS.contains(&backend))
    {
        let (backend, why) = match backend {
            Some(backend) => (backend, "the provider's own configuration makes it"),
            None => ("redb", "without any it is"),
        };
        problems.push(of_another("tls_ca_file", &WITH_TLS, why, backend));
    }
    let backend = match backend {
        Some("memory") => Backend::Memory,
        Some("redis") => {
            let defaults = RedisConfig::default();
            let (link_redis, own_redis) = (link.redis, own.redis);
            let is_link_url = link.url.is_some();
            let url = link.url.or(own.url).unwrap_or(defaults.url);
            // Where the link has a URL, the key has been compared with that.
            if link.tls_ca_file.is_some() && !is_link_url && !is_tls(&url) {
                problems.push(without_tls());
            }
            let ca_file = link.tls_ca_file.or(own.tls_ca_file);
            let cluster = link_redis.cluster.or(own_redis.cluster);
            // Each by itself has been looked at.
            if problems.is_empty()
                && let Err(problem) = check_cluster(&url, cluster)
            {
                problems.push(no_cluster(problem));
            }
            Backend::Redis(RedisConfig {
                cluster,
                ca_file: ca_file.filter(|_| is_tls(&url)),
                url,
                retries: link_redis
                    .retries
                    .or(own_redis.retries)
                    .unwrap_or(defaults.retries),
                max_delay: link_redis
                    .max_delay
                    .or(own_redis.max_delay)
                    .unwrap_or(defaults.max_delay),
                connect_timeout: link_redis
                    .connect_timeout
                    .or(own_redis.connect_timeout)
                    .unwrap_or(defaults.connect_timeout),
                response_timeout: link_redis
                    .response_timeout
                    .or(own_redis.response_timeout)
                    .unwrap_or(defaults.response_timeout),
                notifications: link_redis
                    .notifications
                    .or(own_redis.notifications)
                    .unwrap_or_default(),
            })
        }
        Some("nats") => {
            let limits = RedisConfig::default();
            Backend::Nats(NatsConfig {
                access: NatsAccess {
                    urls: link
                        .url
                        .or(own.url)
                        .unwrap_or_else(|| "nats://127.0.0.1:4222".into()),
                    credentials_file: link.nats.creds_file.or(own.nats.creds_file),
                    ca_file: link.tls_ca_file.or(own.tls_ca_file),
                    ..NatsAccess::default()
                },
                bucket: (link.nats.bucket.or(own.nats.bucket)).unwrap_or_else(|| "keyvalue".into()),
                replicas: link.nats.replicas.or(own.nats.replicas).unwrap_or(1),
                connect_timeout: (link.redis.connect_timeout)
                    .or(own.redis.connect_timeout)
                    .unwrap_or(limits.connect_timeout),
                response_timeout: (link.redis.response_timeout)
                    .or(own.redis.response_timeout)
                    .unwrap_or(limits.response_timeout),
            })
        }
        Some("s3") => {
            let mut said = own.s3;
            // The provider's user is nobody's but its own, and is not shown to a server that it does not name.
            let is_another = |key: &String| key == "endpoint" || S3_ACCESS.contains(&key.as_str());
            if link.s3.keys().any(is_another) {
                said.retain(|key, _| !S3_ACCESS.contains(&key.as_str()));
            }
            said.extend(link.s3);
            let mut text = |key: &str| said.remove(key);
            let bucket = text("s3_bucket").unwrap_or_default();
            if bucket.is_empty() && problems.is_empty() {
                problems.push(ConfigProblem {
                    key: None,
                    message: "`backend: s3` needs `s3_bucket`".into(),
                    help: Some("set `s3_bucket` on the link or on the provider".into()),
                });
            }
            let is_said = problems.iter().any(|problem| problem.message == NO_WATCH);
            if role == ConfigRole::LinkSource && !is_said {
                problems.push(ConfigProblem {
                    key: None,
                    message: NO_WATCH.into(),
                    help: Some(
                        "keep what is watched in a file, in memory, in Redis or in NATS".into(),
                    ),
                });
            }
            Backend::S3(Box::new(S3Config {
                bucket,
                folder: text("s3_folder"),
                s3: S3 {
                    endpoint: text("endpoint"),
                    region: text("region").unwrap_or_else(|| DEFAULT_REGION.into()),
                    access_key_id: text("access_key_id"),
                    secret_access_key: text("secret_access_key"),
                    session_token: text("session_token"),
                },
                tls_ca_file: link.tls_ca_file.or(own.tls_ca_file),
                response_timeout: (link.redis.response_timeout)
                    .or(own.redis.response_timeout)
                    .unwrap_or(S3_TIMEOUT),
            }))
        }
        _ => Backend::File(
            link.path
                .or(own.path)
                .unwrap_or_else(|| DEFAULT_PATH.into()),
        ),
    };
    let bucket = link
        .bucket
        .or(own.bucket)
        .unwrap_or_else(|| DEFAULT_BUCKET.into());
    let watch = WatchConfig {
        keys: (link.watch.keys.or(own.watch.keys)).unwrap_or_else(|| vec![WatchedKeys::all()]),
        timeout: (link.watch.timeout.or(own.watch.timeout)).unwrap_or(TIMEOUT),
        at_once: (link.watch.at_once.or(own.watch.at_once)).unwrap_or(AT_ONCE),
    };
    let config = Config {
        backend,
        bucket,
        watch,
    };
    (config, problems)
}

/// The changes that the component of a link is told of.
fn watch_given(s: &mut Settings<'_>) -> WatchGiven {
    let keys = s.text("watch").map(|text| {
        let mut all = Vec::new();
        for keys in text
            .split(',')
            .map(str::trim)
            .filter(|keys| !keys.is_empty())
        {
            all.push(watched_keys(keys));
        }
        all
    });
    if keys.as_ref().is_some_and(Vec::is_empty) {
        let expected = "keys with commas between them, such as `cart/*, SET@total, DEL@total`";
        s.bad_value("watch", expected);
    }
    let at_once = "a number of changes from 1 to 1000";
    let mut given = WatchGiven {
        keys: keys.filter(|keys| !keys.is_empty()),
        timeout: s.millis("timeout_ms"),
        at_once: s.parse("max_concurrent", at_once),
    };
    if given.at_once.is_some_and(|n| !(1..=1000).contains(&n)) {
        s.bad_value("max_concurrent", at_once);
        given.at_once = None;
    }
    given
}

/// `KEY`, `SET@KEY` or `DEL@KEY`, as v1's provider has them, or what keys start with: `cart/*`.
fn watched_keys(text: &str) -> WatchedKeys {
    let of = |event: &str| {
        let (start, key) = text.split_at_checked(event.len())?;
        start.eq_ignore_ascii_case(event).then_some(key.trim())
    };
    let (name, set, deleted) = match (of("SET@"), of("DEL@")) {
        (Some(key), _) => (key, true, false),
        (_, Some(key)) => (key, false, true),
        (None, None) => (text, true, true),
    };
    let (name, is_prefix) = match name.strip_suffix('*') {
        Some(start) => (start, true),
        None => (name, false),
    };
    WatchedKeys {
        name: name.to_owned(),
        is_prefix,
        set,
        deleted,
    }
}

/// The settings of S3 that are given.
fn s3_given(s: &mut Settings<'_>) -> ConfigMap {
    let mut given = ConfigMap::new();
    for key in OF_S3 {
        if let Some(value) = s.text(key) {
            given.insert(key.to_owned(), value.to_owned());
        }
    }
    let empty: Vec<_> = given.iter().filter(|(_, value)| value.is_empty()).collect();
    for (key, _) in empty {
        let help = "remove it, or give it a value";
        s.problem(Some(key), format!("`{key}` is empty"), Some(help.into()));
    }
    if let Some(Err(expected)) = given.get("s3_folder").map(|name| s3::check_folder(name)) {
        s.bad_value("s3_folder", expected);
    }
    match given.get("endpoint") {
        // Endpoints are told in errors, and so would be who asks; nothing of this value is repeated.
        Some(url) if url.contains('@') => s.problem(
            Some("endpoint"),
            "`endpoint` has a user or a password in it",
            Some("remove it: who asks is told by `access_key_id` and `secret_access_key`".into()),
        ),
        Some(url) if !(url.starts_with("http://") || url.starts_with("https://")) => {
            s.bad_value("endpoint", "`http://HOST[:PORT]` or `https://HOST[:PORT]`");
        }
        Some(_) | None => {}
    }
    let [id, secret, token] = S3_ACCESS;
    for (there, missing) in [(id, secret), (secret, id), (token, id)] {
        if given.contains_key(there) && !given.contains_key(missing) {
            let message = format!("`{there}` is given without `{missing}`");
            let help = format!("give both in one place, or neither; `{missing}` is missing");
            s.problem(Some(there), message, Some(help));
        }
    }
    given
}

fn read_given(config: &ConfigMap, role: ConfigRole) -> (Given, Vec<ConfigProblem>) {
    let mut s = Settings::new(config);
    let said = s.choice("backend", &BACKENDS);
    let path = s.text("path");
    let cluster = s.text("cluster_uri");
    let (url_key, url) = match s.text("url") {
        Some(url) => ("url", Some(url)),
        None => ("cluster_uri", cluster),
    };
    let bucket = s.text("bucket");
    let number = "a number of attempts";
    let redis = RedisLimits {
        cluster: s.flag("cluster"),
        retries: s.parse("backend_reconnect_num_retries", number),
        max_delay: s.millis("backend_reconnect_max_delay_ms"),
        connect_timeout: s.millis("backend_connection_timeout_ms"),
        response_timeout: s.millis("backend_response_timeout_ms"),
        notifications: match role {
            // Only who watches needs them.
            ConfigRole::LinkTarget => None,
            ConfigRole::Own | ConfigRole::LinkSource => s
                .choice("redis_notifications", &["check", "enable", "assume"])
                .map(|choice| match choice {
                    "enable" => Notifications::Enable,
                    "assume" => Notifications::Assume,
                    _ => Notifications::Check,
                }),
        },
    };
    let watch = match role {
        ConfigRole::LinkTarget => WatchGiven::default(),
        ConfigRole::Own | ConfigRole::LinkSource => watch_given(&mut s),
    };
    let (nats_bucket_key, nats_bucket) = match s.text("nats_bucket") {
        Some(bucket) => ("nats_bucket", Some(bucket)),
        // Where v1's key names the servers, its `bucket` is one of NATS.
        None => ("bucket", bucket.filter(|_| cluster.is_some())),
    };
    let nats = Nats {
        bucket: nats_bucket.map(str::to_owned),
        creds_file: s.text("nats_creds_file").map(str::to_owned),
        replicas: s.parse("nats_replicas", "a number from 1 to 5"),
    };
    let nats_ca_file = s.text("nats_tls_ca_file");
    let tls_ca_file = s.text("tls_ca_file");
    let s3 = s3_given(&mut s);
    // v1 has them for how it shares connections, which are always shared by URL here, and for whether it makes buckets,
    // which are always made.
    s.ignore(&[
        "disable_default_connection",
        "share_connections_by_url",
        "enable_bucket_auto_create",
    ]);
    if cluster.is_some() && url_key == "url" {
        s.problem(
            Some("cluster_uri"),
            "`cluster_uri` says what `url` does",
            Some("remove one of them".into()),
        );
    }

    if path == Some("") {
        s.bad_value("path", "the path of a file");
    }
    if bucket == Some("") {
        s.bad_value("bucket", "a bucket's name");
    }
    if let Some(Err(expected)) = nats.bucket.as_deref().map(nats::check_bucket) {
        s.bad_value(nats_bucket_key, expected);
    }
    if nats.replicas.is_some_and(|count| !(1..=5).contains(&count)) {
        s.bad_value("nats_replicas", "a number from 1 to 5");
    }
    let is_of_nats = url_key == "cluster_uri" && url.is_some()
        || url.is_some_and(|url| NATS_SCHEMES.iter().any(|s| url.starts_with(s)));
    // The value may hold a password, so it is not repeated.
    let unusable = url.and_then(|url| match is_of_nats {
        true => nats::check_url(url).err(),
        false => check_url(url).err(),
    });
    if let Some(expected) = unusable {
        let message = format!("`{url_key}` cannot be used, expected {expected}");
        s.problem(Some(url_key), message, None);
    } else if tls_ca_file.is_some() && !is_of_nats && url.is_some_and(|url| !is_tls(url)) {
        let problem = without_tls();
        s.problem(Some("tls_ca_file"), problem.message, problem.help);
    } else if !is_of_nats
        && let Some(Err(problem)) = url.map(|url| check_cluster(url, redis.cluster))
    {
        let problem = no_cluster(problem);
        s.problem(Some("url"), problem.message, problem.help);
    }
    let s3_key = s3.keys().next().cloned();
    if said == Some("s3") && role == ConfigRole::LinkSource {
        let help = "keep what is watched in a file, in memory, in Redis or in NATS";
        s.problem(Some("backend"), NO_WATCH, Some(help.into()));
    }
    let (backend, why) = match (said, url, path) {
        (Some(backend), ..) => (Some(backend), "`backend` says"),
        (None, Some(_), _) if is_of_nats => (Some("nats"), "with its `url` it is"),
        (None, Some(_), _) => (Some("redis"), "with its `url` it is"),
        (None, None, Some(_)) => (Some("redb"), "with a `path` it is"),
        (None, None, None) if s3_key.is_some() => (Some("s3"), "with a key of S3 it is"),
        (None, None, None) => (None, ""),
    };
    let of_url = if is_of_nats { "nats" } else { "redis" };
    for (key, given, its) in [
        ("path", path.is_some(), &["redb"][..]),
        (url_key, url.is_some(), &[of_url]),
        (nats_bucket_key, nats.bucket.is_some(), &["nats"]),
        ("nats_creds_file", nats.creds_file.is_some(), &["nats"]),
        ("nats_tls_ca_file", nats_ca_file.is_some(), &["nats"]),
        ("tls_ca_file", tls_ca_file.is_some(), &WITH_TLS),
        (
            s3_key.as_deref().unwrap_or_default(),
            s3_key.is_some(),
            &["s3"],
        ),
        ("nats_replicas", nats.replicas.is_some(), &["nats"]),
        ("cluster", redis.cluster.is_some(), &["redis"]),
        (
            "redis_notifications",
            redis.notifications.is_some(),
            &["redis"],
        ),
    ] {
        if let (true, Some(backend)) = (given, backend)
            && !its.contains(&backend)
        {
            let problem = of_another(key, its, why, backend);
            s.problem(Some(key), problem.message, problem.help);
        }
    }
    let given = Given {
        backend,
        path: path.map(str::to_owned),
        url: url.map(str::to_owned),
        bucket: bucket.filter(|_| cluster.is_none()).map(str::to_owned),
        redis,
        nats,
        s3,
        tls_ca_file: nats_ca_file.or(tls_ca_file).map(str::to_owned),
        watch,
    };
    (given, s.finish())
}

/// A key that is for `its` backends, given where it is another; `why` says why it is.
fn of_another(key: &str, its: &[&str], why: &str, backend: &str) -> ConfigProblem {
    let its: Vec<_> = its.iter().map(|its| format!("`backend: {its}`")).collect();
    let its = its.join(" or ");
    ConfigProblem {
        key: Some(key.into()),
        message: format!("`{key}` is for {its}, but {why} `{backend}`"),
        help: Some(format!("remove `{key}`, or write {its}")),
    }
}

/// URLs that are none of a cluster.
fn no_cluster((message, help): (&str, &str)) -> ConfigProblem {
    ConfigProblem {
        key: Some("url".into()),
        message: message.into(),
        help: Some(help.into()),
    }
}

/// Certificates for a Redis to which no TLS is spoken.
fn without_tls() -> ConfigProblem {
    ConfigProblem {
        key: Some("tls_ca_file".into()),
        message: "`tls_ca_file` is for TLS, but the `url` of Redis asks for none".into(),
        help: Some("write `rediss://…` in the `url`, or remove `tls_ca_file`".into()),
    }
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
        let (config, problems) = read(&map(own), &map(link), ConfigRole::LinkTarget);
        assert_eq!(problems, []);
        config.backend
    }

    fn redis(url: &str) -> Backend {
        Backend::Redis(RedisConfig {
            url: url.into(),
            ..Default::default()
        })
    }

    #[test]
    fn keys_of_v1_name_servers_and_a_bucket_of_nats() {
        let own = [("backend", "nats")];
        let link = [
            ("cluster_uri", "nats://h:4222"),
            ("bucket", "WASMCLOUD"),
            ("enable_bucket_auto_create", "true"),
            ("tls_ca_file", "ca.pem"),
        ];
        let (config, problems) = read(&map(&own), &map(&link), ConfigRole::LinkTarget);
        assert_eq!(problems, []);
        let Backend::Nats(nats) = config.backend else {
            panic!("{:?}", config.backend);
        };
        assert_eq!(
            (&*nats.access.urls, &*nats.bucket),
            ("nats://h:4222", "WASMCLOUD")
        );
        assert_eq!(nats.access.ca_file.as_deref(), Some("ca.pem"));
        assert_eq!(config.bucket, DEFAULT_BUCKET);
        let twice = [("cluster_uri", "nats://a"), ("url", "nats://b")];
        let problems = check(ConfigRole::LinkTarget, &map(&twice));
        assert_eq!(problems.len(), 1, "{problems:?}");
    }

    #[test]
    fn s3_is_said_with_the_keys_of_the_blobstore() {
        let own = [("backend", "s3"), ("endpoint", "http://h:9000")];
        let link = [
            ("s3_bucket", "b"),
            ("s3_folder", "a/b"),
            ("access_key_id", "me"),
            ("secret_access_key", "s3cret"),
            ("tls_ca_file", "ca.pem"),
        ];
        let Backend::S3(s3) = backend(&own, &link) else {
            panic!("not S3");
        };
        assert_eq!((&*s3.bucket, s3.folder.as_deref()), ("b", Some("a/b")));
        assert_eq!(format!("{s3:?}"), "the bucket `b` of S3 at `http://h:9000`");
        assert!(matches!(
            backend(&[], &[("s3_bucket", "b")]),
            Backend::S3(_)
        ));
        let (_, problems) = read(&map(&own), &map(&[]), ConfigRole::LinkTarget);
        assert_eq!(problems[0].message, "`backend: s3` needs `s3_bucket`");
        // Neither by itself, nor with what the provider says.
        let watched = [("backend", "s3"), ("s3_bucket", "b")];
        let problems = check(ConfigRole::LinkSource, &map(&watched));
        assert_eq!(problems[0].message, NO_WATCH);
        let (_, problems) = read(&map(&watched), &map(&[]), ConfigRole::LinkSource);
        assert_eq!(problems[0].message, NO_WATCH);
        let wrong = [
            ("backend", "s3"),
            ("s3_folder", "../x"),
            ("endpoint", "https://u:s3cret@h"),
            ("access_key_id", ""),
            ("path", "x"),
        ];
        let problems = check(ConfigRole::LinkTarget, &map(&wrong));
        let said: String = problems
            .iter()
            .map(|p| format!("{}\n", p.message))
            .collect();
        assert_eq!(problems.len(), 5, "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }

    #[test]
    fn who_asks_s3_is_said_in_one_place() {
        let own = [
            ("s3_bucket", "b"),
            ("endpoint", "http://own"),
            ("access_key_id", "own"),
            ("secret_access_key", "own secret"),
            ("session_token", "own token"),
        ];
        let of = |link: &[(&str, &str)]| {
            let Backend::S3(s3) = backend(&own, link) else {
                panic!("not S3");
            };
            let s3 = s3.s3;
            let access = [s3.access_key_id, s3.secret_access_key, s3.session_token];
            (s3.endpoint.unwrap(), access.map(Option::unwrap_or_default))
        };
        let owns = ["own", "own secret", "own token"].map(str::to_owned);
        assert_eq!(of(&[]), ("http://own".into(), owns.clone()));
        assert_eq!(of(&[("s3_folder", "f")]), ("http://own".into(), owns));
        let another = [("access_key_id", "me"), ("secret_access_key", "my secret")];
        let mine = ["me", "my secret", ""].map(str::to_owned);
        assert_eq!(of(&another), ("http://own".into(), mine));
        let elsewhere = [("endpoint", "http://other")];
        assert_eq!(of(&elsewhere), ("http://other".into(), Default::default()));
        let token = [("session_token", "t"), ("s3_bucket", "b")];
        let problems = check(ConfigRole::LinkTarget, &map(&token));
        assert_eq!(
            problems[0].message,
            "`session_token` is given without `access_key_id`"
        );
    }

    #[test]
    fn certificates_are_for_those_who_speak_tls() {
        let ca = ("tls_ca_file", "ca.pem");
        let said = |own: &[(&str, &str)], link: &[(&str, &str)]| {
            let (_, problems) = read(&map(own), &map(link), ConfigRole::LinkTarget);
            assert!(problems.len() <= 1, "{problems:?}");
            problems.into_iter().next().map(|problem| problem.message)
        };
        for (own, link, backend) in [
            (None, ("backend", "memory"), "`backend` says `memory`"),
            (None, ("path", "x"), "with a `path` it is `redb`"),
            (None, ("bucket", "x"), "without any it is `redb`"),
            (
                Some(("backend", "memory")),
                ("bucket", "x"),
                "the provider's own configuration makes it `memory`",
            ),
        ] {
            let message = format!(
                "`tls_ca_file` is for `backend: redis` or `backend: nats` or `backend: s3`, but {backend}"
            );
            let own: Vec<_> = own.into_iter().collect();
            assert_eq!(said(&own, &[ca, link]), Some(message));
        }
        // Links may say what it is for.
        assert_eq!(check(ConfigRole::Own, &map(&[ca])), []);
        assert_eq!(said(&[ca], &[("backend", "memory")]), None);
        assert_eq!(said(&[("backend", "nats")], &[ca]), None);
        assert_eq!(said(&[("s3_bucket", "b")], &[ca]), None);
    }

    #[test]
    fn the_backend_is_said_or_implied() {
        assert_eq!(
            backend(&[], &[]),
            Backend::File("data/keyvalue.redb".into())
        );
        assert_eq!(
            backend(&[], &[("path", "a.redb")]),
            Backend::File("a.redb".into())
        );
        assert_eq!(backend(&[], &[("backend", "Memory")]), Backend::Memory);
        assert_eq!(
            backend(&[], &[("URL", "redis://h:1")]),
            redis("redis://h:1")
        );
        assert_eq!(
            backend(&[("backend", "redis")], &[]),
            redis("redis://127.0.0.1:6379/")
        );
        assert_eq!(
            backend(&[("url", "redis://h:1")], &[("path", "b")]),
            Backend::File("b".into())
        );
        assert_eq!(
            backend(&[("path", "b")], &[("url", "redis://h:1")]),
            redis("redis://h:1")
        );
    }

    #[test]
    fn a_url_says_which_server() {
        let link = [("url", "nats://u:s3cret@h"), ("nats_bucket", "b")];
        let Backend::Nats(nats) = backend(&[("url", "redis://h")], &link) else {
            panic!("not NATS")
        };
        assert_eq!((nats.bucket.as_str(), nats.replicas), ("b", 1));
        assert!(!format!("{nats:?}").contains("s3cret"));
        assert!(matches!(
            backend(&[], &[("url", "tls://h")]),
            Backend::Nats(_)
        ));
        let wrong = [
            ("url", "nats://u:s3cret@"),
            ("nats_bucket", "a b"),
            ("nats_replicas", "9"),
            ("backend", "redis"),
        ];
        let problems = check(ConfigRole::LinkTarget, &map(&wrong));
        let text = format!("{problems:?}");
        for part in [
            "a name of letters",
            "from 1 to 5",
            "`nats_bucket` is for `backend: nats`",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    fn v1_keys_are_understood() {
        let link = [
            ("URL", "redis://h"),
            ("BACKEND_RECONNECT_NUM_RETRIES", "7"),
            ("BACKEND_RECONNECT_MAX_DELAY_MS", "8"),
            ("BACKEND_CONNECTION_TIMEOUT_MS", "9"),
            ("BACKEND_RESPONSE_TIMEOUT_MS", "10"),
            ("DISABLE_DEFAULT_CONNECTION", "true"),
            ("SHARE_CONNECTIONS_BY_URL", "true"),
        ];
        let Backend::Redis(redis) = backend(&[], &link) else {
            panic!("not Redis")
        };
        let limits = [
            redis.max_delay,
            redis.connect_timeout,
            redis.response_timeout,
        ];
        assert_eq!(
            (redis.retries, limits.map(|d| d.as_millis())),
            (7, [8, 9, 10])
        );
    }

    #[test]
    fn everything_wrong_is_found_and_no_password_shown() {
        let wrong = [
            ("backend", "rediss"),
            ("url", "http://u:s3cret@h"),
            ("bucket", ""),
            ("backend_response_timeout_ms", "0"),
            ("pth", "x"),
        ];
        let problems = check(ConfigRole::LinkTarget, &map(&wrong));
        let messages: Vec<_> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "`backend` is `rediss`, expected `redb`, `memory`, `redis`, `nats` or `s3`",
                "`backend_response_timeout_ms` is `0`, expected a number of milliseconds greater than 0",
                "`bucket` is ``, expected a bucket's name",
                "`url` cannot be used, expected `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` for TLS; \
                 of a cluster there may be several, with commas between them",
                "unknown key `pth`",
            ]
        );
        assert_eq!(problems[4].help.as_deref(), Some("did you mean `path`?"));
        assert!(!format!("{problems:?}").contains("s3cret"));
    }

    #[test]
    fn certificates_of_redis_are_for_urls_with_tls() {
        let ca = ("tls_ca_file", "ca.pem");
        let tls = ("url", "rediss://u:s3cret@h");
        let of = |own: &[(&str, &str)], link: &[(&str, &str)]| match backend(own, link) {
            Backend::Redis(redis) => redis.ca_file,
            other => panic!("{other:?}"),
        };
        assert_eq!(of(&[], &[tls]), None);
        for (own, link) in [
            (&[][..], &[tls, ca][..]),
            (&[ca], &[tls]),
            (&[tls], &[ca]),
            (&[ca, tls], &[]),
        ] {
            assert_eq!(of(own, link).as_deref(), Some("ca.pem"));
        }
        // The provider's own are for those links that speak TLS.
        let plain = ("url", "redis://h");
        assert_eq!(of(&[ca], &[plain]), None);
        for (own, link) in [(&[][..], &[plain, ca][..]), (&[plain], &[ca])] {
            let (_, problems) = read(&map(own), &map(link), ConfigRole::LinkTarget);
            assert_eq!(problems, [without_tls()]);
        }
        let unchecked = [("url", "rediss://u:s3cret@h/#insecure")];
        let problems = check(ConfigRole::LinkTarget, &map(&unchecked));
        let said = &problems[0].message;
        assert!(said.contains("certificates are always checked") && !said.contains("s3cret"));
    }

    #[test]
    fn a_cluster_is_said_or_implied_by_several_urls() {
        let of = |own: &[(&str, &str)], link: &[(&str, &str)]| match backend(own, link) {
            Backend::Redis(redis) => (redis.url, redis.cluster),
            other => panic!("{other:?}"),
        };
        let several = ("url", "redis://h,redis://i");
        assert_eq!(of(&[], &[several]), (several.1.into(), None));
        let said = of(&[("cluster", "true")], &[("url", "redis://h")]);
        assert_eq!(said, ("redis://h".into(), Some(true)));
        let one = ("cluster", "false");
        for (own, link) in [
            (&[][..], &[several, one][..]),
            (&[several], &[one]),
            (&[("cluster", "true")], &[("url", "redis://u:s3cret@h/1")]),
            (&[], &[("url", "redis://u:s3cret@h,redis://i")]),
            (&[], &[("cluster", "true"), ("path", "x")]),
        ] {
            let (_, problems) = read(&map(own), &map(link), ConfigRole::LinkTarget);
            assert_eq!(problems.len(), 1, "{link:?}: {problems:?}");
            assert!(!format!("{problems:?}").contains("s3cret"));
        }
    }

    #[test]
    fn keys_of_another_backend_are_a_problem() {
        let cases = [
            (
                vec![("backend", "redis"), ("path", "x")],
                "`path` is for `backend: redb`, but `backend` says `redis`",
            ),
            (
                vec![("backend", "memory"), ("url", "redis://h")],
                "`url` is for `backend: redis`, but `backend` says `memory`",
            ),
            (
                vec![("url", "redis://h"), ("path", "x")],
                "`path` is for `backend: redb`, but with its `url` it is `redis`",
            ),
        ];
        for (pairs, message) in cases {
            let problems = check(ConfigRole::LinkTarget, &map(&pairs));
            assert_eq!(problems.len(), 1);
            assert_eq!(problems[0].message, message);
        }
    }

    #[test]
    fn what_is_watched_is_read_as_v1_has_it_and_more() {
        let link = [
            ("URL", "redis://h"),
            ("WATCH", "SET@a, del@a,  cart/*, DEL@x@y,"),
            ("max_concurrent", "1"),
        ];
        let own = [("redis_notifications", "enable")];
        let (config, problems) = read(&map(&own), &map(&link), ConfigRole::LinkSource);
        assert_eq!(problems, []);
        let keys: Vec<_> = config
            .watch
            .keys
            .iter()
            .map(|keys| (keys.name.as_str(), keys.is_prefix, keys.set, keys.deleted))
            .collect();
        assert_eq!(
            keys,
            [
                ("a", false, true, false),
                ("a", false, false, true),
                ("cart/", true, true, true),
                ("x@y", false, false, true),
            ]
        );
        let Backend::Redis(redis) = config.backend else {
            panic!("not Redis")
        };
        assert_eq!(redis.notifications, Notifications::Enable);
        let (config, _) = read(&map(&[]), &map(&[]), ConfigRole::LinkSource);
        assert_eq!(config.watch.keys, [WatchedKeys::all()]);
    }

    #[test]
    fn only_links_to_components_that_are_told_say_what_is_watched() {
        let watch = map(&[("watch", "a"), ("timeout_ms", "5")]);
        assert_eq!(check(ConfigRole::LinkSource, &watch), []);
        assert_eq!(check(ConfigRole::Own, &watch), []);
        assert_eq!(check(ConfigRole::LinkTarget, &watch).len(), 2);
        let wrong = map(&[
            ("watch", " , "),
            ("max_concurrent", "0"),
            ("timeout_ms", "0"),
            ("redis_notifications", "on"),
            ("backend", "memory"),
        ]);
        assert_eq!(check(ConfigRole::LinkSource, &wrong).len(), 4);
    }
}
