//! Random types of the component model, and their names in WIT.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// A type that has values only, no handles.
#[derive(Clone, Debug)]
pub(crate) enum Ty {
    Scalar(Scalar),
    String,
    List(Box<Ty>),
    FixedLengthList(Box<Ty>, usize),
    Map(Box<Ty>, Box<Ty>),
    Tuple(Vec<Ty>),
    Record(Vec<Ty>),
    Variant(Vec<Option<Ty>>),
    /// This many cases.
    Enum(usize),
    /// This many flags.
    Flags(usize),
    Option(Box<Ty>),
    Result(Option<Box<Ty>>, Option<Box<Ty>>),
    /// Another name for a type.
    Alias(Box<Ty>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar {
    Bool,
    U8,
    S8,
    U16,
    S16,
    U32,
    S32,
    U64,
    S64,
    F32,
    F64,
    Char,
}

impl Scalar {
    pub(crate) const ALL: [Self; 12] = [
        Self::Bool,
        Self::U8,
        Self::S8,
        Self::U16,
        Self::S16,
        Self::U32,
        Self::S32,
        Self::U64,
        Self::S64,
        Self::F32,
        Self::F64,
        Self::Char,
    ];

    pub(crate) fn wit(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "u8",
            Self::S8 => "s8",
            Self::U16 => "u16",
            Self::S16 => "s16",
            Self::U32 => "u32",
            Self::S32 => "s32",
            Self::U64 => "u64",
            Self::S64 => "s64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Char => "char",
        }
    }
}

/// How deep types are nested.
const DEPTH: u32 = 4;

/// About how many types one type is made of.
const SIZE: u32 = 24;

/// A type that contains no other.
pub(crate) fn leaf() -> BoxedStrategy<Ty> {
    prop_oneof![
        12 => select(&Scalar::ALL[..]).prop_map(Ty::Scalar),
        3 => Just(Ty::String),
        // On both sides of where a case takes another byte.
        2 => select(&[1, 2, 255, 256, 257, 300][..]).prop_map(Ty::Enum),
        2 => (1..=32usize).prop_map(Ty::Flags),
    ]
    .boxed()
}

/// Any type.
pub(crate) fn any() -> BoxedStrategy<Ty> {
    leaf().prop_recursive(DEPTH, SIZE, 4, containing).boxed()
}

/// A type that contains those of `inner`.
fn containing(inner: BoxedStrategy<Ty>) -> BoxedStrategy<Ty> {
    let boxed = || inner.clone().prop_map(Box::new);
    prop_oneof![
        3 => boxed().prop_map(Ty::List),
        1 => (boxed(), 1..=5usize).prop_map(|(ty, length)| Ty::FixedLengthList(ty, length)),
        1 => (key().prop_map(Box::new), boxed()).prop_map(|(key, ty)| Ty::Map(key, ty)),
        2 => vec(inner.clone(), 1..=4).prop_map(Ty::Tuple),
        3 => vec(inner.clone(), 1..=6).prop_map(Ty::Record),
        3 => vec(option::of(inner.clone()), 1..=5).prop_map(Ty::Variant),
        2 => boxed().prop_map(Ty::Option),
        2 => (option::of(boxed()), option::of(boxed())).prop_map(|(ok, err)| Ty::Result(ok, err)),
        1 => boxed().prop_map(Ty::Alias),
    ]
    .boxed()
}

/// The types of keys in maps.
fn key() -> BoxedStrategy<Ty> {
    let is_key = |scalar: &Scalar| !matches!(scalar, Scalar::F32 | Scalar::F64);
    let scalars: Vec<_> = Scalar::ALL.into_iter().filter(is_key).collect();
    prop_oneof![
        3 => select(scalars).prop_map(Ty::Scalar),
        1 => Just(Ty::String),
    ]
    .boxed()
}

impl Ty {
    /// This type without what WAVE cannot write: maps are lists of pairs, and lists of a fixed length
    /// are tuples. Both look the same in memory, and as flat values, as what they stand for.
    pub(crate) fn plain(&self) -> Self {
        let boxed = |ty: &Self| Box::new(ty.plain());
        let all = |types: &[Self]| types.iter().map(Self::plain).collect();
        match self {
            Self::Scalar(_) | Self::String | Self::Enum(_) | Self::Flags(_) => self.clone(),
            Self::List(ty) => Self::List(boxed(ty)),
            Self::FixedLengthList(ty, length) => Self::Tuple(vec![ty.plain(); *length]),
            Self::Map(key, ty) => Self::List(Box::new(Self::Tuple(vec![key.plain(), ty.plain()]))),
            Self::Tuple(types) => Self::Tuple(all(types)),
            Self::Record(types) => Self::Record(all(types)),
            Self::Variant(cases) => {
                let plain = |case: &Option<Self>| case.as_ref().map(Self::plain);
                Self::Variant(cases.iter().map(plain).collect())
            }
            Self::Option(ty) => Self::Option(boxed(ty)),
            Self::Result(ok, err) => Self::Result(
                ok.as_ref().map(|ty| boxed(ty)),
                err.as_ref().map(|ty| boxed(ty)),
            ),
            Self::Alias(ty) => Self::Alias(boxed(ty)),
        }
    }
}

/// Declarations of the types that must have a name.
#[derive(Default)]
pub(crate) struct Declarations {
    pub(crate) wit: String,
    pub(crate) names: Vec<String>,
}

impl Declarations {
    /// The name of a type in WIT, once it is declared.
    pub(crate) fn name(&mut self, ty: &Ty) -> String {
        match ty {
            Ty::Scalar(scalar) => scalar.wit().into(),
            Ty::String => "string".into(),
            Ty::List(ty) => format!("list<{}>", self.name(ty)),
            Ty::FixedLengthList(ty, length) => format!("list<{}, {length}>", self.name(ty)),
            Ty::Map(key, ty) => format!("map<{}, {}>", self.name(key), self.name(ty)),
            Ty::Tuple(types) => {
                let types: Vec<_> = types.iter().map(|ty| self.name(ty)).collect();
                format!("tuple<{}>", types.join(", "))
            }
            Ty::Option(ty) => format!("option<{}>", self.name(ty)),
            Ty::Result(ok, err) => {
                let ok = ok.as_ref().map(|ty| self.name(ty));
                let err = err.as_ref().map(|ty| self.name(ty));
                match (ok, err) {
                    (None, None) => "result".into(),
                    (Some(ok), None) => format!("result<{ok}>"),
                    (ok, Some(err)) => format!("result<{}, {err}>", ok.as_deref().unwrap_or("_")),
                }
            }
            Ty::Record(types) => {
                let fields: Vec<_> = (0..)
                    .zip(types)
                    .map(|(i, ty)| format!("{}: {}", field(i), self.name(ty)))
                    .collect();
                self.declare("record", &fields)
            }
            Ty::Variant(cases) => {
                let cases: Vec<_> = (0..)
                    .zip(cases)
                    .map(|(i, ty)| match ty {
                        Some(ty) => format!("{}({})", case(i), self.name(ty)),
                        None => case(i),
                    })
                    .collect();
                self.declare("variant", &cases)
            }
            Ty::Enum(cases) => self.declare("enum", &(0..*cases).map(case).collect::<Vec<_>>()),
            Ty::Flags(flags) => self.declare("flags", &(0..*flags).map(flag).collect::<Vec<_>>()),
            Ty::Alias(ty) => {
                let meant = self.name(ty);
                let name = self.new_name();
                let _ = writeln!(self.wit, "  type {name} = {meant};");
                name
            }
        }
    }

    fn declare(&mut self, kind: &str, members: &[String]) -> String {
        let name = self.new_name();
        let _ = writeln!(self.wit, "  {kind} {name} {{ {} }}", members.join(", "));
        name
    }

    fn new_name(&mut self) -> String {
        let name = format!("t{}", self.names.len());
        self.names.push(name.clone());
        name
    }
}

/// The name of a record's field.
pub(crate) fn field(index: usize) -> String {
    format!("a{index}")
}

/// The name of a case.
pub(crate) fn case(index: usize) -> String {
    format!("c{index}")
}

/// The name of a flag.
pub(crate) fn flag(index: usize) -> String {
    format!("f{index}")
}
