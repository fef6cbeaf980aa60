//! The messages of a connection, as bytes.
//!
//! A kind (one byte), two numbers (64 bits each, little-endian) and what is left:
//!
//! | kind | first number | second number | rest |
//! |---|---|---|---|
//! | 1 hello | version | window | |
//! | 2 accept | version | window | |
//! | 3 data | sequence | acknowledged | bytes of the stream |
//! | 4 end | sequence | acknowledged | |
//! | 5 ack | next sequence | acknowledged | |
//! | 6 probe | next sequence | acknowledged | |
//! | 7 reset | 0 | 0 | the reason, as text |

use bytes::{BufMut, Bytes, BytesMut};

/// The version of all this.
pub(super) const VERSION: u64 = 1;

/// Bytes of a message besides its rest.
pub(super) const HEADER: usize = 17;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Opens a connection; grants so much to the other side.
    Hello { version: u64, window: u64 },
    /// Accepts it; grants so much.
    Accept { version: u64, window: u64 },
    /// The next bytes of the stream.
    Data { at: At, bytes: Bytes },
    /// There are no more.
    End { at: At },
    /// Nothing, but where we are.
    Ack { at: At },
    /// The same; asks for the same.
    Probe { at: At },
    /// The connection has failed.
    Reset { reason: String },
}

/// Where the sender of a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    /// The number of this message, or of the next if this has none.
    pub(super) sequence: u64,
    /// How much the reader has taken; see [`cost`](super::flow::cost).
    pub(super) acknowledged: u64,
}

impl Message {
    pub(super) fn to_bytes(&self) -> Bytes {
        match self {
            Self::Hello { version, window } => head(1, *version, *window, 0),
            Self::Accept { version, window } => head(2, *version, *window, 0),
            Self::Data { at, bytes } => {
                let mut out = data(*at, bytes.len());
                out.extend_from_slice(bytes);
                out
            }
            Self::End { at } => head(4, at.sequence, at.acknowledged, 0),
            Self::Ack { at } => head(5, at.sequence, at.acknowledged, 0),
            Self::Probe { at } => head(6, at.sequence, at.acknowledged, 0),
            Self::Reset { reason } => {
                let mut out = head(7, 0, 0, reason.len());
                out.extend_from_slice(reason.as_bytes());
                out
            }
        }
        .freeze()
    }

    /// Reads a message; nothing if it is none.
    pub(super) fn read(mut bytes: Bytes) -> Option<Self> {
        let header: [u8; HEADER] = *bytes.first_chunk()?;
        let rest = bytes.split_off(HEADER);
        let (kind, numbers) = header.split_first()?;
        let (first, second) = numbers.split_first_chunk()?;
        let first = u64::from_le_bytes(*first);
        let second = u64::from_le_bytes(*second.first_chunk()?);
        let at = At {
            sequence: first,
            acknowledged: second,
        };
        Some(match kind {
            1 => Self::Hello {
                version: first,
                window: second,
            },
            2 => Self::Accept {
                version: first,
                window: second,
            },
            3 => Self::Data { at, bytes: rest },
            4 => Self::End { at },
            5 => Self::Ack { at },
            6 => Self::Probe { at },
            7 => Self::Reset {
                reason: String::from_utf8_lossy(&rest).into_owned(),
            },
            _ => return None,
        })
    }
}

/// The beginning of a [`Message::Data`], with room for so many bytes of the stream.
pub(super) fn data(at: At, room: usize) -> BytesMut {
    head(3, at.sequence, at.acknowledged, room)
}

fn head(kind: u8, first: u64, second: u64, room: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(HEADER + room);
    out.put_u8(kind);
    out.put_u64_le(first);
    out.put_u64_le(second);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let at = At {
            sequence: 7,
            acknowledged: u64::MAX,
        };
        for message in [
            Message::Hello {
                version: VERSION,
                window: 1 << 20,
            },
            Message::Accept {
                version: 2,
                window: 0,
            },
            Message::Data {
                at,
                bytes: "bytes".into(),
            },
            Message::End { at },
            Message::Ack { at },
            Message::Probe { at },
            Message::Reset {
                reason: "why".into(),
            },
        ] {
            assert_eq!(Message::read(message.to_bytes()), Some(message));
        }
    }

    proptest! {
        #[test]
        fn nothing_that_comes_is_a_panic(bytes: Vec<u8>) {
            let short = bytes.len() < HEADER;
            let message = Message::read(bytes.into());
            prop_assert!(!short || message.is_none());
        }
    }
}
