//! The streams of a container beside the values of a call: an object's data, the names of objects, or that one was written.
//!
//! `wrpc:blobstore@0.2.0` says at the end of each whether it is whole; `@0.1.0` only ends it.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use withe_provider::{BlobError, BlobErrorKind, Body, HttpError, ObjectNames};
use withe_rpc::{CallError, PipeReader, Reader};
use withe_wit::{FuncKind, Function, Type};

use crate::values::{CannotCarry, Signature, mismatch};
use crate::wire::V1Wire;
use crate::wire::client::Reply;

/// Bytes that are asked for at a time.
const BYTES: usize = 64 << 10;

/// Names that are asked for at a time.
const NAMES: usize = 256;

/// A result as the interface has it: its error type is WIT's `string`, and a component gets it as it is.
pub(super) type Returned<T> = Result<T, String>;

/// The result of a function that returns a stream, or a string that says why there is none.
#[derive(Clone, Debug)]
pub(crate) struct Streamed(Signature);

impl Streamed {
    /// A stream of `element`, with a `future` that says at its end whether it is whole if `has_status`.
    ///
    /// # Errors
    ///
    /// If v1 cannot carry it.
    pub(super) fn new(element: Type, has_status: bool) -> Result<Self, CannotCarry> {
        let stream = Type::Stream(Some(Arc::new(element)));
        let why = || Some(Arc::new(Type::String));
        let status = Type::Future(Some(Arc::new(Type::Result(None, why()))));
        let ok = match has_status {
            true => Type::Tuple([stream, status].into()),
            false => stream,
        };
        let signature = Signature::new(&Function {
            name: "stream".into(),
            kind: FuncKind::Free,
            is_async: false,
            params: Vec::new(),
            result: Some(Type::Result(Some(Arc::new(ok)), why())),
        })?;
        Ok(Self(signature))
    }

    /// Where it has streams.
    pub(super) fn paths(&self) -> &[String] {
        &self.0.result.paths
    }

    /// Reads the stream, or the reason why none comes.
    ///
    /// # Errors
    ///
    /// If the reply is not such a result.
    pub(super) fn read(
        &self,
        reply: Reply,
        wire: &V1Wire,
    ) -> Result<Returned<IncomingStream>, CallError> {
        let payload = self.0.result.lift(reply.bytes, reply.streams, wire)?;
        let mut r = Reader::from_bytes(&payload.bytes);
        if r.bool().map_err(mismatch)? {
            return Ok(Err(r.str().map_err(mismatch)?.to_owned()));
        }
        // They are in the order in which they stand in the values.
        let mut streams = payload.streams.into_iter();
        let Some(stream) = streams.next() else {
            let text = "a stream of a wasmCloud v1 call is missing";
            return Err(CallError::TypeMismatch(text.into()));
        };
        Ok(Ok(IncomingStream {
            stream,
            status: streams.next(),
        }))
    }
}

/// A stream as it comes.
#[derive(Debug)]
pub(super) struct IncomingStream {
    stream: PipeReader,
    /// Says at the end whether the stream is whole.
    status: Option<PipeReader>,
}

/// The error of a v1 store, whose failures have no kinds.
pub(super) fn said(why: String) -> BlobError {
    BlobError::new(BlobErrorKind::Internal, why)
}

impl IncomingStream {
    /// The next piece: how many elements, and their bytes. `None` at the end.
    async fn next(&mut self, want: usize) -> Result<Option<(usize, Vec<u8>)>, CallError> {
        let chunk = poll_fn(|cx| self.stream.poll_chunk(cx, want)).await;
        Ok(chunk.transpose()?.map(|c| (c.count, c.payload.bytes)))
    }

    /// Whether all of it was there, once it has ended: why not, if not.
    async fn status(&mut self) -> Result<Returned<()>, CallError> {
        let Some(mut status) = self.status.take() else {
            return Ok(Ok(()));
        };
        match poll_fn(|cx| status.poll_chunk(cx, 1)).await.transpose()? {
            Some(chunk) => chunk.payload.read().map_err(mismatch),
            None => Ok(Ok(())),
        }
    }

    /// The next piece as it is passed on, and what comes behind it; `None` at the end if all was there.
    async fn step(
        mut self,
        want: usize,
    ) -> Option<(Result<(usize, Vec<u8>), BlobError>, Option<Self>)> {
        let end = match self.next(want).await {
            Ok(Some(piece)) => return Some((Ok(piece), Some(self))),
            Ok(None) => self.status().await,
            Err(why) => Err(why),
        };
        match end {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some((Err(said(why)), None)),
            Err(why) => Some((Err(why.into()), None)),
        }
    }

    fn pieces(
        self,
        want: usize,
    ) -> impl stream::Stream<Item = Result<(usize, Vec<u8>), BlobError>> + Send {
        stream::unfold(
            Some(self),
            move |rest| async move { rest?.step(want).await },
        )
    }

    /// Of bytes: as a body.
    pub(super) fn body(self) -> Body {
        let frames = self.pieces(BYTES).map(|piece| match piece {
            Ok((_, bytes)) => Ok(Frame::data(Bytes::from(bytes))),
            Err(error) => Err(HttpError::from(error)),
        });
        StreamBody::new(frames).boxed_unsync()
    }

    /// Of names.
    pub(super) fn names(self) -> ObjectNames {
        let names = self.pieces(NAMES).map(|piece| {
            let (count, bytes) = piece?;
            let mut r = Reader::from_bytes(&bytes);
            let name = |_| Ok(r.str().map_err(mismatch)?.to_owned());
            (0..count).map(name).collect()
        });
        Box::pin(names)
    }
}

/// The function by which objects are written.
#[derive(Clone, Debug)]
pub(super) struct Writing(Signature);

impl Writing {
    /// # Errors
    ///
    /// If v1 cannot carry it.
    pub(super) fn new() -> Result<Self, CannotCarry> {
        let why = || Some(Arc::new(Type::String));
        let done = Type::Future(Some(Arc::new(Type::Result(None, why()))));
        let id = Type::Tuple([Type::String, Type::String].into());
        let data = Type::Stream(Some(Arc::new(Type::U8)));
        let signature = Signature::new(&Function {
            name: "write-container-data".into(),
            kind: FuncKind::Free,
            is_async: false,
            params: vec![("id".into(), id), ("data".into(), data)],
            result: Some(Type::Result(Some(Arc::new(done)), why())),
        })?;
        Ok(Self(signature))
    }

    /// Where the data goes.
    pub(super) fn data(&self) -> &str {
        // The answer has one stream.
        &self.0.params.paths[0]
    }

    /// Where what says that it was written comes.
    pub(super) fn paths(&self) -> &[String] {
        &self.0.result.paths
    }

    /// The future that says whether the object was written, or why it cannot be.
    ///
    /// # Errors
    ///
    /// If the reply is not such a result.
    pub(super) fn read(
        &self,
        reply: Reply,
        wire: &V1Wire,
    ) -> Result<Returned<PipeReader>, CallError> {
        let payload = self.0.result.lift(reply.bytes, reply.streams, wire)?;
        let mut r = Reader::from_bytes(&payload.bytes);
        if r.bool().map_err(mismatch)? {
            return Ok(Err(r.str().map_err(mismatch)?.to_owned()));
        }
        let done = payload.streams.into_iter().next();
        done.map(Ok).ok_or_else(|| {
            let text = "a stream of a wasmCloud v1 call is missing";
            CallError::TypeMismatch(text.into())
        })
    }
}
