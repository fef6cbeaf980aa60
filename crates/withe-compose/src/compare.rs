//! Whether two components mean the same by a type, and where they first differ.
//!
//! Value types are compared by structure, as the component model does. Resources are the same when
//! they come from the same place in the composition, which `Linkage::origin` knows; their names do
//! not matter. There is no subtyping below the level of an instance: Wasmtime has none either.

use std::fmt;

use wasmparser::component_types::{
    AliasableResourceId, ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId,
    ComponentEntityType, ComponentFuncTypeId, ComponentInstanceTypeId, ComponentValType,
};
use wasmparser::names::KebabString;

use crate::linkage::Linkage;

/// The first difference between two types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The way to it: `get`, parameter `key`, field `id`.
    pub path: Vec<String>,
    /// The type that the importer expects there.
    pub expected: String,
    /// The type that the exporter has there.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path.join(", "))?;
        }
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

type Result = std::result::Result<(), Box<Difference>>;

fn differ(expected: impl Into<String>, found: impl Into<String>) -> Result {
    Err(Box::new(Difference {
        path: Vec::new(),
        expected: expected.into(),
        found: found.into(),
    }))
}

fn within(step: impl FnOnce() -> String, result: Result) -> Result {
    result.map_err(|mut difference| {
        difference.path.insert(0, step());
        difference
    })
}

/// Compares what the part `a` expects with what the part `b` has.
pub(crate) struct Comparison<'a> {
    link: &'a Linkage<'a>,
    a: usize,
    b: usize,
}

impl<'a> Comparison<'a> {
    pub(crate) fn new(link: &'a Linkage<'a>, a: usize, b: usize) -> Self {
        Self { link, a, b }
    }

    /// Whether `found`, with whatever it has in addition, can stand where `expected` is wanted.
    pub(crate) fn satisfies(
        &self,
        expected: &ComponentEntityType,
        found: &ComponentEntityType,
    ) -> Result {
        match (expected, found) {
            (ComponentEntityType::Instance(a), ComponentEntityType::Instance(b)) => {
                self.instance(*a, *b)
            }
            _ => self.same(expected, found),
        }
    }

    /// Whether two items of the same name, other than instances, have the same type.
    pub(crate) fn same(
        &self,
        expected: &ComponentEntityType,
        found: &ComponentEntityType,
    ) -> Result {
        use ComponentEntityType as E;
        match (expected, found) {
            (E::Func(a), E::Func(b)) => self.func(*a, *b),
            (E::Type { created: a, .. }, E::Type { created: b, .. }) => match (a, b) {
                (ComponentAnyTypeId::Resource(a), ComponentAnyTypeId::Resource(b)) => {
                    self.resource(*a, *b)
                }
                (ComponentAnyTypeId::Defined(a), ComponentAnyTypeId::Defined(b)) => {
                    self.defined(*a, *b)
                }
                (a, b) => differ(any_type(*a), any_type(*b)),
            },
            (a, b) => differ(entity(a), entity(b)),
        }
    }

    fn instance(
        &self,
        expected: ComponentInstanceTypeId,
        found: ComponentInstanceTypeId,
    ) -> Result {
        let (a, b) = (self.types(self.a), self.types(self.b));
        for (name, item) in &a[expected].exports {
            let step = || format!("`{name}`");
            match b[found].exports.get(name) {
                Some(other) => within(step, self.satisfies(&item.ty, &other.ty))?,
                None => within(step, differ(entity(&item.ty), "nothing of that name"))?,
            }
        }
        Ok(())
    }

