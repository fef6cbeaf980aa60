//! A manifest's text without its secret values: as people are shown it, and as it is kept beside what is sealed.
//!
//! Which values are secret is read from the tree of the text, not from the application: a manifest that is wrong is shown,
//! too, and no application is made of it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use withe_linker::input::Span;
use withe_linker::secrets::MASK;

use crate::node::{Document, Node, Scalar, Value};
use crate::source;

/// [`MASK`] as a manifest has it, in YAML as in JSON.
const TOKEN: &str = "\"•••\"";
/// No manifest has a secret value without this word.
const WORD: &str = "secret";
/// A value of so many bytes is told by them wherever it stands. A shorter one may be a word that is there by itself.
const TELLING: usize = 8;

/// A manifest's text without its secret values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedManifest {
    /// The text, with [`MASK`] in the place of each secret value, and otherwise the same.
    pub text: String,
    /// The bytes of the text at which they are, and what was written there.
    pub hidden: Vec<(usize, String)>,
}

/// Why a secret value cannot be taken out of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {why}")]
pub struct Unmaskable {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// Why not.
    #[source]
    pub why: WhyUnmaskable,
}

/// Why a secret value cannot be taken out of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyUnmaskable {
    /// The value is an alias: it is written in another place.
    #[error("a secret value cannot be an alias; write the value here, plain or in quotes")]
    Alias,
    /// The value stands in the text where nobody has marked it.
    #[error(
        "here is the value of a secret, outside of configuration that is marked `secret: true`; mark this too, or remove it"
    )]
    Open,
    /// The text would say something else.
    #[error(
        "this cannot be sealed as it is written; write secret values plain or in quotes, without an anchor or a tag"
    )]
    Form,
}

/// The secret values of a text.
#[derive(Default)]
struct Secrets {
    /// The values, each by the place of its token.
    places: BTreeMap<(usize, usize), String>,
    /// The places of the values, which for blocks are not those of their tokens.
    values: BTreeSet<(usize, usize)>,
}

/// A manifest's text as people are shown it: every byte where it was, but for those of secret values, which are stars and
/// dots.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(WORD) {
        return Cow::Borrowed(text);
    }
    let mut hidden: BTreeSet<(usize, usize)> = BTreeSet::new();
    match source::read(text) {
        Ok(documents) => {
            let secrets = Secrets::of(text, &documents);
            hidden.extend(secrets.elsewhere(text));
            hidden.extend(secrets.places.into_keys());
        }
        // Nobody knows what is secret in a text that cannot be read.
        Err(_) => hidden.extend(all_values(text)),
    }
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut at) = (String::with_capacity(text.len()), 0);
    for (start, end) in hidden {
        let Some(secret) = text.get(start.max(at)..end.max(at)) else {
            continue;
        };
        shown.push_str(text.get(at..start.max(at)).unwrap_or_default());
        shown.extend(secret.chars().map(dot));
        at = end.max(at);
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(shown)
}

/// The edits that hide the secret values of a text in a copy that is still a manifest: the places of the text, in order, and
/// what to write there. Nothing for a text that cannot be read.
pub fn edits(text: &str) -> Vec<(Span, &'static str)> {
    if !text.contains(WORD) {
        return Vec::new();
    }
    let Ok(documents) = source::read(text) else {
        return Vec::new();
    };
    let secrets = Secrets::of(text, &documents);
    let elsewhere = secrets.elsewhere(text).into_iter();
    let places = secrets.places.into_keys().map(|place| (place, TOKEN));
    let edits: BTreeMap<_, _> = places.chain(elsewhere.map(|place| (place, MASK))).collect();
    let edits = edits.into_iter();
    edits
        .map(|((start, end), instead)| (Span { start, end }, instead))
        .collect()
}

