//! YAML to node trees, from the parser's events.
//!
//! Aliases are expanded and merge keys (`<<`) applied here, so that nothing above knows of them.
//! The parser's marks count characters; spans count bytes.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};
use withe_linker::input::Span;
use withe_linker::{Diagnostic, Diagnostics};

use crate::codes;
use crate::node::{Document, Entries, MAX_DEPTH, MapEntry, Node, Scalar, Value, plain_kind};
use crate::syntax;

/// How many values the aliases of a file may stand for, all told. Aliases of aliases grow without
/// bound otherwise.
const MAX_ALIASED: usize = 100_000;

/// Reads every document of `text`; a syntax error leaves nothing to read.
pub(crate) fn read(text: &str) -> Result<Vec<Document>, Box<Diagnostic>> {
    let mut builder = Builder::new(text);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, mark) = event.map_err(|error| Box::new(builder.syntax_error(&error)))?;
        let span = builder.span(mark.start, mark.end);
        builder.event(event, span)?;
    }
    Ok(builder.documents)
}

struct Builder<'t> {
    text: &'t str,
    /// The byte at which each character starts; empty for ASCII, where they are the same.
    offsets: Vec<usize>,
    documents: Vec<Document>,
    /// The collections being read, outermost first.
    open: Vec<OpenCollection>,
    anchors: BTreeMap<usize, Node>,
    problems: Diagnostics,
    aliased: usize,
}

/// A collection being read.
struct OpenCollection {
    span: Span,
    /// Written with brackets: then it ends where they close, else with its last value.
    flow: bool,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Entries,
        merged: Vec<Node>,
        key: Option<Key>,
    },
}

/// A key whose value is still to come.
enum Key {
    Text(String, Span),
    Merge,
    /// A key that is not text: reported, and its value is left out.
    Unusable,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str) -> Self {
        let offsets = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(at, _)| at).collect()
        };
        Self {
            text,
            offsets,
            documents: Vec::new(),
            open: Vec::new(),
            anchors: BTreeMap::new(),
            problems: Diagnostics::default(),
            aliased: 0,
        }
    }

    fn span(&self, start: Marker, end: Marker) -> Span {
        let byte = |mark: Marker| {
            let at = if self.offsets.is_empty() {
                mark.index()
            } else {
                self.offsets
                    .get(mark.index())
                    .copied()
                    .unwrap_or(self.text.len())
            };
            at.min(self.text.len())
        };
        let (start, end) = (byte(start), byte(end));
        Span {
            start,
            end: end.max(start),
        }
    }

    fn syntax_error(&self, error: &ScanError) -> Diagnostic {
        let at = self.span(*error.marker(), *error.marker()).start;
        syntax::error(self.text, at, error.info())
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Diagnostic>> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.check_tag(tag.as_deref(), span);
                let kind = scalar_kind(&text, style, tag.as_deref());
                let node = Node {
                    span: without_trailing_space(self.text, span, style),
                    value: Value::Scalar(kind, text.into_owned()),
                };
                let merge = style == ScalarStyle::Plain;
                self.value(node, anchor, merge);
            }
            Event::Alias(id) => {
                let node = self.alias(id, span)?;
                self.value(node, 0, false);
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), span);
                self.start(span, anchor, Content::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), span);
                let content = Content::Map {
                    entries: Entries::default(),
                    merged: Vec::new(),
                    key: None,
                };
                self.start(span, anchor, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                // The parser ends only what it started.
                if let Some(open) = self.open.pop() {
                    let anchor = open.anchor;
                    let node = open.finish(span.end);
                    self.value(node, anchor, false);
                }
            }
            Event::DocumentEnd => self.anchors.clear(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
        }
        Ok(())
    }

    fn start(
        &mut self,
        span: Span,
        anchor: usize,
        content: Content,
    ) -> Result<(), Box<Diagnostic>> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Box::new(
                Diagnostic::error(
                    codes::TOO_LARGE,
                    format!("lists and maps are nested more than {MAX_DEPTH} deep"),
                )
                .at(Some(span), "too deep"),
            ));
        }
        let flow = self.text[span.start..span.end].ends_with(['{', '[']);
        self.open.push(OpenCollection {
            span,
            flow,
            anchor,
            content,
        });
        Ok(())
    }

    /// The node that an alias stands for, with the alias' place.
    fn alias(&mut self, id: usize, span: Span) -> Result<Node, Box<Diagnostic>> {
        let Some(node) = self.anchors.get(&id) else {
            // The parser knows every anchor that has begun, so this one has not ended.
            return Err(Box::new(
                Diagnostic::error(
                    codes::SYNTAX,
                    "an alias stands for a value that contains it",
                )
                .at(Some(span), "inside the value it stands for"),
            ));
        };
        self.aliased += node.size();
        if self.aliased > MAX_ALIASED {
            return Err(Box::new(
                Diagnostic::error(
                    codes::TOO_LARGE,
                    format!("aliases stand for more than {MAX_ALIASED} values"),
                )
                .at(Some(span), "one alias too many"),
            ));
        }
        Ok(Node {
            span,
            value: node.value.clone(),
        })
    }

    /// Puts a finished value where it belongs. `may_merge` says whether it can be a merge key.
    fn value(&mut self, node: Node, anchor: usize, may_merge: bool) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(Document {
                root: node,
                problems: std::mem::take(&mut self.problems),
            });
            return;
        };
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map {
                entries,
                merged,
                key,
            } => match key.take() {
                None => *key = Some(read_key(&mut self.problems, node, may_merge)),
                Some(Key::Text(text, key_span)) => {
                    let entry = MapEntry {
                        key: text,
                        key_span,
                        value: at_key_if_left_out(node, key_span),
                    };
                    entries.insert(&mut self.problems, entry);
                }
                Some(Key::Merge) => merge(&mut self.problems, merged, node),
                Some(Key::Unusable) => {}
            },
        }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, span: Span) {
        const KNOWN: [&str; 7] = ["str", "int", "float", "bool", "null", "map", "seq"];
        let Some(tag) = tag else { return };
        if tag.is_yaml_core_schema() && KNOWN.contains(&tag.suffix.as_str()) {
            return;
        }
        self.problems.push(
            Diagnostic::error(
                codes::YAML_FEATURE,
                format!("the YAML tag `{tag}` means nothing here"),
            )
            .at(Some(first_line(self.text, span)), "unknown tag")
            .with_help("remove the tag; only YAML's own tags, such as `!!str`, are understood"),
        );
    }
}

