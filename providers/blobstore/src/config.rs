//! The settings, with the keys of wasmCloud v1's providers.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use withe_provider::nats::{NatsAccess, servers};
use withe_provider::{ConfigMap, ConfigProblem, ConfigRole, Settings};

use crate::cloud::{Azure, Cloud, CloudConfig, Gcs, S3};
use crate::nats::NatsConfig;

const BACKENDS: [&str; 6] = ["memory", "folder", "nats", "s3", "azure", "gcs"];
/// Where the folder is if nobody says.
const DEFAULT_ROOT: &str = "data/blobs";
/// How much memory may be taken if nobody says.
const DEFAULT_MEMORY: u64 = 256 << 20;
/// Longest that a server may take to answer if nobody says.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
const DEFAULT_REGION: &str = "us-east-1";
/// The prefix of those keys of v1 that give buckets other names.
const ALIAS: &str = "alias_";

/// The backend of a link's objects.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Backend {
    /// The memory of this process; how many bytes of it.
    Memory(u64),
    /// The folder at this path.
    Folder(String),
    /// NATS.
    Nats(Box<NatsConfig>),
    /// S3, Azure or Google Cloud Storage.
    Cloud(Box<CloudConfig>),
}

impl Backend {
    /// The name under which its calls are counted; `None` for this process's memory.
    pub(crate) fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Memory(_) => None,
            Self::Folder(_) => Some("folder"),
            Self::Nats(_) => Some("nats"),
            Self::Cloud(config) => Some(match config.cloud {
                Cloud::S3(_) => "s3",
                Cloud::Azure(_) => "azure",
                Cloud::Gcs(_) => "gcs",
            }),
        }
    }
}

/// Which backends a key is for.
const KEYS: &[(&str, &[&str])] = &[
    ("max_bytes", &["memory"]),
    ("root", &["folder"]),
    ("url", &["nats"]),
    ("creds_file", &["nats"]),
    ("client_jwt", &["nats"]),
    ("client_seed", &["nats"]),
    ("js_domain", &["nats"]),
    ("num_replicas", &["nats"]),
    ("storage_type", &["nats"]),
    ("compression", &["nats"]),
    ("max_age", &["nats"]),
    ("access_key_id", &["s3"]),
    ("secret_access_key", &["s3"]),
    ("session_token", &["s3"]),
    ("region", &["s3"]),
    ("storage_account", &["azure"]),
    ("storage_access_key", &["azure"]),
    ("service_account_file", &["gcs"]),
    ("endpoint", &["s3", "azure", "gcs"]),
    ("bucket", &["s3", "azure", "gcs"]),
    ("tls_ca_file", &["nats", "s3", "azure", "gcs"]),
    ("timeout_ms", &["nats", "s3", "azure", "gcs"]),
];

/// v1's names of keys that have another here.
const OTHER_NAMES: &[(&str, &str)] = &[("cluster_uri", "url")];

/// v1's configuration of S3, as one value.
#[derive(Default, Deserialize)]
#[serde(default)]
struct V1S3 {
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    region: Option<String>,
    bucket_region: Option<String>,
    endpoint: Option<String>,
    aliases: BTreeMap<String, String>,
}

/// The settings of one map: each key that is known, as it is used here.
#[derive(Default)]
struct Given {
    /// One of [`BACKENDS`]; said, or implied by another key.
    backend: Option<&'static str>,
    values: BTreeMap<&'static str, String>,
    aliases: BTreeMap<String, String>,
}

/// Finds what is wrong with a configuration.
pub(crate) fn check(role: ConfigRole, config: &ConfigMap) -> Vec<ConfigProblem> {
    match role {
        ConfigRole::Own | ConfigRole::LinkTarget => read_given(config).1,
        ConfigRole::LinkSource => Settings::new(config).finish(),
    }
}

/// Reads a link's configuration; what it does not say, the provider's `own` does. What is wrong is left at its
/// default.
pub(crate) fn read(own: &ConfigMap, link: &ConfigMap) -> (Backend, Vec<ConfigProblem>) {
    let (own, mut problems) = read_given(own);
    let (link, link_problems) = read_given(link);
    problems.extend(link_problems);
    let name = link.backend.or(own.backend).unwrap_or("memory");
    // A secret goes with the name that it is of, so a link that names another has its own.
    let all = Given {
        backend: Some(name),
        values: own.values.into_iter().chain(link.values).collect(),
        aliases: own.aliases.into_iter().chain(link.aliases).collect(),
    };
    let backend = all.backend(name);
    if let Backend::Cloud(cloud) = &backend
        && matches!(&cloud.cloud, Cloud::Azure(azure) if azure.account.is_empty())
    {
        problems.push(missing("storage_account", "azure"));
    }
    (backend, problems)
}

