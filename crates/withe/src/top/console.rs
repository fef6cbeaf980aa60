//! The terminal: a screen of its own while frames are drawn, and what was there before when they are not.

use std::io::{self, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};

/// The other screen, no cursor; and back.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const END: &str = "\x1b[?25h\x1b[?1049l";

/// A terminal on which frames are drawn. Dropping this, also by a panic, restores the screen.
pub(crate) struct Console {
    before: Termios,
}

impl Console {
    /// Whether there is a terminal for keys and frames.
    pub(crate) fn is_there() -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// Begins to draw.
    ///
    /// # Errors
    ///
    /// If the terminal cannot be set up.
    pub(crate) fn begin() -> io::Result<Self> {
        let before = rustix::termios::tcgetattr(io::stdin())?;
        let mut modes = before.clone();
        // Keys come one by one, are not shown, and are no signals: this screen is left before the process ends or
        // stops.
        modes
            .local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        rustix::termios::tcsetattr(io::stdin(), OptionalActions::Flush, &modes)?;
        let console = Self { before };
        console.write(BEGIN)?;
        Ok(console)
    }

    /// Columns and rows.
    pub(crate) fn size(&self) -> (usize, usize) {
        match rustix::termios::tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (size.ws_col.into(), size.ws_row.into())
            }
            _ => (80, 24),
        }
    }

    /// Draws a frame in the place of the last one.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub(crate) fn draw(&self, lines: &[String]) -> io::Result<()> {
        // Each line clears what was behind it, so that nothing flickers.
        let text = format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n"));
        self.write(&text)
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        _ = self.write(END);
        _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}
