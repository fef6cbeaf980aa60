//! Reads frames: as many as there are with each read, and the bytes of large payloads straight to where
//! they belong.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::frame::{HEADER, Header, Kind, MAX_BODY, Violation};

/// How many bytes of a frame have to be missing for reading them directly to their place to pay.
const WORTH: usize = 8 << 10;

/// How much is read behind a frame that is read to its place: enough to see whether the next is of the
/// same kind, as is likely.
pub(crate) const GLIMPSE: usize = HEADER + 2;

/// Room for one frame and most of the next.
const CAPACITY: usize = 2 * (HEADER + MAX_BODY);

/// The reading half of a connection.
pub(crate) struct Inbox {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    buffer: Box<[u8]>,
    /// Bytes from `start` to `end` were read and not taken yet.
    start: usize,
    end: usize,
    diverted: Option<Diverted>,
}

/// A frame whose bytes are read to their place.
struct Diverted {
    header: Header,
    bytes: Vec<u8>,
    /// How many are missing.
    missing: usize,
}

impl Inbox {
    pub(crate) fn new(reader: Box<dyn AsyncRead + Send + Unpin>) -> Self {
        Self {
            reader,
            buffer: vec![0; CAPACITY].into(),
            start: 0,
            end: 0,
            diverted: None,
        }
    }

    /// Reads what there is, at least one byte; false at the end. Nothing is lost if it is dropped while
    /// it waits. To be called when [`Inbox::next`] has no more.
    pub(crate) async fn fill(&mut self) -> io::Result<bool> {
        if let Some(Diverted { bytes, missing, .. }) = &mut self.diverted {
            let mut rest = (&mut self.reader).take((*missing + GLIMPSE) as u64);
            let n = rest.read_buf(bytes).await?;
            let behind = n.saturating_sub(*missing);
            *missing -= n - behind;
            let of_next = bytes.drain(bytes.len() - behind..);
            for (slot, byte) in self.buffer.iter_mut().zip(of_next) {
                *slot = byte;
            }
            (self.start, self.end) = (0, behind);
            return match n {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(true),
            };
        }
        // Less than a frame is left, which has more than half of the room.
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let n = self.reader.read(&mut self.buffer[self.end..]).await?;
        self.end += n;
        if n == 0 && self.end > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(n > 0)
    }

    /// The next frame's header, if that much was read.
    pub(crate) fn peek(&self) -> Option<Header> {
        self.buffer[self.start..self.end]
            .first_chunk()
            .map(Header::read)
    }

    /// How many bytes of which call are missing, if the last frame that was read is a large part of a
    /// payload, and nothing but bytes.
    pub(crate) fn divertable(&self) -> Option<(u32, usize)> {
        let header = self.peek()?;
        let len = header.len as usize;
        let came = &self.buffer[self.start + HEADER..self.end];
        let is_bytes = header.kind == Kind::Payload as u8 && came.starts_with(&[0, 0]);
        (is_bytes && len <= MAX_BODY && came.len() + WORTH <= len).then(|| (header.id, len - 2))
    }

    /// Has the bytes of the [divertable](Inbox::divertable) frame appended to these. [`GLIMPSE`] more are
    /// appended for a moment.
    pub(crate) fn divert(&mut self, mut bytes: Vec<u8>) {
        let Some(header) = self.peek() else {
            return;
        };
        // Without the two numbers that say that there is nothing but bytes.
        let came = &self.buffer[self.start + HEADER + 2..self.end];
        bytes.extend_from_slice(came);
        self.diverted = Some(Diverted {
            missing: header.len as usize - 2 - came.len(),
            header,
            bytes,
        });
        self.start = self.end;
    }

    /// The frame that was diverted, and the bytes, once all of it is there.
    pub(crate) fn arrived(&mut self) -> Option<(Header, Vec<u8>)> {
        let arrived = self.diverted.take_if(|diverted| diverted.missing == 0)?;
        Some((arrived.header, arrived.bytes))
    }

