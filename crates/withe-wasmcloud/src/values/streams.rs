//! Streams and futures in values: numbered pipes on a link, messages beside the values on v1's wire.
//!
//! On the wire a stream is chunks, each a count and as many elements, and a count of 0 at its end; a future
//! is its value. Chunks are cut into messages anywhere. A value may also hold all of a stream or future at
//! once, instead of `0x00`.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::{Buf as _, Bytes, BytesMut};
use futures::future::{BoxFuture, Either, select};
use futures::stream;
use withe_rpc::codec::Writer;
use withe_rpc::{
    CallError, Chunk, DecodeError, Payload, PipeReader, PipeWriter, Reader, StreamKind, pipe,
};
use withe_wit::Type;

use super::walk::{Visit, skip};
use crate::wire::connection::Messages;
use crate::wire::mailbox::ChannelReader;

/// Elements that are asked for at a time of what is sent: bytes, and others.
const WANT: (usize, usize) = (64 << 10, 256);

/// The kind and the element type of a stream or future.
fn parts(ty: &Type) -> Option<(StreamKind, Option<&Type>)> {
    Some(match ty {
        Type::Stream(None) => (StreamKind::Units, None),
        Type::Stream(Some(element)) => match &**element {
            Type::U8 => (StreamKind::Bytes, Some(element)),
            _ => (StreamKind::Items, Some(element)),
        },
        Type::Future(None) => (StreamKind::Signal, None),
        Type::Future(Some(value)) => (StreamKind::Future, Some(value)),
        _ => return None,
    })
}

fn want(kind: StreamKind) -> usize {
    match kind {
        StreamKind::Bytes => WANT.0,
        _ if kind.is_future() => 1,
        _ => WANT.1,
    }
}

/// The streams of values that are sent.
pub(super) struct Leaving {
    streams: Vec<Option<PipeReader>>,
    sent: Vec<(String, Messages)>,
}

impl Leaving {
    pub(super) fn new(streams: Vec<PipeReader>) -> Self {
        Self {
            streams: streams.into_iter().map(Some).collect(),
            sent: Vec::new(),
        }
    }

    /// The messages to send for them.
    ///
    /// # Errors
    ///
    /// If there were more streams than the values have.
    pub(super) fn finish(self) -> Result<Vec<(String, Messages)>, DecodeError> {
        if self.streams.iter().any(Option::is_some) {
            return Err(DecodeError::Stream);
        }
        Ok(self.sent)
    }
}

impl Visit for Leaving {
    fn visit(
        &mut self,
        ty: &Type,
        path: String,
        r: &mut Reader<'_>,
        w: &mut Writer,
    ) -> Result<(), DecodeError> {
        let (kind, _) = parts(ty).ok_or(DecodeError::Stream)?;
        let index = r.stream_index()?;
        let reader = self.streams.get_mut(index).and_then(Option::take);
        let reader = reader
            .filter(|r| r.kind() == kind)
            .ok_or(DecodeError::Stream)?;
        self.sent.push((path, messages(reader)));
        w.byte(0);
        Ok(())
    }
}

/// The messages that carry what `reader` has.
fn messages(reader: PipeReader) -> Messages {
    let next = |reader: Option<PipeReader>| async move {
        let mut reader = reader?;
        let kind = reader.kind();
        let chunk = poll_fn(|cx| reader.poll_chunk(cx, want(kind))).await;
        match chunk {
            Some(Ok(chunk)) => Some((Ok(frame(kind, chunk)), Some(reader))),
            Some(Err(why)) => Some((Err(why), None)),
            None if kind.is_future() => None,
            None => Some((Ok(Bytes::from_static(&[0])), None)),
        }
    };
    Box::pin(stream::unfold(Some(reader), next))
}

/// A chunk as it goes over the wire.
fn frame(kind: StreamKind, chunk: Chunk) -> Bytes {
    if kind.is_future() {
        return chunk.payload.bytes.into();
    }
    let mut w = Writer::with_capacity(chunk.payload.bytes.len() + 5);
    w.unsigned(chunk.count as u64);
    w.raw(&chunk.payload.bytes);
    w.finish().bytes.into()
}

/// Reads past streams, to find where values end.
pub(super) struct Past;

impl Visit for Past {
    fn visit(
        &mut self,
        ty: &Type,
        _: String,
        r: &mut Reader<'_>,
        _: &mut Writer,
    ) -> Result<(), DecodeError> {
        inline(ty, r).map(|_| ())
    }
}

