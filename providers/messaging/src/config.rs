//! The settings, with the keys of wasmCloud v1's NATS provider.

use std::time::Duration;

use withe_provider::nats::servers;
use withe_provider::settings::merged;
use withe_provider::{ConfigMap, ConfigProblem, ConfigRole, Settings};

use crate::broker::{KeptMessages, Subscription};
use crate::mqtt::{self, MqttConfig, Qos};
use crate::nats::{DEFAULT_URL, NatsConfig};
use crate::subject::is_pattern;

const BACKENDS: [&str; 3] = ["memory", "nats", "mqtt"];

/// How long a message may take if nobody says.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How many messages a component handles at a time if nobody says.
const AT_ONCE: usize = 100;

/// The backend that carries a link's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The memory of this process.
    Memory,
    Nats(Box<NatsConfig>),
    Mqtt(Box<MqttConfig>),
}

/// A link's configuration, with the provider's own filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) backend: Backend,
    /// The component's subscriptions: patterns, each with the group that it names, and consumers.
    pub(crate) subjects: Vec<(String, Option<String>)>,
    pub(crate) consumers: Vec<KeptMessages>,
    pub(crate) timeout: Duration,
    pub(crate) at_once: usize,
}

impl Config {
    /// The subscriptions of a component, which has this group where the configuration names none.
    pub(crate) fn subscriptions(&self, group: &str) -> Vec<Subscription> {
        let subjects = self
            .subjects
            .iter()
            .map(|(pattern, named)| Subscription::Subject {
                pattern: pattern.clone(),
                group: named.clone().unwrap_or_else(|| group.to_owned()),
            });
        let consumers = self.consumers.iter().cloned().map(Subscription::Kept);
        subjects.chain(consumers).collect()
    }
}

/// Finds what is wrong with a configuration.
pub(crate) fn check(role: ConfigRole, config: &ConfigMap) -> Vec<ConfigProblem> {
    // A link may leave to the provider what it does not say, and the provider to its links.
    read_given(config, role, false).1
}

/// Reads the configuration of a link in this role; what it does not say, the provider's `own` does. A faulty setting
/// stays at its default.
pub(crate) fn read(
    own: &ConfigMap,
    link: &ConfigMap,
    role: ConfigRole,
) -> (Config, Vec<ConfigProblem>) {
    let all = merged(own, link);
    let (config, mut problems) = read_given(&all, ConfigRole::Own, true);
    let takes_nothing = config.subjects.is_empty() && config.consumers.is_empty();
    if role == ConfigRole::LinkSource && takes_nothing && problems.is_empty() {
        problems.push(ConfigProblem {
            key: None,
            message: "there is no message that the component is to be given".into(),
            help: Some("say `subscriptions: orders.*`, or `consumers` for JetStream".into()),
        });
    }
    (config, problems)
}

/// Reads what is given, which may be all that there is.
fn read_given(config: &ConfigMap, role: ConfigRole, is_all: bool) -> (Config, Vec<ConfigProblem>) {
    let mut s = Settings::new(config);
    let said = s.choice("backend", &BACKENDS);
    let backend = backend(&mut s, said, is_all);
    let mut read = Config {
        backend,
        subjects: Vec::new(),
        consumers: Vec::new(),
        timeout: TIMEOUT,
        at_once: AT_ONCE,
    };
    // One that sends takes nothing.
    if role != ConfigRole::LinkTarget {
        taken(&mut s, &mut read);
    }
    (read, s.finish())
}