/// Takes the secret values out of a manifest that has no errors.
///
/// # Errors
///
/// If one is written in a way that leaves it, or something else, in doubt.
pub fn mask(text: &str) -> Result<MaskedManifest, Unmaskable> {
    let whole = || MaskedManifest {
        text: text.to_owned(),
        hidden: Vec::new(),
    };
    if !text.contains(WORD) {
        return Ok(whole());
    }
    // The text was read before. One with errors has no application that could be put anywhere.
    let Ok(documents) = source::read(text) else {
        return Ok(whole());
    };
    let secrets = Secrets::of(text, &documents);
    let unmaskable = |at: usize, why| {
        let (line, column) = position(text, at);
        Unmaskable { line, column, why }
    };
    let mut masked = MaskedManifest {
        text: String::with_capacity(text.len()),
        hidden: Vec::new(),
    };
    let mut at = 0;
    for &(start, end) in secrets.places.keys() {
        let (Some(before), Some(token)) = (text.get(at..start), text.get(start..end)) else {
            return Err(unmaskable(start, WhyUnmaskable::Form));
        };
        if token.starts_with('*') {
            return Err(unmaskable(start, WhyUnmaskable::Alias));
        }
        masked.text.push_str(before);
        masked.hidden.push((masked.text.len(), token.to_owned()));
        masked.text.push_str(TOKEN);
        at = end;
    }
    masked.text.push_str(text.get(at..).unwrap_or_default());
    if let Some((start, _)) = secrets.elsewhere(text).first() {
        return Err(unmaskable(*start, WhyUnmaskable::Open));
    }
    let differs = match source::read(&masked.text) {
        Ok(again) => secrets.difference(&documents, &again),
        Err(_) => secrets.places.keys().next().map(|(start, _)| *start),
    };
    match differs {
        Some(at) => Err(unmaskable(at, WhyUnmaskable::Form)),
        None => Ok(masked),
    }
}

/// The text that [`mask`] was given; `None` if these are not of one text.
pub fn unmask(text: &str, hidden: &[(usize, String)]) -> Option<String> {
    let (mut whole, mut at) = (String::with_capacity(text.len()), 0);
    for (start, token) in hidden {
        whole.push_str(text.get(at..*start)?);
        whole.push_str(token);
        text.get(*start..)?.strip_prefix(TOKEN)?;
        at = start + TOKEN.len();
    }
    whole.push_str(text.get(at..)?);
    Some(whole)
}

impl Secrets {
    fn of(text: &str, documents: &[Document]) -> Self {
        let mut secrets = Self::default();
        for document in documents {
            secrets.look(text, &document.root);
        }
        secrets
    }

    fn look(&mut self, text: &str, node: &Node) {
        match &node.value {
            Value::Scalar(..) => {}
            Value::List(items) => items.iter().for_each(|item| self.look(text, item)),
            Value::Map(entries) => {
                let is_secret = node.get("secret").is_some_and(|secret| {
                    // One that is neither is an error, and hidden until it is corrected.
                    !secret.is_null() && secret.text() != Some("false")
                });
                for entry in entries {
                    match is_secret && entry.key == "properties" {
                        true => self.take(text, &entry.value),
                        false => self.look(text, &entry.value),
                    }
                }
            }
        }
    }

    /// Takes note of all values below `node`.
    fn take(&mut self, text: &str, node: &Node) {
        match &node.value {
            // The place of one that was left out is that of its key.
            Value::Scalar(Scalar::Null, _) => {}
            Value::Scalar(_, value) if value.is_empty() => {}
            Value::Scalar(_, value) => {
                let Span { start, end } = node.span;
                self.values.insert((start, end));
                self.places.insert((token(text, start), end), value.clone());
            }
            Value::List(items) => items.iter().for_each(|item| self.take(text, item)),
            Value::Map(entries) => {
                let values = entries.iter().map(|entry| &entry.value);
                values.for_each(|value| self.take(text, value));
            }
        }
    }

    fn is_value(&self, span: Span) -> bool {
        self.values.contains(&(span.start, span.end))
    }

    /// Where values stand besides their own places, as far as they can be told.
    fn elsewhere(&self, text: &str) -> BTreeSet<(usize, usize)> {
        let values: BTreeSet<&str> = self.places.values().map(|value| value.trim()).collect();
        let telling = values.into_iter().filter(|value| value.len() >= TELLING);
        let found = telling.flat_map(|value| {
            let found = text.match_indices(value);
            found.map(|(start, value)| (start, start + value.len()))
        });
        found.filter(|found| !self.holds(*found)).collect()
    }

    /// Whether a range is a part of a secret value's own place.
    fn holds(&self, (start, end): (usize, usize)) -> bool {
        let before = self.places.range(..=(start, usize::MAX)).next_back();
        before.is_some_and(|((_, last), _)| end <= *last)
    }

    /// The place of the first thing that `masked` says otherwise, secret values aside.
    fn difference(&self, original: &[Document], masked: &[Document]) -> Option<usize> {
        if original.len() != masked.len() {
            return Some(0);
        }
        let mut pairs = original.iter().zip(masked);
        pairs.find_map(|(a, b)| self.node_difference(&a.root, &b.root))
    }