/// Reads what stands for a stream or future in values: nothing if it comes beside them.
fn inline(ty: &Type, r: &mut Reader<'_>) -> Result<Option<Chunk>, DecodeError> {
    let (kind, element) = parts(ty).ok_or(DecodeError::Stream)?;
    let count = match kind.is_future() {
        true => usize::from(r.bool()?),
        false => r.count(usize::from(element.is_some()))?,
    };
    if count == 0 {
        return Ok(None);
    }
    let start = r.rest();
    match element {
        Some(Type::U8) => _ = r.raw(count)?,
        Some(element) => (0..count).try_for_each(|_| skip(element, r))?,
        None => {}
    }
    // The remaining bytes are the end of those that were read.
    Ok(Some(chunk(count, &start[..start.len() - r.remaining()])))
}

fn chunk(count: usize, bytes: &[u8]) -> Chunk {
    Chunk {
        count,
        payload: Payload {
            bytes: bytes.to_vec(),
            ..Payload::default()
        },
    }
}

/// The streams of values that came.
pub(super) struct Arriving {
    channels: Vec<(String, Option<ChannelReader>)>,
    /// Bytes that an element may take.
    limit: usize,
    streams: Vec<PipeReader>,
    pumps: Vec<BoxFuture<'static, ()>>,
}

impl Arriving {
    pub(super) fn new(
        channels: impl Iterator<Item = (String, ChannelReader)>,
        limit: usize,
    ) -> Self {
        Self {
            channels: channels.map(|(path, r)| (path, Some(r))).collect(),
            limit,
            streams: Vec::new(),
            pumps: Vec::new(),
        }
    }

    /// The readable ends, and what has to run for something to come out of them.
    pub(super) fn finish(self) -> (Vec<PipeReader>, Vec<BoxFuture<'static, ()>>) {
        (self.streams, self.pumps)
    }
}

impl Visit for Arriving {
    fn visit(
        &mut self,
        ty: &Type,
        path: String,
        r: &mut Reader<'_>,
        w: &mut Writer,
    ) -> Result<(), DecodeError> {
        let (kind, element) = parts(ty).ok_or(DecodeError::Stream)?;
        let (mut writer, reader) = pipe(kind, 0);
        match inline(ty, r)? {
            Some(chunk) => {
                // The reader is there: it is in this function.
                _ = writer.send(chunk);
                writer.finish();
            }
            None => {
                let channel = self.channels.iter_mut().find(|(p, _)| *p == path);
                let channel = channel
                    .and_then(|(_, r)| r.take())
                    .ok_or(DecodeError::Stream)?;
                let elements = Elements {
                    kind,
                    element: element.cloned(),
                    buffer: BytesMut::new(),
                    left: u32::from(kind.is_future()),
                };
                self.pumps
                    .push(Box::pin(pump(elements, channel, writer, self.limit)));
            }
        }
        w.unsigned(self.streams.len() as u64);
        self.streams.push(reader);
        Ok(())
    }
}

/// Moves elements to their reader, as far as it wants them.
async fn pump(
    mut elements: Elements,
    mut channel: ChannelReader,
    mut writer: PipeWriter,
    limit: usize,
) {
    let idle = channel.idle();
    loop {
        let Ok(wanted) = poll_fn(|cx| writer.poll_demand(cx)).await else {
            return;
        };
        match elements.next(wanted) {
            Ok(Step::Chunk(chunk)) => {
                if writer.send(chunk).is_err() {
                    return;
                }
                continue;
            }
            Ok(Step::End) => return writer.finish(),
            Ok(Step::More) => {}
            Err(e) => {
                let text = format!("a stream of a wasmCloud v1 call: {e}");
                return writer.fail(CallError::TypeMismatch(text));
            }
        }
        let next = {
            let gone = poll_fn(|cx| match writer.poll_demand_above(cx, usize::MAX) {
                Poll::Ready(Err(closed)) => Poll::Ready(closed),
                _ => Poll::Pending,
            });
            match select(pin!(channel.next_within(idle)), pin!(gone)).await {
                Either::Left((next, _)) => next,
                Either::Right(_) => return,
            }
        };
        match next {
            Some(Ok(bytes)) if elements.buffer.len() + bytes.len() > limit => {
                let text = format!("an element of a stream takes more than {limit} bytes");
                return writer.fail(CallError::Exhausted(text));
            }
            Some(Ok(bytes)) => elements.buffer.extend_from_slice(&bytes),
            Some(Err(why)) => return writer.fail(why),
            // The value of a `future` without one is that it ends.
            None if elements.kind == StreamKind::Signal && elements.left > 0 => {
                elements.left = 0;
                if writer.send(chunk(1, &[])).is_err() {
                    return;
                }
                return writer.finish();
            }
            None => {
                let text = "the stream broke off; wasmCloud v1 does not say why".to_owned();
                return writer.fail(CallError::Unreachable(text));
            }
        }
    }
}

/// The part of a stream that has arrived and was not passed on.
struct Elements {
    kind: StreamKind,
    element: Option<Type>,
    buffer: BytesMut,
    /// How many elements of the current chunk are still to come.
    left: u32,
}

enum Step {
    Chunk(Chunk),
    /// Nothing can be made of what has come.
    More,
    End,
}

