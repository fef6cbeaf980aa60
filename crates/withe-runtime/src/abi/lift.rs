//! From a guest's values to the codec's bytes.
//!
//! The guest's memory is read once and in order. Every pointer, length and discriminant is checked:
//! the guest is not trusted.

use std::slice;

use wasmtime::component::__internal::wasmtime_environ::component::{
    StringEncoding, TypeMapIndex, VariantInfo,
};
use wasmtime::component::__internal::{ComponentTypes, InterfaceType, LiftContext};
use wasmtime::{Result, ValRaw, bail, format_err};
use withe_rpc::{Writer, max_payload, payload_exceeded};

use super::values::{Elements, GuestHandle, Transmit, Values, check_aligned};

/// Bit of a `latin1+utf16` string's length that says it is UTF-16.
const UTF16_TAG: usize = 1 << 31;

pub(super) fn from_flat<H: GuestHandle, const N: usize>(
    cx: &mut LiftContext<'_>,
    ty: InterfaceType,
    src: &[ValRaw; N],
) -> Result<Values<H, N>> {
    let mut lifter = Lifter::new(cx);
    lifter.flat(ty, &mut src.iter())?;
    Ok(lifter.finish())
}

pub(super) fn from_memory<H: GuestHandle, const N: usize>(
    cx: &mut LiftContext<'_>,
    ty: InterfaceType,
    offset: usize,
) -> Result<Values<H, N>> {
    let mut lifter = Lifter::new(cx);
    // Wasmtime checks it for types of a size that it knows.
    check_aligned(lifter.types, ty, offset)?;
    lifter.load(ty, offset)?;
    Ok(lifter.finish())
}

/// Lifts the element of a stream that lies at `offset`, behind those that were lifted `before`.
pub(super) fn element(
    cx: &mut LiftContext<'_>,
    ty: InterfaceType,
    offset: usize,
    before: Elements,
) -> Result<Elements> {
    let before_bytes = before.bytes.len();
    let mut lifter = Lifter {
        types: cx.types,
        memory: cx.memory(),
        out: Writer::append(before.bytes),
        handles: before.handles,
        streams: before.streams,
        // Elements that are read at once are bounded by what their reader wants, and each by this.
        most: max_payload().saturating_add(before_bytes),
        cx,
    };
    lifter.load(ty, offset)?;
    Ok(lifter.finish())
}

struct Lifter<'a, 'b, H> {
    cx: &'b mut LiftContext<'a>,
    types: &'a ComponentTypes,
    memory: &'a [u8],
    out: Writer,
    handles: Vec<H>,
    streams: Vec<Transmit>,
    /// The most bytes that may be written.
    most: usize,
}

impl<'a, 'b, H: GuestHandle> Lifter<'a, 'b, H> {
    fn new(cx: &'b mut LiftContext<'a>) -> Self {
        Self {
            types: cx.types,
            memory: cx.memory(),
            out: Writer::with_capacity(64),
            handles: Vec::new(),
            streams: Vec::new(),
            most: max_payload(),
            cx,
        }
    }

    fn finish<const N: usize>(self) -> Values<H, N> {
        Values {
            bytes: self.out.finish().bytes,
            handles: self.handles,
            streams: self.streams,
        }
    }

