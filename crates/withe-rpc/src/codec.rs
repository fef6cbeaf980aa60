//! The component model's value encoding, as wRPC uses it on the wire.
//!
//! | type | encoding |
//! |---|---|
//! | `bool`, `u8`, `s8` | one byte |
//! | `u16` `u32` `u64` | unsigned LEB128 |
//! | `s16` `s32` `s64` | signed LEB128 |
//! | `f32`, `f64` | little endian |
//! | `char` | its UTF-8 bytes |
//! | `string` | LEB128 length, UTF-8 |
//! | `list<T>` | LEB128 count, elements; `list<T, N>` only elements; `map<K, V>` as `list<tuple<K, V>>` |
//! | record, tuple | fields in order |
//! | variant, enum | LEB128 case, payload |
//! | `option`, `result` | one byte (0 none/ok, 1 some/err … see [`Encode`]), payload |
//! | flags | `ceil(n / 8)` bytes, little endian |
//! | handle | LEB128 index into [`Payload::handles`], which are in the order of the bytes |
//! | stream, future | LEB128 index into [`Payload::streams`], likewise |
//!
//! Everything read is bounded by the input: no length is trusted before the bytes are there, and
//! what is allocated up front is bounded by what is left to read.

use std::collections::BTreeMap;

use crate::{Chunk, HandleRef, Payload, PipeReader, StreamKind};

/// A piece of a stream ends when it has so many bytes, or so many handles or streams: so an element of any size goes with
/// few others or alone, and a piece stays far below what a frame and a connection take. The pieces that components write
/// end alike.
const PIECE_BYTES: usize = 64 << 10;
const PIECE_REFS: usize = 64;

/// Appends values.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    handles: Vec<HandleRef>,
    streams: Vec<PipeReader>,
}

