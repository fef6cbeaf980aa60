//! A pair of components that pass on values of given types.
//!
//! The exporter's `echo` returns the list that it is given, and its `pass` the parameters: so every
//! type crosses in a list, as parameters, flat where they are few enough, and as a result. The importer
//! gives the list that its `run` is called with to `echo`, and then each of its elements to `pass`.
//! The values are put together here: what a component does is the same for all types but for the
//! moves between memory and flat values, which [`abi`](crate::abi) writes.

use std::fs;
use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::abi::{self, Layout, Local, MAX_FLAT, Move};
use crate::ty::{Declarations, Ty};

/// What `run` is called as from outside.
pub(crate) const RUN: &str = "t:t/runner#run";

/// What a pair is made from.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// The types of the parameters of `pass`; lists are of tuples of them.
    pub(crate) parameters: Vec<Ty>,
    /// Whether the named types are in an interface of their own.
    pub(crate) types_apart: bool,
    /// How the importer and the exporter have strings in memory.
    pub(crate) encodings: [Encoding; 2],
}

/// How strings are in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Encoding {
    Utf8,
    Utf16,
    Latin1OrUtf16,
}

impl Encoding {
    pub(crate) const ALL: [Self; 3] = [Self::Utf8, Self::Utf16, Self::Latin1OrUtf16];
}

impl From<Encoding> for StringEncoding {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Utf8 => Self::UTF8,
            Encoding::Utf16 => Self::UTF16,
            Encoding::Latin1OrUtf16 => Self::CompactUTF16,
        }
    }
}

/// The components.
pub(crate) struct Pair {
    pub(crate) importer: Vec<u8>,
    pub(crate) exporter: Vec<u8>,
}

/// The files of a pair.
pub(crate) const IMPORTER: &str = "importer.wasm";
pub(crate) const EXPORTER: &str = "exporter.wasm";

impl Pair {
    pub(crate) fn write(&self, folder: &Path) {
        fs::write(folder.join(IMPORTER), &self.importer).unwrap();
        fs::write(folder.join(EXPORTER), &self.exporter).unwrap();
    }
}

impl Spec {
    /// All parameters as one value.
    pub(crate) fn tuple(&self) -> Ty {
        Ty::Tuple(self.parameters.clone())
    }

    /// The interfaces and worlds.
    pub(crate) fn wit(&self) -> String {
        let mut linked = Declarations::default();
        let names: Vec<_> = self.parameters.iter().map(|ty| linked.name(ty)).collect();
        let parameters: Vec<_> = (0..)
            .zip(&names)
            .map(|(i, name)| format!("p{i}: {name}"))
            .collect();
        let (parameters, tuple) = (parameters.join(", "), names.join(", "));
        let Declarations { mut wit, names } = linked;
        let mut types = String::new();
        if self.types_apart && !names.is_empty() {
            types = format!("interface types {{\n{wit}}}\n");
            wit = format!("  use types.{{{}}};\n", names.join(", "));
        }

        let mut called = Declarations::default();
        let plain = called.name(&self.tuple().plain());
        let called = called.wit;
        format!(
            "package t:t;
{types}
interface pairs {{
{wit}  echo: func(x: list<tuple<{tuple}>>) -> list<tuple<{tuple}>>;
  pass: func({parameters}) -> tuple<{tuple}>;
}}
interface runner {{
{called}  run: func(x: list<{plain}>) -> tuple<list<{plain}>, list<{plain}>>;
}}
world importer {{ import pairs; export runner; }}
world exporter {{ export pairs; }}
"
        )
    }

    /// Makes the components.
    pub(crate) fn build(&self) -> Pair {
        let wit = self.wit();
        let [importer, exporter] = self.encodings;
        let tuple = self.tuple();
        Pair {
            importer: component(&wit, "importer", importer, &importer_core(&tuple)),
            exporter: component(&wit, "exporter", exporter, &exporter_core(&tuple)),
        }
    }
}

fn component(wit: &str, world: &str, encoding: Encoding, core: &str) -> Vec<u8> {
    let because = |error: &dyn std::fmt::Display| -> ! { panic!("{error}\n{wit}\n{core}") };
    let mut resolve = Resolve::default();
    let package = resolve.push_str("generated.wit", wit);
    let package = package.unwrap_or_else(|error| because(&format!("{error:#}")));
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = wat::parse_str(core).unwrap_or_else(|error| because(&error));
    embed_component_metadata(&mut module, &resolve, world, encoding.into()).unwrap();
    let mut encoder = ComponentEncoder::default();
    let component = encoder.module(&module).and_then(|encoder| encoder.encode());
    component.unwrap_or_else(|error| because(&format!("{error:#}")))
}

