//! Values by way of Wasmtime's `Val`: slow, and right. Tests hold this crate's own code to the same
//! results.

use wasmtime::component::{ResourceAny, Type, Val};
use wasmtime::{Result, bail, format_err};
use withe_rpc::{Reader, Writer};

/// Reads one value of type `ty`.
pub(crate) fn decode(ty: &Type, r: &mut Reader<'_>, handles: &[ResourceAny]) -> Result<Val> {
    let boxed = |ty: Option<Type>, r: &mut Reader<'_>| -> Result<Option<Box<Val>>> {
        ty.map(|ty| decode(&ty, r, handles).map(Box::new))
            .transpose()
    };
    Ok(match ty {
        Type::Bool => Val::Bool(r.bool()?),
        Type::S8 => Val::S8(r.byte()? as i8),
        Type::U8 => Val::U8(r.byte()?),
        Type::S16 => Val::S16(r.signed(16)? as i16),
        Type::U16 => Val::U16(r.unsigned(16)? as u16),
        Type::S32 => Val::S32(r.signed(32)? as i32),
        Type::U32 => Val::U32(r.unsigned(32)? as u32),
        Type::S64 => Val::S64(r.signed(64)?),
        Type::U64 => Val::U64(r.unsigned(64)?),
        Type::Float32 => Val::Float32(f32::from_bits(u32::from_le_bytes(array(r)?))),
        Type::Float64 => Val::Float64(f64::from_bits(u64::from_le_bytes(array(r)?))),
        Type::Char => Val::Char(r.char()?),
        Type::String => Val::String(r.str()?.to_owned()),
        Type::List(list) => {
            let n = r.count(1)?;
            Val::List(
                (0..n)
                    .map(|_| decode(&list.ty(), r, handles))
                    .collect::<Result<_>>()?,
            )
        }
        Type::FixedLengthList(list) => Val::FixedLengthList(
            (0..list.len())
                .map(|_| decode(&list.ty(), r, handles))
                .collect::<Result<_>>()?,
        ),
        Type::Map(map) => {
            let n = r.count(2)?;
            let entry = |_| {
                Ok((
                    decode(&map.key(), r, handles)?,
                    decode(&map.value(), r, handles)?,
                ))
            };
            Val::Map((0..n).map(entry).collect::<Result<_>>()?)
        }
        Type::Record(record) => Val::Record(
            record
                .fields()
                .map(|f| Ok((f.name.to_owned(), decode(&f.ty, r, handles)?)))
                .collect::<Result<_>>()?,
        ),
        Type::Tuple(tuple) => Val::Tuple(
            tuple
                .types()
                .map(|ty| decode(&ty, r, handles))
                .collect::<Result<_>>()?,
        ),
        Type::Variant(variant) => {
            let index = r.case(variant.cases().len())? as usize;
            let case = variant
                .cases()
                .nth(index)
                .ok_or_else(|| format_err!("no case {index}"))?;
            Val::Variant(case.name.to_owned(), boxed(case.ty, r)?)
        }
        Type::Enum(ty) => {
            let index = r.case(ty.names().len())? as usize;
            Val::Enum(
                ty.names()
                    .nth(index)
                    .ok_or_else(|| format_err!("no case {index}"))?
                    .to_owned(),
            )
        }
        Type::Option(option) => {
            let some = r.bool()?;
            Val::Option(boxed(some.then(|| option.ty()), r)?)
        }
        Type::Result(result) => Val::Result(match r.bool()? {
            false => Ok(boxed(result.ok(), r)?),
            true => Err(boxed(result.err(), r)?),
        }),
        Type::Flags(flags) => {
            let bytes = r.raw(flags.names().len().div_ceil(8))?;
            let set = |(i, _): &(usize, &str)| bytes[i / 8] & 1 << (i % 8) != 0;
            Val::Flags(
                flags
                    .names()
                    .enumerate()
                    .filter(set)
                    .map(|(_, name)| name.to_owned())
                    .collect(),
            )
        }
        Type::Own(_) | Type::Borrow(_) => {
            let index = r.handle_index()?;
            Val::Resource(
                *handles
                    .get(index)
                    .ok_or_else(|| format_err!("no handle {index}"))?,
            )
        }
        Type::Future(_) | Type::Stream(_) | Type::ErrorContext => {
            bail!("streams, futures and error contexts do not cross this binding")
        }
    })
}

