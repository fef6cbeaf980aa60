//! Diagnostics as text: the message, the place in the manifest, what explains it, what to do.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{
    AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};
use withe_linker::diagnostic::{CodeInfo, Label};
use withe_linker::{Code, Diagnostic, Diagnostics, Severity, Span};
use withe_load::SourceText;

use super::lines::Lines;
use super::units::count;
use crate::catalogue;
use crate::terminal::Terminal;

/// How many problems of one kind are shown: one mistake may be there a thousand times.
const SHOWN: usize = 10;

/// Places farther apart than so many lines are shown by themselves.
const FAR: usize = 100;

/// `diagnostics`, each followed by an empty line, and a summary: of many of one kind the first ten, and how
/// many more there are, unless the terminal is for all. `consequence` ends the summary where there are errors:
/// what was not done because of them. Empty if all is well.
pub(crate) fn report(
    terminal: &Terminal,
    source: &SourceText,
    diagnostics: &Diagnostics,
    consequence: Option<&str>,
) -> String {
    let renderer = renderer(terminal.color_err());
    let lines = Lines::of(&source.text);
    let mut text = String::new();
    let mut kinds: BTreeMap<(Severity, Code), usize> = BTreeMap::new();
    for diagnostic in &diagnostics.0 {
        let found = kinds
            .entry((diagnostic.severity, diagnostic.code))
            .or_default();
        *found += 1;
        if terminal.all_problems() || *found <= SHOWN {
            text += &renderer.render(&[group(diagnostic, &source.path, &lines)]);
            text += "\n\n";
        }
    }
    if !terminal.all_problems() {
        let more = kinds.into_iter().filter(|(_, found)| *found > SHOWN);
        for (kind, found) in more {
            text += &renderer.render(&[left_out(kind, found - SHOWN)]);
            text += "\n\n";
        }
    }
    if let Some((level, summary)) = summary(&source.path, diagnostics, consequence) {
        text += &renderer.render(&[Group::with_title(level.primary_title(summary))]);
        text += "\n";
    }
    text
}

/// A line for the problems of a kind that are not shown.
fn left_out((severity, code): (Severity, Code), more: usize) -> Group<'static> {
    let is_it = |info: &&&CodeInfo| info.code == code;
    let title = catalogue::all()
        .iter()
        .find(is_it)
        .map_or("", |info| info.title);
    let message = format!("{more} more of this kind: {title}");
    let title = level(severity).primary_title(message).id(code.0);
    Group::with_title(title).element(Level::HELP.message("`--all-problems` shows all of them"))
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
    let group = group(diagnostic, &source.path, &Lines::of(&source.text));
    renderer(terminal.color_err()).render(&[group]) + "\n\n"
}

/// An error that is no diagnostic, with its causes.
pub(crate) fn failure(terminal: &Terminal, error: &anyhow::Error) -> String {
    let message = normalize_untrusted_str(&chain(error));
    renderer(terminal.color_err()).render(&[Group::with_title(Level::ERROR.primary_title(message))])
        + "\n"
}

/// An error and its causes, each once: many errors say their cause themselves.
fn chain(error: &anyhow::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    let chain = causes.reduce(|text, cause| match text.ends_with(&cause) {
        true => text,
        false => format!("{text}: {cause}"),
    });
    chain.unwrap_or_default()
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

fn group<'a>(diagnostic: &'a Diagnostic, path: &'a Path, lines: &Lines<'a>) -> Group<'a> {
    let title = level(diagnostic.severity)
        .primary_title(&*diagnostic.message)
        .id(diagnostic.code.0);
    let group = Group::with_title(title).elements(places(diagnostic, path, lines));
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
fn places<'a>(diagnostic: &'a Diagnostic, path: &'a Path, lines: &Lines<'a>) -> Vec<Element<'a>> {
    if lines.text().is_empty() {
        return Vec::new();
    }
    let path = path.to_string_lossy();
    let Some(primary) = &diagnostic.primary else {
        return vec![Origin::path(path).into()];
    };
    let at = |label: &Label| range(lines, label.span);
    let (near, far): (Vec<_>, Vec<_>) = diagnostic.related.iter().partition(|label| {
        let (a, b) = (at(primary), at(label));
        lines.between(a.start.min(b.start), a.end.max(b.end)) <= FAR
    });
    let labels = near
        .into_iter()
        .map(|label| (AnnotationKind::Context, label));
    let labels = std::iter::once((AnnotationKind::Primary, primary)).chain(labels);
    let mut places = vec![snippet(path.clone(), lines, labels.collect())];
    places.extend(far.into_iter().map(|label| {
        let labels = vec![(AnnotationKind::Context, label)];
        snippet(path.clone(), lines, labels)
    }));
    places
}

