//! Prints components' output on the streams of this process.
//!
//! One component that prints to a file or a pipe prints what it prints, byte by byte. On a terminal, and where several
//! components run, each line bears the name of the component that printed it, and has nothing in it by which it could pass
//! for another's, or change more than its own line.

use std::io::{self, IsTerminal as _, Write};

use withe_host::{GuestOutput, Printed, StandardStream};

use crate::known_secrets::known_secrets;
use crate::recent::{PrintedPieces, printed_line};

/// Which of this process's streams components print to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuestStreams {
    /// The streams that they write to.
    Own,
    /// Standard error all, for standard output has a result.
    Error,
}

/// Takes what components print; `several` is whether there are more than one.
pub(crate) fn guest_output(streams: GuestStreams, several: bool) -> GuestOutput {
    let is_terminal = io::stdout().is_terminal() || io::stderr().is_terminal();
    // Bytes as they come may have half a secret.
    if !several && !is_terminal && known_secrets().is_empty() {
        let pieces = PrintedPieces::default();
        return GuestOutput::as_printed(move |printed| {
            pieces.push(&printed);
            write(streams, printed.stream, printed.bytes);
        });
    }
    GuestOutput::by_line(move |printed| {
        printed_line(&printed);
        write(streams, printed.stream, &line(&printed));
    })
}

/// A line under the name of the component that printed it.
fn line(printed: &Printed<'_>) -> Vec<u8> {
    let text = String::from_utf8_lossy(printed.bytes);
    let text = known_secrets().mask(&text);
    format!("{} | {text}\n", printed.component).into_bytes()
}

fn write(streams: GuestStreams, stream: StandardStream, bytes: &[u8]) {
    // If it cannot be written, there is nobody to be told: the reader is gone.
    let _ = match (streams, stream) {
        (GuestStreams::Own, StandardStream::Output) => written(io::stdout().lock(), bytes),
        _ => written(io::stderr().lock(), bytes),
    };
}

fn written(mut to: impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}
