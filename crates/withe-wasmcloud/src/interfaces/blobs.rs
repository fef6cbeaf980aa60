//! What comes of a container beside the values of a call: an object's data, or the names of objects.
//!
//! `wrpc:blobstore@0.2.0` says at the end of each whether it is whole; `@0.1.0` only ends it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;

use tokio::sync::Mutex;
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

    /// What comes, or why nothing does.
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
            most: wire.limits().payload,
        }))
    }
}

/// A stream as it comes.
#[derive(Debug)]
pub(super) struct IncomingStream {
    stream: PipeReader,
    /// Says at the end whether the stream is whole.
    status: Option<PipeReader>,
    /// The most bytes that may be taken at once.
    most: usize,
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
}

/// An object's data, which is taken once.
#[derive(Debug)]
pub(crate) struct Value(Mutex<Option<IncomingStream>>);

impl Value {
    pub(super) fn new(data: IncomingStream) -> Self {
        Self(Mutex::new(Some(data)))
    }

    /// All of it, or why it is not whole.
    ///
    /// # Errors
    ///
    /// If it breaks off, was taken before, or is more than a call may return.
    pub(super) async fn all(&self) -> Result<Returned<Vec<u8>>, CallError> {
        let mut data = self.0.lock().await.take().ok_or_else(|| {
            CallError::TypeMismatch("the value's data was taken before".to_owned())
        })?;
        let mut all = Vec::new();
        while let Some((_, bytes)) = data.next(BYTES).await? {
            if all.len() + bytes.len() > data.most {
                let text = format!("the object takes more than {} bytes", data.most);
                return Err(CallError::Exhausted(text));
            }
            all.extend(bytes);
        }
        Ok(data.status().await?.map(|()| all))
    }
}

/// The names of a container's objects.
#[derive(Debug)]
pub(crate) struct Names(Mutex<Listing>);

#[derive(Debug)]
struct Listing {
    names: IncomingStream,
    /// What came and was not taken yet.
    ready: VecDeque<String>,
}

impl Names {
    pub(super) fn new(names: IncomingStream) -> Self {
        Self(Mutex::new(Listing {
            names,
            ready: VecDeque::new(),
        }))
    }

    /// Gives `take` up to `most` names, and returns whether these were the last, or why the list is not whole.
    ///
    /// # Errors
    ///
    /// If it breaks off.
    async fn each(
        &self,
        most: u64,
        mut take: impl FnMut(String) -> Result<(), CallError>,
    ) -> Result<Returned<bool>, CallError> {
        let mut listing = self.0.lock().await;
        let mut taken = 0;
        while taken < most {
            if let Some(name) = listing.ready.pop_front() {
                take(name)?;
                taken += 1;
                continue;
            }
            let Some((count, bytes)) = listing.names.next(NAMES).await? else {
                return Ok(listing.names.status().await?.map(|()| true));
            };
            let mut r = Reader::from_bytes(&bytes);
            for _ in 0..count {
                let name = r.str().map_err(mismatch)?.to_owned();
                listing.ready.push_back(name);
            }
        }
        Ok(Ok(false))
    }

    /// Up to `most` names, and whether they are the last.
    ///
    /// # Errors
    ///
    /// If the list breaks off, or they are more than a call may return.
    pub(super) async fn read(&self, most: u64) -> Result<Returned<(Vec<String>, bool)>, CallError> {
        let (mut names, mut bytes) = (Vec::new(), 0);
        let limit = self.0.lock().await.names.most;
        let last = self.each(most, |name| {
            bytes += name.len();
            if bytes > limit {
                let text = format!("the names take more than {limit} bytes; read fewer at a time");
                return Err(CallError::Exhausted(text));
            }
            names.push(name);
            Ok(())
        });
        let last = last.await?;
        Ok(last.map(|last| (names, last)))
    }

    /// Passes over up to `most` names; returns how many, and whether they were the last.
    ///
    /// # Errors
    ///
    /// If the list breaks off.
    pub(super) async fn skip(&self, most: u64) -> Result<Returned<(u64, bool)>, CallError> {
        let mut count = 0;
        let last = self.each(most, |_| {
            count += 1;
            Ok(())
        });
        let last = last.await?;
        Ok(last.map(|last| (count, last)))
    }
}
