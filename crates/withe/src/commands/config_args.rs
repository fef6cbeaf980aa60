//! Configuration that is given on the command line, or, where it is secret, by what others cannot see.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use withe_linker::input::{ConfigMap, SecretKeys};
use withe_linker::secrets;

use crate::terminal::Terminal;

/// Parts of the names of keys whose values are secrets.
const SECRET: [&str; 9] = [
    "password",
    "passwd",
    "secret",
    "token",
    "credential",
    "private_key",
    "api_key",
    "apikey",
    "access_key",
];

/// Keys and where their values are, each as it was given.
pub(super) struct GivenConfig<'a> {
    /// The option for values, such as `target-config`; those for files and variables have it in their names.
    pub(super) option: &'static str,
    /// The values themselves.
    pub(super) values: &'a [(String, String)],
    /// Files that hold them; `-` is standard input.
    pub(super) files: &'a [(String, String)],
    /// Variables that hold them.
    pub(super) variables: &'a [(String, String)],
}

impl GivenConfig<'_> {
    /// The configuration, and the keys of it whose values are secret: those that were given by files or variables, or look
    /// like secrets. Of these one that is an argument is warned of.
    ///
    /// # Errors
    ///
    /// If a key is given twice, or its file or variable cannot be read.
    pub(super) fn read(&self, terminal: &Terminal) -> anyhow::Result<(ConfigMap, SecretKeys)> {
        let (mut config, mut secret_keys) = (ConfigMap::new(), SecretKeys::new());
        let mut add = |key: &String, value: String| match config.insert(key.clone(), value) {
            None => Ok(()),
            Some(_) => bail!("`{key}` is given twice by `--{}`", self.option),
        };
        for (key, value) in self.values {
            if looks_secret(key, value) {
                secret_keys.insert(key.clone());
                let option = self.option;
                terminal.say(&format!(
                    "warning: the value of `{key}` is an argument, which other users of this machine can read and \
                     shells keep; give it by `--{option}-file {key}=FILE` (`-` is standard input) or \
                     `--{option}-env {key}=VARIABLE`\n"
                ));
            }
            add(key, value.clone())?;
        }
        for (key, file) in self.files {
            add(
                key,
                read(file).with_context(|| format!("the value of `{key}` cannot be read"))?,
            )?;
        }
        for (key, variable) in self.variables {
            let value = std::env::var(variable).with_context(|| {
                format!("the value of `{key}` is not in the variable `{variable}`")
            })?;
            add(key, value)?;
        }
        let by_others = self.files.iter().chain(self.variables);
        secret_keys.extend(by_others.map(|(key, _)| key.clone()));
        Ok((config, secret_keys))
    }
}

/// Checks that no two keys have standard input for their value: the second would read nothing.
///
/// # Errors
///
/// Names the keys.
pub(super) fn check_standard_input<'a>(
    files: impl Iterator<Item = &'a (String, String)>,
) -> anyhow::Result<()> {
    let keys = files.filter(|(_, file)| file == "-");
    let keys: Vec<_> = keys.map(|(key, _)| format!("`{key}`")).collect();
    if keys.len() > 1 {
        bail!(
            "standard input can be the value of one key only, and is given for {}; give the others by files or variables",
            keys.join(" and ")
        );
    }
    Ok(())
}

/// Reads a file, or standard input, without the line feed at its end.
///
/// # Errors
///
/// If it cannot be read, or is no text.
pub(super) fn read(file: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    if file == "-" {
        io::stdin().read_to_string(&mut text)?;
    } else {
        text = fs::read_to_string(Path::new(file)).with_context(|| format!("`{file}`"))?;
    }
    let without = text.strip_suffix('\n').unwrap_or(&text);
    Ok(without.strip_suffix('\r').unwrap_or(without).to_owned())
}

/// Whether a key has a name as secrets have, or its value is a private key or a URL with a password.
fn looks_secret(key: &str, value: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    SECRET.iter().any(|part| key.contains(part))
        || value.contains("PRIVATE KEY-----")
        || secrets::password(value).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_is_the_value_of_one_key() {
        let files = [("a", "-"), ("b", "file"), ("c", "-")];
        let files = files.map(|(key, file)| (key.to_owned(), file.to_owned()));
        assert!(check_standard_input(files[..2].iter()).is_ok());
        let error = check_standard_input(files.iter()).unwrap_err().to_string();
        assert!(error.contains("`a` and `c`"), "{error}");
    }

    #[test]
    fn secrets_are_known_by_their_keys_or_their_look() {
        for (key, value) in [
            ("password", "x"),
            ("DB_Password", "x"),
            ("api-key", "x"),
            ("url", "redis://user:pass@host:6379/0"),
            ("url", "redis://:pass@host"),
            ("pem", "-----BEGIN EC PRIVATE KEY-----"),
        ] {
            assert!(looks_secret(key, value), "{key}={value}");
        }
        for (key, value) in [
            ("bucket", "b"),
            ("url", "redis://host:6379/0"),
            ("url", "redis://user@host"),
            ("url", "http://host/a:b@c"),
            ("address", "127.0.0.1:80"),
        ] {
            assert!(!looks_secret(key, value), "{key}={value}");
        }
    }
}
