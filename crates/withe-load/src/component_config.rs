//! The configuration that a component says it has: a custom section `withe:config`, by which `withe check` finds a wrong key
//! before anything runs.
//!
//! A component reads its configuration when it is called, and nobody but that caller can be told what is wrong. Calling the
//! component once when the application starts was rejected: there is no function for that in the interfaces that
//! components export, and what it reaches then need not be there yet. The section is JSON:
//!
//! ```json
//! {"keys": [{"name": "backend", "values": ["memory", "redis"]}, {"name": "timeout_ms", "least": 1}, {"name": "url"}]}
//! ```

use serde::Deserialize;
use withe_linker::input::{ConfigCheck, ConfigMap, ConfigProblem, ConfigRole};
use withe_wit::custom_section_within;

/// The section's name. A language that makes modules has it in the component's own module.
const SECTION: &str = "withe:config";
/// The beginning of keys that wasmCloud gives to all.
const GIVEN_TO_ALL: &str = "otel_";

#[derive(Deserialize)]
struct Said {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    name: String,
    /// The values that there are; any if there are none.
    #[serde(default)]
    values: Vec<String>,
    /// The least number, for a value that is one of 32 bits.
    least: Option<u32>,
}

/// The check by what the component says; `None` if it says nothing that can be read, as one may that is newer than this.
pub(crate) fn check(bytes: &[u8]) -> Option<ConfigCheck> {
    let section = custom_section_within(bytes, &[SECTION])?;
    let said: Said = serde_json::from_slice(section).ok()?;
    // A link's configuration has the keys of the link's interfaces, which nobody says.
    Some(ConfigCheck::new(move |role, config| match role {
        ConfigRole::Own => said.problems(config),
        ConfigRole::LinkSource | ConfigRole::LinkTarget => Vec::new(),
    }))
}

impl Said {
    /// Everything that is wrong. Keys are compared without regard to case, as those of providers are.
    fn problems(&self, config: &ConfigMap) -> Vec<ConfigProblem> {
        let problems = config.iter().filter_map(|(key, value)| {
            let lower = key.to_lowercase();
            if lower.starts_with(GIVEN_TO_ALL) {
                return None;
            }
            let problem = |message, help| ConfigProblem {
                key: Some(key.clone()),
                message,
                help: Some(help),
            };
            let Some(known) = self.keys.iter().find(|known| known.name == lower) else {
                let names = list(self.keys.iter().map(|key| key.name.as_str()));
                let message = format!("unknown key `{key}`");
                return Some(problem(message, format!("the keys are {names}")));
            };
            let is_number = |least| value.parse::<u32>().is_ok_and(|number| number >= least);
            let expected = match known.least {
                Some(least) if !is_number(least) => format!("a number from {least}"),
                _ if !known.values.is_empty() && !known.values.contains(value) => {
                    format!("one of {}", list(known.values.iter().map(String::as_str)))
                }
                _ => return None,
            };
            let message = format!("`{key}` is `{value}`");
            Some(problem(message, format!("write {expected}")))
        });
        problems.collect()
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names = names.map(|name| format!("`{name}`"));
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component whose module says this of its configuration.
    fn component(said: &str) -> Vec<u8> {
        let text = format!("(component (core module (@custom {SECTION:?} {said:?})))");
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn what_is_wrong_is_found_by_what_the_component_says() {
        let said = r#"{"keys": [{"name": "backend", "values": ["memory", "redis"]}, {"name": "ms", "least": 1}, {"name": "url"}]}"#;
        let check = check(&component(said)).unwrap();
        let problems = |key: &str, value: &str| {
            let config = ConfigMap::from([(key.to_owned(), value.to_owned())]);
            let problems = check.problems(ConfigRole::Own, &config).into_iter();
            let lines = problems.map(|p| format!("{}: {}", p.message, p.help.unwrap_or_default()));
            lines.collect::<Vec<_>>().join("; ")
        };
        for (key, value) in [
            ("backend", "redis"),
            ("MS", "7"),
            ("url", "x"),
            ("otel_a", ""),
        ] {
            assert_eq!(problems(key, value), "", "{key}");
        }
        for (key, value, says) in [
            (
                "backend",
                "redb",
                "`backend` is `redb`: write one of `memory`, `redis`",
            ),
            ("ms", "0", "`ms` is `0`: write a number from 1"),
            ("ms", "soon", "`ms` is `soon`: write a number from 1"),
            (
                "Adress",
                "",
                "unknown key `Adress`: the keys are `backend`, `ms`, `url`",
            ),
        ] {
            assert_eq!(problems(key, value), says);
        }
        let config = ConfigMap::from([("of-the-link".to_owned(), String::new())]);
        for role in [ConfigRole::LinkSource, ConfigRole::LinkTarget] {
            assert_eq!(check.problems(role, &config), []);
        }
    }

    #[test]
    fn a_component_need_not_say_it_nor_say_it_well() {
        for said in ["", "{", "{\"keys\": 1}", "[]"] {
            assert!(super::check(&component(said)).is_none(), "{said}");
        }
        assert!(super::check(b"no component").is_none());
    }
}
