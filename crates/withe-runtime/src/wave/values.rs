//! Values in WAVE to the codec's encoding, and back, by the types that were read from a component.
//!
//! Arguments were compared with the type before (`types::written`), and what comes back is of the type that the component
//! has; both are looked at all the same, as neither end proves it to the other.

use std::borrow::Cow;
use std::sync::Arc;

use wasmtime::component::wasm_wave::value::{Type as WaveType, Value};
use wasmtime::component::wasm_wave::wasm::{WasmType as _, WasmTypeKind as Kind, WasmValue as _};
use withe_rpc::pipe::pipe;
use withe_rpc::{Chunk, DecodeError, Payload, PipeReader, Reader, StreamKind, Writer};
use withe_wit::Type;

use super::types::{self, FUTURE, STREAM};

/// Why a value cannot be passed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ValueError {
    #[error("expected {expected} elements, found {found}")]
    Length { expected: u32, found: usize },
    #[error("a value of type `{0}` has no text")]
    NoText(String),
    #[error("a value is not of the type `{0}`")]
    OtherType(String),
    #[error("the component's values are not of the types that were read from it: {0}")]
    Decode(#[from] DecodeError),
}

/// Elements of a stream are passed in pieces of about so many bytes.
const PIECE: usize = 16 << 10;

/// How a stream or a future of a type is moved.
pub(super) fn kind(is_future: bool, of: Option<&Type>) -> StreamKind {
    match (is_future, of) {
        (true, None) => StreamKind::Signal,
        (true, Some(_)) => StreamKind::Future,
        (false, None) => StreamKind::Units,
        (false, Some(Type::U8)) => StreamKind::Bytes,
        (false, Some(_)) => StreamKind::Items,
    }
}

/// Writes a value of type `ty`, which is given as [`types::written`] says.
///
/// # Errors
///
/// If it is none.
pub(super) fn encode(value: &Value, ty: &Type, w: &mut Writer) -> Result<(), ValueError> {
    match (ty, value.kind()) {
        (Type::Bool, Kind::Bool) => w.byte(u8::from(value.unwrap_bool())),
        (Type::U8, Kind::U8) => w.byte(value.unwrap_u8()),
        (Type::S8, Kind::S8) => w.byte(value.unwrap_s8() as u8),
        (Type::U16, Kind::U16) => w.unsigned(value.unwrap_u16().into()),
        (Type::U32, Kind::U32) => w.unsigned(value.unwrap_u32().into()),
        (Type::U64, Kind::U64) => w.unsigned(value.unwrap_u64()),
        (Type::S16, Kind::S16) => w.signed(value.unwrap_s16().into()),
        (Type::S32, Kind::S32) => w.signed(value.unwrap_s32().into()),
        (Type::S64, Kind::S64) => w.signed(value.unwrap_s64()),
        (Type::F32, Kind::F32) => w.raw(&value.unwrap_f32().to_le_bytes()),
        (Type::F64, Kind::F64) => w.raw(&value.unwrap_f64().to_le_bytes()),
        (Type::Char, Kind::Char) => w.char(value.unwrap_char()),
        (Type::String, Kind::String) => w.counted(value.unwrap_string().as_bytes()),
        (Type::List(of), Kind::List) => {
            w.unsigned(value.unwrap_list().count() as u64);
            for item in value.unwrap_list() {
                encode(&item, of, w)?;
            }
        }
        (Type::FixedList(of, expected), Kind::List) => {
            let (expected, found) = (*expected, value.unwrap_list().count());
            if found != expected as usize {
                return Err(ValueError::Length { expected, found });
            }
            for item in value.unwrap_list() {
                encode(&item, of, w)?;
            }
        }
        (Type::Map(key, of), Kind::List) => {
            w.unsigned(value.unwrap_list().count() as u64);
            for pair in value.unwrap_list() {
                for (item, ty) in pair.unwrap_tuple().zip([key, of]) {
                    encode(&item, ty, w)?;
                }
            }
        }
        (Type::Tuple(types), Kind::Tuple) => {
            for (item, ty) in value.unwrap_tuple().zip(types.iter()) {
                encode(&item, ty, w)?;
            }
        }
        (Type::Record(record), Kind::Record) => {
            for ((_, item), (_, ty)) in value.unwrap_record().zip(record.body.iter()) {
                encode(&item, ty, w)?;
            }
        }
        (Type::Variant(variant), Kind::Variant) => {
            let (case, payload) = value.unwrap_variant();
            let mut cases = variant.body.iter().enumerate();
            let found = cases.find(|(_, (name, _))| *name == case);
            let (index, (_, of)) = found.ok_or_else(|| other_type(ty))?;
            w.unsigned(index as u64);
            encode_payload(payload.as_deref(), of.as_ref(), w)?;
        }
        (Type::Enum(cases), Kind::Enum) => {
            let case = value.unwrap_enum();
            let index = cases.body.iter().position(|name| *name == case);
            w.unsigned(index.ok_or_else(|| other_type(ty))? as u64);
        }
        (Type::Flags(names), Kind::Flags) => {
            let set: Vec<_> = value.unwrap_flags().collect();
            let names = names.body.iter();
            let flags: Vec<bool> = names.map(|name| set.iter().any(|s| s == name)).collect();
            w.flags(&flags);
        }
        (Type::Option(of), Kind::Option) => {
            let some = value.unwrap_option();
            w.byte(u8::from(some.is_some()));
            if let Some(some) = some {
                encode(&some, of, w)?;
            }
        }
        (Type::Result(ok, err), Kind::Result) => {
            let result = value.unwrap_result();
            w.byte(u8::from(result.is_err()));
            let (payload, of) = match result {
                Ok(payload) => (payload, ok),
                Err(payload) => (payload, err),
            };
            encode_payload(payload.as_deref(), of.as_deref(), w)?;
        }
        (Type::Stream(of), Kind::List) => {
            let kind = kind(false, of.as_deref());
            w.stream(stream(kind, value.unwrap_list(), of.as_deref())?);
        }
        (Type::Future(of), _) => {
            let kind = kind(true, of.as_deref());
            let values = [Cow::Borrowed(value)].into_iter();
            w.stream(stream(kind, values, of.as_deref())?);
        }
        (ty, _) => return Err(other_type(ty)),
    }
    Ok(())
}

