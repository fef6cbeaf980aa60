//! Lines that components print.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use withe_host::{Printed, StandardStream};
use withe_node::observation::LogLine;

use super::kept::{kept, now};
use crate::known_secrets::known_secrets;

/// A line longer than this is kept in pieces.
const LONGEST: usize = 16 << 10;

/// Keeps a line that a component has printed.
pub(crate) fn printed_line(printed: &Printed<'_>) {
    let Some(recent) = kept() else { return };
    recent.line(line(printed.component, printed.stream, printed.bytes));
}

fn line(component: &str, stream: StandardStream, bytes: &[u8]) -> LogLine {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\n', '\r']);
    LogLine {
        time: now(),
        level: match stream {
            StandardStream::Output => "out".into(),
            StandardStream::Error => "warn".into(),
        },
        application: None,
        part: Some(component.to_owned()),
        text: known_secrets().mask(text).into_owned(),
    }
}

/// Lines as far as they have come, by component and whether they are of its standard output.
type BegunLines = HashMap<(String, bool), Vec<u8>>;

/// Makes lines of what comes byte by byte.
#[derive(Clone, Default)]
pub(crate) struct PrintedPieces(Arc<Mutex<BegunLines>>);

impl PrintedPieces {
    /// Keeps the lines that a piece ends.
    pub(crate) fn push(&self, printed: &Printed<'_>) {
        if let Some(recent) = kept() {
            self.lines(printed)
                .into_iter()
                .for_each(|line| recent.line(line));
        }
    }

    fn lines(&self, printed: &Printed<'_>) -> Vec<LogLine> {
        // A panicking holder still leaves the beginning of a line behind.
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (
            printed.component.to_owned(),
            printed.stream == StandardStream::Output,
        );
        let begun = begun.entry(key).or_default();
        let mut lines = Vec::new();
        for piece in printed.bytes.split_inclusive(|byte| *byte == b'\n') {
            begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") || begun.len() >= LONGEST {
                lines.push(line(printed.component, printed.stream, begun));
                begun.clear();
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_made_of_pieces() {
        let pieces = PrintedPieces::default();
        let push = |stream, bytes: &[u8]| {
            let printed = Printed {
                component: "cart",
                stream,
                bytes,
            };
            let lines = pieces.lines(&printed).into_iter();
            lines.map(|line| line.text).collect::<Vec<_>>()
        };
        assert!(push(StandardStream::Output, b"one and ").is_empty());
        assert!(push(StandardStream::Error, b"else").is_empty());
        let lines = push(StandardStream::Output, b"a half\r\ntwo\nthr");
        assert_eq!(lines, ["one and a half", "two"]);
        assert_eq!(push(StandardStream::Error, b"where\n"), ["elsewhere"]);
    }
}
