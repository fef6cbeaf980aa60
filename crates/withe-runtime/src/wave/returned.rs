//! The result of a call: a value, and the streams in it, whose elements come as they are asked for.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use serde_json::Value as Json;
use wasmtime::component::wasm_wave;
use wasmtime::component::wasm_wave::value::Value;
use wasmtime::component::wasm_wave::wasm::{WasmTypeKind, WasmValue as _};
use withe_rpc::{CallError, Chunk, Payload, PipeReader, Reader, StreamKind};
use withe_wit::Type;

use super::json;
use super::types::{FUTURE, STREAM};
use super::values::{self, Decoder, Found, FoundAt, ValueError};

/// How many elements of a stream are asked for at a time. A component may have to make each of them, and whoever reads may want
/// few.
const ASKED: usize = 64;

/// How many bytes of a stream are asked for at a time.
const ASKED_BYTES: usize = 64 << 10;

/// A value that is to be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown(Value);

impl Shown {
    /// The value in WAVE. In the place of a stream stands `stream`, in that of a future `future`.
    pub fn text(&self) -> String {
        // WAVE has a text for all values that it has.
        wasm_wave::to_string(&self.0).unwrap_or_default()
    }

    /// The value as JSON.
    pub fn json(&self) -> Json {
        json::json(&self.0)
    }

    /// Whether it is the error of a `result`.
    pub fn is_err(&self) -> bool {
        self.0.kind() == WasmTypeKind::Result && self.0.unwrap_result().is_err()
    }

    /// Whether it holds nothing but streams and futures: all that there is to say is in these.
    pub fn is_only_streams(&self) -> bool {
        is_only_streams(&self.0)
    }
}

fn is_only_streams(value: &Value) -> bool {
    match value.kind() {
        // An enum of the component's own with such a case has no stream beside it, or is shown as it would be.
        WasmTypeKind::Enum => [STREAM, FUTURE].contains(&&*value.unwrap_enum()),
        WasmTypeKind::Tuple => value.unwrap_tuple().all(|part| is_only_streams(&part)),
        WasmTypeKind::Option => value
            .unwrap_option()
            .is_some_and(|some| is_only_streams(&some)),
        WasmTypeKind::Result => match value.unwrap_result() {
            Ok(payload) => payload.is_none_or(|payload| is_only_streams(&payload)),
            Err(_) => false,
        },
        _ => false,
    }
}

/// A call's result.
#[derive(Debug)]
pub struct Returned {
    /// Its result; `None` if it has none.
    pub value: Option<Shown>,
    /// The streams and futures in the result.
    pub streams: Vec<ReturnedStream>,
}

/// A stream or future that a call returned.
#[derive(Debug)]
pub struct ReturnedStream {
    /// Where it is in the value: names of fields and cases, and places, with `.` between them. Empty if it is all of the value,
    /// but for an option or a result around it.
    pub name: String,
    /// Whether it is a future.
    pub is_future: bool,
    /// Whether it says how something else went: a future of a `result` without a value.
    pub is_outcome: bool,
    /// The type of its elements; `None` if they have no value.
    of: Option<Arc<Type>>,
    reader: PipeReader,
    /// How many elements came.
    count: usize,
}

/// Elements of a stream.
#[derive(Debug)]
pub enum Elements {
    /// Bytes of a `stream<u8>`.
    Bytes(Vec<u8>),
    /// Values of other streams, with the streams in each.
    Values(Vec<Returned>),
}

/// The value that `payload` is, and its streams. `input` gives the stream that is in the place of one of its handles.
///
/// # Errors
///
/// If it is of another type.
pub(super) fn returned(
    ty: Option<&Type>,
    mut payload: Payload,
    input: &mut dyn FnMut(usize) -> Option<PipeReader>,
) -> Result<Returned, ValueError> {
    let Some(ty) = ty else {
        return Ok(Returned {
            value: None,
            streams: Vec::new(),
        });
    };
    let mut decoder = Decoder::default();
    let value = decoder.only(ty, &payload)?;
    let mut streams: Vec<_> = payload.streams.drain(..).map(Some).collect();
    Ok(Returned {
        value: Some(Shown(value)),
        streams: connected("", decoder.found, &mut streams, input)?,
    })
}

