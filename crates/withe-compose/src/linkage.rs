//! Which import of which part gets what: from an exporter, or from outside.
//!
//! A composition as `decide` makes it, to be asked by all that come after; nothing is encoded yet. A *part*
//! is a component taking part, a *slot* is an import of the composition, which may serve several imports of
//! its parts.

use std::collections::{BTreeSet, HashMap, HashSet};

use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType, ResourceId};

use crate::component::{Component, Home};

/// A component taking part in a composition.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    /// The part's name in messages.
    pub(crate) name: &'a str,
    pub(crate) component: &'a Component,
}

/// Where an import gets what it needs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// An import of the composition.
    Slot(usize),
    /// An export of a part, by index.
    Export { part: usize, export: usize },
    /// A type import that only renames a type of another import of the same part, which says where
    /// it comes from.
    Renamed,
}

/// An import of the composition.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) name: String,
    /// The interface, where the name is a label.
    pub(crate) implements: Option<String>,
    /// Whether imports of other parts may join.
    pub(crate) shared: bool,
    /// The imports that it serves; never empty. Imports that it serves whole come first.
    pub(crate) members: Vec<Member>,
}

/// An import that a slot serves.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) part: usize,
    pub(crate) import: usize,
    /// Of an import that a wire satisfies: the types that are imported only to have a name outside
    /// (see `expose`). Of others `None`: all of it is.
    pub(crate) types: Option<BTreeSet<String>>,
}

/// The origin of a resource type, under whatever name its users know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// The resource of this name of an imported instance, or (`None`) an imported resource.
    Slot { slot: usize, name: Option<String> },
    /// Defined by a part.
    Part { part: usize, resource: ResourceId },
}

/// A composition, decided.
pub(crate) struct Linkage<'a> {
    pub(crate) parts: Vec<Part<'a>>,
    /// For each part, a source for each import.
    pub(crate) sources: Vec<Vec<Source>>,
    /// In an order in which each can name the types of those before it.
    pub(crate) slots: Vec<Slot>,
    /// The parts in an order in which each comes after those whose exports it is given.
    pub(crate) order: Vec<usize>,
    /// The slot, and the name in its instance, under which a type of a part is imported.
    pub(crate) named: HashMap<(usize, ComponentAnyTypeId), (usize, Option<String>)>,
}

impl<'a> Linkage<'a> {
    /// The items that a slot imports for a member: those of an instance, or (without a name) the one
    /// that it is.
    pub(crate) fn items(&self, member: &Member) -> Vec<(&'a str, &'a ComponentEntityType)> {
        let component = self.parts[member.part].component;
        match &component.imports[member.import].item.ty {
            ComponentEntityType::Instance(id) => {
                let is_imported = |name: &str| match &member.types {
                    Some(types) => types.contains(name),
                    None => true,
                };
                let items = component.instance_items(*id);
                items.filter(|(name, _)| is_imported(name)).collect()
            }
            other => vec![("", other)],
        }
    }

    /// Whether a type is made of a resource that a part defines, so that no import can name it.
    pub(crate) fn is_hidden(&self, part: usize, id: ComponentAnyTypeId) -> bool {
        let mut todo = vec![id];
        let mut seen = HashSet::new();
        while let Some(id) = todo.pop() {
            match id {
                _ if !seen.insert(id) => {}
                ComponentAnyTypeId::Resource(id) => {
                    if matches!(self.origin(part, id.resource()), Origin::Part { .. }) {
                        return true;
                    }
                }
                ComponentAnyTypeId::Defined(id) => {
                    self.parts[part].component.children(id, &mut todo);
                }
                _ => {}
            }
        }
        false
    }

    /// The origin of the resource that a part calls `resource`.
    pub(crate) fn origin(&self, part: usize, resource: ResourceId) -> Origin {
        let component = self.parts[part].component;
        if let Some(Home { import, name }) = component.resources.get(&resource) {
            match self.sources[part][*import] {
                Source::Slot(slot) => {
                    return Origin::Slot {
                        slot,
                        name: name.clone(),
                    };
                }
                Source::Export {
                    part: exporter,
                    export,
                } => {
                    if let Some(resource) =
                        self.exported_resource(exporter, export, name.as_deref())
                    {
                        return self.origin(exporter, resource);
                    }
                }
                // A home is where a type is first named, never where it is renamed.
                Source::Renamed => {}
            }
        }
        Origin::Part { part, resource }
    }

    /// The slot that imports a part's type under a name, and that name in the slot's instance.
    pub(crate) fn named(
        &self,
        part: usize,
        id: ComponentAnyTypeId,
    ) -> Option<&(usize, Option<String>)> {
        self.named.get(&(part, id))
    }

    /// A resource as messages name it.
    pub(crate) fn describe(&self, origin: &Origin) -> String {
        match origin {
            Origin::Slot { slot, name } => {
                let slot = &self.slots[*slot].name;
                match name {
                    Some(name) => format!("resource `{name}` of the imported `{slot}`"),
                    None => format!("the imported resource `{slot}`"),
                }
            }
            Origin::Part { part, resource } => {
                let part = &self.parts[*part];
                let export = |export: usize| &part.component.exports[export].name;
                match part.component.exported_at(*resource) {
                    Some((at, Some(name))) => {
                        format!("resource `{}.{name}` of `{}`", export(at), part.name)
                    }
                    Some((at, None)) => format!("resource `{}` of `{}`", export(at), part.name),
                    None => format!("a resource of `{}`", part.name),
                }
            }
        }
    }

    fn exported_resource(
        &self,
        part: usize,
        export: usize,
        name: Option<&str>,
    ) -> Option<ResourceId> {
        let component = self.parts[part].component;
        let ty = match (component.exports[export].item.ty, name) {
            (ComponentEntityType::Instance(id), Some(name)) => {
                component.types[id].exports.get(name)?.ty
            }
            (ty, None) => ty,
            _ => return None,
        };
        match ty {
            ComponentEntityType::Type {
                created: ComponentAnyTypeId::Resource(id),
                ..
            } => Some(id.resource()),
            _ => None,
        }
    }
}

impl Member {
    pub(crate) fn whole(part: usize, import: usize) -> Self {
        Self {
            part,
            import,
            types: None,
        }
    }
}
