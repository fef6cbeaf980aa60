//! The functions' names and numbers, and what both sides read and write.

use withe_rpc::codec::{Decode, DecodeError, Encode, Reader, Writer};
use withe_rpc::{LinkFunction, Payload};

use crate::{BlobError, BlobErrorKind, ObjectId};

/// Raised when what is written of a call changes.
const VERSION: u64 = 1;

/// The functions, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    CreateContainer,
    DeleteContainer,
    ClearContainer,
    ContainerExists,
    ContainerInfo,
    ListObjects,
    HasObject,
    ObjectInfo,
    DeleteObjects,
    CopyObject,
    MoveObject,
    Read,
    Write,
}

impl Function {
    /// All of them, each at its number.
    pub(super) const ALL: [(Self, &'static str); 13] = [
        (Self::CreateContainer, "create-container"),
        (Self::DeleteContainer, "delete-container"),
        (Self::ClearContainer, "clear-container"),
        (Self::ContainerExists, "container-exists"),
        (Self::ContainerInfo, "container-info"),
        (Self::ListObjects, "list-objects"),
        (Self::HasObject, "has-object"),
        (Self::ObjectInfo, "object-info"),
        (Self::DeleteObjects, "delete-objects"),
        (Self::CopyObject, "copy-object"),
        (Self::MoveObject, "move-object"),
        (Self::Read, "read"),
        (Self::Write, "write"),
    ];
}

/// The functions that links ask for which carry objects.
pub fn functions() -> Vec<LinkFunction> {
    let function = |(_, name): &(Function, &str)| LinkFunction {
        interface: "withe:blobs/store".into(),
        function: (*name).into(),
        digest: VERSION,
    };
    Function::ALL.iter().map(function).collect()
}

/// Whether a link with these functions carries objects, in the version that is spoken here.
pub fn is_blobs(functions: &[LinkFunction]) -> bool {
    functions == self::functions()
}

const KINDS: [BlobErrorKind; 8] = [
    BlobErrorKind::Internal,
    BlobErrorKind::NotFound,
    BlobErrorKind::Invalid,
    BlobErrorKind::Denied,
    BlobErrorKind::Exhausted,
    BlobErrorKind::Unavailable,
    BlobErrorKind::Deadline,
    BlobErrorKind::Incomplete,
];

impl Encode for BlobError {
    fn encode(&self, w: &mut Writer) {
        let code = KINDS.iter().position(|kind| *kind == self.kind);
        w.byte(code.unwrap_or(0) as u8);
        self.message.encode(w);
    }
}

impl Decode for BlobError {
    const MIN_BYTES: usize = 2;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // A kind that is not known here came from a newer side, and says nothing more here.
        let kind = KINDS.get(usize::from(r.byte()?));
        let kind = kind.copied().unwrap_or(BlobErrorKind::Internal);
        Ok(Self::new(kind, r.str()?))
    }
}

impl Encode for ObjectId {
    fn encode(&self, w: &mut Writer) {
        self.container.encode(w);
        self.object.encode(w);
    }
}

impl Decode for ObjectId {
    const MIN_BYTES: usize = 2;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            container: r.str()?.to_owned(),
            object: r.str()?.to_owned(),
        })
    }
}

/// A result without a body.
pub(super) fn result<T: Encode>(result: &Result<T, BlobError>) -> Payload {
    Payload::of(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_stand_at_their_numbers() {
        for (i, (function, _)) in Function::ALL.iter().enumerate() {
            assert_eq!(*function as usize, i);
        }
        assert!(is_blobs(&functions()));
        assert!(!is_blobs(&functions()[1..]));
    }

    #[test]
    fn errors_of_all_kinds_come_as_they_were_sent() {
        for kind in KINDS {
            let error = BlobError::new(kind, "why");
            assert_eq!(Payload::of(&error).read(), Ok(error));
        }
        let newer = Payload {
            bytes: vec![200, 1, b'x'],
            ..Payload::default()
        };
        let internal = BlobError::new(BlobErrorKind::Internal, "x");
        assert_eq!(newer.read(), Ok(internal));
    }
}
