//! Where the canonical ABI has a value: in memory, and as flat values. Written from the component
//! model's explainer, so that components of any type can be written as core modules.

use std::fmt::Write as _;

use crate::ty::{Scalar, Ty};

/// The most flat values that parameters are passed as; more are passed in memory.
pub(crate) const MAX_FLAT: usize = 16;

/// A core type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Core {
    I32,
    I64,
    F32,
    F64,
}

impl Core {
    pub(crate) fn wat(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// The type of a flat value that is one of two types.
    fn join(self, other: Self) -> Self {
        match (self, other) {
            _ if self == other => self,
            (Self::I32, Self::F32) | (Self::F32, Self::I32) => Self::I32,
            _ => Self::I64,
        }
    }
}

/// All that the ABI distinguishes.
enum Shape<'a> {
    /// One number: the instructions that load and store it, its core type and its size.
    Number(&'static str, &'static str, Core, u32),
    /// An address and a length.
    List,
    /// One after the other.
    Record(Vec<&'a Ty>),
    /// One of them, behind the number of its case.
    Variant(Vec<Option<&'a Ty>>),
}

fn shape(ty: &Ty) -> Shape<'_> {
    let byte = Shape::Number("i32.load8_u", "i32.store8", Core::I32, 1);
    let word = Shape::Number("i32.load", "i32.store", Core::I32, 4);
    let half = Shape::Number("i32.load16_u", "i32.store16", Core::I32, 2);
    match ty {
        Ty::Scalar(Scalar::Bool | Scalar::U8) => byte,
        Ty::Scalar(Scalar::S8) => Shape::Number("i32.load8_s", "i32.store8", Core::I32, 1),
        Ty::Scalar(Scalar::U16) => half,
        Ty::Scalar(Scalar::S16) => Shape::Number("i32.load16_s", "i32.store16", Core::I32, 2),
        Ty::Scalar(Scalar::U32 | Scalar::S32 | Scalar::Char) => word,
        Ty::Scalar(Scalar::U64 | Scalar::S64) => {
            Shape::Number("i64.load", "i64.store", Core::I64, 8)
        }
        Ty::Scalar(Scalar::F32) => Shape::Number("f32.load", "f32.store", Core::F32, 4),
        Ty::Scalar(Scalar::F64) => Shape::Number("f64.load", "f64.store", Core::F64, 8),
        Ty::Flags(0..=8) => byte,
        Ty::Flags(9..=16) => half,
        Ty::Flags(_) => word,
        Ty::String | Ty::List(_) | Ty::Map(..) => Shape::List,
        Ty::FixedLengthList(ty, length) => Shape::Record(vec![ty; *length]),
        Ty::Tuple(types) | Ty::Record(types) => Shape::Record(types.iter().collect()),
        Ty::Variant(cases) => Shape::Variant(cases.iter().map(Option::as_ref).collect()),
        Ty::Enum(cases) => Shape::Variant(vec![None; *cases]),
        Ty::Option(ty) => Shape::Variant(vec![None, Some(ty)]),
        Ty::Result(ok, err) => Shape::Variant(vec![ok.as_deref(), err.as_deref()]),
        Ty::Alias(ty) => shape(ty),
    }
}

/// The size and the alignment of a type, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) size: u32,
    pub(crate) align: u32,
}

pub(crate) fn layout(ty: &Ty) -> Layout {
    match shape(ty) {
        Shape::Number(.., size) => Layout { size, align: size },
        Shape::List => Layout { size: 8, align: 4 },
        Shape::Record(types) => {
            let all = Layout { size: 0, align: 1 };
            let all = types.into_iter().map(layout).fold(all, |all, next| Layout {
                size: all.size.next_multiple_of(next.align) + next.size,
                align: all.align.max(next.align),
            });
            padded(all)
        }
        Shape::Variant(cases) => {
            let number = case_size(cases.len());
            let payloads = || cases.iter().flatten().map(|ty| layout(ty));
            let largest = payloads().map(|payload| payload.size).max();
            padded(Layout {
                size: payload_offset(&cases) + largest.unwrap_or(0),
                align: payloads()
                    .map(|payload| payload.align)
                    .fold(number, u32::max),
            })
        }
    }
}

/// The next value of a list is aligned too.
fn padded(Layout { size, align }: Layout) -> Layout {
    Layout {
        size: size.next_multiple_of(align),
        align,
    }
}

/// The bytes that the number of a case takes.
fn case_size(cases: usize) -> u32 {
    if cases <= 1 << 8 { 1 } else { 2 }
}

fn payload_offset(cases: &[Option<&Ty>]) -> u32 {
    let payloads = cases.iter().flatten();
    let align = payloads.map(|ty| layout(ty).align).max();
    case_size(cases.len()).next_multiple_of(align.unwrap_or(1))
}