impl Writer {
    /// A writer that will not grow before `bytes` are written.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// A writer that goes on behind `bytes`, which hold no handles and no streams.
    pub fn append(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            ..Self::default()
        }
    }

    /// How many bytes were written.
    #[inline]
    pub fn written(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing more should go into one piece of a stream.
    #[inline]
    fn fills_a_piece(&self) -> bool {
        self.bytes.len() >= PIECE_BYTES || self.handles.len().max(self.streams.len()) >= PIECE_REFS
    }

    /// The payload of all values written.
    pub fn finish(self) -> Payload {
        Payload {
            bytes: self.bytes,
            handles: self.handles,
            streams: self.streams,
        }
    }

    /// One byte.
    #[inline]
    pub fn byte(&mut self, b: u8) {
        self.bytes.push(b);
    }

    /// Bytes as they are.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Unsigned LEB128.
    #[inline]
    pub fn unsigned(&mut self, v: u64) {
        put_unsigned(&mut self.bytes, v);
    }

    /// Signed LEB128.
    #[inline]
    pub fn signed(&mut self, mut v: i64) {
        loop {
            let b = v as u8 & 0x7f;
            v >>= 7;
            if (v == 0 && b & 0x40 == 0) || (v == -1 && b & 0x40 != 0) {
                return self.bytes.push(b);
            }
            self.bytes.push(b | 0x80);
        }
    }

    /// A character's UTF-8.
    #[inline]
    pub fn char(&mut self, c: char) {
        self.raw(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// A length and as many bytes: a string, or a `list<u8>`.
    #[inline]
    pub fn counted(&mut self, bytes: &[u8]) {
        put_counted(&mut self.bytes, bytes);
    }

    /// Flags, eight a byte, the first one lowest.
    pub fn flags(&mut self, flags: &[bool]) {
        for eight in flags.chunks(8) {
            let bits = eight
                .iter()
                .rev()
                .fold(0, |bits, flag| bits << 1 | u8::from(*flag));
            self.byte(bits);
        }
    }

    /// A resource handle.
    pub fn handle(&mut self, handle: HandleRef) {
        self.unsigned(self.handles.len() as u64);
        self.handles.push(handle);
    }

    /// A stream or future: its readable end.
    pub fn stream(&mut self, reader: PipeReader) {
        self.unsigned(self.streams.len() as u64);
        self.streams.push(reader);
    }
}

/// Appends unsigned LEB128.
#[inline]
pub(crate) fn put_unsigned(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Appends a length and as many bytes.
#[inline]
pub(crate) fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    put_unsigned(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Why bytes are not the value they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end in the middle of a value.
    #[error("the bytes end in the middle of a value")]
    Truncated,
    /// There are bytes behind the last value.
    #[error("there are bytes behind the last value")]
    Trailing,
    /// A number does not fit its type, or is written with too many bytes.
    #[error("a number does not fit its type")]
    Overflow,
    /// A string or character is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// A case, flag or boolean that does not exist.
    #[error("a discriminant, flag or boolean is out of range")]
    Discriminant,
    /// A handle that was not sent, or was sent twice.
    #[error("a resource handle is not one of those sent")]
    Handle,
    /// A stream or future that was not sent, was sent twice, or is of another kind.
    #[error("a stream or future is not one of those sent")]
    Stream,
}

/// Reads values.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    handles: &'a [HandleRef],
    /// The streams that were not taken yet.
    streams: &'a mut [Option<PipeReader>],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `payload`, whose streams stay where they are: see [`Payload::take_with`].
    pub fn new(payload: &'a Payload) -> Self {
        Self {
            bytes: &payload.bytes,
            handles: &payload.handles,
            streams: &mut [],
        }
    }

    /// Reads from the start of `bytes`. A stream is taken out of its place.
    pub(crate) fn taking(
        bytes: &'a [u8],
        handles: &'a [HandleRef],
        streams: &'a mut [Option<PipeReader>],
    ) -> Self {
        Self {
            bytes,
            handles,
            streams,
        }
    }

    /// Reads from bytes that hold no handles, or whose handles are looked up elsewhere with
    /// [`Reader::handle_index`].
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            handles: &[],
            streams: &mut [],
        }
    }

    /// Bytes not read yet.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes that were not read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Checks that all was read.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Trailing`] if not.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing)
        }
    }

    /// The next `n` bytes.
    #[inline]
    pub fn raw(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self
            .bytes
            .split_at_checked(n)
            .ok_or(DecodeError::Truncated)?;
        self.bytes = tail;
        Ok(head)
    }

    /// One byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        let (&b, tail) = self.bytes.split_first().ok_or(DecodeError::Truncated)?;
        self.bytes = tail;
        Ok(b)
    }

    /// A byte that is 0 or 1.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Discriminant),
        }
    }

    /// Unsigned LEB128 of at most `bits` bits.
    #[inline]
    pub fn unsigned(&mut self, bits: u32) -> Result<u64, DecodeError> {
        let first = self.byte()?;
        if first < 0x80 {
            let v = u64::from(first);
            return if bits < 7 && v >> bits != 0 {
                Err(DecodeError::Overflow)
            } else {
                Ok(v)
            };
        }
        let mut v = u64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let b = self.byte()?;
            let part = u64::from(b & 0x7f);
            if shift >= bits || (bits - shift < 7 && part >> (bits - shift) != 0) {
                return Err(DecodeError::Overflow);
            }
            v |= part << shift;
            if b < 0x80 {
                return Ok(v);
            }
            shift += 7;
        }
    }

    /// Signed LEB128 of at most `bits` bits.
    #[inline]
    pub fn signed(&mut self, bits: u32) -> Result<i64, DecodeError> {
        let mut v: i128 = 0;
        let mut shift = 0;
        loop {
            let b = self.byte()?;
            if shift >= bits {
                return Err(DecodeError::Overflow);
            }
            v |= i128::from(b & 0x7f) << shift;
            shift += 7;
            if b < 0x80 {
                if b & 0x40 != 0 {
                    v -= 1 << shift;
                }
                let bound = 1i128 << (bits - 1);
                return if (-bound..bound).contains(&v) {
                    Ok(v as i64)
                } else {
                    Err(DecodeError::Overflow)
                };
            }
        }
    }

    /// A count of things that each take at least `min_bytes` bytes, so at most as many as there
    /// are bytes left: what it says can be allocated. Things of no bytes are bounded by `u32::MAX`.
    #[inline]
    pub fn count(&mut self, min_bytes: usize) -> Result<usize, DecodeError> {
        let n = self.unsigned(32)? as usize;
        if min_bytes > 0 && n > self.remaining() / min_bytes {
            return Err(DecodeError::Truncated);
        }
        Ok(n)
    }

    /// A length and as many bytes.
    #[inline]
    pub fn counted(&mut self) -> Result<&'a [u8], DecodeError> {
        let n = self.count(1)?;
        self.raw(n)
    }

    /// A string.
    #[inline]
    pub fn str(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.counted()?).map_err(|_| DecodeError::Utf8)
    }

    /// A character.
    pub fn char(&mut self) -> Result<char, DecodeError> {
        let len = match self.bytes.first().ok_or(DecodeError::Truncated)? {
            0..0x80 => 1,
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0..0xf8 => 4,
            _ => return Err(DecodeError::Utf8),
        };
        let text = std::str::from_utf8(self.raw(len)?).map_err(|_| DecodeError::Utf8)?;
        text.chars().next().ok_or(DecodeError::Utf8)
    }

    /// A case of `n`.
    #[inline]
    pub fn case(&mut self, n: usize) -> Result<u32, DecodeError> {
        let case = self.unsigned(32)?;
        if (case as usize) < n {
            Ok(case as u32)
        } else {
            Err(DecodeError::Discriminant)
        }
    }

    /// `N` flags.
    pub fn flags<const N: usize>(&mut self) -> Result<[bool; N], DecodeError> {
        let bytes = self.raw(N.div_ceil(8))?;
        let is_set = |bytes: &[u8], i: usize| bytes[i / 8] >> (i % 8) & 1 == 1;
        if (N..bytes.len() * 8).any(|i| is_set(bytes, i)) {
            return Err(DecodeError::Discriminant);
        }
        Ok(std::array::from_fn(|i| is_set(bytes, i)))
    }

    /// A handle's index in its payload.
    #[inline]
    pub fn handle_index(&mut self) -> Result<usize, DecodeError> {
        Ok(self.unsigned(32)? as usize)
    }

    /// A stream's or future's index in its payload.
    #[inline]
    pub fn stream_index(&mut self) -> Result<usize, DecodeError> {
        Ok(self.unsigned(32)? as usize)
    }

    /// A resource handle.
    pub fn handle(&mut self) -> Result<HandleRef, DecodeError> {
        let i = self.handle_index()?;
        self.handles.get(i).copied().ok_or(DecodeError::Handle)
    }

    /// Takes the readable end of a stream or future of this kind.
    pub fn stream(&mut self, kind: StreamKind) -> Result<PipeReader, DecodeError> {
        let i = self.stream_index()?;
        let stream = self.streams.get_mut(i).ok_or(DecodeError::Stream)?;
        let taken = stream.take_if(|stream| stream.kind() == kind);
        taken.ok_or(DecodeError::Stream)
    }
}

