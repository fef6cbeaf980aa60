//! Where the keys of buckets are in Redis, which has no buckets.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::store::DEFAULT_BUCKET;

/// The beginning of Redis's keys that are not as components name them.
pub(super) const RESERVED: &str = "withe:";
/// Keys of the default bucket that start with [`RESERVED`] themselves.
const ESCAPED: &str = "withe:default:";

/// The characters that are escaped in a bucket's name, which a colon ends.
const IN_NAME: &AsciiSet = &CONTROLS.add(b':').add(b'%');

/// Where a bucket's keys are in Redis, which has none: no two buckets have a key of Redis in common.
pub(super) enum Keyspace {
    /// The default bucket's keys are the keys of Redis, so that what v1's provider has written, which knows no
    /// buckets, is found there. Keys that start with [`RESERVED`] are kept apart.
    Default,
    /// Another bucket's keys start with `withe:bucket:NAME:`.
    Named { prefix: String },
}

impl Keyspace {
    pub(super) fn of(bucket: &str) -> Self {
        if bucket == DEFAULT_BUCKET {
            return Self::Default;
        }
        let name = utf8_percent_encode(bucket, IN_NAME);
        Self::Named {
            prefix: format!("{RESERVED}bucket:{name}:"),
        }
    }

    /// The key of Redis that `key` of the bucket is.
    pub(super) fn key(&self, key: &str) -> String {
        match self {
            Self::Default if key.starts_with(RESERVED) => format!("{ESCAPED}{key}"),
            Self::Default => key.to_owned(),
            Self::Named { prefix } => format!("{prefix}{key}"),
        }
    }

    /// The key of the bucket that a key of Redis is, if it is one.
    pub(super) fn key_of(&self, found: String) -> Option<String> {
        match self {
            Self::Default if !found.starts_with(RESERVED) => Some(found),
            Self::Default => found
                .strip_prefix(ESCAPED)
                .filter(|key| key.starts_with(RESERVED))
                .map(str::to_owned),
            Self::Named { prefix } => found.strip_prefix(prefix.as_str()).map(str::to_owned),
        }
    }

    /// A pattern that matches all keys of the bucket, if not only those.
    pub(super) fn pattern(&self) -> String {
        starting_with(match self {
            Self::Default => "",
            Self::Named { prefix } => prefix,
        })
    }
}

/// A pattern that matches what starts with `prefix`.
pub(super) fn starting_with(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for c in prefix.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('*');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_buckets_share_a_key() {
        let cases = [
            ("default", "k", "k"),
            ("default", "a:b", "a:b"),
            (
                "default",
                "withe:bucket:a:b",
                "withe:default:withe:bucket:a:b",
            ),
            (
                "default",
                "withe:default:withe:x",
                "withe:default:withe:default:withe:x",
            ),
            ("default", "withe", "withe"),
            ("a", "b:c", "withe:bucket:a:b:c"),
            ("a:b", "c", "withe:bucket:a%3Ab:c"),
            ("a%3Ab", "c", "withe:bucket:a%253Ab:c"),
            ("withe:", "", "withe:bucket:withe%3A:"),
        ];
        for (bucket, key, redis) in cases {
            assert_eq!(Keyspace::of(bucket).key(key), redis);
            for (other, ..) in cases {
                let found = Keyspace::of(other).key_of(redis.to_owned());
                let want = (other == bucket).then(|| key.to_owned());
                assert_eq!(found, want, "{redis} in {other}");
            }
        }
        // Somebody else's, which no key of the interface is.
        for foreign in ["withe:", "withe:default:x", "withe:other"] {
            assert_eq!(Keyspace::of("default").key_of(foreign.to_owned()), None);
        }
        assert_eq!(starting_with("a*[b]?\\:"), "a\\*\\[b\\]\\?\\\\:*");
    }
}
