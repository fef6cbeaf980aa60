//! The types of an interface that have names: declared, written and read.

use proc_macro2::{Literal, TokenStream};
use quote::quote;
use syn::Ident;
use wit_parser::{Docs, Enum, Flags, InterfaceId, Record, Type, TypeDefKind, TypeId, Variant};

use crate::name;
use crate::ty::TypePlace;
use crate::world::World;

/// All types of an interface.
pub(crate) fn types(world: &World, interface: InterfaceId) -> TokenStream {
    let types = world.interface(interface).types.iter();
    types
        .map(|(name, id)| define(world, interface, name, *id))
        .collect()
}

/// Comments of WIT's as Rust's.
pub(crate) fn docs(docs: &Docs) -> TokenStream {
    let lines = docs
        .contents
        .iter()
        .flat_map(|text| text.trim_end().lines());
    let lines = lines.map(|line| format!(" {line}"));
    quote!(#(#[doc = #lines])*)
}

fn define(world: &World, interface: InterfaceId, kebab: &str, id: TypeId) -> TokenStream {
    let def = &world.resolve.types[id];
    let what = format!("the type `{kebab}` of `{}`", world.name(interface));
    let place = TypePlace {
        world,
        interface,
        implementor: None,
        what: &what,
    };
    let is_resource = |id| {
        matches!(
            world.resolve.types[world.origin(id)].kind,
            TypeDefKind::Resource
        )
    };
    // A resource is whatever the provider makes it.
    if is_resource(id) {
        return TokenStream::new();
    }
    let name = name::camel(kebab);
    if name == "Interface" || name == "Client" && world.imports.contains(&interface) {
        world.problems.add(format!(
            "{what} has the name of what is generated beside it: give it another"
        ));
    }
    let mut names: Vec<_> = (world.resources(Type::Id(id)).iter())
        .map(|id| place.resource(*id).to_string())
        .collect();
    names.sort();
    if let Some([twice, _]) = names.array_windows().find(|[a, b]| a == b) {
        world.problems.add(format!(
            "{what} holds two resources that are both named `{twice}`: give one another name"
        ));
    }
    let generics = place.parameters(id);
    let ours = Defined {
        place,
        id,
        name,
        generics,
    };
    let docs = docs(&def.docs);
    let defined = match &def.kind {
        TypeDefKind::Record(record) => ours.record(record),
        TypeDefKind::Variant(variant) => ours.variant(variant),
        TypeDefKind::Enum(cases) => ours.enumeration(cases),
        TypeDefKind::Flags(flags) => ours.flags(flags),
        TypeDefKind::Type(Type::Id(of)) if world.owner(*of).is_some_and(|o| o != interface) => {
            ours.used(*of)
        }
        _ => ours.alias(),
    };
    quote!(#docs #defined)
}

/// A type that is being defined.
struct Defined<'a> {
    place: TypePlace<'a>,
    id: TypeId,
    name: Ident,
    /// Its parameters, with their brackets: the resources in it.
    generics: TokenStream,
}

impl Defined<'_> {
    fn record(&self, record: &Record) -> TokenStream {
        let (name, generics, derives) = (&self.name, &self.generics, self.derives());
        let fields: Vec<_> = record.fields.iter().map(|f| name::snake(&f.name)).collect();
        let types: Vec<_> = record.fields.iter().map(|f| self.place.ty(f.ty)).collect();
        let docs = record.fields.iter().map(|f| docs(&f.docs));
        let codec = self.codec(
            quote!(#(::withe_provider::codec::Encode::encode(&self.#fields, w);)*),
            quote!(0 #(+ <#types as ::withe_provider::codec::Decode>::MIN_BYTES)*),
            quote!(::core::result::Result::Ok(Self {
                #(#fields: ::withe_provider::codec::Decode::decode(r)?,)*
            })),
        );
        quote! {
            #derives
            pub struct #name #generics {
                #(#docs pub #fields: #types,)*
            }
            #codec
        }
    }

    fn variant(&self, variant: &Variant) -> TokenStream {
        let (name, generics, derives) = (&self.name, &self.generics, self.derives());
        let docs = variant.cases.iter().map(|case| docs(&case.docs));
        let cases: Vec<_> = variant
            .cases
            .iter()
            .map(|case| name::camel(&case.name))
            .collect();
        let payloads = variant.cases.iter().map(|case| {
            let ty = case.ty.map(|ty| self.place.ty(ty));
            ty.map(|ty| quote!((#ty)))
        });
        let numbers = || (0..).map(Literal::u64_unsuffixed);
        let writes = cases.iter().zip(&variant.cases).zip(numbers());
        let writes = writes.map(|((case, of), number)| match of.ty {
            Some(_) => quote!(Self::#case(value) => {
                w.unsigned(#number);
                ::withe_provider::codec::Encode::encode(value, w);
            }),
            None => quote!(Self::#case => w.unsigned(#number),),
        });
        let reads = cases.iter().zip(&variant.cases).zip(numbers());
        let reads = reads.map(|((case, of), number)| {
            let value = of
                .ty
                .map(|_| quote!((::withe_provider::codec::Decode::decode(r)?)));
            quote!(#number => Self::#case #value,)
        });
        let count = Literal::usize_unsuffixed(cases.len());
        let codec = self.codec(
            quote!(match self { #(#writes)* }),
            quote!(1),
            quote!(::core::result::Result::Ok(match r.case(#count)? {
                #(#reads)*
                _ => return ::core::result::Result::Err(
                    ::withe_provider::codec::DecodeError::Discriminant,
                ),
            })),
        );
        let error = self.error(cases.iter().zip(&variant.cases).map(|(case, of)| {
            let text = name::words(&of.name);
            match of.ty {
                None => quote!(Self::#case => f.write_str(#text),),
                Some(ty) if self.is_said(ty) => {
                    quote!(Self::#case(value) => ::core::write!(f, ::core::concat!(#text, ": {}"), value),)
                }
                Some(ty) if self.place.world.resources(ty).is_empty() => {
                    quote!(Self::#case(value) => ::core::write!(f, ::core::concat!(#text, ": {:?}"), value),)
                }
                Some(_) => quote!(Self::#case(_) => f.write_str(#text),),
            }
        }));
        quote! {
            #derives
            pub enum #name #generics {
                #(#docs #cases #payloads,)*
            }
            #codec
            #error
        }
    }

    fn enumeration(&self, cases: &Enum) -> TokenStream {
        let (name, derives) = (&self.name, self.derives());
        let docs = cases.cases.iter().map(|case| docs(&case.docs));
        let names: Vec<_> = cases
            .cases
            .iter()
            .map(|case| name::camel(&case.name))
            .collect();
        let numbers: Vec<_> = (0..names.len() as u64)
            .map(Literal::u64_unsuffixed)
            .collect();
        let count = Literal::usize_unsuffixed(names.len());
        let codec = self.codec(
            quote!(w.unsigned(match self { #(Self::#names => #numbers,)* });),
            quote!(1),
            quote!(::core::result::Result::Ok(match r.case(#count)? {
                #(#numbers => Self::#names,)*
                _ => return ::core::result::Result::Err(
                    ::withe_provider::codec::DecodeError::Discriminant,
                ),
            })),
        );
        let error = self.error(names.iter().zip(&cases.cases).map(|(case, of)| {
            let text = name::words(&of.name);
            quote!(Self::#case => f.write_str(#text),)
        }));
        quote! {
            #derives
            pub enum #name {
                #(#docs #names,)*
            }
            #codec
            #error
        }
    }

    fn flags(&self, flags: &Flags) -> TokenStream {
        let (name, derives) = (&self.name, self.derives());
        let docs = flags.flags.iter().map(|flag| docs(&flag.docs));
        let fields: Vec<_> = flags
            .flags
            .iter()
            .map(|flag| name::snake(&flag.name))
            .collect();
        let count = Literal::usize_unsuffixed(fields.len());
        let codec = self.codec(
            quote!(w.flags(&[#(self.#fields),*]);),
            quote!(usize::div_ceil(#count, 8)),
            quote!({
                let [#(#fields),*] = r.flags::<#count>()?;
                ::core::result::Result::Ok(Self { #(#fields),* })
            }),
        );
        quote! {
            #derives
            #[derive(Default)]
            pub struct #name {
                #(#docs pub #fields: bool,)*
            }
            #codec
        }
    }

    /// A type of another interface under a name of this one.
    fn used(&self, of: TypeId) -> TokenStream {
        let world = self.place.world;
        let Some(owner) = world.owner(of) else {
            return self.alias();
        };
        let path = world.path(owner);
        let theirs = name::camel(world.resolve.types[of].name.as_deref().unwrap_or_default());
        let name = &self.name;
        if theirs == *name {
            quote!(pub use #path::#name;)
        } else {
            quote!(pub use #path::#theirs as #name;)
        }
    }

    fn alias(&self) -> TokenStream {
        let (name, generics) = (&self.name, &self.generics);
        let ty = self.place.anonymous(self.id);
        quote!(pub type #name #generics = #ty;)
    }

    /// The traits that the type can have without being told more.
    fn derives(&self) -> TokenStream {
        use TypeDefKind as T;
        let world = self.place.world;
        let ty = Type::Id(self.id);
        let has = |is: fn(&TypeDefKind) -> bool| world.any(ty, |ty| world.kind(ty).is_some_and(is));
        // One end of a stream is not another.
        if has(|kind| matches!(kind, T::Stream(_) | T::Future(_))) {
            return quote!(#[derive(Debug)]);
        }
        if has(|kind| matches!(kind, T::Handle(_))) {
            return quote!(#[derive(Debug, PartialEq)]);
        }
        let floats = world.any(ty, |ty| matches!(ty, Type::F32 | Type::F64));
        let strings = world.any(ty, |ty| ty == Type::String);
        let lists = has(|kind| matches!(kind, T::List(_) | T::Map(..)));
        let copy = (!strings && !lists).then(|| quote!(Copy,));
        let eq = (!floats).then(|| quote!(Eq, Hash));
        quote!(#[derive(Clone, #copy Debug, PartialEq, #eq)])
    }

    /// Whether a case's value is said in the text of an error.
    fn is_said(&self, ty: Type) -> bool {
        match ty {
            Type::Id(id) => {
                let world = self.place.world;
                let id = world.origin(id);
                match world.resolve.types[id].kind {
                    TypeDefKind::Type(ty) => self.is_said(ty),
                    _ => world.errors.contains(&id),
                }
            }
            Type::ErrorContext => false,
            _ => true,
        }
    }

    /// The impl that makes it an error, if it is that of a result.
    fn error(&self, cases: impl Iterator<Item = TokenStream>) -> TokenStream {
        if !self.place.world.errors.contains(&self.id) {
            return TokenStream::new();
        }
        let (name, generics) = (&self.name, &self.generics);
        quote! {
            impl #generics ::core::fmt::Display for #name #generics {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    match self { #(#cases)* }
                }
            }

            impl #generics ::core::error::Error for #name #generics where Self: ::core::fmt::Debug {}
        }
    }

    /// How it is written and read: `self` to `w`, at least how many bytes, `r` to a result.
    fn codec(&self, write: TokenStream, min_bytes: TokenStream, read: TokenStream) -> TokenStream {
        let (name, generics) = (&self.name, &self.generics);
        quote! {
            impl #generics ::withe_provider::codec::Encode for #name #generics {
                fn encode(&self, w: &mut ::withe_provider::codec::Writer) {
                    #write
                }
            }

            impl #generics ::withe_provider::codec::Decode for #name #generics {
                const MIN_BYTES: usize = #min_bytes;

                fn decode(
                    r: &mut ::withe_provider::codec::Reader<'_>,
                ) -> ::core::result::Result<Self, ::withe_provider::codec::DecodeError> {
                    #read
                }
            }
        }
    }
}