/// Streams that were found in a value, with the pipes that they are.
fn connected(
    within: &str,
    found: Vec<Found>,
    streams: &mut [Option<PipeReader>],
    input: &mut dyn FnMut(usize) -> Option<PipeReader>,
) -> Result<Vec<ReturnedStream>, ValueError> {
    let found = found.into_iter().map(|found| {
        let reader = match found.at {
            FoundAt::Stream(place) => streams.get_mut(place).and_then(Option::take),
            FoundAt::Handle(place) => input(place),
        };
        let of = found.of;
        let kind = values::kind(found.is_future, of.as_deref());
        let reader = reader.filter(|reader| reader.kind() == kind);
        let reader = reader.ok_or(withe_rpc::DecodeError::Stream)?;
        let path = Some(within.to_owned()).filter(|within| !within.is_empty());
        let path: Vec<_> = path.into_iter().chain(found.path).collect();
        Ok(ReturnedStream {
            name: path.join("."),
            is_future: found.is_future,
            is_outcome: found.is_future && matches!(of.as_deref(), Some(Type::Result(None, _))),
            of,
            reader,
            count: 0,
        })
    });
    found.collect()
}

impl ReturnedStream {
    /// Whether it is a stream of bytes.
    pub fn is_bytes(&self) -> bool {
        self.reader.kind() == StreamKind::Bytes
    }

    /// Whether there may be streams in its elements.
    pub fn brings_streams(&self) -> bool {
        let of = self.of.as_ref();
        of.is_some_and(|of| of.any(|ty| matches!(ty, Type::Stream(_) | Type::Future(_))))
    }

    /// Its readable end.
    pub(super) fn reader(&mut self) -> &mut PipeReader {
        &mut self.reader
    }

    /// The next elements, `None` at the end. The component is asked for them while this waits, and for none before.
    ///
    /// # Errors
    ///
    /// How the component, or the stream's other end, failed.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Elements, CallError>>> {
        let want = match self.reader.kind() {
            StreamKind::Bytes => ASKED_BYTES,
            StreamKind::Future | StreamKind::Signal => 1,
            StreamKind::Items | StreamKind::Units => ASKED,
        };
        // A future has one element, and does not end by itself.
        if self.is_future && self.count > 0 {
            return Poll::Ready(None);
        }
        match ready!(self.reader.poll_chunk(cx, want)) {
            None => Poll::Ready(None),
            Some(Err(why)) => Poll::Ready(Some(Err(why))),
            Some(Ok(chunk)) => {
                let elements = self.elements(chunk);
                let elements = elements.map_err(|e| CallError::TypeMismatch(e.to_string()));
                Poll::Ready(Some(elements))
            }
        }
    }

    fn elements(&mut self, chunk: Chunk) -> Result<Elements, ValueError> {
        let Chunk { count, mut payload } = chunk;
        if self.is_bytes() {
            return Ok(Elements::Bytes(payload.bytes));
        }
        let mut streams: Vec<_> = payload.streams.drain(..).map(Some).collect();
        let mut reader = Reader::new(&payload);
        let mut values = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            self.count += 1;
            let Some(of) = &self.of else {
                values.push(Returned {
                    value: None,
                    streams: Vec::new(),
                });
                continue;
            };
            let mut decoder = Decoder::default();
            let value = decoder.value(of, &mut reader)?;
            let within = match (self.is_future, self.name.as_str()) {
                // A future's value is in the place of the future.
                (true, name) => name.to_owned(),
                (false, "") => self.count.to_string(),
                (false, name) => format!("{name}.{}", self.count),
            };
            // Elements hold no handles: a type with some is refused before the call.
            let streams = connected(&within, decoder.found, &mut streams, &mut |_| None)?;
            values.push(Returned {
                value: Some(Shown(value)),
                streams,
            });
        }
        reader.finish()?;
        Ok(Elements::Values(values))
    }
}
