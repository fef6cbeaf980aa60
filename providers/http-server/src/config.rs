//! The settings, read from flat maps with wasmCloud v1's keys.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, alphabet, engine::DecodePaddingMode};
use http::{HeaderName, HeaderValue, Method};
use serde_json::Value;
use withe_provider::{ConfigMap, ConfigProblem, ConfigRole, Settings};

use crate::cors::Cors;
use crate::crowd::CrowdLimits;
use crate::link::RequestLimits;
use crate::methods::AllowedMethods;
use crate::paths::AmbiguousPaths;
use crate::routes::{RoutePlace, parse_host, parse_path};
use crate::tls::TlsFiles;
use crate::transfer::Pace;

/// Where a link that says nothing listens, as in wasmCloud v1.
const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8000);
const DEFAULT_LIMITS: RequestLimits = RequestLimits {
    response: Duration::from_secs(30),
    idle: Duration::from_secs(300),
    request: None,
    pace: Pace {
        rate: 500,
        budget: Duration::from_secs(30),
    },
    body: None,
};
const DEFAULT_HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_HEAD_BYTES: usize = 64 << 10;
/// How many bytes a head may be allowed. Hyper reads heads into a buffer that does not grow beyond 400 KiB.
const HEAD_BYTES: RangeInclusive<usize> = 1 << 10..=256 << 10;
const DEFAULT_MAX_CONNECTIONS: usize = 10_000;
const DEFAULT_MAX_REQUESTS: usize = 10_000;
const DEFAULT_MAX_HANDSHAKES: usize = 1_000;
const POSITIVE: &str = "a number greater than 0";
const DEFAULT_CORS_METHODS: &str = "GET,POST,PUT,DELETE,HEAD,OPTIONS";
const DEFAULT_CORS_HEADERS: &str = "accept,accept-language,content-type,content-language";
const DEFAULT_CORS_MAX_AGE: u64 = 300;

/// How links are told apart (`routing_mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By the address they listen on; links that share one, by host and path.
    #[default]
    Address,
    /// By path: each link must have one.
    Path,
    /// By host: each link must have one.
    Host,
}

/// The provider's own configuration.
#[derive(Debug)]
pub(crate) struct OwnConfig {
    pub(crate) mode: Mode,
    pub(crate) default_address: SocketAddr,
    /// The header that names the host; the request's authority if it is `host`.
    pub(crate) header: HeaderName,
    /// How paths are treated that can be read in more than one way.
    pub(crate) ambiguous_paths: AmbiguousPaths,
    /// How many connections and requests one listener holds at a time.
    pub(crate) crowd: CrowdLimits,
    /// How long a client may take over a request's head, and leave a connection idle.
    pub(crate) head_timeout: Duration,
    /// The most bytes of a request's head.
    pub(crate) head_bytes: usize,
    /// The settings of links that do not say otherwise.
    serving: ServingConfig,
}

/// A link's configuration, with the provider's defaults filled in.
#[derive(Debug)]
pub(crate) struct LinkConfig {
    pub(crate) address: SocketAddr,
    pub(crate) place: RoutePlace,
    pub(crate) limits: RequestLimits,
    pub(crate) methods: Option<AllowedMethods>,
    pub(crate) access_log: bool,
    pub(crate) close: bool,
    pub(crate) cache_control: Option<HeaderValue>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) cors: Option<Cors>,
}

/// How requests are served; in the provider's own configuration these are defaults for its links.
#[derive(Clone, Debug, Default)]
struct ServingConfig {
    timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    request_timeout: Option<Duration>,
    min_rate: Option<u64>,
    slow_budget: Option<Duration>,
    max_body: Option<u64>,
    readonly: Option<bool>,
    methods: Option<AllowedMethods>,
    access_log: Option<bool>,
    close: Option<bool>,
    cache_control: Option<HeaderValue>,
    tls: Option<TlsFiles>,
    cors: Option<Cors>,
}

/// Finds what is wrong with a configuration.
pub(crate) fn check(role: ConfigRole, config: &ConfigMap) -> Vec<ConfigProblem> {
    match role {
        ConfigRole::Own => read_own(config).1,
        ConfigRole::LinkSource => read_link(config, &read_own(&ConfigMap::new()).0).1,
        ConfigRole::LinkTarget => Settings::new(config).finish(),
    }
}

