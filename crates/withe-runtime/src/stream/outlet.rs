//! Where a guest's streams and futures lead out of its store.

use std::pin::Pin;
use std::task::{Context, Poll};

use wasmtime::component::{
    Accessor, AccessorTask, FutureConsumer, FutureReader, ResourceDynamic, Source, StreamConsumer,
    StreamResult,
};
use wasmtime::{AsContextMut as _, Result, StoreContextMut, bail};
use withe_rpc::pipe::Closed;
use withe_rpc::{Chunk, HandleRef, Payload, PipeReader, PipeWriter, StreamKind, pipe};

use super::kinds::{Bytes, ElementSide, Items, MOST_BYTES, MOST_ITEMS, Units};
use super::open::OpenStream;
use crate::abi::{self, Elements, Item, Transmit};
use crate::core::InstanceState;
use crate::links::Numbering;

/// Pipes that carry `streams` out of the store.
pub(crate) fn lead_out(
    store: &mut StoreContextMut<'_, InstanceState>,
    streams: Vec<Transmit>,
    side: ElementSide,
) -> Result<Vec<PipeReader>> {
    if streams.is_empty() {
        return Ok(Vec::new());
    }
    let mut store = store.as_context_mut();
    let keeper = store.data().streams.keeper();
    streams
        .into_iter()
        .map(|stream| {
            let mut reader = out(&mut store, stream, side)?;
            if let Some(keeper) = &keeper {
                reader.keep(keeper.clone());
            }
            Ok(reader)
        })
        .collect()
}

/// A pipe that carries `stream` out of the store.
fn out(
    store: &mut StoreContextMut<'_, InstanceState>,
    stream: Transmit,
    side: ElementSide,
) -> Result<PipeReader> {
    let outlet = |store: &mut StoreContextMut<'_, InstanceState>, kind| {
        let (writer, reader) = pipe(kind, 0);
        let outlet = Outlet {
            writer: Some(writer),
            open: store.data_mut().streams.open(),
            side,
        };
        (outlet, reader)
    };
    // A stream that came in over a link is the pipe that it came through.
    macro_rules! stream {
        ($stream:ident, $consumer:ident) => {
            match $stream.try_into(store.as_context_mut()) {
                Ok(reader) => reader,
                Err(stream) => {
                    let (outlet, reader) = outlet(store, StreamKind::$consumer);
                    stream.pipe(store.as_context_mut(), $consumer(outlet))?;
                    reader
                }
            }
        };
    }
    Ok(match stream {
        Transmit::Bytes(stream) => stream!(stream, Bytes),
        Transmit::Items(stream) => stream!(stream, Items),
        Transmit::Units(stream) => stream!(stream, Units),
        Transmit::Future(future) => {
            let (outlet, reader) = outlet(store, StreamKind::Future);
            store.as_context_mut().spawn(Value {
                outlet,
                future: Unread::Item(future),
            })?;
            reader
        }
        Transmit::Signal(future) => {
            let (outlet, reader) = outlet(store, StreamKind::Signal);
            store.as_context_mut().spawn(Value {
                outlet,
                future: Unread::Unit(future),
            })?;
            reader
        }
    })
}

/// Takes a future's value when its reader wants it: a future that nobody reads is closed, and its writer
/// is told, which a consumer cannot do.
struct Value {
    outlet: Outlet,
    future: Unread,
}

/// A future whose value is still with its writer.
enum Unread {
    Item(FutureReader<Item>),
    Unit(FutureReader<()>),
}

impl AccessorTask<InstanceState> for Value {
    async fn run(self, accessor: &Accessor<InstanceState>) -> Result<()> {
        let Self { mut outlet, future } = self;
        let wanted = std::future::poll_fn(|cx| outlet.poll_demand(cx)).await;
        accessor.with(|store| match (future, wanted) {
            (Unread::Item(future), Ok(_)) => future.pipe(store, Items(outlet)),
            (Unread::Unit(future), Ok(_)) => future.pipe(store, Units(outlet)),
            (Unread::Item(mut future), Err(Closed)) => future.close(store),
            (Unread::Unit(mut future), Err(Closed)) => future.close(store),
        })
    }
}

/// Where a guest's stream leads out of its store.
struct Outlet {
    /// There until the outlet is dropped.
    writer: Option<PipeWriter>,
    open: OpenStream,
    side: ElementSide,
}

