//! Streams and futures between a store and the pipes that lead out of it.
//!
//! What a guest passes out is given a consumer that writes into a pipe; what comes in is a producer that
//! reads from one. Both wait for the other side: nothing is taken from a guest before the reader wants
//! it. A stream that a guest only passes on is the pipe it came from.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use wasmtime::component::{
    Accessor, AccessorTask, Destination, FutureConsumer, FutureProducer, FutureReader,
    ResourceDynamic, Source, StreamConsumer, StreamProducer, StreamReader, StreamResult, VecBuffer,
};
use wasmtime::{AsContextMut as _, Result, StoreContextMut, bail};
use withe_rpc::{CallError, Chunk, HandleRef, Payload, PipeReader, PipeWriter, StreamKind, pipe};

use withe_rpc::pipe::Closed;

use crate::abi::{self, Elements, Item, Transmit};
use crate::link::{join_handle, split_handle};
use crate::state::State;

/// The most bytes that one chunk takes from a guest, or bytes' worth of elements that are asked for.
const MOST_BYTES: usize = 1 << 20;
/// The most elements that one chunk takes from a guest.
const MOST_ITEMS: usize = 1 << 12;

/// Whose resources the elements of a stream hold, seen from the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    /// The target's: the store imports them, and knows them by the target's numbers.
    Importer {
        /// The number of the host's resource type that stands for them.
        member: usize,
        /// How many links serve the import, and which of them this is.
        routes: usize,
        route: usize,
    },
    /// The store's own.
    Exporter,
}

/// What the streams of a store have in common. Made with the first of them.
#[derive(Default)]
pub(crate) struct Streams(Option<Arc<Shared>>);

#[derive(Default)]
struct Shared {
    /// Streams and futures that lead out of or into the store.
    open: AtomicUsize,
    /// Why the store was given up, once it is: streams that end with it did not end of themselves.
    failure: OnceLock<CallError>,
}

impl Streams {
    /// Whether any leads out of or into the store.
    pub(crate) fn any(&self) -> bool {
        let open = |shared: &Arc<Shared>| shared.open.load(Ordering::Relaxed) > 0;
        self.0.as_ref().is_some_and(open)
    }

    /// From here on streams that end were cut off, for this reason; the first one counts.
    pub(crate) fn fail(&self, why: impl FnOnce() -> CallError) {
        if let Some(shared) = &self.0 {
            shared.failure.get_or_init(why);
        }
    }

    fn open(&mut self) -> Open {
        let shared = self.0.get_or_insert_default().clone();
        shared.open.fetch_add(1, Ordering::Relaxed);
        Open(shared)
    }
}

/// Counts one open stream.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Pipes that carry `streams` out of the store.
pub(crate) fn lead_out(
    store: &mut StoreContextMut<'_, State>,
    streams: Vec<Transmit>,
    side: Side,
) -> Result<Vec<PipeReader>> {
    if streams.is_empty() {
        return Ok(Vec::new());
    }
    let mut store = store.as_context_mut();
    streams
        .into_iter()
        .map(|stream| out(&mut store, stream, side))
        .collect()
}

fn out(store: &mut StoreContextMut<'_, State>, stream: Transmit, side: Side) -> Result<PipeReader> {
    let outlet = |store: &mut StoreContextMut<'_, State>, kind| {
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
                future: Either::Item(future),
            })?;
            reader
        }
        Transmit::Signal(future) => {
            let (outlet, reader) = outlet(store, StreamKind::Signal);
            store.as_context_mut().spawn(Value {
                outlet,
                future: Either::Unit(future),
            })?;
            reader
        }
    })
}

/// Takes a future's value when its reader wants it: a future that nobody reads is closed, and its writer
/// is told, which a consumer cannot do.
struct Value {
    outlet: Outlet,
    future: Either,
}

enum Either {
    Item(FutureReader<Item>),
    Unit(FutureReader<()>),
}

impl AccessorTask<State> for Value {
    async fn run(self, accessor: &Accessor<State>) -> Result<()> {
        let Self { mut outlet, future } = self;
        let wanted = std::future::poll_fn(|cx| outlet.poll_demand(cx)).await;
        accessor.with(|store| match (future, wanted) {
            (Either::Item(future), Ok(_)) => future.pipe(store, Items(outlet)),
            (Either::Unit(future), Ok(_)) => future.pipe(store, Units(outlet)),
            (Either::Item(mut future), Err(Closed)) => future.close(store),
            (Either::Unit(mut future), Err(Closed)) => future.close(store),
        })
    }
}