/// The backend of the messages: the one that is said, or the one whose keys are given.
fn backend(s: &mut Settings<'_>, said: Option<&'static str>, is_all: bool) -> Backend {
    let nats = nats(s);
    let mqtt = mqtt(s);
    let ca = (s.text("tls_ca_file"), s.text("tls_ca"));
    let has_ca = ca.0.is_some() || ca.1.is_some();
    let of_nats = nats != NatsConfig::default();
    let meant = match said {
        Some(said) => said,
        None if mqtt.is_some() => "mqtt",
        // v1's provider, whose key it is, knows no other.
        None if of_nats || has_ca => "nats",
        None => "memory",
    };
    for (given, its, example) in [
        (of_nats, "nats", "cluster_uris"),
        (mqtt.is_some(), "mqtt", "mqtt_url"),
        (has_ca && meant == "memory", "nats", "tls_ca_file"),
    ] {
        if given && meant != its {
            let message = format!(
                "the backend is `{meant}`, and there are keys of `{its}`, such as `{example}`"
            );
            let help = format!("write `backend: {its}`, or leave the keys of `{its}` out");
            s.problem(Some("backend"), message, Some(help));
        }
    }
    match meant {
        "nats" => {
            let mut nats = nats;
            if nats.access.urls.is_empty() {
                nats.access.urls = DEFAULT_URL.into();
            }
            nats.access.ca_file = ca.0.map(Into::into);
            nats.access.ca = ca.1.map(Into::into);
            Backend::Nats(Box::new(nats))
        }
        "mqtt" => {
            let (url, qos) = mqtt.unwrap_or_default();
            // Somebody who trusts an authority does not mean to speak to anybody in the clear. The link may say the URL.
            let is_clear = match &url {
                Some(url) => mqtt::check_url(url).is_ok() && !mqtt::is_tls(url),
                None => is_all,
            };
            if has_ca && is_clear {
                let key = ca.0.map_or("tls_ca", |_| "tls_ca_file");
                let message = format!(
                    "there is `{key}`, and without TLS the broker is not asked for a certificate"
                );
                let help = format!("write `mqtt_url: mqtts://HOST`, or leave `{key}` out");
                s.problem(Some(key), message, Some(help));
            }
            Backend::Mqtt(Box::new(MqttConfig {
                url: url.unwrap_or_else(|| mqtt::DEFAULT_URL.into()),
                qos: qos.unwrap_or_default(),
                ca_file: ca.0.map(Into::into),
                ca: ca.1.map(Into::into),
            }))
        }
        _ => Backend::Memory,
    }
}

/// Where the broker of MQTT is, and how messages are carried, if anything of that is said.
fn mqtt(s: &mut Settings<'_>) -> Option<(Option<String>, Option<Qos>)> {
    let url = s.text("mqtt_url").map(str::to_owned);
    if let Some(Err(expected)) = url.as_deref().map(mqtt::check_url) {
        // Not shown: it may hold a password.
        s.problem(
            Some("mqtt_url"),
            format!("`mqtt_url` cannot be used, expected {expected}"),
            None,
        );
    }
    let qos = s
        .choice("mqtt_qos", &["0", "1"])
        .map(|choice| match choice {
            "0" => Qos::AtMostOnce,
            _ => Qos::AtLeastOnce,
        });
    (url.is_some() || qos.is_some()).then_some((url, qos))
}

/// Where NATS is, as far as that is said.
fn nats(s: &mut Settings<'_>) -> NatsConfig {
    let mut nats = NatsConfig::default();
    if let Some(urls) = s.text("cluster_uris") {
        match servers(urls) {
            Ok(_) => nats.access.urls = urls.into(),
            // Not shown: it may hold a password.
            Err(_) => s.problem(
                Some("cluster_uris"),
                "`cluster_uris` holds what is no URL of a server",
                Some("write `nats://HOST:4222`, several with commas between them".into()),
            ),
        }
    }
    nats.access.user = match (s.text("client_jwt"), s.text("client_seed")) {
        (Some(jwt), Some(seed)) => Some((jwt.into(), seed.into())),
        (None, None) => None,
        _ => {
            let message = "`client_jwt` and `client_seed` go together, and one of them is missing";
            s.problem(None, message, None);
            None
        }
    };
    nats.access.credentials_file = s.text("credentials_file").map(Into::into);
    nats.inbox_prefix = s.text("custom_inbox_prefix").map(Into::into);
    let seconds: Option<u64> = s.parse("ping_interval_sec", "a number of seconds");
    nats.ping_interval = seconds.filter(|n| *n > 0).map(Duration::from_secs);
    nats
}

