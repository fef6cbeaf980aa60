//! Decides which records of a lattice count, by who signed them.
//!
//! Every client that can write to a lattice's buckets can write anything there. So a record that hosts act on is
//! signed, and the signer's key is certified by the key of the lattice, for a role: deployers put applications, hosts
//! put deployments and their leases, viewers put nothing.
//!
//! ```text
//! RootKey ── certifies ──► Certificate: role, name, key, expiry ──► MemberKey ── seals ──► a record's bytes
//!    │                                                                                        │
//!    └─ TrustRoot (its public half) ──────────────── opens ◄──────────────────────────────────┘
//! ```
//!
//! Ed25519, by `ring`, which is there for TLS anyway. NATS's own accounts and nkeys were left: they say who may write to a
//! subject, and nothing of who wrote what a host reads there; an embedded lattice has none. X.509 was, too: what is
//! certified here are three fields, and a parser for certificates is the larger risk.
//!
//! * `message`: the bytes that are signed.
//! * `key`: pairs of keys, and signatures.
//! * `certificate`: a key with its role; `member`: the keys that sign.
//! * `record`: a signed record as bytes, read without trusting any of them.
//! * `trust`: which signed records count.
//! * `seal`: the key that hides secret values of records from all who have not got it.
//! * `files`: keys on a disk.
//!
//! Pure, but for `files`. Neither the clock nor a lattice is asked: the time and the place of a record are parameters.

mod certificate;
mod files;
mod key;
mod member;
mod message;
mod record;
mod seal;
mod trust;

pub use certificate::{Certificate, Role, UnknownRole};
pub use files::{
    BadKeyFile, KeyFileError, read_member, read_root, read_seal, read_trust, write_lattice,
    write_member, write_seal,
};
pub use key::{KeyError, PublicKey, SignatureBytes};
pub use member::{MemberKey, RootKey};
pub use record::{BadRecord, RecordPlace, SignedRecord, is_signed, payload};
pub use seal::{SealKey, SealKeyError, SealKeyId, UnsealError};
pub use trust::{TrustRoot, UntrustedRecord};
