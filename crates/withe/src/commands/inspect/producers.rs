//! The tools that made a component, as its `producers` sections name them.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::{KnownCustom, Parser, Payload};

/// For each field (`language`, `processed-by`, `sdk`) the tools and their versions, which may be
/// empty.
pub(super) type Producers = BTreeMap<String, BTreeSet<(String, String)>>;

/// Reads the `producers` sections of the component and of every module and component in it: the
/// compiler writes into the module, the tool that makes a component of it into the component.
/// A section that cannot be read is left out: it is for information only.
pub(super) fn read(bytes: &[u8]) -> Producers {
    let mut producers = Producers::new();
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        let Payload::CustomSection(section) = payload else {
            continue;
        };
        let KnownCustom::Producers(fields) = section.as_known() else {
            continue;
        };
        for field in fields.into_iter().map_while(Result::ok) {
            let tools = producers.entry(field.name.to_owned()).or_default();
            for value in field.values.into_iter().map_while(Result::ok) {
                tools.insert((value.name.to_owned(), value.version.to_owned()));
            }
        }
    }
    producers
}