/// Reads the component's subscriptions.
fn taken(s: &mut Settings<'_>, config: &mut Config) {
    let subscriptions = s.text("subscriptions").unwrap_or_default();
    for text in subscriptions
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        let (pattern, group) = match text.split_once('|') {
            Some((pattern, group)) => (pattern.trim(), Some(group.trim().to_owned())),
            None => (text, None),
        };
        let is_group = |group: &String| is_pattern(group) && !group.contains(['*', '>']);
        if is_pattern(pattern) && group.as_ref().is_none_or(is_group) {
            config.subjects.push((pattern.into(), group));
        } else {
            let message = format!("`{text}` of `subscriptions` is nothing to subscribe to");
            let help = "write subjects with commas between them, each with a group if need be: `orders.*|workers`";
            s.problem(Some("subscriptions"), message, Some(help.into()));
        }
    }
    if let Some(text) = s.text("consumers") {
        match serde_json::from_str(text) {
            Ok(consumers) => config.consumers = consumers,
            Err(why) => {
                let message = format!("`consumers` is no list of consumers: {why}");
                let help = r#"write JSON: `[{"stream": "ORDERS", "consumer": "workers"}]`"#;
                s.problem(Some("consumers"), message, Some(help.into()));
            }
        }
    }
    if matches!(config.backend, Backend::Mqtt(_)) {
        for (pattern, group) in &config.subjects {
            let group = group.as_deref().unwrap_or("own");
            if !mqtt::is_plain(pattern) || !mqtt::is_group(group) {
                let message =
                    format!("`{pattern}` of `subscriptions` is nothing to subscribe to in MQTT");
                let help = "subjects have no `+` and `#` there, and groups no `/` either: wildcards are `*` and `>`";
                s.problem(Some("subscriptions"), message, Some(help.into()));
            }
        }
    }
    if !config.consumers.is_empty() && !matches!(config.backend, Backend::Nats(_)) {
        let message = "`consumers` are JetStream's, and the backend is another than NATS";
        s.problem(
            Some("consumers"),
            message,
            Some("write `backend: nats`".into()),
        );
    }
    config.timeout = s.millis("timeout_ms").unwrap_or(TIMEOUT);
    let expected = "a number of messages from 1 to 10000";
    if let Some(n) = s.parse::<usize>("max_concurrent", expected) {
        match n {
            1..=10_000 => config.at_once = n,
            _ => s.bad_value("max_concurrent", expected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    fn said(role: ConfigRole, pairs: &[(&str, &str)]) -> Vec<String> {
        let problems = check(role, &map(pairs));
        problems
            .into_iter()
            .map(|problem| problem.message)
            .collect()
    }

    #[test]
    fn servers_mean_nats_or_mqtt_and_nothing_means_memory() {
        let backend = |pairs| {
            read(&ConfigMap::new(), &map(pairs), ConfigRole::LinkTarget)
                .0
                .backend
        };
        assert_eq!(backend(&[]), Backend::Memory);
        let urls = |backend| match backend {
            Backend::Nats(nats) => nats.access.urls,
            Backend::Mqtt(mqtt) => mqtt.url,
            Backend::Memory => "memory".into(),
        };
        assert_eq!(urls(backend(&[("mqtt_url", "mqtts://b")])), "mqtts://b");
        assert_eq!(
            urls(backend(&[("backend", "mqtt"), ("mqtt_qos", "0")])),
            mqtt::DEFAULT_URL
        );
        assert_eq!(urls(backend(&[("tls_ca_file", "ca.pem")])), DEFAULT_URL);
        assert_eq!(urls(backend(&[("backend", "nats")])), DEFAULT_URL);
        assert_eq!(
            urls(backend(&[("CLUSTER_URIS", "nats://a, nats://b")])),
            "nats://a, nats://b"
        );
    }

    #[test]
    fn subscriptions_have_a_group_of_the_components_unless_they_name_one() {
        let link = map(&[
            ("subscriptions", "a.*, b|workers"),
            (
                "consumers",
                r#"[{"stream": "S", "consumer": "C", "max_messages": 5}]"#,
            ),
        ]);
        let own = map(&[("backend", "nats"), ("max_concurrent", "7")]);
        let (config, problems) = read(&own, &link, ConfigRole::LinkSource);
        assert_eq!(problems, []);
        assert_eq!(config.at_once, 7);
        let subject = |pattern: &str, group: &str| Subscription::Subject {
            pattern: pattern.into(),
            group: group.into(),
        };
        let kept = Subscription::Kept(KeptMessages {
            stream: "S".into(),
            consumer: "C".into(),
            max_messages: Some(5),
            max_bytes: None,
        });
        assert_eq!(
            config.subscriptions("app.c"),
            [subject("a.*", "app.c"), subject("b", "workers"), kept]
        );
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_and_no_secret() {
        let wrong = [
            ("backend", "memory"),
            ("cluster_uris", "nats://me:secret@:x"),
            ("client_seed", "SUAsecret"),
            ("subscriptions", "a..b, >.a, ok, x|y z"),
            ("consumers", "[{}]"),
            ("timeout_ms", "0"),
            ("max_concurrent", "0"),
            ("ping_interval_sec", "soon"),
        ];
        let messages = said(ConfigRole::LinkSource, &wrong);
        assert_eq!(messages.len(), 9, "{messages:#?}");
        assert!(!messages.iter().any(|message| message.contains("secret")));
        let clashes = [
            [("backend", "memory"), ("cluster_uris", "nats://a")],
            [("backend", "memory"), ("tls_ca_file", "ca.pem")],
            [("backend", "nats"), ("mqtt_qos", "0")],
            [("backend", "mqtt"), ("cluster_uris", "nats://a")],
            [("backend", "mqtt"), ("mqtt_url", "http://me:secret@a")],
            [("backend", "mqtt"), ("mqtt_qos", "2")],
            [("mqtt_url", "mqtt://a"), ("subscriptions", "a.+")],
            [("mqtt_url", "mqtt://a"), ("tls_ca_file", "ca.pem")],
            [("mqtt_url", "mqtt://a"), ("tls_ca", "PEM")],
            [
                ("mqtt_url", "mqtt://a"),
                ("consumers", r#"[{"stream": "S", "consumer": "C"}]"#),
            ],
        ];
        for clash in clashes {
            let messages = said(ConfigRole::Own, &clash);
            assert_eq!(messages.len(), 1, "{clash:?} {messages:?}");
            assert!(!messages[0].contains("secret"));
        }
        // The provider's own may be without the URL that its links say.
        let own = [("backend", "mqtt"), ("tls_ca", "PEM")];
        assert_eq!(said(ConfigRole::Own, &own).len(), 0);
        let (_, problems) = read(&map(&own), &ConfigMap::new(), ConfigRole::LinkTarget);
        assert!(problems[0].message.contains("without TLS"), "{problems:?}");
        let url = map(&[("mqtt_url", "mqtts://a")]);
        let (_, problems) = read(&map(&own), &url, ConfigRole::LinkTarget);
        assert_eq!(problems, []);
        // A component that sends subscribes to nothing.
        assert_eq!(
            said(ConfigRole::LinkTarget, &[("subscriptions", "a")]).len(),
            1
        );
        let (_, nothing) = read(&ConfigMap::new(), &ConfigMap::new(), ConfigRole::LinkSource);
        assert_eq!(nothing.len(), 1);
    }
}