/// A Rust value that can be written. `option` is 0 or 1 and its value; `result` is 0 (ok) or 1
/// (error) and its value.
pub trait Encode {
    /// Appends the value.
    fn encode(&self, w: &mut Writer);

    /// Appends a list of such values; bytes go in one piece.
    fn encode_list(list: &[Self], w: &mut Writer)
    where
        Self: Sized,
    {
        w.unsigned(list.len() as u64);
        list.iter().for_each(|v| v.encode(w));
    }

    /// The next of `values` as a piece of a stream, one after the other: at most `most`, and fewer where they are large or
    /// have many handles or streams in them, but one at least.
    fn encode_elements(values: &mut std::vec::IntoIter<Self>, most: usize) -> Chunk
    where
        Self: Sized,
    {
        let mut w = Writer::default();
        let mut count = 0;
        for value in values.take(most) {
            value.encode(&mut w);
            count += 1;
            if w.fills_a_piece() {
                break;
            }
        }
        let payload = w.finish();
        Chunk { count, payload }
    }
}

/// A Rust value that can be read.
pub trait Decode: Sized {
    /// The fewest bytes a value takes; it bounds what a count may claim.
    const MIN_BYTES: usize;
    /// The kind of a stream of such values.
    const STREAM: StreamKind = StreamKind::Items;
    /// The kind of a future of such a value.
    const FUTURE: StreamKind = StreamKind::Future;

