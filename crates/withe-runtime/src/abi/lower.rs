//! From the codec's bytes to a guest's values.
//!
//! The bytes may come from another machine: they are read with the codec's bounds, and every index
//! and discriminant is checked against the guest's type.

use std::mem::MaybeUninit;
use std::slice;

use wasmtime::component::__internal::wasmtime_environ::component::{TypeMapIndex, VariantInfo};
use wasmtime::component::__internal::{InterfaceType, LowerContext};
use wasmtime::component::Lower;
use wasmtime::{Result, ValRaw, bail, format_err};
use withe_rpc::{DecodeError, Reader};

use super::flat::MAX_FLAT;
use super::values::{Cursor, Elements, GuestHandle, Transmit, Values};

type Slots<'a> = slice::IterMut<'a, MaybeUninit<ValRaw>>;

pub(super) fn to_flat<T, H: GuestHandle, const N: usize>(
    values: &Values<H, N>,
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    dst: &mut [MaybeUninit<ValRaw>; N],
) -> Result<()> {
    let mut lowerer = Lowerer::new(values, cx);
    let mut slots = dst.iter_mut();
    let abi = lowerer.cx.types.canonical_abi(&ty);
    if abi.flat_count(MAX_FLAT).is_some() {
        lowerer.flat(ty, &mut slots)?;
    } else {
        // Too many to be passed as core values: they go by way of memory, and one says where.
        let ptr = lowerer.allocate(1, abi.size32, abi.align32)?;
        lowerer.store(ty, ptr)?;
        put(&mut slots, ValRaw::i64(ptr as i64))?;
    }
    slots.for_each(|slot| _ = slot.write(ValRaw::u64(0)));
    lowerer.finish()
}

pub(super) fn to_memory<T, H: GuestHandle, const N: usize>(
    values: &Values<H, N>,
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    offset: usize,
) -> Result<()> {
    let mut lowerer = Lowerer::new(values, cx);
    lowerer.store(ty, offset)?;
    lowerer.finish()
}

/// Lowers the next `count` elements of a stream into the memory at `offset`.
pub(super) fn elements<T>(
    from: &Elements,
    cursor: &mut Cursor,
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    offset: usize,
    count: usize,
) -> Result<()> {
    let mut lowerer = Lowerer {
        cx,
        input: Reader::from_bytes(from.bytes.get(cursor.byte..).unwrap_or_default()),
        handles: &from.handles,
        next_handle: cursor.handle,
        streams: &from.streams,
        next_stream: cursor.stream,
    };
    lowerer.elements(ty, offset, count)?;
    *cursor = Cursor {
        byte: from.bytes.len() - lowerer.input.remaining(),
        handle: lowerer.next_handle,
        stream: lowerer.next_stream,
    };
    Ok(())
}

struct Lowerer<'a, 'b, 'c, T: 'static, H> {
    cx: &'b mut LowerContext<'c, T>,
    input: Reader<'a>,
    /// Handles and streams are numbered in the order in which they stand in the bytes: so each is
    /// given to the guest once.
    handles: &'a [H],
    next_handle: usize,
    streams: &'a [Transmit],
    next_stream: usize,
}

