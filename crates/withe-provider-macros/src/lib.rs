//! The macro of the provider SDK: Rust from a provider's WIT.
//!
//! The way from WIT to Rust: [`source`] reads the files, [`world`] finds what of them the provider exports and
//! uses, [`ty`] says each type in Rust, [`define`] declares those that have a name, [`interface`] makes
//! the trait of each exported interface and the functions that call it, and [`client`] what calls an imported one. Whatever cannot be carried is a
//! [`Problem`](problem::Problems); all that there are become compile errors at once.

mod client;
mod define;
mod expand;
mod interface;
mod name;
mod problem;
mod source;
#[cfg(test)]
mod testing;
mod ty;
mod world;

use std::path::Path;

use proc_macro2::Span;
use quote::quote_spanned;
use syn::punctuated::Punctuated;
use syn::{LitStr, Token, parse_macro_input};

/// Generates Rust for the WIT world named `provider`: its types, a trait for each interface that it exports, and
/// what connects them to the provider.
///
/// ```text
/// withe_provider::generate!("wit");
/// ```
///
/// The paths are relative to the folder of the crate's `Cargo.toml`. Each is a WIT package: a file, or a folder
/// of files, with the packages that it uses in its folder `deps`. The last one has the world; the others are
/// what it uses, in any order.
///
/// Generated are:
///
/// * `WIT`, the packages' text, for the provider's descriptor.
/// * A module for each interface, `acme::greeter::greeter` for `acme:greeter/greeter@0.1.0`; if there are several
///   versions of a package, they are in its name: `keyvalue_0_2_0_draft`. In it are the interface's types: records
///   are structs, variants and enums are enums, flags are structs of `bool`s. `list<u8>` is `Vec<u8>`, and is copied
///   in one piece. All can be compared, printed, written and read, but that those with streams cannot be compared; variants and enums that are the error of a
///   result are [`Error`](std::error::Error)s.
/// * For an exported interface, a trait `Interface` in its module. The provider's state of a link implements it.
///   A method `get` of the resource `bucket` is its function `bucket_get`, a constructor `bucket_new`. Each
///   function returns the result that WIT says inside one that can fail: that error reaches the caller as a
///   trap.
/// * `functions`, all functions of the world, for an `Exporter`.
/// * For an interface that the world imports, a `Client` in its module: the provider calls it on components. A
///   client is made of a link's `Callee`. Each function takes a `CallContext`, which says until when, and returns
///   the result that WIT says inside one that can fail: how the component or the way to it failed. Interfaces of which
///   others only use types have none, and neither has `wasi:http`, whose handlers take requests. A first parameter
///   that is the `own` of a resource which its interface opens by name is that name, as for `wasi:keyvalue/watcher`: the
///   component's host opens it.
///
/// **Resources.** The provider chooses what a resource is: an associated type of the trait `Interface`. A
/// parameter that is a `borrow` comes as a reference to it, an `own` as an `Arc`, which is no longer the
/// component's. Inside other types, and in results, a resource is an `Own` or a `Borrow`: a number, which the
/// call's context makes and understands.
///
/// **Streams and futures** are their readable ends, `StreamReader` and `FutureReader`, in parameters, results and
/// other types, for what is exported and for what is called. Functions that are `async` are as others are.
///
/// **What is not carried** is a compile error that says what to do: streams of resources, resources of interfaces
/// that the world does not export, resources in functions that the provider calls, and what the world exports or imports
/// outside of a package's interfaces.
#[proc_macro]
pub fn generate(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let paths = parse_macro_input!(input with Punctuated::<LitStr, Token![,]>::parse_terminated);
    let span = match paths.last() {
        Some(last) => last.span(),
        None => Span::call_site(),
    };
    let paths: Vec<String> = paths.iter().map(LitStr::value).collect();
    // Cargo sets it; without Cargo, paths are relative to where the compiler runs.
    let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let tokens = expand::expand(Path::new(&root), &paths).unwrap_or_else(|problems| {
        let problems = problems.into_texts();
        quote_spanned!(span=> #(::core::compile_error!(#problems);)*)
    });
    tokens.into()
}