/// Memory that is never given back. 16 MiB are plenty: values are as large as a command line may be.
const MEMORY: &str = r#"
  (memory (export "memory") 256)
  (global $next (mut i32) (i32.const 1024))
  (func $new (param $size i32) (param $align i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and
      (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (local.get $at))
  (func (export "cabi_realloc")
    (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (call $new (local.get $size) (local.get $align)))
    (memory.copy (local.get $at) (local.get $old)
      (select (local.get $size) (local.get $old-size)
        (i32.lt_u (local.get $size) (local.get $old-size))))
    (local.get $at))
"#;

fn exporter_core(tuple: &Ty) -> String {
    let locals = Local::all(tuple);
    let parameters = declared(&locals, "param");
    let pass = if let [only] = locals.as_slice() {
        format!("{parameters} (result {}) {}", flat(tuple), only.get())
    } else if locals.len() > MAX_FLAT {
        // The parameters are in memory as the result is to be.
        "(param $all i32) (result i32) (local.get $all)".into()
    } else {
        let Layout { size, align } = abi::layout(tuple);
        format!(
            "{parameters} (result i32) (local $result i32)
    (local.set $result (call $new (i32.const {size}) (i32.const {align})))
    {}
    (local.get $result)",
            Move::Store.wat(tuple, "$result", &locals)
        )
    };
    format!(
        r#"(module {MEMORY}
  (func (export "t:t/pairs#echo") (param $list i32) (param $length i32) (result i32)
    (local $result i32)
    (local.set $result (call $new (i32.const 8) (i32.const 4)))
    (i32.store (local.get $result) (local.get $list))
    (i32.store offset=4 (local.get $result) (local.get $length))
    (local.get $result))
  (func (export "t:t/pairs#pass") {pass}))"#
    )
}

fn importer_core(tuple: &Ty) -> String {
    let locals = Local::all(tuple);
    let Layout { size, align } = abi::layout(tuple);
    let core = flat(tuple);
    // What `pass` takes and gives, and how it is called for what is at `$from`, the result going to `$to`.
    let (signature, call) = if locals.len() == 1 {
        let call = format!(
            "{} (local.set $s0 (call $pass (local.get $s0))) {}",
            Move::Load.wat(tuple, "$from", &locals),
            Move::Store.wat(tuple, "$to", &locals),
        );
        (format!("(param {core}) (result {core})"), call)
    } else if locals.len() > MAX_FLAT {
        let call = "(call $pass (local.get $from) (local.get $to))";
        ("(param i32 i32)".into(), call.into())
    } else {
        let arguments: String = locals.iter().map(Local::get).collect();
        let call = format!(
            "{} (call $pass {arguments} (local.get $to))",
            Move::Load.wat(tuple, "$from", &locals),
        );
        (format!("(param {core} i32)"), call)
    };
    format!(
        r#"(module
  (import "t:t/pairs" "echo" (func $echo (param i32 i32 i32)))
  (import "t:t/pairs" "pass" (func $pass {signature}))
  {MEMORY}
  (func (export "{RUN}") (param $from i32) (param $left i32) (result i32)
    (local $result i32) (local $to i32) {locals}
    (local.set $result (call $new (i32.const 16) (i32.const 4)))
    (call $echo (local.get $from) (local.get $left) (local.get $result))
    (local.set $to
      (call $new (i32.mul (local.get $left) (i32.const {size})) (i32.const {align})))
    (i32.store offset=8 (local.get $result) (local.get $to))
    (i32.store offset=12 (local.get $result) (local.get $left))
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $left)))
      {call}
      (local.set $from (i32.add (local.get $from) (i32.const {size})))
      (local.set $to (i32.add (local.get $to) (i32.const {size})))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br $next)))
    (local.get $result)))"#,
        locals = declared(&locals, "local"),
    )
}

/// Declarations of all locals.
fn declared(locals: &[Local], kind: &str) -> String {
    locals.iter().map(|local| local.declared(kind)).collect()
}

/// The names of the core types of all flat values.
fn flat(ty: &Ty) -> String {
    let types: Vec<_> = abi::flat(ty).into_iter().map(abi::Core::wat).collect();
    types.join(" ")
}
