//! Registries of OCI artefacts: what a reference stands for is pulled and checked, and what was built is pushed.
//!
//! ```text
//! Reference ─ cache ─ registry ─→ manifest ─ artifact ─→ its layers ─ cache ─ registry ─→ Pulled
//! ```
//!
//! * [`Images`]: many references at once, each from the cache or from its registry; a push.
//! * `artifact`: the forms of what is pushed, and how what is pulled is recognised.
//! * `registry`: the protocol of one registry; `challenge`: how it asks who one is; `http`: requests with deadlines,
//!   attempts and redirects.
//! * `document`: what a server says of itself at a known path.
//! * [`credentials`]: Docker's configuration, and the helpers that it names.
//! * `signature`: the keys that images have to be signed with, and what is such a signature; `signatures` fetches them.
//! * `cache`: blobs by digest, checked when they are read.
//! * [`lock`] reads and writes `withe.lock`.
//!
//! The protocol is spoken here, in six requests. The crate `oci-client` was the other choice: it reads a whole blob before
//! anybody counts its bytes, gives neither deadlines nor attempts, and brings crates in versions beside those that are here, which `deny.toml` forbids.

mod artifact;
mod cache;
mod challenge;
pub mod credentials;
mod document;
mod error;
mod http;
mod identity;
mod images;
pub mod lock;
mod registry;
mod settings;
#[cfg(test)]
mod shelf;
mod signature;
mod signatures;

pub use artifact::{ApplicationFile, Artifact, Content, FileKind, KindError};
pub use error::OciError;
pub use images::{Images, Locking, PullEvent, Pulled, Pushed, Wanted};
pub use lock::{LockError, LockFile, Locked};
pub use settings::{Mirror, Settings, SettingsError};
pub use signature::{ImageKey, KeyError, SignatureError, SignatureFormError};
pub use withe_manifest::reference::{Reference, ReferenceError};

use sha2::{Digest as _, Sha256};

/// `sha256:` and the hexadecimal SHA-256 of `bytes`.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
