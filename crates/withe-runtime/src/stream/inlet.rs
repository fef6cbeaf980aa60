//! Where streams and futures lead into a guest's store.

use std::any::{Any, TypeId};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use wasmtime::component::{
    Destination, FutureProducer, FutureReader, ResourceDynamic, StreamProducer, StreamReader,
    StreamResult, VecBuffer,
};
use wasmtime::{AsContextMut as _, Result, StoreContextMut, bail};
use withe_rpc::{CallError, Chunk, Payload, PipeReader, StreamKind};

use super::kinds::{Bytes, ElementSide, Items, MOST_BYTES, MOST_ITEMS, StreamFailure, Units};
use super::open::OpenStream;
use crate::abi::{Elements, Item, Transmit};
use crate::core::InstanceState;
use crate::links::Numbering;

/// Streams of the store that carry what comes through `pipes`.
pub(crate) fn lead_in(
    store: &mut StoreContextMut<'_, InstanceState>,
    pipes: Vec<PipeReader>,
    side: ElementSide,
) -> Result<Vec<Transmit>> {
    if pipes.is_empty() {
        return Ok(Vec::new());
    }
    let mut store = store.as_context_mut();
    pipes
        .into_iter()
        .map(|reader| {
            let kind = reader.kind();
            let inlet = Inlet::new(reader, store.data_mut().streams.open(), side);
            let store = store.as_context_mut();
            Ok(match kind {
                StreamKind::Bytes => Transmit::Bytes(StreamReader::new(store, Bytes(inlet))?),
                StreamKind::Items => Transmit::Items(StreamReader::new(store, Items(inlet))?),
                StreamKind::Units => Transmit::Units(StreamReader::new(store, Units(inlet))?),
                StreamKind::Future => Transmit::Future(FutureReader::new(store, Items(inlet))?),
                StreamKind::Signal => Transmit::Signal(FutureReader::new(store, Units(inlet))?),
            })
        })
        .collect()
}

/// Where a stream leads into a guest's store.
struct Inlet {
    reader: PipeReader,
    /// Elements that came and were not wanted yet. Wasmtime is never given more than the guest reads: what it kept
    /// would be lost to a stream that the guest passes on.
    rest: Rest,
    _open: OpenStream,
    side: ElementSide,
}

/// The rest of a chunk.
#[derive(Default)]
struct Rest {
    /// Bytes, and how many of them were read.
    bytes: Vec<u8>,
    read: usize,
    items: Vec<Item>,
    units: usize,
}

impl Rest {
    fn is_empty(&self) -> bool {
        self.read == self.bytes.len() && self.items.is_empty() && self.units == 0
    }
}

impl Inlet {
    fn new(reader: PipeReader, open: OpenStream, side: ElementSide) -> Self {
        Self {
            reader,
            rest: Rest::default(),
            _open: open,
            side,
        }
    }

    /// Whether a guest that passes the stream on can have the pipe itself: if nothing was taken from it that was not read.
    fn can_be_passed_on(&self, ty: TypeId) -> bool {
        ty == TypeId::of::<PipeReader>() && self.rest.is_empty()
    }