    /// Lifts a value passed as core values.
    fn flat(&mut self, ty: InterfaceType, src: &mut slice::Iter<'_, ValRaw>) -> Result<()> {
        match ty {
            InterfaceType::Bool => self.out.byte(u8::from(next(src)?.get_i32() != 0)),
            InterfaceType::S8 | InterfaceType::U8 => self.out.byte(next(src)?.get_i32() as u8),
            InterfaceType::S16 => self.out.signed(i64::from(next(src)?.get_i32() as i16)),
            InterfaceType::U16 => self.out.unsigned(u64::from(next(src)?.get_i32() as u16)),
            InterfaceType::S32 => self.out.signed(i64::from(next(src)?.get_i32())),
            InterfaceType::U32 => self.out.unsigned(u64::from(next(src)?.get_u32())),
            InterfaceType::S64 => self.out.signed(next(src)?.get_i64()),
            InterfaceType::U64 => self.out.unsigned(next(src)?.get_u64()),
            InterfaceType::Float32 => self.out.raw(&next(src)?.get_f32().to_le_bytes()),
            InterfaceType::Float64 => self.out.raw(&next(src)?.get_f64().to_le_bytes()),
            InterfaceType::Char => self.char(next(src)?.get_u32())?,
            InterfaceType::String => {
                let (ptr, len) = flat_pair(src)?;
                self.string(ptr, len)?;
            }
            InterfaceType::List(i) => {
                let (ptr, len) = flat_pair(src)?;
                self.list(self.types[i].element, ptr, len)?;
            }
            InterfaceType::Map(i) => {
                let (ptr, len) = flat_pair(src)?;
                self.map(i, ptr, len)?;
            }
            InterfaceType::FixedLengthList(i) => {
                let list = &self.types[i];
                for _ in 0..list.size {
                    self.flat(list.element, src)?;
                }
            }
            InterfaceType::Record(i) => {
                for field in &self.types[i].fields {
                    self.flat(field.ty, src)?;
                }
            }
            InterfaceType::Tuple(i) => {
                for ty in &self.types[i].types {
                    self.flat(*ty, src)?;
                }
            }
            InterfaceType::Variant(i) => {
                let ty = &self.types[i];
                self.flat_case(ty.abi.flat_count, src, |out, case| {
                    let (_, payload) = case_of(ty.cases.get_index(case as usize), case)?;
                    out.unsigned(u64::from(case));
                    Ok(*payload)
                })?;
            }
            InterfaceType::Option(i) => {
                let ty = &self.types[i];
                self.flat_case(ty.abi.flat_count, src, |out, case| {
                    two_cases(out, case, None, Some(ty.ty))
                })?;
            }
            InterfaceType::Result(i) => {
                let ty = &self.types[i];
                self.flat_case(ty.abi.flat_count, src, |out, case| {
                    two_cases(out, case, ty.ok, ty.err)
                })?;
            }
            InterfaceType::Enum(i) => {
                let case = next(src)?.get_u32();
                case_of(self.types[i].names.iter().nth(case as usize), case)?;
                self.out.unsigned(u64::from(case));
            }
            InterfaceType::Flags(i) => {
                let mut left = self.types[i].names.len();
                while left > 0 {
                    self.flags(next(src)?.get_u32(), left.min(32));
                    left = left.saturating_sub(32);
                }
            }
            InterfaceType::Own(_) | InterfaceType::Borrow(_) => {
                let index = next(src)?.get_u32();
                self.handle(ty, index)?;
            }
            InterfaceType::Future(_) | InterfaceType::Stream(_) => {
                let index = next(src)?.get_u32();
                self.stream(ty, index)?;
            }
            InterfaceType::ErrorContext(_) => return Err(unsupported()),
        }
        Ok(())
    }

    /// Lifts a variant passed as core values; `head` writes the case and says what its payload is.
    fn flat_case(
        &mut self,
        flat_count: Option<u8>,
        src: &mut slice::Iter<'_, ValRaw>,
        head: impl FnOnce(&mut Writer, u32) -> Result<Option<InterfaceType>>,
    ) -> Result<()> {
        let before = src.len();
        let case = next(src)?.get_u32();
        if let Some(payload) = head(&mut self.out, case)? {
            self.flat(payload, src)?;
        }
        // A variant always takes the slots of its widest case.
        let used = before - src.len();
        let all = flat_count.map_or(before, usize::from);
        if let Some(skip) = all.checked_sub(used + 1) {
            src.nth(skip);
        }
        Ok(())
    }

