//! Digests of blobs.

use sha2::{Digest, Sha256};

use crate::LatticeError;

/// Checks that a blob is what its digest says, if that is one we can compute (`sha256:…`).
///
/// # Errors
///
/// [`LatticeError::Invalid`] if it is another.
pub(crate) fn check(digest: &str, blob: &[u8]) -> Result<(), LatticeError> {
    let Some(expected) = digest.strip_prefix("sha256:") else {
        return Ok(());
    };
    let found = hex(&Sha256::digest(blob));
    if expected.eq_ignore_ascii_case(&found) {
        return Ok(());
    }
    Err(LatticeError::Invalid(format!(
        "the blob `{digest}` is not what its name says: its digest is `sha256:{found}`"
    )))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        _ = write!(text, "{byte:02x}");
        text
    })
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
