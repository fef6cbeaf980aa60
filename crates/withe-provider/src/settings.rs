//! Reading a provider's configuration: typed, and with everything that is wrong with it at once.
//!
//! A provider writes one function that reads its configuration through [`Settings`]. The same
//! function is its `check_config` (which wants the problems) and the start of its `link_put` (which
//! wants the values), so that what the linker accepts is what the provider understands. The keys
//! that a provider knows are those that the function asks for; all others are reported.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use crate::{ConfigMap, ConfigProblem};

/// One configuration being read. Keys are compared without regard to case, as wasmCloud does.
#[derive(Debug)]
pub struct Settings<'a> {
    /// By key in lower case: the key as written, and its value.
    given: BTreeMap<String, (&'a str, &'a str)>,
    asked: Vec<&'static str>,
    problems: Vec<ConfigProblem>,
}

impl<'a> Settings<'a> {
    /// Starts reading `config`.
    ///
    /// Keys that start with `otel_` are passed over: wasmCloud v1 takes them for every provider,
    /// and where traces go is for the host to say here.
    pub fn new(config: &'a ConfigMap) -> Self {
        let mut settings = Self {
            given: BTreeMap::new(),
            asked: Vec::new(),
            problems: Vec::new(),
        };
        for (key, value) in config {
            let lower = key.to_ascii_lowercase();
            if lower.starts_with("otel_") {
                continue;
            }
            if let Some((other, _)) = settings.given.insert(lower, (key, value.trim())) {
                let message = format!("`{key}` and `{other}` are the same key");
                settings.problem(Some(key), message, Some("remove one of them".into()));
            }
        }
        settings
    }

    /// The value of `key`, which is in lower case.
    pub fn text(&mut self, key: &'static str) -> Option<&'a str> {
        self.asked.push(key);
        self.given.get(key).map(|(_, value)| *value)
    }

    /// The value of `key` as a `T`. `expected` completes "expected …" for one that is not.
    pub fn parse<T: FromStr>(&mut self, key: &'static str, expected: &str) -> Option<T> {
        let text = self.text(key)?;
        let value = text.parse().ok();
        if value.is_none() {
            self.bad_value(key, expected);
        }
        value
    }

    /// The value of `key` as `true` or `false`.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        match self.text(key)?.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" | "" => Some(false),
            _ => {
                self.bad_value(key, "`true` or `false`");
                None
            }
        }
    }

    /// The value of `key`, a number of milliseconds greater than zero.
    pub fn millis(&mut self, key: &'static str) -> Option<Duration> {
        let expected = "a number of milliseconds greater than 0";
        let millis: u64 = self.parse(key, expected)?;
        if millis == 0 {
            self.bad_value(key, expected);
            return None;
        }
        Some(Duration::from_millis(millis))
    }

    /// The value of `key`, one of `choices`; says which there are and which is meant if it is not.
    pub fn choice(&mut self, key: &'static str, choices: &[&'static str]) -> Option<&'static str> {
        let text = self.text(key)?;
        let found = choices
            .iter()
            .find(|c| c.eq_ignore_ascii_case(text))
            .copied();
        if found.is_none() {
            let help = nearest(text, choices).map(|near| format!("write `{key}: {near}`"));
            let message = format!("`{key}` is `{text}`, expected {}", one_of(choices));
            self.problem(Some(key), message, help);
        }
        found
    }

    /// Understands keys without using their values: those that others have and Withe has no use
    /// for.
    pub fn ignore(&mut self, keys: &[&'static str]) {
        self.asked.extend(keys);
    }

    /// Reports that the value of `key`, which is repeated, is not what it should be. Not for keys
    /// whose values are secret.
    pub fn bad_value(&mut self, key: &'static str, expected: impl Display) {
        let text = self.given.get(key).map_or("", |(_, value)| value);
        let message = format!("`{key}` is `{text}`, expected {expected}");
        self.problem(Some(key), message, None);
    }

    /// Reports a problem with `key`, or with the configuration as a whole.
    pub fn problem(&mut self, key: Option<&str>, message: impl Into<String>, help: Option<String>) {
        // The linker underlines the key, so it must be the one that was written.
        let key = key.map(|key| match self.given.get(&key.to_ascii_lowercase()) {
            Some((written, _)) => (*written).to_owned(),
            None => key.to_owned(),
        });
        self.problems.push(ConfigProblem {
            key,
            message: message.into(),
            help,
        });
    }

    /// Everything that is wrong, with a problem for each key that was not asked for.
    pub fn finish(mut self) -> Vec<ConfigProblem> {
        for (lower, (key, _)) in std::mem::take(&mut self.given) {
            if self.asked.contains(&lower.as_str()) {
                continue;
            }
            let help = match nearest(&lower, &self.asked) {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.asked.is_empty() => "remove it: nothing can be set here".into(),
                None => format!("the keys are {}", one_of(&self.asked)),
            };
            self.problems.push(ConfigProblem {
                key: Some(key.into()),
                message: format!("unknown key `{key}`"),
                help: Some(help),
            });
        }
        self.problems
    }
}

