//! Objects in containers across a link: what `wasi:blobstore` asks of whoever keeps them.
//!
//! The interface's values and streams are resources of the component's own host, so that no call could carry them. As
//! with HTTP, the host translates: it has the resources, and the provider has names, bytes that stream, and errors.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use futures::stream::BoxStream;
use http_body_util::{BodyExt as _, Empty, Full};
use withe_rpc::{BoxFuture, CallContext, CallError};

use crate::{Body, HttpError, HttpErrorKind};

/// The name of an object, and of the container that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectId {
    /// The container.
    pub container: String,
    /// The object.
    pub object: String,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` in `{}`", self.object, self.container)
    }
}

/// The facts about a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerInfo {
    /// When it was made, in seconds since 1970; 0 if nobody knows.
    pub created_at: u64,
}

/// The facts about an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectInfo {
    /// When it was made, in seconds since 1970; 0 if nobody knows.
    pub created_at: u64,
    /// Its bytes.
    pub size: u64,
}

/// An object, or a part of one, as it is read.
pub struct Blob {
    /// How many bytes come.
    pub size: u64,
    /// They.
    pub body: Body,
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("size", &self.size).finish()
    }
}

/// The names of a container's objects, some at a time.
pub type ObjectNames = BoxStream<'static, Result<Vec<String>, BlobError>>;

/// Ends when an object that is being written is kept, or failed to be.
pub type Written = BoxFuture<'static, Result<(), BlobError>>;

/// Keeps objects for the component at the other end of a link.
///
/// A call that is dropped is given up. `context` says when its caller stops waiting, and what trace it is part of.
#[async_trait::async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Makes a container; one that is there already stays as it is.
    async fn create_container(&self, name: &str, context: CallContext) -> Result<(), BlobError>;

    /// Whether there is such a container.
    async fn container_exists(&self, name: &str, context: CallContext) -> Result<bool, BlobError>;

    /// Removes a container with all objects in it.
    async fn delete_container(&self, name: &str, context: CallContext) -> Result<(), BlobError>;

    /// Removes all objects of a container.
    async fn clear_container(&self, name: &str, context: CallContext) -> Result<(), BlobError>;

    /// The facts about a container.
    async fn container_info(
        &self,
        name: &str,
        context: CallContext,
    ) -> Result<ContainerInfo, BlobError>;

    /// The names of a container's objects, in no particular order. Objects that are written or removed meanwhile may be among
    /// them or not.
    async fn list_objects(
        &self,
        container: &str,
        context: CallContext,
    ) -> Result<ObjectNames, BlobError>;

    /// Whether there is such an object.
    async fn has_object(&self, id: &ObjectId, context: CallContext) -> Result<bool, BlobError>;

    /// The facts about an object.
    async fn object_info(
        &self,
        id: &ObjectId,
        context: CallContext,
    ) -> Result<ObjectInfo, BlobError>;

    /// Removes objects; what is not there is passed over.
    async fn delete_objects(
        &self,
        container: &str,
        objects: Vec<String>,
        context: CallContext,
    ) -> Result<(), BlobError>;

    /// Makes an object of another, or replaces it.
    async fn copy_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        context: CallContext,
    ) -> Result<(), BlobError>;

    /// As [`copy_object`](Self::copy_object), and removes the other.
    async fn move_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        context: CallContext,
    ) -> Result<(), BlobError>;

    /// Reads the bytes of an object that `range` says, of which those that are not there are left out. The bytes are
    /// one object, as it was then, even if another takes its place meanwhile.
    async fn read(
        &self,
        id: &ObjectId,
        range: Range<u64>,
        context: CallContext,
    ) -> Result<Blob, BlobError>;

    /// Makes an object of `body`, or replaces it. Returns as soon as it is known that it can be written there, before
    /// anything of the body has to be; what is returned ends when it is kept. Dropped before, or if the body breaks
    /// off, the object is as it was.
    async fn write(
        &self,
        id: &ObjectId,
        body: Body,
        context: CallContext,
    ) -> Result<Written, BlobError>;
}

/// Why something of objects failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobError {
    /// The sort of failure.
    pub kind: BlobErrorKind,
    /// The message, for a person. Never holds a secret.
    pub message: String,
}

/// The sorts of failure that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobErrorKind {
    /// The container or the object is not there.
    NotFound,
    /// A name, or a range, is none.
    Invalid,
    /// The store does not let it be done.
    Denied,
    /// There is no room, or a limit was met.
    Exhausted,
    /// The store cannot be reached.
    Unavailable,
    /// The store, or the next bytes, took too long.
    Deadline,
    /// The body that was to be written broke off.
    Incomplete,
    /// Anything else.
    Internal,
}

impl BlobError {
    /// A failure of the sort `kind`.
    pub fn new(kind: BlobErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// The error that there is no such container.
    pub fn no_container(name: &str) -> Self {
        let text = format!("the container `{name}` does not exist");
        Self::new(BlobErrorKind::NotFound, text)
    }

    /// The error that there is no such object.
    pub fn no_object(id: &ObjectId) -> Self {
        let text = format!("the object {id} does not exist");
        Self::new(BlobErrorKind::NotFound, text)
    }

    /// The error that a body which was to be written broke off.
    pub fn broke_off(why: &HttpError) -> Self {
        let text = format!("what was to be written broke off: {why}");
        Self::new(BlobErrorKind::Incomplete, text)
    }
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BlobError {}

/// A call that failed below the store.
impl From<CallError> for BlobError {
    fn from(error: CallError) -> Self {
        let kind = match &error {
            CallError::Deadline => BlobErrorKind::Deadline,
            CallError::Exhausted(_) => BlobErrorKind::Exhausted,
            CallError::Unreachable(_) | CallError::Unlinked(_) => BlobErrorKind::Unavailable,
            _ => BlobErrorKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

/// The error of a body that broke off.
impl From<HttpError> for BlobError {
    fn from(error: HttpError) -> Self {
        let kind = KINDS.iter().find(|(_, http)| *http == error.kind);
        let kind = kind.map_or(BlobErrorKind::Internal, |(kind, _)| *kind);
        Self::new(kind, error.message)
    }
}

/// The error that breaks off a body that is read.
impl From<BlobError> for HttpError {
    fn from(error: BlobError) -> Self {
        let kind = KINDS.iter().find(|(kind, _)| *kind == error.kind);
        let kind = kind.map_or(HttpErrorKind::Internal, |(_, http)| *http);
        Self::new(kind, error.message)
    }
}

/// Bodies fail with errors of HTTP. The table has each sort of failure there, and the other way round: the first one counts.
const KINDS: [(BlobErrorKind, HttpErrorKind); 10] = [
    (BlobErrorKind::Invalid, HttpErrorKind::InvalidRequest),
    (BlobErrorKind::Denied, HttpErrorKind::Denied),
    (BlobErrorKind::Exhausted, HttpErrorKind::Exhausted),
    (
        BlobErrorKind::Unavailable,
        HttpErrorKind::ConnectionTerminated,
    ),
    (BlobErrorKind::Unavailable, HttpErrorKind::ConnectionRefused),
    (BlobErrorKind::Unavailable, HttpErrorKind::Dns),
    (BlobErrorKind::Deadline, HttpErrorKind::Deadline),
    (BlobErrorKind::Deadline, HttpErrorKind::ResponseTimeout),
    (BlobErrorKind::Deadline, HttpErrorKind::ConnectionTimeout),
    (BlobErrorKind::Incomplete, HttpErrorKind::Handler),
];

/// A body of bytes that are there.
pub fn body_of(bytes: impl Into<Bytes>) -> Body {
    let bytes = bytes.into();
    match bytes.is_empty() {
        true => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        false => Full::new(bytes)
            .map_err(|never| match never {})
            .boxed_unsync(),
    }
}
