//! A pair of components that pass on values of given types.
//!
//! The exporter's `echo` returns the list that it is given, and its `pass` the parameters: so every
//! type crosses in a list, as parameters, flat where they are few enough, and as a result. Its `collect`
//! returns what it reads from a stream, and its `emit` writes what it is given into another. The importer gives the list that its `run` is called with to `echo`, each of the elements to `pass`, and
//! all of them to `collect` and `emit`; it returns a list of each.
//!
//! The code of a component is the same for all types but for the moves between memory and flat values, which
//! [`abi`](crate::abi) writes.

use std::fs;
use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::modules;
use crate::ty::{Declarations, Ty};

/// The name under which `run` is called from outside.
pub(crate) const RUN: &str = "t:t/runner#run";

/// The specification of a pair.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// The types of the parameters of `pass`; lists are of tuples of them.
    pub(crate) parameters: Vec<Ty>,
    /// Whether the named types are in an interface of their own.
    pub(crate) types_apart: bool,
    /// Whether there are functions with streams.
    pub(crate) streams: bool,
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
        let returned = vec![format!("list<{plain}>"); self.returned_lists()].join(", ");
        let (mut streaming, mut run) = (String::new(), "func");
        if self.streams {
            streaming = format!(
                "  collect: async func(x: stream<tuple<{tuple}>>, n: u32) -> list<tuple<{tuple}>>;
  emit: async func(x: list<tuple<{tuple}>>) -> stream<tuple<{tuple}>>;
"
            );
            run = "async func";
        }
        let [importer, exporter] = self.encodings;
        format!(
            "package t:t;
{types}
interface pairs {{
{wit}  echo: func(x: list<tuple<{tuple}>>) -> list<tuple<{tuple}>>;
  pass: func({parameters}) -> tuple<{tuple}>;
{streaming}}}
interface runner {{
{called}  run: {run}(x: list<{plain}>) -> tuple<{returned}>;
}}
/// Its strings are {importer:?}.
world importer {{ import pairs; export runner; }}
/// Its strings are {exporter:?}.
world exporter {{ export pairs; }}
"
        )
    }

    /// How often `run` returns the list that it is given.
    pub(crate) fn returned_lists(&self) -> usize {
        if self.streams { 4 } else { 2 }
    }

    /// Makes the components.
    pub(crate) fn build(&self) -> Pair {
        let wit = self.wit();
        let [importer, exporter] = self.encodings;
        let tuple = self.tuple();
        Pair {
            importer: component(
                &wit,
                "importer",
                importer,
                &modules::importer(&tuple, self.streams),
            ),
            exporter: component(
                &wit,
                "exporter",
                exporter,
                &modules::exporter(&tuple, self.streams),
            ),
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
