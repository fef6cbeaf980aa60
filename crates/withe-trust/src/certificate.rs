//! A key with its role and name, signed by the key of the lattice.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::key::{PrivateKey, PublicKey, SignatureBytes};
use crate::message::message;

/// The name of what is signed, with its version.
const SIGNED: &str = "withe certificate 1";

/// The use that a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Putting and removing applications, and changing their links.
    Deployer,
    /// Running applications, and deciding where they run.
    Host,
    /// Looking.
    Viewer,
}

/// A text is no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `deployer`, `host` or `viewer`")]
pub struct UnknownRole;

/// A key with its role and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The use that the key is for.
    pub role: Role,
    /// The key's owner, for people and policies.
    pub name: String,
    /// The key.
    pub key: PublicKey,
    /// When it ends, in seconds since 1970; never, if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The signature of the lattice's key.
    signature: SignatureBytes,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deployer, Self::Host, Self::Viewer];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployer => "deployer",
            Self::Host => "host",
            Self::Viewer => "viewer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let mut all = Self::ALL.into_iter();
        all.find(|role| role.name() == text).ok_or(UnknownRole)
    }
}

impl Certificate {
    /// One that a lattice's key signs.
    pub(crate) fn signed_by(
        root: &PrivateKey,
        role: Role,
        name: &str,
        key: PublicKey,
        expires: Option<u64>,
    ) -> Self {
        let mut certificate = Self {
            role,
            name: name.to_owned(),
            key,
            expires,
            signature: root.sign(&[]),
        };
        certificate.signature = root.sign(&certificate.signed());
        certificate
    }

    /// Whether the lattice's key has signed it.
    pub fn is_of(&self, root: PublicKey) -> bool {
        root.has_signed(&self.signed(), &self.signature)
    }

    /// Whether it has ended at a time, in seconds since 1970.
    pub fn has_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// The bytes that the lattice's key has signed.
    pub(crate) fn signed(&self) -> Vec<u8> {
        let expires = self.expires.map(u64::to_be_bytes);
        message(
            SIGNED,
            &[
                self.role.name().as_bytes(),
                self.name.as_bytes(),
                self.key.bytes(),
                expires.as_ref().map_or(&[], |expires| expires),
            ],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_its_fields_and_no_others() {
        let [root, other, own] = [(); 3].map(|()| PrivateKey::generate().unwrap());
        let key = own.public();
        let good = Certificate::signed_by(&root, Role::Viewer, "ada", key, Some(100));
        assert!(good.is_of(root.public()));
        assert!(!good.is_of(other.public()));
        assert!(!good.has_expired(99) && good.has_expired(100));
        let changed = [
            Certificate {
                role: Role::Deployer,
                ..good.clone()
            },
            Certificate {
                name: "eve".into(),
                ..good.clone()
            },
            Certificate {
                key: root.public(),
                ..good.clone()
            },
            Certificate {
                expires: Some(101),
                ..good.clone()
            },
            Certificate {
                expires: None,
                ..good.clone()
            },
        ];
        for certificate in changed {
            assert!(!certificate.is_of(root.public()), "{certificate:?}");
        }
    }

    #[test]
    fn roles_have_the_names_that_they_are_asked_for_by() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
        assert_eq!("root".parse::<Role>(), Err(UnknownRole));
    }
}
