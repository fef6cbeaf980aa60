//! The tree that both YAML and JSON are read into: values, the text they were written as, and
//! their places.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use withe_linker::input::Span;
use withe_linker::{Diagnostic, Diagnostics};

use crate::codes;

/// How deep maps and lists may nest. A manifest needs about ten; the limit keeps hostile ones from
/// exhausting the stack.
pub(crate) const MAX_DEPTH: usize = 64;

/// One document of a file.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) root: Node,
    /// Faults as YAML or JSON that leave it readable: a key twice, an unknown tag.
    pub(crate) problems: Diagnostics,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its bytes in the text. A value that was left out (`name:`) has the place of its key.
    pub(crate) span: Span,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar, String),
    List(Vec<Node>),
    Map(Vec<MapEntry>),
}

/// The meaning of a scalar's text by YAML's core schema. The text is kept as written, because most of a
/// manifest's scalars are text whatever they look like (`port: 8080`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scalar {
    Null,
    Bool,
    Number,
    Text,
}

/// A key, its place, and its value.
#[derive(Clone, Debug)]
pub(crate) struct MapEntry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Scalar(Scalar::Null, _))
    }

    /// Whether it is a list or map of nothing.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.value {
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
            Value::Scalar(..) => false,
        }
    }

    /// The text of a scalar, whatever its kind; nothing for null, lists and maps.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(Scalar::Null, _) | Value::List(_) | Value::Map(_) => None,
            Value::Scalar(_, text) => Some(text),
        }
    }

    /// The entries of a map; none for anything else.
    pub(crate) fn entries(&self) -> &[MapEntry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar(..) | Value::List(_) => &[],
        }
    }

    /// The value of `key` in a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let entry = self.entries().iter().find(|entry| entry.key == key)?;
        Some(&entry.value)
    }

    /// Where to point for a problem with this value as a whole: a map's or list's first line
    /// rather than all of it.
    pub(crate) fn head(&self) -> Span {
        match &self.value {
            Value::Map(entries) => entries.first().map_or(self.span, |entry| entry.key_span),
            Value::List(items) => items.first().map_or(self.span, Node::head),
            Value::Scalar(..) => self.span,
        }
    }

    /// The kind of node, for "found …".
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Scalar(Scalar::Null, _) => "nothing".into(),
            Value::Scalar(Scalar::Bool, text) => format!("the boolean `{text}`"),
            Value::Scalar(Scalar::Number, text) => format!("the number `{text}`"),
            Value::Scalar(Scalar::Text, text) => format!("the text `{}`", shorten(text)),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        }
    }

    /// Whether both say the same, places and the order of keys aside.
    pub(crate) fn same(&self, other: &Node) -> bool {
        match (&self.value, &other.value) {
            (Value::Scalar(a, x), Value::Scalar(b, y)) => a == b && x == y,
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .all(|entry| other.get(&entry.key).is_some_and(|v| v.same(&entry.value)))
            }
            _ => false,
        }
    }

    /// A number that is the same for all that say the same.
    pub(crate) fn digest(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        match &self.value {
            Value::Scalar(kind, text) => (kind, text).hash(&mut hash),
            Value::List(items) => items.iter().for_each(|item| item.digest().hash(&mut hash)),
            Value::Map(entries) => {
                // The same in whatever order the keys are.
                let digests = entries.iter().map(|entry| {
                    let mut hash = DefaultHasher::new();
                    (&entry.key, entry.value.digest()).hash(&mut hash);
                    hash.finish()
                });
                digests.fold(0, u64::wrapping_add).hash(&mut hash);
            }
        }
        hash.finish()
    }

    /// How many values it holds, itself included.
    pub(crate) fn size(&self) -> usize {
        match &self.value {
            Value::Scalar(..) => 1,
            Value::List(items) => items.iter().map(Node::size).sum::<usize>() + 1,
            Value::Map(entries) => entries.iter().map(|e| e.value.size()).sum::<usize>() + 1,
        }
    }
}

/// The entries of a map being read; a key that is there already is reported and left out.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    entries: Vec<MapEntry>,
    /// Where the key of each entry is in `entries`, once there are more than [`FEW`].
    places: HashMap<String, usize>,
}

/// Among so many entries a key is found fastest by looking at each. Most maps of a manifest have three.
const FEW: usize = 16;

impl Entries {
    pub(crate) fn insert(&mut self, out: &mut Diagnostics, entry: MapEntry) {
        if let Some(first) = self.find(&entry.key) {
            out.push(
                Diagnostic::error(
                    codes::DUPLICATE_KEY,
                    format!("the key `{}` is there twice", shorten(&entry.key)),
                )
                .at(Some(entry.key_span), "the second one")
                .also(Some(first.key_span), "the first one")
                .with_help("remove one of them, or join what they say"),
            );
            return;
        }
        self.push(entry);
    }

    /// As a YAML merge key does: a key that is there already wins.
    pub(crate) fn insert_if_absent(&mut self, entry: MapEntry) {
        if self.find(&entry.key).is_none() {
            self.push(entry);
        }
    }

