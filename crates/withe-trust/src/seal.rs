//! The key with which a lattice's secret values are sealed.
//!
//! ChaCha20-Poly1305 with a nonce at random for each text that is sealed. The place of the record, and all of the record
//! that is not secret, are authenticated with it: a sealed text opens in no other record, and not beside a component that
//! somebody has put there to be given the values.
//!
//! A sealed text names its key, so that a host with another one says so instead of taking the text for damaged. One key
//! for a lattice was chosen over one for each host: a part may move to a host that nobody has thought of when the values
//! were sealed.

use std::fmt;
use std::str::FromStr;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::message::message;
use crate::record::RecordPlace;

/// How many bytes a key has.
const KEY_LEN: usize = 32;
/// How many bytes tell two keys apart.
const ID_LEN: usize = 8;
/// The beginning of each sealed text.
const PREFIX: &str = "withe-sealed-1";
/// The name of what is authenticated beside the secret, with its version.
const BESIDE: &str = "withe seal 1";
/// The name of what a key's id is made of.
const ID: &str = "withe seal key 1";

/// A key that seals texts and opens them.
pub struct SealKey {
    /// All else is made from them.
    bytes: [u8; KEY_LEN],
    key: LessSafeKey,
}

/// A number that tells two keys apart, and that anybody may know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealKeyId([u8; ID_LEN]);

/// Why there is no key, or nothing is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealKeyError {
    /// A text is no key.
    #[error("expected {} hexadecimal digits", .0 * 2)]
    Digits(usize),
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// The text is larger than the algorithm takes.
    #[error("the text is too long to be sealed")]
    TooLong,
}

/// Why a sealed text does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// The text is none that was sealed.
    #[error("they are not written as sealed values are")]
    Form,
    /// The text was sealed with another key.
    #[error("they are sealed with the key `{needed}`, and this is the key `{own}`")]
    OtherKey {
        /// The key that opens it.
        needed: SealKeyId,
        /// The key that was tried.
        own: SealKeyId,
    },
    /// The text was changed, or is of another record, or the record was changed.
    #[error("they, or the record that they are in, were changed since they were sealed")]
    Damaged,
}

impl SealKey {
    /// A new one.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub fn generate() -> Result<Self, SealKeyError> {
        let mut bytes = [0; KEY_LEN];
        random(&mut bytes)?;
        Self::of(bytes)
    }

    /// The one of this text.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, SealKeyError> {
        let mut bytes = [0; KEY_LEN];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| SealKeyError::Digits(KEY_LEN))?;
        Self::of(bytes)
    }

    /// The text that [`parse`](Self::parse) takes. Nobody else may have it.
    pub(crate) fn text(&self) -> String {
        hex::encode(self.bytes)
    }

    fn of(bytes: [u8; KEY_LEN]) -> Result<Self, SealKeyError> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes);
        let key = key.map_err(|_| SealKeyError::Digits(KEY_LEN))?;
        Ok(Self {
            bytes,
            key: LessSafeKey::new(key),
        })
    }

    /// The id that tells it from others.
    pub fn id(&self) -> SealKeyId {
        let hash = digest(&SHA256, &message(ID, &[&self.bytes]));
        let mut id = [0; ID_LEN];
        for (to, from) in id.iter_mut().zip(hash.as_ref()) {
            *to = *from;
        }
        SealKeyId(id)
    }

    /// Seals `secret` for the record of this place, of which all else is `beside`.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers, or the text is longer than 256 GiB.
    pub fn seal(
        &self,
        place: RecordPlace<'_>,
        beside: &[u8],
        secret: &[u8],
    ) -> Result<String, SealKeyError> {
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce)?;
        let mut bytes = secret.to_vec();
        let sealed = self.key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(authenticated(place, beside)),
            &mut bytes,
        );
        sealed.map_err(|_| SealKeyError::TooLong)?;
        let (nonce, bytes) = (hex::encode(nonce), hex::encode(bytes));
        Ok(format!("{PREFIX} {} {nonce} {bytes}", self.id()))
    }

    /// Opens what [`seal`](Self::seal) has made.
    ///
    /// # Errors
    ///
    /// If it is something else, of another key, or was changed.
    pub fn open(
        &self,
        place: RecordPlace<'_>,
        beside: &[u8],
        sealed: &str,
    ) -> Result<Vec<u8>, UnsealError> {
        let (needed, nonce, bytes) = fields(sealed).ok_or(UnsealError::Form)?;
        let own = self.id();
        if needed != own {
            return Err(UnsealError::OtherKey { needed, own });
        }
        let mut number = [0; NONCE_LEN];
        hex::decode_to_slice(nonce, &mut number).map_err(|_| UnsealError::Form)?;
        let mut bytes = hex::decode(bytes).map_err(|_| UnsealError::Form)?;
        let opened = self.key.open_in_place(
            Nonce::assume_unique_for_key(number),
            Aad::from(authenticated(place, beside)),
            &mut bytes,
        );
        Ok(opened.map_err(|_| UnsealError::Damaged)?.to_vec())
    }
}

