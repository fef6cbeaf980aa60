//! JSON to a node tree, by way of `serde_json`'s raw values: each is a slice of the text, so its
//! place is known.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use withe_linker::input::Span;
use withe_linker::{Diagnostic, Diagnostics};

use crate::codes;
use crate::node::{Document, Entries, MAX_DEPTH, MapEntry, Node, Scalar, Value, character_at};

/// Reads `text` as JSON. The error says where it is not.
pub(crate) fn read(text: &str) -> Result<Document, Box<Diagnostic>> {
    let mut reader = Reader {
        text,
        problems: Diagnostics::default(),
    };
    // Some editors still begin a file with a byte order mark.
    let root = reader.parse(text.trim_start_matches('\u{feff}'))?;
    let root = reader.node(root, 0)?;
    Ok(Document {
        root,
        problems: reader.problems,
    })
}

struct Reader<'t> {
    text: &'t str,
    problems: Diagnostics,
}

impl<'t> Reader<'t> {
    /// Reads a part of the text.
    fn node(&mut self, raw: &'t RawValue, depth: usize) -> Result<Node, Box<Diagnostic>> {
        let raw = raw.get();
        let span = self.place(raw);
        if depth > MAX_DEPTH {
            return Err(Box::new(
                Diagnostic::error(
                    codes::TOO_LARGE,
                    format!("lists and maps are nested more than {MAX_DEPTH} deep"),
                )
                .at(
                    Some(Span {
                        start: span.start,
                        end: span.start + 1,
                    }),
                    "too deep",
                ),
            ));
        }
        // A raw value begins with the character that says what it is.
        let value = match raw.as_bytes().first() {
            Some(b'{') => {
                let RawEntries(raw_entries) = self.parse(raw)?;
                let mut entries = Entries::default();
                for (key, value) in raw_entries {
                    let entry = MapEntry {
                        key: self.parse(key.get())?,
                        key_span: self.place(key.get()),
                        value: self.node(value, depth + 1)?,
                    };
                    entries.insert(&mut self.problems, entry);
                }
                Value::Map(entries.finish())
            }
            Some(b'[') => {
                let items: Vec<&'t RawValue> = self.parse(raw)?;
                let items = items.into_iter().map(|item| self.node(item, depth + 1));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            Some(b'"') => Value::Scalar(Scalar::Text, self.parse(raw)?),
            Some(b't' | b'f') => Value::Scalar(Scalar::Bool, raw.into()),
            Some(b'n') => Value::Scalar(Scalar::Null, raw.into()),
            _ => Value::Scalar(Scalar::Number, raw.into()),
        };
        Ok(Node { span, value })
    }

    fn parse<T: Deserialize<'t>>(&self, slice: &'t str) -> Result<T, Box<Diagnostic>> {
        serde_json::from_str(slice).map_err(|error| Box::new(self.syntax_error(slice, &error)))
    }

    /// The place of a slice of the text.
    fn place(&self, slice: &str) -> Span {
        let start = slice.as_ptr() as usize - self.text.as_ptr() as usize;
        Span {
            start,
            end: start + slice.len(),
        }
    }

    fn syntax_error(&self, slice: &str, error: &serde_json::Error) -> Diagnostic {
        // The error's line counts from 1; its column is the number of bytes read on that line.
        let lines_before = error.line().saturating_sub(1);
        let line_start: usize = slice
            .split_inclusive('\n')
            .take(lines_before)
            .map(str::len)
            .sum();
        let column = error.column().saturating_sub(1);
        let at = self.place(slice).start + line_start + column;
        let message = error.to_string();
        let message = message
            .rsplit_once(" at line ")
            .map_or(message.as_str(), |(message, _)| message);
        Diagnostic::error(codes::SYNTAX, format!("this is not valid JSON: {message}"))
            .at(Some(character_at(self.text, at)), "reading stopped here")
    }
}

/// An object's entries in order, repeated keys included.
struct RawEntries<'t>(Vec<(&'t RawValue, &'t RawValue)>);

impl<'de> Deserialize<'de> for RawEntries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = RawEntries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(RawEntries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_text() {
        let text = "\u{feff} { \"é\" : [ 1.50 , \"\\u00e9\" ], \"é\": null }";
        let document = read(text).unwrap();
        let place = |span: Span| &text[span.start..span.end];
        let [entry] = document.root.entries() else {
            panic!("the repeated key is left out")
        };
        assert_eq!(document.problems.0.len(), 1);
        assert_eq!(entry.key, "é");
        assert_eq!(place(entry.key_span), "\"é\"");
        let Value::List(items) = &entry.value.value else {
            panic!("a list")
        };
        assert_eq!(items[0].text(), Some("1.50"));
        assert_eq!(place(items[0].span), "1.50");
        assert_eq!(items[1].text(), Some("é"));
        assert_eq!(place(items[1].span), "\"\\u00e9\"");
    }

    #[test]
    fn an_invalid_escape_inside_is_placed() {
        let text = "{\"a\": [\n \"\\ud800x\"]}";
        let span = read(text).unwrap_err().primary.unwrap().span;
        assert!(span.start > 8 && span.end < text.len(), "{span:?}");
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(read(&text).unwrap_err().code, codes::TOO_LARGE);
    }
}
