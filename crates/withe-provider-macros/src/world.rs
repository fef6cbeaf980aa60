//! The interfaces that the provider exports and calls, and those whose types they take.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::TokenStream;
use quote::quote;
use syn::Ident;
use wit_parser::{
    Function, Handle, Interface, InterfaceId, PackageId, Resolve, Type, TypeDefKind, TypeId,
    TypeOwner, WorldId, WorldItem, WorldKey,
};

use crate::name;
use crate::problem::Problems;

/// The world's name: the one that a provider's descriptor asks for.
const WORLD: &str = "provider";

/// A world, and where in Rust what it takes is.
pub(crate) struct World<'a> {
    pub(crate) resolve: &'a Resolve,
    /// The exported interfaces, in the world's order.
    pub(crate) exports: Vec<InterfaceId>,
    /// The imported interfaces whose functions the provider calls, in the world's order.
    pub(crate) imports: Vec<InterfaceId>,
    /// All interfaces of which something is taken, each with the modules that it is in: namespace, package, name.
    pub(crate) modules: BTreeMap<InterfaceId, [Ident; 3]>,
    /// The enums and variants that are the error of a result.
    pub(crate) errors: BTreeSet<TypeId>,
    pub(crate) problems: Problems,
}

impl<'a> World<'a> {
    /// Looks at the world of the package `main`.
    ///
    /// # Errors
    ///
    /// If it has none of that name.
    pub(crate) fn of(resolve: &'a Resolve, main: PackageId) -> Result<Self, Problems> {
        let package = &resolve.packages[main];
        let Some(&id) = package.worlds.get(WORLD) else {
            return Err(Problems::from(format!(
                "the package `{}` has no world named `{WORLD}`: it says what the provider exports",
                package.name
            )));
        };
        let mut world = Self {
            resolve,
            exports: Vec::new(),
            imports: Vec::new(),
            modules: BTreeMap::new(),
            errors: BTreeSet::new(),
            problems: Problems::default(),
        };
        for (key, item) in &resolve.worlds[id].exports {
            match (key, item) {
                (WorldKey::Interface(_), WorldItem::Interface { id, .. }) => {
                    world.exports.push(*id)
                }
                _ => world.problems.add(format!(
                    "`{}` is exported by the world itself: put it into an interface of a package",
                    resolve.name_world_key(key)
                )),
            }
        }
        world.find_imports(id);
        world.find_modules();
        world.find_errors();
        Ok(world)
    }