/// The lines that these labels are on, with what is between them. Only they are given to the renderer, which
/// goes through all that it is given.
fn snippet<'a>(
    path: Cow<'a, str>,
    lines: &Lines<'a>,
    labels: Vec<(AnnotationKind, &'a Label)>,
) -> Element<'a> {
    let ranges: Vec<_> = labels
        .iter()
        .map(|(_, label)| range(lines, label.span))
        .collect();
    let start = ranges
        .iter()
        .map(|range| range.start)
        .min()
        .unwrap_or_default();
    let end = ranges
        .iter()
        .map(|range| range.end)
        .max()
        .unwrap_or_default();
    let excerpt = lines.excerpt(&(start..end));
    let annotations = labels
        .into_iter()
        .zip(ranges)
        .map(|((kind, label), range)| {
            let text = (!label.text.is_empty()).then_some(&*label.text);
            kind.span(range.start - excerpt.start..range.end - excerpt.start)
                .label(text)
        });
    let snippet = Snippet::source(excerpt.text)
        .line_start(excerpt.line)
        .path(path)
        .annotations(annotations);
    snippet.into()
}

/// `span` as far as it lies in the text, on boundaries between characters, without the white space at
/// its end: a block of YAML reaches to the next one's indentation.
fn range(lines: &Lines<'_>, span: Span) -> Range<usize> {
    let start = lines.boundary(span.start);
    let end = lines.boundary(span.end.max(span.start));
    start..start + lines.text()[start..end].trim_end().len()
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

    fn source() -> SourceText {
        SourceText {
            path: "shop.yaml".into(),
            text: MANIFEST.into(),
        }
    }

    fn rendered(diagnostics: Vec<Diagnostic>) -> String {
        report(
            &Terminal::plain(),
            &source(),
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
    fn of_many_problems_of_one_kind_ten_are_shown() {
        let warning = |i| Diagnostic::warning(Code("W0104"), format!("nothing calls `part{i}`"));
        let mut diagnostics: Vec<_> = (0..1000).map(warning).collect();
        diagnostics.push(Diagnostic::error(Code("W0001"), "another"));
        let text = rendered(diagnostics.clone());
        assert_eq!(text.matches("nothing calls `part").count(), 10);
        let end = text.find("error[W0001]").unwrap();
        insta::assert_snapshot!(&text[end..], @r#"
        error[W0001]: another
        --> shop.yaml

        warning[W0104]: 990 more of this kind: a component that nothing calls
         |
         = help: `--all-problems` shows all of them

        error: 1 problem and 1000 warnings in shop.yaml; nothing was started
        "#);
        let all = Terminal::for_all_problems();
        let text = report(&all, &source(), &Diagnostics(diagnostics), None);
        assert_eq!(text.matches("nothing calls `part").count(), 1000);
        assert!(!text.contains("more of this kind"));
    }

    #[test]
    fn places_far_apart_are_shown_by_themselves() {
        let text = format!("first: 1\n{}second: 2\n", "between: 0\n".repeat(200));
        let at = |of: &str| {
            let start = text.find(of).unwrap();
            Some(Span {
                start,
                end: start + of.len(),
            })
        };
        let diagnostic = Diagnostic::error(Code("W0001"), "twice")
            .at(at("second"), "the second one")
            .also(at("first"), "the first one");
        let source = SourceText {
            path: "shop.yaml".into(),
            text: text.clone(),
        };
        let text = report(
            &Terminal::plain(),
            &source,
            &Diagnostics(vec![diagnostic]),
            None,
        );
        assert!(text.contains("shop.yaml:202:1"), "{text}");
        assert!(text.contains("202 | second: 2"), "{text}");
        assert!(text.contains("first: 1"), "{text}");
        assert!(!text.contains("between"), "{text}");
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
