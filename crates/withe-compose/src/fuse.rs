//! Fusing: the components of an application that are linked on one host become one, when it is
//! loaded, so that calls between them cost what calls inside a component cost.
//!
//! Identity is never merged. An import that says who a component is or what is its own
//! (configuration, logging, a key-value link) stays an import of that component: the composition
//! imports it once for each, under a label of the constituent's. Interfaces that only carry shared
//! types (`wasi:io/streams`) must stay one, or constituents could not hand each other a stream.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};
use withe_wit::InterfaceName;
use withe_wit::name::is_kebab;

use crate::assemble::assemble;
use crate::component::{Component, Item, ReadError};
use crate::decide::{ImportPlace, Wires};
use crate::error::LinkError;
use crate::linkage::{Linkage, Member, Part};
use crate::module_names;
use crate::names::{Labels, function_resource, rename_function_resource};

/// A component inside a fused one.
#[derive(Clone, Debug)]
pub struct Constituent {
    /// A kebab-case name that is unique in the request: `visits`, or `visits-2` where the component
    /// is instantiated twice. Labels of the composition's imports begin with it.
    pub label: String,
    /// The component's name in the application: what backtraces call it.
    pub name: String,
    /// The component.
    pub bytes: Arc<[u8]>,
}

/// An import of one constituent satisfied by an export of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuseWire {
    /// The index of the constituent that imports.
    pub importer: usize,
    /// The import as the importer's binary names it: an interface, a label or a function.
    pub import: String,
    /// The index of the constituent that exports.
    pub exporter: usize,
    /// The export as the exporter's binary names it.
    pub export: String,
}

/// The components to fuse, and their links.
#[derive(Clone, Debug)]
pub struct FuseRequest {
    /// The components. The first is the root: its exports become the composition's.
    pub constituents: Vec<Constituent>,
    /// How they are linked.
    pub wires: Vec<FuseWire>,
}

/// A fused component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fused {
    /// The component.
    pub bytes: Vec<u8>,
    /// Its imports, in the order of the binary; types that a host need not define are left out.
    pub imports: Vec<FusedImport>,
}

/// An import of a fused component.
///
/// One that a constituent, labelled `visits`, keeps to itself is named `visits-wasi-config-store` where
/// it imports `wasi:config/store@0.2.0`, `visits-cache` where it imports `cache`, `visits-log` where it
/// imports the function `log`, and `[method]visits-file.size` where it imports `[method]file.size`;
/// with `-n2`, `-n3`, … behind the label if that is taken. The interface's own name, with its version,
/// is in the binary's `(implements "…")`. A shared one has the interface's name, in the newest
/// release that any constituent asks for. A constituent alone, without wires, keeps its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FusedImport {
    /// Its name in the composition.
    pub name: String,
    /// The constituent whose import it is; `None` if it is shared by all who import it.
    pub constituent: Option<usize>,
    /// The name that constituent imports it under; of a shared one, its name in the composition.
    pub import: String,
}

/// Why a request cannot be fused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FuseError {
    /// There are no constituents.
    #[error("there is nothing to fuse")]
    Empty,
    /// A constituent's bytes are not a component.
    #[error("cannot fuse `{name}`: {source}")]
    Read {
        /// The component's name.
        name: String,
        /// The problem with its bytes.
        source: ReadError,
    },
    /// A label is not in kebab-case.
    #[error("`{label}` is not a label in kebab-case")]
    Label {
        /// The label.
        label: String,
    },
    /// Two constituents have one label.
    #[error("two constituents are labelled `{label}`")]
    DuplicateLabel {
        /// The label.
        label: String,
    },
    /// A wire names a constituent that there is not.
    #[error("a wire of `{import}` names constituent {constituent}, but there are only {count}")]
    NoConstituent {
        /// The wire's import.
        import: String,
        /// The index that it names.
        constituent: usize,
        /// How many constituents there are.
        count: usize,
    },
    /// A wire names an import that the constituent does not have.
    #[error("`{constituent}` has no import `{import}`")]
    NoImport {
        /// The constituent's label.
        constituent: String,
        /// The import.
        import: String,
    },
    /// A wire names an export that the constituent does not have.
    #[error("`{constituent}` has no export `{export}`")]
    NoExport {
        /// The constituent's label.
        constituent: String,
        /// The export.
        export: String,
    },
    /// Two wires lead to one import.
    #[error("the import `{import}` of `{constituent}` is wired twice")]
    WiredTwice {
        /// The constituent's label.
        constituent: String,
        /// The import.
        import: String,
    },
    /// The constituents do not fit together. There is at least one reason.
    #[error("{}", crate::error::lines(.0))]
    Link(Vec<LinkError>),
}

impl From<LinkError> for FuseError {
    fn from(error: LinkError) -> Self {
        FuseError::Link(vec![error])
    }
}