/// The configuration of a link where it says something, and the provider's own elsewhere. Keys are compared without regard to
/// case, as [`Settings`] does.
pub fn merged(own: &ConfigMap, link: &ConfigMap) -> ConfigMap {
    let said = |key: &String| link.keys().any(|other| other.eq_ignore_ascii_case(key));
    let own = own.iter().filter(|(key, _)| !said(key));
    let all = own.chain(link);
    all.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// A provider's complaint about a configuration that it cannot use, in one line.
pub fn describe(problems: &[ConfigProblem]) -> String {
    let lines: Vec<_> = problems
        .iter()
        .map(|p| match &p.help {
            Some(help) => format!("{} ({help})", p.message),
            None => p.message.clone(),
        })
        .collect();
    lines.join("; ")
}

/// The candidate that `text` was most likely meant to be.
fn nearest<'c>(text: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let scored = candidates
        .iter()
        .map(|c| (strsim::jaro_winkler(text, c), *c));
    scored
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// `` `a`, `b` or `c` ``
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect()
    }

    fn messages(problems: &[ConfigProblem]) -> Vec<(Option<&str>, &str, Option<&str>)> {
        problems
            .iter()
            .map(|p| (p.key.as_deref(), p.message.as_str(), p.help.as_deref()))
            .collect()
    }

    #[test]
    fn reads_values_whatever_the_case_of_their_keys() {
        let config = config(&[
            ("TimeOut_MS", " 250 "),
            ("TLS", "Yes"),
            ("mode", "PATH"),
            ("otel_x", "1"),
        ]);
        let mut s = Settings::new(&config);
        assert_eq!(s.millis("timeout_ms"), Some(Duration::from_millis(250)));
        assert_eq!(s.flag("tls"), Some(true));
        assert_eq!(s.choice("mode", &["path", "host"]), Some("path"));
        assert_eq!(s.text("absent"), None);
        assert_eq!(s.finish(), []);
    }

    #[test]
    fn finds_everything_that_is_wrong() {
        let config = config(&[
            ("Adress", "x"),
            ("mode", "hots"),
            ("n", "-1"),
            ("t_ms", "0"),
            ("zz", ""),
        ]);
        let mut s = Settings::new(&config);
        s.ignore(&["address"]);
        assert_eq!(s.choice("mode", &["path", "host"]), None);
        assert_eq!(s.parse::<u32>("n", "a number"), None);
        assert_eq!(s.millis("t_ms"), None);
        let problems = s.finish();
        let all = "the keys are `address`, `mode`, `n` or `t_ms`";
        assert_eq!(
            messages(&problems),
            [
                (
                    Some("mode"),
                    "`mode` is `hots`, expected `path` or `host`",
                    Some("write `mode: host`")
                ),
                (Some("n"), "`n` is `-1`, expected a number", None),
                (
                    Some("t_ms"),
                    "`t_ms` is `0`, expected a number of milliseconds greater than 0",
                    None
                ),
                (
                    Some("Adress"),
                    "unknown key `Adress`",
                    Some("did you mean `address`?")
                ),
                (Some("zz"), "unknown key `zz`", Some(all)),
            ]
        );
        assert!(describe(&problems[3..4]).ends_with("(did you mean `address`?)"));
    }

    #[test]
    fn a_link_goes_before_its_provider_whatever_the_case() {
        let own = config(&[("URL", "own"), ("Every", "own")]);
        let link = config(&[("url", "link"), ("other", "link")]);
        let expected = config(&[("url", "link"), ("other", "link"), ("Every", "own")]);
        assert_eq!(merged(&own, &link), expected);
    }

    #[test]
    fn the_same_key_twice_is_a_problem() {
        let config = config(&[("URL", "a"), ("url", "b")]);
        let mut s = Settings::new(&config);
        s.text("url");
        let problems = s.finish();
        assert_eq!(
            messages(&problems),
            [(
                Some("url"),
                "`url` and `URL` are the same key",
                Some("remove one of them")
            )]
        );
    }
}
