//! The signed claims of a provider archive: a JWT that says what the archive is, and the digests of what is
//! in it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::jwt::{self, ClaimsError};

/// The claims of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The provider's public key, which is its id unless it is given another.
    pub subject: String,
    /// The public key of the account that signed.
    pub issuer: String,
    /// Its name, for people.
    pub name: Option<String>,
    /// The provider's maker.
    pub vendor: String,
    /// Its revision.
    pub revision: Option<i32>,
    /// Its version.
    pub version: Option<String>,
    /// The JWT, by which wasmCloud v1's secret backends know the provider.
    pub jwt: String,
    /// SHA-256 of each executable by its platform, and of the world by its file's name, in upper-case
    /// hexadecimal.
    pub(super) digests: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Metadata {
    name: Option<String>,
    #[serde(default)]
    vendor: String,
    rev: Option<i32>,
    ver: Option<String>,
    #[serde(default)]
    target_hashes: BTreeMap<String, String>,
}

impl Claims {
    /// Reads claims whose signature is that of their issuer, and that are valid now. Whether the issuer is
    /// one to be trusted is not known here.
    ///
    /// # Errors
    ///
    /// Returns [`ClaimsError`] when the claims are malformed, wrongly signed or not valid now.
    pub(super) fn read(jwt: &str) -> Result<Self, ClaimsError> {
        let jwt = jwt.trim();
        let (body, metadata) = jwt::read::<Metadata>(jwt)?;
        Ok(Self {
            subject: body.sub,
            issuer: body.iss,
            name: metadata.name,
            vendor: metadata.vendor,
            revision: metadata.rev,
            version: metadata.ver,
            jwt: jwt.to_owned(),
            digests: metadata.target_hashes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::tests::signed;

    #[test]
    fn signed_claims_are_read() {
        let claims = Claims::read(&signed(serde_json::json!({ "wascap": {
            "name": "kv", "vendor": "v", "rev": 3, "ver": "0.1.0",
            "target_hashes": { "x86_64-linux": "AB" },
        }})));
        let claims = claims.unwrap();
        assert_eq!(claims.name.as_deref(), Some("kv"));
        assert_eq!(
            (claims.revision, claims.version.as_deref()),
            (Some(3), Some("0.1.0"))
        );
        assert!(claims.issuer.starts_with('A') && claims.subject.starts_with('V'));
    }
}