fn missing(key: &str, backend: &str) -> ConfigProblem {
    ConfigProblem {
        key: None,
        message: format!("`backend: {backend}` needs `{key}`"),
        help: Some(format!("set `{key}` on the link or on the provider")),
    }
}

impl Given {
    fn text(&self, key: &str) -> Option<String> {
        self.values.get(key).cloned()
    }

    fn parse<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.values.get(key)?.parse().ok()
    }

    fn timeout(&self) -> Duration {
        let timeout = self.parse("timeout_ms").map(Duration::from_millis);
        timeout.unwrap_or(DEFAULT_TIMEOUT)
    }

    fn backend(&self, name: &str) -> Backend {
        let cloud = |cloud| {
            Backend::Cloud(Box::new(CloudConfig {
                cloud,
                bucket: self.text("bucket"),
                aliases: self.aliases.clone(),
                tls_ca_file: self.text("tls_ca_file"),
                timeout: self.timeout(),
            }))
        };
        match name {
            "folder" => Backend::Folder(self.text("root").unwrap_or_else(|| DEFAULT_ROOT.into())),
            "nats" => Backend::Nats(Box::new(self.nats())),
            "s3" => cloud(Cloud::S3(S3 {
                endpoint: self.text("endpoint"),
                region: self.text("region").unwrap_or_else(|| DEFAULT_REGION.into()),
                access_key_id: self.text("access_key_id"),
                secret_access_key: self.text("secret_access_key"),
                session_token: self.text("session_token"),
            })),
            "azure" => cloud(Cloud::Azure(Azure {
                account: self.text("storage_account").unwrap_or_default(),
                access_key: self.text("storage_access_key"),
                endpoint: self.text("endpoint"),
            })),
            "gcs" => cloud(Cloud::Gcs(Gcs {
                account_file: self.text("service_account_file"),
                endpoint: self.text("endpoint"),
            })),
            _ => Backend::Memory(self.parse("max_bytes").unwrap_or(DEFAULT_MEMORY)),
        }
    }

    fn nats(&self) -> NatsConfig {
        let defaults = NatsConfig::default();
        let user = self.text("client_jwt").zip(self.text("client_seed"));
        NatsConfig {
            access: NatsAccess {
                urls: self.text("url").unwrap_or(defaults.access.urls),
                user,
                credentials_file: self.text("creds_file"),
                ca_file: self.text("tls_ca_file"),
                ca: None,
            },
            js_domain: self.text("js_domain"),
            replicas: self.parse("num_replicas").unwrap_or(defaults.replicas),
            in_memory: self
                .values
                .get("storage_type")
                .is_some_and(|t| is_memory(t)),
            compression: self.values.get("compression").is_some_and(|c| c == "true"),
            max_age: self
                .parse("max_age")
                .map_or(Duration::ZERO, Duration::from_secs),
            timeout: self.timeout(),
        }
    }
}

fn is_memory(storage: &str) -> bool {
    storage.eq_ignore_ascii_case("memory")
}

fn read_given(config: &ConfigMap) -> (Given, Vec<ConfigProblem>) {
    // The names of such keys are whatever their writer likes.
    let is_alias = |key: &str| key.to_ascii_lowercase().starts_with(ALIAS);
    let (aliases, others): (ConfigMap, ConfigMap) = config
        .clone()
        .into_iter()
        .partition(|(key, _)| is_alias(key));
    let mut s = Settings::new(&others);
    let said = s.choice("backend", &BACKENDS);
    let mut given = Given {
        aliases: aliases
            .into_iter()
            .map(|(key, bucket)| (key[ALIAS.len()..].to_owned(), bucket))
            .collect(),
        ..Given::default()
    };
    for (key, _) in KEYS {
        if let Some(value) = s.text(key) {
            given.values.insert(key, value.to_owned());
        }
    }
    for (other, key) in OTHER_NAMES {
        if let Some(value) = s.text(other) {
            given.values.entry(key).or_insert_with(|| value.to_owned());
        }
    }
    // v1 waits so many seconds for a write.
    if let Some(seconds) = s.parse::<u64>("max_write_wait", "a number of seconds") {
        let millis = seconds.saturating_mul(1000).to_string();
        given.values.entry("timeout_ms").or_insert(millis);
    }
    let is_v1_s3 = v1_s3(&mut s, &mut given);
    check_values(&mut s, &given);

    let mut backend = said;
    let implied = is_v1_s3 || !given.aliases.is_empty();
    if implied && backend.is_none() {
        backend = Some("s3");
    }
    for (key, of) in KEYS {
        if !given.values.contains_key(key) {
            continue;
        }
        match (backend, of) {
            (None, [only]) => backend = Some(only),
            (Some(backend), of) if !of.contains(&backend) => {
                let of = of.join("`, `");
                let message = format!("`{key}` is for `{of}`, but this is `{backend}`");
                let help = "remove it, or say which `backend` is meant".into();
                s.problem(Some(key), message, Some(help));
            }
            (None | Some(_), _) => {}
        }
    }
    given.backend = backend;
    (given, s.finish())
}

