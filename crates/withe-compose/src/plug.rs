//! Plugging: at build time, components into the imports of another, by what they export.
//!
//! Names decide what belongs together (and releases of one track, as the component model has it);
//! types then have to agree. A name that fits with a type that does not is an error, where other
//! tools leave the import unsatisfied and the reason unsaid.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};
use withe_wit::InterfaceName;

use crate::assemble::assemble;
use crate::component::{Component, Item, ReadError};
use crate::decide::{ImportPlace, Wires};
use crate::error::{LinkError, lines};
use crate::linkage::{Linkage, Part};

/// Why components cannot be plugged together: everything that is wrong, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct PlugError {
    /// At least one.
    pub problems: Vec<PlugProblem>,
}

/// One thing wrong with components that are plugged together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlugProblem {
    /// There are no plugs.
    #[error("there is nothing to plug in")]
    NoPlugs,
    /// Bytes that are not a component.
    #[error("cannot compose `{name}`: {source}")]
    Read {
        /// The component's name.
        name: String,
        /// The problem with its bytes.
        source: ReadError,
    },
    /// A plug satisfies no import.
    #[error("`{plug}` satisfies no import: it exports {}; imported are {}", list(.exports), list(.wanted))]
    Useless {
        /// The plug's name.
        plug: String,
        /// The plug's exports.
        exports: Vec<String>,
        /// The imports of the socket, and of the plugs that it uses, that no other plug satisfies.
        wanted: Vec<String>,
    },
    /// Several plugs satisfy one import.
    #[error("{} all export what `{importer}` imports as `{import}`; leave out all but one", list(.plugs))]
    Ambiguous {
        /// The component that imports.
        importer: String,
        /// The import.
        import: String,
        /// The plugs.
        plugs: Vec<String>,
    },
    /// The components do not fit together.
    #[error(transparent)]
    Link(#[from] LinkError),
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".into(),
        names => names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// Names, for messages, of components that come from these files: the files' names without extension, the whole paths
/// where names are equal, and a number behind a path that is there twice.
pub fn plug_names<P: AsRef<Path>>(files: &[P]) -> Vec<String> {
    let stem = |path: &Path| {
        let stem = path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    };
    let mut counts: HashMap<String, usize> = HashMap::new();
    for file in files {
        *counts.entry(stem(file.as_ref())).or_default() += 1;
    }
    let mut taken: HashMap<String, usize> = HashMap::new();
    let name = |file: &P| {
        let file = file.as_ref();
        let name = stem(file);
        if counts[&name] == 1 {
            return name;
        }
        let name = file.to_string_lossy().into_owned();
        let number = taken.entry(name.clone()).or_default();
        *number += 1;
        match *number {
            1 => name,
            number => format!("{name} ({number})"),
        }
    };
    files.iter().map(name).collect()
}

/// Satisfies the imports of `socket`, and of the plugs that it comes to use, with what the plugs
/// export. The composition exports what the socket exports; imports that no plug satisfies stay, one
/// for all who import the same.
///
/// The socket and the plugs are names, for messages, and components. The bodies of functions are not validated.
pub fn plug(socket: (&str, &[u8]), plugs: &[(String, Vec<u8>)]) -> Result<Vec<u8>, PlugError> {
    let named = plugs
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    let inputs: Vec<(&str, &[u8])> = std::iter::once(socket).chain(named).collect();
    let mut problems = Vec::new();
    if plugs.is_empty() {
        problems.push(PlugProblem::NoPlugs);
    }
    let mut components = Vec::with_capacity(inputs.len());
    for &(name, bytes) in &inputs {
        match Component::read(bytes) {
            Ok(component) => components.push(component),
            Err(source) => problems.push(PlugProblem::Read {
                name: name.into(),
                source,
            }),
        }
    }
    // The exports of a component that cannot be read are unknown: nothing more can be said.
    if !problems.is_empty() {
        return Err(PlugError { problems });
    }
    let parts: Vec<Part> = inputs
        .iter()
        .zip(&components)
        .map(|(&(name, _), component)| Part { name, component })
        .collect();

    let (wires, used) = match_names(&parts, &mut problems);
    let wanted = unsatisfied(&parts, &wires, &used);
    for (plug, part) in parts.iter().enumerate().filter(|(plug, _)| !used[*plug]) {
        debug_assert_ne!(plug, 0, "the socket is used");
        problems.push(PlugProblem::Useless {
            plug: part.name.into(),
            exports: part
                .component
                .exports
                .iter()
                .map(|item| item.name.clone())
                .collect(),
            wanted: wanted.clone(),
        });
    }
    // A plug of no use takes no part, so that its faults are not held against the others.
    let mut bytes: Vec<&[u8]> = inputs.iter().map(|(_, bytes)| *bytes).collect();
    let (parts, wires) = only_used(parts, wires, &used);
    let mut is_used = used.iter();
    bytes.retain(|_| is_used.next() == Some(&true));
    let composed = Linkage::decide(parts, &wires, |_, _| ImportPlace::Shared)
        .map_err(|e| vec![e])
        .and_then(|link| {
            let errors = link.check();
            match errors.is_empty() && problems.is_empty() {
                true => assemble(&link, &bytes).map_err(|e| vec![e]),
                false => Err(errors),
            }
        });
    composed.map_err(|errors| {
        problems.extend(errors.into_iter().map(PlugProblem::Link));
        PlugError { problems }
    })
}

/// Wires imports to exports by name, from the socket on; says which parts have come to be used.
fn match_names(parts: &[Part], problems: &mut Vec<PlugProblem>) -> (Wires, Vec<bool>) {
    let mut wires = BTreeMap::new();
    let mut used = vec![false; parts.len()];
    used[0] = true;
    let mut todo = vec![0];
    while let Some(importer) = todo.pop() {
        for (import, item) in parts[importer].component.imports.iter().enumerate() {
            let mut exporters: Vec<(usize, usize)> = (1..parts.len())
                .filter(|plug| *plug != importer)
                .filter_map(|plug| Some((plug, best_export(parts[plug].component, item)?)))
                .collect();
            // A plug that has the very version goes before those that have a compatible one.
            let exact = |(plug, export): &(usize, usize)| {
                parts[*plug].component.exports[*export].name == item.name
            };
            if exporters.iter().any(exact) {
                exporters.retain(exact);
            }
            if exporters.len() > 1 {
                problems.push(PlugProblem::Ambiguous {
                    importer: parts[importer].name.into(),
                    import: item.name.clone(),
                    plugs: exporters
                        .iter()
                        .map(|(plug, _)| parts[*plug].name.into())
                        .collect(),
                });
            }
            // Of several, all count as used: that they are too many has been said.
            for &(plug, _) in &exporters {
                if !used[plug] {
                    used[plug] = true;
                    todo.push(plug);
                }
            }
            if let Some(&exporter) = exporters.first() {
                wires.insert((importer, import), exporter);
            }
        }
    }
    (wires, used)
}

/// The parts in use, and the wires between them.
fn only_used<'a>(parts: Vec<Part<'a>>, wires: Wires, used: &[bool]) -> (Vec<Part<'a>>, Wires) {
    let place = |part: usize| used[..part].iter().filter(|used| **used).count();
    let wires = wires
        .into_iter()
        .map(|((importer, import), (exporter, export))| {
            ((place(importer), import), (place(exporter), export))
        });
    let parts = parts.into_iter().zip(used).filter(|(_, used)| **used);
    (parts.map(|(part, _)| part).collect(), wires.collect())
}