    pub(crate) fn interface(&self, id: InterfaceId) -> &'a Interface {
        &self.resolve.interfaces[id]
    }

    /// `acme:greeter/greeter@0.1.0`
    pub(crate) fn name(&self, id: InterfaceId) -> String {
        // All that are found are named: those that are not are no package's.
        self.resolve.id_of(id).unwrap_or_default()
    }

    /// Where a module is, from within another.
    pub(crate) fn path(&self, id: InterfaceId) -> TokenStream {
        match self.modules.get(&id) {
            Some([namespace, package, name]) => {
                quote!(super::super::super::#namespace::#package::#name)
            }
            // Said already: an interface without a name.
            None => quote!(super),
        }
    }

    /// The functions of all interfaces that are exported or called.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &'a Function> {
        let interfaces = self
            .exports
            .iter()
            .chain(&self.imports)
            .map(|id| self.interface(*id));
        interfaces.flat_map(|interface| interface.functions.values())
    }

    /// The type that a name stands for in the end.
    pub(crate) fn origin(&self, mut id: TypeId) -> TypeId {
        while let TypeDefKind::Type(Type::Id(next)) = self.resolve.types[id].kind {
            id = next;
        }
        id
    }

    /// The interface that a type is of.
    pub(crate) fn owner(&self, id: TypeId) -> Option<InterfaceId> {
        match self.resolve.types[id].owner {
            TypeOwner::Interface(interface) => Some(interface),
            TypeOwner::World(_) | TypeOwner::None => None,
        }
    }

    /// The types directly in a type.
    pub(crate) fn parts(&self, id: TypeId) -> Vec<Type> {
        match &self.resolve.types[id].kind {
            TypeDefKind::Record(record) => record.fields.iter().map(|field| field.ty).collect(),
            TypeDefKind::Variant(variant) => {
                variant.cases.iter().filter_map(|case| case.ty).collect()
            }
            TypeDefKind::Tuple(tuple) => tuple.types.clone(),
            TypeDefKind::Option(ty)
            | TypeDefKind::List(ty)
            | TypeDefKind::FixedLengthList(ty, _)
            | TypeDefKind::Type(ty) => vec![*ty],
            TypeDefKind::Map(key, value) => vec![*key, *value],
            TypeDefKind::Result(result) => result.ok.into_iter().chain(result.err).collect(),
            TypeDefKind::Future(ty) | TypeDefKind::Stream(ty) => ty.iter().copied().collect(),
            TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => vec![Type::Id(*id)],
            TypeDefKind::Resource
            | TypeDefKind::Flags(_)
            | TypeDefKind::Enum(_)
            | TypeDefKind::Unknown => Vec::new(),
        }
    }

    /// The definition of a type, if it has one.
    pub(crate) fn kind(&self, ty: Type) -> Option<&'a TypeDefKind> {
        match ty {
            Type::Id(id) => Some(&self.resolve.types[id].kind),
            _ => None,
        }
    }

    /// The resources whose handles are in a type, in their order in it.
    pub(crate) fn resources(&self, ty: Type) -> Vec<TypeId> {
        let mut found = Vec::new();
        self.visit(ty, &mut |ty| {
            if let (Type::Id(id), Some(TypeDefKind::Resource)) = (ty, self.kind(ty))
                && !found.contains(&id)
            {
                found.push(id);
            }
        });
        found
    }

    /// Whether `is` holds for a type or one that is in it.
    pub(crate) fn any(&self, ty: Type, is: impl Fn(Type) -> bool) -> bool {
        let mut found = false;
        self.visit(ty, &mut |ty| found |= is(ty));
        found
    }

    /// Shows `see` a type and all that are in it.
    fn visit(&self, ty: Type, see: &mut impl FnMut(Type)) {
        see(ty);
        if let Type::Id(id) = ty {
            for part in self.parts(id) {
                self.visit(part, see);
            }
        }
    }

    /// The types of a function's parameters and result.
    pub(crate) fn signature(function: &Function) -> impl Iterator<Item = Type> {
        let params = function.params.iter().map(|param| param.ty);
        params.chain(function.result)
    }

    /// Finds what the provider calls. A world imports also what its other interfaces use, for the types alone; and
    /// HTTP requests are sent to handlers by other means than calls.
    fn find_imports(&mut self, world: WorldId) {
        let world = &self.resolve.worlds[world];
        let imported: Vec<_> = world
            .imports
            .values()
            .filter_map(|item| match item {
                WorldItem::Interface { id, .. } => Some(*id),
                WorldItem::Function(_) | WorldItem::Type { .. } => None,
            })
            .collect();
        for (key, item) in &world.imports {
            if let WorldItem::Function(_) = item {
                self.problems.add(format!(
                    "`{}` is imported by the world itself: put it into an interface of a package",
                    self.resolve.name_world_key(key)
                ));
            }
        }
        let all = imported.iter().chain(&self.exports);
        let used: BTreeSet<_> = all
            .flat_map(|id| self.resolve.interface_direct_deps(*id))
            .collect();
        let is_http = |id: InterfaceId| {
            let package = self.interface(id).package;
            package.is_some_and(|package| {
                let name = &self.resolve.packages[package].name;
                name.namespace == "wasi" && name.name == "http"
            })
        };
        let called = imported.into_iter().filter(|id| {
            !self.interface(*id).functions.is_empty() && !used.contains(id) && !is_http(*id)
        });
        self.imports = called.collect();
    }

    fn find_modules(&mut self) {
        let taken = || self.exports.iter().chain(&self.imports).copied();
        let mut found: BTreeSet<_> = taken().collect();
        let mut open: Vec<_> = taken().collect();
        while let Some(id) = open.pop() {
            let uses = self.resolve.interface_direct_deps(id);
            open.extend(uses.filter(|id| found.insert(*id)));
        }
        for id in found {
            let interface = self.interface(id);
            let (Some(name), Some(package)) = (&interface.name, interface.package) else {
                continue;
            };
            let package = &self.resolve.packages[package].name;
            let several = self.resolve.package_names.keys().any(|other| {
                (&other.namespace, &other.name) == (&package.namespace, &package.name)
                    && other.version != package.version
            });
            let version = package.version.as_ref().filter(|_| several);
            let version = version.map(ToString::to_string);
            let modules = [
                name::snake(&package.namespace),
                name::package(&package.name, version.as_deref()),
                name::snake(name),
            ];
            self.modules.insert(id, modules);
        }
    }

    fn find_errors(&mut self) {
        let mut errors = BTreeSet::new();
        let types = self
            .modules
            .keys()
            .flat_map(|id| self.interface(*id).types.values());
        let types = types.copied().map(Type::Id);
        for ty in types.chain(self.functions().flat_map(Self::signature)) {
            self.visit(ty, &mut |ty| {
                if let Some(TypeDefKind::Result(result)) = self.kind(ty)
                    && let Some(Type::Id(error)) = result.err
                {
                    let error = self.origin(error);
                    let kind = &self.resolve.types[error].kind;
                    if matches!(kind, TypeDefKind::Enum(_) | TypeDefKind::Variant(_)) {
                        errors.insert(error);
                    }
                }
            });
        }
        self.errors = errors;
    }
}
