//! The JWT that wasmCloud v1's tools sign into a component, for v1's secret backends.
//!
//! The JWT is in a custom section, and whoever has a component has its JWT. So it says which component it belongs to: by the
//! SHA-256 of the component without the section. v1's hosts look at that, and so does a host here: a component that somebody else
//! made would be given another's secrets by a section that was copied into it.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use withe_wit::{custom_section, without_custom_sections};

use crate::jwt::{self, ClaimsError};

/// The custom sections with a JWT: that of now, and that of v1's tools before 0.9.
const SECTIONS: [&str; 2] = ["wasmcloud_jwt", "jwt"];
/// The first revision of v1's tool whose JWTs have the hash of the component as it is written without them. v1's hosts
/// compare none before.
const WITH_HASH: u32 = 3;

/// A component has a JWT that does not count.
#[derive(Debug, thiserror::Error)]
pub enum ComponentJwtError {
    /// The section is no text.
    #[error(
        "the JWT that is signed into the component is no text in UTF-8: sign it again with v1's `wash`"
    )]
    NotText,
    /// The JWT does not count.
    #[error("the claims that are signed into the component: {0}")]
    Claims(#[source] ClaimsError),
    /// The component cannot be hashed.
    #[error("the component cannot be read to compare it with the JWT that is signed into it")]
    NoComponent,
    /// The JWT is for other bytes.
    #[error(
        "the JWT that is signed into the component is that of another, or the component was changed after it was signed: \
         its SHA-256 without the JWT is {is}, and the JWT names `{named}`. Sign it again with v1's `wash`"
    )]
    OtherComponent {
        /// The hash in the JWT, as that has it, on one line.
        named: String,
        /// The component's, in upper-case hexadecimal.
        is: String,
    },
}

/// The claims of a JWT about a component, as far as they matter here.
#[derive(Deserialize)]
struct Metadata {
    /// SHA-256 in upper-case hexadecimal.
    #[serde(default)]
    hash: String,
}

/// The JWT that is signed into the component, if there is one. Reads and hashes all of the component.
///
/// # Errors
///
/// If the JWT is not valid, or is another component's.
pub fn component_jwt(component: &[u8]) -> Result<Option<String>, ComponentJwtError> {
    let Some(section) = custom_section(component, &SECTIONS) else {
        return Ok(None);
    };
    let jwt = str::from_utf8(section).map_err(|_| ComponentJwtError::NotText)?;
    let (body, metadata) = jwt::read::<Metadata>(jwt).map_err(ComponentJwtError::Claims)?;
    if body.wascap_revision.unwrap_or_default() >= WITH_HASH {
        let plain = without_custom_sections(component, &SECTIONS);
        let plain = plain.ok_or(ComponentJwtError::NoComponent)?;
        let is = hex::encode_upper(Sha256::digest(plain));
        if metadata.hash != is {
            let named = metadata.hash.escape_debug().take(is.len()).collect();
            return Err(ComponentJwtError::OtherComponent { named, is });
        }
    }
    Ok(Some(jwt.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::tests::signed;

    /// An empty component.
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    /// A custom section `x`.
    const OTHER: &[u8] = b"\0\x02\x01x";

    /// The component with a section of this name and text at its end.
    fn with_section(component: &[u8], name: &str, text: &str) -> Vec<u8> {
        let mut bytes = component.to_vec();
        let size = 1 + name.len() + text.len();
        // Two bytes in LEB128, which are enough for what the tests have.
        bytes.extend([0, 0x80 | (size & 0x7f) as u8, (size >> 7) as u8]);
        bytes.push(name.len() as u8);
        bytes.extend(name.bytes().chain(text.bytes()));
        bytes
    }

    fn jwt_of(component: &[u8], revision: u32) -> String {
        let hash = hex::encode_upper(Sha256::digest(component));
        signed(serde_json::json!({ "wascap_revision": revision, "wascap": { "hash": hash } }))
    }

    #[test]
    fn a_jwt_is_that_of_the_component_which_has_it() {
        let changed = [COMPONENT, OTHER].concat();
        assert_eq!(component_jwt(&changed).unwrap(), None);
        for name in SECTIONS {
            let jwt = jwt_of(COMPONENT, 3);
            let component = with_section(COMPONENT, name, &jwt);
            assert_eq!(component_jwt(&component).unwrap(), Some(jwt.clone()));
            for grafted in [
                with_section(&changed, name, &jwt),
                [&component, OTHER].concat(),
            ] {
                let why = component_jwt(&grafted).unwrap_err().to_string();
                assert!(why.contains("is that of another"), "{why}");
            }
            // v1's tool had another hash in its first revisions.
            let old = jwt_of(COMPONENT, 2);
            let component = with_section(&changed, name, &old);
            assert_eq!(component_jwt(&component).unwrap(), Some(old));
        }
    }

    #[test]
    fn a_jwt_that_nobody_has_signed_is_refused() {
        let jwt = jwt_of(COMPONENT, 3);
        let (_, signature) = jwt.rsplit_once('.').unwrap();
        let other = jwt_of(OTHER, 2);
        let (claims, _) = other.rsplit_once('.').unwrap();
        for (text, says) in [
            (format!("{claims}.{signature}"), "signed by their issuer"),
            ("x".to_owned(), "they are no JWT"),
        ] {
            let component = with_section(COMPONENT, "wasmcloud_jwt", &text);
            let why = component_jwt(&component).unwrap_err().to_string();
            assert!(why.contains(says), "{why}");
        }
    }
}
