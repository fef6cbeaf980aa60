//! How many core values a function's parameters and results are passed in.

use wasmtime::component::types::{ComponentFunc, Type};

/// The most flat parameters that are passed as core values (`MAX_FLAT_PARAMS` of the canonical ABI).
pub(crate) const MAX_FLAT: usize = 16;

/// The facts about a function's type that a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Flat values of the parameters; more than [`MAX_FLAT`] go by way of memory.
    pub(crate) params: usize,
    /// Flat values of the result.
    pub(crate) results: usize,
    /// Whether the function is declared `async`.
    pub(crate) is_async: bool,
}

impl Shape {
    pub(crate) fn of(ty: &ComponentFunc) -> Self {
        Self {
            params: ty.params().fold(0, |n, (_, ty)| add(n, count(&ty))),
            results: ty.results().fold(0, |n, ty| add(n, count(&ty))),
            is_async: ty.async_(),
        }
    }
}

/// Counts are needed exactly only up to the maximum; capping them keeps a `list<T, 4294967295>` from
/// overflowing.
fn add(a: usize, b: usize) -> usize {
    (a + b).min(MAX_FLAT + 1)
}

fn count(ty: &Type) -> usize {
    let widest = |payloads: &mut dyn Iterator<Item = Option<Type>>| {
        add(
            1,
            payloads.flatten().map(|ty| count(&ty)).max().unwrap_or(0),
        )
    };
    match ty {
        Type::Bool
        | Type::S8
        | Type::U8
        | Type::S16
        | Type::U16
        | Type::S32
        | Type::U32
        | Type::S64
        | Type::U64
        | Type::Float32
        | Type::Float64
        | Type::Char
        | Type::Enum(_)
        | Type::Own(_)
        | Type::Borrow(_)
        | Type::Future(_)
        | Type::Stream(_)
        | Type::ErrorContext => 1,
        Type::String | Type::List(_) | Type::Map(_) => 2,
        Type::FixedLengthList(list) => {
            (count(&list.ty()) * list.len().min(17) as usize).min(MAX_FLAT + 1)
        }
        Type::Record(r) => r.fields().fold(0, |n, f| add(n, count(&f.ty))),
        Type::Tuple(t) => t.types().fold(0, |n, ty| add(n, count(&ty))),
        Type::Variant(v) => widest(&mut v.cases().map(|c| c.ty)),
        Type::Option(o) => widest(&mut std::iter::once(Some(o.ty()))),
        Type::Result(r) => widest(&mut [r.ok(), r.err()].into_iter()),
        Type::Flags(f) => f.names().len().div_ceil(32),
    }
}
