//! What a provider's process writes to standard error, in the host's log.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, BufReader};
use tracing::Level;

/// The most bytes of a line that are logged.
const LONGEST: usize = 8 << 10;

/// Logs lines until they end.
pub(super) async fn lines(provider: String, output: impl AsyncRead + Unpin) {
    let mut output = BufReader::new(output);
    while let Some(line) = next(&mut output).await {
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
    }
}

/// The next line without its end, cut where it is too long; `None` behind the last.
async fn next(output: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut line = Vec::new();
    let mut is_there = false;
    loop {
        // A stream that cannot be read has ended.
        let bytes = output.fill_buf().await.unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        is_there = true;
        let end = bytes.iter().position(|b| *b == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        // One byte more than fits says that it is cut.
        let fits = (LONGEST + 1).saturating_sub(line.len()).min(part.len());
        line.extend_from_slice(&part[..fits]);
        let used = end.map_or(bytes.len(), |end| end + 1);
        output.consume(used);
        if end.is_some() {
            break;
        }
    }
    let is_cut = line.len() > LONGEST;
    line.truncate(LONGEST);
    let mut text = String::from_utf8_lossy(&line).trim_end().to_owned();
    if is_cut {
        text.push('…');
    }
    is_there.then_some(text)
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
        let mut output = BufReader::with_capacity(7, text.as_bytes());
        let mut lines = Vec::new();
        while let Some(line) = next(&mut output).await {
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
}
