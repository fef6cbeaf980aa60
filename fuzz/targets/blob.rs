//! Whatever comes in the place of a blob, no more of it is taken than it is said to have, and only the blob is taken for
//! the blob. The first byte is the size that is said; chunks follow, each behind a byte that is its size.
//!
//! The file is that of `withe-lattice`, taken by its path, for it is no part of what the crate shows.

#![no_main]

#[path = "../../crates/withe-lattice/src/blob.rs"]
#[allow(dead_code, reason = "whole blobs are checked alike")]
mod blob;

use blob::{BlobCheck, BlobError};
use libfuzzer_sys::fuzz_target;

/// The digest of `hello`.
const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn check(digest: &str, said: u64, mut chunks: &[u8]) {
    let mut check = BlobCheck::new(digest, said, None);
    let mut kept = Vec::new();
    while let Some((size, rest)) = chunks.split_first() {
        let (chunk, rest) = rest.split_at(rest.len().min(usize::from(*size)));
        chunks = rest;
        if let Err(error) = check.add(chunk) {
            assert!(matches!(error, BlobError::Longer { .. }));
            assert!((kept.len() + chunk.len()) as u64 > said);
            return;
        }
        kept.extend_from_slice(chunk);
        assert!(kept.len() as u64 <= said);
    }
    let is_it = kept.len() as u64 == said && (digest != HELLO || kept == b"hello");
    assert_eq!(check.finish().is_ok(), is_it);
}

fuzz_target!(|bytes: &[u8]| {
    let Some((said, chunks)) = bytes.split_first() else {
        return;
    };
    check(HELLO, u64::from(*said), chunks);
    check("name", u64::from(*said), chunks);
});
