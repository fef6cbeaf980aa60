//! Checks the type check's report on each difference.

use withe_wit::{Interface, World, check};

fn interface(body: &str) -> Interface {
    let wit = format!(
        "package t:t@1.0.0; interface other {{ resource r; }} interface i {{ {body} }} world w {{ import i; }}"
    );
    let world = World::from_wit(&[&wit], "w").unwrap_or_else(|e| panic!("{e}\n{wit}"));
    let mut imports = world.imports.iter().rev();
    imports.next().and_then(|e| e.interface()).unwrap().clone()
}

fn mismatches(import: &str, export: &str) -> Vec<String> {
    check::interface(&interface(import), &interface(export))
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn differences_name_their_path_and_both_sides() {
    let table: &[(&str, &str, &[&str])] = &[
        ("f: func();", "f: func(); g: func();", &[]),
        (
            "f: func(by: u32);",
            "g: func();",
            &["func f: expected func(by: u32), found nothing"],
        ),
        (
            "f: func(by: u32);",
            "f: func(by: u64);",
            &["func f, parameter by: expected u32, found u64"],
        ),
        (
            "f: func(by: u32);",
            "f: func(of: u32);",
            &["func f, parameter 1: expected the name by, found the name of"],
        ),
        (
            "f: func(by: u32);",
            "f: func();",
            &["func f: expected 1 parameter, found 0 parameters"],
        ),
        (
            "f: func() -> u32;",
            "f: func();",
            &["func f, result: expected u32, found nothing"],
        ),
        (
            "f: func();",
            "f: async func();",
            &["func f: expected a function that is not async, found an async function"],
        ),
        (
            "record item { name: string, price: f64 } f: func() -> list<item>; g: func(i: item);",
            "record item { name: string, price: f32 } f: func() -> list<item>; g: func(i: item);",
            &["item.price: expected f64, found f32"],
        ),
        (
            "record item { a: u8, b: u8 } f: func() -> item;",
            "record item { b: u8, a: u8 } f: func() -> item;",
            &["item: expected fields in the order a, b, found the order b, a"],
        ),
        (
            "record item { a: u8, b: u8 } f: func() -> item;",
            "record item { a: u8, c: list<u8> } f: func() -> item;",
            &[
                "item.b: expected u8, found no such field",
                "item.c: expected no such field, found list<u8>",
            ],
        ),
        (
            "record inner { x: option<u8> } record outer { i: inner } f: func(o: outer);",
            "record inner { x: option<u16> } record outer { i: inner } f: func(o: outer);",
            &["inner.x?: expected u8, found u16"],
        ),
        (
            "variant e { gone, other(string) } f: func() -> result<u8, e>;",
            "variant e { gone, other } f: func() -> result<_, e>;",
            &[
                "e.other: expected a case with string, found a case without payload",
                "func f, result.ok: expected u8, found nothing",
            ],
        ),
        (
            "enum colour { red, blue } f: func() -> colour;",
            "enum colour { red } f: func() -> colour;",
            &["colour.blue: expected a case, found no such case"],
        ),
        (
            "flags mode { read } f: func() -> mode;",
            "flags mode { read, write } f: func() -> mode;",
            &["mode.write: expected no such flag, found a flag"],
        ),
        (
            "f: func(t: tuple<u8, list<string>>);",
            "f: func(t: tuple<u8, list<char>>);",
            &["func f, parameter t.1[]: expected string, found char"],
        ),
        (
            "record a { x: u8 } f: func(p: a);",
            "enum a { x } f: func(p: a);",
            &[
                "a: expected record a, found enum a",
                "func f, parameter p: expected record a, found enum a",
            ],
        ),
        (
            "record a { x: u8 } f: func(p: a);",
            "record b { x: u8 } f: func(p: b);",
            &["type a: expected a type of this name, found nothing"],
        ),
        (
            "resource r { get: func() -> u8; } f: func(r: r);",
            "resource r; f: func(r: borrow<r>);",
            &[
                "method r.get: expected func(self: borrow<r>) -> u8, found nothing",
                "func f, parameter r: expected resource r, found borrow<r>",
            ],
        ),
        (
            "resource r; f: func(r: r);",
            "use other.{r}; f: func(r: r);",
            &[
                "func f, parameter r: expected resource r of t:t/i@1.0.0, found resource r of t:t/other@1.0.0",
            ],
        ),
        (
            "f: func(s: stream<u8>, f: future);",
            "f: func(s: stream<u16>, f: future<u8>);",
            &[
                "func f, parameter s, payload: expected u8, found u16",
                "func f, parameter f, payload: expected nothing, found u8",
            ],
        ),
    ];
    for (import, export, want) in table {
        assert_eq!(
            &mismatches(import, export),
            want,
            "import {import}\nexport {export}"
        );
    }
}

#[test]
fn a_difference_carries_the_declarations_it_is_in() {
    let found = check::interface(
        &interface("record item { price: f64 } f: func() -> item; g: func(a: u8);"),
        &interface("record item { price: f32 } f: func() -> item;"),
    );
    assert_eq!(found[0].imported, "record item { price: f64 }");
    assert_eq!(
        found[0].exported.as_deref(),
        Some("record item { price: f32 }")
    );
    assert_eq!(found[1].imported, "g: func(a: u8)");
    assert_eq!(
        (found[1].exported.as_deref(), found[1].missing),
        (None, true)
    );
}

#[test]
fn world_level_functions_are_compared() {
    let function = |wit: &str| {
        let wit = format!("package t:t; world w {{ import {wit} }}");
        World::from_wit(&[&wit], "w").unwrap().imports[0].functions()[0].clone()
    };
    let (a, b) = (function("f: func(a: u8);"), function("f: func(a: u16);"));
    assert_eq!(check::function(&a, &a, &[]), []);
    assert_eq!(
        check::function(&a, &b, &[])[0].to_string(),
        "func f, parameter a: expected u8, found u16"
    );
}
