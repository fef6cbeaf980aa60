//! Reads frames: as many as there are with each read.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::frame::{HEADER, Header, MAX_BODY, Violation};

/// Room for one frame and most of the next.
const CAPACITY: usize = 2 * (HEADER + MAX_BODY);

/// The reading half of a connection.
pub(crate) struct Inbox {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    buffer: Box<[u8]>,
    /// What was read and not taken yet.
    start: usize,
    end: usize,
}

impl Inbox {
    pub(crate) fn new(reader: Box<dyn AsyncRead + Send + Unpin>) -> Self {
        Self {
            reader,
            buffer: vec![0; CAPACITY].into(),
            start: 0,
            end: 0,
        }
    }

    /// Reads what there is, at least one byte; false at the end. Nothing is lost if it is dropped while
    /// it waits. To be called when [`Inbox::next`] has no more.
    pub(crate) async fn fill(&mut self) -> io::Result<bool> {
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
    use crate::frame::{self, Kind};

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