fn encode_payload(
    payload: Option<&Value>,
    ty: Option<&Type>,
    w: &mut Writer,
) -> Result<(), ValueError> {
    match (payload, ty) {
        (Some(payload), Some(ty)) => encode(payload, ty, w),
        _ => Ok(()),
    }
}

fn other_type(ty: &Type) -> ValueError {
    ValueError::OtherType(ty.to_string())
}

/// A stream of values, all of which are there.
fn stream<'v>(
    kind: StreamKind,
    values: impl Iterator<Item = Cow<'v, Value>>,
    ty: Option<&Type>,
) -> Result<PipeReader, ValueError> {
    let (mut writer, reader) = pipe(kind, 0);
    let (mut piece, mut count) = (Writer::default(), 0);
    for value in values {
        if let Some(ty) = ty {
            encode(&value, ty, &mut piece)?;
        }
        count += 1;
        if piece.written() >= PIECE {
            let payload = std::mem::take(&mut piece).finish();
            // The reader is here.
            _ = writer.send(Chunk { count, payload });
            count = 0;
        }
    }
    let payload = piece.finish();
    _ = writer.send(Chunk { count, payload });
    writer.finish();
    Ok(reader)
}

/// A stream or future in a value that was read.
pub(super) struct Found {
    /// Fields, cases and places on the way to it, from outside.
    pub(super) path: Vec<String>,
    pub(super) at: FoundAt,
    pub(super) is_future: bool,
    /// The type of its elements.
    pub(super) of: Option<Arc<Type>>,
}

/// Where a stream or future is in the value's payload.
pub(super) enum FoundAt {
    /// Its place among the streams.
    Stream(usize),
    /// An `input-stream`: its place among the handles.
    Handle(usize),
}

/// Reads values, and finds the streams in them.
#[derive(Default)]
pub(super) struct Decoder {
    path: Vec<String>,
    pub(super) found: Vec<Found>,
}

impl Decoder {
    /// Reads what `payload` has one value of type `ty` of.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(super) fn only(&mut self, ty: &Type, payload: &Payload) -> Result<Value, ValueError> {
        let mut reader = Reader::new(payload);
        let value = self.value(ty, &mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    /// Reads the next value, of type `ty`.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(super) fn value(&mut self, ty: &Type, r: &mut Reader<'_>) -> Result<Value, ValueError> {
        let shown = types::shown(ty).ok_or_else(|| ValueError::NoText(ty.to_string()))?;
        self.of(ty, &shown, r)
    }

