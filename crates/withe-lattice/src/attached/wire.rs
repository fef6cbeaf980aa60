//! What is said between a process that has an embedded lattice and those that are attached to it.
//!
//! A frame is two lengths (32 bits each, little-endian: of all that follows the first, and of the head), a
//! head in JSON and a body of bytes. The server begins, with [`Answer::Hello`]. Both ends are made by the
//! same version of the same program, which the greeting makes sure of.

use std::io;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{Change, Entry, Expect, LatticeError};

/// The version of all this.
pub(super) const VERSION: u32 = 1;

/// The most bytes of a frame. The largest hold blobs, or the values of all entries of a list.
const MAX_FRAME: usize = 1 << 30;

/// The most bytes of a head.
const MAX_HEAD: usize = 64 << 20;

/// A head, and the bytes it is about.
#[derive(Debug)]
pub(super) struct Frame<T> {
    pub(super) head: T,
    pub(super) body: Bytes,
}

/// What the attached process says. What it begins has a number, in `id`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Say {
    /// It asks for something.
    Ask { id: u64, ask: Ask },
    /// It wants no more of something.
    End { id: u64 },
    /// The answer, or that there is none, to a request that came for a subject it serves.
    Reply {
        id: u64,
        number: u64,
        is_answered: bool,
    },
}

/// What the attached process asks for. Values, blobs and messages are in the body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Get {
        key: String,
    },
    List {
        table: Table,
        prefix: String,
    },
    Put {
        table: Table,
        key: String,
        expect: Expect,
    },
    Delete {
        key: String,
        expect: Expect,
    },
    DeleteLease {
        key: String,
    },
    Watch {
        table: Table,
        prefix: String,
    },
    PutBlob {
        digest: String,
    },
    Blob {
        digest: String,
    },
    DeleteBlob {
        digest: String,
    },
    Publish {
        subject: String,
    },
    Subscribe {
        prefix: String,
    },
    Request {
        subject: String,
        timeout_ms: u64,
    },
    Serve {
        subject: String,
    },
}

/// Entries, or leases.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Table {
    Entries,
    Leases,
}

/// What the serving process says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// Who it is.
    Hello { version: u32, lattice: String },
    /// What came of what was asked; of watches and the like, that they have begun.
    Done {
        id: u64,
        result: Result<Done, LatticeError>,
    },
    /// A watch tells something; an entry's value is in the body.
    Change { id: u64, change: ChangeHead },
    /// A message for one who listens.
    Message { id: u64, subject: String },
    /// A request for one who serves.
    Request { id: u64, number: u64 },
}

/// What came of something.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Done {
    Nothing,
    Revision(u64),
    /// The values are in the body, one after the other.
    Entries(Vec<EntryHead>),
    /// Something is in the body.
    Bytes,
}

/// An entry without its value.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EntryHead {
    key: String,
    revision: u64,
    size: usize,
}

/// A change without an entry's value.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ChangeHead {
    Put(EntryHead),
    Gone(String),
    Synced,
}

impl EntryHead {
    fn of(entry: &Entry) -> Self {
        Self {
            key: entry.key.clone(),
            revision: entry.revision,
            size: entry.value.len(),
        }
    }

    fn with(self, value: Bytes) -> Entry {
        Entry {
            key: self.key,
            value,
            revision: self.revision,
        }
    }
}

pub(super) fn part_entries(entries: &[Entry]) -> (Done, Bytes) {
    let heads = entries.iter().map(EntryHead::of).collect();
    let values: Vec<u8> = entries.iter().flat_map(|e| &e.value).copied().collect();
    (Done::Entries(heads), values.into())
}

/// # Errors
///
/// The body is not what the heads say.
pub(super) fn join_entries(heads: Vec<EntryHead>, mut body: Bytes) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for head in heads {
        if head.size > body.len() {
            return Err(bad("a value that is not there"));
        }
        let value = body.split_to(head.size);
        entries.push(head.with(value));
    }
    Ok(entries)
}

