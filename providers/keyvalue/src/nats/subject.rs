//! Where buckets and their keys are in a bucket of NATS: which subject each key has.
//!
//! A key of NATS has few characters and a bounded length, and a bucket of NATS is a stream, of which nobody wants one for each
//! bucket that a component opens. So all are in one stream, and no two keys have a subject in common:
//!
//! * a key of the default bucket that NATS takes is that key, for other clients of NATS to see;
//! * another one is `=K.` and the key, with what NATS does not take in hexadecimal digits behind `=`;
//! * a key of another bucket is `=B.`, the bucket and `.K.`, and the key, both written so;
//! * what would be too long has its digest in place of its name, behind `H`. The name is in the entry then.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::store::DEFAULT_BUCKET;

/// The longest name that is written whole.
const LONGEST: usize = 500;
/// The beginning of subjects of named buckets.
const NAMED: &str = "=B.";

/// A bucket's subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subjects {
    /// The beginning of all subjects of a bucket of NATS: `$KV.BUCKET.`.
    stream: String,
    /// The beginning of the bucket's own, behind the former.
    bucket: String,
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) subject: String,
    /// Whether the key is not in the subject, but in the entry.
    pub(super) named_inside: bool,
}

/// A subject, as seen from a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The subject of this key.
    Key(String),
    /// The entry says which key it is.
    Inside,
    /// The subject of no key of the bucket.
    Other,
}

impl Subjects {
    /// The subjects of `bucket` in the bucket of NATS whose subjects start with `stream`.
    pub(super) fn of(stream: &str, bucket: &str) -> Self {
        let bucket = match bucket {
            DEFAULT_BUCKET => String::new(),
            name => match written(name) {
                Some(name) => format!("{NAMED}{name}."),
                None => format!("{NAMED}=.{}.", digest(name)),
            },
        };
        Self {
            stream: stream.to_owned(),
            bucket,
        }
    }

    /// Where a key is.
    pub(super) fn place(&self, key: &str) -> Place {
        let (name, named_inside) = match written(key) {
            _ if self.bucket.is_empty() && is_plain(key) => (key.to_owned(), false),
            Some(key) => (format!("=K.{key}"), false),
            None => (format!("=H.{}", digest(key)), true),
        };
        Place {
            subject: format!("{}{}{name}", self.stream, self.bucket),
            named_inside,
        }
    }

    /// A filter that lets all subjects of the bucket pass, if not only those.
    pub(super) fn filter(&self) -> String {
        format!("{}{}>", self.stream, self.bucket)
    }

    /// The key of the bucket that a subject is of.
    pub(super) fn key_of(&self, subject: &str) -> Found {
        let name = subject.strip_prefix(self.stream.as_str());
        let Some(name) = name.and_then(|name| name.strip_prefix(self.bucket.as_str())) else {
            return Found::Other;
        };
        if let Some(key) = name.strip_prefix("=K.") {
            return read(key).map_or(Found::Other, Found::Key);
        }
        if name.starts_with("=H.") {
            return Found::Inside;
        }
        match self.bucket.is_empty() && is_plain(name) {
            true => Found::Key(name.to_owned()),
            false => Found::Other,
        }
    }
}

/// Whether NATS takes a key as it is, and it is not taken for one that is written otherwise.
fn is_plain(key: &str) -> bool {
    let taken = |b: u8| b.is_ascii_alphanumeric() || b"-/_=.".contains(&b);
    !key.is_empty()
        && key.len() <= LONGEST
        && key.bytes().all(taken)
        && !key.starts_with(['=', '.'])
        && !key.ends_with('.')
        && !key.contains("..")
}

/// A name as one token of a subject, unless it is too long.
fn written(name: &str) -> Option<String> {
    // Nothing is no token.
    let mut text = String::from(if name.is_empty() { "=" } else { "" });
    for byte in name.bytes() {
        match byte {
            b'-' | b'_' => text.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => text.push(byte.into()),
            byte => text += &format!("={byte:02x}"),
        }
        if text.len() > LONGEST {
            return None;
        }
    }
    Some(text)
}

/// The name that [`written`] wrote.
fn read(text: &str) -> Option<String> {
    if text == "=" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'=' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let value = digit(rest.next())? * 16 + digit(rest.next())?;
                u8::try_from(value).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn digest(name: &str) -> String {
    hex::encode(Sha256::digest(name))
}

/// The key in an entry, and its value.
pub(super) fn inside(payload: &Bytes) -> Option<(String, Bytes)> {
    let (count, rest) = payload.split_first_chunk::<4>()?;
    let count = u32::from_be_bytes(*count) as usize;
    let key = std::str::from_utf8(rest.get(..count)?).ok()?;
    Some((key.to_owned(), payload.slice(4 + count..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 16] = [
        "default",
        "",
        "a",
        "a.b",
        "a/b",
        "a=b",
        "=",
        "=K.a",
        "=B.a.=K.a",
        ".",
        "a..b",
        "*",
        ">",
        "ß 🦀",
        "a b",
        "a:b",
    ];

    #[test]
    fn no_two_keys_share_a_subject_and_all_come_back() {
        let mut seen = std::collections::HashMap::new();
        let long = "k".repeat(1000);
        let names = NAMES.into_iter().chain([long.as_str()]);
        for bucket in names.clone() {
            let subjects = Subjects::of("$KV.nats.", bucket);
            for key in names.clone() {
                let place = subjects.place(key);
                let before = seen.insert(place.subject.clone(), (bucket, key));
                assert_eq!(before, None, "{bucket} {key}");
                let want = match place.named_inside {
                    true => Found::Inside,
                    false => Found::Key(key.to_owned()),
                };
                assert_eq!(subjects.key_of(&place.subject), want, "{bucket} {key}");
                assert!(
                    !place.subject.contains("..") && !place.subject.ends_with('.'),
                    "{place:?}"
                );
                assert!(!place.subject.contains([' ', '*', '>']), "{place:?}");
            }
        }
        for (subject, (bucket, key)) in &seen {
            for other in names.clone().filter(|other| other != bucket) {
                let found = Subjects::of("$KV.nats.", other).key_of(subject);
                assert_eq!(found, Found::Other, "{key} of {bucket} in {other}");
            }
        }
    }

    #[test]
    fn keys_that_nats_takes_are_as_they_are() {
        let place = Subjects::of("$KV.nats.", "default").place("cart/1.total");
        assert_eq!(place.subject, "$KV.nats.cart/1.total");
        let place = Subjects::of("$KV.nats.", "a b").place("c.d");
        assert_eq!(place.subject, "$KV.nats.=B.a=20b.=K.c=2ed");
    }
}