impl<'a, 'b, 'c, T: 'static, H: GuestHandle> Lowerer<'a, 'b, 'c, T, H> {
    fn new<const N: usize>(values: &'a Values<H, N>, cx: &'b mut LowerContext<'c, T>) -> Self {
        Self {
            cx,
            input: Reader::from_bytes(&values.bytes),
            handles: &values.handles,
            next_handle: 0,
            streams: &values.streams,
            next_stream: 0,
        }
    }

    /// Checks that everything was lowered.
    fn finish(&self) -> Result<()> {
        self.input.finish()?;
        if self.next_handle < self.handles.len() {
            bail!(DecodeError::Handle);
        }
        if self.next_stream < self.streams.len() {
            bail!(DecodeError::Stream);
        }
        Ok(())
    }

    /// Lowers a value passed as core values.
    fn flat(&mut self, ty: InterfaceType, dst: &mut Slots<'_>) -> Result<()> {
        let value = match ty {
            InterfaceType::Bool => ValRaw::u32(u32::from(self.input.bool()?)),
            InterfaceType::S8 => ValRaw::i32(i32::from(self.input.byte()? as i8)),
            InterfaceType::U8 => ValRaw::u32(u32::from(self.input.byte()?)),
            InterfaceType::S16 => ValRaw::i32(self.input.signed(16)? as i32),
            InterfaceType::U16 => ValRaw::u32(self.input.unsigned(16)? as u32),
            InterfaceType::S32 => ValRaw::i32(self.input.signed(32)? as i32),
            InterfaceType::U32 => ValRaw::u32(self.input.unsigned(32)? as u32),
            InterfaceType::S64 => ValRaw::i64(self.input.signed(64)?),
            InterfaceType::U64 => ValRaw::u64(self.input.unsigned(64)?),
            InterfaceType::Float32 => ValRaw::f32(u32::from_le_bytes(self.array()?)),
            InterfaceType::Float64 => ValRaw::f64(u64::from_le_bytes(self.array()?)),
            InterfaceType::Char => ValRaw::u32(u32::from(self.input.char()?)),
            InterfaceType::String => {
                let text = self.input.str()?;
                let mut pair = MaybeUninit::<[ValRaw; 2]>::uninit();
                text.linear_lower_to_flat(self.cx, ty, &mut pair)?;
                #[allow(unsafe_code, reason = "there is no safe way to read what was written")]
                // SAFETY: `linear_lower_to_flat` returned `Ok`, so it has written both.
                let [ptr, len] = unsafe { pair.assume_init() };
                put(dst, ptr)?;
                len
            }
            InterfaceType::List(i) => {
                let (ptr, len) = self.list(self.cx.types[i].element)?;
                put(dst, ValRaw::i64(ptr as i64))?;
                ValRaw::i64(len as i64)
            }
            InterfaceType::Map(i) => {
                let (ptr, len) = self.map(i)?;
                put(dst, ValRaw::i64(ptr as i64))?;
                ValRaw::i64(len as i64)
            }
            InterfaceType::Enum(i) => {
                let n = self.cx.types[i].names.len();
                ValRaw::u32(self.input.case(n)?)
            }
            InterfaceType::Own(_) | InterfaceType::Borrow(_) => ValRaw::u32(self.handle(ty)?),
            InterfaceType::FixedLengthList(i) => {
                let (element, size) = (self.cx.types[i].element, self.cx.types[i].size);
                for _ in 0..size {
                    self.flat(element, dst)?;
                }
                return Ok(());
            }
            InterfaceType::Record(i) => {
                let types = self.cx.types;
                for field in &types[i].fields {
                    self.flat(field.ty, dst)?;
                }
                return Ok(());
            }
            InterfaceType::Tuple(i) => {
                let types = self.cx.types;
                for ty in &types[i].types {
                    self.flat(*ty, dst)?;
                }
                return Ok(());
            }
            InterfaceType::Variant(i) => {
                let ty = &self.cx.types[i];
                let case = self.input.case(ty.cases.len())?;
                return self.flat_case(case, ty.cases[case as usize], ty.abi.flat_count, dst);
            }
            InterfaceType::Option(i) => {
                let ty = &self.cx.types[i];
                let some = self.input.bool()?;
                return self.flat_case(
                    u32::from(some),
                    some.then_some(ty.ty),
                    ty.abi.flat_count,
                    dst,
                );
            }
            InterfaceType::Result(i) => {
                let ty = &self.cx.types[i];
                let err = self.input.bool()?;
                let payload = if err { ty.err } else { ty.ok };
                return self.flat_case(u32::from(err), payload, ty.abi.flat_count, dst);
            }
            InterfaceType::Flags(i) => {
                let mut left = self.cx.types[i].names.len();
                while left > 0 {
                    let bits = self.flags(left.min(32))?;
                    put(dst, ValRaw::u32(bits))?;
                    left = left.saturating_sub(32);
                }
                return Ok(());
            }
            InterfaceType::Future(_) | InterfaceType::Stream(_) => ValRaw::u32(self.stream(ty)?),
            InterfaceType::ErrorContext(_) => return Err(unsupported()),
        };
        put(dst, value)
    }

    fn flat_case(
        &mut self,
        case: u32,
        payload: Option<InterfaceType>,
        flat_count: Option<u8>,
        dst: &mut Slots<'_>,
    ) -> Result<()> {
        let before = dst.len();
        put(dst, ValRaw::u32(case))?;
        if let Some(payload) = payload {
            self.flat(payload, dst)?;
        }
        // A variant always takes the slots of its widest case; the callee may read all of them.
        let all = flat_count.map_or(before, usize::from);
        for _ in before - dst.len()..all {
            put(dst, ValRaw::u64(0))?;
        }
        Ok(())
    }

    /// Lowers a value into memory. The bounds were checked for the whole list or tuple that the value
    /// is part of.
    fn store(&mut self, ty: InterfaceType, at: usize) -> Result<()> {
        match ty {
            InterfaceType::Bool => *self.cx.get(at) = [u8::from(self.input.bool()?)],
            InterfaceType::S8 | InterfaceType::U8 => *self.cx.get(at) = [self.input.byte()?],
            InterfaceType::S16 => *self.cx.get(at) = (self.input.signed(16)? as i16).to_le_bytes(),
            InterfaceType::U16 => {
                *self.cx.get(at) = (self.input.unsigned(16)? as u16).to_le_bytes()
            }
            InterfaceType::S32 => *self.cx.get(at) = (self.input.signed(32)? as i32).to_le_bytes(),
            InterfaceType::U32 => {
                *self.cx.get(at) = (self.input.unsigned(32)? as u32).to_le_bytes()
            }
            InterfaceType::S64 => *self.cx.get(at) = self.input.signed(64)?.to_le_bytes(),
            InterfaceType::U64 => *self.cx.get(at) = self.input.unsigned(64)?.to_le_bytes(),
            InterfaceType::Float32 => *self.cx.get(at) = self.array::<4>()?,
            InterfaceType::Float64 => *self.cx.get(at) = self.array::<8>()?,
            InterfaceType::Char => *self.cx.get(at) = u32::from(self.input.char()?).to_le_bytes(),
            InterfaceType::String => self.input.str()?.linear_lower_to_memory(self.cx, ty, at)?,
            InterfaceType::List(i) => {
                let pair = self.list(self.cx.types[i].element)?;
                self.store_pair(pair, at);
            }
            InterfaceType::Map(i) => {
                let pair = self.map(i)?;
                self.store_pair(pair, at);
            }
            InterfaceType::FixedLengthList(i) => {
                let (element, size) = (self.cx.types[i].element, self.cx.types[i].size);
                self.elements(element, at, size as usize)?;
            }
            InterfaceType::Record(i) => {
                let types = self.cx.types;
                let mut end = at;
                for field in &types[i].fields {
                    self.field(field.ty, &mut end)?;
                }
            }
            InterfaceType::Tuple(i) => {
                let types = self.cx.types;
                let mut end = at;
                for ty in &types[i].types {
                    self.field(*ty, &mut end)?;
                }
            }
            InterfaceType::Variant(i) => {
                let ty = &self.cx.types[i];
                let case = self.input.case(ty.cases.len())?;
                self.store_case(case, ty.cases[case as usize], &ty.info, at)?;
            }
            InterfaceType::Option(i) => {
                let ty = &self.cx.types[i];
                let some = self.input.bool()?;
                self.store_case(u32::from(some), some.then_some(ty.ty), &ty.info, at)?;
            }
            InterfaceType::Result(i) => {
                let ty = &self.cx.types[i];
                let err = self.input.bool()?;
                self.store_case(
                    u32::from(err),
                    if err { ty.err } else { ty.ok },
                    &ty.info,
                    at,
                )?;
            }
            InterfaceType::Enum(i) => {
                let ty = &self.cx.types[i];
                let case = self.input.case(ty.names.len())?;
                self.store_case(case, None, &ty.info, at)?;
            }
            InterfaceType::Flags(i) => match self.cx.types[i].names.len() {
                n @ 0..=8 => *self.cx.get(at) = [self.flags(n)? as u8],
                n @ 9..=16 => *self.cx.get(at) = (self.flags(n)? as u16).to_le_bytes(),
                n => {
                    for word in 0..n.div_ceil(32) {
                        let bits = self.flags((n - 32 * word).min(32))?;
                        *self.cx.get(at + 4 * word) = bits.to_le_bytes();
                    }
                }
            },
            InterfaceType::Own(_) | InterfaceType::Borrow(_) => {
                *self.cx.get(at) = self.handle(ty)?.to_le_bytes();
            }
            InterfaceType::Future(_) | InterfaceType::Stream(_) => {
                *self.cx.get(at) = self.stream(ty)?.to_le_bytes();
            }
            InterfaceType::ErrorContext(_) => return Err(unsupported()),
        }
        Ok(())
    }

    fn field(&mut self, ty: InterfaceType, end: &mut usize) -> Result<()> {
        let at = self.cx.types.canonical_abi(&ty).next_field32_size(end);
        self.store(ty, at)
    }

    fn store_pair(&mut self, (ptr, len): (usize, usize), at: usize) {
        // Both come from a 32-bit memory's allocator and a 32-bit count.
        *self.cx.get(at) = (ptr as u32).to_le_bytes();
        *self.cx.get(at + 4) = (len as u32).to_le_bytes();
    }

    fn store_case(
        &mut self,
        case: u32,
        payload: Option<InterfaceType>,
        info: &VariantInfo,
        at: usize,
    ) -> Result<()> {
        match usize::from(info.size) {
            1 => *self.cx.get(at) = [case as u8],
            2 => *self.cx.get(at) = (case as u16).to_le_bytes(),
            _ => *self.cx.get(at) = case.to_le_bytes(),
        }
        match payload {
            Some(ty) => self.store(ty, at + info.payload_offset32 as usize),
            None => Ok(()),
        }
    }

    fn list(&mut self, element: InterfaceType) -> Result<(usize, usize)> {
        let abi = self.cx.types.canonical_abi(&element);
        let (size, align) = (abi.size32, abi.align32);
        let len = self.input.count(1)?;
        let ptr = self.allocate(len, size, align)?;
        self.elements(element, ptr, len)?;
        Ok((ptr, len))
    }

    fn map(&mut self, ty: TypeMapIndex) -> Result<(usize, usize)> {
        let types = self.cx.types;
        let ty = &types[ty];
        let len = self.input.count(2)?;
        let ptr = self.allocate(len, ty.entry_abi.size32, ty.entry_abi.align32)?;
        for at in (0..len).map(|i| ptr + i * ty.entry_abi.size32 as usize) {
            self.store(ty.key, at)?;
            self.store(ty.value, at + ty.value_offset32 as usize)?;
        }
        Ok((ptr, len))
    }

    fn allocate(&mut self, len: usize, size: u32, align: u32) -> Result<usize> {
        let bytes = u32::try_from(len as u64 * u64::from(size))
            .map_err(|_| format_err!("a list of {len} elements does not fit the guest's memory"))?;
        self.cx.realloc(0, 0, align, bytes as usize)
    }

    fn elements(&mut self, element: InterfaceType, ptr: usize, len: usize) -> Result<()> {
        let size = self.cx.types.canonical_abi(&element).size32 as usize;
        match element {
            InterfaceType::U8
            | InterfaceType::S8
            | InterfaceType::Float32
            | InterfaceType::Float64 => {
                let bytes = self.input.raw(size * len)?;
                self.cx.as_slice_mut()[ptr..][..bytes.len()].copy_from_slice(bytes);
            }
            InterfaceType::U16 => {
                self.scalars(ptr, len, |r| Ok((r.unsigned(16)? as u16).to_le_bytes()))?
            }
            InterfaceType::U32 => {
                self.scalars(ptr, len, |r| Ok((r.unsigned(32)? as u32).to_le_bytes()))?
            }
            InterfaceType::U64 => self.scalars(ptr, len, |r| Ok(r.unsigned(64)?.to_le_bytes()))?,
            InterfaceType::S16 => {
                self.scalars(ptr, len, |r| Ok((r.signed(16)? as i16).to_le_bytes()))?
            }
            InterfaceType::S32 => {
                self.scalars(ptr, len, |r| Ok((r.signed(32)? as i32).to_le_bytes()))?
            }
            InterfaceType::S64 => self.scalars(ptr, len, |r| Ok(r.signed(64)?.to_le_bytes()))?,
            _ => {
                for i in 0..len {
                    self.store(element, ptr + i * size)?;
                }
            }
        }
        Ok(())
    }

    fn scalars<const N: usize>(
        &mut self,
        ptr: usize,
        len: usize,
        read: impl Fn(&mut Reader<'a>) -> Result<[u8; N], DecodeError>,
    ) -> Result<()> {
        let slots = self.cx.as_slice_mut()[ptr..][..N * len]
            .as_chunks_mut::<N>()
            .0;
        for slot in slots {
            *slot = read(&mut self.input)?;
        }
        Ok(())
    }

    fn handle(&mut self, ty: InterfaceType) -> Result<u32> {
        let i = self.input.handle_index()?;
        let handle = self.handles.get(i).filter(|_| i == self.next_handle);
        let handle = *handle.ok_or(DecodeError::Handle)?;
        self.next_handle += 1;
        handle.lower(self.cx, ty)
    }

    fn stream(&mut self, ty: InterfaceType) -> Result<u32> {
        let i = self.input.stream_index()?;
        let stream = self.streams.get(i).filter(|_| i == self.next_stream);
        let stream = stream.ok_or(DecodeError::Stream)?;
        self.next_stream += 1;
        stream.lower(self.cx, ty)
    }

    fn flags(&mut self, n: usize) -> Result<u32> {
        let mut bits = [0; 4];
        let bytes = self.input.raw(n.div_ceil(8))?;
        bits[..bytes.len()].copy_from_slice(bytes);
        let bits = u32::from_le_bytes(bits);
        if n < 32 && bits >> n != 0 {
            bail!(DecodeError::Discriminant);
        }
        Ok(bits)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        // `raw` gives exactly `N` bytes.
        Ok(*self
            .input
            .raw(N)?
            .first_chunk()
            .ok_or(DecodeError::Truncated)?)
    }
}

fn put(dst: &mut Slots<'_>, value: ValRaw) -> Result<()> {
    dst.next()
        .ok_or_else(|| format_err!("more core values than the type takes"))?
        .write(value);
    Ok(())
}

/// The linker binds no such function here; this is the net under it.
fn unsupported() -> wasmtime::Error {
    format_err!("error contexts do not cross this binding")
}