    /// Reads one value.
    ///
    /// # Errors
    ///
    /// If the bytes are not such a value.
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads a list of such values; bytes come in one piece.
    ///
    /// # Errors
    ///
    /// If the bytes are not such a list.
    fn decode_list(r: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        let n = r.count(Self::MIN_BYTES)?;
        // In memory an element may be much larger than the byte it takes here.
        let mut list = Vec::with_capacity(n.min(1024));
        for _ in 0..n {
            list.push(Self::decode(r)?);
        }
        Ok(list)
    }

    /// Reads `count` elements of a stream.
    ///
    /// # Errors
    ///
    /// If `payload` is not as many of such values.
    fn decode_elements(payload: Payload, count: usize) -> Result<Vec<Self>, DecodeError> {
        payload.take_with(|r| {
            // Where a value has no bytes, nothing but the count says how many there are.
            let mut list = Vec::with_capacity(count.min(1024));
            for _ in 0..count {
                list.push(Self::decode(r)?);
            }
            Ok(list)
        })
    }
}

macro_rules! integers {
    ($($ty:ty: $method:ident($bits:literal) as $wide:ty),*) => {$(
        impl Encode for $ty {
            fn encode(&self, w: &mut Writer) {
                w.$method(<$wide>::from(*self));
            }
        }
        impl Decode for $ty {
            const MIN_BYTES: usize = 1;
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(r.$method($bits)? as $ty)
            }
        }
    )*};
}
integers!(u16: unsigned(16) as u64, u32: unsigned(32) as u64, u64: unsigned(64) as u64,
          i16: signed(16) as i64, i32: signed(32) as i64, i64: signed(64) as i64);

macro_rules! simple {
    ($($ty:ty, $min:literal: |$w:ident, $v:ident| $enc:expr, |$r:ident| $dec:expr;)*) => {$(
        impl Encode for $ty {
            fn encode(&self, $w: &mut Writer) {
                let $v = self;
                $enc
            }
        }
        impl Decode for $ty {
            const MIN_BYTES: usize = $min;
            fn decode($r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                $dec
            }
        }
    )*};
}
simple! {
    bool, 1: |w, v| w.byte(u8::from(*v)), |r| r.bool();
    i8, 1: |w, v| w.byte(*v as u8), |r| Ok(r.byte()? as i8);
    // The slices are as long as the arrays.
    f32, 4: |w, v| w.raw(&v.to_le_bytes()), |r| Ok(f32::from_le_bytes(r.raw(4)?.try_into().map_err(|_| DecodeError::Truncated)?));
    f64, 8: |w, v| w.raw(&v.to_le_bytes()), |r| Ok(f64::from_le_bytes(r.raw(8)?.try_into().map_err(|_| DecodeError::Truncated)?));
    char, 1: |w, v| w.char(*v), |r| r.char();
    String, 1: |w, v| w.counted(v.as_bytes()), |r| Ok(r.str()?.to_owned());
}

impl Encode for u8 {
    fn encode(&self, w: &mut Writer) {
        w.byte(*self);
    }
    fn encode_list(list: &[Self], w: &mut Writer) {
        w.counted(list);
    }
    fn encode_elements(values: &mut std::vec::IntoIter<Self>, most: usize) -> Chunk {
        let count = most.min(values.len());
        let bytes = if count == values.len() {
            // All that is left goes without a copy.
            std::mem::take(values).collect()
        } else {
            let bytes = values.as_slice()[..count].to_vec();
            values.by_ref().take(count).for_each(drop);
            bytes
        };
        let payload = Payload {
            bytes,
            ..Payload::default()
        };
        Chunk { count, payload }
    }
}

impl Decode for u8 {
    const MIN_BYTES: usize = 1;
    const STREAM: StreamKind = StreamKind::Bytes;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.byte()
    }
    fn decode_list(r: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        r.counted().map(<[u8]>::to_vec)
    }
    fn decode_elements(payload: Payload, count: usize) -> Result<Vec<Self>, DecodeError> {
        match payload.bytes.len().cmp(&count) {
            std::cmp::Ordering::Less => Err(DecodeError::Truncated),
            std::cmp::Ordering::Equal => Ok(payload.bytes),
            std::cmp::Ordering::Greater => Err(DecodeError::Trailing),
        }
    }
}

