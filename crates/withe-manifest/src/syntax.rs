//! Describes YAML that cannot be read, in words for people.

use withe_linker::Diagnostic;

use crate::codes;
use crate::node::character_at;

/// The YAML parser's complaint `info` about byte `at`. Its own words are kept as a note, for those
/// who search for them.
pub(crate) fn error(text: &str, at: usize, info: &str) -> Diagnostic {
    let (message, help) = explain(info);
    let tab = info.contains(TAB).then(|| indenting_tab(text, at));
    let at = tab.flatten().unwrap_or(at);
    // The parser often notices at the start of the next line; what is wrong is before it.
    let at = if text[at..].lines().next().unwrap_or_default().is_empty() {
        let before = text[..at].trim_end();
        before
            .char_indices()
            .next_back()
            .map_or(0, |(last, _)| last)
    } else {
        at
    };
    let diagnostic = Diagnostic::error(codes::SYNTAX, format!("this is not valid YAML: {message}"))
        .at(Some(character_at(text, at)), "reading stopped here")
        .with_note(format!("the YAML parser says: {info}"));
    match help {
        Some(help) => diagnostic.with_help(help),
        None => diagnostic,
    }
}

/// The word that all complaints about tabs have in common.
const TAB: &str = "tab";

/// The first tab that indents a line, from the line of byte `at` on: a text may go on over many lines, and the
/// parser notices the tab while it looks for the text's end.
fn indenting_tab(text: &str, at: usize) -> Option<usize> {
    let mut start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    for line in text[start..].split_inclusive('\n') {
        let content = line.trim_start_matches([' ', '\t', '-']);
        if !content.trim().is_empty() {
            let indent = &line[..line.len() - content.len()];
            if let Some(tab) = indent.find('\t') {
                return Some(start + tab);
            }
        }
        start += line.len();
    }
    None
}

/// The message, and what to do where that is known.
fn explain(info: &str) -> (&str, Option<&'static str>) {
    let table = [
        (
            TAB,
            "a tab indents this line",
            "indent with spaces; YAML does not allow tabs there",
        ),
        (
            "mapping values are not allowed",
            "a `:` where no key can be",
            "check the indentation of this line and the one before, or put a value that contains \
             `: ` in quotes",
        ),
        (
            "block sequence entries are not allowed",
            "a `- ` where no list can begin",
            "put each list entry on a line of its own, below the key",
        ),
        (
            "unexpected end of stream",
            "a quoted text is never closed",
            "add the missing quote",
        ),
        (
            "simple key expect",
            "a line is neither `key: value` nor `- entry`",
            "write `key: value` with a space after the `:`, or `- entry` with a space after the `-`",
        ),
        (
            "unexpected character",
            "a value cannot begin with this character",
            "put the value in quotes",
        ),
        (
            "unknown anchor",
            "an alias stands for nothing",
            "mark the value meant with `&name` before it is used as `*name`, or put a text that \
             begins with `*` in quotes",
        ),
        (
            "did not find expected key",
            "something is wrong with the indentation",
            "begin the keys of one map in the same column",
        ),
    ];
    table
        .iter()
        .find(|(words, ..)| info.contains(words))
        .map_or((info, None), |(_, message, help)| (*message, Some(*help)))
}
