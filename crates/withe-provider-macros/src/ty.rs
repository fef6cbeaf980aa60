//! Types as Rust says them.

use proc_macro2::{Literal, Span, TokenStream};
use quote::quote;
use syn::Ident;
use wit_parser::{Handle, InterfaceId, Type, TypeDefKind, TypeId};

use crate::name;
use crate::world::World;

/// The most values that a tuple can have: so many the codec takes, and Rust's own traits.
const MAX_TUPLE: usize = 12;

/// From where a type is said.
#[derive(Clone, Copy)]
pub(crate) struct TypePlace<'a> {
    pub(crate) world: &'a World<'a>,
    /// The interface in whose module it is.
    pub(crate) interface: InterfaceId,
    /// Who makes the resources what they are, `Self` in the trait. Elsewhere, a resource is a parameter of the type.
    pub(crate) implementor: Option<&'a str>,
    /// The place, for problems: `greet` of `acme:greeter/greeter`.
    pub(crate) what: &'a str,
}

impl TypePlace<'_> {
    /// A type in Rust.
    pub(crate) fn ty(&self, ty: Type) -> TokenStream {
        match ty {
            Type::Bool => quote!(bool),
            Type::U8 => quote!(u8),
            Type::U16 => quote!(u16),
            Type::U32 => quote!(u32),
            Type::U64 => quote!(u64),
            Type::S8 => quote!(i8),
            Type::S16 => quote!(i16),
            Type::S32 => quote!(i32),
            Type::S64 => quote!(i64),
            Type::F32 => quote!(f32),
            Type::F64 => quote!(f64),
            Type::Char => quote!(char),
            Type::String => quote!(::std::string::String),
            Type::ErrorContext => self.cannot(
                "an `error-context`",
                "say what failed in a type of your own",
            ),
            Type::Id(id) => self.defined(id),
        }
    }

    /// A type, or `()` for none.
    pub(crate) fn ty_or_unit(&self, ty: Option<Type>) -> TokenStream {
        ty.map_or(quote!(()), |ty| self.ty(ty))
    }

    /// The resource `id`, as what the provider makes it.
    pub(crate) fn resource(&self, id: TypeId) -> TokenStream {
        let world = self.world;
        let id = world.origin(id);
        let kebab = world.resolve.types[id].name.as_deref().unwrap_or_default();
        let name = name::camel(kebab);
        let owner = world.owner(id);
        if let Some(owner) = owner
            && !world.exports.contains(&owner)
        {
            self.cannot(
                &format!("the resource `{kebab}` of `{}`", world.name(owner)),
                "export that interface too: a provider has only resources of its own",
            );
        }
        match (self.implementor, owner) {
            (Some(implementor), Some(owner)) => {
                let implementor = Ident::new(implementor, Span::call_site());
                let path = (owner != self.interface).then(|| world.path(owner));
                let path = path.map(|path| quote!(#path::));
                quote!(<#implementor as #path Interface>::#name)
            }
            _ => quote!(#name),
        }
    }

    /// The resources in a type, as its parameters: `<Bucket>`. Nothing if there are none.
    pub(crate) fn parameters(&self, id: TypeId) -> TokenStream {
        let resources = self.world.resources(Type::Id(id));
        if resources.is_empty() {
            return TokenStream::new();
        }
        let names = resources.iter().map(|id| self.resource(*id));
        quote!(<#(#names),*>)
    }

    fn defined(&self, id: TypeId) -> TokenStream {
        let def = &self.world.resolve.types[id];
        if let (Some(kebab), Some(owner)) = (&def.name, self.world.owner(id)) {
            let name = name::camel(kebab);
            let parameters = self.parameters(id);
            return if owner == self.interface {
                quote!(#name #parameters)
            } else {
                let path = self.world.path(owner);
                quote!(#path::#name #parameters)
            };
        }
        self.anonymous(id)
    }

    /// A type as what it is made of, whatever its name.
    pub(crate) fn anonymous(&self, id: TypeId) -> TokenStream {
        match &self.world.resolve.types[id].kind {
            TypeDefKind::Tuple(tuple) => {
                if tuple.types.len() > MAX_TUPLE {
                    let tuple = format!("a tuple of {}", tuple.types.len());
                    return self.cannot(&tuple, "use a record");
                }
                let types = tuple.types.iter().map(|ty| self.ty(*ty));
                quote!((#(#types,)*))
            }
            TypeDefKind::Option(ty) => {
                let ty = self.ty(*ty);
                quote!(::core::option::Option<#ty>)
            }
            TypeDefKind::Result(result) => {
                let [ok, err] = [result.ok, result.err].map(|ty| self.ty_or_unit(ty));
                quote!(::core::result::Result<#ok, #err>)
            }
            TypeDefKind::List(ty) => {
                let ty = self.ty(*ty);
                quote!(::std::vec::Vec<#ty>)
            }
            TypeDefKind::FixedLengthList(ty, length) => {
                let ty = self.ty(*ty);
                let length = Literal::u32_unsuffixed(*length);
                quote!([#ty; #length])
            }
            TypeDefKind::Map(key, value) => {
                let [key, value] = [key, value].map(|ty| self.ty(*ty));
                quote!(::std::collections::BTreeMap<#key, #value>)
            }
            TypeDefKind::Handle(Handle::Own(resource)) => {
                let resource = self.resource(*resource);
                quote!(::withe_provider::Own<#resource>)
            }
            TypeDefKind::Handle(Handle::Borrow(resource)) => {
                let resource = self.resource(*resource);
                quote!(::withe_provider::Borrow<#resource>)
            }
            TypeDefKind::Type(ty) => self.ty(*ty),
            TypeDefKind::Stream(ty) => {
                let ty = self.element("a stream", *ty);
                quote!(::withe_provider::StreamReader<#ty>)
            }
            TypeDefKind::Future(ty) => {
                let ty = self.element("a future", *ty);
                quote!(::withe_provider::FutureReader<#ty>)
            }
            // These have names.
            TypeDefKind::Record(_)
            | TypeDefKind::Resource
            | TypeDefKind::Flags(_)
            | TypeDefKind::Variant(_)
            | TypeDefKind::Enum(_)
            | TypeDefKind::Unknown => self.cannot("a type without a name", "give it one"),
        }
    }

    /// The type of the elements of a stream or future.
    fn element(&self, of: &str, ty: Option<Type>) -> TokenStream {
        if ty.is_some_and(|ty| !self.world.resources(ty).is_empty()) {
            return self.cannot(
                &format!("{of} of resources"),
                "return them one by one, or in a list",
            );
        }
        self.ty_or_unit(ty)
    }

    /// Notes that something is not carried, and stands in for it.
    fn cannot(&self, has: &str, instead: &str) -> TokenStream {
        let what = self.what;
        self.world.problems.add(format!(
            "{what} has {has}, which is not generated: {instead}"
        ));
        quote!(())
    }
}
