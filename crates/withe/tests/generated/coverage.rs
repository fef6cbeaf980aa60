//! Records which parts of the component model have been tried.

use std::collections::BTreeSet;

use crate::abi::{self, MAX_FLAT};
use crate::pair::{Encoding, Spec};
use crate::ty::{Scalar, Ty};

#[derive(Default)]
pub(crate) struct Coverage(BTreeSet<String>);

/// The shapes besides scalars and encodings.
const SHAPES: &[&str] = &[
    "string",
    "list",
    "list of fixed length",
    "map",
    "tuple",
    "record",
    "variant",
    "enum of one byte",
    "enum of two bytes",
    "flags of 1 bytes",
    "flags of 2 bytes",
    "flags of 4 bytes",
    "option",
    "result",
    "alias",
    "one flat parameter",
    "flat parameters",
    "parameters in memory",
    "types of another interface",
    "streams",
    "no streams",
];

impl Coverage {
    pub(crate) fn add(&mut self, spec: &Spec) {
        let flat = match abi::flat(&spec.tuple()).len() {
            1 => "one flat parameter",
            2..=MAX_FLAT => "flat parameters",
            _ => "parameters in memory",
        };
        self.0.insert(flat.into());
        if spec.types_apart {
            self.0.insert("types of another interface".into());
        }
        let streams = if spec.streams {
            "streams"
        } else {
            "no streams"
        };
        self.0.insert(streams.into());
        let [importer, exporter] = spec.encodings;
        self.0.extend([imports(importer), exports(exporter)]);
        spec.parameters.iter().for_each(|ty| self.add_type(ty));
    }

    fn add_type(&mut self, ty: &Ty) {
        let bytes = || abi::layout(ty).size;
        let (name, inner): (String, Vec<&Ty>) = match ty {
            Ty::Scalar(scalar) => (scalar.wit().into(), vec![]),
            Ty::String => ("string".into(), vec![]),
            Ty::List(ty) => ("list".into(), vec![ty]),
            Ty::FixedLengthList(ty, _) => ("list of fixed length".into(), vec![ty]),
            Ty::Map(key, ty) => ("map".into(), vec![key, ty]),
            Ty::Tuple(types) => ("tuple".into(), types.iter().collect()),
            Ty::Record(types) => ("record".into(), types.iter().collect()),
            Ty::Variant(cases) => ("variant".into(), cases.iter().flatten().collect()),
            Ty::Enum(..=256) => ("enum of one byte".into(), vec![]),
            Ty::Enum(_) => ("enum of two bytes".into(), vec![]),
            Ty::Flags(_) => (format!("flags of {} bytes", bytes()), vec![]),
            Ty::Option(ty) => ("option".into(), vec![ty]),
            Ty::Result(ok, err) => {
                let inner = ok.iter().chain(err);
                ("result".into(), inner.map(Box::as_ref).collect())
            }
            Ty::Alias(ty) => ("alias".into(), vec![ty]),
        };
        self.0.insert(name);
        inner.into_iter().for_each(|ty| self.add_type(ty));
    }

    /// Checks that nothing is left out.
    pub(crate) fn assert_full(&self) {
        let shapes = SHAPES.iter().map(|shape| String::from(*shape));
        let scalars = Scalar::ALL.into_iter().map(|scalar| scalar.wit().into());
        let encodings = Encoding::ALL.into_iter();
        let encodings = encodings.flat_map(|encoding| [imports(encoding), exports(encoding)]);
        let all: BTreeSet<String> = shapes.chain(scalars).chain(encodings).collect();
        let missing: Vec<_> = all.difference(&self.0).collect();
        assert!(missing.is_empty(), "not tried: {missing:?}");
    }
}

fn imports(encoding: Encoding) -> String {
    format!("importer with {encoding:?}")
}

fn exports(encoding: Encoding) -> String {
    format!("exporter with {encoding:?}")
}