    /// Reads the next value, of type `ty`, which is shown as `shown`: made from it, so that both have the same parts.
    fn of(&mut self, ty: &Type, shown: &WaveType, r: &mut Reader<'_>) -> Result<Value, ValueError> {
        let made = match ty {
            Type::Bool => return Ok(Value::make_bool(r.bool()?)),
            Type::U8 => return Ok(Value::make_u8(r.byte()?)),
            Type::S8 => return Ok(Value::make_s8(r.byte()? as i8)),
            Type::U16 => return Ok(Value::make_u16(r.unsigned(16)? as u16)),
            Type::U32 => return Ok(Value::make_u32(r.unsigned(32)? as u32)),
            Type::U64 => return Ok(Value::make_u64(r.unsigned(64)?)),
            Type::S16 => return Ok(Value::make_s16(r.signed(16)? as i16)),
            Type::S32 => return Ok(Value::make_s32(r.signed(32)? as i32)),
            Type::S64 => return Ok(Value::make_s64(r.signed(64)?)),
            Type::F32 => return Ok(Value::make_f32(f32::from_le_bytes(array(r)?))),
            Type::F64 => return Ok(Value::make_f64(f64::from_le_bytes(array(r)?))),
            Type::Char => return Ok(Value::make_char(r.char()?)),
            Type::String => return Ok(Value::make_string(r.str()?.into())),
            Type::List(of) => {
                let count = r.count(1)?;
                self.list(of, shown, count, r)?
            }
            Type::FixedList(of, count) => self.list(of, shown, *count as usize, r)?,
            Type::Map(key, of) => {
                let pair: Arc<[Type]> = [(**key).clone(), (**of).clone()].into();
                let count = r.count(2)?;
                self.list(&Type::Tuple(pair), shown, count, r)?
            }
            Type::Tuple(types) => {
                let parts = types.iter().zip(shown.tuple_element_types()).enumerate();
                let parts: Result<Vec<_>, _> = parts
                    .map(|(place, (ty, shown))| self.at(place, ty, &shown, r))
                    .collect();
                Value::make_tuple(shown, parts?)
            }
            Type::Record(record) => {
                let mut values = Vec::new();
                for ((name, ty), (_, shown)) in record.body.iter().zip(shown.record_fields()) {
                    values.push((name.as_str(), self.at(name, ty, &shown, r)?));
                }
                Value::make_record(shown, values)
            }
            Type::Variant(variant) => {
                let (name, of) = &variant.body[r.case(variant.body.len())? as usize];
                let mut cases = shown.variant_cases();
                let shown_of = cases.find(|(case, _)| case == name).and_then(|(_, ty)| ty);
                let payload = self.payload(name, of.as_ref(), shown_of.as_ref(), r)?;
                Value::make_variant(shown, name, payload)
            }
            Type::Enum(cases) => {
                let case = r.case(cases.body.len())? as usize;
                Value::make_enum(shown, &cases.body[case])
            }
            Type::Flags(names) => {
                let bytes = r.raw(names.body.len().div_ceil(8))?;
                let set = names.body.iter().enumerate();
                let set = set.filter(|(i, _)| bytes[i / 8] & 1 << (i % 8) != 0);
                Value::make_flags(shown, set.map(|(_, name)| name.as_str()))
            }
            Type::Option(of) => {
                let of = r.bool()?.then_some(of);
                let shown_of = shown.option_some_type();
                let some = match (of, shown_of) {
                    (Some(of), Some(shown)) => Some(self.of(of, &shown, r)?),
                    _ => None,
                };
                Value::make_option(shown, some)
            }
            Type::Result(ok, err) => {
                let (shown_ok, shown_err) = shown.result_types().unwrap_or_default();
                let result = match r.bool()? {
                    false => match (ok, shown_ok) {
                        // Calls that succeed are what people look for: the way there says nothing.
                        (Some(ok), Some(shown)) => Ok(Some(self.of(ok, &shown, r)?)),
                        _ => Ok(None),
                    },
                    true => Err(self.payload("err", err.as_deref(), shown_err.as_ref(), r)?),
                };
                Value::make_result(shown, result)
            }
            Type::Stream(of) => {
                let at = FoundAt::Stream(r.stream_index()?);
                self.find(at, false, of.clone());
                Value::make_enum(shown, STREAM)
            }
            Type::Future(of) => {
                let at = FoundAt::Stream(r.stream_index()?);
                self.find(at, true, of.clone());
                Value::make_enum(shown, FUTURE)
            }
            Type::Own(resource) if types::is_input_stream(resource) => {
                let at = FoundAt::Handle(r.handle_index()?);
                self.find(at, false, Some(Arc::new(Type::U8)));
                Value::make_enum(shown, STREAM)
            }
            Type::Own(_) | Type::Borrow(_) | Type::ErrorContext => {
                return Err(ValueError::NoText(ty.to_string()));
            }
        };
        made.map_err(|_| other_type(ty))
    }

    fn find(&mut self, at: FoundAt, is_future: bool, of: Option<Arc<Type>>) {
        let path = self.path.clone();
        self.found.push(Found {
            path,
            at,
            is_future,
            of,
        });
    }

    /// Reads a part, whose place in the whole has that name.
    fn at(
        &mut self,
        place: impl ToString,
        ty: &Type,
        shown: &WaveType,
        r: &mut Reader<'_>,
    ) -> Result<Value, ValueError> {
        self.path.push(place.to_string());
        let value = self.of(ty, shown, r);
        self.path.pop();
        value
    }