    fn node_difference(&self, original: &Node, masked: &Node) -> Option<usize> {
        let here = Some(original.span.start);
        match (&original.value, &masked.value) {
            (Value::Scalar(..), Value::Scalar(kind, text)) if self.is_value(original.span) => {
                (*kind != Scalar::Text || text != MASK).then_some(original.span.start)
            }
            (Value::Scalar(a, x), Value::Scalar(b, y)) => {
                ((a, x) != (b, y)).then_some(original.span.start)
            }
            (Value::List(a), Value::List(b)) if a.len() == b.len() => {
                let mut pairs = a.iter().zip(b);
                pairs.find_map(|(a, b)| self.node_difference(a, b))
            }
            (Value::Map(a), Value::Map(b)) if a.len() == b.len() => {
                let mut pairs = a.iter().zip(b);
                pairs.find_map(|(a, b)| match a.key == b.key {
                    true => self.node_difference(&a.value, &b.value),
                    false => Some(a.key_span.start),
                })
            }
            _ => here,
        }
    }
}

/// Where the token begins of a value that begins at `start`: a block has a header (`|-`) on a line before its text.
fn token(text: &str, start: usize) -> usize {
    let before = text.get(..start).unwrap_or_default();
    let header = before.trim_end();
    if !before[header.len()..].contains('\n') {
        return start;
    }
    let begin = header.rfind('\n').map_or(0, |newline| newline + 1);
    let line = &header[begin..];
    let line = line
        .split_once(" #")
        .map_or(line, |(line, _)| line)
        .trim_end();
    let line = line.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
    match line.strip_suffix(['|', '>']) {
        Some(key) if key.is_empty() || key.ends_with([' ', '\t']) => begin + key.len(),
        _ => start,
    }
}

/// The parts of a text that nobody can read which may be values: whatever follows a colon, and lines without one.
fn all_values(text: &str) -> Vec<(usize, usize)> {
    let mut values = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end();
        let begins = match content.find(": ") {
            Some(colon) => colon + 2,
            None if content.ends_with(':') => content.len(),
            None => content.len() - content.trim_start_matches([' ', '\t', '-']).len(),
        };
        values.push((start + begins, start + content.len()));
        start += line.len();
    }
    values.retain(|(start, end)| start < end);
    values
}

/// A character that stands for a secret one, of as many bytes: places in the text stay what they are.
fn dot(secret: char) -> char {
    match secret {
        '\n' | '\r' => secret,
        _ => match secret.len_utf8() {
            1 => '*',
            2 => '·',
            3 => '•',
            _ => '🞄',
        },
    }
}

