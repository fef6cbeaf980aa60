//! An exported interface: the trait that a provider implements, and what calls it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;
use wit_parser::{Function, FunctionKind, Handle, InterfaceId, Param, TypeDefKind};

use crate::define::docs;
use crate::name;
use crate::ty::TypePlace;
use crate::world::World;

/// The trait of an interface, and the function that registers what it has.
pub(crate) fn interface(world: &World, id: InterfaceId) -> TokenStream {
    let interface = world.interface(id);
    let interface_name = world.name(id);
    let mut names: Vec<Ident> = Vec::new();
    let mut declared = TokenStream::new();
    let mut registered = TokenStream::new();
    for function in interface.functions.values() {
        let name = function_name(world, function);
        if names.contains(&name) {
            world.problems.add(format!(
                "`{}` of `{interface_name}` would be `{name}` in Rust, as another is: give one another name",
                function.name
            ));
        }
        let what = format!("`{}` of `{interface_name}`", function.name);
        let of = |implementor| TypePlace {
            world,
            interface: id,
            implementor: Some(implementor),
            what: &what,
        };
        declared.extend(declaration(&of("Self"), function, &name));
        registered.extend(registration(&of("L"), &interface_name, function, &name));
        names.push(name);
    }
    let resources = interface
        .types
        .iter()
        .filter(|(_, id)| matches!(world.resolve.types[**id].kind, TypeDefKind::Resource));
    let resources = resources.map(|(kebab, id)| {
        let docs = docs(&world.resolve.types[*id].docs);
        let name = name::camel(kebab);
        quote!(#docs type #name: ::core::marker::Send + ::core::marker::Sync + 'static;)
    });
    let supertraits = used(world, id).into_iter().map(|id| {
        let path = world.path(id);
        quote!(+ #path::Interface)
    });
    let docs = docs(&interface.docs);
    let functions_doc =
        format!(" Adds the functions of `{interface_name}`, as `L` implements them.");
    quote! {
        #docs
        pub trait Interface:
            ::core::marker::Send + ::core::marker::Sync + ::core::marker::Sized + 'static #(#supertraits)*
        {
            #(#resources)*
            #declared
        }

        #[doc = #functions_doc]
        pub fn add_functions<L: Interface>(functions: &mut ::withe_provider::Functions<L>) {
            #registered
        }
    }
}

/// The exported interfaces whose resources an interface has in its functions.
fn used(world: &World, id: InterfaceId) -> Vec<InterfaceId> {
    let types = world
        .interface(id)
        .functions
        .values()
        .flat_map(World::signature);
    let resources = types.flat_map(|ty| world.resources(ty));
    let mut used: Vec<_> = resources
        .filter_map(|resource| world.owner(resource))
        .filter(|owner| *owner != id && world.exports.contains(owner))
        .collect();
    used.sort();
    used.dedup();
    used
}

/// `get` as `get`, `[method]bucket.get` as `bucket_get`, `[constructor]bucket` as `bucket_new`.
pub(crate) fn function_name(world: &World, function: &Function) -> Ident {
    let item = function.item_name();
    match function.kind {
        FunctionKind::Freestanding | FunctionKind::AsyncFreestanding => name::snake(item),
        FunctionKind::Method(resource)
        | FunctionKind::AsyncMethod(resource)
        | FunctionKind::Static(resource)
        | FunctionKind::AsyncStatic(resource) => {
            let resource = world.resolve.types[resource].name.as_deref();
            name::snake(&format!("{}-{item}", resource.unwrap_or_default()))
        }
        FunctionKind::Constructor(resource) => {
            let resource = world.resolve.types[resource].name.as_deref();
            name::snake(&format!("{}-new", resource.unwrap_or_default()))
        }
    }
}

/// How a parameter comes to the function.
enum Arrives {
    /// As its type says.
    AsIs,
    /// A `borrow`: as a reference to the resource.
    Borrowed,
    /// An `own`: as the resource, which the component has no more.
    Owned,
}

fn arrives(world: &World, param: &Param) -> Arrives {
    let mut ty = param.ty;
    // Behind a name, too, a handle is a handle.
    while let Some(TypeDefKind::Type(of)) = world.kind(ty) {
        ty = *of;
    }
    match world.kind(ty) {
        Some(TypeDefKind::Handle(Handle::Borrow(_))) => Arrives::Borrowed,
        Some(TypeDefKind::Handle(Handle::Own(_))) => Arrives::Owned,
        _ => Arrives::AsIs,
    }
}

/// The function in the trait.
fn declaration(place: &TypePlace, function: &Function, name: &Ident) -> TokenStream {
    let world = place.world;
    let mut names: Vec<Ident> = Vec::new();
    let params: Vec<_> = (function.params.iter())
        .map(|param| {
            let name = param_name(world, function, param, &names);
            names.push(name.clone());
            let ty = match (arrives(world, param), world.resources(param.ty).first()) {
                (Arrives::Borrowed, Some(resource)) => {
                    let resource = place.resource(*resource);
                    quote!(&#resource)
                }
                (Arrives::Owned, Some(resource)) => {
                    let resource = place.resource(*resource);
                    quote!(::std::sync::Arc<#resource>)
                }
                _ => place.ty(param.ty),
            };
            quote!(#name: #ty)
        })
        .collect();
    let result = place.ty_or_unit(function.result);
    let docs = docs(&function.docs);
    quote! {
        #docs
        fn #name(
            &self,
            cx: &::withe_provider::Context<'_>,
            #(#params,)*
        ) -> impl ::core::future::Future<
            Output = ::core::result::Result<#result, ::withe_provider::CallError>,
        > + ::core::marker::Send;
    }
}

/// A parameter's name. The resource that a method is of is called like its type.
pub(crate) fn param_name(
    world: &World,
    function: &Function,
    param: &Param,
    others: &[Ident],
) -> Ident {
    let is_method = matches!(
        function.kind,
        FunctionKind::Method(_) | FunctionKind::AsyncMethod(_)
    );
    let resource = function
        .kind
        .resource()
        .filter(|_| is_method && others.is_empty());
    let resource = resource.and_then(|id| world.resolve.types[id].name.as_deref());
    let mut name = name::snake(resource.unwrap_or(&param.name));
    while name == "cx" || others.contains(&name) {
        name = format_ident!("{name}_");
    }
    name
}

/// The code that reads the parameters, calls the function and writes its result.
fn registration(
    place: &TypePlace,
    interface: &str,
    function: &Function,
    name: &Ident,
) -> TokenStream {
    let params: Vec<_> = (0..function.params.len())
        .map(|i| format_ident!("p{i}"))
        .collect();
    let mut resolved = TokenStream::new();
    let mut reads = Vec::new();
    let mut passed = Vec::new();
    for (name, param) in params.iter().zip(&function.params) {
        let ty = place.ty(param.ty);
        reads.push(quote!(<#ty as ::withe_provider::codec::Decode>::decode(r)?));
        passed.push(match arrives(place.world, param) {
            Arrives::AsIs => quote!(#name),
            Arrives::Borrowed => {
                resolved.extend(quote!(let #name = cx.get(&#name)?;));
                quote!(&#name)
            }
            Arrives::Owned => {
                resolved.extend(quote!(let #name = cx.take(#name)?;));
                quote!(#name)
            }
        });
    }
    let wit_name = &function.name;
    let (result, written) = match function.result {
        Some(_) => (quote!(let result =), quote!((result,))),
        None => (TokenStream::new(), quote!(())),
    };
    quote! {
        functions.add(#interface, #wit_name, |link, cx, params| ::std::boxed::Box::pin(async move {
            let (#(#params,)*) = cx.read(params, |r| ::core::result::Result::Ok((#(#reads,)*)))?;
            #resolved
            #result <L as Interface>::#name(link, cx, #(#passed),*).await?;
            ::core::result::Result::Ok(::withe_provider::Payload::of(&#written))
        }));
    }
}
