//! Walking encoded values by their types.

use withe_rpc::codec::Writer;
use withe_rpc::{DecodeError, Reader};
use withe_wit::Type;

use crate::wire::names;

/// Reads past one value of type `ty`, which has no streams, futures or handles.
///
/// # Errors
///
/// If the bytes are not such a value.
pub(crate) fn skip(ty: &Type, r: &mut Reader<'_>) -> Result<(), DecodeError> {
    match ty {
        Type::Bool => _ = r.bool()?,
        Type::U8 | Type::S8 => _ = r.byte()?,
        Type::U16 => _ = r.unsigned(16)?,
        Type::U32 => _ = r.unsigned(32)?,
        Type::U64 => _ = r.unsigned(64)?,
        Type::S16 => _ = r.signed(16)?,
        Type::S32 => _ = r.signed(32)?,
        Type::S64 => _ = r.signed(64)?,
        Type::F32 => _ = r.raw(4)?,
        Type::F64 => _ = r.raw(8)?,
        Type::Char => _ = r.char()?,
        Type::String => _ = r.str()?,
        Type::List(element) => {
            let count = r.count(min_bytes(element))?;
            skip_many(element, count, r)?;
        }
        Type::FixedList(element, count) => skip_many(element, *count as usize, r)?,
        Type::Map(key, value) => {
            // A key takes at least a byte.
            for _ in 0..r.count(min_bytes(key).max(1) + min_bytes(value))? {
                skip(key, r)?;
                skip(value, r)?;
            }
        }
        Type::Option(some) => {
            if r.bool()? {
                skip(some, r)?;
            }
        }
        Type::Result(ok, err) => {
            let case = if r.bool()? { err } else { ok };
            case.iter().try_for_each(|ty| skip(ty, r))?;
        }
        Type::Tuple(types) => types.iter().try_for_each(|ty| skip(ty, r))?,
        Type::Record(record) => record.body.iter().try_for_each(|(_, ty)| skip(ty, r))?,
        Type::Variant(variant) => {
            let case = r.case(variant.body.len())? as usize;
            variant.body[case].1.iter().try_for_each(|ty| skip(ty, r))?;
        }
        Type::Enum(cases) => _ = r.case(cases.body.len())?,
        Type::Flags(flags) => _ = r.raw(flags.body.len().div_ceil(8))?,
        Type::Own(_) | Type::Borrow(_) => return Err(DecodeError::Handle),
        Type::ErrorContext | Type::Stream(_) | Type::Future(_) => return Err(DecodeError::Stream),
    }
    Ok(())
}

fn skip_many(element: &Type, count: usize, r: &mut Reader<'_>) -> Result<(), DecodeError> {
    match element {
        // In one step, however many.
        Type::U8 | Type::S8 => _ = r.raw(count)?,
        // Elements of no bytes are not worth a step each.
        _ if min_bytes(element) == 0 => {}
        _ => (0..count).try_for_each(|_| skip(element, r))?,
    }
    Ok(())
}

/// The fewest bytes that a value takes.
fn min_bytes(ty: &Type) -> usize {
    match ty {
        Type::Tuple(types) => types.iter().map(min_bytes).sum(),
        Type::Record(record) => record.body.iter().map(|(_, ty)| min_bytes(ty)).sum(),
        Type::FixedList(element, count) => min_bytes(element).saturating_mul(*count as usize),
        Type::Flags(flags) => flags.body.len().div_ceil(8),
        Type::F32 => 4,
        Type::F64 => 8,
        _ => 1,
    }
}

/// A visitor of streams and futures: called with the reader before a stream's own bytes, which it
/// reads, and writes the bytes that shall stand there instead.
pub(super) trait Visit {
    /// Takes over the stream or future of type `ty` at `path`.
    ///
    /// # Errors
    ///
    /// If what stands there is not such a one.
    fn visit(
        &mut self,
        ty: &Type,
        path: String,
        r: &mut Reader<'_>,
        w: &mut Writer,
    ) -> Result<(), DecodeError>;
}

/// Copies values with streams in them, which `visit` replaces.
///
/// # Errors
///
/// If the bytes are not exactly such values.
pub(super) fn copy<'t>(
    types: impl Iterator<Item = &'t Type>,
    bytes: &[u8],
    visit: &mut dyn Visit,
) -> Result<Vec<u8>, DecodeError> {
    let mut walk = Walk {
        r: Reader::from_bytes(bytes),
        w: Writer::with_capacity(bytes.len()),
        path: Vec::new(),
        visit,
    };
    walk.fields(types)?;
    walk.r.finish()?;
    Ok(walk.w.finish().bytes)
}

