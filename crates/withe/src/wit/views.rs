//! Where two views of one package differ.
//!
//! A package in binary form, or a component, has of the packages that it uses the part which it uses. `Resolve::merge` puts such parts
//! together by names, and takes any two types of one name for the same. So the part that both have is compared here, before trees are
//! merged: what a type is matters, and not which `use` or alias leads to it.

use std::collections::HashSet;
use std::fmt;

use wit_parser::{
    Function, Handle, InterfaceId, PackageId, PackageName, Resolve, Type, TypeDefKind, TypeId,
    TypeOwner,
};

/// A package in a tree.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) resolve: &'a Resolve,
    pub(super) package: PackageId,
}

/// The first thing in which a view differs from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Its kind and its name: "function `total`".
    item: String,
    /// The interface that has it; none if it is an interface, or a world.
    interface: Option<String>,
    /// Whether the other has it not at all, rather than otherwise.
    is_more: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.interface, self.is_more) {
            (Some(interface), true) => write!(f, "`{interface}` has the {} besides", self.item),
            (Some(interface), false) => write!(f, "`{interface}` has another {}", self.item),
            (None, _) => write!(f, "the {} is there besides", self.item),
        }
    }
}

impl View<'_> {
    /// The first thing that both have, and this view otherwise than `other`; with `or_more`, or that only this view has.
    pub(super) fn differs(self, other: View<'_>, or_more: bool) -> Option<Difference> {
        let mut comparison = Comparison {
            ours: self.resolve,
            theirs: other.resolve,
            same: HashSet::new(),
        };
        let (ours, theirs) = (
            &self.resolve.packages[self.package],
            &other.resolve.packages[other.package],
        );
        let more = |item: String| Difference {
            item,
            interface: None,
            is_more: true,
        };
        for (name, id) in &ours.interfaces {
            match theirs.interfaces.get(name) {
                Some(their) => {
                    if let Some(difference) = comparison.interfaces(name, *id, *their, or_more) {
                        return Some(difference);
                    }
                }
                None if or_more => return Some(more(format!("interface `{name}`"))),
                None => {}
            }
        }
        let mut worlds = ours.worlds.keys().filter(|_| or_more);
        let world = worlds.find(|name| !theirs.worlds.contains_key(*name))?;
        Some(more(format!("world `{world}`")))
    }
}

/// A comparison of what two trees have.
struct Comparison<'a> {
    ours: &'a Resolve,
    theirs: &'a Resolve,
    /// Types that were found to be the same: many lead to one.
    same: HashSet<(TypeId, TypeId)>,
}

/// The end of a chain of aliases.
enum Defined {
    /// A type without a definition of its own, such as `u8`.
    Plain(Type),
    Definition(TypeId),
}

fn defined(resolve: &Resolve, ty: &Type) -> Defined {
    let mut ty = *ty;
    while let Type::Id(id) = ty {
        match &resolve.types[id].kind {
            TypeDefKind::Type(next) => ty = *next,
            _ => return Defined::Definition(id),
        }
    }
    Defined::Plain(ty)
}

/// Where a resource is defined: two of one structure are different.
fn place(resolve: &Resolve, id: TypeId) -> Option<(&PackageName, &str, &str)> {
    let ty = &resolve.types[id];
    let (package, owner) = match ty.owner {
        TypeOwner::Interface(id) => {
            let interface = &resolve.interfaces[id];
            (interface.package?, interface.name.as_deref()?)
        }
        TypeOwner::World(id) => {
            let world = &resolve.worlds[id];
            (world.package?, world.name.as_str())
        }
        TypeOwner::None => return None,
    };
    let package = &resolve.packages[package].name;
    Some((package, owner, ty.name.as_deref()?))
}