pub(super) fn part_change(change: Change) -> (ChangeHead, Bytes) {
    match change {
        Change::Put(entry) => (ChangeHead::Put(EntryHead::of(&entry)), entry.value),
        Change::Gone { key } => (ChangeHead::Gone(key), Bytes::new()),
        Change::Synced => (ChangeHead::Synced, Bytes::new()),
    }
}

pub(super) fn join_change(head: ChangeHead, body: Bytes) -> Change {
    match head {
        ChangeHead::Put(head) => Change::Put(head.with(body)),
        ChangeHead::Gone(key) => Change::Gone { key },
        ChangeHead::Synced => Change::Synced,
    }
}

/// Reads a frame; nothing at the end.
///
/// # Errors
///
/// The connection fails, or what comes is no frame.
pub(super) async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<Frame<T>>> {
    let mut lengths = [0; 8];
    if from.read(&mut lengths[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut lengths[1..]).await?;
    let [a, b, c, d, e, f, g, h] = lengths;
    let rest = u32::from_le_bytes([a, b, c, d]) as usize;
    let head = u32::from_le_bytes([e, f, g, h]) as usize;
    let Some(body) = rest.checked_sub(4 + head) else {
        return Err(bad("lengths that cannot be"));
    };
    if rest > MAX_FRAME || head > MAX_HEAD {
        return Err(bad("a frame that is too large"));
    }
    let head = serde_json::from_slice(&read_some(from, head).await?);
    let head = head.map_err(|e| bad(&format!("a head that cannot be read: {e}")))?;
    let body = read_some(from, body).await?.into();
    Ok(Some(Frame { head, body }))
}

/// Reads so many bytes; takes memory only as they come.
async fn read_some(from: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// Writes a frame.
///
/// # Errors
///
/// The connection fails, or the frame is too large.
pub(super) async fn write<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    frame: &Frame<T>,
) -> io::Result<()> {
    let head = serde_json::to_vec(&frame.head)?;
    let rest = 4 + head.len() + frame.body.len();
    if rest > MAX_FRAME || head.len() > MAX_HEAD {
        return Err(bad("a frame that is too large"));
    }
    // Both are less than 2³² now.
    let mut start = Vec::with_capacity(8 + head.len());
    start.extend((rest as u32).to_le_bytes());
    start.extend((head.len() as u32).to_le_bytes());
    start.extend(head);
    to.write_all(&start).await?;
    to.write_all(&frame.body).await
}

pub(super) fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the peer sends {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(future)
    }

    fn entry(key: &str, value: &[u8]) -> Entry {
        Entry {
            key: key.into(),
            value: Bytes::copy_from_slice(value),
            revision: 3,
        }
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        let entries = [entry("a", b"one"), entry("b", b""), entry("c", b"three")];
        let (done, body) = part_entries(&entries);
        let head = Answer::Done {
            id: 7,
            result: Ok(done),
        };
        let mut bytes = Vec::new();
        write(&mut bytes, &Frame { head, body }).await.unwrap();
        let mut reader = &bytes[..];
        let frame: Frame<Answer> = read(&mut reader).await.unwrap().unwrap();
        let Answer::Done {
            id: 7,
            result: Ok(Done::Entries(heads)),
        } = frame.head
        else {
            panic!("{frame:?}");
        };
        assert_eq!(join_entries(heads, frame.body).unwrap(), entries);
        assert!(read::<Answer>(&mut reader).await.unwrap().is_none());
    }

    #[test]
    fn values_that_are_not_there_are_refused() {
        let (Done::Entries(heads), body) = part_entries(&[entry("a", b"one")]) else {
            panic!("entries are entries");
        };
        assert!(join_entries(heads, body.slice(1..)).is_err());
    }

    proptest! {
        #[test]
        fn nothing_that_comes_is_a_panic(bytes: Vec<u8>, rest in 0_u32..64, head in 0_u32..64) {
            _ = block_on(read::<Say>(&mut &bytes[..]));
            let mut framed = [rest.to_le_bytes(), head.to_le_bytes()].concat();
            framed.extend(&bytes);
            _ = block_on(read::<Say>(&mut &framed[..]));
            _ = block_on(read::<Answer>(&mut &framed[..]));
        }
    }
}
