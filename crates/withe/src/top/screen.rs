//! One frame, and what keys change of it.

use super::figures::{Figured, Figures, Sort, printable};

/// The view below the first lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    #[default]
    Links,
    Parts,
    Hosts,
}

/// The state that keys change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Screen {
    section: Section,
    sort: Sort,
    /// How many rows are above the first that is shown.
    scrolled: usize,
}

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    Other,
}

/// The consequence of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Draw,
    End,
}

/// The lines that say what there is.
const HELP: &str =
    "1 links  2 parts  3 hosts   sort: r rate  e errors  l latency  n name   ↑↓ scroll   q ends";

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

impl Screen {
    pub(crate) fn new(sort: Sort) -> Self {
        Self {
            sort,
            ..Self::default()
        }
    }

    /// Does what a key says. `height` is that of the terminal.
    pub(crate) fn key(&mut self, key: Key, height: usize) -> Next {
        let page = height.saturating_sub(6).max(1);
        match key {
            // Ctrl-C, which the terminal does not turn into a signal now.
            Key::Char('q' | '\x03' | '\x04') => return Next::End,
            Key::Char('1') => self.show(Section::Links),
            Key::Char('2') => self.show(Section::Parts),
            Key::Char('3') => self.show(Section::Hosts),
            Key::Char('\t') => self.show(match self.section {
                Section::Links => Section::Parts,
                Section::Parts => Section::Hosts,
                Section::Hosts => Section::Links,
            }),
            Key::Char('r') => self.sort = Sort::Rate,
            Key::Char('e') => self.sort = Sort::Errors,
            Key::Char('l') => self.sort = Sort::Latency,
            Key::Char('n') => self.sort = Sort::Name,
            Key::Up | Key::Char('k') => self.scrolled = self.scrolled.saturating_sub(1),
            Key::Down | Key::Char('j') => self.scrolled += 1,
            Key::PageUp => self.scrolled = self.scrolled.saturating_sub(page),
            Key::PageDown | Key::Char(' ') => self.scrolled += page,
            Key::Home => self.scrolled = 0,
            Key::Char(_) | Key::Other => {}
        }
        Next::Draw
    }

    fn show(&mut self, section: Section) {
        self.section = section;
        self.scrolled = 0;
    }

    /// The lines of a frame, at most as many and as wide as the terminal has room for. A position that is scrolled too
    /// far is scrolled back.
    pub(crate) fn frame(
        &mut self,
        figures: &Figures,
        trouble: Option<&str>,
        (width, height): (usize, usize),
        color: bool,
    ) -> Vec<String> {
        let painted = |with: &str, text: &str| match color && !text.is_empty() {
            true => format!("{with}{text}{PLAIN}"),
            false => text.to_owned(),
        };
        let cut = |text: &str| -> String { text.chars().take(width).collect() };
        let mut lines = vec![painted(BOLD, &cut(&printable(&figures.summary())))];
        if let Some(trouble) = trouble {
            let text = format!("the lattice cannot be read: {trouble}");
            lines.push(painted(RED, &cut(&printable(&text))));
        }
        lines.push(painted(DIM, &cut(HELP)));
        lines.push(String::new());
        let table: Figured = match self.section {
            Section::Links => figures.links(self.sort),
            Section::Parts => figures.parts(self.sort),
            Section::Hosts => figures.hosts(),
        };
        let (header, rows) = table.lines(width);
        lines.push(painted(BOLD, &header));
        let room = height.saturating_sub(lines.len());
        self.scrolled = self.scrolled.min(rows.len().saturating_sub(room));
        let shown = rows.iter().zip(&table.rows).skip(self.scrolled).take(room);
        lines.extend(shown.map(|(text, row)| match row.fails {
            true => painted(RED, text),
            false => text.clone(),
        }));
        lines.truncate(height);
        lines
    }
}

/// The bytes that a terminal has sent, of which the last may be the beginning of a key's sequence.
#[derive(Debug, Default)]
pub(crate) struct Typed(Vec<u8>);

impl Typed {
    /// Whether a sequence has begun, of which more may come.
    pub(crate) fn is_within(&self) -> bool {
        !self.0.is_empty()
    }

    /// The keys in these bytes and in what was kept of those before.
    pub(crate) fn keys(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.0.extend_from_slice(bytes);
        let end = self.0.len() - begun(&self.0);
        let whole: Vec<u8> = self.0.drain(..end).collect();
        keys(&whole)
    }

    /// The keys in what was kept, of which no more has come.
    pub(crate) fn rest(&mut self) -> Vec<Key> {
        keys(&std::mem::take(&mut self.0))
    }
}

/// The longest sequence of a key that is waited for.
const SEQUENCE: usize = 16;

/// How many bytes at the end are the beginning of a sequence.
fn begun(bytes: &[u8]) -> usize {
    let Some(at) = bytes.iter().rposition(|byte| *byte == 0x1b) else {
        return 0;
    };
    let is_begun = match &bytes[at + 1..] {
        [] | [b'[' | b'O'] => true,
        // Numbers, and then a letter or `~`.
        [b'[', rest @ ..] => rest.iter().all(|b| b.is_ascii_digit() || *b == b';'),
        _ => false,
    };
    let length = bytes.len() - at;
    match is_begun && length < SEQUENCE {
        true => length,
        false => 0,
    }
}

