//! An interface that the provider calls: the client that has its functions.

use proc_macro2::{Literal, TokenStream};
use quote::quote;
use syn::Ident;
use wit_parser::{Function, Handle, InterfaceId, Type, TypeDefKind};

use crate::define::docs;
use crate::interface::{function_name, param_name};
use crate::ty::TypePlace;
use crate::world::World;

/// The client of an interface.
pub(crate) fn client(world: &World, id: InterfaceId) -> TokenStream {
    let interface = world.interface(id);
    let interface_name = world.name(id);
    let mut names: Vec<Ident> = Vec::new();
    let mut methods = TokenStream::new();
    for (number, function) in interface.functions.values().enumerate() {
        let what = format!("`{}` of `{interface_name}`", function.name);
        let opened = opened(world, function);
        let carried = World::signature(function).skip(usize::from(opened));
        if let Some(resource) = carried.flat_map(|ty| world.resources(ty)).next() {
            let resource = world.resolve.types[resource].name.as_deref();
            world.problems.add(format!(
                "{what} has the resource `{}`, which is not generated: a provider passes no resources to a component \
                 that it calls",
                resource.unwrap_or_default()
            ));
            continue;
        }
        let name = function_name(world, function);
        if name == "of" || names.contains(&name) {
            world.problems.add(format!(
                "{what} would be `{name}` in Rust, as another is: give one another name"
            ));
        }
        let place = TypePlace {
            world,
            interface: id,
            implementor: None,
            what: &what,
        };
        methods.extend(method(&place, function, number, &name, opened));
        names.push(name);
    }
    let functions = interface.functions.keys();
    let doc = format!(" Calls `{interface_name}` of a component.");
    let of_doc = format!(
        " The client of the component at the other end of a link; `None` if the link does not carry `{interface_name}`."
    );
    quote! {
        #[doc = #doc]
        #[derive(Clone, Debug)]
        pub struct Client(::withe_provider::CalledInterface);

        impl Client {
            #[doc = #of_doc]
            pub fn of(callee: &::withe_provider::Callee) -> ::core::option::Option<Self> {
                callee.interface(#interface_name, &[#(#functions),*]).map(Self)
            }

            #methods
        }
    }
}

/// Whether a function's first parameter is a resource that the component's host opens: the provider gives its name.
fn opened(world: &World, function: &Function) -> bool {
    let Some(first) = function.params.first() else {
        return false;
    };
    let Type::Id(id) = first.ty else {
        return false;
    };
    // `own` is not written: the type is the handle, or the name of what it is a handle of.
    let TypeDefKind::Handle(Handle::Own(resource)) = world.resolve.types[id].kind else {
        return false;
    };
    let resource = world.origin(resource);
    let Some(interface) = world.owner(resource).map(|id| world.interface(id)) else {
        return false;
    };
    let Some(open) = interface.functions.get("open") else {
        return false;
    };
    let by_name = matches!(&open.params[..], [name] if name.ty == Type::String);
    let result = open.result.map(|ty| world.resources(ty));
    by_name && result.is_some_and(|found| found == [resource])
}

fn method(
    place: &TypePlace,
    function: &Function,
    number: usize,
    name: &Ident,
    opened: bool,
) -> TokenStream {
    let world = place.world;
    let mut names: Vec<Ident> = Vec::new();
    let mut types = Vec::new();
    for (nth, param) in function.params.iter().enumerate() {
        names.push(param_name(world, function, param, &names));
        types.push(match opened && nth == 0 {
            true => quote!(::std::string::String),
            false => place.ty(param.ty),
        });
    }
    let (result, read, taken) = match function.result {
        Some(ty) => {
            let ty = place.ty(ty);
            (quote!(#ty), quote!((#ty,)), quote!(result.0))
        }
        None => (quote!(()), quote!(()), quote!(result)),
    };
    let number = Literal::usize_unsuffixed(number);
    let docs = docs(&function.docs);
    quote! {
        #docs
        pub async fn #name(
            &self,
            cx: ::withe_provider::CallContext,
            #(#names: #types,)*
        ) -> ::core::result::Result<#result, ::withe_provider::CallError> {
            let write = |w: &mut ::withe_provider::codec::Writer| {
                #(::withe_provider::codec::Encode::encode(&#names, w);)*
                let _ = w;
            };
            let result = self.0.call::<#read>(#number, write, cx).await?;
            ::core::result::Result::Ok(#taken)
        }
    }
}