/// Reads the provider's own configuration. A faulty setting stays at its default.
pub(crate) fn read_own(config: &ConfigMap) -> (OwnConfig, Vec<ConfigProblem>) {
    let (config, mut problems) = expand(config);
    let mut s = Settings::new(&config);
    let mode = match s.choice("routing_mode", &["address", "path", "host"]) {
        Some("path") => Mode::Path,
        Some("host") => Mode::Host,
        _ => Mode::Address,
    };
    let default_address = address(&mut s, "default_address");
    let listen = listen(&mut s);
    let header = s
        .parse("header", "the name of a header")
        .unwrap_or(http::header::HOST);
    let ambiguous_paths = s.choice("ambiguous_paths", &AmbiguousPaths::NAMES);
    let ambiguous_paths = ambiguous_paths
        .map(AmbiguousPaths::named)
        .unwrap_or_default();
    let crowd = crowd(&mut s);
    let head_timeout = s.millis("head_timeout_ms").unwrap_or(DEFAULT_HEAD_TIMEOUT);
    let head_bytes = head_bytes(&mut s);
    let serving = serving(&mut s);
    problems.extend(s.finish());
    let default_address = default_address.or(listen).unwrap_or(DEFAULT_ADDRESS);
    (
        OwnConfig {
            mode,
            default_address,
            header,
            ambiguous_paths,
            crowd,
            head_timeout,
            head_bytes,
            serving,
        },
        problems,
    )
}

/// Reads a link's configuration. A faulty setting stays at its default.
pub(crate) fn read_link(config: &ConfigMap, own: &OwnConfig) -> (LinkConfig, Vec<ConfigProblem>) {
    let (config, mut problems) = expand(config);
    let mut s = Settings::new(&config);
    let address = listen(&mut s).unwrap_or(own.default_address);
    let path = match s.text("path").map(parse_path) {
        Some(Err(expected)) => {
            s.bad_value("path", expected);
            String::new()
        }
        Some(Ok(path)) => path,
        None => {
            if own.mode == Mode::Path {
                let help = "add `path: /` to the link's source configuration".into();
                s.problem(
                    None,
                    "`routing_mode` is `path`, but the link has no `path`",
                    Some(help),
                );
            }
            String::new()
        }
    };
    let host = match s.text("host").map(parse_host) {
        Some(Err(expected)) => {
            s.bad_value("host", expected);
            None
        }
        Some(Ok(host)) => Some(host),
        None => None,
    };
    if s.text("host").is_none() && own.mode == Mode::Host {
        let help = "add `host: example.com` to the link's source configuration".into();
        s.problem(
            None,
            "`routing_mode` is `host`, but the link has no `host`",
            Some(help),
        );
    }
    let serving = serving(&mut s).or(&own.serving);
    problems.extend(s.finish());
    let link = LinkConfig {
        address,
        place: RoutePlace { host, path },
        limits: RequestLimits {
            response: serving.timeout.unwrap_or(DEFAULT_LIMITS.response),
            idle: serving.idle_timeout.unwrap_or(DEFAULT_LIMITS.idle),
            request: serving.request_timeout.or(DEFAULT_LIMITS.request),
            pace: Pace {
                rate: serving.min_rate.unwrap_or(DEFAULT_LIMITS.pace.rate),
                budget: serving.slow_budget.unwrap_or(DEFAULT_LIMITS.pace.budget),
            },
            body: serving.max_body.or(DEFAULT_LIMITS.body),
        },
        methods: match serving.readonly {
            Some(true) => Some(AllowedMethods::read_only()),
            Some(false) | None => serving.methods,
        },
        access_log: serving.access_log.unwrap_or(false),
        close: serving.close.unwrap_or(false),
        cache_control: serving.cache_control,
        tls: serving.tls,
        cors: serving.cors,
    };
    (link, problems)
}

