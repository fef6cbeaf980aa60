//! Text of components on its way into the host's log.
//!
//! The log is read by people, on terminals, and by programs that take a line for an event. A component could pass for
//! the host, or for another component, if it could end a line and begin one, or turn text around. So whatever is not
//! printed as one character in a row is escaped, and what is long is cut in the middle.

use std::borrow::Cow;
use std::fmt::Write as _;

use tracing::Level;

use crate::quota::{Account, LineFate};
use crate::spec::Identity;

/// The longest message that is logged whole, in bytes.
const LONGEST: usize = 16 << 10;

/// Logs `text`, which `who` wrote, unless its component or those around it log too much. `context` is whatever
/// `wasi:logging` was given besides.
pub(crate) fn write(
    account: &Account,
    who: &Identity,
    level: Level,
    context: Option<&str>,
    text: &str,
) {
    let text = printable(text, LONGEST);
    let context = context.map(|context| printable(context, LONGEST));
    let context = context.as_deref();
    if !is_within_share(account, who, text.len() + context.map_or(0, str::len)) {
        return;
    }
    let Identity {
        application,
        component,
        ..
    } = who;
    // `tracing` wants the level as a constant.
    macro_rules! log {
        ($macro:ident) => {
            tracing::$macro!(target: "component", application, component, context, "{text}")
        };
    }
    match level {
        Level::TRACE => log!(trace),
        Level::DEBUG => log!(debug),
        Level::INFO => log!(info),
        Level::WARN => log!(warn),
        Level::ERROR => log!(error),
    }
}

/// A line that `who` printed, as it is passed on; `None` if its component or those around it print too much.
pub(crate) fn passed_on<'t>(
    account: &Account,
    who: &Identity,
    text: &'t str,
) -> Option<Cow<'t, str>> {
    let text = printable(text, LONGEST);
    is_within_share(account, who, text.len()).then_some(text)
}

/// Whether so many bytes of `who` are within its share. Output beyond the share is itself reported in the log.
fn is_within_share(account: &Account, who: &Identity, length: usize) -> bool {
    let Identity {
        application,
        component,
        ..
    } = who;
    match account.line(length) {
        LineFate::Logged { dropped: 0 } => true,
        LineFate::Logged { dropped } => {
            tracing::warn!(
                target: "component", application, component, "{dropped} of its lines were not logged"
            );
            true
        }
        LineFate::Dropped(None) => false,
        LineFate::Dropped(Some(exceeded)) => {
            tracing::warn!(
                target: "component", application, component, "lines of it are not logged: {exceeded}"
            );
            false
        }
    }
}

/// `text` as one line that is printed as it reads, at most about `most` bytes of it: what is in the middle of a longer one
/// is left out.
pub(crate) fn printable(text: &str, most: usize) -> Cow<'_, str> {
    let is_plain = |c: char| c == '\t' || !(c.is_control() || is_format(c));
    if text.len() <= most && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let (first, last) = match text.len() <= most {
        true => (text, ""),
        false => (
            &text[..text.floor_char_boundary(most / 2)],
            &text[text.ceil_char_boundary(text.len() - most / 2)..],
        ),
    };
    let mut out = String::with_capacity(first.len() + last.len());
    let add = |part: &str, out: &mut String| {
        for c in part.chars() {
            match is_plain(c) {
                true => out.push(c),
                false => out.extend(c.escape_default()),
            }
        }
    };
    add(first, &mut out);
    let left_out = text.len() - first.len() - last.len();
    if left_out > 0 {
        // Writing to a `String` does not fail.
        _ = write!(out, " … {left_out} bytes … ");
    }
    add(last, &mut out);
    Cow::Owned(out)
}

/// Whether a character changes how its neighbours are shown: the direction of text, and ends of lines that are no control
/// characters (UAX #9, UAX #14).
fn is_format(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_that_shows_what_is_in_it() {
        let table = [
            ("plain ünï \t 🦀", "plain ünï \t 🦀"),
            ("one\ntwo\r\n", r"one\ntwo\r\n"),
            ("\u{1b}[31mred\u{7}\0", r"\u{1b}[31mred\u{7}\u{0}"),
            ("\u{202e}drawrof\u{2028}", r"\u{202e}drawrof\u{2028}"),
            ("\u{9b}1m", r"\u{9b}1m"),
            ("", ""),
        ];
        for (text, want) in table {
            assert_eq!(printable(text, 1_000), want);
        }
    }

    #[test]
    fn a_long_message_keeps_both_its_ends() {
        let text = format!("first{}last", "ü".repeat(1_000));
        let cut = printable(&text, 101);
        assert!(cut.starts_with("firstü") && cut.ends_with("ülast"), "{cut}");
        assert!(cut.contains(" bytes … ") && cut.len() < 150, "{cut}");
    }
}
