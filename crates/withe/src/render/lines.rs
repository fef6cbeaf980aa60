//! Byte offsets of a text to lines and columns, and the lines around places.
//!
//! A report may have thousands of places in a text of megabytes, so the text is gone through once, and not for
//! each of them.

use std::ops::Range;

/// A place in a text as people count: both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A text and where its lines begin.
#[derive(Debug)]
pub(crate) struct Lines<'t> {
    text: &'t str,
    /// The byte at which each line begins.
    starts: Vec<usize>,
    /// How many characters begin before each block of [`BLOCK`] bytes: a text may be one long line.
    characters: Vec<usize>,
}

const BLOCK: usize = 1024;

/// Some lines of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Excerpt<'t> {
    /// The number of the first of them, from 1.
    pub(crate) line: usize,
    /// The byte of the whole text at which they begin.
    pub(crate) start: usize,
    pub(crate) text: &'t str,
}

impl<'t> Lines<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let blocks = text.as_bytes().chunks(BLOCK);
        let counts = blocks.scan(0, |before, block| {
            let here = *before;
            *before += count_characters(block);
            Some(here)
        });
        Self {
            text,
            starts: std::iter::once(0)
                .chain(newlines.map(|(at, _)| at + 1))
                .collect(),
            characters: counts.collect(),
        }
    }

    pub(crate) fn text(&self) -> &'t str {
        self.text
    }

    /// The place of the byte `offset`; that of the text's end if it is shorter.
    pub(crate) fn position(&self, offset: usize) -> Position {
        let at = self.boundary(offset);
        let line = self.line(at);
        Position {
            line: line + 1,
            column: self.characters_before(at) - self.characters_before(self.starts[line]) + 1,
        }
    }

    /// The last boundary between characters that is not behind `offset`.
    pub(crate) fn boundary(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }

    /// How many lines lie between the line of one byte and that of another behind it.
    pub(crate) fn between(&self, first: usize, last: usize) -> usize {
        self.line(last).saturating_sub(self.line(first))
    }

    /// The lines that the bytes of `range` are on. The end of a text that ends with a line break is on the line
    /// before it.
    pub(crate) fn excerpt(&self, range: &Range<usize>) -> Excerpt<'t> {
        let last_byte = self.text.len().saturating_sub(1);
        let first = self.line(range.start.min(last_byte));
        let last = self.line(range.end.min(last_byte));
        let start = self.starts[first];
        let end = self
            .starts
            .get(last + 1)
            .copied()
            .unwrap_or(self.text.len());
        Excerpt {
            line: first + 1,
            start,
            text: &self.text[start..end],
        }
    }

    /// The line of a byte, from 0.
    fn line(&self, at: usize) -> usize {
        // The first line begins at 0.
        self.starts.partition_point(|start| *start <= at) - 1
    }

    fn characters_before(&self, at: usize) -> usize {
        let block = at / BLOCK;
        match self.characters.get(block) {
            Some(before) => before + count_characters(&self.text.as_bytes()[block * BLOCK..at]),
            // The end of a text of whole blocks.
            None => self.characters.last().map_or(0, |before| {
                before + count_characters(&self.text.as_bytes()[(block - 1) * BLOCK..at])
            }),
        }
    }
}

/// How many characters begin in these bytes of a UTF-8 text.
fn count_characters(bytes: &[u8]) -> usize {
    let is_continued = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    bytes.iter().filter(|byte| !is_continued(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters_from_one() {
        let text = "a: é\nb: 2\n";
        let lines = Lines::of(text);
        let at = |offset| {
            let p = lines.position(offset);
            (p.line, p.column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(3), (1, 4));
        // In the middle of `é`, and behind it.
        assert_eq!(at(4), (1, 4));
        assert_eq!(at(5), (1, 5));
        assert_eq!(at(6), (2, 1));
        assert_eq!(at(text.len()), (3, 1));
        assert_eq!(at(1000), (3, 1));
    }

    #[test]
    fn counts_across_blocks_as_within_one() {
        for text in [
            "é".repeat(1500),
            "aé\nß".repeat(700),
            "x".repeat(2 * BLOCK),
            String::new(),
        ] {
            let lines = Lines::of(&text);
            for offset in 0..=text.len() {
                let before = &text[..text.floor_char_boundary(offset)];
                let start = before.rfind('\n').map_or(0, |newline| newline + 1);
                let counted = Position {
                    line: before.matches('\n').count() + 1,
                    column: before[start..].chars().count() + 1,
                };
                assert_eq!(lines.position(offset), counted, "{offset}");
            }
        }
    }

    #[test]
    fn an_excerpt_is_whole_lines() {
        let lines = Lines::of("one\ntwo\nthree\n");
        let excerpt = |range: Range<usize>| {
            let found = lines.excerpt(&range);
            (found.line, found.start, found.text)
        };
        assert_eq!(excerpt(5..6), (2, 4, "two\n"));
        assert_eq!(excerpt(2..5), (1, 0, "one\ntwo\n"));
        assert_eq!(excerpt(14..14), (3, 8, "three\n"));
        assert_eq!(Lines::of("").excerpt(&(0..0)).text, "");
    }
}
