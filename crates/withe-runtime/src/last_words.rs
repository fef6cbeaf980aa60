//! Remembers the last lines of an instance's standard error: when the instance traps, they mostly
//! say why.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Lines that are remembered, and how much of each.
const LINES: usize = 4;
const LINE: usize = 256;

/// The last lines of an instance's standard error. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct LastWords(Arc<Mutex<VecDeque<String>>>);

impl LastWords {
    /// A line was written.
    pub(crate) fn line(&self, line: &str) {
        let line = line.trim();
        // Rust's panic handler prints this hint every time; here it helps nobody.
        if line.is_empty() || line.starts_with("note: run with `RUST_BACKTRACE") {
            return;
        }
        let end = line.floor_char_boundary(LINE);
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line[..end].to_owned());
    }

    /// They are about what went well.
    pub(crate) fn forget(&self) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.clear();
    }

    /// The lines as one; `None` if nothing was written.
    pub(crate) fn text(&self) -> Option<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        (!lines.is_empty()).then(|| lines.join(" / "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_without_what_says_nothing() {
        let words = LastWords::default();
        assert_eq!(words.text(), None);
        for line in ["one", "", "two", "three", "four"] {
            words.line(line);
        }
        words.line("five");
        words.line("note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace");
        words.line(&"ü".repeat(200));
        let text = words.text().unwrap();
        assert!(text.starts_with("three / four / five / ü"), "{text}");
        assert!(text.ends_with('ü') && text.len() < 300, "{text}");
        words.forget();
        assert_eq!(words.text(), None);
    }
}
