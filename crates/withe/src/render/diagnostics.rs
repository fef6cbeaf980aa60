//! Diagnostics as text: the message, the place in the manifest, what explains it, what to do.

use std::ops::Range;
use std::path::Path;

use annotate_snippets::{
    AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};
use withe_linker::diagnostic::Label;
use withe_linker::{Diagnostic, Diagnostics, Severity, Span};
use withe_load::SourceText;

use super::position::boundary;
use super::units::count;
use crate::terminal::Terminal;

/// All of `diagnostics`, each followed by an empty line, and a summary. `consequence` ends the
/// summary where there are errors: what was not done because of them. Empty if all is well.
pub(crate) fn report(
    terminal: &Terminal,
    source: &SourceText,
    diagnostics: &Diagnostics,
    consequence: Option<&str>,
) -> String {
    let renderer = renderer(terminal.color_err());
    let mut text = String::new();
    for diagnostic in &diagnostics.0 {
        text += &placed(terminal, source, diagnostic);
    }
    if let Some((level, summary)) = summary(&source.path, diagnostics, consequence) {
        text += &renderer.render(&[Group::with_title(level.primary_title(summary))]);
        text += "\n";
    }
    text
}

/// One diagnostic that has no place in a text, and an empty line.
pub(crate) fn single(terminal: &Terminal, diagnostic: &Diagnostic) -> String {
    placed(
        terminal,
        &SourceText {
            path: "".into(),
            text: String::new(),
        },
        diagnostic,
    )
}

/// One diagnostic about `source`, and an empty line.
pub(crate) fn placed(terminal: &Terminal, source: &SourceText, diagnostic: &Diagnostic) -> String {
    renderer(terminal.color_err()).render(&[group(diagnostic, source)]) + "\n\n"
}

/// An error that is no diagnostic, with its causes.
pub(crate) fn failure(terminal: &Terminal, error: &anyhow::Error) -> String {
    let message = normalize_untrusted_str(&format!("{error:#}"));
    renderer(terminal.color_err()).render(&[Group::with_title(Level::ERROR.primary_title(message))])
        + "\n"
}

fn renderer(color: bool) -> Renderer {
    if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    }
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    }
}

fn group<'a>(diagnostic: &'a Diagnostic, source: &'a SourceText) -> Group<'a> {
    let title = level(diagnostic.severity)
        .primary_title(&*diagnostic.message)
        .id(diagnostic.code.0);
    let mut group = Group::with_title(title);
    if let Some(place) = place(diagnostic, source) {
        group = group.element(place);
    }
    let notes = diagnostic.notes.iter().map(|note| (Level::NOTE, note));
    let help = diagnostic.help.iter().map(|help| (Level::HELP, help));
    // Names in them come from manifests and components: control characters in one must not reach
    // the terminal.
    group.elements(
        notes
            .chain(help)
            .map(|(level, text)| level.message(normalize_untrusted_str(text))),
    )
}

/// The lines of the manifest that the diagnostic is about, or only the manifest's name.
fn place<'a>(diagnostic: &'a Diagnostic, source: &'a SourceText) -> Option<Element<'a>> {
    if source.text.is_empty() {
        return None;
    }
    let path = source.path.to_string_lossy();
    let annotation = |kind: AnnotationKind, label: &'a Label| {
        let text = (!label.text.is_empty()).then_some(&*label.text);
        kind.span(range(&source.text, label.span)).label(text)
    };
    let Some(primary) = &diagnostic.primary else {
        return Some(Origin::path(path).into());
    };
    let related = diagnostic
        .related
        .iter()
        .map(|label| annotation(AnnotationKind::Context, label));
    let snippet = Snippet::source(&*source.text)
        .path(path)
        .annotation(annotation(AnnotationKind::Primary, primary))
        .annotations(related);
    Some(snippet.into())
}

/// `span` as far as it lies in `text`, on boundaries between characters, without the white space at
/// its end: a block of YAML reaches to the next one's indentation.
fn range(text: &str, span: Span) -> Range<usize> {
    let start = boundary(text, span.start);
    let end = boundary(text, span.end.max(span.start));
    start..start + text[start..end].trim_end().len()
}

