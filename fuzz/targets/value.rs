//! Whatever is kept in the place of a value, reading it ends, and takes no more than it says; values are read as they
//! were put. Of the input, the first byte says how long the entry is, in eighths of the rest; behind it are its pieces.
//!
//! The file is that of `withe-lattice`, taken by its path, for it is no part of what the crate shows.

#![no_main]

#[path = "../../crates/withe-lattice/src/value.rs"]
#[allow(dead_code, reason = "pieces are kept by others")]
mod value;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use value::{Packed, Pieces};
use withe_lattice::MAX_VALUE;

/// The most bytes of an entry: small, so that there are pieces.
const MOST: usize = 300;

fn read(kept: &Bytes, pieces: Bytes) -> Option<Bytes> {
    match value::parse(kept).ok()? {
        None => Some(kept.clone()),
        Some((head, body)) => {
            let packed = if head.pieces.is_some() { pieces } else { body };
            let value = head.unpack(packed).ok()?;
            assert_eq!(value.len(), head.size());
            Some(value)
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((split, bytes)) = bytes.split_first() else {
        return;
    };
    let (kept, pieces) = bytes.split_at(bytes.len() * usize::from(split % 9) / 8);
    _ = read(&kept.to_vec().into(), pieces.to_vec().into());

    let value = Bytes::copy_from_slice(bytes);
    let (kept, pieces) = match value::pack(value.clone(), MOST) {
        Packed::Whole(bytes) => (bytes, Bytes::new()),
        Packed::Parts(head, body) => {
            let pieces = Pieces {
                id: "x".into(),
                count: 1,
            };
            (head.naming(pieces), body)
        }
    };
    assert!(kept.len() <= MOST);
    assert_eq!(read(&kept, pieces), Some(value));
});