    fn payload(
        &mut self,
        case: &str,
        of: Option<&Type>,
        shown: Option<&WaveType>,
        r: &mut Reader<'_>,
    ) -> Result<Option<Value>, ValueError> {
        match (of, shown) {
            (Some(of), Some(shown)) => self.at(case, of, shown, r).map(Some),
            _ => Ok(None),
        }
    }

    #[allow(
        clippy::type_complexity,
        reason = "WAVE's own result, as its other values have it"
    )]
    fn list(
        &mut self,
        of: &Type,
        shown: &WaveType,
        count: usize,
        r: &mut Reader<'_>,
    ) -> Result<Result<Value, wasmtime::component::wasm_wave::wasm::WasmValueError>, ValueError>
    {
        let shown_of = shown.list_element_type().ok_or_else(|| other_type(of))?;
        // No more is allocated than was sent: an element may be larger in memory.
        let mut values = Vec::with_capacity(count.min(1024));
        for place in 0..count {
            values.push(self.at(place, of, &shown_of, r)?);
        }
        Ok(Value::make_list(shown, values))
    }
}

fn array<const N: usize>(r: &mut Reader<'_>) -> Result<[u8; N], DecodeError> {
    // `raw` gives exactly `N` bytes.
    Ok(*r.raw(N)?.first_chunk().ok_or(DecodeError::Truncated)?)
}

#[cfg(test)]
mod tests {
    use wasmtime::component::wasm_wave;
    use withe_wit::World;

    use super::*;

    const WIT: &str = "package t:t; world w {
        enum color { red, none }
        flags rights { read, write, a, b, c, d, e, f, g }
        record item { name: string, price: f64, note: option<string> }
        variant shape { circle(f32), point }
        import f: func(a: list<item>, b: tuple<u8, s64>, c: color, d: rights, e: shape, f: result<u32, string>,
            g: option<option<bool>>, h: char, i: u64, j: result<_, u16>, k: list<list<s8>>);
        import g: func(a: stream<u32>, b: future<string>, c: tuple<u8, stream<u8>>);
    }";

    fn types(function: &str) -> Vec<Type> {
        let world = World::from_wit(&[WIT], "w").unwrap();
        let import = world.imports.iter().find(|i| i.name == function).unwrap();
        let params = import.functions()[0].params.iter();
        params.map(|(_, ty)| ty.clone()).collect()
    }

    fn encoded(text: &str, ty: &Type) -> Payload {
        let value: Value = wasm_wave::from_str(&types::written(ty).unwrap(), text).unwrap();
        let mut w = Writer::default();
        encode(&value, ty, &mut w).unwrap();
        w.finish()
    }

    #[test]
    fn values_go_both_ways() {
        let types = types("f");
        for (at, text) in [
            (0, r#"[{name: "pen", price: 1.5, note: some("x")}]"#),
            (1, "(255, -9223372036854775808)"),
            (2, "%none"),
            (3, "{write, g}"),
            (4, "circle(0.1)"),
            (4, "point"),
            (5, "ok(7)"),
            (5, "err(\"no\")"),
            (6, "none"),
            (6, "some(none)"),
            (6, "some(some(true))"),
            (7, "'é'"),
            (8, "18446744073709551615"),
            (9, "ok"),
            (9, "err(65535)"),
            (10, "[[1, -1], [], [-128]]"),
        ] {
            let payload = encoded(text, &types[at]);
            let value = Decoder::default().only(&types[at], &payload).unwrap();
            assert_eq!(wasm_wave::to_string(&value).unwrap(), text);
        }
    }

    #[test]
    fn streams_are_given_as_lists_and_found_where_they_are() {
        let types = types("g");
        for (at, text, shown, path) in [
            (0, "[1, 2]", "stream", &[][..]),
            (1, "\"x\"", "future", &[]),
            (2, "(7, [1, 2])", "(7, stream)", &["1"]),
        ] {
            let payload = encoded(text, &types[at]);
            assert_eq!(payload.streams.len(), 1);
            let mut decoder = Decoder::default();
            let value = decoder.only(&types[at], &payload).unwrap();
            assert_eq!(wasm_wave::to_string(&value).unwrap(), shown);
            assert_eq!(decoder.found[0].path, path);
            assert!(matches!(decoder.found[0].at, FoundAt::Stream(0)));
        }
    }

    #[test]
    fn bytes_that_are_no_value_are_refused() {
        let types = types("f");
        for (at, bytes) in [
            (0, &[255, 255, 255, 255, 15][..]),
            (2, &[2]),
            (6, &[2]),
            (8, &[]),
        ] {
            let payload = Payload {
                bytes: bytes.to_vec(),
                ..Payload::default()
            };
            assert!(Decoder::default().only(&types[at], &payload).is_err());
        }
    }
}