/// How many bytes a request's head may have.
fn head_bytes(s: &mut Settings<'_>) -> usize {
    let expected = "a number from 1024 to 262144";
    match s.parse("max_head_bytes", expected) {
        Some(bytes) if !HEAD_BYTES.contains(&bytes) => {
            s.bad_value("max_head_bytes", expected);
            DEFAULT_HEAD_BYTES
        }
        given => given.unwrap_or(DEFAULT_HEAD_BYTES),
    }
}

/// How many connections and requests there may be; an address gets a quarter unless configured.
fn crowd(s: &mut Settings<'_>) -> CrowdLimits {
    let mut number = |key: &'static str, default: usize| match s.parse(key, POSITIVE) {
        Some(0) => {
            s.bad_value(key, POSITIVE);
            default
        }
        given => given.unwrap_or(default),
    };
    let connections = number("max_connections", DEFAULT_MAX_CONNECTIONS);
    let requests = number("max_requests", DEFAULT_MAX_REQUESTS);
    let quarter = |all: usize| (all / 4).max(1);
    CrowdLimits {
        connections,
        connections_of_address: number("max_connections_per_address", quarter(connections)),
        requests,
        requests_of_address: number("max_requests_per_address", quarter(requests)),
        handshakes: number("max_handshakes", DEFAULT_MAX_HANDSHAKES),
    }
}

/// `address`, or `port` on the loopback interface.
fn listen(s: &mut Settings<'_>) -> Option<SocketAddr> {
    let port = s
        .parse("port", "a port number")
        .map(|port| (Ipv4Addr::LOCALHOST, port).into());
    let address = address(s, "address");
    if port.is_some() && address.is_some() {
        let help = "keep `address`, which can say both";
        s.problem(
            Some("port"),
            "`port` and `address` are both given",
            Some(help.into()),
        );
    }
    address.or(port)
}

fn address(s: &mut Settings<'_>, key: &'static str) -> Option<SocketAddr> {
    let text = s.text(key)?;
    let local = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    let address = local.as_deref().unwrap_or(text).parse().ok();
    if address.is_none() {
        s.bad_value(
            key,
            "an IP address and a port, such as `127.0.0.1:8000` or `[::]:8000`",
        );
    }
    address
}

fn serving(s: &mut Settings<'_>) -> ServingConfig {
    ServingConfig {
        timeout: s.millis("timeout_ms"),
        idle_timeout: s.millis("idle_timeout_ms"),
        request_timeout: s.millis("request_timeout_ms"),
        min_rate: s.parse("min_bytes_per_second", "a number"),
        slow_budget: s.millis("slow_budget_ms"),
        max_body: s.parse("max_body_bytes", "a number of bytes"),
        readonly: s.flag("readonly_mode"),
        methods: methods(s),
        access_log: s.flag("access_log"),
        close: s.flag("disable_keepalive"),
        cache_control: s.parse("cache_control", "the value of a header"),
        tls: tls(s),
        cors: cors(s),
    }
}

fn methods(s: &mut Settings<'_>) -> Option<AllowedMethods> {
    match AllowedMethods::parse(s.text("methods")?) {
        Ok(methods) => Some(methods),
        Err(expected) => {
            s.bad_value("methods", expected);
            None
        }
    }
}

fn tls(s: &mut Settings<'_>) -> Option<TlsFiles> {
    match (s.text("tls_cert_file"), s.text("tls_priv_key_file")) {
        (Some(cert), Some(key)) => Some(TlsFiles {
            cert: cert.into(),
            key: key.into(),
        }),
        (None, None) => None,
        (given, _) => {
            let pair = ["tls_cert_file", "tls_priv_key_file"];
            let [key, missing] = if given.is_some() {
                pair
            } else {
                [pair[1], pair[0]]
            };
            let message = format!("`{key}` is given without `{missing}`");
            s.problem(Some(key), message, Some(format!("add `{missing}`")));
            None
        }
    }
}

