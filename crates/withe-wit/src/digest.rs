//! A digest of a function's type: one number by which the two ends of a connection make sure that
//! they mean the same values by the same bytes.
//!
//! The digest is the 64-bit FNV-1a hash of a text, so any language can compute it in a few lines. FNV is not proof
//! against forgery, and need not be: a peer that could forge a type could send other values just as well. The digest
//! guards against mistakes.
//!
//! The text has no spaces:
//!
//! ```text
//! function = ["async "] "func(" [type *("," type)] ")" ["->" type]
//! type     = "bool" | "u8" | "u16" | "u32" | "u64" | "s8" | "s16" | "s32" | "s64" | "f32" | "f64"
//!          | "char" | "string" | "error-context"
//!          | "list<" type ">" | "list<" type "," length ">" | "map<" type "," type ">"
//!          | "option<" type ">" | "result<" (type | "_") "," (type | "_") ">"
//!          | "tuple<" type *("," type) ">"
//!          | "record{" name ":" type *("," name ":" type) "}"
//!          | "variant{" name ["(" type ")"] *("," name ["(" type ")"]) "}"
//!          | "enum{" name *("," name) "}" | "flags{" name *("," name) "}"
//!          | "own<" resource ">" | "borrow<" resource ">"
//!          | "stream<" (type | "_") ">" | "future<" (type | "_") ">"
//! resource = [namespace ":" package "/" interface "#"] name
//! ```
//!
//! * `async` is there for a function declared so; the space after it is the only one.
//! * Lengths are decimal. Names are as WIT has them, and so hold none of the signs above.
//! * A method's `self` is its first parameter, `borrow<…>` of its resource.
//! * A resource is of the interface that defines it, without its version, and without any where the
//!   world itself or an inline interface defines it.
//! * Names of the function, of its parameters and of types other than resources are not in it.
//!   Aliases are what they stand for.
//!
//! Two functions that [`check`](crate::check) accepts as import and export of interfaces whose names
//! match have equal digests: it wants equal types, and compatible versions are left out here. If
//! it ever accepts types that are not equal (a record with one more field), their digests differ,
//! and so they should: their values are not the same bytes.

use crate::name::InterfaceName;
use crate::ty::{Function, Named, ResourceRef, Type};

const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Function {
    /// A number that is the same for equal function types, on every machine and in every version of
    /// this crate, and all but certainly different for others. The module [`digest`](crate::digest)
    /// defines it exactly.
    pub fn digest(&self) -> u64 {
        let mut hash = OFFSET_BASIS;
        spell_function(self, &mut |text| hash = add(hash, text));
        hash
    }

    /// The digest of the function as the other side of a link has it: resources of the first interface of a pair are
    /// those of the second there.
    pub fn digest_paired(&self, pairs: &[(InterfaceName, InterfaceName)]) -> u64 {
        let mut text = String::new();
        spell_function(self, &mut |piece| text.push_str(piece));
        // A handle is the only place where an interface's name stands, and ends with its sign. Each is put in the
        // place of its pair once, also where two are exchanged.
        let mut hash = OFFSET_BASIS;
        let mut rest = text.as_str();
        while let Some(sign) = rest.find('#') {
            let (before, after) = rest.split_at(sign);
            let start = before.rfind('<').map_or(0, |open| open + 1);
            let (open, name) = before.split_at(start);
            let own = |name: &InterfaceName| name.unversioned().to_string();
            let other = pairs.iter().find(|(import, _)| own(import) == name);
            hash = add(hash, open);
            hash = match other {
                Some((_, export)) => add(hash, &own(export)),
                None => add(hash, name),
            };
            let (sign, after) = after.split_at(1);
            hash = add(hash, sign);
            rest = after;
        }
        add(hash, rest)
    }
}

/// A hash, with a further piece of the text.
fn add(hash: u64, text: &str) -> u64 {
    (text.bytes()).fold(hash, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    })
}

/// Takes a text piece by piece.
type Sink<'a> = dyn FnMut(&str) + 'a;

fn spell_function(f: &Function, out: &mut Sink<'_>) {
    out(if f.is_async { "async func(" } else { "func(" });
    separated(f.params.iter(), out, |(_, ty), out| spell(ty, out));
    out(")");
    if let Some(result) = &f.result {
        out("->");
        spell(result, out);
    }
}

