//! A signed record as bytes.
//!
//! ```text
//! withe-signed-1\n
//! {"certificate":{"role":…,"name":…,"key":…,"expires":…,"signature":…},"serial":…,"signature":…}\n
//! the record
//! ```
//!
//! The record's own bytes are signed, so that nothing is parsed before its signer is known, and a reader that checks
//! nothing skips two lines. A JSON object around the record was rejected: its text would have to be escaped, and read
//! before it could be checked.

use serde::{Deserialize, Serialize};

use crate::certificate::Certificate;
use crate::key::SignatureBytes;
use crate::message::message;

/// The first line of each signed record.
const FIRST_LINE: &[u8] = b"withe-signed-1\n";
/// The most bytes of the second. A name may be long, and nothing else in it is.
const MOST_HEADER: usize = 4096;
/// The name of what is signed, with its version.
const SIGNED: &str = "withe record 1";

/// Where a record is: a record that is signed for one place is nothing in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace<'a> {
    /// The lattice's name.
    pub lattice: &'a str,
    /// The record's key in the lattice's buckets.
    pub key: &'a str,
}

/// A record with a signature that nobody has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRecord<'a> {
    /// The certificate of the key that signed it.
    pub certificate: Certificate,
    /// Greater than that of each older record of the same place.
    pub serial: u64,
    /// The signature of that key.
    pub(crate) signature: SignatureBytes,
    /// The record itself.
    pub payload: &'a [u8],
}

/// Bytes are no signed record.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    /// The bytes do not begin as one.
    #[error("it is not signed")]
    Unsigned,
    /// The second line has no end.
    #[error("what should say who signed it is no line")]
    NoHeader,
    /// The second line is something else.
    #[error("what should say who signed it cannot be read: {0}")]
    Header(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    certificate: Certificate,
    serial: u64,
    signature: SignatureBytes,
}

/// Whether bytes begin as a signed record.
pub fn is_signed(bytes: &[u8]) -> bool {
    bytes.starts_with(FIRST_LINE)
}

/// The record in bytes that may be signed, by any signer.
pub fn payload(bytes: &[u8]) -> &[u8] {
    split(bytes).map_or(bytes, |(_, payload)| payload)
}

/// The second line and the record.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), BadRecord> {
    let rest = bytes.strip_prefix(FIRST_LINE).ok_or(BadRecord::Unsigned)?;
    let most = &rest[..rest.len().min(MOST_HEADER)];
    let end = most.iter().position(|byte| *byte == b'\n');
    let (header, payload) = rest.split_at(end.ok_or(BadRecord::NoHeader)?);
    Ok((header, &payload[1..]))
}

impl<'a> SignedRecord<'a> {
    /// Reads one. Nothing of it is checked.
    ///
    /// # Errors
    ///
    /// If the bytes are none.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BadRecord> {
        let (header, payload) = split(bytes)?;
        let header: Header = serde_json::from_slice(header)?;
        Ok(Self {
            certificate: header.certificate,
            serial: header.serial,
            signature: header.signature,
            payload,
        })
    }

    /// Whether the key that it names has signed it for this place.
    pub(crate) fn is_signed_for(&self, place: RecordPlace<'_>) -> bool {
        let signed = Self::signed(&self.certificate, place, self.serial, self.payload);
        self.certificate.key.has_signed(&signed, &self.signature)
    }

    /// The bytes that are signed.
    pub(crate) fn signed(
        certificate: &Certificate,
        place: RecordPlace<'_>,
        serial: u64,
        payload: &[u8],
    ) -> Vec<u8> {
        message(
            SIGNED,
            &[
                &certificate.signed(),
                place.lattice.as_bytes(),
                place.key.as_bytes(),
                &serial.to_be_bytes(),
                payload,
            ],
        )
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let header = Header {
            certificate: self.certificate.clone(),
            serial: self.serial,
            signature: self.signature,
        };
        let mut bytes = FIRST_LINE.to_vec();
        // JSON holds all that a header can have: text, digits and numbers.
        let header = serde_json::to_vec(&header).unwrap_or_default();
        bytes.extend_from_slice(&header);
        bytes.push(b'\n');
        bytes.extend_from_slice(self.payload);
        bytes
    }
}
