//! Values that do not fit into a message, as they are kept instead.
//!
//! A broker takes messages of a bounded size (NATS: 1 MiB, if nobody has said otherwise), and users write manifests
//! of any. A small value is kept as it is. Of another the entry has a *head* instead: [`MARK`], a line of JSON, and,
//! if that is short enough, the packed value. Otherwise the packed value is in *pieces* beside the entry. Values are
//! packed by deflating them, where that helps: manifests and what hosts report shrink to a tenth.
//!
//! Only plain data here. Nothing in a head is trusted: what is unpacked is bounded by what the head says, that by
//! [`MAX_VALUE`](crate::MAX_VALUE), and memory grows with what comes, not by what is said to come.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::MAX_VALUE;

/// The first bytes of a head. A value that begins so itself is kept with a head.
const MARK: &[u8] = b"\0withe-value\n";

/// The most pieces of a value: more than the largest has with the smallest pieces.
const MAX_PIECES: u32 = 1 << 16;

/// Why what is kept for a key is not the value that was put.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ValueError {
    /// The head is cut off.
    #[error("its head does not end")]
    Endless,
    /// The head is none.
    #[error("its head cannot be read: {0}")]
    Head(Arc<serde_json::Error>),
    /// More than a value may have.
    #[error("it is said to have {size} bytes, and {most} are the most", most = MAX_VALUE)]
    Large {
        /// The size in the entry.
        size: u64,
    },
    /// A piece is not there.
    #[error("piece {number} of {count} is missing")]
    Missing {
        /// Which one, from 1 on.
        number: u32,
        /// How many there should be.
        count: u32,
    },
    /// The packed bytes are not of their packing.
    #[error("it cannot be unpacked: {0}")]
    Packed(Arc<io::Error>),
    /// The unpacked bytes are another value.
    #[error("it is not what its digest says: something else was kept in its place")]
    Digest,
}

/// The description of a value that is not kept as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// How many bytes the value has.
    size: u64,
    /// Its SHA-256, in hexadecimal digits.
    sha256: String,
    packing: Packing,
    /// Where it is, if it is not behind the head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pieces: Option<Pieces>,
}

/// How a value is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Packing {
    /// Not at all.
    Plain,
    /// As RFC 1951 has it.
    Deflate,
}

/// The pieces of a value. Each set belongs to one entry only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Pieces {
    /// A drawn name, which no others have.
    pub(crate) id: String,
    /// How many.
    pub(crate) count: u32,
}

/// A value to be kept.
#[derive(Debug)]
pub(crate) enum Packed {
    /// All goes into the entry.
    Whole(Bytes),
    /// The head that is to name the pieces, and the bytes for them.
    Parts(Head, Bytes),
}

impl Packed {
    /// How many bytes are to be sent.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Whole(bytes) | Self::Parts(_, bytes) => bytes.len(),
        }
    }
}

/// Packs a value, for entries of no more than `most` bytes. Takes as long as it takes to deflate it.
pub(crate) fn pack(value: Bytes, most: usize) -> Packed {
    if value.len() <= most && !value.starts_with(MARK) {
        return Packed::Whole(value);
    }
    let mut head = Head {
        size: value.len() as u64,
        sha256: hex::encode(Sha256::digest(&value)),
        packing: Packing::Plain,
        pieces: None,
    };
    let mut deflated = Vec::new();
    let read = DeflateEncoder::new(&value[..], Compression::fast()).read_to_end(&mut deflated);
    // Reading from memory does not fail; if it did, the value would do as it is.
    let body = match read {
        Ok(_) if deflated.len() < value.len() => {
            head.packing = Packing::Deflate;
            deflated.into()
        }
        _ => value,
    };
    let whole = head.entry(&body);
    match whole.len() <= most {
        true => Packed::Whole(whole),
        false => Packed::Parts(head, body),
    }
}

/// Takes an entry apart: `None` if it holds the value itself; else the head and the bytes behind it.
///
/// # Errors
///
/// The head is none, or says what cannot be.
pub(crate) fn parse(kept: &Bytes) -> Result<Option<(Head, Bytes)>, ValueError> {
    let Some(rest) = kept.strip_prefix(MARK) else {
        return Ok(None);
    };
    let end = rest.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or(ValueError::Endless)?;
    let head: Head =
        serde_json::from_slice(&rest[..end]).map_err(|e| ValueError::Head(Arc::new(e)))?;
    if head.size > MAX_VALUE as u64 {
        return Err(ValueError::Large { size: head.size });
    }
    if let Some(pieces) = head.pieces.as_ref().filter(|p| p.count > MAX_PIECES) {
        return Err(ValueError::Missing {
            number: MAX_PIECES,
            count: pieces.count,
        });
    }
    Ok(Some((head, kept.slice(MARK.len() + end + 1..))))
}

impl Head {
    /// The bytes of the entry whose value is in these pieces.
    pub(crate) fn naming(mut self, pieces: Pieces) -> Bytes {
        self.pieces = Some(pieces);
        self.entry(&[])
    }