    /// Lifts a value in memory.
    fn load(&mut self, ty: InterfaceType, at: usize) -> Result<()> {
        match ty {
            InterfaceType::Bool => self.out.byte(u8::from(self.bytes::<1>(at)?[0] != 0)),
            InterfaceType::S8 | InterfaceType::U8 => self.out.byte(self.bytes::<1>(at)?[0]),
            InterfaceType::S16 => self.out.signed(i16::from_le_bytes(self.bytes(at)?).into()),
            InterfaceType::U16 => self
                .out
                .unsigned(u16::from_le_bytes(self.bytes(at)?).into()),
            InterfaceType::S32 => self.out.signed(i32::from_le_bytes(self.bytes(at)?).into()),
            InterfaceType::U32 => self.out.unsigned(u64::from(self.u32(at)?)),
            InterfaceType::S64 => self.out.signed(i64::from_le_bytes(self.bytes(at)?)),
            InterfaceType::U64 => self.out.unsigned(u64::from_le_bytes(self.bytes(at)?)),
            InterfaceType::Float32 => self.out.raw(&self.bytes::<4>(at)?),
            InterfaceType::Float64 => self.out.raw(&self.bytes::<8>(at)?),
            InterfaceType::Char => self.char(self.u32(at)?)?,
            InterfaceType::String => {
                let (ptr, len) = self.pair(at)?;
                self.string(ptr, len)?;
            }
            InterfaceType::List(i) => {
                let (ptr, len) = self.pair(at)?;
                self.list(self.types[i].element, ptr, len)?;
            }
            InterfaceType::Map(i) => {
                let (ptr, len) = self.pair(at)?;
                self.map(i, ptr, len)?;
            }
            InterfaceType::FixedLengthList(i) => {
                let list = &self.types[i];
                self.elements(list.element, at, list.size as usize)?;
            }
            InterfaceType::Record(i) => {
                let mut end = at;
                for field in &self.types[i].fields {
                    self.field(field.ty, &mut end)?;
                }
            }
            InterfaceType::Tuple(i) => {
                let mut end = at;
                for ty in &self.types[i].types {
                    self.field(*ty, &mut end)?;
                }
            }
            InterfaceType::Variant(i) => {
                let ty = &self.types[i];
                let case = self.discriminant(&ty.info, at)?;
                let (_, payload) = case_of(ty.cases.get_index(case as usize), case)?;
                self.out.unsigned(u64::from(case));
                self.payload(*payload, &ty.info, at)?;
            }
            InterfaceType::Option(i) => {
                let ty = &self.types[i];
                let case = self.discriminant(&ty.info, at)?;
                let payload = two_cases(&mut self.out, case, None, Some(ty.ty))?;
                self.payload(payload, &ty.info, at)?;
            }
            InterfaceType::Result(i) => {
                let ty = &self.types[i];
                let case = self.discriminant(&ty.info, at)?;
                let payload = two_cases(&mut self.out, case, ty.ok, ty.err)?;
                self.payload(payload, &ty.info, at)?;
            }
            InterfaceType::Enum(i) => {
                let ty = &self.types[i];
                let case = self.discriminant(&ty.info, at)?;
                case_of(ty.names.iter().nth(case as usize), case)?;
                self.out.unsigned(u64::from(case));
            }
            InterfaceType::Flags(i) => match self.types[i].names.len() {
                n @ 0..=8 => self.flags(u32::from(self.bytes::<1>(at)?[0]), n),
                n @ 9..=16 => self.flags(u16::from_le_bytes(self.bytes(at)?).into(), n),
                n => {
                    for word in 0..n.div_ceil(32) {
                        self.flags(self.u32(at + 4 * word)?, (n - 32 * word).min(32));
                    }
                }
            },
            InterfaceType::Own(_) | InterfaceType::Borrow(_) => {
                let index = self.u32(at)?;
                self.handle(ty, index)?;
            }
            InterfaceType::Future(_) | InterfaceType::Stream(_) => {
                let index = self.u32(at)?;
                self.stream(ty, index)?;
            }
            InterfaceType::ErrorContext(_) => return Err(unsupported()),
        }
        Ok(())
    }

    /// Lifts a record's next field and moves `end` behind it.
    fn field(&mut self, ty: InterfaceType, end: &mut usize) -> Result<()> {
        let at = self.types.canonical_abi(&ty).next_field32_size(end);
        self.load(ty, at)
    }