impl OpenCollection {
    /// The node, `end` being where the parser saw it end.
    fn finish(self, end: usize) -> Node {
        let (value, last) = match self.content {
            Content::List(items) => {
                let last = items.last().map(|item| item.span.end);
                (Value::List(items), last)
            }
            Content::Map {
                mut entries,
                merged,
                ..
            } => {
                for entry in merged.iter().flat_map(Node::entries) {
                    entries.insert_if_absent(entry.clone());
                }
                let entries = entries.finish();
                let last = entries.iter().map(|entry| entry.value.span.end).max();
                (Value::Map(entries), last)
            }
        };
        // The parser sees a block collection end where the next thing begins, which may be many
        // comments later. Nodes that an alias merged in may lie anywhere before.
        let end = match last {
            Some(last) if !self.flow => last.clamp(self.span.end, end.max(self.span.end)),
            _ => end,
        };
        Node {
            span: Span {
                start: self.span.start,
                end: end.max(self.span.start),
            },
            value,
        }
    }
}

fn scalar_kind(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Scalar {
    match tag {
        Some(tag) if tag.suffix != "str" => plain_kind(text),
        None if style == ScalarStyle::Plain => plain_kind(text),
        _ => Scalar::Text,
    }
}

fn read_key(out: &mut Diagnostics, node: Node, may_merge: bool) -> Key {
    let span = node.span;
    match node.value {
        Value::Scalar(_, text) if may_merge && text == "<<" => Key::Merge,
        Value::Scalar(_, text) => Key::Text(text, span),
        Value::List(_) | Value::Map(_) => {
            out.push(
                Diagnostic::error(
                    codes::YAML_FEATURE,
                    "a key must be text, not a list or a map",
                )
                .at(Some(span), "used as a key")
                .with_help("put the key in quotes if it is meant as text"),
            );
            Key::Unusable
        }
    }
}

/// Takes in the value of a merge key: a map, or a list of maps of which earlier ones win.
fn merge(out: &mut Diagnostics, merged: &mut Vec<Node>, node: Node) {
    match node.value {
        Value::Map(_) => merged.push(node),
        Value::List(items) if items.iter().all(|i| matches!(i.value, Value::Map(_))) => {
            merged.extend(items);
        }
        _ => out.push(
            Diagnostic::error(
                codes::YAML_FEATURE,
                format!("`<<` merges maps, found {}", node.describe()),
            )
            .at(Some(node.span), "expected an alias of a map")
            .with_help("write `<<: *name`, where `&name` marks a map further up"),
        ),
    }
}

/// A value that was left out is nowhere; its key is the place to point at.
fn at_key_if_left_out(mut node: Node, key_span: Span) -> Node {
    if node.is_null() && node.span.start == node.span.end {
        node.span = key_span;
    }
    node
}

/// A block scalar runs to the next value; point at what can be seen of it.
fn without_trailing_space(text: &str, span: Span, style: ScalarStyle) -> Span {
    match style {
        ScalarStyle::Literal | ScalarStyle::Folded => Span {
            start: span.start,
            end: span.start + text[span.start..span.end].trim_end().len(),
        },
        ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => span,
    }
}

fn first_line(text: &str, span: Span) -> Span {
    let line = text[span.start..span.end]
        .lines()
        .next()
        .unwrap_or_default();
    Span {
        start: span.start,
        end: span.start + line.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Document {
        let mut documents = read(text).unwrap();
        assert_eq!(documents.len(), 1);
        documents.remove(0)
    }

    fn place(text: &str, span: Span) -> &str {
        &text[span.start..span.end]
    }

    #[test]
    fn spans_are_bytes_in_text_that_is_not_ascii() {
        let text = "\u{feff}ключ: значение\r\nlist:\r\n- 'é'\r\n- {ü: \"ß\"}\r\n# end ü\r\n";
        let root = one(text).root;
        assert_eq!(place(text, root.entries()[0].key_span), "ключ");
        assert_eq!(place(text, root.entries()[0].value.span), "значение");
        let list = root.get("list").unwrap();
        assert_eq!(
            place(text, list.span),
            "'é'\r\n- {ü: \"ß\"}".trim_start_matches("- ")
        );
        let Value::List(items) = &list.value else {
            panic!("a list")
        };
        assert_eq!(place(text, items[1].get("ü").unwrap().span), "\"ß\"");
    }

    #[test]
    fn a_block_map_ends_with_its_last_value() {
        let text = "a:\n  b: |\n    text\n\n\n# comment\nc: 1\n";
        let root = one(text).root;
        assert_eq!(place(text, root.get("a").unwrap().span), "b: |\n    text");
    }

    #[test]
    fn a_value_left_out_has_the_place_of_its_key() {
        let root = one("a:\nb: ~\n").root;
        assert_eq!(root.get("a").unwrap().span, Span { start: 0, end: 1 });
        assert_eq!(root.get("b").unwrap().span, Span { start: 6, end: 7 });
    }

    #[test]
    fn aliases_and_merge_keys_are_expanded() {
        let text = "x: &x {a: 1, b: 2}\ny: *x\nz:\n  <<: *x\n  b: 3\nw: {<<: [{c: 4}, *x], d: 5}\n";
        let document = one(text);
        assert!(document.problems.0.is_empty());
        let get = |outer: &str, inner: &str| {
            let node = document.root.get(outer).unwrap().get(inner).unwrap();
            node.text().unwrap().to_owned()
        };
        assert_eq!(
            (get("y", "a"), get("z", "a"), get("z", "b")),
            ("1".into(), "1".into(), "3".into())
        );
        assert_eq!(
            (get("w", "a"), get("w", "c"), get("w", "d")),
            ("1".into(), "4".into(), "5".into())
        );
        assert_eq!(place(text, document.root.get("y").unwrap().span), "*x");
    }

    #[test]
    fn a_quoted_merge_key_is_a_key() {
        assert_eq!(one("'<<': 1\n").root.get("<<").unwrap().text(), Some("1"));
    }

    #[test]
    fn what_yaml_can_say_and_a_manifest_cannot_is_reported() {
        let cases = [
            "a: !secret b\n",
            "? [a]\n: b\n",
            "<<: 1\n",
            "a: !!binary aGk=\n",
        ];
        for text in cases {
            let problems = one(text).problems;
            assert_eq!(problems.0.len(), 1, "{text}");
            assert_eq!(problems.0[0].code, codes::YAML_FEATURE);
        }
    }

    #[test]
    fn a_string_tag_makes_a_number_text() {
        let root = one("a: !!str 5\nb: !!int \"5\"\n").root;
        assert!(
            matches!(&root.get("a").unwrap().value, Value::Scalar(Scalar::Text, t) if t == "5")
        );
        assert!(matches!(
            &root.get("b").unwrap().value,
            Value::Scalar(Scalar::Number, _)
        ));
    }

    #[test]
    fn growing_aliases_and_deep_nesting_are_refused() {
        let mut bomb = String::from("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
        for level in 1..10 {
            let of = format!("*a{}", level - 1);
            let items = [of.as_str(); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{items}]\n");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        for text in [bomb, deep] {
            assert_eq!(read(&text).unwrap_err().code, codes::TOO_LARGE);
        }
    }

    #[test]
    fn an_alias_of_what_contains_it_is_refused() {
        assert_eq!(read("a: &a [*a]\n").unwrap_err().code, codes::SYNTAX);
    }

    #[test]
    fn syntax_errors_point_at_what_is_wrong() {
        let cases = [
            ("a:\n\tb: 1\n", 2),
            ("a: x\n  y\n  z\n\tb: 1\n", 4),
            ("a: 1\n\tb: 1\n", 2),
            ("a:\n  b: 1\n\tc: 1\n", 3),
            ("a:\n  b: 1\n\n  \tc: 1\n", 4),
            ("a:\n  b: x y\n# a comment\n\t- c\n", 4),
            ("a:\n  - b\n\t- c\n", 3),
            ("a:\n  b:\n  \tc: 1\n  d: 1\n", 3),
            ("a:\n  b: {c: 1}\n\td: 1\n", 3),
            ("é: b: c\n", 1),
            ("a: \"x\nb: 1\n", 1),
            ("a:\n- b\n-c\n", 3),
            ("a: @x\n", 1),
            ("a: - b\n", 1),
            ("a: *b\n", 1),
        ];
        for (text, line) in cases {
            let span = read(text).unwrap_err().primary.unwrap().span;
            assert_eq!(
                text[..span.start].matches('\n').count() + 1,
                line,
                "{text:?}"
            );
            assert!(span.end > span.start);
        }
    }
}
