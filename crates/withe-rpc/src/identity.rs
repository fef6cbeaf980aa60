//! The identity of one side of a connection: a key, and a certificate that the key itself has signed.
//!
//! Nobody vouches for a certificate, so nothing in it matters but the key. [`Fingerprint`] says whom to
//! trust.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ED25519};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

/// The name in every certificate. The name identifies nobody.
const NAME: &str = "withe";

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No key or certificate could be made.
    #[error("cannot make a key and its certificate")]
    Generate(#[source] rcgen::Error),
    /// The text does not hold a certificate.
    #[error("cannot read the certificate of an identity")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    /// The text does not hold a private key.
    #[error("cannot read the private key of an identity")]
    Key(#[source] rustls::pki_types::pem::Error),
    /// Key and certificate cannot be used, or not with each other.
    #[error("cannot use the certificate of an identity with its private key")]
    Pair(#[source] rustls::Error),
}

/// A private key and the certificate that goes with it. Cheap to clone; never shown.
#[derive(Clone)]
pub struct Identity {
    pub(crate) certified: Arc<CertifiedKey>,
    fingerprint: Fingerprint,
    pem: Arc<str>,
}

impl Identity {
    /// Makes a new one.
    ///
    /// # Errors
    ///
    /// If there is no randomness to make it of.
    pub fn generate() -> Result<Self, IdentityError> {
        let make = || {
            let key = KeyPair::generate_for(&PKCS_ED25519)?;
            let mut params = CertificateParams::new([NAME.to_owned()])?;
            params.distinguished_name.push(DnType::CommonName, NAME);
            let certificate = params.self_signed(&key)?;
            Ok(certificate.pem() + &key.serialize_pem())
        };
        Self::from_pem(&make().map_err(IdentityError::Generate)?)
    }

    /// Reads what [`Identity::to_pem`] wrote.
    ///
    /// # Errors
    ///
    /// If the text does not hold a certificate and the private key that goes with it.
    pub fn from_pem(pem: &str) -> Result<Self, IdentityError> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(IdentityError::Certificate)?
            .into_owned();
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(IdentityError::Key)?;
        let fingerprint = Fingerprint::of(&certificate);
        let certified = CertifiedKey::from_der(vec![certificate], key, &default_provider())
            .map_err(IdentityError::Pair)?;
        Ok(Self {
            certified: Arc::new(certified),
            fingerprint,
            pem: pem.into(),
        })
    }

    /// The certificate and the **private key** as text, for a process that is to be the same side, or a
    /// file that only its owner can read.
    pub fn to_pem(&self) -> &str {
        &self.pem
    }

    /// The fingerprint by which peers know this identity.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// The SHA-256 digest of a certificate. Displayed as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

/// A text is no fingerprint: it does not have 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 64 hexadecimal digits")]
pub struct NoFingerprint;

impl Fingerprint {
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NoFingerprint)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_differ_and_survive_as_text() {
        let (one, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        assert_ne!(one.fingerprint(), other.fingerprint());
        let again = Identity::from_pem(one.to_pem()).unwrap();
        assert_eq!(again.fingerprint(), one.fingerprint());
        assert_eq!(again.certified.cert, one.certified.cert);
    }

    #[test]
    fn the_key_is_not_shown() {
        let identity = Identity::generate().unwrap();
        let shown = format!("{identity:?}");
        assert_eq!(
            shown,
            format!("Identity {{ fingerprint: {}, .. }}", identity.fingerprint())
        );
        let broken = identity.to_pem().replace("PRIVATE KEY", "PUBLIC KEY");
        let e = Identity::from_pem(&broken).unwrap_err();
        assert!(matches!(e, IdentityError::Key(_)), "{e:?}");
        assert!(!format!("{e:?} {e}").contains("BEGIN"));
    }

    #[test]
    fn a_key_of_another_is_refused() {
        let (one, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let key = |identity: &Identity| {
            let pem = identity.to_pem();
            pem.split_at(pem.find("-----BEGIN PRIVATE").unwrap())
                .1
                .to_owned()
        };
        let mixed = one.to_pem().replace(&key(&one), &key(&other));
        let e = Identity::from_pem(&mixed).unwrap_err();
        assert!(matches!(e, IdentityError::Pair(_)), "{e:?}");
        let e = Identity::from_pem(&key(&one)).unwrap_err();
        assert!(matches!(e, IdentityError::Certificate(_)), "{e:?}");
    }

    #[test]
    fn fingerprints_are_read_as_they_are_written() {
        let fingerprint = Identity::generate().unwrap().fingerprint();
        let text = fingerprint.to_string();
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!(text.to_uppercase().parse(), Ok(fingerprint));
        for wrong in [
            "",
            &text[1..],
            &text.replace(&text[..1], "g"),
            "é".repeat(32).as_str(),
        ] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(NoFingerprint), "{wrong}");
        }
    }
}
