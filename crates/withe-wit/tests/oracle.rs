//! The type check decides as `wac`'s does: what it accepts can be composed, and nothing that can be
//! composed is refused.

mod support;

use std::collections::HashSet;

use support::component;
use wac_types::{ItemKind, Package, SubtypeChecker, Types};
use withe_wit::{Interface, World, check};

const NAME: &str = "test:oracle/api@1.0.0";

fn wit(body: &str) -> String {
    format!(
        "package test:oracle@1.0.0;
         interface other {{ resource handle; record shared {{ a: u8 }} make: func() -> handle; }}
         interface api {{ {body} }}
         world client {{ import api; }}
         world server {{ export api; }}"
    )
}

fn ours(import: &[u8], export: &[u8]) -> Vec<check::Mismatch> {
    let interface = |list: Vec<withe_wit::Extern>| -> Interface {
        let item = list.into_iter().find(|e| e.name == NAME).unwrap();
        item.interface().unwrap().clone()
    };
    let import = interface(World::read(import).unwrap().imports);
    let export = interface(World::read(export).unwrap().exports);
    check::interface(&import, &export)
}

fn wacs(import: &[u8], export: &[u8]) -> Result<(), String> {
    let mut types = Types::default();
    let client = Package::from_bytes("a:client", None, import.to_vec(), &mut types).unwrap();
    let server = Package::from_bytes("a:server", None, export.to_vec(), &mut types).unwrap();
    let import: ItemKind = types[client.ty()].imports[NAME];
    let export: ItemKind = types[server.ty()].exports[NAME];
    let mut cache = HashSet::new();
    SubtypeChecker::new(&mut cache)
        .is_subtype(export, &types, import, &types)
        .map_err(|e| format!("{e:#}"))
}

#[test]
fn the_check_decides_as_wac_does() {
    // Each body is imported and exported against every other.
    let bodies = [
        "f: func();",
        "f: func(); g: func();",
        "f: async func();",
        "f: func(a: u32);",
        "f: func(b: u32);",
        "f: func(a: u32, b: u32);",
        "f: func(a: u64);",
        "f: func() -> u32;",
        "f: func(a: option<u32>);",
        "f: func(a: list<u32>);",
        "f: func(a: list<u32, 4>);",
        "f: func(a: list<u32, 5>);",
        "f: func(a: map<string, u32>);",
        "f: func(a: map<string, u64>);",
        "f: func(a: tuple<u32, string>);",
        "f: func(a: tuple<u32>);",
        "f: func(a: result<u32>);",
        "f: func(a: result<_, u32>);",
        "f: func(a: result<u32, string>);",
        "f: func(a: stream<u32>);",
        "f: func(a: stream);",
        "f: func(a: future<u32>);",
        "f: func(a: future<u64>);",
        "record r { a: u32, b: string } f: func(a: r);",
        "record r { b: string, a: u32 } f: func(a: r);",
        "record r { a: u32 } f: func(a: r);",
        "record r { a: u32, b: string, c: u8 } f: func(a: r);",
        "record s { a: u32, b: string } f: func(a: s);",
        "record s { a: u32, b: string } type r = s; f: func(a: r);",
        "variant v { a, b(u32) } f: func(a: v);",
        "variant v { a, b } f: func(a: v);",
        "variant v { a(u32), b } f: func(a: v);",
        "variant v { a } f: func(a: v);",
        "enum e { a, b } f: func(a: e);",
        "enum e { b, a } f: func(a: e);",
        "enum e { a, b, c } f: func(a: e);",
        "flags g { a, b } f: func(a: g);",
        "flags g { a } f: func(a: g);",
        "type t = u32; f: func(a: t);",
        "type u = u32; f: func(a: u);",
        "resource x; f: func(a: x);",
        "resource x; f: func(a: borrow<x>);",
        "resource x { constructor(); } f: func(a: x);",
        "resource y; f: func(a: y);",
        "resource x { get: func() -> u32; } f: func(a: x);",
        "resource x { get: static func() -> u32; } f: func(a: x);",
        "use other.{shared}; f: func(a: shared);",
        "use other.{handle}; f: func(a: handle);",
        "use other.{handle as x}; f: func(a: x);",
    ];
    let components: Vec<_> = bodies
        .iter()
        .map(|b| (component(&wit(b), "client"), component(&wit(b), "server")))
        .collect();
    let mut disagreements = Vec::new();
    for (i, (import, _)) in components.iter().enumerate() {
        for (j, (_, export)) in components.iter().enumerate() {
            let (ours, wacs) = (ours(import, export), wacs(import, export));
            if ours.is_empty() != wacs.is_ok() {
                disagreements.push(format!(
                    "import {}\nexport {}\n  ours: {ours:?}\n  wac: {wacs:?}",
                    bodies[i], bodies[j]
                ));
            }
        }
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}