/// Streams of the store that carry what comes through `pipes`.
pub(crate) fn lead_in(
    store: &mut StoreContextMut<'_, State>,
    pipes: Vec<PipeReader>,
    side: Side,
) -> Result<Vec<Transmit>> {
    if pipes.is_empty() {
        return Ok(Vec::new());
    }
    let mut store = store.as_context_mut();
    pipes
        .into_iter()
        .map(|reader| {
            let kind = reader.kind();
            let inlet = Inlet {
                reader,
                rest: Chunk::default(),
                read: 0,
                _open: store.data_mut().streams.open(),
                side,
            };
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

/// How the elements of a stream are moved: as bytes, as encoded values, or only counted.
struct Bytes<T>(T);
struct Items<T>(T);
struct Units<T>(T);

/// Where a guest's stream leads out of its store.
struct Outlet {
    /// There until the outlet is dropped.
    writer: Option<PipeWriter>,
    open: Open,
    side: Side,
}

impl Outlet {
    /// How many elements the reader wants now.
    fn poll_demand(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Closed>> {
        match &mut self.writer {
            Some(writer) => writer.poll_demand(cx),
            None => Poll::Ready(Err(Closed)),
        }
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
        match (self.writer.take(), self.open.0.failure.get()) {
            (Some(writer), None) => writer.finish(),
            (Some(writer), Some(why)) => writer.fail(why.clone()),
            (None, _) => {}
        }
    }
}

/// What a consumer does with the reader's demand, or instead of it.
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

impl StreamConsumer<State> for Bytes<Outlet> {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, State>,
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

impl StreamConsumer<State> for Items<Outlet> {
    type Item = Item;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, State>,
        mut source: Source<'_, Item>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let demand = demand!(self, cx, finish).min(MOST_ITEMS);
        let (count, elements) = abi::read(&mut source, store.as_context_mut(), demand)?;
        let payload = outgoing(&mut store, elements, self.0.side)?;
        Poll::Ready(Ok(self.0.send(count, payload)))
    }
}

impl StreamConsumer<State> for Units<Outlet> {
    type Item = ();

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, State>,
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

impl FutureConsumer<State> for Items<Outlet> {
    type Item = Item;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, State>,
        mut source: Source<'_, Item>,
        finish: bool,
    ) -> Poll<Result<()>> {
        match self.0.poll_demand(cx) {
            Poll::Pending if !finish => return Poll::Pending,
            Poll::Pending => return Poll::Ready(Ok(())),
            // If nobody reads it, the value is taken all the same: a future's writer is not told.
            Poll::Ready(_) => {}
        }
        let (count, elements) = abi::read(&mut source, store.as_context_mut(), 1)?;
        let payload = outgoing(&mut store, elements, self.0.side)?;
        self.0.send(count, payload);
        Poll::Ready(Ok(()))
    }
}

impl FutureConsumer<State> for Units<Outlet> {
    type Item = ();

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, State>,
        mut source: Source<'_, ()>,
        finish: bool,
    ) -> Poll<Result<()>> {
        match self.0.poll_demand(cx) {
            Poll::Pending if !finish => return Poll::Pending,
            Poll::Pending => return Poll::Ready(Ok(())),
            Poll::Ready(_) => {}
        }
        source.read(store, &mut None)?;
        self.0.send(1, Payload::default());
        Poll::Ready(Ok(()))
    }
}

/// Where a stream leads into a guest's store.
struct Inlet {
    reader: PipeReader,
    /// Bytes that came and did not fit, and how many of them were read.
    rest: Chunk,
    read: usize,
    _open: Open,
    side: Side,
}

impl Inlet {
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

/// A stream that a guest read from did not end of itself: the error with which the guest traps.
#[derive(Debug, thiserror::Error)]
#[error("a stream that came over a link broke off: {0}")]
pub(crate) struct StreamFailure(pub(crate) CallError);

impl StreamProducer<State> for Bytes<Inlet> {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, State>,
        destination: Destination<'a, u8, Self::Buffer>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let inlet = &mut self.0;
        let want = destination.remaining(store.as_context_mut());
        if want == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        if inlet.read == inlet.rest.payload.bytes.len() {
            let want = want.unwrap_or(MOST_BYTES).min(MOST_BYTES);
            match ready!(inlet.poll_chunk(cx, want, finish))? {
                Ok(chunk) => (inlet.rest, inlet.read) = (chunk, 0),
                Err(end) => return Poll::Ready(Ok(end)),
            }
        }
        let rest = &inlet.rest.payload.bytes[inlet.read..];
        let mut direct = destination.as_direct(store, rest.len());
        let room = direct.remaining();
        let count = room.len().min(rest.len());
        room[..count].copy_from_slice(&rest[..count]);
        direct.mark_written(count);
        inlet.read += count;
        Poll::Ready(Ok(StreamResult::Completed))
    }

    fn try_into(
        me: Pin<Box<Self>>,
        ty: std::any::TypeId,
    ) -> Result<Box<dyn std::any::Any>, Pin<Box<Self>>> {
        // What was read into `rest` is not in the pipe any more.
        if ty == std::any::TypeId::of::<PipeReader>() && me.0.rest.count == 0 {
            Ok(Box::new(Pin::into_inner(me).0.reader))
        } else {
            Err(me)
        }
    }
}

impl StreamProducer<State> for Items<Inlet> {
    type Item = Item;
    type Buffer = VecBuffer<Item>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, State>,
        mut destination: Destination<'a, Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let inlet = &mut self.0;
        let want = destination.remaining(store.as_context_mut());
        if want == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let want = want.unwrap_or(1).min(MOST_ITEMS);
        let chunk = match ready!(inlet.poll_chunk(cx, want, finish))? {
            Ok(chunk) => chunk,
            Err(end) => return Poll::Ready(Ok(end)),
        };
        let elements = incoming(&mut store, chunk.payload, inlet.side)?;
        destination.set_buffer(Item::batch(elements, chunk.count).into());
        Poll::Ready(Ok(StreamResult::Completed))
    }

    fn try_into(
        me: Pin<Box<Self>>,
        ty: std::any::TypeId,
    ) -> Result<Box<dyn std::any::Any>, Pin<Box<Self>>> {
        if ty == std::any::TypeId::of::<PipeReader>() {
            Ok(Box::new(Pin::into_inner(me).0.reader))
        } else {
            Err(me)
        }
    }
}

impl StreamProducer<State> for Units<Inlet> {
    type Item = ();
    type Buffer = VecBuffer<()>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, State>,
        mut destination: Destination<'a, (), Self::Buffer>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let want = destination.remaining(store.as_context_mut());
        if want == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let want = want.unwrap_or(MOST_ITEMS).min(MOST_ITEMS);
        match ready!(self.0.poll_chunk(cx, want, finish))? {
            Ok(chunk) => {
                destination.set_buffer(vec![(); chunk.count].into());
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Err(end) => Poll::Ready(Ok(end)),
        }
    }

    fn try_into(
        me: Pin<Box<Self>>,
        ty: std::any::TypeId,
    ) -> Result<Box<dyn std::any::Any>, Pin<Box<Self>>> {
        if ty == std::any::TypeId::of::<PipeReader>() {
            Ok(Box::new(Pin::into_inner(me).0.reader))
        } else {
            Err(me)
        }
    }
}

impl FutureProducer<State> for Items<Inlet> {
    type Item = Item;

    fn poll_produce(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, State>,
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

impl FutureProducer<State> for Units<Inlet> {
    type Item = ();

    fn poll_produce(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _store: StoreContextMut<'_, State>,
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

/// Elements as they leave the store.
fn outgoing(
    store: &mut StoreContextMut<'_, State>,
    elements: Elements,
    side: Side,
) -> Result<Payload> {
    let handles = match side {
        _ if elements.handles.is_empty() => Vec::new(),
        Side::Exporter => store.data_mut().handles.put(elements.handles),
        Side::Importer { routes, .. } => elements
            .handles
            .into_iter()
            .map(|handle| {
                let handle =
                    ResourceDynamic::try_from_resource_any(handle, store.as_context_mut())?;
                let (_, id) = split_handle(routes, handle.rep());
                Ok(HandleRef { id, own: true })
            })
            .collect::<Result<_>>()?,
    };
    Ok(Payload {
        bytes: elements.bytes,
        handles,
        streams: lead_out(store, elements.streams, side)?,
    })
}

/// Elements as they come into the store.
fn incoming(
    store: &mut StoreContextMut<'_, State>,
    payload: Payload,
    side: Side,
) -> Result<Elements> {
    if payload.handles.iter().any(|handle| !handle.own) {
        bail!("a stream cannot carry borrowed handles");
    }
    let handles = match side {
        _ if payload.handles.is_empty() => Vec::new(),
        Side::Exporter => store
            .data_mut()
            .handles
            .take(&payload.handles)
            .map_err(StreamFailure)?,
        Side::Importer {
            member,
            routes,
            route,
        } => payload
            .handles
            .iter()
            .map(|handle| {
                let rep = join_handle(routes, route, handle.id);
                ResourceDynamic::new_own(rep, member as u32)
                    .try_into_resource_any(store.as_context_mut())
            })
            .collect::<Result<_>>()?,
    };
    Ok(Elements {
        bytes: payload.bytes,
        handles,
        streams: lead_in(store, payload.streams, side)?,
    })
}