/// Nothing: what a stream or future without a type is made of.
impl Encode for () {
    fn encode(&self, _: &mut Writer) {}
}

impl Decode for () {
    const MIN_BYTES: usize = 0;
    const STREAM: StreamKind = StreamKind::Units;
    const FUTURE: StreamKind = StreamKind::Signal;
    fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

impl Encode for str {
    fn encode(&self, w: &mut Writer) {
        w.counted(self.as_bytes());
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, w: &mut Writer) {
        (**self).encode(w);
    }
}

/// A `list<u8>`, as a `Vec<u8>` is too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByteList(pub Vec<u8>);

impl Encode for ByteList {
    fn encode(&self, w: &mut Writer) {
        w.counted(&self.0);
    }
}

impl Decode for ByteList {
    const MIN_BYTES: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(r.counted()?.to_owned()))
    }
}

/// A resource's number. Written, it is an `own`; read, it may have been an `own` or a `borrow`, as the
/// function's type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(pub u32);

impl Encode for Handle {
    fn encode(&self, w: &mut Writer) {
        w.handle(HandleRef {
            id: self.0,
            own: true,
        });
    }
}

impl Decode for Handle {
    const MIN_BYTES: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.handle().map(|h| Self(h.id))
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, w: &mut Writer) {
        T::encode_list(self, w);
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, w: &mut Writer) {
        T::encode_list(self, w);
    }
}

impl<T: Decode> Decode for Vec<T> {
    const MIN_BYTES: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::decode_list(r)
    }
}

/// A `list<T, N>`.
impl<T: Encode, const N: usize> Encode for [T; N] {
    fn encode(&self, w: &mut Writer) {
        self.iter().for_each(|v| v.encode(w));
    }
}

impl<T: Decode, const N: usize> Decode for [T; N] {
    const MIN_BYTES: usize = N.saturating_mul(T::MIN_BYTES);
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut list = Vec::with_capacity(N.min(1024));
        for _ in 0..N {
            list.push(T::decode(r)?);
        }
        // The list is as long as the array.
        list.try_into().map_err(|_| DecodeError::Truncated)
    }
}

/// A `map<K, V>`. Where a key comes twice, the later one counts.
impl<K: Encode, V: Encode> Encode for BTreeMap<K, V> {
    fn encode(&self, w: &mut Writer) {
        w.unsigned(self.len() as u64);
        for (key, value) in self {
            key.encode(w);
            value.encode(w);
        }
    }
}

impl<K: Decode + Ord, V: Decode> Decode for BTreeMap<K, V> {
    const MIN_BYTES: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let n = r.count(K::MIN_BYTES.saturating_add(V::MIN_BYTES))?;
        (0..n).map(|_| Ok((K::decode(r)?, V::decode(r)?))).collect()
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, w: &mut Writer) {
        w.byte(u8::from(self.is_some()));
        if let Some(v) = self {
            v.encode(w);
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    const MIN_BYTES: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(if r.bool()? { Some(T::decode(r)?) } else { None })
    }
}

impl<T: Encode, E: Encode> Encode for Result<T, E> {
    fn encode(&self, w: &mut Writer) {
        w.byte(u8::from(self.is_err()));
        match self {
            Ok(v) => v.encode(w),
            Err(e) => e.encode(w),
        }
    }
}

impl<T: Decode, E: Decode> Decode for Result<T, E> {
    const MIN_BYTES: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(if r.bool()? {
            Err(E::decode(r)?)
        } else {
            Ok(T::decode(r)?)
        })
    }
}