impl Comparison<'_> {
    fn interfaces(
        &mut self,
        name: &str,
        ours: InterfaceId,
        theirs: InterfaceId,
        or_more: bool,
    ) -> Option<Difference> {
        let (ours, theirs) = (&self.ours.interfaces[ours], &self.theirs.interfaces[theirs]);
        let difference = |item: String, is_more| {
            Some(Difference {
                item,
                interface: Some(name.to_owned()),
                is_more,
            })
        };
        for (name, id) in &ours.types {
            let item = || format!("type `{name}`");
            match theirs.types.get(name) {
                Some(their) if self.types(&Type::Id(*id), &Type::Id(*their)) => {}
                None if !or_more => {}
                their => return difference(item(), their.is_none()),
            }
        }
        for (name, function) in &ours.functions {
            let item = || format!("function `{name}`");
            match theirs.functions.get(name) {
                Some(their) if self.functions(function, their) => {}
                None if !or_more => {}
                their => return difference(item(), their.is_none()),
            }
        }
        None
    }

    fn functions(&mut self, ours: &Function, theirs: &Function) -> bool {
        let params = |(ours, theirs): (&wit_parser::Param, &wit_parser::Param)| {
            ours.name == theirs.name && self.types(&ours.ty, &theirs.ty)
        };
        std::mem::discriminant(&ours.kind) == std::mem::discriminant(&theirs.kind)
            && ours.params.len() == theirs.params.len()
            && ours.params.iter().zip(&theirs.params).all(params)
            && self.maybe(ours.result.as_ref(), theirs.result.as_ref())
    }

    fn maybe(&mut self, ours: Option<&Type>, theirs: Option<&Type>) -> bool {
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => self.types(ours, theirs),
            (None, None) => true,
            _ => false,
        }
    }

    fn types(&mut self, ours: &Type, theirs: &Type) -> bool {
        match (defined(self.ours, ours), defined(self.theirs, theirs)) {
            (Defined::Plain(ours), Defined::Plain(theirs)) => ours == theirs,
            (Defined::Definition(ours), Defined::Definition(theirs)) => {
                self.same.contains(&(ours, theirs))
                    || self.definitions(ours, theirs) && {
                        self.same.insert((ours, theirs));
                        true
                    }
            }
            _ => false,
        }
    }

    fn definitions(&mut self, ours: TypeId, theirs: TypeId) -> bool {
        use TypeDefKind as Kind;
        let kinds = (&self.ours.types[ours].kind, &self.theirs.types[theirs].kind);
        match kinds {
            (Kind::Resource, Kind::Resource) => {
                let ours = place(self.ours, ours);
                ours.is_some() && ours == place(self.theirs, theirs)
            }
            (Kind::Handle(Handle::Own(ours)), Kind::Handle(Handle::Own(theirs)))
            | (Kind::Handle(Handle::Borrow(ours)), Kind::Handle(Handle::Borrow(theirs))) => {
                self.types(&Type::Id(*ours), &Type::Id(*theirs))
            }
            (Kind::Record(ours), Kind::Record(theirs)) => {
                ours.fields.len() == theirs.fields.len()
                    && (ours.fields.iter().zip(&theirs.fields)).all(|(ours, theirs)| {
                        ours.name == theirs.name && self.types(&ours.ty, &theirs.ty)
                    })
            }
            (Kind::Variant(ours), Kind::Variant(theirs)) => {
                ours.cases.len() == theirs.cases.len()
                    && (ours.cases.iter().zip(&theirs.cases)).all(|(ours, theirs)| {
                        ours.name == theirs.name && self.maybe(ours.ty.as_ref(), theirs.ty.as_ref())
                    })
            }
            (Kind::Flags(ours), Kind::Flags(theirs)) => {
                let ours = ours.flags.iter().map(|flag| &flag.name);
                ours.eq(theirs.flags.iter().map(|flag| &flag.name))
            }
            (Kind::Enum(ours), Kind::Enum(theirs)) => {
                let ours = ours.cases.iter().map(|case| &case.name);
                ours.eq(theirs.cases.iter().map(|case| &case.name))
            }
            (Kind::Tuple(ours), Kind::Tuple(theirs)) => {
                ours.types.len() == theirs.types.len()
                    && (ours.types.iter().zip(&theirs.types))
                        .all(|(ours, theirs)| self.types(ours, theirs))
            }
            (Kind::Result(ours), Kind::Result(theirs)) => {
                self.maybe(ours.ok.as_ref(), theirs.ok.as_ref())
                    && self.maybe(ours.err.as_ref(), theirs.err.as_ref())
            }
            (Kind::Option(ours), Kind::Option(theirs)) | (Kind::List(ours), Kind::List(theirs)) => {
                self.types(ours, theirs)
            }
            (Kind::Map(key, value), Kind::Map(their_key, their_value)) => {
                self.types(key, their_key) && self.types(value, their_value)
            }
            (Kind::FixedLengthList(ours, length), Kind::FixedLengthList(theirs, their_length)) => {
                length == their_length && self.types(ours, theirs)
            }
            (Kind::Future(ours), Kind::Future(theirs))
            | (Kind::Stream(ours), Kind::Stream(theirs)) => {
                self.maybe(ours.as_ref(), theirs.as_ref())
            }
            _ => false,
        }
    }
}
