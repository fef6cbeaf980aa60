//! What a provider writes goes to the host's log, line by line, under its name.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, BufReader};

/// The most bytes of a line; what is longer is cut into several.
const LINE: usize = 8 << 10;
/// How many lines are kept to say what a provider wrote before it failed.
const KEPT: usize = 10;

/// The last lines that a provider wrote.
#[derive(Clone, Debug, Default)]
pub(super) struct LastLines(Arc<Mutex<VecDeque<String>>>);

impl LastLines {
    fn push(&self, line: String) {
        // Nothing panics while the lock is held.
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The lines, as the end of a message.
    pub(super) fn quote(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.is_empty() {
            true => "; it wrote nothing".into(),
            false => {
                let lines: Vec<_> = lines.iter().map(String::as_str).collect();
                format!("; it wrote last: {}", lines.join(" | "))
            }
        }
    }
}

/// Logs what `source` has, until it ends.
pub(super) async fn log(provider: String, source: impl AsyncRead + Unpin, last: LastLines) {
    let mut source = BufReader::new(source);
    while let Some(line) = next(&mut source).await {
        tracing::info!(provider, "{line}");
        last.push(line);
    }
}

/// The next line, without what a terminal would make of it.
async fn next(source: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut line = Vec::new();
    loop {
        let available = source.fill_buf().await.ok()?;
        if available.is_empty() {
            return (!line.is_empty()).then(|| clean(&line));
        }
        let room = available.len().min(LINE - line.len());
        let end = available[..room].iter().position(|b| *b == b'\n');
        line.extend_from_slice(&available[..end.unwrap_or(room)]);
        source.consume(end.map_or(room, |end| end + 1));
        if end.is_some() || line.len() == LINE {
            return Some(clean(&line));
        }
    }
}

/// Printable text, without escape sequences.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            // An escape sequence goes on to its first letter.
            '\u{1b}' => _ = chars.find(char::is_ascii_alphabetic),
            '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &[u8]) -> Vec<String> {
        let mut source = BufReader::new(text);
        let mut lines = Vec::new();
        while let Some(line) = next(&mut source).await {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn lines_are_cut_and_cleaned() {
        let text = b"one\r\n\x1b[2mtwo\x1b[0m\tx\xff\n\nlast";
        assert_eq!(lines(text).await, ["one", "two x\u{fffd}", "", "last"]);
        let long = [&vec![b'x'; LINE + 3][..], b"\ny"].concat();
        let cut = lines(&long).await;
        assert_eq!(
            cut.iter().map(String::len).collect::<Vec<_>>(),
            [LINE, 3, 1]
        );
    }

    #[tokio::test]
    async fn the_last_lines_are_kept() {
        let last = LastLines::default();
        assert_eq!(last.quote(), "; it wrote nothing");
        let text: String = (0..KEPT + 2).map(|n| format!("line {n}\n")).collect();
        log("p".into(), text.as_bytes(), last.clone()).await;
        let quote = last.quote();
        assert!(
            quote.starts_with("; it wrote last: line 2 | line 3"),
            "{quote}"
        );
    }
}