fn summary(
    path: &Path,
    diagnostics: &Diagnostics,
    consequence: Option<&str>,
) -> Option<(Level<'static>, String)> {
    let number = |severity| {
        diagnostics
            .0
            .iter()
            .filter(|d| d.severity == severity)
            .count()
    };
    let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
    let warnings_text = count(warnings, "warning", "warnings");
    let level = match (errors, warnings) {
        (0, 0) => return None,
        (0, _) => Level::WARNING,
        _ => Level::ERROR,
    };
    let mut text = match (errors, warnings) {
        (0, _) => warnings_text,
        (_, 0) => count(errors, "problem", "problems"),
        _ => format!(
            "{} and {warnings_text}",
            count(errors, "problem", "problems")
        ),
    };
    text += &format!(" in {}", path.display());
    if let Some(consequence) = consequence.filter(|_| errors > 0) {
        text += &format!("; {consequence}");
    }
    Some((level, text))
}

#[cfg(test)]
mod tests {
    use withe_linker::Code;

    use super::*;

    const MANIFEST: &str = "\
spec:
  components:
    - name: cart
      traits:
        - type: link
          properties:
            target: kv

    - name: kv
";

    fn span(of: &str) -> Option<Span> {
        let start = MANIFEST.find(of).unwrap();
        Some(Span {
            start,
            end: start + of.len(),
        })
    }

    fn rendered(diagnostics: Vec<Diagnostic>) -> String {
        let source = SourceText {
            path: "shop.yaml".into(),
            text: MANIFEST.into(),
        };
        report(
            &Terminal::plain(),
            &source,
            &Diagnostics(diagnostics),
            Some("nothing was started"),
        )
    }

    #[test]
    fn an_error_shows_place_notes_help_and_consequence() {
        let diagnostic = Diagnostic::error(
            Code("W0101"),
            "nothing satisfies `wasi:keyvalue/store@0.2.1`",
        )
        .at(span("target: kv"), "linked here")
        .also(span("name: kv"), "`kv` exports `wasi:keyvalue/store@0.3.0`")
        .with_note(
            "expected: get: func(key: string) -> u32\n   found: get: func(key: string) -> s32",
        )
        .with_help("link to a provider");
        insta::assert_snapshot!(rendered(vec![diagnostic]), @r#"
        error[W0101]: nothing satisfies `wasi:keyvalue/store@0.2.1`
         --> shop.yaml:7:13
          |
        7 |             target: kv
          |             ^^^^^^^^^^ linked here
        8 |
        9 |     - name: kv
          |       -------- `kv` exports `wasi:keyvalue/store@0.3.0`
          |
          = note: expected: get: func(key: string) -> u32
                     found: get: func(key: string) -> s32
          = help: link to a provider

        error: 1 problem in shop.yaml; nothing was started
        "#);
    }

    #[test]
    fn a_block_is_underlined_to_its_last_line() {
        let block = span("type: link\n          properties:\n            target: kv\n\n    ");
        let diagnostic =
            Diagnostic::warning(Code("W0140"), "this link carries nothing").at(block, "");
        insta::assert_snapshot!(rendered(vec![diagnostic]), @r#"
        warning[W0140]: this link carries nothing
         --> shop.yaml:5:11
          |
        5 |           - type: link
          |  ___________^
        6 | |           properties:
        7 | |             target: kv
          | |______________________^

        warning: 1 warning in shop.yaml
        "#);
    }

    #[test]
    fn errors_and_warnings_are_counted_and_notes_are_not() {
        let diagnostics = vec![
            Diagnostic::error(Code("W0001"), "one"),
            Diagnostic::error(Code("W0001"), "two").at(
                Some(Span {
                    start: 4000,
                    end: 5000,
                }),
                "past the end",
            ),
            Diagnostic::warning(Code("W0002"), "three"),
            Diagnostic::note(Code("W0003"), "four"),
        ];
        insta::assert_snapshot!(rendered(diagnostics), @r#"
        error[W0001]: one
        --> shop.yaml

        error[W0001]: two
         --> shop.yaml:9:16
          |
        9 |     - name: kv
          |               ^ past the end

        warning[W0002]: three
        --> shop.yaml

        note[W0003]: four
        --> shop.yaml

        error: 2 problems and 1 warning in shop.yaml; nothing was started
        "#);
    }

    #[test]
    fn nothing_to_say_is_nothing() {
        assert_eq!(rendered(vec![]), "");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let diagnostic = Diagnostic::error(Code("W0001"), "bad \u{1b}[31m name")
            .with_note("bad \u{1b}[31m note")
            .with_help("bad \u{1b}[31m help");
        assert!(!rendered(vec![diagnostic]).contains('\u{1b}'));
    }
}