    pub(crate) fn finish(self) -> Vec<MapEntry> {
        self.entries
    }

    fn find(&self, key: &str) -> Option<&MapEntry> {
        if self.entries.len() <= FEW {
            return self.entries.iter().find(|entry| entry.key == key);
        }
        self.places.get(key).map(|place| &self.entries[*place])
    }

    fn push(&mut self, entry: MapEntry) {
        self.entries.push(entry);
        let unplaced = match self.entries.len() {
            ..=FEW => return,
            // The first that are no longer few.
            len if self.places.is_empty() => 0..len,
            len => len - 1..len,
        };
        for place in unplaced {
            self.places.insert(self.entries[place].key.clone(), place);
        }
    }
}

/// The kind of a plain YAML scalar by the core schema (YAML 1.2.2, 10.3.2).
pub(crate) fn plain_kind(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Scalar::Bool,
        _ if is_number(text) => Scalar::Number,
        _ => Scalar::Text,
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(digits) = text.strip_prefix("0x") {
        return !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit());
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return !digits.is_empty() && digits.chars().all(|c| c.is_digit(8));
    }
    match unsigned {
        ".inf" | ".Inf" | ".INF" => true,
        ".nan" | ".NaN" | ".NAN" => unsigned.len() == text.len(),
        // Rust's floats are written as YAML's are, except for `inf` and `nan`, which start with a
        // letter.
        _ => {
            unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
                && unsigned.parse::<f64>().is_ok()
        }
    }
}

/// `text` on one line and short enough for a message.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    if line.len() == text.len() && line.chars().count() <= MOST {
        return text.into();
    }
    let head: String = line.chars().take(MOST).collect();
    format!("{head}…")
}

/// The character at or before byte `at`, or the last one of the text.
pub(crate) fn character_at(text: &str, at: usize) -> Span {
    let last = text.char_indices().next_back().map_or(0, |(i, _)| i);
    let mut start = at.min(last);
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let width = text[start..].chars().next().map_or(0, char::len_utf8);
    Span {
        start,
        end: start + width,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_the_core_schema_says() {
        let table = [
            (Scalar::Null, vec!["", "~", "null", "NULL"]),
            (Scalar::Bool, vec!["true", "False", "TRUE"]),
            (
                Scalar::Number,
                vec![
                    "0", "-1", "+12", "0x1f", "0o17", "3.14", ".5", "1.", "1e3", "-.inf", ".nan",
                ],
            ),
            (
                Scalar::Text,
                vec![
                    "yes", "on", "nan", "inf", "-inf", "0xg", "1_000", "1.2.3", ".", "-", "-.nan",
                ],
            ),
        ];
        for (kind, texts) in table {
            for text in texts {
                assert_eq!(plain_kind(text), kind, "{text}");
            }
        }
    }

    fn text(value: &str) -> Node {
        Node {
            span: Span { start: 0, end: 0 },
            value: Value::Scalar(Scalar::Text, value.into()),
        }
    }

    fn entry(key: &str, value: Node) -> MapEntry {
        MapEntry {
            key: key.into(),
            key_span: value.span,
            value,
        }
    }

    #[test]
    fn keys_are_told_apart_among_few_and_among_many() {
        for count in [1, FEW, FEW + 1, 100] {
            let (mut entries, mut out) = (Entries::default(), Diagnostics::default());
            for i in 0..count {
                entries.insert(&mut out, entry(&format!("k{i}"), text("first")));
            }
            assert!(out.0.is_empty(), "{count}");
            for i in 0..count {
                entries.insert_if_absent(entry(&format!("k{i}"), text("second")));
                entries.insert(&mut out, entry(&format!("k{i}"), text("third")));
            }
            assert_eq!(out.0.len(), count);
            entries.insert_if_absent(entry("new", text("first")));
            let entries = entries.finish();
            assert_eq!(entries.len(), count + 1);
            assert!(entries.iter().all(|e| e.value.text() == Some("first")));
        }
    }

    #[test]
    fn what_says_the_same_has_one_digest() {
        let map = |entries: Vec<MapEntry>| Node {
            span: Span { start: 7, end: 9 },
            value: Value::Map(entries),
        };
        let (a, b) = (|| entry("a", text("1")), || entry("b", text("2")));
        let (one, other) = (map(vec![a(), b()]), map(vec![b(), a()]));
        assert!(one.same(&other));
        assert_eq!(one.digest(), other.digest());
        let swapped = map(vec![entry("a", text("2")), entry("b", text("1"))]);
        assert!(!one.same(&swapped));
        assert_ne!(one.digest(), swapped.digest());
    }

    #[test]
    fn long_and_multi_line_texts_are_shortened_at_a_character() {
        assert_eq!(shorten("one\ntwo"), "one…");
        assert_eq!(shorten(&"é".repeat(80)), format!("{}…", "é".repeat(60)));
        assert_eq!(shorten("short"), "short");
    }
}
