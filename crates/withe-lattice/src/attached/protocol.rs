//! The questions of an attached process, and the answers.
//!
//! Both are plain values in [postcard]'s encoding, inside of the parameters, results and stream elements of two
//! functions of the invocation protocol: [`ASK`] has one result, [`FOLLOW`] a stream of [`Told`]. Frames, flow
//! control, deadlines and connections are the protocol's. A wire of their own for these values was rejected:
//! whatever it had to know about queues, silence and nonsense, the protocol knows already.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use withe_rpc::{CallError, Limits, LinkFunction, LinkRequest, Payload};

use crate::error::{Cause, Invalid, Refused, StorageError, Unreachable};
use crate::{Change, Entry, Expect, LatticeError, Message};

/// The version of all this. A process of another one is refused.
const VERSION: u64 = 2;

/// The function that takes an [`Ask`]; its result is a `Result<Done, Failure>`.
pub(super) const ASK: usize = 0;
/// The function that takes a [`Follow`]; its result is a `Result<String, Failure>` and a stream of [`Told`].
/// The text is the lattice's name.
pub(super) const FOLLOW: usize = 1;

/// The most bytes of a value, of a blob, or of all entries of a list.
const LARGEST: usize = 1 << 30;

/// The most things that go on for one process, in each direction.
const UNDER_WAY: u32 = 1_024;

/// The most processes that are attached at a time.
const CONNECTIONS: usize = 256;

/// A question with one answer. The texts are keys, prefixes, digests and subjects, as the methods of
/// [`Lattice`](crate::Lattice) of the same names have them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Get(String),
    List(EntryKind, String),
    Put(EntryKind, String, Bytes, Expect),
    Delete(String, Expect),
    DeleteLease(String),
    PutBlob(String, Bytes),
    Blob(String),
    DeleteBlob(String),
    Publish(String, Bytes),
    /// With how many milliseconds there are to answer.
    Request(String, Bytes, u64),
    /// The answer to the [`Told::Request`] with this number, or that there is none.
    Reply(u64, Option<Bytes>),
}

/// Something that goes on until its stream is closed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Follow {
    /// Nothing is told; the stream ends with the connection.
    Presence,
    Watch(EntryKind, String),
    Subscribe(String),
    Serve(String),
}

/// Entries, or leases.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum EntryKind {
    Entries,
    Leases,
}

/// The answer to an [`Ask`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Done {
    Nothing,
    Revision(u64),
    Entries(Vec<Entry>),
    Bytes(Bytes),
}

/// One element of the stream of a [`Follow`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    Change(Change),
    Message(Message),
    /// A request, with the number to answer it by in an [`Ask::Reply`].
    Request(u64, Bytes),
}

/// The link of an attached process. Its functions' digest is the version: the protocol refuses another.
pub(super) fn link_request() -> LinkRequest {
    let function = |name: &str| LinkFunction {
        interface: "withe:lattice".into(),
        function: name.into(),
        digest: VERSION,
    };
    LinkRequest {
        target: "lattice".into(),
        functions: vec![function("ask"), function("follow")],
        ..LinkRequest::default()
    }
}

pub(super) fn limits() -> Limits {
    Limits {
        payload: LARGEST,
        unfinished: 2 * LARGEST,
        calls: UNDER_WAY,
        streams: UNDER_WAY,
        sessions: 4,
        links: 4,
        handles: 0,
        connections: CONNECTIONS,
        ..Limits::default()
    }
}

/// A value as a payload.
///
/// # Errors
///
/// [`CallError::Exhausted`] if it is too large for one.
pub(super) fn write(value: &impl Serialize) -> Result<Payload, CallError> {
    let bytes = postcard::to_allocvec(value).map_err(|e| CallError::TypeMismatch(e.to_string()))?;
    if bytes.len() > LARGEST {
        return Err(CallError::Exhausted(format!(
            "{} bytes at once are too many: {LARGEST} are the most",
            bytes.len()
        )));
    }
    Ok(Payload {
        bytes,
        ..Payload::default()
    })
}

/// The value of a payload.
///
/// # Errors
///
/// [`CallError::TypeMismatch`] if it is none of this type.
pub(super) fn read<T: DeserializeOwned>(payload: &Payload) -> Result<T, CallError> {
    postcard::from_bytes(&payload.bytes)
        .map_err(|e| CallError::TypeMismatch(format!("what came cannot be read: {e}")))
}

/// The lattice's error for a call that failed.
pub(super) fn failed(e: CallError) -> LatticeError {
    match e {
        CallError::Exhausted(_) | CallError::TypeMismatch(_) => Refused::Call(Cause::new(e)).into(),
        _ => Unreachable::Other(Cause::new(e)).into(),
    }
}

/// A [`LatticeError`] as it crosses the socket: which one, and the text of what is behind it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Failure {
    Unreachable(String),
    Refused(String),
    Conflict(String),
    NobodyServes(String),
    Timeout(String),
    Invalid(String),
    Storage(String),
}

impl From<LatticeError> for Failure {
    fn from(e: LatticeError) -> Self {
        match e {
            LatticeError::Unreachable(why) => Self::Unreachable(why.to_string()),
            LatticeError::Refused(why) => Self::Refused(why.to_string()),
            LatticeError::Conflict { key } => Self::Conflict(key),
            LatticeError::NobodyServes(subject) => Self::NobodyServes(subject),
            LatticeError::Timeout(subject) => Self::Timeout(subject),
            LatticeError::Invalid(why) => Self::Invalid(why.to_string()),
            LatticeError::Storage(why) => Self::Storage(why.to_string()),
            e @ (LatticeError::Value { .. } | LatticeError::Blob { .. }) => {
                Self::Storage(e.to_string())
            }
        }
    }
}

impl From<Failure> for LatticeError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable(why) => Unreachable::Other(Cause::new(why)).into(),
            Failure::Refused(why) => Refused::Server(why).into(),
            Failure::Conflict(key) => Self::Conflict { key },
            Failure::NobodyServes(subject) => Self::NobodyServes(subject),
            Failure::Timeout(subject) => Self::Timeout(subject),
            Failure::Invalid(why) => Invalid::Other(Cause::new(why)).into(),
            Failure::Storage(why) => StorageError::Other(Cause::new(why)).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let entry = |key: &str, value: &'static str| Entry {
            key: key.into(),
            value: value.into(),
            revision: 3,
        };
        let entries = vec![entry("a", "one"), entry("b", ""), entry("c", "three")];
        let done: Result<Done, Failure> = Ok(Done::Entries(entries.clone()));
        let read: Result<Done, Failure> = read(&write(&done).unwrap()).unwrap();
        let Ok(Done::Entries(found)) = read else {
            panic!("{read:?}");
        };
        assert_eq!(found, entries);
    }

    proptest! {
        #[test]
        fn nothing_that_comes_is_a_panic(bytes: Vec<u8>) {
            let payload = Payload { bytes, ..Payload::default() };
            _ = read::<Ask>(&payload);
            _ = read::<Follow>(&payload);
            _ = read::<Told>(&payload);
            _ = read::<Result<Done, Failure>>(&payload);
        }
    }
}