/// The policy, if any `cors_*` key is given.
fn cors(s: &mut Settings<'_>) -> Option<Cors> {
    let origins = list(s, "cors_allowed_origins");
    let methods = list(s, "cors_allowed_methods");
    let headers = list(s, "cors_allowed_headers");
    let exposed = list(s, "cors_exposed_headers");
    let max_age = s.parse::<u64>("cors_max_age_secs", "a number of seconds");
    let lists = [&origins, &methods, &headers, &exposed];
    if max_age.is_none() && lists.iter().all(|list| list.is_none()) {
        return None;
    }
    for origin in origins.iter().flatten() {
        if !is_origin(origin) {
            let message = format!("`{origin}` is not an origin");
            let help = "write it as browsers do: `https://example.com`, with a port if it is not the usual one";
            s.problem(Some("cors_allowed_origins"), message, Some(help.into()));
        }
    }
    for method in methods.iter().flatten() {
        if Method::try_from(method.as_str()).is_err() {
            s.problem(
                Some("cors_allowed_methods"),
                format!("`{method}` is not a method"),
                None,
            );
        }
    }
    for (key, names) in [
        ("cors_allowed_headers", &headers),
        ("cors_exposed_headers", &exposed),
    ] {
        for name in names.iter().flatten() {
            if HeaderName::try_from(name.as_str()).is_err() {
                s.problem(
                    Some(key),
                    format!("`{name}` is not the name of a header"),
                    None,
                );
            }
        }
    }
    // A faulty header value was reported above as no method or header.
    let joined = |list: Option<Vec<String>>, default: &'static str| {
        list.filter(|list| !list.is_empty())
            .and_then(|list| HeaderValue::try_from(list.join(",")).ok())
            .unwrap_or(HeaderValue::from_static(default))
    };
    let origins = origins.into_iter().flatten();
    Some(Cors {
        origins: origins
            .filter_map(|o| HeaderValue::try_from(o.trim_end_matches('/')).ok())
            .collect(),
        methods: joined(methods, DEFAULT_CORS_METHODS),
        headers: joined(headers, DEFAULT_CORS_HEADERS),
        exposed: exposed
            .map(|list| joined(Some(list), ""))
            .filter(|v| !v.is_empty()),
        max_age: HeaderValue::from(max_age.unwrap_or(DEFAULT_CORS_MAX_AGE)),
    })
}

fn is_origin(text: &str) -> bool {
    let uri: Result<http::Uri, _> = text.parse();
    uri.is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && matches!(uri.path(), "" | "/")
    })
}

/// A JSON array of texts.
fn list(s: &mut Settings<'_>, key: &'static str) -> Option<Vec<String>> {
    let list = serde_json::from_str(s.text(key)?).ok();
    if list.is_none() {
        s.bad_value(
            key,
            "a JSON array of texts, such as `[\"https://example.com\"]`",
        );
    }
    list
}

impl ServingConfig {
    fn or(self, defaults: &Self) -> Self {
        Self {
            timeout: self.timeout.or(defaults.timeout),
            idle_timeout: self.idle_timeout.or(defaults.idle_timeout),
            request_timeout: self.request_timeout.or(defaults.request_timeout),
            min_rate: self.min_rate.or(defaults.min_rate),
            slow_budget: self.slow_budget.or(defaults.slow_budget),
            max_body: self.max_body.or(defaults.max_body),
            readonly: self.readonly.or(defaults.readonly),
            methods: self.methods.or_else(|| defaults.methods.clone()),
            access_log: self.access_log.or(defaults.access_log),
            close: self.close.or(defaults.close),
            cache_control: self
                .cache_control
                .or_else(|| defaults.cache_control.clone()),
            tls: self.tls.or_else(|| defaults.tls.clone()),
            cors: self.cors.or_else(|| defaults.cors.clone()),
        }
    }
}

/// Unpacks `config_b64` and `config_json`, whose keys are the same as the map's own. The map's own keys
/// win.
fn expand(config: &ConfigMap) -> (ConfigMap, Vec<ConfigProblem>) {
    let mut out = ConfigMap::new();
    let mut problems = Vec::new();
    for (key, value) in config {
        let json = match key.to_ascii_lowercase().as_str() {
            "config_json" => Ok(value.clone()),
            "config_b64" => decode_base64(value),
            _ => continue,
        };
        let unpacked = json.and_then(|text| match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(PackedError::NoObject),
            Err(e) => Err(PackedError::Json(e)),
        });
        match unpacked {
            Ok(object) => flatten(object, &mut out),
            Err(why) => problems.push(ConfigProblem {
                key: Some(key.clone()),
                message: format!("`{key}` cannot be read: {why}"),
                help: Some("write its keys directly into the link's configuration".into()),
            }),
        }
    }
    for (key, value) in config {
        if !["config_json", "config_b64"]
            .iter()
            .any(|k| k.eq_ignore_ascii_case(key))
        {
            out.retain(|k, _| !k.eq_ignore_ascii_case(key) || config.contains_key(k));
            out.insert(key.clone(), value.clone());
        }
    }
    (out, problems)
}