/// The flat values that a type is passed as, if they are not too many.
pub(crate) fn flat(ty: &Ty) -> Vec<Core> {
    match shape(ty) {
        Shape::Number(_, _, core, _) => vec![core],
        Shape::List => vec![Core::I32; 2],
        Shape::Record(types) => types.into_iter().flat_map(flat).collect(),
        Shape::Variant(cases) => {
            let mut all = vec![Core::I32];
            for payload in cases.into_iter().flatten().map(flat) {
                for (i, core) in (1..).zip(payload) {
                    match all.get_mut(i) {
                        Some(one) => *one = one.join(core),
                        None => all.push(core),
                    }
                }
            }
            all
        }
    }
}

/// A local variable of a function, which holds a flat value.
pub(crate) struct Local {
    name: String,
    core: Core,
}

impl Local {
    /// The locals of all flat values of a type: `$s0`, `$s1` and so on.
    pub(crate) fn all(ty: &Ty) -> Vec<Self> {
        let local = |(i, core)| Self {
            name: format!("$s{i}"),
            core,
        };
        (0..).zip(flat(ty)).map(local).collect()
    }

    /// Its declaration as `kind`, `param` or `local`.
    pub(crate) fn declared(&self, kind: &str) -> String {
        format!("({kind} {} {})", self.name, self.core.wat())
    }

    pub(crate) fn get(&self) -> String {
        format!("(local.get {})", self.name)
    }

    /// Its value as one of type `core`, which has been joined with others.
    fn get_as(&self, core: Core) -> String {
        let value = self.get();
        match (core, self.core) {
            (Core::F32, Core::I32) => format!("(f32.reinterpret_i32 {value})"),
            (Core::I32, Core::I64) => format!("(i32.wrap_i64 {value})"),
            (Core::F32, Core::I64) => format!("(f32.reinterpret_i32 (i32.wrap_i64 {value}))"),
            (Core::F64, Core::I64) => format!("(f64.reinterpret_i64 {value})"),
            _ => value,
        }
    }

    fn set_from(&self, core: Core, value: &str) -> String {
        let value = match (core, self.core) {
            (Core::F32, Core::I32) => format!("(i32.reinterpret_f32 {value})"),
            (Core::I32, Core::I64) => format!("(i64.extend_i32_u {value})"),
            (Core::F32, Core::I64) => format!("(i64.extend_i32_u (i32.reinterpret_f32 {value}))"),
            (Core::F64, Core::I64) => format!("(i64.reinterpret_f64 {value})"),
            _ => value.into(),
        };
        format!("(local.set {} {value})", self.name)
    }
}

/// Which way a value is moved.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Move {
    /// From memory into locals.
    Load,
    /// From locals into memory.
    Store,
}

impl Move {
    /// Instructions that move a value of type `ty` between `locals` and where the local `address`
    /// points to.
    ///
    /// A case of a variant may use fewer locals than others. The others keep their old values:
    /// nobody may look at them.
    pub(crate) fn wat(self, ty: &Ty, address: &str, locals: &[Local]) -> String {
        let mut out = String::new();
        let place = Place { address, offset: 0 };
        self.value(ty, place, locals, &mut out);
        out
    }

    fn value(self, ty: &Ty, place: Place<'_>, locals: &[Local], out: &mut String) {
        match shape(ty) {
            Shape::Number(load, store, core, _) => {
                self.number((load, store, core), place, &locals[0], out);
            }
            Shape::List => {
                let word = ("i32.load", "i32.store", Core::I32);
                self.number(word, place, &locals[0], out);
                self.number(word, place.behind(4), &locals[1], out);
            }
            Shape::Record(types) => {
                let (mut end, mut locals) = (0u32, locals);
                for ty in types {
                    let Layout { size, align } = layout(ty);
                    let start = end.next_multiple_of(align);
                    self.value(ty, place.behind(start), locals, out);
                    locals = &locals[flat(ty).len()..];
                    end = start + size;
                }
            }
            Shape::Variant(cases) => {
                let instructions = match case_size(cases.len()) {
                    1 => ("i32.load8_u", "i32.store8", Core::I32),
                    _ => ("i32.load16_u", "i32.store16", Core::I32),
                };
                self.number(instructions, place, &locals[0], out);
                let payload = place.behind(payload_offset(&cases));
                let case = locals[0].get_as(Core::I32);
                for (i, ty) in cases.into_iter().enumerate() {
                    let Some(ty) = ty else { continue };
                    let _ = write!(out, "(if (i32.eq {case} (i32.const {i})) (then ");
                    self.value(ty, payload, &locals[1..], out);
                    out.push_str("))");
                }
            }
        }
    }

    fn number(
        self,
        (load, store, core): (&str, &str, Core),
        Place { address, offset }: Place<'_>,
        local: &Local,
        out: &mut String,
    ) {
        let at = format!("offset={offset} (local.get {address})");
        out.push_str(&match self {
            Self::Load => local.set_from(core, &format!("({load} {at})")),
            Self::Store => format!("({store} {at} {})", local.get_as(core)),
        });
    }
}

/// Where in memory: so far behind where a local points to.
#[derive(Clone, Copy)]
struct Place<'a> {
    address: &'a str,
    offset: u32,
}

impl Place<'_> {
    fn behind(self, bytes: u32) -> Self {
        Self {
            offset: self.offset + bytes,
            ..self
        }
    }
}
