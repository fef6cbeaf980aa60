//! Writes a process's output into the host's log: line by line, under its name.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, BufReader};
use tracing::Level;

/// The most bytes of a line that are logged.
const LONGEST: usize = 8 << 10;
/// How many lines are kept to say what a process wrote before it failed.
const KEPT: usize = 10;

/// The last lines that a process wrote, where this process logs them. Displayed, they are the end of a sentence:
/// "; it wrote last: one | two", or nothing.
#[derive(Clone, Debug, Default)]
pub struct LastLines(Arc<Mutex<VecDeque<String>>>);

impl LastLines {
    pub(crate) fn push(&self, line: String) {
        let mut lines = self.lines();
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for LastLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, line) in self.lines().iter().enumerate() {
            f.write_str(if i == 0 { "; it wrote last: " } else { " | " })?;
            f.write_str(line)?;
        }
        Ok(())
    }
}

/// Logs the lines of `source` until it ends.
pub(crate) async fn pump(provider: String, source: impl AsyncRead + Unpin, last: LastLines) {
    let mut source = BufReader::new(source);
    while let Some(line) = next(&mut source, LONGEST).await {
        let line = clean(&line);
        let (level, text) = level(&line);
        macro_rules! event {
            ($macro:ident) => {
                tracing::$macro!(target: "withe::provider", provider, "{text}")
            };
        }
        match level {
            Level::ERROR => event!(error),
            Level::WARN => event!(warn),
            Level::INFO => event!(info),
            Level::DEBUG => event!(debug),
            Level::TRACE => event!(trace),
        }
        last.push(line);
    }
}

/// The next line without its end, cut where it has more than `most` bytes; `None` behind the last.
pub(crate) async fn next(source: &mut (impl AsyncBufRead + Unpin), most: usize) -> Option<String> {
    let mut line = Vec::new();
    let mut is_there = false;
    loop {
        // A stream that cannot be read has ended.
        let bytes = source.fill_buf().await.unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        is_there = true;
        let end = bytes.iter().position(|b| *b == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        // One byte more than fits says that it is cut.
        let fits = (most + 1).saturating_sub(line.len()).min(part.len());
        line.extend_from_slice(&part[..fits]);
        let used = end.map_or(bytes.len(), |end| end + 1);
        source.consume(used);
        if end.is_some() {
            break;
        }
    }
    let is_cut = line.len() > most;
    line.truncate(most);
    let mut text = String::from_utf8_lossy(&line).trim_end().to_owned();
    if is_cut {
        text.push('…');
    }
    is_there.then_some(text)
}

/// Printable text: a terminal that shows the log takes no orders from a child.
fn clean(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
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

/// The level that a line begins with, and the rest of it.
fn level(line: &str) -> (Level, &str) {
    let text = line.trim_start();
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let level = match first {
        "ERROR" => Level::ERROR,
        "WARN" => Level::WARN,
        "INFO" => Level::INFO,
        "DEBUG" => Level::DEBUG,
        "TRACE" => Level::TRACE,
        _ => return (Level::INFO, line),
    };
    (level, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_bounded_and_none_is_lost() {
        let long = "x".repeat(LONGEST + 5);
        let text = format!("one\r\n\n{long}\n{}\nlast \u{fffd}", &long[..LONGEST]);
        let mut source = BufReader::with_capacity(7, text.as_bytes());
        let mut lines = Vec::new();
        while let Some(line) = next(&mut source, LONGEST).await {
            lines.push(line);
        }
        let cut = format!("{}…", &long[..LONGEST]);
        assert_eq!(lines, ["one", "", &cut, &long[..LONGEST], "last \u{fffd}"]);
    }

    #[test]
    fn a_line_may_begin_with_its_level() {
        assert_eq!(level(" WARN no space left"), (Level::WARN, "no space left"));
        assert_eq!(level("WARNING: x"), (Level::INFO, "WARNING: x"));
        assert_eq!(level("ERROR"), (Level::ERROR, ""));
        assert_eq!(level(""), (Level::INFO, ""));
    }

    #[test]
    fn what_a_terminal_would_obey_is_left_out() {
        assert_eq!(
            clean("\u{1b}[2mtwo\u{1b}[0m\tx\u{7}\u{fffd}"),
            "two x\u{fffd}"
        );
        assert_eq!(clean("cut in the middle \u{1b}[3"), "cut in the middle ");
    }

    #[tokio::test]
    async fn the_last_lines_are_kept() {
        let last = LastLines::default();
        assert_eq!(last.to_string(), "");
        let text: String = (0..KEPT + 2).map(|n| format!("line {n}\n")).collect();
        pump("p".into(), text.as_bytes(), last.clone()).await;
        let quoted = last.to_string();
        assert!(
            quoted.starts_with("; it wrote last: line 2 | line 3"),
            "{quoted}"
        );
    }
}
