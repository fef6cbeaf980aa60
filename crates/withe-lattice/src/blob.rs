//! Checks, while a blob arrives, that it is the one expected.
//!
//! Every member that may write the lattice's buckets can keep anything under a digest, and claim anything of it.
//! So a reader must not keep what it has not counted, and must stop at the first byte too many. [`BlobCheck`] is
//! handed every chunk as it comes; it knows no store. Checking a whole blob at its end was rejected: by then all
//! of it is in memory, however much came.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use sha2::{Digest, Sha256};

/// The most bytes of a blob, if nothing else is said: more than components and providers have, also those that are
/// built for debugging.
pub const MAX_BLOB: usize = 512 << 20;

/// The beginning of a digest that can be computed.
const SHA256: &str = "sha256:";

/// Why what is kept under a digest is not the blob that was put there, or is not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BlobError {
    /// More than is taken. Nothing of it was fetched.
    #[error("it has {size} bytes, and {most} are the most (`--max-blob`)")]
    Large {
        /// How many bytes it has, or is said to have.
        size: u64,
        /// How many are taken.
        most: usize,
    },
    /// Its record is none.
    #[error("its record cannot be read: {0}; put it again")]
    Record(Arc<serde_json::Error>),
    /// Its record names chunks that cannot be its own.
    #[error("its record names what is not its own; put it again")]
    Foreign,
    /// Chunks are missing, or there are more than there should be.
    #[error("it is said to be in {said} chunks, and {found} are there; put it again")]
    Chunks {
        /// How many there should be.
        said: u64,
        /// How many there are.
        found: u64,
    },
    /// The blob goes on where it should end.
    #[error("it goes on after the {said} bytes that it is said to have; put it again")]
    Longer {
        /// The size in its record.
        said: u64,
    },
    /// The blob ends too early.
    #[error("it is said to have {said} bytes, and has {found}; put it again")]
    Shorter {
        /// The size in its record.
        said: u64,
        /// How many it has.
        found: u64,
    },
    /// Another blob is in its place.
    #[error("its digest is `sha256:{found}`: something else was kept in its place; put it again")]
    Digest {
        /// The digest of its bytes, in hexadecimal digits.
        found: String,
    },
}

/// Whether the digest says what the blob is.
pub(crate) fn is_computable(digest: &str) -> bool {
    digest.starts_with(SHA256)
}

/// Whether a blob whose SHA-256 has these hexadecimal digits may be under this digest.
pub(crate) fn can_be(digest: &str, found: &str) -> bool {
    let expected = digest.strip_prefix(SHA256);
    expected.is_none_or(|expected| expected.eq_ignore_ascii_case(found))
}

/// Refuses a blob with more bytes than are taken.
///
/// # Errors
///
/// [`BlobError::Large`]
pub(crate) fn check_size(size: u64, most: usize) -> Result<(), BlobError> {
    match size > most as u64 {
        true => Err(BlobError::Large { size, most }),
        false => Ok(()),
    }
}

/// A blob that comes in chunks.
pub(crate) struct BlobCheck<'a> {
    /// The digest that it is kept under.
    digest: &'a str,
    /// The size in its record.
    said: u64,
    /// The digest that its record has, as NATS writes it.
    recorded: Option<&'a str>,
    found: u64,
    sha256: Sha256,
}

impl<'a> BlobCheck<'a> {
    /// A blob that is kept under `digest`, is said to have `said` bytes, and of which nothing has come.
    pub(crate) fn new(digest: &'a str, said: u64, recorded: Option<&'a str>) -> Self {
        Self {
            digest,
            said,
            recorded,
            found: 0,
            sha256: Sha256::new(),
        }
    }

    /// Takes the next chunk, which must not be kept if this fails.
    ///
    /// # Errors
    ///
    /// [`BlobError::Longer`]
    pub(crate) fn add(&mut self, chunk: &[u8]) -> Result<(), BlobError> {
        self.found += chunk.len() as u64;
        if self.found > self.said {
            return Err(BlobError::Longer { said: self.said });
        }
        self.sha256.update(chunk);
        Ok(())
    }

    /// Checks that the bytes that arrived are the whole blob.
    ///
    /// # Errors
    ///
    /// [`BlobError::Shorter`], [`BlobError::Digest`]
    pub(crate) fn finish(self) -> Result<(), BlobError> {
        let (said, found) = (self.said, self.found);
        if found < said {
            return Err(BlobError::Shorter { said, found });
        }
        let sum = self.sha256.finalize();
        let is_recorded = (self.recorded)
            .is_none_or(|recorded| recorded == format!("SHA-256={}", URL_SAFE.encode(sum)));
        let found = hex::encode(sum);
        match is_recorded && can_be(self.digest, &found) {
            true => Ok(()),
            false => Err(BlobError::Digest { found }),
        }
    }
}

/// Checks a blob of which all bytes are there.
///
/// # Errors
///
/// A blob that has more bytes than are taken, or is another.
pub(crate) fn check_whole(digest: &str, blob: &[u8], most: usize) -> Result<(), BlobError> {
    let size = blob.len() as u64;
    check_size(size, most)?;
    let mut check = BlobCheck::new(digest, size, None);
    check.add(blob)?;
    check.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    const RECORDED: &str = "SHA-256=LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";

    fn checked(
        digest: &str,
        said: u64,
        recorded: Option<&str>,
        chunks: &[&str],
    ) -> Result<(), BlobError> {
        let mut check = BlobCheck::new(digest, said, recorded);
        for chunk in chunks {
            check.add(chunk.as_bytes())?;
        }
        check.finish()
    }

    #[test]
    fn a_blob_is_what_all_that_is_said_of_it_says() {
        for (digest, recorded) in [
            (HELLO, None),
            (HELLO, Some(RECORDED)),
            ("name", Some(RECORDED)),
            ("name", None),
        ] {
            checked(digest, 5, recorded, &["hel", "", "lo"]).unwrap();
        }
    }

    #[test]
    fn what_is_not_the_blob_is_told() {
        for (digest, said, recorded, chunks, expected) in [
            (HELLO, 5, None, &["hullo"][..], "its digest is"),
            ("name", 5, Some(RECORDED), &["hullo"], "its digest is"),
            (HELLO, 5, Some("SHA-256="), &["hello"], "its digest is"),
            (HELLO, 6, None, &["hello"], "6 bytes, and has 5"),
            (HELLO, 0, None, &["hello"], "goes on after the 0 bytes"),
            (HELLO, 5, None, &["hello", "!"], "goes on after the 5 bytes"),
            (HELLO, 5, None, &[], "5 bytes, and has 0"),
        ] {
            let error = checked(digest, said, recorded, chunks).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn nothing_is_taken_beyond_the_first_byte_too_many() {
        let mut check = BlobCheck::new(HELLO, 5, None);
        check.add(b"hell").unwrap();
        assert!(matches!(check.add(b"oo"), Err(BlobError::Longer { .. })));
        assert!(matches!(check.add(b""), Err(BlobError::Longer { .. })));
    }

    #[test]
    fn a_blob_beyond_the_limit_is_refused_by_its_size() {
        check_whole(HELLO, b"hello", 5).unwrap();
        let error = check_whole(HELLO, b"hello", 4).unwrap_err().to_string();
        assert!(error.contains("5 bytes, and 4 are the most"), "{error}");
        check_size(u64::MAX, usize::MAX).unwrap();
    }
}