/// Reads v1's configuration of S3, if it is there.
fn v1_s3(s: &mut Settings<'_>, given: &mut Given) -> bool {
    let json = s.text("config_json").map(|text| text.as_bytes().to_vec());
    let encoded = s.text("config_b64").map(|text| STANDARD.decode(text));
    let (key, text) = match (json, encoded) {
        (Some(json), _) => ("config_json", json),
        (None, Some(Ok(text))) => ("config_b64", text),
        (None, Some(Err(_))) => {
            s.problem(Some("config_b64"), "`config_b64` is not base64", None);
            return true;
        }
        (None, None) => return false,
    };
    // The value may hold a key, so nothing of it is repeated.
    let Ok(v1) = serde_json::from_slice::<V1S3>(&text) else {
        let message =
            format!("`{key}` cannot be read: it must be JSON with texts, such as `access_key_id`");
        s.problem(Some(key), message, None);
        return true;
    };
    let values = [
        ("access_key_id", v1.access_key_id),
        ("secret_access_key", v1.secret_access_key),
        ("session_token", v1.session_token),
        ("region", v1.region.or(v1.bucket_region)),
        ("endpoint", v1.endpoint),
    ];
    for (key, value) in values {
        if let Some(value) = value {
            given.values.entry(key).or_insert(value);
        }
    }
    given.aliases.extend(v1.aliases);
    true
}

