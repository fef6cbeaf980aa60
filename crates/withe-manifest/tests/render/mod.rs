//! Diagnostics as plain text, for snapshots: every part of one, and the text it points at.

use std::fmt::Write;

use withe_linker::diagnostic::Label;
use withe_linker::{Diagnostic, Diagnostics};

/// All of them, one after the other.
pub(crate) fn render(text: &str, diagnostics: &Diagnostics) -> String {
    let all: Vec<String> = diagnostics.0.iter().map(|d| one(text, d)).collect();
    all.join("\n")
}

fn one(text: &str, diagnostic: &Diagnostic) -> String {
    let severity = format!("{:?}", diagnostic.severity).to_lowercase();
    let mut out = format!(
        "{severity}[{}]: {}\n",
        diagnostic.code.0, diagnostic.message
    );
    for label in diagnostic.primary.iter() {
        place(&mut out, text, label, '^');
    }
    for label in &diagnostic.related {
        place(&mut out, text, label, '-');
    }
    for note in &diagnostic.notes {
        writeln!(out, "  note: {}", note.replace('\n', "\n        ")).unwrap();
    }
    for help in diagnostic.help.iter() {
        writeln!(out, "  help: {}", help.replace('\n', "\n        ")).unwrap();
    }
    out
}

/// `line:column`, the line, and what is meant of it underlined.
fn place(out: &mut String, text: &str, label: &Label, mark: char) {
    let start = label.span.start;
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let before = &text[line_start..start];
    let end = label.span.end.min(line_start + line.len()).max(start);
    let width = text[start..end].chars().count().max(1);
    let number = text[..line_start].matches('\n').count() + 1;
    let column = before.chars().count();
    let visible = line.replace('\t', "→");
    let underline = mark.to_string().repeat(width);
    writeln!(out, "  {number}:{} | {visible}", column + 1).unwrap();
    let indent = format!("{number}:{}", column + 1).len();
    writeln!(
        out,
        "  {} | {}{underline} {}",
        " ".repeat(indent),
        " ".repeat(column),
        label.text
    )
    .unwrap();
}