fn spell(ty: &Type, out: &mut Sink<'_>) {
    match ty {
        Type::Bool => out("bool"),
        Type::U8 => out("u8"),
        Type::U16 => out("u16"),
        Type::U32 => out("u32"),
        Type::U64 => out("u64"),
        Type::S8 => out("s8"),
        Type::S16 => out("s16"),
        Type::S32 => out("s32"),
        Type::S64 => out("s64"),
        Type::F32 => out("f32"),
        Type::F64 => out("f64"),
        Type::Char => out("char"),
        Type::String => out("string"),
        Type::ErrorContext => out("error-context"),
        Type::List(element) => of("list<", [Some(&**element)], out),
        Type::FixedList(element, length) => {
            out("list<");
            spell(element, out);
            out(&format!(",{length}>"));
        }
        Type::Map(key, value) => of("map<", [Some(&**key), Some(&**value)], out),
        Type::Option(payload) => of("option<", [Some(&**payload)], out),
        Type::Result(ok, err) => of("result<", [ok.as_deref(), err.as_deref()], out),
        Type::Tuple(types) => of("tuple<", types.iter().map(Some), out),
        Type::Record(Named { body, .. }) => {
            out("record{");
            separated(body.iter(), out, |(name, ty), out| {
                out(name);
                out(":");
                spell(ty, out);
            });
            out("}");
        }
        Type::Variant(Named { body, .. }) => {
            out("variant{");
            separated(body.iter(), out, |(name, payload), out| {
                out(name);
                if let Some(payload) = payload {
                    out("(");
                    spell(payload, out);
                    out(")");
                }
            });
            out("}");
        }
        Type::Enum(Named { body, .. }) => names("enum{", body, out),
        Type::Flags(Named { body, .. }) => names("flags{", body, out),
        Type::Own(resource) => handle("own<", resource, out),
        Type::Borrow(resource) => handle("borrow<", resource, out),
        Type::Stream(payload) => of("stream<", [payload.as_deref()], out),
        Type::Future(payload) => of("future<", [payload.as_deref()], out),
    }
}

/// A type made of others, any of which may be missing.
fn of<'t>(open: &str, types: impl IntoIterator<Item = Option<&'t Type>>, out: &mut Sink<'_>) {
    out(open);
    separated(types.into_iter(), out, |ty, out| match ty {
        Some(ty) => spell(ty, out),
        None => out("_"),
    });
    out(">");
}

fn names(open: &str, names: &[String], out: &mut Sink<'_>) {
    out(open);
    separated(names.iter(), out, |name, out| out(name));
    out("}");
}

fn handle(open: &str, resource: &ResourceRef, out: &mut Sink<'_>) {
    out(open);
    if let Some(interface) = &resource.interface {
        out(&interface.unversioned().to_string());
        out("#");
    }
    out(&resource.name);
    out(">");
}