fn check_values(s: &mut Settings<'_>, given: &Given) {
    for (key, value) in &given.values {
        if value.is_empty() {
            s.problem(
                Some(key),
                format!("`{key}` is empty"),
                Some("remove it, or give it a value".into()),
            );
        }
    }
    let is_number = |key: &str| (given.values.get(key)).is_none_or(|v| v.parse::<u64>().is_ok());
    for key in ["max_bytes", "max_age", "timeout_ms"] {
        if !is_number(key) {
            s.bad_value(key, "a whole number");
        }
    }
    if given.text("timeout_ms").as_deref() == Some("0") {
        s.bad_value("timeout_ms", "a number of milliseconds greater than 0");
    }
    let replicas = given.values.get("num_replicas");
    if replicas.is_some_and(|n| !matches!(n.parse(), Ok(1..=5usize))) {
        s.bad_value("num_replicas", "a number from 1 to 5");
    }
    let one_of = |key: &str, values: &[&str]| {
        let value = given.values.get(key);
        value.is_none_or(|value| values.iter().any(|one| one.eq_ignore_ascii_case(value)))
    };
    if !one_of("storage_type", &["file", "memory"]) {
        s.bad_value("storage_type", "`file` or `memory`");
    }
    if !one_of("compression", &["true", "false"]) {
        s.bad_value("compression", "`true` or `false`");
    }
    // The value may hold a password, so it is not repeated.
    if let Some(Err(expected)) = given.values.get("url").map(|url| servers(url)) {
        s.problem(
            Some("url"),
            format!("`url` cannot be used, expected {expected}"),
            None,
        );
    }
    let endpoint = given.values.get("endpoint");
    let is_url = |url: &String| {
        let url = url.parse::<http::Uri>();
        url.is_ok_and(|url| matches!(url.scheme_str(), Some("http" | "https")))
    };
    match endpoint {
        // Endpoints are told in errors, and so would be who asks; nothing of this value is repeated.
        Some(url) if url.contains('@') => {
            s.problem(
                Some("endpoint"),
                "`endpoint` has a user or a password in it",
                Some("remove it: who asks is told by other keys, such as `access_key_id`".into()),
            );
        }
        Some(url) if !url.is_empty() && !is_url(url) => {
            s.bad_value("endpoint", "`http://HOST[:PORT]` or `https://HOST[:PORT]`");
        }
        Some(_) | None => {}
    }
    for (one, other) in [
        ("access_key_id", "secret_access_key"),
        ("client_jwt", "client_seed"),
    ] {
        for (there, missing) in [(one, other), (other, one)] {
            if given.values.contains_key(there) && !given.values.contains_key(missing) {
                let message = format!("`{there}` is given without `{missing}`");
                s.problem(
                    Some(there),
                    message,
                    Some(format!(
                        "give both in one place, or neither; `{missing}` is missing"
                    )),
                );
            }
        }
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
        let (backend, problems) = read(&map(own), &map(link));
        assert_eq!(problems, []);
        backend
    }

    fn messages(config: &[(&str, &str)]) -> Vec<String> {
        let problems = check(ConfigRole::LinkTarget, &map(config));
        problems.into_iter().map(|p| p.message).collect()
    }

    #[test]
    fn what_is_given_says_which_backend() {
        let folder = |path: &str| Backend::Folder(path.into());
        assert_eq!(backend(&[], &[]), Backend::Memory(DEFAULT_MEMORY));
        assert_eq!(backend(&[("ROOT", "/srv")], &[]), folder("/srv"));
        assert_eq!(backend(&[("root", "a")], &[("root", "b")]), folder("b"));
        assert_eq!(backend(&[("backend", "folder")], &[]), folder(DEFAULT_ROOT));
        assert_eq!(
            backend(&[("root", "a")], &[("max_bytes", "9")]),
            Backend::Memory(9)
        );
        assert!(matches!(
            backend(&[("url", "nats://h")], &[]),
            Backend::Nats(_)
        ));
        let s3 = [("bucket", "b"), ("region", "eu-north-1")];
        let Backend::Cloud(cloud) = backend(&[("backend", "s3")], &s3) else {
            panic!("no cloud")
        };
        assert_eq!(cloud.bucket.as_deref(), Some("b"));
        assert_eq!(format!("{cloud:?}"), "S3 in `eu-north-1`");
    }

    #[test]
    fn v1_keys_are_understood() {
        let json = r#"{"access_key_id":"me","secret_access_key":"s3cret","endpoint":"http://h:9000","region":"r",
            "aliases":{"photos":"real-photos"},"max_attempts":3}"#;
        let encoded = STANDARD.encode(json);
        let all = [("CONFIG_JSON", json), ("CONFIG_B64", &*encoded)];
        for (key, value) in all {
            let config = [(key, value), ("alias_films", "real-films")];
            let Backend::Cloud(cloud) = backend(&[], &config) else {
                panic!("no cloud")
            };
            let Cloud::S3(s3) = &cloud.cloud else {
                panic!("not S3")
            };
            assert_eq!(s3.secret_access_key.as_deref(), Some("s3cret"));
            assert_eq!((&*s3.region, cloud.aliases.len()), ("r", 2));
            assert_eq!(cloud.aliases["films"], "real-films");
            assert!(!format!("{cloud:?}").contains("s3cret"));
        }
        let azure = [("STORAGE_ACCOUNT", "a"), ("storage_access_key", "s3cret")];
        assert!(matches!(backend(&[], &azure), Backend::Cloud(_)));
        let nats = [
            ("cluster_uri", "nats://u:s3cret@h:4223"),
            ("js_domain", "d"),
            ("max_write_wait", "7"),
            ("max_age", "60"),
            ("storage_type", "Memory"),
            ("num_replicas", "3"),
            ("compression", "true"),
        ];
        let Backend::Nats(nats) = backend(&[("backend", "nats")], &nats) else {
            panic!("not NATS")
        };
        assert_eq!((nats.timeout.as_secs(), nats.max_age.as_secs()), (7, 60));
        assert!(nats.in_memory && nats.compression && nats.replicas == 3);
        assert!(!format!("{nats:?}").contains("s3cret"));
    }

    #[test]
    fn everything_wrong_is_found_and_no_secret_shown() {
        let wrong = [
            ("backend", "s4"),
            ("endpoint", "h:9"),
            ("secret_access_key", "s3cret"),
            ("timeout_ms", "0"),
            ("rot", "x"),
        ];
        let problems = messages(&wrong);
        assert_eq!(
            problems,
            [
                "`backend` is `s4`, expected `memory`, `folder`, `nats`, `s3`, `azure` or `gcs`",
                "`timeout_ms` is `0`, expected a number of milliseconds greater than 0",
                "`endpoint` is `h:9`, expected `http://HOST[:PORT]` or `https://HOST[:PORT]`",
                "`secret_access_key` is given without `access_key_id`",
                "unknown key `rot`",
            ]
        );
        for config in [
            [("config_json", "{\"secret_access_key\": s3cret}")],
            [("config_b64", "s3cret!")],
            [("url", "http//u:s3cret@")],
            [("endpoint", "https://u:s3cret@h:9000")],
            [("endpoint", "u:s3cret@h:9000")],
        ] {
            let problems = messages(&config);
            assert!(
                !problems.is_empty() && !problems.concat().contains("s3cret"),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn keys_of_another_backend_are_a_problem() {
        let problems = messages(&[("backend", "memory"), ("root", "x")]);
        assert_eq!(problems, ["`root` is for `folder`, but this is `memory`"]);
        let problems = messages(&[("root", "x"), ("max_bytes", "1")]);
        assert_eq!(problems, ["`root` is for `folder`, but this is `memory`"]);
        let (_, problems) = read(&map(&[("backend", "azure")]), &map(&[]));
        assert_eq!(
            problems[0].message,
            "`backend: azure` needs `storage_account`"
        );
    }
}