/// The line and the column of a byte, from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A list with one entry of configuration, of which the properties are these lines.
    fn entry(properties: &str) -> String {
        let lines = properties.lines().map(|line| format!("    {line}\n"));
        let lines: String = lines.collect();
        format!("config:\n- name: a # a comment\n  secret: true\n  properties:\n{lines}- name: b\n")
    }

    fn why(text: &str) -> (WhyUnmaskable, usize, usize) {
        let error = mask(text).unwrap_err();
        (error.why, error.line, error.column)
    }

    #[test]
    fn values_are_taken_out_and_put_back_byte_for_byte() {
        for (text, masked) in [
            (entry("k: hidden-value"), entry("k: \"•••\"")),
            (entry("k: 'it''s'  # why"), entry("k: \"•••\"")),
            (entry("k: \"é \\u00e9\"\nl: 5"), entry("k: \"•••\"\nl: \"•••\"")),
            (entry("k: plain over\n  two lines\nl:"), entry("k: \"•••\"\nl:")),
            (entry("k: |\n  one\n  two\nl: x"), entry("k: \"•••\"\nl: \"•••\"")),
            (entry("k: >-\n  one\n  two\n"), entry("k: \"•••\"")),
            (entry("k: |2 # why\n\n    one\n   two\nl: x"), entry("k: \"•••\"\nl: \"•••\"")),
            (entry("k: # not |\n  word"), entry("k: # not |\n  \"•••\"")),
            (
                "{\"config\": [{\"name\": \"a\", \"secret\": true, \"properties\": {\"k\": \"h\\\"i\", \"l\": 5}}]}"
                    .to_owned(),
                "{\"config\": [{\"name\": \"a\", \"secret\": true, \"properties\": {\"k\": \"•••\", \"l\": \"•••\"}}]}"
                    .to_owned(),
            ),
            (
                "a: [{name: a, properties: {k: [v], l: w}, secret: true}]".to_owned(),
                "a: [{name: a, properties: {k: [\"•••\"], l: \"•••\"}, secret: true}]".to_owned(),
            ),
            (
                "x: &x {k: shared-value}\na: {secret: true, properties: *x}\nb: {secret: true, properties: *x}\n".to_owned(),
                "x: &x {k: \"•••\"}\na: {secret: true, properties: *x}\nb: {secret: true, properties: *x}\n".to_owned(),
            ),
        ] {
            let found = mask(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
            assert_eq!(found.text, masked);
            assert_eq!(unmask(&found.text, &found.hidden).as_deref(), Some(&*text));
        }
    }

    #[test]
    fn what_is_not_secret_stays() {
        for text in [
            entry("k: v").replace("true", "false"),
            entry("k: v").replace("  secret: true\n", ""),
            entry("k:\nl: ''\nm: ~"),
            "secret: x".to_owned(),
            "secret: [".to_owned(),
        ] {
            let masked = mask(&text).unwrap();
            assert_eq!((masked.text, masked.hidden), (text, Vec::new()));
        }
    }

    #[test]
    fn what_cannot_be_taken_out_is_refused_where_it_is() {
        let alias = format!("x: &pw word\n{}", entry("k: *pw"));
        assert_eq!(why(&alias), (WhyUnmaskable::Alias, 6, 8));
        let comment = entry("k: hidden-value # hidden-value");
        assert_eq!(why(&comment), (WhyUnmaskable::Open, 5, 23));
        let elsewhere = format!("{}z: {{k: hidden-value}}", entry("k: hidden-value"));
        assert_eq!(why(&elsewhere), (WhyUnmaskable::Open, 7, 8));
        let anchor = format!("{}z: *pw", entry("k: &pw word"));
        assert_eq!(why(&anchor), (WhyUnmaskable::Form, 5, 8));
    }

    #[test]
    fn texts_are_shown_with_their_bytes_where_they_were() {
        for (text, expected) in [
            (entry("k: hé€🦀 # x"), entry("k: *·•🞄 # x")),
            (
                entry("k: hidden-value # hidden-value"),
                entry("k: ************ # ************"),
            ),
            (
                format!("x: &pw hidden-value\n{}", entry("k: *pw")),
                format!("x: &pw ************\n{}", entry("k: ***")),
            ),
            (
                "secret: true\na: one: two\n\tb\nc:".to_owned(),
                "secret: ****\na: ********\n\t*\nc:".to_owned(),
            ),
            ("a: one: two".to_owned(), "a: one: two".to_owned()),
            (
                "{secret: maybe, properties: word}".to_owned(),
                "{secret: maybe, properties: ****}".to_owned(),
            ),
        ] {
            assert_eq!(shown(&text), expected);
        }
        let block = entry("k: |\n  one\n  two");
        let found = shown(&block);
        assert_eq!(found.len(), block.len());
        assert_eq!(found.matches('\n').count(), block.matches('\n').count());
        assert!(!found.contains("one") && !found.contains("two"), "{found}");
    }

    #[test]
    fn what_is_of_another_text_is_not_put_back() {
        let at = |at: usize| [(at, "x".to_owned())];
        assert_eq!(unmask("a \"•••\" b", &at(2)).as_deref(), Some("a x b"));
        for (text, start) in [
            ("a b", 2),
            ("a", 9),
            ("é\"•••\"", 1),
            ("\"••", 0),
            ("", usize::MAX),
        ] {
            assert_eq!(unmask(text, &at(start)), None, "{text} {start}");
        }
        let twice = [(0, "x".to_owned()), (0, "y".to_owned())];
        assert_eq!(unmask(TOKEN, &twice), None);
    }

    #[test]
    fn the_token_is_the_mask_in_quotes() {
        assert_eq!(TOKEN, format!("\"{MASK}\""));
    }

    proptest! {
        #[test]
        fn any_value_is_hidden(value in "\\PC{0,20}", quote in 0..3) {
            let written = match quote {
                0 => value.clone(),
                1 => format!("'{}'", value.replace('\'', "''")),
                _ => serde_json::to_string(&value).unwrap(),
            };
            let text = entry(&format!("k: {written}"));
            let shown = shown(&text);
            prop_assert_eq!(shown.len(), text.len());
            if let Ok(masked) = mask(&text) {
                let again = unmask(&masked.text, &masked.hidden);
                prop_assert_eq!(again.as_ref(), Some(&text));
                if value.trim().len() >= TELLING && !masked.hidden.is_empty() {
                    prop_assert!(!shown.contains(value.trim()));
                }
            }
        }

        #[test]
        fn any_text_is_shown(text in "(secret: true|properties|[a:\\-\n\"'{}\\[\\]|&* é]){0,40}") {
            prop_assert_eq!(shown(&text).len(), text.len());
            if let Ok(masked) = mask(&text) {
                let again = unmask(&masked.text, &masked.hidden);
                prop_assert_eq!(again.as_ref(), Some(&text));
            }
        }
    }
}