fn separated<T>(
    items: impl Iterator<Item = T>,
    out: &mut Sink<'_>,
    spell: impl Fn(T, &mut Sink<'_>),
) {
    for (i, item) in items.enumerate() {
        if i > 0 {
            out(",");
        }
        spell(item, out);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Interface, World, check};

    /// The interface `body`, which may use what `other` has, under a version.
    fn interface(body: &str, version: &str) -> Interface {
        let wit = format!(
            "package t:t@{version};
             interface other {{ resource r; }}
             interface i {{ {body} }}
             world w {{ import i; }}"
        );
        let world = World::from_wit(&[&wit], "w").unwrap_or_else(|e| panic!("{e}\n{wit}"));
        world.imports.last().unwrap().interface().unwrap().clone()
    }

    fn function(body: &str) -> Function {
        let interface = interface(body, "1.0.0");
        (interface.functions.into_iter().find(|f| f.name == "f")).unwrap()
    }

    fn text(f: &Function) -> String {
        let mut text = String::new();
        spell_function(f, &mut |piece| text.push_str(piece));
        text
    }

    #[test]
    fn a_paired_function_has_the_digest_of_the_other_side() {
        let one = "package a:a@1.0.0; interface i { resource r; f: func(r: borrow<r>) -> tuple<r, list<string>>; } \
                   world w { import i; }";
        let other = one
            .replace("a:a@1.0.0", "b:b@2.0.0")
            .replace("interface i", "interface j");
        let other = other.replace("import i", "import j");
        let function = |wit: &str| {
            let world = World::from_wit(&[wit], "w").unwrap();
            let interface = world.imports[0].interface().unwrap();
            let f = interface.functions.iter().find(|f| f.name == "f");
            (f.unwrap().clone(), interface.name.clone().unwrap())
        };
        let ((a, from), (b, to)) = (function(one), function(&other));
        assert_ne!(a.digest(), b.digest());
        assert_eq!(a.digest_paired(&[]), a.digest());
        assert_eq!(a.digest_paired(&[(from.clone(), to.clone())]), b.digest());
        // Two that stand for each other are exchanged, and not made one.
        let exchanged = [(from.clone(), to.clone()), (to, from)];
        assert_eq!(a.digest_paired(&exchanged), b.digest());
    }

    /// One function for each text that another implementation has to come to.
    const SPELLED: [(&str, &str); 21] = [
        ("f: func();", "func()"),
        ("f: async func() -> bool;", "async func()->bool"),
        (
            "f: func(a: u8, b: u16, c: u32, d: u64) -> char;",
            "func(u8,u16,u32,u64)->char",
        ),
        (
            "f: func(a: s8, b: s16, c: s32, d: s64, e: f32, f: f64);",
            "func(s8,s16,s32,s64,f32,f64)",
        ),
        (
            "f: func(s: string) -> error-context;",
            "func(string)->error-context",
        ),
        (
            "type bytes = list<u8>; f: func() -> bytes;",
            "func()->list<u8>",
        ),
        ("f: func() -> list<u8, 16>;", "func()->list<u8,16>"),
        ("f: func() -> map<string, u8>;", "func()->map<string,u8>"),
        (
            "f: func() -> option<option<u8>>;",
            "func()->option<option<u8>>",
        ),
        ("f: func() -> result;", "func()->result<_,_>"),
        ("f: func() -> result<u8>;", "func()->result<u8,_>"),
        ("f: func() -> result<_, u8>;", "func()->result<_,u8>"),
        (
            "f: func() -> tuple<u8, tuple<string>>;",
            "func()->tuple<u8,tuple<string>>",
        ),
        (
            "record item { name: string, tags: list<string> } f: func() -> item;",
            "func()->record{name:string,tags:list<string>}",
        ),
        (
            "variant shape { none, circle(f64), other(string) } f: func(s: shape);",
            "func(variant{none,circle(f64),other(string)})",
        ),
        (
            "enum colour { red, dark-blue } f: func() -> colour;",
            "func()->enum{red,dark-blue}",
        ),
        (
            "flags mode { read, write } f: func(m: mode);",
            "func(flags{read,write})",
        ),
        (
            "resource r; f: func(a: borrow<r>) -> r;",
            "func(borrow<t:t/i#r>)->own<t:t/i#r>",
        ),
        ("use other.{r}; f: func(a: r);", "func(own<t:t/other#r>)"),
        (
            "f: func(a: stream<u8>) -> stream;",
            "func(stream<u8>)->stream<_>",
        ),
        (
            "f: func(a: future<u8>) -> future;",
            "func(future<u8>)->future<_>",
        ),
    ];

    #[test]
    fn types_are_spelled_as_defined() {
        for (body, want) in SPELLED {
            assert_eq!(text(&function(body)), want, "{body}");
        }
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        let table = [
            ("f: func();", 0x1926_bfa0_a15a_6c3c_u64),
            ("f: func(a: u32) -> string;", 0x70e0_7d35_a49b_a8fe),
        ];
        for (body, want) in table {
            assert_eq!(function(body).digest(), want, "{body}");
        }
    }

    #[test]
    fn names_and_versions_that_do_not_change_values_do_not_count() {
        let table = [
            ("f: func(a: u8);", "f: func(b: u8);"),
            (
                "record a { x: u8 } f: func(p: a);",
                "record b { x: u8 } f: func(p: b);",
            ),
            (
                "type t = list<string>; f: func() -> t;",
                "f: func() -> list<string>;",
            ),
        ];
        for (a, b) in table {
            assert_eq!(function(a).digest(), function(b).digest(), "{a}\n{b}");
        }
        let digest =
            |version| interface("resource r; f: func(a: r);", version).functions[0].digest();
        assert_eq!(digest("1.0.0"), digest("1.2.0"));
    }

    #[test]
    fn what_satisfies_an_import_has_its_digest_and_nothing_else_has() {
        let different = [
            "f: async func();",
            "f: func(a: u8, b: u8);",
            "f: func(a: tuple<u8, u8>);",
            "record r { a: u8, b: u8 } f: func(a: r);",
            "record r { b: u8, a: u8 } f: func(a: r);",
            "enum e { a, b } f: func(a: e);",
            "flags e { a, b } f: func(a: e);",
            "variant e { a, b } f: func(a: e);",
            "variant e { a(u8), b } f: func(a: e);",
            "variant e { a, b(u8) } f: func(a: e);",
            "f: func(a: list<u8, 17>);",
            "f: func(a: list<u8, 1>) -> u8;",
            "resource r; f: func(a: borrow<r>);",
            "resource r; f: func(a: r);",
            "resource s; f: func(a: s);",
            "f: func() -> list<option<u8>>;",
            "f: func() -> option<list<u8>>;",
        ];
        let all: Vec<Interface> = (SPELLED.iter().map(|(body, _)| *body))
            .chain(different)
            .map(|body| interface(body, "1.0.0"))
            .collect();
        let f = |i: &Interface| i.functions.iter().find(|f| f.name == "f").unwrap().clone();
        let mut bodies: BTreeMap<u64, Function> = BTreeMap::new();
        for import in &all {
            for export in &all {
                let is_accepted = check::interface(import, export).is_empty();
                let (import, export) = (f(import), f(export));
                if is_accepted {
                    assert_eq!(import.digest(), export.digest(), "{import}\n{export}");
                }
            }
            let other = bodies.insert(f(import).digest(), f(import));
            assert!(other.is_none(), "{} and {other:?}", f(import));
        }
    }
}
