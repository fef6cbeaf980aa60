//! The tools that made a component, as its `producers` sections name them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use wasmparser::{KnownCustom, Parser, Payload};

/// For each field (`language`, `processed-by`, `sdk`) the tools that it names.
pub(super) type Producers = BTreeMap<String, BTreeSet<Tool>>;

/// A tool or a language.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Tool {
    name: String,
    /// May be empty, and may hold more than a version.
    version: String,
}

/// Its name and version, without the revision or address that some add to it.
impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.version.split_whitespace().next() {
            Some(version) => write!(f, " {version}"),
            None => Ok(()),
        }
    }
}

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
                tools.insert(Tool {
                    name: value.name.to_owned(),
                    version: value.version.to_owned(),
                });
            }
        }
    }
    producers
}