impl Elements {
    /// Takes up to `wanted` elements.
    fn next(&mut self, wanted: usize) -> Result<Step, DecodeError> {
        if self.left == 0 {
            if self.kind.is_future() {
                return Ok(Step::End);
            }
            let mut r = Reader::from_bytes(&self.buffer);
            match r.unsigned(32) {
                Ok(0) => return Ok(Step::End),
                Ok(count) => {
                    self.left = count as u32;
                    let read = self.buffer.len() - r.remaining();
                    self.buffer.advance(read);
                }
                Err(DecodeError::Truncated) => return Ok(Step::More),
                Err(e) => return Err(e),
            }
        }
        let wanted = wanted.min(self.left as usize);
        let (count, len) = match (self.kind, &self.element) {
            (StreamKind::Units, _) => (wanted, 0),
            (StreamKind::Signal, _) => (0, 0),
            (StreamKind::Bytes, _) => {
                let count = wanted.min(self.buffer.len());
                (count, count)
            }
            (_, Some(element)) => whole(element, &self.buffer, wanted)?,
            (_, None) => return Err(DecodeError::Stream),
        };
        if count == 0 {
            return Ok(Step::More);
        }
        self.left -= count as u32;
        let chunk = chunk(count, &self.buffer[..len]);
        self.buffer.advance(len);
        Ok(Step::Chunk(chunk))
    }
}

/// How many of up to `wanted` elements are there, and the bytes that they take.
fn whole(element: &Type, bytes: &[u8], wanted: usize) -> Result<(usize, usize), DecodeError> {
    let mut r = Reader::from_bytes(bytes);
    let mut len = 0;
    for count in 0..wanted {
        match skip(element, &mut r) {
            Ok(()) => len = bytes.len() - r.remaining(),
            Err(DecodeError::Truncated) => return Ok((count, len)),
            Err(e) => return Err(e),
        }
    }
    Ok((wanted, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(kind: StreamKind, element: Option<Type>) -> Elements {
        Elements {
            kind,
            element,
            buffer: BytesMut::new(),
            left: u32::from(kind.is_future()),
        }
    }

    /// Feeds `bytes` in pieces of `size`, and returns the count and bytes of the elements, and whether the
    /// stream ended.
    fn feed(mut elements: Elements, bytes: &[u8], size: usize) -> (usize, Vec<u8>, bool) {
        let (mut count, mut out) = (0, Vec::new());
        let mut pieces = bytes.chunks(size);
        loop {
            match elements.next(3).unwrap() {
                Step::Chunk(chunk) => {
                    assert!(chunk.count <= 3);
                    count += chunk.count;
                    out.extend(chunk.payload.bytes);
                }
                Step::End => return (count, out, true),
                Step::More => match pieces.next() {
                    Some(piece) => elements.buffer.extend_from_slice(piece),
                    None => return (count, out, false),
                },
            }
        }
    }

    #[test]
    fn chunks_are_read_however_they_were_cut() {
        for size in 1..12 {
            let bytes = feed(
                elements(StreamKind::Bytes, Some(Type::U8)),
                b"\x05hello\x01!\x00",
                size,
            );
            assert_eq!(bytes, (6, b"hello!".to_vec(), true));
            let items = feed(
                elements(StreamKind::Items, Some(Type::String)),
                b"\x02\x01a\x02bc\x01\x00\x00",
                size,
            );
            assert_eq!(items, (3, b"\x01a\x02bc\x00".to_vec(), true));
            let units = feed(elements(StreamKind::Units, None), b"\x05\x00", size);
            assert_eq!(units, (5, vec![], true));
            let future = feed(
                elements(StreamKind::Future, Some(Type::U32)),
                b"\x81\x01",
                size,
            );
            assert_eq!(future, (1, b"\x81\x01".to_vec(), true));
        }
        let broken = feed(elements(StreamKind::Bytes, Some(Type::U8)), b"\x05hel", 9);
        assert_eq!(broken, (3, b"hel".to_vec(), false));
    }

    #[tokio::test]
    async fn streams_are_sent_as_v1_sends_them() {
        use futures::StreamExt as _;
        let (mut writer, reader) = pipe(StreamKind::Bytes, 64);
        writer.send(chunk(17, b"Hello from wasm!\n")).unwrap();
        writer.finish();
        let sent: Vec<_> = messages(reader).map(Result::unwrap).collect().await;
        // Recorded from wasmCloud v1.9.2: the body of a response.
        assert_eq!(sent, [&b"\x11Hello from wasm!\n"[..], b"\x00"]);

        let (mut writer, reader) = pipe(StreamKind::Future, 1);
        writer.send(chunk(1, b"\x00")).unwrap();
        writer.finish();
        let sent: Vec<_> = messages(reader).map(Result::unwrap).collect().await;
        assert_eq!(sent, [&b"\x00"[..]]);
    }
}