/// The keys in bytes that a terminal has sent.
fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        let (key, used) = match (first, after) {
            (0x1b, [b'[' | b'O', b'A', ..]) => (Key::Up, 3),
            (0x1b, [b'[' | b'O', b'B', ..]) => (Key::Down, 3),
            (0x1b, [b'[' | b'O', b'H', ..]) => (Key::Home, 3),
            (0x1b, [b'[', b'5', b'~', ..]) => (Key::PageUp, 4),
            (0x1b, [b'[', b'6', b'~', ..]) => (Key::PageDown, 4),
            // Another sequence: all bytes that came with it.
            (0x1b, [b'[' | b'O', ..]) => (Key::Other, rest.len()),
            // The key alone ends, as in other programs.
            (0x1b, []) => (Key::Char('q'), 1),
            (byte, _) if byte.is_ascii() => (Key::Char(char::from(*byte)), 1),
            _ => (Key::Other, 1),
        };
        keys.push(key);
        rest = &rest[used..];
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::shop;
    use super::*;

    #[test]
    fn a_frame_fits_the_terminal() {
        let figures = shop();
        for size in [(80, 24), (40, 8), (10, 3), (200, 5), (1, 1)] {
            let mut screen = Screen::new(Sort::Rate);
            screen.key(Key::PageDown, size.1);
            let lines = screen.frame(&figures, Some("it is gone"), size, false);
            assert!(lines.len() <= size.1, "{lines:#?}");
            assert!(lines.iter().all(|line| line.chars().count() <= size.0));
        }
        let lines = Screen::default().frame(&figures, None, (80, 24), true);
        assert!(
            lines[4].starts_with("\x1b[31mshop  cart → stock"),
            "{lines:#?}"
        );
    }

    #[test]
    fn keys_change_what_is_shown() {
        let figures = shop();
        let mut screen = Screen::default();
        let text = |screen: &mut Screen| screen.frame(&figures, None, (100, 24), false).join("\n");
        assert!(text(&mut screen).contains("LINK"));
        assert_eq!(screen.key(Key::Char('2'), 24), Next::Draw);
        assert!(text(&mut screen).contains("INSTANCES"));
        screen.key(Key::Char('\t'), 24);
        assert!(text(&mut screen).contains("LABELS"));
        screen.key(Key::Char('1'), 24);
        screen.key(Key::Char('n'), 24);
        let names = text(&mut screen);
        assert!(names.find("mail") < names.find("prices"), "{names}");
        // Rows that are there are not scrolled away.
        screen.key(Key::Down, 24);
        assert!(text(&mut screen).contains("mail"));
        assert_eq!(screen.key(Key::Char('q'), 24), Next::End);
    }

    #[test]
    fn a_sequence_may_come_in_pieces() {
        let mut typed = Typed::default();
        assert_eq!(typed.keys(b"j\x1b"), [Key::Char('j')]);
        assert!(typed.is_within());
        assert!(typed.keys(b"[").is_empty());
        assert_eq!(typed.keys(b"B"), [Key::Down]);
        assert!(typed.keys(b"\x1b[6").is_empty());
        assert_eq!(typed.keys(b"~\x1b[A"), [Key::PageDown, Key::Up]);
        assert!(!typed.is_within());
        // The key alone, behind which nothing comes.
        assert!(typed.keys(b"\x1b").is_empty());
        assert_eq!(typed.rest(), [Key::Char('q')]);
        assert!(!typed.is_within());
        // Bytes that are no key are not kept for ever.
        assert_eq!(typed.keys(b"\x1b[1234567890123456"), [Key::Other]);
    }

    #[test]
    fn what_others_say_does_not_reach_the_terminal_as_it_is() {
        let mut figures = shop();
        figures.state.hosts[0].name = "e\x1b]0;x\x07\u{9b}2J\u{202e}t".into();
        let mut screen = Screen::default();
        screen.key(Key::Char('3'), 24);
        let lines = screen.frame(&figures, Some("gone\r\x1b[2J"), (200, 24), false);
        let text = lines.join("");
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(
            !text.contains('\u{202e}') && text.contains("gone"),
            "{text:?}"
        );
    }

    #[test]
    fn bytes_are_keys() {
        let table: [(&[u8], Vec<Key>); 6] = [
            (b"q", vec![Key::Char('q')]),
            (b"\x1b[A\x1b[B", vec![Key::Up, Key::Down]),
            (b"\x1b[6~n", vec![Key::PageDown, Key::Char('n')]),
            (b"\x1b", vec![Key::Char('q')]),
            (b"\x1b[1;5C", vec![Key::Other]),
            (b"\xc3\xbc", vec![Key::Other, Key::Other]),
        ];
        for (bytes, wanted) in table {
            assert_eq!(keys(bytes), wanted, "{bytes:?}");
        }
    }
}