struct Walk<'a, 'v> {
    r: Reader<'a>,
    w: Writer,
    /// Positions in what is being walked.
    path: Vec<usize>,
    visit: &'v mut dyn Visit,
}

impl Walk<'_, '_> {
    fn fields<'t>(&mut self, types: impl Iterator<Item = &'t Type>) -> Result<(), DecodeError> {
        for (i, ty) in types.enumerate() {
            self.path.push(i);
            self.value(ty)?;
            self.path.pop();
        }
        Ok(())
    }

    fn value(&mut self, ty: &Type) -> Result<(), DecodeError> {
        if !ty.is_asynchronous() {
            let start = self.r.rest();
            skip(ty, &mut self.r)?;
            // The remaining bytes are the end of those that were read.
            self.w.raw(&start[..start.len() - self.r.remaining()]);
            return Ok(());
        }
        match ty {
            Type::Stream(_) | Type::Future(_) => {
                let path = names::path(&self.path);
                self.visit.visit(ty, path, &mut self.r, &mut self.w)
            }
            Type::Record(record) => self.fields(record.body.iter().map(|(_, ty)| ty)),
            Type::Tuple(types) => self.fields(types.iter()),
            // Values inside these are at the same position.
            Type::Option(some) => {
                let is_some = self.r.bool()?;
                self.w.byte(u8::from(is_some));
                if is_some { self.value(some) } else { Ok(()) }
            }
            Type::Result(ok, err) => {
                let is_err = self.r.bool()?;
                self.w.byte(u8::from(is_err));
                let case = if is_err { err } else { ok };
                case.iter().try_for_each(|ty| self.value(ty))
            }
            Type::Variant(variant) => {
                let case = self.r.case(variant.body.len())?;
                self.w.unsigned(u64::from(case));
                let payload = &variant.body[case as usize].1;
                payload.iter().try_for_each(|ty| self.value(ty))
            }
            // Refused when the link was made.
            _ => Err(DecodeError::Stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::streams::Past;
    use super::*;
    use std::sync::Arc;
    use withe_wit::ty::Named;

    fn named<T>(body: T) -> Named<T> {
        Named { name: None, body }
    }

    /// A type with something of everything that v1 carries, and a value of it.
    fn everything() -> (Vec<Type>, &'static [u8]) {
        let string = || Arc::new(Type::String);
        let fields = [Type::S16, Type::F32, Type::Char].map(|ty| ("f".to_owned(), ty));
        let cases = [("a".to_owned(), None), ("b".to_owned(), Some(Type::U64))];
        let types = vec![
            Type::Record(named(fields.into_iter().collect())),
            Type::Variant(named(cases.into_iter().collect())),
            Type::List(Arc::new(Type::Option(string()))),
            Type::Result(None, Some(string())),
            Type::Flags(named((0..9).map(|n| n.to_string()).collect())),
            Type::Enum(named(["x".to_owned(), "y".to_owned()].into())),
            Type::Map(string(), Arc::new(Type::Bool)),
            Type::FixedList(Arc::new(Type::U8), 3),
            Type::Tuple([Type::Bool, Type::Stream(Some(Arc::new(Type::U8)))].into()),
        ];
        let value =
            b"\x7f\x00\x00\x80\x3f\xc3\xa9\x01\x81\x01\x02\x00\x01\x02hi\x01\x01e\xff\x01\x01\
            \x01\x01k\x01abc\x01\x02yz";
        (types, value)
    }

    #[test]
    fn every_type_is_walked_to_its_end_and_no_further() {
        let (types, value) = everything();
        let copy = |bytes: &[u8]| copy(types.iter(), bytes, &mut Past);
        // `Past` leaves streams out of the copy.
        assert_eq!(copy(value).unwrap(), value[..value.len() - 3]);
        for n in 0..value.len() {
            assert!(copy(&value[..n]).is_err(), "{n} bytes");
        }
        assert_eq!(copy(&[value, b"x"].concat()), Err(DecodeError::Trailing));
    }

    #[test]
    fn no_bytes_make_it_panic_or_run_for_long() {
        let (types, value) = everything();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            let mut bytes = value.to_vec();
            for _ in 0..3 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let at = random as usize % bytes.len();
                bytes[at] = (random >> 32) as u8;
            }
            _ = copy(types.iter(), &bytes, &mut Past);
        }
        // A list of what takes no bytes, of a length that none of them bounds.
        let nothing = Type::List(Arc::new(Type::Tuple([].into())));
        let mut r = Reader::from_bytes(b"\xff\xff\xff\xff\x0f");
        assert_eq!(skip(&nothing, &mut r), Ok(()));
    }
}
