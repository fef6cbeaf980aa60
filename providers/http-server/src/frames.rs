//! The heads of HTTP/2 frames in a stream of bytes, which comes in parts of any size (RFC 9113, 4.1).
//!
//! Nothing of a frame but its head is looked at: what frames mean, and whether they are allowed, is hyper's business.

/// The kinds of frames that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// Data, with the number of bytes that can be content.
    Data(u32),
    Headers,
    ResetStream,
    /// Any other: settings, pings, priorities, windows, what continues headers, and what is not known.
    Other,
}

/// Reads frames' heads, one stream in one direction.
#[derive(Debug)]
pub(crate) struct FrameHeads {
    /// The bytes that no head is in.
    skip: u64,
    head: [u8; HEAD],
    /// How many bytes of the head there are.
    have: usize,
}

/// Bytes of a head.
const HEAD: usize = 9;
/// Bytes that a client sends before its first frame.
const PREFACE: u64 = 24;
const PADDED: u8 = 0x8;
/// The most that is no content in a frame that is padded: the length of the padding, and the padding.
const MOST_PADDING: u32 = 256;

impl FrameHeads {
    /// The heads of frames that a client sends.
    pub(crate) fn of_client() -> Self {
        Self {
            skip: PREFACE,
            ..Self::of_server()
        }
    }

    /// The heads of frames that a server sends.
    pub(crate) fn of_server() -> Self {
        Self {
            skip: 0,
            head: [0; HEAD],
            have: 0,
        }
    }

    /// The next frame whose head ends in `bytes`, which are what is left behind it. `None` if all were read.
    pub(crate) fn next(&mut self, bytes: &mut &[u8]) -> Option<FrameKind> {
        let skipped = bytes.len().min(self.skip.try_into().unwrap_or(usize::MAX));
        self.skip -= skipped as u64;
        *bytes = &bytes[skipped..];
        let read = bytes.len().min(HEAD - self.have);
        self.head[self.have..self.have + read].copy_from_slice(&bytes[..read]);
        self.have += read;
        *bytes = &bytes[read..];
        if self.have < HEAD {
            return None;
        }
        self.have = 0;
        let [a, b, c, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.skip = length.into();
        Some(match kind {
            0 if flags & PADDED != 0 => FrameKind::Data(length.saturating_sub(MOST_PADDING)),
            0 => FrameKind::Data(length),
            1 => FrameKind::Headers,
            3 => FrameKind::ResetStream,
            _ => FrameKind::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u32) -> Vec<u8> {
        let [_, a, b, c] = length.to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags, 0, 0, 0, 1];
        // Bytes that would be taken for other frames' heads.
        frame.resize(HEAD + length as usize, 3);
        frame
    }

    fn read(mut heads: FrameHeads, parts: &[&[u8]]) -> Vec<FrameKind> {
        let mut found = Vec::new();
        for part in parts {
            let mut bytes = *part;
            while let Some(kind) = heads.next(&mut bytes) {
                found.push(kind);
            }
            assert!(bytes.is_empty());
        }
        found
    }

    #[test]
    fn heads_are_read_from_parts_of_any_size() {
        let frames = [
            frame(4, 0, 0),
            frame(1, 4, 20),
            frame(0, 0, 300),
            frame(0, 1, 0),
            frame(0, 8, 256),
            frame(0, 8, 257),
            frame(0, 8, 1),
            frame(3, 0, 4),
            frame(6, 0, 8),
            frame(9, 0, 0),
            frame(99, 0, 70_000),
            frame(1, 0, 1),
        ];
        let expected = [
            FrameKind::Other,
            FrameKind::Headers,
            FrameKind::Data(300),
            FrameKind::Data(0),
            FrameKind::Data(0),
            FrameKind::Data(1),
            FrameKind::Data(0),
            FrameKind::ResetStream,
            FrameKind::Other,
            FrameKind::Other,
            FrameKind::Other,
            FrameKind::Headers,
        ];
        let sent = frames.concat();
        for size in [1, 2, 8, 9, 10, 1000, sent.len()] {
            let parts: Vec<_> = sent.chunks(size).collect();
            assert_eq!(read(FrameHeads::of_server(), &parts), expected, "{size}");
        }
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let all = [&preface[..], &sent].concat();
        for size in [1, 23, 24, 25, all.len()] {
            let parts: Vec<_> = all.chunks(size).collect();
            assert_eq!(read(FrameHeads::of_client(), &parts), expected, "{size}");
        }
    }
}