/// Writes one value of type `ty`; its resources go to `handles`.
pub(crate) fn encode(
    ty: &Type,
    value: &Val,
    w: &mut Writer,
    handles: &mut Vec<ResourceAny>,
) -> Result<()> {
    match (ty, value) {
        (_, Val::Bool(v)) => w.byte(u8::from(*v)),
        (_, Val::S8(v)) => w.byte(*v as u8),
        (_, Val::U8(v)) => w.byte(*v),
        (_, Val::S16(v)) => w.signed((*v).into()),
        (_, Val::U16(v)) => w.unsigned((*v).into()),
        (_, Val::S32(v)) => w.signed((*v).into()),
        (_, Val::U32(v)) => w.unsigned((*v).into()),
        (_, Val::S64(v)) => w.signed(*v),
        (_, Val::U64(v)) => w.unsigned(*v),
        (_, Val::Float32(v)) => w.raw(&v.to_bits().to_le_bytes()),
        (_, Val::Float64(v)) => w.raw(&v.to_bits().to_le_bytes()),
        (_, Val::Char(v)) => w.char(*v),
        (_, Val::String(v)) => w.counted(v.as_bytes()),
        (Type::List(ty), Val::List(list)) => {
            w.unsigned(list.len() as u64);
            list.iter()
                .try_for_each(|v| encode(&ty.ty(), v, w, handles))?;
        }
        (Type::FixedLengthList(ty), Val::FixedLengthList(list)) => {
            list.iter()
                .try_for_each(|v| encode(&ty.ty(), v, w, handles))?;
        }
        (Type::Map(ty), Val::Map(entries)) => {
            w.unsigned(entries.len() as u64);
            for (key, value) in entries {
                encode(&ty.key(), key, w, handles)?;
                encode(&ty.value(), value, w, handles)?;
            }
        }
        (Type::Record(ty), Val::Record(fields)) => {
            for (field, (_, value)) in ty.fields().zip(fields) {
                encode(&field.ty, value, w, handles)?;
            }
        }
        (Type::Tuple(ty), Val::Tuple(values)) => {
            ty.types()
                .zip(values)
                .try_for_each(|(ty, v)| encode(&ty, v, w, handles))?;
        }
        (Type::Variant(ty), Val::Variant(name, payload)) => {
            let (index, case) = find(ty.cases().enumerate(), |(_, c)| c.name == name)?;
            w.unsigned(index as u64);
            if let (Some(ty), Some(payload)) = (case.ty, payload) {
                encode(&ty, payload, w, handles)?;
            }
        }
        (Type::Enum(ty), Val::Enum(name)) => {
            let (index, _) = find(ty.names().enumerate(), |(_, n)| n == name)?;
            w.unsigned(index as u64);
        }
        (Type::Option(ty), Val::Option(payload)) => {
            w.byte(u8::from(payload.is_some()));
            if let Some(payload) = payload {
                encode(&ty.ty(), payload, w, handles)?;
            }
        }
        (Type::Result(ty), Val::Result(result)) => {
            w.byte(u8::from(result.is_err()));
            let (ty, payload) = match result {
                Ok(payload) => (ty.ok(), payload),
                Err(payload) => (ty.err(), payload),
            };
            if let (Some(ty), Some(payload)) = (ty, payload) {
                encode(&ty, payload, w, handles)?;
            }
        }
        (Type::Flags(ty), Val::Flags(set)) => {
            let mut bytes = vec![0; ty.names().len().div_ceil(8)];
            for (i, name) in ty.names().enumerate() {
                bytes[i / 8] |= u8::from(set.iter().any(|s| s == name)) << (i % 8);
            }
            w.raw(&bytes);
        }
        (Type::Own(_) | Type::Borrow(_), Val::Resource(resource)) => {
            w.unsigned(handles.len() as u64);
            handles.push(*resource);
        }
        _ => bail!("a value does not have the type of the function's result"),
    }
    Ok(())
}

fn find<T>(mut cases: impl Iterator<Item = T>, is: impl Fn(&T) -> bool) -> Result<T> {
    cases
        .find(|case| is(case))
        .ok_or_else(|| format_err!("a case that the type does not have"))
}

fn array<const N: usize>(r: &mut Reader<'_>) -> Result<[u8; N]> {
    // `raw` gives exactly `N` bytes.
    Ok(*r
        .raw(N)?
        .first_chunk()
        .ok_or(withe_rpc::DecodeError::Truncated)?)
}