    fn discriminant(&self, info: &VariantInfo, at: usize) -> Result<u32> {
        Ok(match usize::from(info.size) {
            1 => u32::from(self.bytes::<1>(at)?[0]),
            2 => u32::from(u16::from_le_bytes(self.bytes(at)?)),
            _ => self.u32(at)?,
        })
    }

    fn payload(&mut self, ty: Option<InterfaceType>, info: &VariantInfo, at: usize) -> Result<()> {
        match ty {
            Some(ty) => self.load(ty, at + info.payload_offset32 as usize),
            None => Ok(()),
        }
    }

    fn list(&mut self, element: InterfaceType, ptr: usize, len: usize) -> Result<()> {
        let abi = self.types.canonical_abi(&element);
        self.check_range(ptr, len, abi.size32 as usize, abi.align32 as usize)?;
        self.out.unsigned(len as u64);
        self.elements(element, ptr, len)?;
        self.check_room(0)
    }

    fn map(&mut self, ty: TypeMapIndex, ptr: usize, len: usize) -> Result<()> {
        let ty = &self.types[ty];
        let size = ty.entry_abi.size32 as usize;
        self.check_range(ptr, len, size, ty.entry_abi.align32 as usize)?;
        self.out.unsigned(len as u64);
        for at in (0..len).map(|i| ptr + i * size) {
            self.load(ty.key, at)?;
            self.load(ty.value, at + ty.value_offset32 as usize)?;
        }
        Ok(())
    }

    /// Lifts `len` elements that stand one behind the other.
    fn elements(&mut self, element: InterfaceType, ptr: usize, len: usize) -> Result<()> {
        let size = self.types.canonical_abi(&element).size32 as usize;
        let Some(all) = self.memory.get(ptr..ptr + size * len) else {
            bail!("list out of bounds")
        };
        match element {
            // Encoded as they lie in memory.
            InterfaceType::U8
            | InterfaceType::S8
            | InterfaceType::Float32
            | InterfaceType::Float64 => {
                self.out.raw(all);
            }
            InterfaceType::U16 => {
                self.scalars(all, |out, b| out.unsigned(u16::from_le_bytes(b).into()))
            }
            InterfaceType::U32 => {
                self.scalars(all, |out, b| out.unsigned(u32::from_le_bytes(b).into()))
            }
            InterfaceType::U64 => self.scalars(all, |out, b| out.unsigned(u64::from_le_bytes(b))),
            InterfaceType::S16 => {
                self.scalars(all, |out, b| out.signed(i16::from_le_bytes(b).into()))
            }
            InterfaceType::S32 => {
                self.scalars(all, |out, b| out.signed(i32::from_le_bytes(b).into()))
            }
            InterfaceType::S64 => self.scalars(all, |out, b| out.signed(i64::from_le_bytes(b))),
            _ => {
                for i in 0..len {
                    self.load(element, ptr + i * size)?;
                }
            }
        }
        Ok(())
    }

    fn scalars<const N: usize>(&mut self, all: &[u8], put: impl Fn(&mut Writer, [u8; N])) {
        for scalar in all.as_chunks::<N>().0 {
            put(&mut self.out, *scalar);
        }
    }

    fn string(&mut self, ptr: usize, len: usize) -> Result<()> {
        match self.cx.options().string_encoding {
            StringEncoding::Utf8 => {
                self.check_range(ptr, len, 1, 1)?;
                let bytes = &self.memory[ptr..ptr + len];
                std::str::from_utf8(bytes)?;
                self.out.counted(bytes);
            }
            StringEncoding::Utf16 => self.utf16(ptr, len)?,
            StringEncoding::CompactUtf16 if len & UTF16_TAG != 0 => {
                self.utf16(ptr, len ^ UTF16_TAG)?
            }
            StringEncoding::CompactUtf16 => {
                self.check_range(ptr, len, 1, 2)?;
                let text: String = self.memory[ptr..ptr + len]
                    .iter()
                    .map(|b| char::from(*b))
                    .collect();
                self.out.counted(text.as_bytes());
            }
        }
        Ok(())
    }