    /// The next chunk, of about `want` elements; the outer `None` at the end.
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        want: usize,
        finish: bool,
    ) -> Poll<Result<Result<Chunk, StreamResult>>> {
        match self.reader.poll_chunk(cx, want) {
            Poll::Ready(Some(Ok(chunk))) => Poll::Ready(Ok(Ok(chunk))),
            Poll::Ready(Some(Err(why))) => Poll::Ready(Err(StreamFailure(why).into())),
            Poll::Ready(None) => Poll::Ready(Ok(Err(StreamResult::Dropped))),
            // The guest takes its read back.
            Poll::Pending if finish => {
                self.reader.unwant();
                Poll::Ready(Ok(Err(StreamResult::Cancelled)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl StreamProducer<InstanceState> for Bytes<Inlet> {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, InstanceState>,
        destination: Destination<'a, u8, Self::Buffer>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let inlet = &mut self.0;
        let want = destination.remaining(store.as_context_mut());
        if want == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        if inlet.rest.is_empty() {
            let want = want.unwrap_or(MOST_BYTES).min(MOST_BYTES);
            match ready!(inlet.poll_chunk(cx, want, finish))? {
                Ok(chunk) => (inlet.rest.bytes, inlet.rest.read) = (chunk.payload.bytes, 0),
                Err(end) => return Poll::Ready(Ok(end)),
            }
        }
        let rest = &inlet.rest.bytes[inlet.rest.read..];
        let mut direct = destination.as_direct(store, rest.len());
        let room = direct.remaining();
        let count = room.len().min(rest.len());
        room[..count].copy_from_slice(&rest[..count]);
        direct.mark_written(count);
        inlet.rest.read += count;
        Poll::Ready(Ok(StreamResult::Completed))
    }

    fn try_into(me: Pin<Box<Self>>, ty: TypeId) -> Result<Box<dyn Any>, Pin<Box<Self>>> {
        if !me.0.can_be_passed_on(ty) {
            return Err(me);
        }
        let Self(inlet) = *Pin::into_inner(me);
        Ok(Box::new(inlet.reader))
    }
}

impl StreamProducer<InstanceState> for Items<Inlet> {
    type Item = Item;
    type Buffer = VecBuffer<Item>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, InstanceState>,
        mut destination: Destination<'a, Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let inlet = &mut self.0;
        let want = destination.remaining(store.as_context_mut());
        if want == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let want = want.unwrap_or(1).min(MOST_ITEMS);
        if inlet.rest.is_empty() {
            let chunk = match ready!(inlet.poll_chunk(cx, want, finish))? {
                Ok(chunk) => chunk,
                Err(end) => return Poll::Ready(Ok(end)),
            };
            let elements = incoming(&mut store, chunk.payload, inlet.side)?;
            inlet.rest.items = Item::batch(elements, chunk.count);
        }
        let items = &mut inlet.rest.items;
        let given: Vec<_> = items.drain(..want.min(items.len())).collect();
        destination.set_buffer(given.into());
        Poll::Ready(Ok(StreamResult::Completed))
    }

    fn try_into(me: Pin<Box<Self>>, ty: TypeId) -> Result<Box<dyn Any>, Pin<Box<Self>>> {
        if !me.0.can_be_passed_on(ty) {
            return Err(me);
        }
        let Self(inlet) = *Pin::into_inner(me);
        Ok(Box::new(inlet.reader))
    }
}

impl StreamProducer<InstanceState> for Units<Inlet> {
    type Item = ();
    type Buffer = VecBuffer<()>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, InstanceState>,
        mut destination: Destination<'a, (), Self::Buffer>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let want = destination.remaining(store.as_context_mut());
        if want == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let want = want.unwrap_or(MOST_ITEMS).min(MOST_ITEMS);
        let inlet = &mut self.0;
        if inlet.rest.is_empty() {
            match ready!(inlet.poll_chunk(cx, want, finish))? {
                Ok(chunk) => inlet.rest.units = chunk.count,
                Err(end) => return Poll::Ready(Ok(end)),
            }
        }
        let given = want.min(inlet.rest.units);
        inlet.rest.units -= given;
        destination.set_buffer(vec![(); given].into());
        Poll::Ready(Ok(StreamResult::Completed))
    }

    fn try_into(me: Pin<Box<Self>>, ty: TypeId) -> Result<Box<dyn Any>, Pin<Box<Self>>> {
        if !me.0.can_be_passed_on(ty) {
            return Err(me);
        }
        let Self(inlet) = *Pin::into_inner(me);
        Ok(Box::new(inlet.reader))
    }
}

impl FutureProducer<InstanceState> for Items<Inlet> {
    type Item = Item;

    fn poll_produce(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, InstanceState>,
        finish: bool,
    ) -> Poll<Result<Option<Item>>> {
        let chunk = match ready!(self.0.poll_chunk(cx, 1, finish))? {
            Ok(chunk) => chunk,
            Err(StreamResult::Cancelled) => return Poll::Ready(Ok(None)),
            Err(_) => return Poll::Ready(Err(no_value())),
        };
        let elements = incoming(&mut store, chunk.payload, self.0.side)?;
        Poll::Ready(Ok(Item::batch(elements, 1).pop()))
    }
}

impl FutureProducer<InstanceState> for Units<Inlet> {
    type Item = ();

    fn poll_produce(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _store: StoreContextMut<'_, InstanceState>,
        finish: bool,
    ) -> Poll<Result<Option<()>>> {
        match ready!(self.0.poll_chunk(cx, 1, finish))? {
            Ok(_) => Poll::Ready(Ok(Some(()))),
            Err(StreamResult::Cancelled) => Poll::Ready(Ok(None)),
            Err(_) => Poll::Ready(Err(no_value())),
        }
    }
}

fn no_value() -> wasmtime::Error {
    StreamFailure(CallError::Trap("a future ended without a value".into())).into()
}

/// Elements as they come into the store.
fn incoming(
    store: &mut StoreContextMut<'_, InstanceState>,
    mut payload: Payload,
    side: ElementSide,
) -> Result<Elements> {
    if payload.handles.iter().any(|handle| !handle.own) {
        bail!("a stream cannot carry borrowed handles");
    }
    let handles = match side {
        _ if payload.handles.is_empty() => Vec::new(),
        ElementSide::Exporter => store
            .data_mut()
            .handles
            .take(&payload.handles)
            .map_err(StreamFailure)?,
        ElementSide::Importer {
            member,
            numbering,
            slot,
        } => {
            if numbering == Numbering::Store {
                store.data_mut().linked.enter(slot, &mut payload.handles);
            }
            let handles = payload.handles.iter();
            handles
                .map(|handle| {
                    ResourceDynamic::new_own(handle.id, member as u32)
                        .try_into_resource_any(store.as_context_mut())
                })
                .collect::<Result<_>>()?
        }
    };
    Ok(Elements {
        bytes: payload.bytes,
        handles,
        streams: lead_in(store, payload.streams, side)?,
    })
}
