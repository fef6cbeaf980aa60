//! The keys of a lattice and of its members, with which they sign.

use std::fmt;

use crate::certificate::{Certificate, Role};
use crate::key::{KeyError, PrivateKey, PublicKey};
use crate::record::{RecordPlace, SignedRecord};

/// The key of a lattice.
pub struct RootKey(PrivateKey);

/// A key that is certified.
pub struct MemberKey {
    key: PrivateKey,
    root: PublicKey,
    certificate: Certificate,
}

impl RootKey {
    /// A new one.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        PrivateKey::generate().map(Self)
    }

    /// The half that every host knows.
    pub fn public(&self) -> PublicKey {
        self.0.public()
    }

    /// A new key with a certificate. `expires` is in seconds since 1970.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub fn certify(
        &self,
        role: Role,
        name: &str,
        expires: Option<u64>,
    ) -> Result<MemberKey, KeyError> {
        let key = PrivateKey::generate()?;
        let certificate = Certificate::signed_by(&self.0, role, name, key.public(), expires);
        Ok(MemberKey {
            key,
            root: self.public(),
            certificate,
        })
    }

    pub(crate) fn parse(seed: &str) -> Result<Self, KeyError> {
        PrivateKey::parse(seed).map(Self)
    }

    pub(crate) fn text(&self) -> String {
        self.0.text()
    }
}

impl MemberKey {
    /// Its role and name.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The lattice's key that has certified it.
    pub fn root(&self) -> PublicKey {
        self.root
    }

    /// A record with its signature, as bytes. Of two records of one place the one with the greater serial is the newer.
    pub fn seal(&self, place: RecordPlace<'_>, serial: u64, payload: &[u8]) -> Vec<u8> {
        let signed = SignedRecord::signed(&self.certificate, place, serial, payload);
        let record = SignedRecord {
            certificate: self.certificate.clone(),
            serial,
            signature: self.key.sign(&signed),
            payload,
        };
        record.write()
    }

    /// The key of this text; `None` if the certificate is another key's, or not of this root.
    ///
    /// # Errors
    ///
    /// If the text is no key.
    pub(crate) fn parse(
        seed: &str,
        root: PublicKey,
        certificate: Certificate,
    ) -> Result<Option<Self>, KeyError> {
        let key = PrivateKey::parse(seed)?;
        let is_own = certificate.key == key.public() && certificate.is_of(root);
        Ok(is_own.then_some(Self {
            key,
            root,
            certificate,
        }))
    }

    pub(crate) fn text(&self) -> String {
        self.key.text()
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey({})", self.public())
    }
}

impl fmt::Debug for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemberKey").field(&self.certificate).finish()
    }
}