/// The export that satisfies an import by name: the very same, else the newest of its track.
fn best_export(plug: &Component, import: &Item) -> Option<usize> {
    // A value type is no more than its structure: there is nothing to be satisfied.
    if matches!(
        import.item.ty,
        ComponentEntityType::Type {
            created: ComponentAnyTypeId::Defined(_),
            ..
        }
    ) {
        return None;
    }
    if let Some(export) = plug
        .exports
        .iter()
        .position(|export| export.name == import.name)
    {
        return Some(export);
    }
    let wanted: InterfaceName = import.name.parse().ok()?;
    let names = plug.exports.iter().enumerate();
    names
        .filter_map(|(export, item)| Some((export, item.name.parse::<InterfaceName>().ok()?)))
        .filter(|(_, name)| wanted.is_satisfied_by(name))
        .max_by(|(_, a), (_, b)| a.version.cmp(&b.version))
        .map(|(export, _)| export)
}

/// The imports of the parts in use that nothing satisfies, each once.
fn unsatisfied(parts: &[Part], wires: &Wires, used: &[bool]) -> Vec<String> {
    let mut names = Vec::new();
    for (part, Part { component, .. }) in parts.iter().enumerate().filter(|(part, _)| used[*part]) {
        for (import, item) in component.imports.iter().enumerate() {
            if !wires.contains_key(&(part, import)) && !names.contains(&item.name) {
                names.push(item.name.clone());
            }
        }
    }
    names
}