macro_rules! tuples {
    ($(($($t:ident $i:tt),*))*) => {$(
        impl<$($t: Encode),*> Encode for ($($t,)*) {
            fn encode(&self, w: &mut Writer) {
                $(self.$i.encode(w);)*
            }
        }
        impl<$($t: Decode),*> Decode for ($($t,)*) {
            const MIN_BYTES: usize = 0 $(+ $t::MIN_BYTES)*;
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(($($t::decode(r)?,)*))
            }
        }
    )*};
}
tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    fn round_trip<T: Encode + Decode + PartialEq + Debug>(v: T) {
        assert_eq!(Payload::of(&v).read::<T>().as_ref(), Ok(&v));
    }

    #[test]
    fn values_round_trip() {
        for v in [0u64, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            round_trip(v);
        }
        for v in [0i64, 1, -1, 63, 64, -64, -65, i64::MIN, i64::MAX] {
            round_trip(v);
        }
        round_trip((i16::MIN, i32::MIN, u16::MAX, i8::MIN, true, 'é'));
        round_trip(('\u{10ffff}', '\0', f32::MIN, f64::MAX));
        round_trip(vec![Some("a".to_owned()), None]);
        round_trip(Ok::<(u32, ByteList), String>((7, ByteList(vec![1, 2, 3]))));
        round_trip((Handle(9), Handle(9), Handle(4)));
        round_trip([[1u8, 2, 3], [4, 5, 6]]);
        round_trip(BTreeMap::from([(2u8, "b".to_owned()), (1, "a".to_owned())]));
    }

    #[test]
    fn bytes_are_a_list_of_bytes() {
        let bytes = Payload::of(&vec![7u8, 200, 0]).bytes;
        assert_eq!(bytes, [3, 7, 200, 0]);
        assert_eq!(Payload::of(&ByteList(vec![7, 200, 0])).bytes, bytes);
        round_trip(vec![7u8, 200, 0]);
        // An array's length is in its type.
        assert_eq!(Payload::of(&[7u8, 200, 0]).bytes, [7, 200, 0]);
    }

    #[test]
    fn flags_are_eight_a_byte() {
        let mut flags = [false; 9];
        (flags[0], flags[3], flags[8]) = (true, true, true);
        let mut w = Writer::default();
        w.flags(&flags);
        let bytes = w.finish().bytes;
        assert_eq!(bytes, [0b1001, 1]);
        assert_eq!(Reader::from_bytes(&bytes).flags(), Ok(flags));
        assert_eq!(Reader::from_bytes(&[]).flags(), Ok([]));
        let unknown = Reader::from_bytes(&[0, 2]).flags::<9>();
        assert_eq!(unknown, Err(DecodeError::Discriminant));
        let cut = Reader::from_bytes(&[0]).flags::<9>();
        assert_eq!(cut, Err(DecodeError::Truncated));
    }

    #[test]
    fn matches_what_v1_puts_on_the_wire() {
        // `increment("default", "counter", 1)`, recorded from wasmCloud v1.9.2.
        let params = Payload::of(&("default", "counter", 1u64));
        assert_eq!(params.bytes, b"\x07default\x07counter\x01");
    }

    #[test]
    fn rejects_what_is_not_a_value() {
        fn err<T: Decode + Debug>(bytes: &[u8]) -> DecodeError {
            Payload {
                bytes: bytes.into(),
                ..Payload::default()
            }
            .read::<T>()
            .unwrap_err()
        }
        assert_eq!(err::<u32>(&[0x80]), DecodeError::Truncated);
        assert_eq!(
            err::<u32>(&[0xff, 0xff, 0xff, 0xff, 0x1f]),
            DecodeError::Overflow
        );
        assert_eq!(err::<u16>(&[0x80, 0x80, 0x80, 0x00]), DecodeError::Overflow);
        assert_eq!(err::<i16>(&[0xff, 0xff, 0x03]), DecodeError::Overflow);
        assert_eq!(err::<bool>(&[2]), DecodeError::Discriminant);
        assert_eq!(err::<String>(&[2, b'a']), DecodeError::Truncated);
        assert_eq!(err::<String>(&[1, 0xff]), DecodeError::Utf8);
        assert_eq!(err::<char>(&[0xed, 0xa0, 0x80]), DecodeError::Utf8);
        assert_eq!(
            err::<Vec<u64>>(&[0xff, 0xff, 0xff, 0xff, 0x0f]),
            DecodeError::Truncated
        );
        assert_eq!(err::<Handle>(&[0]), DecodeError::Handle);
        assert_eq!(err::<u8>(&[1, 2]), DecodeError::Trailing);
    }
}
