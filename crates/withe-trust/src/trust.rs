//! Which signed records count.

use crate::certificate::{Certificate, Role};
use crate::key::PublicKey;
use crate::record::{BadRecord, RecordPlace, SignedRecord};

/// The public half of the lattice's key, by which records are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustRoot(PublicKey);

/// Why a record does not count.
#[derive(Debug, thiserror::Error)]
pub enum UntrustedRecord {
    /// The record is none that is signed.
    #[error(transparent)]
    Bad(#[from] BadRecord),
    /// Its signer's key is not of this lattice.
    #[error("it is signed by `{name}`, whose key this lattice's key has not certified")]
    Uncertified {
        /// The name that the certificate has.
        name: String,
    },
    /// Its signer's key has ended.
    #[error("it is signed by the {role} `{name}`, whose key has expired by this machine's clock")]
    Expired {
        /// The signer's role.
        role: Role,
        /// The signer's name.
        name: String,
    },
    /// Its signer may not put such a record.
    #[error("it is signed by the {role} `{name}`, and a {expected} may put it")]
    Role {
        /// The signer's role.
        role: Role,
        /// The signer's name.
        name: String,
        /// The role that may put it.
        expected: Role,
    },
    /// The signer has not signed this, or has signed it for another place.
    #[error("it is not what the {role} `{name}` has signed, or not where")]
    Forged {
        /// The signer's role.
        role: Role,
        /// The signer's name.
        name: String,
    },
}

impl TrustRoot {
    /// Trusts what this key has certified.
    pub fn new(key: PublicKey) -> Self {
        Self(key)
    }

    /// The key.
    pub fn key(self) -> PublicKey {
        self.0
    }

    /// Reads a record that somebody of this role must have signed for this place. `now` is in seconds since 1970.
    ///
    /// Whether it is the newest is for the caller to know, by its serial.
    ///
    /// # Errors
    ///
    /// If nobody who may has put it.
    pub fn open<'a>(
        self,
        bytes: &'a [u8],
        place: RecordPlace<'_>,
        expected: Role,
        now: u64,
    ) -> Result<SignedRecord<'a>, UntrustedRecord> {
        let record = SignedRecord::read(bytes)?;
        self.check(&record.certificate, expected, now)?;
        if !record.is_signed_for(place) {
            let (role, name) = (record.certificate.role, record.certificate.name);
            return Err(UntrustedRecord::Forged { role, name });
        }
        Ok(record)
    }

    /// Checks a certificate of this role.
    ///
    /// # Errors
    ///
    /// If this lattice's key has not signed it, it has ended, or is for another role.
    pub fn check(
        self,
        certificate: &Certificate,
        expected: Role,
        now: u64,
    ) -> Result<(), UntrustedRecord> {
        let (role, name) = (certificate.role, certificate.name.clone());
        if !certificate.is_of(self.0) {
            return Err(UntrustedRecord::Uncertified { name });
        }
        if certificate.has_expired(now) {
            return Err(UntrustedRecord::Expired { role, name });
        }
        if role != expected {
            return Err(UntrustedRecord::Role {
                role,
                name,
                expected,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::member::{MemberKey, RootKey};
    use crate::record::{is_signed, payload};

    const PLACE: RecordPlace<'static> = RecordPlace {
        lattice: "default",
        key: "apps.shop",
    };

    fn member(root: &RootKey, role: Role, expires: Option<u64>) -> MemberKey {
        root.certify(role, "ada", expires).unwrap()
    }

    fn why(root: &RootKey, bytes: &[u8], place: RecordPlace<'_>) -> String {
        let trust = TrustRoot::new(root.public());
        let opened = trust.open(bytes, place, Role::Deployer, 100);
        opened
            .expect_err("nobody who may has signed it")
            .to_string()
    }

    #[test]
    fn what_a_deployer_has_signed_is_read_as_it_was() {
        let root = RootKey::generate().unwrap();
        let trust = TrustRoot::new(root.public());
        for record in [&b""[..], b"{}", b"\n\n", &[0xff; 10_000]] {
            let sealed = member(&root, Role::Deployer, Some(101)).seal(PLACE, 7, record);
            let opened = trust.open(&sealed, PLACE, Role::Deployer, 100).unwrap();
            assert_eq!((opened.payload, opened.serial), (record, 7));
            assert_eq!(opened.certificate.name, "ada");
            assert!(is_signed(&sealed));
            assert_eq!(payload(&sealed), record);
        }
        assert_eq!(payload(b"{}"), b"{}");
    }

    #[test]
    fn what_nobody_who_may_has_signed_is_refused_with_the_reason() {
        let root = RootKey::generate().unwrap();
        let deployer = member(&root, Role::Deployer, None);
        let good = deployer.seal(PLACE, 7, b"record");
        let place = |lattice, key| RecordPlace { lattice, key };
        for (bytes, place, expected) in [
            (b"record".to_vec(), PLACE, "not signed"),
            (b"withe-signed-1\n{}".to_vec(), PLACE, "no line"),
            (b"withe-signed-1\n{}\n".to_vec(), PLACE, "cannot be read"),
            (
                member(&RootKey::generate().unwrap(), Role::Deployer, None).seal(PLACE, 7, b""),
                PLACE,
                "has not certified",
            ),
            (
                member(&root, Role::Viewer, None).seal(PLACE, 7, b""),
                PLACE,
                "the viewer `ada`",
            ),
            (
                member(&root, Role::Host, None).seal(PLACE, 7, b""),
                PLACE,
                "the host `ada`",
            ),
            (
                member(&root, Role::Deployer, Some(100)).seal(PLACE, 7, b""),
                PLACE,
                "has expired",
            ),
            (good.clone(), place("default", "apps.other"), "or not where"),
            (good.clone(), place("other", "apps.shop"), "or not where"),
            ([&good[..], b"!"].concat(), PLACE, "is not what"),
        ] {
            let why = why(&root, &bytes, place);
            assert!(why.contains(expected), "no {expected:?} in {why}");
        }
        let later = String::from_utf8(good)
            .unwrap()
            .replace("\"serial\":7", "\"serial\":8");
        assert!(why(&root, later.as_bytes(), PLACE).contains("is not what"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), signed: bool) {
            let bytes = match signed {
                true => [b"withe-signed-1\n", &bytes[..]].concat(),
                false => bytes,
            };
            let root = RootKey::generate().unwrap();
            let trust = TrustRoot::new(root.public());
            prop_assert!(trust.open(&bytes, PLACE, Role::Host, 0).is_err());
            prop_assert!(bytes.ends_with(payload(&bytes)));
        }

        #[test]
        fn whatever_is_changed_counts_no_more(at: prop::sample::Index, bit in 0..8u8) {
            let root = RootKey::generate().unwrap();
            let mut bytes = member(&root, Role::Deployer, Some(200)).seal(PLACE, 7, b"a record");
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let trust = TrustRoot::new(root.public());
            let opened = trust.open(&bytes, PLACE, Role::Deployer, 100);
            // Digits of keys may be of either case.
            let says_the_same = opened.as_ref().is_ok_and(|record| {
                record.payload == b"a record" && record.serial == 7 && record.certificate.name == "ada"
            });
            prop_assert!(opened.is_err() || says_the_same);
        }
    }
}
