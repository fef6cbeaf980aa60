//! Diagnostics as JSON: as the linker has them, with lines and columns.

use serde::{Serialize, Serializer};
use withe_linker::diagnostic::Label;
use withe_linker::{Diagnostic, Diagnostics, Span};
use withe_load::SourceText;

use super::lines::Lines;

#[derive(Serialize)]
struct Item<'a> {
    severity: withe_linker::Severity,
    code: withe_linker::Code,
    message: &'a str,
    file: &'a str,
    primary: Option<JsonPlace<'a>>,
    related: Vec<JsonPlace<'a>>,
    notes: &'a [String],
    help: Option<&'a str>,
}

/// A place: bytes from 0, lines and columns (in characters) from 1; the end is behind the last one.
#[derive(Serialize)]
struct JsonPlace<'a> {
    span: Span,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    text: &'a str,
}

/// The diagnostics as a JSON list, each with its fields in the order of [`Item`].
pub(crate) fn diagnostics<'a>(
    source: &'a SourceText,
    diagnostics: &'a Diagnostics,
) -> impl Serialize + use<'a> {
    List {
        file: source.path.display().to_string(),
        lines: Lines::of(&source.text),
        diagnostics,
    }
}

struct List<'a> {
    file: String,
    lines: Lines<'a>,
    diagnostics: &'a Diagnostics,
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let item = |diagnostic| self.item(diagnostic);
        serializer.collect_seq(self.diagnostics.0.iter().map(item))
    }
}

impl List<'_> {
    fn item<'s>(&'s self, diagnostic: &'s Diagnostic) -> Item<'s> {
        let place = |label| place(&self.lines, label);
        Item {
            severity: diagnostic.severity,
            code: diagnostic.code,
            message: &diagnostic.message,
            file: &self.file,
            primary: diagnostic.primary.as_ref().map(place),
            related: diagnostic.related.iter().map(place).collect(),
            notes: &diagnostic.notes,
            help: diagnostic.help.as_deref(),
        }
    }
}

/// `value` on indented lines, ended by a line break.
///
/// # Errors
///
/// If it cannot be serialised, which is a fault of its own.
pub(crate) fn text(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n")
}

fn place<'a>(lines: &Lines<'_>, label: &'a Label) -> JsonPlace<'a> {
    let (start, end) = (
        lines.position(label.span.start),
        lines.position(label.span.end),
    );
    JsonPlace {
        span: label.span,
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
        text: &label.text,
    }
}

#[cfg(test)]
mod tests {
    use withe_linker::Code;

    use super::*;

    #[test]
    fn places_have_lines_and_columns() {
        let source = SourceText {
            path: "a.yaml".into(),
            text: "x: 1\ny: 2\n".into(),
        };
        let found = Diagnostics(vec![
            Diagnostic::error(Code("W0001"), "no").at(Some(Span { start: 8, end: 9 }), "here"),
            Diagnostic::note(Code("W0002"), "yes"),
        ]);
        let json: serde_json::Value = serde_json::to_value(diagnostics(&source, &found)).unwrap();
        assert_eq!(
            json,
            serde_json::json!([
                {
                    "severity": "error", "code": "W0001", "message": "no", "file": "a.yaml",
                    "primary": {
                        "span": {"start": 8, "end": 9}, "line": 2, "column": 4, "end_line": 2,
                        "end_column": 5, "text": "here"
                    },
                    "related": [], "notes": [], "help": null
                },
                {
                    "severity": "note", "code": "W0002", "message": "yes", "file": "a.yaml",
                    "primary": null, "related": [], "notes": [], "help": null
                },
            ])
        );
    }
}
