//! A provider whose functions take and return streams: `wit/lines.wit`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use acme::lines::lines::{self, Length};
use withe_provider::{CallError, Context, Descriptor, Exporter, StreamReader, process};

// `WIT`, `functions`, and the module `acme::lines::lines`.
withe_provider::generate!("wit");

const DESCRIPTOR: Descriptor = Descriptor {
    name: "lines",
    version: env!("CARGO_PKG_VERSION"),
    summary: "numbers and measures the lines of texts",
    wit: WIT,
    aliases: &[],
    paths: &[],
    check_config: |_, _| Vec::new(),
    create: |_| Arc::new(Exporter::new(functions(), async |_| Ok(Lines))),
};

fn main() -> ExitCode {
    process::main(&DESCRIPTOR)
}

/// How many bytes of a text are asked for at a time: so much of it is here at once, however long it is.
const PIECE: usize = 64 << 10;

/// The state of one link: nothing.
struct Lines;

impl lines::Interface for Lines {
    async fn number(
        &self,
        _: &Context<'_>,
        mut text: StreamReader<u8>,
    ) -> Result<StreamReader<u8>, CallError> {
        // The stream is written after the call has returned, as it is read, until its reader drops it.
        Ok(StreamReader::written_by(|mut writer| async move {
            let mut numbering = Numbering::default();
            while let Some(bytes) = text.read(PIECE).await? {
                writer.write(numbering.number(&bytes)).await?;
            }
            Ok(())
        }))
    }

    async fn lengths(
        &self,
        _: &Context<'_>,
        mut text: StreamReader<u8>,
    ) -> Result<StreamReader<Length>, CallError> {
        let mut measured = Lengths::default();
        while let Some(bytes) = text.read(PIECE).await? {
            measured.read(&bytes);
        }
        Ok(StreamReader::of(measured.finish()))
    }
}

/// Puts numbers before lines.
#[derive(Default)]
struct Numbering {
    /// Lines that have begun.
    lines: u64,
    /// Whether the last one goes on.
    is_within: bool,
}

impl Numbering {
    fn number(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut numbered = Vec::with_capacity(bytes.len() + 64);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.is_within {
                self.lines += 1;
                numbered.extend_from_slice(format!("{}\t", self.lines).as_bytes());
            }
            numbered.extend_from_slice(line);
            self.is_within = !line.ends_with(b"\n");
        }
        numbered
    }
}

/// Counts lines by their lengths.
#[derive(Default)]
struct Lengths {
    counts: BTreeMap<u32, u64>,
    /// Bytes of a line that goes on.
    begun: Option<u32>,
}

impl Lengths {
    fn read(&mut self, bytes: &[u8]) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ended = line.strip_suffix(b"\n");
            let more = u32::try_from(ended.unwrap_or(line).len()).unwrap_or(u32::MAX);
            let length = self.begun.take().unwrap_or(0).saturating_add(more);
            match ended {
                Some(_) => *self.counts.entry(length).or_default() += 1,
                None => self.begun = Some(length),
            }
        }
    }

    fn finish(mut self) -> Vec<Length> {
        if let Some(last) = self.begun.take() {
            *self.counts.entry(last).or_default() += 1;
        }
        let counts = self.counts.into_iter();
        counts
            .map(|(bytes, lines)| Length { bytes, lines })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_anywhere() {
        let mut numbering = Numbering::default();
        let pieces = ["a", "b\nc\n", "\n", "d"];
        let numbered: Vec<_> = (pieces.iter())
            .flat_map(|piece| numbering.number(piece.as_bytes()))
            .collect();
        assert_eq!(
            String::from_utf8(numbered).unwrap(),
            "1\tab\n2\tc\n3\t\n4\td"
        );
        let mut lengths = Lengths::default();
        pieces
            .iter()
            .for_each(|piece| lengths.read(piece.as_bytes()));
        let lengths: Vec<_> = (lengths.finish().iter())
            .map(|length| (length.bytes, length.lines))
            .collect();
        assert_eq!(lengths, [(0, 1), (1, 2), (2, 1)]);
    }
}
