//! Random values of a type, as the oracle takes them and as text.

use proptest::char;
use proptest::collection::vec;
use proptest::num::{f32, f64};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::Union;
use wasmtime::component::Val;

use crate::ty::{self, Scalar, Ty};

/// The most elements of a list, by how many lists it is in.
const LENGTHS: [usize; 4] = [40, 8, 4, 2];

/// Values of a type without maps and fixed lengths (see [`Ty::plain`]).
pub(crate) fn of(ty: &Ty) -> BoxedStrategy<Val> {
    nested(ty, 0)
}

/// Values in as many lists as `lists` says.
fn nested(ty: &Ty, lists: usize) -> BoxedStrategy<Val> {
    let inner = |ty: &Ty| nested(ty, lists);
    match ty {
        Ty::Scalar(kind) => scalar(*kind),
        Ty::String => vec(character(), 0..=24)
            .prop_map(|characters| Val::String(characters.into_iter().collect()))
            .boxed(),
        Ty::List(ty) => {
            let most = LENGTHS[lists.min(LENGTHS.len() - 1)];
            vec(nested(ty, lists + 1), 0..=most)
                .prop_map(Val::List)
                .boxed()
        }
        Ty::Tuple(types) => {
            let values: Vec<_> = types.iter().map(inner).collect();
            values.prop_map(Val::Tuple).boxed()
        }
        Ty::Record(types) => {
            let values: Vec<_> = types.iter().map(inner).collect();
            let named = |values: Vec<Val>| (0..).map(ty::field).zip(values).collect();
            values
                .prop_map(move |values| Val::Record(named(values)))
                .boxed()
        }
        Ty::Variant(cases) => {
            let cases = (0..).zip(cases).map(|(i, ty)| {
                let named = move |value| Val::Variant(ty::case(i), value);
                payload(ty.as_ref(), lists).prop_map(named).boxed()
            });
            Union::new(cases).boxed()
        }
        Ty::Enum(cases) => (0..*cases).prop_map(|i| Val::Enum(ty::case(i))).boxed(),
        Ty::Flags(flags) => {
            let names: Vec<_> = (0..*flags).map(ty::flag).collect();
            subsequence(names, 0..=*flags).prop_map(Val::Flags).boxed()
        }
        Ty::Option(ty) => prop_oneof![
            1 => Just(Val::Option(None)),
            2 => payload(Some(ty), lists).prop_map(Val::Option),
        ]
        .boxed(),
        Ty::Result(ok, err) => prop_oneof![
            payload(ok.as_deref(), lists).prop_map(|ok| Val::Result(Ok(ok))),
            payload(err.as_deref(), lists).prop_map(|err| Val::Result(Err(err))),
        ]
        .boxed(),
        Ty::Alias(ty) => inner(ty),
        Ty::Map(..) | Ty::FixedLengthList(..) => unreachable!("a plain type has neither"),
    }
}

/// The payload of a case.
fn payload(ty: Option<&Ty>, lists: usize) -> BoxedStrategy<Option<Box<Val>>> {
    match ty {
        Some(ty) => nested(ty, lists)
            .prop_map(|value| Some(Box::new(value)))
            .boxed(),
        None => Just(None).boxed(),
    }
}

/// Any value of a kind, and the extremes often.
fn scalar(kind: Scalar) -> BoxedStrategy<Val> {
    macro_rules! integers {
        ($ty:ident, $case:ident) => {
            prop_oneof![
                1 => select(&[$ty::MIN, $ty::MAX, 0, 1, $ty::MIN + 1, $ty::MAX / 2 + 1][..]),
                2 => any::<$ty>(),
            ]
            .prop_map(Val::$case)
            .boxed()
        };
    }
    macro_rules! floats {
        ($ty:ident, $case:ident) => {
            prop_oneof![
                1 => select(&[
                    $ty::NAN,
                    $ty::INFINITY,
                    $ty::NEG_INFINITY,
                    -0.0,
                    $ty::MIN,
                    $ty::MAX,
                    $ty::MIN_POSITIVE,
                ][..]),
                2 => $ty::ANY,
            ]
            .prop_map(Val::$case)
            .boxed()
        };
    }
    match kind {
        Scalar::Bool => any::<bool>().prop_map(Val::Bool).boxed(),
        Scalar::U8 => integers!(u8, U8),
        Scalar::S8 => integers!(i8, S8),
        Scalar::U16 => integers!(u16, U16),
        Scalar::S16 => integers!(i16, S16),
        Scalar::U32 => integers!(u32, U32),
        Scalar::S32 => integers!(i32, S32),
        Scalar::U64 => integers!(u64, U64),
        Scalar::S64 => integers!(i64, S64),
        Scalar::F32 => floats!(f32, Float32),
        Scalar::F64 => floats!(f64, Float64),
        Scalar::Char => character().prop_map(Val::Char).boxed(),
    }
}

/// Characters of one to four bytes in UTF-8, and those at the borders.
fn character() -> BoxedStrategy<char> {
    let borders = [
        '\0',
        '\n',
        '\r',
        '\u{1b}',
        '"',
        '\'',
        '\\',
        '\u{7f}',
        '\u{80}',
        '\u{ff}',
        '\u{100}',
        '\u{7ff}',
        '\u{800}',
        '\u{d7ff}',
        '\u{e000}',
        '\u{feff}',
        '\u{ffff}',
        '\u{10000}',
        '\u{10ffff}',
    ];
    prop_oneof![
        1 => select(borders.to_vec()),
        1 => char::range(' ', '~'),
        1 => char::range('\u{a0}', '\u{ff}'),
        1 => char::any(),
    ]
    .boxed()
}
