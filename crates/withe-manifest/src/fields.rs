//! Reading the fields of a map: what is missing, unknown or of the wrong type is reported, and
//! what is right is returned.

use std::collections::BTreeMap;

use withe_linker::input::{Span, Spanned};
use withe_linker::{Code, Diagnostic, Diagnostics};

use crate::codes;
use crate::node::{MapEntry, Node, Scalar, Value, shorten};
use crate::shapes::{EXTENSION_PREFIX, Shape};
use crate::suggest;
use crate::values::Unreadable;

/// A map whose fields are known by its shape.
pub(crate) struct Fields<'n> {
    shape: &'static Shape,
    node: &'n Node,
}

impl<'n> Fields<'n> {
    /// `node` as a map of this shape. Unknown fields are reported here.
    pub(crate) fn of(out: &mut Diagnostics, shape: &'static Shape, node: &'n Node) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            out.push(wrong_type(shape.what, "a map", node).with_help(format!(
                "give it the fields {}",
                suggest::names(shape.fields.iter().copied())
            )));
            return None;
        }
        for entry in node.entries() {
            if !shape.fields.contains(&entry.key.as_str()) {
                report_unknown(out, shape, entry);
            }
        }
        Some(Self { shape, node })
    }

    /// Where to point for a problem with the map as a whole.
    pub(crate) fn place(&self) -> Span {
        self.node.head()
    }

    /// The value of a field; `None` if it is absent or was left empty.
    pub(crate) fn get(&self, name: &'static str) -> Option<&'n Node> {
        self.entry(name)
            .map(|entry| &entry.value)
            .filter(|node| !node.is_null())
    }

    /// The value of a field that may be absent; one that was left empty is reported.
    pub(crate) fn get_filled(&self, out: &mut Diagnostics, name: &'static str) -> Option<&'n Node> {
        self.entry(name)?;
        self.require(out, name)
    }

    /// The place of the name of a field that is there, be it empty.
    pub(crate) fn given(&self, name: &'static str) -> Option<Span> {
        self.entry(name).map(|entry| entry.key_span)
    }

    /// The place of a field's name.
    pub(crate) fn key_place(&self, name: &'static str) -> Span {
        self.entry(name)
            .map_or_else(|| self.place(), |entry| entry.key_span)
    }

    /// The value of a field that must be there.
    pub(crate) fn require(&self, out: &mut Diagnostics, name: &'static str) -> Option<&'n Node> {
        let found = self.get(name);
        if found.is_none() {
            let what = self.shape.what;
            out.push(match self.entry(name) {
                Some(entry) => report_empty(name, what, entry.key_span),
                None => Diagnostic::error(
                    codes::MISSING_FIELD,
                    format!("missing field `{name}` in {what}"),
                )
                .at(Some(self.place()), format!("`{name}` is missing here"))
                .with_help(format!("add `{name}: …`")),
            });
        }
        found
    }

    /// Text. Numbers and booleans are text too, as they are written.
    pub(crate) fn text(
        &self,
        out: &mut Diagnostics,
        name: &'static str,
    ) -> Option<Spanned<String>> {
        text(out, &format!("`{name}`"), self.get(name)?)
    }

    /// Text that must be there and not be empty.
    pub(crate) fn required_text(
        &self,
        out: &mut Diagnostics,
        name: &'static str,
    ) -> Option<Spanned<String>> {
        let node = self.require(out, name)?;
        let found = text(out, &format!("`{name}`"), node)?;
        if found.value.trim().is_empty() {
            out.push(report_empty(name, self.shape.what, node.span));
            return None;
        }
        Some(found)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, out: &mut Diagnostics, name: &'static str) -> Option<Spanned<bool>> {
        let node = self.get(name)?;
        if let Value::Scalar(Scalar::Bool, text) = &node.value {
            return Some(Spanned::new(text.eq_ignore_ascii_case("true"), node.span));
        }
        out.push(
            wrong_type(&format!("`{name}`"), "`true` or `false`", node).with_help(format!(
                "write `{name}: true` or `{name}: false`, without quotes"
            )),
        );
        None
    }

    /// A whole number from `least` up.
    pub(crate) fn number(
        &self,
        out: &mut Diagnostics,
        name: &'static str,
        least: u32,
    ) -> Option<Spanned<u32>> {
        let node = self.get(name)?;
        let Value::Scalar(Scalar::Number, text) = &node.value else {
            out.push(
                wrong_type(&format!("`{name}`"), "a whole number", node)
                    .with_help(format!("write the number without quotes: `{name}: 1`")),
            );
            return None;
        };
        if let Some(number) = text.parse().ok().filter(|number| *number >= least) {
            return Some(Spanned::new(number, node.span));
        }
        out.push(
            Diagnostic::error(
                codes::NUMBER_RANGE,
                format!(
                    "`{name}` must be a whole number from {least} to {}, found `{text}`",
                    u32::MAX
                ),
            )
            .at(Some(node.span), "not in that range")
            .with_help(format!(
                "write a whole number, such as `{name}: {}`",
                least.max(1)
            )),
        );
        None
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(
        &self,
        out: &mut Diagnostics,
        name: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<Spanned<T>> {
        let found = self.text(out, name)?;
        let chosen = choices.iter().find(|(word, _)| *word == found.value);
        if chosen.is_none() {
            let words = || choices.iter().map(|(word, _)| *word);
            let problem = Diagnostic::error(
                codes::UNKNOWN_VALUE,
                format!("`{name}` cannot be `{}`", shorten(&found.value)),
            )
            .at(found.span, "not a value it can have");
            let all = suggest::names(words());
            out.push(match suggest::nearest(&found.value, words()) {
                Some(word) => problem
                    .with_note(format!("it can be {all}"))
                    .with_help(format!("did you mean `{word}`?")),
                None => problem.with_help(format!("write one of {all}")),
            });
        }
        chosen.map(|(_, value)| Spanned {
            value: *value,
            span: found.span,
        })
    }

    /// A value that is written as text and read by `read`. `what` is the article and noun for it.
    pub(crate) fn parsed<T>(
        &self,
        out: &mut Diagnostics,
        name: &'static str,
        code: Code,
        what: &str,
        read: impl FnOnce(&str) -> Result<T, Unreadable>,
    ) -> Option<Spanned<T>> {
        let found = self.text(out, name)?;
        match read(&found.value) {
            Ok(value) => Some(Spanned {
                value,
                span: found.span,
            }),
            Err(problem) => {
                out.push(
                    Diagnostic::error(
                        code,
                        format!(
                            "`{name}` cannot be `{}`: {}",
                            shorten(&found.value),
                            problem.why
                        ),
                    )
                    .at(found.span, format!("not {what}"))
                    .with_help(problem.help),
                );
                None
            }
        }
    }

    /// The items of a list; `None` if the field is absent, was left empty, or is something else.
    pub(crate) fn list(&self, out: &mut Diagnostics, name: &'static str) -> Option<&'n [Node]> {
        let node = self.get(name)?;
        if let Value::List(items) = &node.value {
            return Some(items);
        }
        out.push(
            wrong_type(&format!("`{name}`"), "a list", node)
                .with_help(format!("begin each entry below `{name}:` with `- `")),
        );
        None
    }

    /// A flat map of text; empty if the field is absent or was left empty.
    pub(crate) fn texts(&self, out: &mut Diagnostics, name: &'static str) -> Texts {
        let Some(node) = self.get(name) else {
            return Texts::default();
        };
        if !matches!(node.value, Value::Map(_)) {
            out.push(
                wrong_type(&format!("`{name}`"), "a map of text", node)
                    .with_help(format!("write `key: value` lines below `{name}:`")),
            );
            return Texts::default();
        }
        let mut texts = Texts::default();
        for entry in node.entries() {
            let value = match &entry.value.value {
                Value::Scalar(Scalar::Null, _) => "",
                Value::Scalar(_, text) => text,
                Value::List(_) | Value::Map(_) => {
                    let what = format!("`{}`", shorten(&entry.key));
                    out.push(wrong_type(&what, "text", &entry.value).with_help(
                        "if JSON is wanted, put it in quotes, such as `'[\"a\", \"b\"]'`",
                    ));
                    continue;
                }
            };
            texts.keys.insert(entry.key.clone(), entry.key_span);
            let value = Spanned::new(value.to_owned(), entry.value.span);
            texts.values.insert(entry.key.clone(), value);
        }
        texts
    }

    fn entry(&self, name: &'static str) -> Option<&'n MapEntry> {
        debug_assert!(
            self.shape.fields.contains(&name),
            "`{name}` is not in the shape `{}`",
            self.shape.name
        );
        self.node.entries().iter().find(|entry| entry.key == name)
    }
}

/// A flat map of text.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// Values by key.
    pub(crate) values: BTreeMap<String, Spanned<String>>,
    /// The places of the keys.
    pub(crate) keys: BTreeMap<String, Span>,
}

impl Texts {
    /// Without the places.
    pub(crate) fn plain(self) -> BTreeMap<String, String> {
        let entries = self.values.into_iter();
        entries.map(|(key, value)| (key, value.value)).collect()
    }
}

/// A scalar as text.
pub(crate) fn text(out: &mut Diagnostics, what: &str, node: &Node) -> Option<Spanned<String>> {
    let found = node.text();
    if found.is_none() {
        out.push(wrong_type(what, "text", node).with_help("write one text"));
    }
    found.map(|text| Spanned::new(text.to_owned(), node.span))
}

/// `what` should be `expected`.
pub(crate) fn wrong_type(what: &str, expected: &str, node: &Node) -> Diagnostic {
    Diagnostic::error(
        codes::WRONG_TYPE,
        format!("{what} must be {expected}, found {}", node.describe()),
    )
    .at(Some(node.head()), format!("expected {expected}"))
}

fn report_unknown(out: &mut Diagnostics, shape: &'static Shape, entry: &MapEntry) {
    let key = entry.key.as_str();
    if key.starts_with(EXTENSION_PREFIX) {
        return;
    }
    let what = shape.what;
    let ignored = shape.ignored.iter().find(|(field, _)| *field == key);
    let misplaced = shape.misplaced.iter().find(|m| m.field == key);
    let diagnostic = if let Some((_, why)) = ignored {
        Diagnostic::note(codes::IGNORED, format!("`{key}` in {what} is ignored"))
            .at(Some(entry.key_span), "makes no difference")
            .with_note(*why)
    } else if let Some(misplaced) = misplaced {
        Diagnostic::error(
            codes::MISPLACED_FIELD,
            format!("`{key}` cannot be in {what}"),
        )
        .at(Some(entry.key_span), "not possible here")
        .with_note(misplaced.why)
        .with_help(misplaced.help)
    } else {
        let fields = suggest::names(shape.fields.iter().copied());
        Diagnostic::error(
            codes::UNKNOWN_FIELD,
            format!("unknown field `{}` in {what}", shorten(key)),
        )
        .at(Some(entry.key_span), "no such field here")
        .with_note(format!("the fields here are {fields}"))
        .with_help(guess(shape, key))
    };
    out.push(diagnostic);
}

/// The likely meaning of an unknown field: a field of this map misspelled, or a field of another
/// one in the wrong place.
fn guess(shape: &'static Shape, key: &str) -> String {
    let elsewhere: Vec<&str> = (shape.siblings)()
        .iter()
        .filter(|other| other.fields.contains(&key))
        .map(|other| other.what)
        .collect();
    // A field of many maps, such as `name`, says nothing about which one is meant.
    if let [_] | [_, _] = elsewhere.as_slice() {
        return format!("`{key}` belongs in {}", elsewhere.join(", or in "));
    }
    match suggest::nearest(key, shape.fields.iter().copied()) {
        Some(field) => format!("did you mean `{field}`?"),
        None => format!("remove it; a field of your own may begin with `{EXTENSION_PREFIX}`"),
    }
}

fn report_empty(name: &str, what: &str, place: Span) -> Diagnostic {
    Diagnostic::error(codes::MISSING_FIELD, format!("`{name}` in {what} is empty"))
        .at(Some(place), "no value")
        .with_help(format!("write `{name}: …`"))
}