impl Outlet {
    /// How many elements the reader wants now.
    fn poll_demand(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Closed>> {
        match &mut self.writer {
            Some(writer) => writer.poll_demand(cx),
            None => Poll::Ready(Err(Closed)),
        }
    }

    /// Whether the demand says how much may be under way, and not what the reader asks for.
    fn takes_whole_writes(&self) -> bool {
        (self.writer.as_ref()).is_some_and(PipeWriter::takes_whole_writes)
    }

    fn send(&mut self, count: usize, payload: Payload) -> StreamResult {
        let writer = self.writer.as_mut();
        match writer.map(|writer| writer.send(Chunk { count, payload })) {
            Some(Ok(())) => StreamResult::Completed,
            Some(Err(Closed)) | None => StreamResult::Dropped,
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        // A consumer is dropped when the guest closes its end, and also when its store goes.
        match (self.writer.take(), self.open.failure()) {
            (Some(writer), None) => writer.finish(),
            (Some(writer), Some(why)) => writer.fail(why.clone()),
            (None, _) => {}
        }
    }
}

/// A consumer's answer to the reader's demand.
macro_rules! demand {
    ($self:ident, $cx:ident, $finish:ident) => {
        match $self.0.poll_demand($cx) {
            Poll::Ready(Ok(demand)) => demand,
            Poll::Ready(Err(Closed)) => return Poll::Ready(Ok(StreamResult::Dropped)),
            // The guest takes its write back.
            Poll::Pending if $finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
        }
    };
}

impl StreamConsumer<InstanceState> for Bytes<Outlet> {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, InstanceState>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let demand = demand!(self, cx, finish);
        let mut source = source.as_direct(store);
        let offered = source.remaining();
        let count = offered.len().min(demand).min(MOST_BYTES);
        let bytes = offered[..count].to_vec();
        source.mark_read(count);
        let payload = Payload {
            bytes,
            ..Payload::default()
        };
        Poll::Ready(Ok(self.0.send(count, payload)))
    }
}

impl StreamConsumer<InstanceState> for Items<Outlet> {
    type Item = Item;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, InstanceState>,
        mut source: Source<'_, Item>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let demand = demand!(self, cx, finish).min(MOST_ITEMS);
        let (count, elements) = match self.0.takes_whole_writes() {
            true => abi::read_ahead(&mut source, store.as_context_mut(), demand, MOST_ITEMS)?,
            false => abi::read(&mut source, store.as_context_mut(), demand)?,
        };
        let payload = outgoing(&mut store, elements, self.0.side)?;
        Poll::Ready(Ok(self.0.send(count, payload)))
    }
}

impl StreamConsumer<InstanceState> for Units<Outlet> {
    type Item = ();

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, InstanceState>,
        mut source: Source<'_, ()>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let demand = demand!(self, cx, finish).min(MOST_ITEMS);
        let count = source.remaining(store.as_context_mut()).min(demand);
        let mut units = Vec::<()>::new();
        // A vector of units is never full, so what is wanted is taken one by one.
        for _ in 0..count {
            let mut unit = None;
            source.read(store.as_context_mut(), &mut unit)?;
            units.extend(unit);
        }
        Poll::Ready(Ok(self.0.send(units.len(), Payload::default())))
    }
}

// A future's consumer is made when its value is wanted (`Value`), so it takes it at once; if the reader has
// gone since, the value goes with it.
impl FutureConsumer<InstanceState> for Items<Outlet> {
    type Item = Item;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, InstanceState>,
        mut source: Source<'_, Item>,
        _finish: bool,
    ) -> Poll<Result<()>> {
        let (count, elements) = abi::read(&mut source, store.as_context_mut(), 1)?;
        let payload = outgoing(&mut store, elements, self.0.side)?;
        self.0.send(count, payload);
        Poll::Ready(Ok(()))
    }
}

impl FutureConsumer<InstanceState> for Units<Outlet> {
    type Item = ();

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        store: StoreContextMut<'_, InstanceState>,
        mut source: Source<'_, ()>,
        _finish: bool,
    ) -> Poll<Result<()>> {
        source.read(store, &mut None)?;
        self.0.send(1, Payload::default());
        Poll::Ready(Ok(()))
    }
}

/// Elements as they leave the store.
fn outgoing(
    store: &mut StoreContextMut<'_, InstanceState>,
    elements: Elements,
    side: ElementSide,
) -> Result<Payload> {
    let handles = match side {
        _ if elements.handles.is_empty() => Vec::new(),
        ElementSide::Exporter => store.data_mut().handles.put(elements.handles),
        ElementSide::Importer {
            numbering, slot, ..
        } => {
            let handles = elements.handles.into_iter();
            let mut handles = handles
                .map(|handle| {
                    let handle =
                        ResourceDynamic::try_from_resource_any(handle, store.as_context_mut())?;
                    Ok(HandleRef {
                        id: handle.rep(),
                        own: true,
                    })
                })
                .collect::<Result<Vec<_>>>()?;
            if numbering == Numbering::Store {
                let of_handles = store.data_mut().linked.leave(&mut handles);
                if of_handles != Ok(Some(slot)) {
                    bail!(
                        "a stream carries a resource that came over another link than the stream goes"
                    );
                }
            }
            handles
        }
    };
    Ok(Payload {
        bytes: elements.bytes,
        handles,
        streams: lead_out(store, elements.streams, side)?,
    })
}
