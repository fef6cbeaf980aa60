//! All that is generated, put together.

use std::collections::BTreeMap;
use std::path::Path;

use proc_macro2::TokenStream;
use quote::quote;

use crate::problem::Problems;
use crate::world::World;
use crate::{define, interface, source};

/// What the packages at `paths`, relative to `root`, are in Rust.
///
/// # Errors
///
/// All that keeps it from being generated.
pub(crate) fn expand(root: &Path, paths: &[String]) -> Result<TokenStream, Problems> {
    let sources = source::read(root, paths)?;
    let world = World::of(&sources.resolve, sources.main)?;
    let modules = modules(&world);
    let functions = functions(&world);
    if !world.problems.is_empty() {
        return Err(world.problems);
    }
    let texts = &sources.texts;
    Ok(quote! {
        /// The provider's WIT, a text for each package, that with its world last.
        pub const WIT: &[&str] = &[#(#texts),*];
        #modules
        #functions
    })
}

/// The interfaces, each in its module in those of its package and namespace.
fn modules(world: &World) -> TokenStream {
    let mut namespaces: BTreeMap<_, BTreeMap<_, Vec<_>>> = BTreeMap::new();
    for (id, [namespace, package, name]) in &world.modules {
        let docs = define::docs(&world.interface(*id).docs);
        let types = define::types(world, *id);
        let exported = world.exports.contains(id);
        let interface = exported.then(|| interface::interface(world, *id));
        let module = quote!(#docs pub mod #name { #types #interface });
        let packages = namespaces.entry(namespace).or_default();
        packages.entry(package).or_default().push(module);
    }
    let namespaces = namespaces.iter().map(|(namespace, packages)| {
        let packages = packages
            .iter()
            .map(|(package, modules)| quote!(pub mod #package { #(#modules)* }));
        quote! {
            // WIT need not say what everything is for, and few use all of it.
            #[allow(missing_docs, unreachable_pub, dead_code, unused_imports, clippy::all)]
            pub mod #namespace { #(#packages)* }
        }
    });
    quote!(#(#namespaces)*)
}

/// The functions of the world.
fn functions(world: &World) -> TokenStream {
    let paths = world.exports.iter().filter_map(|id| world.modules.get(id));
    let paths: Vec<_> = paths
        .map(|[namespace, package, name]| quote!(#namespace::#package::#name))
        .collect();
    quote! {
        /// All functions of the provider's world, as `L`, what it has of a link, implements them.
        pub fn functions<L>() -> ::withe_provider::Functions<L>
        where
            L: ::core::marker::Send + ::core::marker::Sync + 'static #(+ #paths::Interface)*
        {
            let mut functions = ::withe_provider::Functions::new();
            #(#paths::add_functions(&mut functions);)*
            functions
        }
    }
}