impl SealKeyId {
    /// The key that a sealed text names, if it is written as one. Nothing else of it is checked.
    pub fn of_sealed(sealed: &str) -> Option<Self> {
        Some(fields(sealed)?.0)
    }
}

/// The key's id, the nonce and the bytes of a sealed text.
fn fields(sealed: &str) -> Option<(SealKeyId, &str, &str)> {
    let mut words = sealed.split(' ');
    let mut next = || words.next();
    let (prefix, id, nonce, bytes) = (next()?, next()?, next()?, next()?);
    let is_one = prefix == PREFIX && words.next().is_none();
    is_one.then_some((id.parse().ok()?, nonce, bytes))
}

fn authenticated(place: RecordPlace<'_>, beside: &[u8]) -> Vec<u8> {
    let (lattice, key) = (place.lattice.as_bytes(), place.key.as_bytes());
    message(BESIDE, &[lattice, key, beside])
}

fn random(bytes: &mut [u8]) -> Result<(), SealKeyError> {
    let filled = SystemRandom::new().fill(bytes);
    filled.map_err(|_| SealKeyError::Random)
}

impl FromStr for SealKeyId {
    type Err = SealKeyError;

    fn from_str(text: &str) -> Result<Self, SealKeyError> {
        let mut id = [0; ID_LEN];
        hex::decode_to_slice(text, &mut id).map_err(|_| SealKeyError::Digits(ID_LEN))?;
        Ok(Self(id))
    }
}

impl fmt::Display for SealKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SealKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKeyId({self})")
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACE: RecordPlace<'_> = RecordPlace {
        lattice: "l",
        key: "apps.shop",
    };

    #[test]
    fn what_is_sealed_opens_in_its_record_with_its_key_and_nowhere_else() {
        let key = SealKey::generate().unwrap();
        let sealed = key.seal(PLACE, b"beside", b"secret").unwrap();
        assert!(!sealed.contains(&hex::encode("secret")));
        assert_eq!(key.open(PLACE, b"beside", &sealed).unwrap(), b"secret");
        let again = SealKey::parse(&key.text()).unwrap();
        assert_eq!(again.open(PLACE, b"beside", &sealed).unwrap(), b"secret");
        assert_eq!(SealKeyId::of_sealed(&sealed), Some(key.id()));

        let other_lattice = RecordPlace {
            lattice: "m",
            ..PLACE
        };
        let other_record = RecordPlace {
            key: "apps.other",
            ..PLACE
        };
        for (place, beside) in [
            (other_lattice, &b"beside"[..]),
            (other_record, b"beside"),
            (PLACE, b"another component"),
        ] {
            assert_eq!(
                key.open(place, beside, &sealed),
                Err(UnsealError::Damaged),
                "{place:?}"
            );
        }
        let other = SealKey::generate().unwrap();
        let error = UnsealError::OtherKey {
            needed: key.id(),
            own: other.id(),
        };
        assert_eq!(other.open(PLACE, b"beside", &sealed), Err(error));
    }

    #[test]
    fn the_same_is_sealed_otherwise_each_time() {
        let key = SealKey::generate().unwrap();
        let seal = || key.seal(PLACE, b"", b"secret").unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn a_key_is_not_shown() {
        let key = SealKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("SealKey({})", key.id()));
        for text in ["", "0", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
            let error = SealKey::parse(text).unwrap_err();
            assert_eq!(error, SealKeyError::Digits(KEY_LEN), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_opens_that_was_not_sealed(text in ".*") {
            let key = SealKey::parse(&"7".repeat(64)).unwrap();
            prop_assert!(key.open(PLACE, b"", &text).is_err());
        }

        #[test]
        fn no_bytes_open_that_were_not_sealed(nonce in any::<[u8; NONCE_LEN]>(), bytes: Vec<u8>) {
            let key = SealKey::parse(&"7".repeat(64)).unwrap();
            let (id, nonce, bytes) = (key.id(), hex::encode(nonce), hex::encode(bytes));
            let text = format!("{PREFIX} {id} {nonce} {bytes}");
            prop_assert_eq!(key.open(PLACE, b"", &text), Err(UnsealError::Damaged));
        }

        #[test]
        fn a_sealed_text_that_was_changed_does_not_open(secret: Vec<u8>, at: usize, to in 0..16_u8) {
            let key = SealKey::parse(&"7".repeat(64)).unwrap();
            let sealed = key.seal(PLACE, b"", &secret).unwrap();
            let at = at % sealed.len();
            let changed = format!("{}{to:x}{}", &sealed[..at], &sealed[at + 1..]);
            let opened = key.open(PLACE, b"", &changed);
            prop_assert_eq!(opened.is_ok(), changed == sealed);
        }
    }
}
