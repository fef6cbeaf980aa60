//! All that is generated, put together.

use std::collections::BTreeMap;
use std::path::Path;

use proc_macro2::TokenStream;
use quote::quote;

use crate::problem::Problems;
use crate::world::World;
use crate::{client, define, interface, source};

/// The packages at `paths`, relative to `root`, in Rust.
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
        #[allow(unreachable_pub, dead_code)]
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
        let called = world.imports.contains(id);
        let client = called.then(|| client::client(world, *id));
        let module = quote!(#docs pub mod #name { #types #interface #client });
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
        #[allow(unreachable_pub, dead_code)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    /// The expansion of a package with the world `provider`, which exports `export`.
    fn expanded(wit: &str, export: &str) -> Result<String, Vec<String>> {
        let text = format!("package a:b@1.0.0;\n{wit}\nworld provider {{ {export} }}");
        let folder = Folder::with(&[("a.wit", &text)]);
        expand(folder.path(), &["a.wit".into()])
            .map(|tokens| tokens.to_string())
            .map_err(Problems::into_texts)
    }

    /// The expansion of the interface `i` with these types and functions.
    fn problems(interface: &str) -> Vec<String> {
        expanded(&format!("interface i {{ {interface} }}"), "export i;").unwrap_err()
    }

    #[test]
    fn streams_and_futures_are_their_readable_ends() {
        let wit = "interface i { record r { log: stream } type t = stream<u8>; \
                   f: async func(a: t, b: r) -> list<future<stream<u32>>>; }";
        let tokens = expanded(wit, "import i; export i;").unwrap();
        for part in [
            "pub type T = :: withe_provider :: StreamReader < u8 >",
            "pub log : :: withe_provider :: StreamReader < () >",
            ":: withe_provider :: FutureReader < :: withe_provider :: StreamReader < u32 > >",
            "# [derive (Debug)] pub struct R",
        ] {
            assert!(tokens.contains(part), "{part}: {tokens}");
        }
    }

    #[test]
    fn streams_of_resources_are_said_and_what_to_do() {
        let said = problems("resource r; f: func(a: stream<own<r>>) -> future<own<r>>;");
        assert_eq!(
            said,
            [
                "`f` of `a:b/i@1.0.0` has a stream of resources, which is not generated: return them one by one, or in \
                 a list",
                "`f` of `a:b/i@1.0.0` has a future of resources, which is not generated: return them one by one, or in \
                 a list",
            ]
        );
    }

    #[test]
    fn all_that_is_not_carried_is_said_at_once() {
        let types = "u8, ".repeat(13);
        let said = problems(&format!(
            "record r {{ e: error-context }} type t = tuple<{types}>;"
        ));
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("the type `r` of `a:b/i@1.0.0` has an `error-context`"));
        assert!(said[1].starts_with("the type `t` of `a:b/i@1.0.0` has a tuple of 13"));
    }

    #[test]
    fn names_that_would_be_the_same_are_said() {
        let said = problems("resource a { b: func(); } a-b: func(); record %interface { x: u8 }");
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("the type `interface` of `a:b/i@1.0.0` has the name of"));
        assert!(said[1].contains("would be `a_b` in Rust, as another is"));
    }

    #[test]
    fn resources_of_others_are_refused() {
        let wit = "interface theirs { resource r; } interface ours { use theirs.{r}; f: func(r: borrow<r>); }";
        let said = expanded(wit, "export ours;").unwrap_err();
        assert_eq!(
            said,
            [
                "`f` of `a:b/ours@1.0.0` has the resource `r` of `a:b/theirs@1.0.0`, which is not generated: \
              export that interface too: a provider has only resources of its own"
            ]
        );
        expanded(wit, "export theirs; export ours;").unwrap();
    }

    #[test]
    fn two_resources_of_one_name_in_a_type_are_refused() {
        let wit = "interface x { resource r; } interface i { use x.{r as s}; resource r; \
                   record both { a: r, b: s } f: func(both: both); }";
        let said = expanded(wit, "export x; export i;").unwrap_err();
        let expected =
            "the type `both` of `a:b/i@1.0.0` holds two resources that are both named `R`";
        assert!(said[0].starts_with(expected), "{said:?}");
    }

    #[test]
    fn what_the_world_itself_exports_is_refused() {
        for (export, name) in [("export f: func();", "f"), ("export i: interface { }", "i")] {
            let said = expanded("", export).unwrap_err();
            let expected = format!("`{name}` is exported by the world itself: put it into");
            assert!(said[0].starts_with(&expected), "{said:?}");
        }
        let folder = Folder::with(&[("a.wit", "package a:b;\nworld other { }")]);
        let said = expand(folder.path(), &["a.wit".into()])
            .unwrap_err()
            .into_texts();
        assert_eq!(
            said,
            ["the package `a:b` has no world named `provider`: it says what the provider exports"]
        );
    }

    #[test]
    fn what_is_imported_for_its_types_has_no_client() {
        let wit = "interface types { record r { x: u8 } go: func(); } interface i { use types.{r}; f: func(r: r); }";
        let tokens = expanded(wit, "import types; export i;").unwrap();
        assert!(tokens.contains("pub struct R"), "{tokens}");
        assert!(!tokens.contains("fn go"), "{tokens}");
    }

    #[test]
    fn what_is_imported_has_a_client() {
        let wit =
            "interface types { record r { x: u8 } } interface i { use types.{r}; f: func(r: r); }";
        let tokens = expanded(wit, "import i;").unwrap();
        assert!(tokens.contains("pub struct Client"), "{tokens}");
        assert!(tokens.contains("pub async fn f"), "{tokens}");
        assert!(!tokens.contains("pub trait Interface"), "{tokens}");
        let both = expanded(wit, "import i; export i;").unwrap();
        assert!(both.contains("pub struct Client") && both.contains("pub trait Interface"));
    }

    #[test]
    fn a_resource_that_is_opened_by_name_is_passed_by_name() {
        let with = |open: &str| {
            format!(
                "interface store {{ resource bucket; {open} }} \
                 interface watcher {{ use store.{{bucket}}; on-set: func(b: bucket, key: string); }}"
            )
        };
        let open = "open: func(name: string) -> result<bucket, string>;";
        let tokens = expanded(&with(open), "import watcher;").unwrap();
        assert!(
            tokens.contains("b : :: std :: string :: String"),
            "{tokens}"
        );
        for other in ["", "open: func(number: u32) -> result<bucket, string>;"] {
            let said = expanded(&with(other), "import watcher;").unwrap_err();
            assert!(said[0].contains("has the resource `bucket`"), "{said:?}");
        }
    }

    #[test]
    fn what_a_provider_cannot_call_is_said() {
        let wit = "interface i { resource r; f: func(r: borrow<r>); of: func(); }";
        let said = expanded(wit, "import i;").unwrap_err();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0]
                .starts_with("`f` of `a:b/i@1.0.0` has the resource `r`, which is not generated")
        );
        assert!(said[1].starts_with("`of` of `a:b/i@1.0.0` would be `of` in Rust, as another is"));
        let said = expanded("", "import f: func();").unwrap_err();
        assert!(
            said[0].starts_with("`f` is imported by the world itself"),
            "{said:?}"
        );
    }
}