    fn func(&self, expected: ComponentFuncTypeId, found: ComponentFuncTypeId) -> Result {
        let (a, b) = (&self.types(self.a)[expected], &self.types(self.b)[found]);
        if a.async_ != b.async_ {
            let text = |is_async| {
                if is_async {
                    "an async function"
                } else {
                    "a function that is not async"
                }
            };
            return differ(text(a.async_), text(b.async_));
        }
        let names = |params: &[(KebabString, ComponentValType)]| {
            format!(
                "parameters ({})",
                params
                    .iter()
                    .map(|(n, _)| n.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        };
        if !a
            .params
            .iter()
            .map(|p| &p.0)
            .eq(b.params.iter().map(|p| &p.0))
        {
            return differ(names(&a.params), names(&b.params));
        }
        for ((name, a), (_, b)) in a.params.iter().zip(&b.params) {
            within(|| format!("parameter `{name}`"), self.value(*a, *b))?;
        }
        within(|| "result".into(), self.optional(a.result, b.result))
    }

    fn optional(
        &self,
        expected: Option<ComponentValType>,
        found: Option<ComponentValType>,
    ) -> Result {
        match (expected, found) {
            (None, None) => Ok(()),
            (Some(a), Some(b)) => self.value(a, b),
            (Some(a), None) => differ(self.name(self.a, a), "none"),
            (None, Some(b)) => differ("none", self.name(self.b, b)),
        }
    }

    fn value(&self, expected: ComponentValType, found: ComponentValType) -> Result {
        match (self.peel(self.a, expected), self.peel(self.b, found)) {
            (ComponentValType::Primitive(a), ComponentValType::Primitive(b)) if a == b => Ok(()),
            (ComponentValType::Type(a), ComponentValType::Type(b)) => self.defined(a, b),
            (a, b) => differ(self.name(self.a, a), self.name(self.b, b)),
        }
    }

    /// A defined type may be a mere name for a primitive one.
    fn peel(&self, part: usize, ty: ComponentValType) -> ComponentValType {
        match ty {
            ComponentValType::Type(id) => match self.types(part)[id] {
                ComponentDefinedType::Primitive(ty) => ComponentValType::Primitive(ty),
                _ => ty,
            },
            ComponentValType::Primitive(_) => ty,
        }
    }

    fn defined(&self, expected: ComponentDefinedTypeId, found: ComponentDefinedTypeId) -> Result {
        use ComponentDefinedType as D;
        match (&self.types(self.a)[expected], &self.types(self.b)[found]) {
            (D::Primitive(a), D::Primitive(b)) if a == b => Ok(()),
            (D::Record(a), D::Record(b)) => {
                same_names("a record of", a.fields.keys(), b.fields.keys())?;
                for ((name, a), (_, b)) in a.fields.iter().zip(b.fields.iter()) {
                    within(|| format!("field `{name}`"), self.value(*a, *b))?;
                }
                Ok(())
            }
            (D::Variant(a), D::Variant(b)) => {
                same_names("a variant of", a.cases.keys(), b.cases.keys())?;
                for ((name, a), (_, b)) in a.cases.iter().zip(b.cases.iter()) {
                    within(|| format!("case `{name}`"), self.optional(a.ty, b.ty))?;
                }
                Ok(())
            }
            (D::Enum(a), D::Enum(b)) => same_names("an enum of", a.iter(), b.iter()),
            (D::Flags(a), D::Flags(b)) => same_names("flags of", a.iter(), b.iter()),
            (D::Tuple(a), D::Tuple(b)) if a.types.len() == b.types.len() => {
                for (i, (a, b)) in a.types.iter().zip(&b.types).enumerate() {
                    within(|| format!("element {i}"), self.value(*a, *b))?;
                }
                Ok(())
            }
            (D::List { element: a, .. }, D::List { element: b, .. }) => {
                within(|| "list element".into(), self.value(*a, *b))
            }
            (
                D::FixedLengthList {
                    element: a,
                    length: m,
                    ..
                },
                D::FixedLengthList {
                    element: b,
                    length: n,
                    ..
                },
            ) if m == n => within(|| "list element".into(), self.value(*a, *b)),
            (
                D::Map {
                    key: ak, value: av, ..
                },
                D::Map {
                    key: bk, value: bv, ..
                },
            ) => {
                within(|| "map key".into(), self.value(*ak, *bk))?;
                within(|| "map value".into(), self.value(*av, *bv))
            }
            (D::Option { ty: a, .. }, D::Option { ty: b, .. }) => {
                within(|| "option".into(), self.value(*a, *b))
            }
            (
                D::Result {
                    ok: a_ok,
                    err: a_err,
                    ..
                },
                D::Result {
                    ok: b_ok,
                    err: b_err,
                    ..
                },
            ) => {
                within(|| "`ok` of the result".into(), self.optional(*a_ok, *b_ok))?;
                within(
                    || "`err` of the result".into(),
                    self.optional(*a_err, *b_err),
                )
            }
            (D::Own(a), D::Own(b)) | (D::Borrow(a), D::Borrow(b)) => self.resource(*a, *b),
            (D::Future { ty: a, .. }, D::Future { ty: b, .. }) => {
                within(|| "future".into(), self.optional(*a, *b))
            }
            (D::Stream { ty: a, .. }, D::Stream { ty: b, .. }) => {
                within(|| "stream".into(), self.optional(*a, *b))
            }
            _ => {
                let (a, b) = (
                    ComponentValType::Type(expected),
                    ComponentValType::Type(found),
                );
                differ(self.name(self.a, a), self.name(self.b, b))
            }
        }
    }

    fn resource(&self, expected: AliasableResourceId, found: AliasableResourceId) -> Result {
        let a = self.link.origin(self.a, expected.resource());
        let b = self.link.origin(self.b, found.resource());
        match a == b {
            true => Ok(()),
            false => differ(self.link.describe(&a), self.link.describe(&b)),
        }
    }

    fn types(&self, part: usize) -> &'a wasmparser::types::Types {
        &self.link.parts[part].component.types
    }

    /// A type as a message names it. Names of declared types are not kept in types, so records and
    /// their like are called by their kind.
    fn name(&self, part: usize, ty: ComponentValType) -> String {
        use ComponentDefinedType as D;
        let id = match self.peel(part, ty) {
            ComponentValType::Primitive(ty) => return format!("`{ty}`"),
            ComponentValType::Type(id) => id,
        };
        match &self.types(part)[id] {
            D::Primitive(ty) => format!("`{ty}`"),
            D::Record(_) => "a record".into(),
            D::Variant(_) => "a variant".into(),
            D::Enum(_) => "an enum".into(),
            D::Flags(_) => "flags".into(),
            D::Tuple(ty) => format!("a tuple of {}", ty.types.len()),
            D::List { .. } => "a list".into(),
            D::FixedLengthList { length, .. } => format!("a list of length {length}"),
            D::Map { .. } => "a map".into(),
            D::Option { .. } => "an option".into(),
            D::Result { .. } => "a result".into(),
            D::Own(id) => self.link.describe(&self.link.origin(part, id.resource())),
            D::Borrow(id) => {
                format!(
                    "a borrowed {}",
                    self.link.describe(&self.link.origin(part, id.resource()))
                )
            }
            D::Future { .. } => "a future".into(),
            D::Stream { .. } => "a stream".into(),
        }
    }
}

fn same_names<'a>(
    what: &str,
    expected: impl Iterator<Item = &'a KebabString>,
    found: impl Iterator<Item = &'a KebabString>,
) -> Result {
    let (expected, found): (Vec<_>, Vec<_>) = (
        expected.map(|n| n.as_str()).collect(),
        found.map(|n| n.as_str()).collect(),
    );
    let list = |names: &[&str]| format!("{what} ({})", names.join(", "));
    match expected == found {
        true => Ok(()),
        false => differ(list(&expected), list(&found)),
    }
}

/// The kind of a type, for messages.
pub(crate) fn entity(ty: &ComponentEntityType) -> &'static str {
    match ty {
        ComponentEntityType::Module(_) => "a core module",
        ComponentEntityType::Func(_) => "a function",
        ComponentEntityType::Value(_) => "a value",
        ComponentEntityType::Type { created, .. } => any_type(*created),
        ComponentEntityType::Instance(_) => "an instance",
        ComponentEntityType::Component(_) => "a component",
    }
}

fn any_type(id: ComponentAnyTypeId) -> &'static str {
    match id {
        ComponentAnyTypeId::Resource(_) => "a resource type",
        ComponentAnyTypeId::Defined(_) => "a value type",
        ComponentAnyTypeId::Func(_) => "a function type",
        ComponentAnyTypeId::Instance(_) => "an instance type",
        ComponentAnyTypeId::Component(_) => "a component type",
    }
}