/// Fuses components into one. The same request gives the same bytes.
///
/// `separate` says of an interface's name whether each constituent must keep its own import of it;
/// imports under labels, and functions and types of a world itself, are always kept apart. Bytes that
/// come twice under one name are embedded once. The bodies of functions are not validated.
pub fn fuse(request: &FuseRequest, separate: &dyn Fn(&str) -> bool) -> Result<Fused, FuseError> {
    check_labels(&request.constituents)?;
    let components = read(&request.constituents)?;
    let mut bytes = rename_modules(&request.constituents)?;
    let component_of: Vec<&Component> = request
        .constituents
        .iter()
        .map(|c| &components[&c.bytes[..]])
        .collect();
    let wires = resolve(request, &component_of)?;
    let stays_separate =
        |item: &Item| item.name.parse::<InterfaceName>().is_err() || separate(&item.name);

    if let [component] = component_of[..]
        && wires.is_empty()
    {
        let visible = component.imports.iter().filter(|item| host_defines(item));
        let imports = visible.map(|item| FusedImport {
            name: item.name.clone(),
            constituent: stays_separate(item).then_some(0),
            import: item.name.clone(),
        });
        return Ok(Fused {
            imports: imports.collect(),
            bytes: bytes.swap_remove(0),
        });
    }

    let parts = request.constituents.iter().zip(&component_of);
    let parts = parts
        .map(|(c, component)| Part {
            name: &c.label,
            component,
        })
        .collect();
    let mut labels = Labels::default();
    let mut resources: HashMap<(usize, String), String> = HashMap::new();
    let link = Linkage::decide(parts, &wires, |part, item| {
        if !stays_separate(item) {
            return ImportPlace::Shared;
        }
        let of_resource = function_resource(&item.name)
            .and_then(|resource| resources.get(&(part, resource.to_owned())))
            .and_then(|resource| rename_function_resource(&item.name, resource));
        let label = of_resource
            .unwrap_or_else(|| labels.take(&request.constituents[part].label, &item.name));
        resources.insert((part, item.name.clone()), label.clone());
        ImportPlace::Separate(label)
    })?;
    let errors = link.check();
    if !errors.is_empty() {
        return Err(FuseError::Link(errors));
    }
    let bytes: Vec<&[u8]> = bytes.iter().map(|bytes| &bytes[..]).collect();
    Ok(Fused {
        bytes: assemble(&link, &bytes)?,
        imports: imports(&link),
    })
}

fn check_labels(constituents: &[Constituent]) -> Result<(), FuseError> {
    if constituents.is_empty() {
        return Err(FuseError::Empty);
    }
    let mut seen = HashSet::new();
    for Constituent { label, .. } in constituents {
        if !is_kebab(label) {
            return Err(FuseError::Label {
                label: label.clone(),
            });
        }
        if !seen.insert(label.to_ascii_lowercase()) {
            return Err(FuseError::DuplicateLabel {
                label: label.clone(),
            });
        }
    }
    Ok(())
}

/// Reads each distinct component once.
fn read(constituents: &[Constituent]) -> Result<HashMap<&[u8], Component>, FuseError> {
    let mut components = HashMap::new();
    for Constituent { name, bytes, .. } in constituents {
        if let Entry::Vacant(entry) = components.entry(&bytes[..]) {
            let read = Component::read(bytes);
            entry.insert(read.map_err(|source| FuseError::Read {
                name: name.clone(),
                source,
            })?);
        }
    }
    Ok(components)
}

/// The bytes to embed for each constituent.
fn rename_modules(constituents: &[Constituent]) -> Result<Vec<Vec<u8>>, FuseError> {
    let rename = |Constituent { name, bytes, .. }: &Constituent| {
        module_names::rename(bytes, name).map_err(|e| FuseError::Read {
            name: name.clone(),
            source: ReadError::Invalid(e.to_string()),
        })
    };
    constituents.iter().map(rename).collect()
}

fn resolve(request: &FuseRequest, components: &[&Component]) -> Result<Wires, FuseError> {
    let mut wires: Wires = BTreeMap::new();
    let count = request.constituents.len();
    for wire in &request.wires {
        if let Some(&constituent) = [wire.importer, wire.exporter]
            .iter()
            .find(|index| **index >= count)
        {
            return Err(FuseError::NoConstituent {
                import: wire.import.clone(),
                constituent,
                count,
            });
        }
        let label = |constituent: usize| request.constituents[constituent].label.clone();
        let import = components[wire.importer]
            .import(&wire.import)
            .ok_or_else(|| FuseError::NoImport {
                constituent: label(wire.importer),
                import: wire.import.clone(),
            })?;
        let exports = &components[wire.exporter].exports;
        let export = exports
            .iter()
            .position(|item| item.name == wire.export)
            .ok_or_else(|| FuseError::NoExport {
                constituent: label(wire.exporter),
                export: wire.export.clone(),
            })?;
        if wires
            .insert((wire.importer, import), (wire.exporter, export))
            .is_some()
        {
            return Err(FuseError::WiredTwice {
                constituent: label(wire.importer),
                import: wire.import.clone(),
            });
        }
    }
    Ok(wires)
}

fn imports(link: &Linkage) -> Vec<FusedImport> {
    let import_of = |member: &Member| &link.parts[member.part].component.imports[member.import];
    let visible = link.slots.iter().filter(|slot| {
        let first = &slot.members[0];
        first.types.is_none() && host_defines(import_of(first))
    });
    visible
        .map(|slot| match slot.shared {
            true => FusedImport {
                name: slot.name.clone(),
                constituent: None,
                import: slot.name.clone(),
            },
            false => FusedImport {
                name: slot.name.clone(),
                constituent: Some(slot.members[0].part),
                import: import_of(&slot.members[0]).name.clone(),
            },
        })
        .collect()
}

/// Whether a host has to define the import: all but value types, which only serve to name a type.
fn host_defines(item: &Item) -> bool {
    !matches!(
        item.item.ty,
        ComponentEntityType::Type {
            created: ComponentAnyTypeId::Defined(_),
            ..
        }
    )
}
