//! Digests of blobs.

use sha2::{Digest, Sha256};

use crate::blob::{can_be, is_computable};
use crate::error::Invalid;

/// Checks that a blob is what its digest says, if that is one we can compute (`sha256:…`).
///
/// # Errors
///
/// Returns [`Invalid`] when the blob has another digest.
pub(crate) fn check(digest: &str, blob: &[u8]) -> Result<(), Invalid> {
    if !is_computable(digest) {
        return Ok(());
    }
    let found = hex::encode(Sha256::digest(blob));
    if can_be(digest, &found) {
        return Ok(());
    }
    let digest = digest.into();
    Err(Invalid::Digest { digest, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_must_be_what_its_digest_says() {
        let digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        check(digest, b"hello").unwrap();
        check(&digest.to_uppercase().replace("SHA", "sha"), b"hello").unwrap();
        assert!(check(digest, b"hullo").is_err());
        check("anything", b"hello").unwrap();
    }
}
