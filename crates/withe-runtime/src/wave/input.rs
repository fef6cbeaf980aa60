//! `wasi:io/streams`' `input-stream` as a pipe, and a pipe as one: to pass what components of WASI 0.2 take for streams.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use futures::future::{Either, select};
use std::pin::pin;
use wasmtime::component::{Resource, ResourceAny};
use wasmtime::{AsContextMut as _, StoreContextMut};
use wasmtime_wasi::p2::{DynInputStream, InputStream, Pollable, StreamError};
use withe_rpc::pipe::{PipeWriter, pipe};
use withe_rpc::{CallError, Chunk, Payload, PipeReader, StreamKind};

use crate::core::InstanceState;

/// How many bytes are read at a time.
const READ: usize = 64 << 10;

/// The bytes of an `input-stream` of the store, which is taken from it. The pipe ends with the stream.
///
/// # Errors
///
/// If the resource is another one, or something still hangs on it, as a pollable does.
pub(super) fn lead_out(
    mut store: StoreContextMut<'_, InstanceState>,
    resource: ResourceAny,
) -> wasmtime::Result<PipeReader> {
    let resource: Resource<DynInputStream> = resource.try_into_resource(store.as_context_mut())?;
    let stream = store.data_mut().table.delete(resource)?;
    let (writer, reader) = pipe(StreamKind::Bytes, 0);
    // Ends with the stream, or when the reader goes.
    tokio::spawn(pump(stream, writer));
    Ok(reader)
}

async fn pump(mut stream: DynInputStream, mut writer: PipeWriter) {
    loop {
        let Ok(wanted) = poll_fn(|cx| writer.poll_demand(cx)).await else {
            return;
        };
        // A reader that goes wants nothing more: then the stream is not waited for.
        let is_ready = {
            let gone = poll_fn(|cx| match writer.poll_demand_above(cx, usize::MAX - 1) {
                Poll::Ready(Err(_)) => Poll::Ready(()),
                _ => Poll::Pending,
            });
            matches!(select(stream.ready(), pin!(gone)).await, Either::Left(_))
        };
        if !is_ready {
            return;
        }
        match stream.read(wanted.min(READ)) {
            Ok(bytes) => {
                let payload = Payload {
                    bytes: bytes.to_vec(),
                    ..Payload::default()
                };
                let count = payload.bytes.len();
                if writer.send(Chunk { count, payload }).is_err() {
                    return;
                }
            }
            Err(StreamError::Closed) => return writer.finish(),
            Err(StreamError::LastOperationFailed(e) | StreamError::Trap(e)) => {
                let why = format!("reading the stream failed: {e:#}");
                return writer.fail(CallError::Unreachable(why));
            }
        }
    }
}

/// An `input-stream` of the store that has the bytes of a pipe.
///
/// # Errors
///
/// If the store's table is full.
pub(super) fn lead_in(
    mut store: StoreContextMut<'_, InstanceState>,
    reader: PipeReader,
) -> wasmtime::Result<ResourceAny> {
    let stream: DynInputStream = Box::new(PipeInput {
        reader,
        next: Next::Unknown,
    });
    let resource = store.data_mut().table.push(stream)?;
    ResourceAny::try_from_resource(resource, store)
}

/// A pipe that a component reads as an `input-stream`.
struct PipeInput {
    reader: PipeReader,
    next: Next,
}

/// The outcome of the next read.
enum Next {
    /// Nothing yet: the pipe has to be waited for.
    Unknown,
    Bytes(Bytes),
    End,
    Failed(CallError),
}

#[async_trait::async_trait]
impl Pollable for PipeInput {
    async fn ready(&mut self) {
        let Next::Unknown = &self.next else {
            return;
        };
        self.next = match poll_fn(|cx| self.reader.poll_chunk(cx, READ)).await {
            Some(Ok(chunk)) => Next::Bytes(chunk.payload.bytes.into()),
            Some(Err(why)) => Next::Failed(why),
            None => Next::End,
        };
    }
}

impl InputStream for PipeInput {
    fn read(&mut self, size: usize) -> Result<Bytes, StreamError> {
        match &mut self.next {
            Next::Unknown => Ok(Bytes::new()),
            Next::Bytes(bytes) => {
                let given = bytes.split_to(size.min(bytes.len()));
                if bytes.is_empty() {
                    self.next = Next::Unknown;
                }
                Ok(given)
            }
            Next::End => Err(StreamError::Closed),
            Next::Failed(why) => Err(StreamError::LastOperationFailed(wasmtime::Error::from(
                why.clone(),
            ))),
        }
    }
}
