//! Pairs of keys, and what they sign.

use std::fmt;
use std::str::FromStr;

use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// How many bytes a key has, either half of it.
const KEY_LEN: usize = 32;
/// How many bytes a signature has.
const SIGNATURE_LEN: usize = 64;

/// The half of a key that anybody may know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; KEY_LEN]);

/// A signature.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SignatureBytes([u8; SIGNATURE_LEN]);

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A text is none.
    #[error("expected {} hexadecimal digits", .0 * 2)]
    Digits(usize),
    /// Bytes are none.
    #[error("these bytes are no key")]
    Bytes,
    /// The system has no random numbers.
    #[error("the system gives no random numbers to make a key of")]
    Random,
}

/// Both halves of a key.
pub(crate) struct PrivateKey {
    /// All else is made from it.
    seed: [u8; KEY_LEN],
    pair: Ed25519KeyPair,
}

impl PrivateKey {
    /// A new one.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub(crate) fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; KEY_LEN];
        let filled = SystemRandom::new().fill(&mut seed);
        filled.map_err(|_| KeyError::Random)?;
        Self::of(seed)
    }

    /// The one of this text.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(crate) fn parse(seed: &str) -> Result<Self, KeyError> {
        Self::of(digits(seed)?)
    }

    fn of(seed: [u8; KEY_LEN]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| KeyError::Bytes)?;
        Ok(Self { seed, pair })
    }

    /// The text that [`parse`](Self::parse) takes. Nobody else may have it.
    pub(crate) fn text(&self) -> String {
        hex::encode(self.seed)
    }

    pub(crate) fn public(&self) -> PublicKey {
        let mut key = [0; KEY_LEN];
        // `ring` gives as many bytes as the key has.
        for (to, from) in key.iter_mut().zip(self.pair.public_key().as_ref()) {
            *to = *from;
        }
        PublicKey(key)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> SignatureBytes {
        let mut signature = [0; SIGNATURE_LEN];
        for (to, from) in signature.iter_mut().zip(self.pair.sign(message).as_ref()) {
            *to = *from;
        }
        SignatureBytes(signature)
    }
}

impl PublicKey {
    /// Whether the other half of the key has signed this.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &SignatureBytes) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        key.verify(message, &signature.0).is_ok()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn digits<const N: usize>(text: &str) -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyError::Digits(N))?;
    Ok(bytes)
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        digits(text).map(Self)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        hex::encode(key.0)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl TryFrom<String> for SignatureBytes {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        digits(&text).map(Self)
    }
}

impl From<SignatureBytes> for String {
    fn from(signature: SignatureBytes) -> Self {
        hex::encode(signature.0)
    }
}

impl fmt::Debug for SignatureBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignatureBytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_when_it_is_read_again() {
        let key = PrivateKey::generate().unwrap();
        let again = PrivateKey::parse(&key.text()).unwrap();
        assert_eq!(key.public(), again.public());
        let signature = again.sign(b"message");
        assert!(key.public().has_signed(b"message", &signature));
        assert!(!key.public().has_signed(b"massage", &signature));
        let other = PrivateKey::generate().unwrap().public();
        assert!(!other.has_signed(b"message", &signature));
        assert_eq!(key.public().to_string().parse(), Ok(key.public()));
    }

    #[test]
    fn what_has_not_its_digits_is_no_key() {
        for text in ["", "0", "zz", &"0".repeat(63), &"0".repeat(66)] {
            assert!(PrivateKey::parse(text).is_err(), "{text}");
            assert_eq!(
                text.parse::<PublicKey>(),
                Err(KeyError::Digits(32)),
                "{text}"
            );
        }
    }
}
