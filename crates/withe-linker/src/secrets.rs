//! Values that are not shown.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::input::Application;

/// The text in the place of a secret value wherever people look.
pub const MASK: &str = "•••";

/// A value of fewer bytes is a part of too many words to be replaced wherever it is found.
const SHORT: usize = 4;
/// A line of a longer value that has so many bytes is as secret as all of it.
const LONG_LINE: usize = 16;

/// The value of one secret, as a backend has it. In JSON a text is a string, and bytes are an array of numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SecretValue {
    /// Text.
    Text(String),
    /// Bytes, which need not be text.
    Bytes(Vec<u8>),
}

impl SecretValue {
    /// The value as text, if messages can have it: bytes that are no text cannot stand in one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bytes(bytes) => str::from_utf8(bytes).ok(),
        }
    }
}

/// Secret values, to be replaced in messages for people.
///
/// A provider writes what it likes of its configuration into its errors. Which words of a message are a value nobody
/// knows, so that every place where the value stands is replaced: a word too many is better than a password in a log.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretValues {
    /// The texts that are looked for, and those in their places; longer ones first, for one may be a part of another.
    replaced: Vec<(String, String)>,
}

impl SecretValues {
    /// These values.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut replaced: Vec<_> = values.into_iter().flat_map(forms).collect();
        replaced.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        replaced.dedup();
        Self { replaced }
    }

    /// All secret values of an application's configuration.
    pub fn of(application: &Application) -> Self {
        let secret = application.named_config().filter(|config| config.secret);
        let values = secret.flat_map(|config| config.properties.iter().flatten());
        Self::new(values.map(|(_, value)| value.value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.replaced.is_empty()
    }

    /// `text` with [`MASK`] in the place of each secret value.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for (value, instead) in &self.replaced {
            if text.contains(value.as_str()) {
                text = Cow::Owned(text.replace(value.as_str(), instead));
            }
        }
        text
    }
}

impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretValues({})", self.replaced.len())
    }
}

/// How messages may have a value, and what they are to have instead.
fn forms(value: &str) -> Vec<(String, String)> {
    // Providers read values without white space around them.
    let value = value.trim();
    if value.is_empty() || value == MASK {
        return Vec::new();
    }
    if value.len() < SHORT {
        return vec![(format!("`{value}`"), format!("`{MASK}`"))];
    }
    let escaped = format!("{value:?}");
    let mut forms = vec![value.to_owned(), escaped[1..escaped.len() - 1].to_owned()];
    // A client of a server names what it could not use of a URL.
    let urls = value.split(',').map(str::trim);
    let passwords = urls.filter_map(|url| password(url).or_else(|| token(url)));
    forms.extend(
        passwords
            .filter(|text| text.len() >= SHORT)
            .map(str::to_owned),
    );
    if value.contains('\n') {
        let lines = value.lines().map(str::trim);
        let long = lines.filter(|line| line.len() >= LONG_LINE);
        forms.extend(long.map(str::to_owned));
    }
    (forms.into_iter())
        .map(|form| (form, MASK.to_owned()))
        .collect()
}

/// The password in a URL, if there is one.
pub fn password(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    (!password.is_empty()).then_some(password)
}

/// The token in a URL of NATS, if there is one: it stands where others have the user's name.
fn token(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (token, _) = authority.rsplit_once('@')?;
    let is_token = matches!(scheme, "nats" | "tls" | "ws" | "wss") && !token.contains(':');
    (is_token && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_value_is_replaced() {
        let secrets = SecretValues::new([
            "s3cret",
            "s3cret-and-more",
            " padded ",
            "with \"quotes\"",
            "redis://user:passw0rd@host",
            "-----BEGIN KEY-----\nabcdefghijklmnop\n",
            "abc",
            "",
        ]);
        for (text, masked) in [
            ("it is s3cret", "it is •••"),
            ("s3cret-and-more, s3cret", "•••, •••"),
            ("`padded` is none", "`•••` is none"),
            (r#"found "with \"quotes\"""#, r#"found "•••""#),
            ("no user passw0rd", "no user •••"),
            ("redis://user:passw0rd@host:1", "•••:1"),
            ("near abcdefghijklmnop", "near •••"),
            ("`abc` is no number, abcd", "`•••` is no number, abcd"),
            ("nothing of it", "nothing of it"),
        ] {
            assert_eq!(secrets.mask(text), masked);
        }
        assert!(!format!("{secrets:?}").contains("s3cret"));
        assert!(SecretValues::new(["", MASK]).is_empty());
    }

    #[test]
    fn a_list_of_servers_has_a_password_or_a_token_each() {
        let secrets = SecretValues::new(["nats://me:first@a, nats://the-token@b:4222,tls://c"]);
        assert_eq!(secrets.mask("me first a"), "me ••• a");
        assert_eq!(secrets.mask("username: the-token"), "username: •••");
        // A user's name alone is none anywhere else.
        let secrets = SecretValues::new(["postgres://postgres@host/db"]);
        assert_eq!(secrets.mask("postgres is there"), "postgres is there");
    }

    #[test]
    fn passwords_of_urls() {
        for (url, expected) in [
            ("redis://user:pass@host:6379/0", Some("pass")),
            ("redis://:pa@ss@host", Some("pa@ss")),
            ("redis://user@host", None),
            ("redis://user:@host", None),
            ("http://host/a:b@c", None),
            ("a:b@c", None),
        ] {
            assert_eq!(password(url), expected, "{url}");
        }
    }
}