/// A fault of one value of a configuration.
#[derive(Debug, thiserror::Error)]
enum PackedError {
    #[error("it is not base64: {0}")]
    Base64(#[source] DecodeError),
    #[error("it is not text")]
    Text,
    #[error("it is not JSON: {0}")]
    Json(#[source] serde_json::Error),
    #[error("it is not a JSON object")]
    NoObject,
}

fn decode_base64(text: &str) -> Result<String, PackedError> {
    // v1 takes it without padding, most tools write it with.
    let any_padding =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(&alphabet::STANDARD, any_padding)
        .decode(text.trim())
        .map_err(PackedError::Base64)?;
    String::from_utf8(bytes).map_err(|_| PackedError::Text)
}

/// Adds `object` to `out`. v1 has its older keys in objects: `{"tls": {"cert_file": …}}`.
fn flatten(object: serde_json::Map<String, Value>, out: &mut ConfigMap) {
    for (key, value) in object {
        match value {
            Value::Null => {}
            Value::String(text) => drop(out.insert(key, text)),
            Value::Object(inner) if matches!(key.as_str(), "tls" | "cors") => {
                let prefixed = inner.into_iter().map(|(k, v)| (format!("{key}_{k}"), v));
                flatten(prefixed.collect(), out);
            }
            other => drop(out.insert(key, other.to_string())),
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

    fn link(pairs: &[(&str, &str)]) -> LinkConfig {
        let (link, problems) = read_link(&map(pairs), &read_own(&ConfigMap::new()).0);
        assert_eq!(problems, []);
        link
    }

    fn problems(role: ConfigRole, pairs: &[(&str, &str)]) -> Vec<String> {
        check(role, &map(pairs))
            .into_iter()
            .map(|p| p.message)
            .collect()
    }

    #[test]
    fn defaults() {
        let link = link(&[]);
        assert_eq!(link.address.to_string(), "0.0.0.0:8000");
        assert_eq!(link.place, RoutePlace::default());
        assert_eq!(link.limits, DEFAULT_LIMITS);
        assert!(link.methods.is_none() && !link.close && link.cors.is_none() && link.tls.is_none());
    }

    #[test]
    fn v1_keys_are_understood() {
        let link = link(&[
            ("ADDRESS", "127.0.0.1:8080"),
            ("Path", "/api/"),
            ("host", "Example.com"),
            ("timeout_ms", "1500"),
            ("readonly_mode", "true"),
            ("disable_keepalive", "true"),
            ("cache_control", "max-age=60"),
            ("cors_allowed_origins", r#"["https://a.example/"]"#),
            ("tls_cert_file", "/c.pem"),
            ("tls_priv_key_file", "/k.pem"),
        ]);
        assert_eq!(link.address.to_string(), "127.0.0.1:8080");
        assert_eq!(link.place.describe(), "host `example.com`, path `/api`");
        assert_eq!(link.limits.response, Duration::from_millis(1500));
        assert_eq!(link.methods, Some(AllowedMethods::read_only()));
        assert!(link.close && link.cache_control.is_some());
        let cors = link.cors.unwrap();
        assert_eq!(cors.origins, ["https://a.example"]);
        assert_eq!(cors.max_age, "300");
        assert_eq!(link.tls.unwrap().key, "/k.pem");
    }

    #[test]
    fn a_port_is_on_the_loopback_interface() {
        assert_eq!(link(&[("port", "0")]).address.to_string(), "127.0.0.1:0");
        assert_eq!(
            link(&[("address", "localhost:9")]).address.to_string(),
            "127.0.0.1:9"
        );
    }

    #[test]
    fn json_and_base64_hold_the_same_keys() {
        let json = r#"{"address": "127.0.0.1:1", "timeout_ms": 9, "cors": {"max_age_secs": 7}, "readonly_mode": null}"#;
        let by_json = link(&[("config_json", json), ("Timeout_ms", "10")]);
        assert_eq!(by_json.address.to_string(), "127.0.0.1:1");
        assert_eq!(by_json.limits.response, Duration::from_millis(10));
        assert_eq!(by_json.cors.unwrap().max_age, "7");
        for b64 in ["eyJwb3J0IjogMn0=", "eyJwb3J0IjogMn0"] {
            assert_eq!(
                link(&[("config_b64", b64)]).address.to_string(),
                "127.0.0.1:2"
            );
        }
    }

    #[test]
    fn what_the_provider_says_is_the_default_of_its_links() {
        let own = map(&[
            ("default_address", "127.0.0.1:5"),
            ("timeout_ms", "7"),
            ("idle_timeout_ms", "8"),
            ("request_timeout_ms", "9"),
            ("head_timeout_ms", "10"),
            ("max_head_bytes", "2048"),
            ("ambiguous_paths", "Normalise"),
            ("readonly_mode", "true"),
        ]);
        let (own, wrong) = read_own(&own);
        assert_eq!(wrong, []);
        assert_eq!(own.head_timeout, Duration::from_millis(10));
        assert_eq!(own.head_bytes, 2048);
        for bytes in ["1023", "262145", "all"] {
            let (own, wrong) = read_own(&map(&[("max_head_bytes", bytes)]));
            assert_eq!(
                (own.head_bytes, wrong.len()),
                (DEFAULT_HEAD_BYTES, 1),
                "{bytes}"
            );
        }
        assert_eq!(own.ambiguous_paths, AmbiguousPaths::Normalise);
        let pairs = [("readonly_mode", "false"), ("idle_timeout_ms", "18")];
        let (link, wrong) = read_link(&map(&pairs), &own);
        assert_eq!(wrong, []);
        assert_eq!((link.address.port(), link.methods), (5, None));
        let limits = RequestLimits {
            response: Duration::from_millis(7),
            idle: Duration::from_millis(18),
            request: Some(Duration::from_millis(9)),
            pace: DEFAULT_LIMITS.pace,
            body: None,
        };
        assert_eq!(link.limits, limits);
        // A link shares its listener, which is read before the link is known.
        let (_, wrong) = read_link(&map(&[("head_timeout_ms", "1")]), &own);
        assert_eq!(wrong.len(), 1);
    }

    #[test]
    fn everything_wrong_is_found() {
        let found = problems(
            ConfigRole::LinkSource,
            &[
                ("address", "8080"),
                ("path", "api"),
                ("timeout_ms", "0"),
                ("tls_cert_file", "c"),
                ("cors_allowed_origins", r#"["example.com"]"#),
                ("cors_allowed_methods", "GET"),
                ("config_json", "[]"),
                ("adress", ""),
            ],
        );
        let expected = [
            "`config_json` cannot be read: it is not a JSON object",
            "`address` is `8080`, expected an IP address and a port, such as `127.0.0.1:8000` or `[::]:8000`",
            "`path` is `api`, expected a path that starts with `/`",
            "`timeout_ms` is `0`, expected a number of milliseconds greater than 0",
            "`tls_cert_file` is given without `tls_priv_key_file`",
            "`cors_allowed_methods` is `GET`, expected a JSON array of texts, such as `[\"https://example.com\"]`",
            "`example.com` is not an origin",
            "unknown key `adress`",
        ];
        assert_eq!(found, expected);
        assert_eq!(
            problems(ConfigRole::Own, &[("routing_mode", "paths")]).len(),
            1
        );
        assert_eq!(problems(ConfigRole::LinkTarget, &[("path", "/")]).len(), 1);
    }

    #[test]
    fn a_mode_asks_for_its_key() {
        for (mode, missing) in [("path", "`path`"), ("host", "`host`")] {
            let (own, _) = read_own(&map(&[("routing_mode", mode)]));
            let (_, problems) = read_link(&ConfigMap::new(), &own);
            assert!(
                problems[0].message.ends_with(&format!("has no {missing}")),
                "{problems:?}"
            );
        }
    }
}