    fn utf16(&mut self, ptr: usize, units: usize) -> Result<()> {
        self.check_range(ptr, units, 2, 2)?;
        let units = self.memory[ptr..ptr + 2 * units].as_chunks::<2>().0;
        let text: String = char::decode_utf16(units.iter().map(|u| u16::from_le_bytes(*u)))
            .collect::<Result<_, _>>()?;
        self.out.counted(text.as_bytes());
        Ok(())
    }

    fn char(&mut self, code: u32) -> Result<()> {
        let Some(c) = char::from_u32(code) else {
            bail!("{code:#x} is not a character")
        };
        self.out.char(c);
        Ok(())
    }

    fn flags(&mut self, bits: u32, n: usize) {
        let bits = if n < 32 { bits & ((1 << n) - 1) } else { bits };
        self.out.raw(&bits.to_le_bytes()[..n.div_ceil(8)]);
    }

    fn handle(&mut self, ty: InterfaceType, index: u32) -> Result<()> {
        self.out.unsigned(self.handles.len() as u64);
        self.handles.push(H::lift(self.cx, ty, index)?);
        Ok(())
    }

    fn stream(&mut self, ty: InterfaceType, index: u32) -> Result<()> {
        self.out.unsigned(self.streams.len() as u64);
        self.streams.push(Transmit::lift(self.cx, ty, index)?);
        Ok(())
    }

    /// Checks that what was written, and as many bytes more, are not more than one call may carry. Small memories
    /// can mean large values: strings may overlap.
    fn check_room(&self, more: usize) -> Result<()> {
        let bytes = self.out.written().saturating_add(more);
        if bytes > self.most {
            return Err(payload_exceeded("values", bytes, self.most as u64).into());
        }
        Ok(())
    }

    /// Checks that `len` things of `size` bytes are in memory at `ptr`, and that there is room for them: no value is
    /// less than a byte.
    fn check_range(&mut self, ptr: usize, len: usize, size: usize, align: usize) -> Result<()> {
        if !ptr.is_multiple_of(align) {
            bail!("a list or string pointer is not aligned");
        }
        self.check_room(len)?;
        match len.checked_mul(size).and_then(|n| n.checked_add(ptr)) {
            Some(end) if end <= self.memory.len() => Ok(()),
            _ => bail!("a list or string is out of bounds of memory"),
        }
    }

    fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        self.memory
            .get(at..)
            .and_then(|m| m.first_chunk())
            .copied()
            .ok_or_else(|| format_err!("a value is out of bounds of memory"))
    }

    fn u32(&self, at: usize) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes(at)?))
    }

    fn pair(&self, at: usize) -> Result<(usize, usize)> {
        Ok((self.u32(at)? as usize, self.u32(at + 4)? as usize))
    }
}

fn next<'a>(src: &mut slice::Iter<'a, ValRaw>) -> Result<&'a ValRaw> {
    src.next()
        .ok_or_else(|| format_err!("fewer core values than the type takes"))
}

fn flat_pair(src: &mut slice::Iter<'_, ValRaw>) -> Result<(usize, usize)> {
    Ok((next(src)?.get_u32() as usize, next(src)?.get_u32() as usize))
}

fn case_of<T>(found: Option<T>, case: u32) -> Result<T> {
    found.ok_or_else(|| format_err!("discriminant {case} is out of range"))
}

/// Writes the case of an `option` or `result` and returns its payload's type.
fn two_cases(
    out: &mut Writer,
    case: u32,
    first: Option<InterfaceType>,
    second: Option<InterfaceType>,
) -> Result<Option<InterfaceType>> {
    let payload = match case {
        0 => first,
        1 => second,
        _ => bail!("discriminant {case} is out of range"),
    };
    out.byte(case as u8);
    Ok(payload)
}

/// The linker binds no such function here; this is the net under it.
fn unsupported() -> wasmtime::Error {
    format_err!("error contexts do not cross this binding")
}
