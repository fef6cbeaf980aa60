//! The settings, with the keys of wasmCloud v1's client.

use std::time::Duration;

use withe_provider::{ConfigMap, ConfigProblem, ConfigRole, Settings};

use crate::allow::AllowList;
use crate::proxy::Proxy;

/// More attempts than these help nobody.
const MOST_RETRIES: u32 = 10;

/// A link's configuration, with the provider's own filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) allow: AllowList,
    /// The longest that connecting may take, TLS included. A component can ask for less.
    pub(crate) connect_timeout: Duration,
    /// The longest until a response's head is there, and between two chunks of its body. A
    /// component can ask for less.
    pub(crate) first_byte_timeout: Duration,
    /// How long a connection that is not used is kept.
    pub(crate) idle_timeout: Duration,
    pub(crate) roots: Roots,
    /// Requests go through it.
    pub(crate) proxy: Option<Proxy>,
    /// How often a request that may be sent twice is sent again.
    pub(crate) retries: u32,
}

/// The authorities whose certificates are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roots {
    /// The authorities that the system believes.
    pub(crate) native: bool,
    /// Mozilla's, as they were when this program was built.
    pub(crate) webpki: bool,
    /// The authorities in this PEM file.
    pub(crate) file: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct Given {
    allow: Option<AllowList>,
    connect_timeout: Option<Duration>,
    first_byte_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    native: Option<bool>,
    webpki: Option<bool>,
    file: Option<String>,
    proxy: Option<Proxy>,
    no_proxy: Option<AllowList>,
    retries: Option<u32>,
}

/// Finds what is wrong with a configuration.
pub(crate) fn check(role: ConfigRole, config: &ConfigMap) -> Vec<ConfigProblem> {
    match role {
        ConfigRole::Own | ConfigRole::LinkTarget => read_given(config).1,
        ConfigRole::LinkSource => Settings::new(config).finish(),
    }
}

/// Reads a link's configuration; what it does not say, the provider's `own` does. A faulty setting
/// stays at its default.
pub(crate) fn read(own: &ConfigMap, link: &ConfigMap) -> (Config, Vec<ConfigProblem>) {
    let (own, mut problems) = read_given(own);
    let (link, link_problems) = read_given(link);
    problems.extend(link_problems);
    let seconds = Duration::from_secs;
    let config = Config {
        allow: link
            .allow
            .or(own.allow)
            .unwrap_or_else(AllowList::everything),
        connect_timeout: link
            .connect_timeout
            .or(own.connect_timeout)
            .unwrap_or(seconds(600)),
        first_byte_timeout: link
            .first_byte_timeout
            .or(own.first_byte_timeout)
            .unwrap_or(seconds(600)),
        idle_timeout: link
            .idle_timeout
            .or(own.idle_timeout)
            .unwrap_or(seconds(90)),
        roots: Roots {
            native: link.native.or(own.native).unwrap_or(true),
            webpki: link.webpki.or(own.webpki).unwrap_or(true),
            file: link.file.or(own.file),
        },
        proxy: {
            let direct = link.no_proxy.or(own.no_proxy);
            let proxy = link.proxy.or(own.proxy);
            proxy.map(|proxy| proxy.except(direct))
        },
        retries: link.retries.or(own.retries).unwrap_or(0),
    };
    (config, problems)
}

fn read_given(config: &ConfigMap) -> (Given, Vec<ConfigProblem>) {
    let mut s = Settings::new(config);
    let allow = hosts(&mut s, "allow");
    let no_proxy = hosts(&mut s, "no_proxy");
    let proxy = match s.text("proxy").map(Proxy::parse) {
        Some(Ok(proxy)) => Some(proxy),
        Some(Err(expected)) => {
            // The text may hold a password.
            let message = format!("`proxy` is no URL of a proxy, expected {expected}");
            s.problem(Some("proxy"), message, None);
            None
        }
        None => None,
    };
    let expected = format!("a number from 0 to {MOST_RETRIES}");
    let retries = s.parse("retries", &expected);
    if retries.is_some_and(|retries| retries > MOST_RETRIES) {
        s.bad_value("retries", expected);
    }
    let given = Given {
        allow,
        connect_timeout: s.millis("connect_timeout_ms"),
        first_byte_timeout: s.millis("first_byte_timeout_ms"),
        idle_timeout: s.millis("idle_timeout_ms"),
        native: s.flag("load_native_certs"),
        webpki: s.flag("load_webpki_certs"),
        file: s.text("ssl_certs_file").map(str::to_owned),
        proxy,
        no_proxy,
        retries,
    };
    (given, s.finish())
}

/// Patterns of hosts.
fn hosts(s: &mut Settings<'_>, key: &'static str) -> Option<AllowList> {
    match AllowList::parse(s.text(key)?) {
        Ok(list) => Some(list),
        Err(bad) => {
            for bad in bad {
                let message = format!("`{}` is not a pattern of hosts", bad.pattern);
                s.problem(Some(key), message, Some(bad.why.into()));
            }
            None
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

    #[test]
    fn a_manifest_of_v1_that_says_nothing_works() {
        let (config, problems) = read(&map(&[]), &map(&[]));
        assert_eq!(problems, []);
        assert_eq!(config.allow, AllowList::everything());
        assert_eq!(config.connect_timeout, Duration::from_secs(600));
        assert_eq!(config.first_byte_timeout, Duration::from_secs(600));
        assert_eq!(config.idle_timeout, Duration::from_secs(90));
        assert!(config.roots.native && config.roots.webpki && config.roots.file.is_none());
    }

    #[test]
    fn a_link_goes_before_the_provider() {
        let own = map(&[
            ("allow", "a"),
            ("connect_timeout_ms", "5"),
            ("load_native_certs", "false"),
        ]);
        let (config, problems) = read(&own, &map(&[("Allow", "b.example")]));
        assert_eq!(problems, []);
        assert_eq!(config.allow.to_string(), "b.example");
        assert_eq!(config.connect_timeout, Duration::from_millis(5));
        assert!(!config.roots.native);
    }

    #[test]
    fn everything_wrong_is_found() {
        let wrong = map(&[
            ("allow", "a, http://b ,c/d"),
            ("idle_timeout_ms", "x"),
            ("retries", "11"),
            ("alow", "a"),
        ]);
        let problems = check(ConfigRole::LinkTarget, &wrong);
        let messages: Vec<_> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "`http://b` is not a pattern of hosts",
                "`c/d` is not a pattern of hosts",
                "`retries` is `11`, expected a number from 0 to 10",
                "`idle_timeout_ms` is `x`, expected a number of milliseconds greater than 0",
                "unknown key `alow`",
            ]
        );
        assert_eq!(problems[4].help.as_deref(), Some("did you mean `allow`?"));
        assert_eq!(
            check(ConfigRole::LinkSource, &map(&[("allow", "a")])).len(),
            1
        );
    }
}
