//! The rules for keys, subjects and prefixes, and which key has which prefix.

use crate::MAX_VALUE;
use crate::error::Invalid;

/// The most bytes of a key: what a broker's subjects can hold with room for its own words.
const MAX_KEY: usize = 512;

/// The most bytes of a name.
const MAX_NAME: usize = 64;

/// Checks a key or a subject.
///
/// # Errors
///
/// Returns [`Invalid`] when the key does not consist of words.
pub(crate) fn check(key: &str) -> Result<(), Invalid> {
    if key.len() > MAX_KEY {
        return Err(Invalid::LongKey {
            size: key.len(),
            most: MAX_KEY,
        });
    }
    if key.split('.').all(is_word) {
        return Ok(());
    }
    Err(Invalid::Key(key.into()))
}

/// Checks a prefix: nothing, or some words.
///
/// # Errors
///
/// As [`check`].
pub(crate) fn check_prefix(prefix: &str) -> Result<(), Invalid> {
    match prefix {
        "" => Ok(()),
        _ => check(prefix),
    }
}

/// Checks the value of an entry.
///
/// # Errors
///
/// Returns [`Invalid`] when the value is too large.
pub(crate) fn check_value(key: &str, value: &[u8]) -> Result<(), Invalid> {
    if value.len() <= MAX_VALUE {
        return Ok(());
    }
    Err(Invalid::LargeValue {
        key: key.into(),
        size: value.len(),
        most: MAX_VALUE,
    })
}

/// Checks the name of a lattice or of a host.
///
/// # Errors
///
/// Returns [`Invalid`] when the name is not one word that a bucket's name can hold.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), Invalid> {
    if is_word(name) && name.len() <= MAX_NAME && !name.contains('=') {
        return Ok(());
    }
    Err(Invalid::Name {
        what,
        name: name.into(),
        most: MAX_NAME,
    })
}

fn is_word(word: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_=-".contains(&b);
    !word.is_empty() && word.bytes().all(allowed)
}

/// Whether `prefix` is some of the first words of `key`.
pub(crate) fn has_prefix(key: &str, prefix: &str) -> bool {
    match key.strip_prefix(prefix) {
        Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('.'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_words_joined_by_dots() {
        for good in ["a", "hosts.N1", "a-b_c=d.E9"] {
            check(good).unwrap();
        }
        let long = "a".repeat(MAX_KEY + 1);
        for bad in [
            "", ".", "a.", ".a", "a..b", "a b", "a.*", "a.>", "ü", "a/b", &long,
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        check_prefix("").unwrap();
        assert!(check_prefix("a.").is_err());
    }

    #[test]
    fn names_are_one_word() {
        check_name("lattice", "default-1_x").unwrap();
        let long = "a".repeat(MAX_NAME + 1);
        for bad in ["", "a.b", "a=b", "a b", ">", &long] {
            assert!(check_name("lattice", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_end_with_words() {
        assert!(has_prefix("hosts.N1", "hosts"));
        assert!(has_prefix("hosts", "hosts"));
        assert!(has_prefix("hosts.N1", ""));
        assert!(!has_prefix("hostsfile.N1", "hosts"));
        assert!(!has_prefix("hosts", "hosts.N1"));
    }
}