    /// Whether this is said of the same value.
    pub(crate) fn is_of_same(&self, other: &Self) -> bool {
        (self.size, &self.sha256) == (other.size, &other.sha256)
    }

    /// How many bytes the value has.
    pub(crate) fn size(&self) -> usize {
        // Either checked, or that of a value in memory.
        self.size as usize
    }

    fn entry(&self, body: &[u8]) -> Bytes {
        let mut bytes = BytesMut::from(MARK);
        // Plain data is always JSON, and that of one line.
        bytes.extend(serde_json::to_vec(self).unwrap_or_default());
        bytes.extend_from_slice(b"\n");
        bytes.extend_from_slice(body);
        bytes.freeze()
    }

    /// The value of which these are the packed bytes.
    ///
    /// # Errors
    ///
    /// The bytes cannot be unpacked, or are another value.
    pub(crate) fn unpack(&self, packed: Bytes) -> Result<Bytes, ValueError> {
        let value = match self.packing {
            Packing::Plain => packed,
            Packing::Deflate => {
                let mut value = Vec::new();
                // One byte more than there should be tells that there is too much.
                let mut reader = DeflateDecoder::new(&packed[..]).take(self.size + 1);
                let read = reader.read_to_end(&mut value);
                read.map_err(|e| ValueError::Packed(Arc::new(e)))?;
                value.into()
            }
        };
        let is_it = value.len() as u64 == self.size
            && hex::encode(Sha256::digest(&value)).eq_ignore_ascii_case(&self.sha256);
        is_it.then_some(value).ok_or(ValueError::Digest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The entry, and the bytes in pieces, if there are any.
    fn kept(value: &Bytes, most: usize) -> (Bytes, Option<Bytes>) {
        match pack(value.clone(), most) {
            Packed::Whole(bytes) => (bytes, None),
            Packed::Parts(head, body) => {
                let pieces = Pieces {
                    id: "x".into(),
                    count: 1,
                };
                (head.naming(pieces), Some(body))
            }
        }
    }

    fn read(kept: &Bytes, parts: Option<Bytes>) -> Result<Bytes, ValueError> {
        match parse(kept)? {
            None => Ok(kept.clone()),
            Some((head, body)) => head.unpack(parts.unwrap_or(body)),
        }
    }

    /// Bytes that cannot be packed.
    fn noise(size: usize) -> Bytes {
        let mut state = 1_u64;
        let next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(size).collect()
    }

    #[test]
    fn what_is_kept_is_read() {
        for (value, is_whole) in [
            (Bytes::new(), true),
            (Bytes::from_static(b"{}"), true),
            // Values that look like heads.
            (Bytes::from_static(MARK), true),
            (Bytes::from([MARK, b"{}\n"].concat()), true),
            // This one fits when it is packed.
            (vec![b'a'; 10_000].into(), true),
            (noise(1_001), false),
            (noise(100_000), false),
        ] {
            let (kept, parts) = kept(&value, 1_000);
            assert!(kept.len() <= 1_000);
            assert_eq!(parts.is_none(), is_whole, "{}", value.len());
            assert_eq!(read(&kept, parts).unwrap(), value);
        }
    }

    #[test]
    fn values_that_fit_are_kept_as_they_are() {
        let value = noise(1_000);
        assert_eq!(kept(&value, 1_000).0, value);
    }

    #[test]
    fn what_is_not_the_value_is_told() {
        let value = noise(5_000);
        let (head, parts) = kept(&value, 1_000);
        let parts = parts.unwrap();
        let text = |result: Result<Bytes, ValueError>| result.unwrap_err().to_string();
        let cut = parts.slice(1..);
        assert!(text(read(&head, Some(cut))).contains("its digest"));
        assert!(text(read(&head.slice(..20), None)).contains("does not end"));
        let nonsense: Bytes = [MARK, b"{]\n"].concat().into();
        assert!(text(read(&nonsense, None)).contains("cannot be read"));
        let huge = br#"{"size":99999999999999,"sha256":"","packing":"plain"}"#;
        let huge: Bytes = [MARK, huge, b"\n"].concat().into();
        assert!(text(read(&huge, None)).contains("99999999999999 bytes"));
    }

    #[test]
    fn a_value_that_unpacks_to_more_is_stopped() {
        let (kept, _) = kept(&vec![b'a'; 1_000_000].into(), 10_000);
        let (mut head, body) = parse(&kept).unwrap().unwrap();
        head.size = 10;
        assert!(matches!(head.unpack(body), Err(ValueError::Digest)));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_is_a_panic(bytes: Vec<u8>, behind: Vec<u8>) {
            let bytes: Bytes = [MARK, &bytes[..]].concat().into();
            _ = read(&bytes, Some(behind.clone().into()));
            let (head, _) = kept(&vec![b'a'; 10_000].into(), 1_000);
            let (head, _) = parse(&head).unwrap().unwrap();
            _ = head.unpack(behind.into());
        }
    }
}