    /// Takes the next frame, if it was read in full.
    ///
    /// # Errors
    ///
    /// If it is longer than frames may be.
    pub(crate) fn next(&mut self) -> Result<Option<(Header, &[u8])>, Violation> {
        let Some(header) = self.peek() else {
            return Ok(None);
        };
        let len = header.len as usize;
        if len > MAX_BODY {
            return Err(Violation::protocol(format!(
                "a frame of {len} bytes is longer than the {MAX_BODY} that frames may have"
            )));
        }
        let body = self.start + HEADER;
        if body + len > self.end {
            return Ok(None);
        }
        self.start = body + len;
        Ok(Some((header, &self.buffer[body..body + len])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;

    #[tokio::test]
    async fn frames_come_whole_however_they_were_cut() {
        let mut bytes = Vec::new();
        for id in 0..5 {
            frame::write(&mut bytes, Kind::Ping, 0, id, |b| {
                b.extend(std::iter::repeat_n(id as u8, id as usize * 16_000));
            });
        }
        for cut in [1, 7, 12, 13, 4_096, 70_000] {
            let (mut tx, rx) = tokio::io::duplex(cut);
            let bytes = bytes.clone();
            let writing = tokio::spawn(async move {
                tokio::io::AsyncWriteExt::write_all(&mut tx, &bytes)
                    .await
                    .unwrap();
            });
            let mut inbox = Inbox::new(Box::new(rx));
            let mut seen = 0;
            while inbox.fill().await.unwrap() {
                while let Some((header, body)) = inbox.next().unwrap() {
                    assert_eq!((header.id, body.len()), (seen, seen as usize * 16_000));
                    assert!(body.iter().all(|b| *b == seen as u8));
                    seen += 1;
                }
            }
            assert_eq!(seen, 5);
            writing.await.unwrap();
        }
    }

    #[tokio::test]
    async fn large_parts_are_read_to_their_place() {
        let mut bytes = Vec::new();
        for id in [1, 2] {
            frame::write(&mut bytes, Kind::Payload, 0, id, |b| {
                b.extend_from_slice(&[0, 0]);
                b.extend(std::iter::repeat_n(7, 60_000));
            });
        }
        frame::write(&mut bytes, Kind::Ping, 0, 3, |_| {});
        let (mut tx, rx) = tokio::io::duplex(10_000);
        let writing = tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut tx, &bytes)
                .await
                .unwrap();
        });
        let mut inbox = Inbox::new(Box::new(rx));
        let mut seen = Vec::new();
        while inbox.fill().await.unwrap() {
            if let Some((header, bytes)) = inbox.arrived() {
                assert_eq!(bytes, [&b"before"[..], &[7; 60_000]].concat());
                seen.push(header.id);
            }
            while let Some((header, _)) = inbox.next().unwrap() {
                seen.push(header.id);
            }
            if let Some((_, missing)) = inbox.divertable() {
                assert_eq!(missing, 60_000);
                inbox.divert(b"before".to_vec());
            }
        }
        assert_eq!(seen, [1, 2, 3]);
        writing.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_short_or_too_long_is_not_diverted() {
        for len in [0, 1, 2, WORTH as u32 + 1, MAX_BODY as u32 + 1, u32::MAX] {
            let mut bytes = len.to_le_bytes().to_vec();
            bytes.extend([Kind::Payload as u8, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
            let mut inbox = Inbox::new(Box::new(std::io::Cursor::new(bytes)));
            assert!(inbox.fill().await.unwrap());
            assert_eq!(inbox.divertable(), None, "{len}");
        }
    }

    #[tokio::test]
    async fn an_end_in_the_middle_and_a_hostile_length_are_errors() {
        let mut cut = Inbox::new(Box::new(&[5u8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1][..]));
        assert!(cut.fill().await.unwrap());
        assert_eq!(cut.next().unwrap(), None);
        assert!(cut.fill().await.is_err());

        let mut long = Inbox::new(Box::new(&[1u8, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0][..]));
        assert!(long.fill().await.unwrap());
        assert!(long.next().is_err());
    }
}
