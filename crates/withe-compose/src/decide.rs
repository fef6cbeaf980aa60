//! Decides a composition: which wire or slot each import is given, in which order parts are instantiated and
//! slots imported. `linkage` holds the decisions and answers questions about them.

use std::collections::{BTreeMap, HashMap, HashSet};

use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};
use withe_wit::InterfaceName;

use crate::component::Item;
use crate::error::LinkError;
use crate::expose;
use crate::linkage::{Linkage, Member, Origin, Part, Slot, Source};
use crate::order::topological;

/// Imports satisfied by exports: (part, import) to (part, export), all by index.
pub(crate) type Wires = BTreeMap<(usize, usize), (usize, usize)>;

/// How an import that no wire satisfies becomes an import of the composition.
pub(crate) enum ImportPlace {
    /// Under its own name, together with every import that the same thing may satisfy.
    Shared,
    /// On its own, under this name.
    Separate(String),
}

impl<'a> Linkage<'a> {
    /// Decides where every import comes from. `place` is asked about those without a wire, part by
    /// part and in the order of each binary.
    pub(crate) fn decide(
        parts: Vec<Part<'a>>,
        wires: &Wires,
        mut place: impl FnMut(usize, &Item) -> ImportPlace,
    ) -> Result<Self, LinkError> {
        let order = instantiation_order(&parts, wires)?;
        let mut link = Linkage {
            parts,
            sources: Vec::new(),
            slots: Vec::new(),
            order,
            named: HashMap::new(),
        };
        for part in 0..link.parts.len() {
            let component = link.parts[part].component;
            let mut sources = Vec::with_capacity(component.imports.len());
            for (import, item) in component.imports.iter().enumerate() {
                let source = match wires.get(&(part, import)) {
                    Some(&(part, export)) => Source::Export { part, export },
                    None if component.renames(import).is_some() => Source::Renamed,
                    None => {
                        let place = place(part, item);
                        Source::Slot(link.slot_for(Member::whole(part, import), place)?)
                    }
                };
                sources.push(source);
            }
            link.sources.push(sources);
        }
        link.place_renamed_values(&mut place)?;
        link.name_types();
        for ((part, import), types) in expose::needed(&link) {
            let place = place(part, &link.parts[part].component.imports[import]);
            let types = Some(types);
            link.slot_for(
                Member {
                    part,
                    import,
                    types,
                },
                place,
            )?;
        }
        link.name_types();
        link.sort_slots()?;
        Ok(link)
    }

    /// Makes slots of the value types that a world takes from a wired interface: functions that the
    /// composition imports or exports name them by that. One made of a resource that only exists inside
    /// cannot be imported, and is given to its part as the exporter has it.
    fn place_renamed_values(
        &mut self,
        place: &mut impl FnMut(usize, &Item) -> ImportPlace,
    ) -> Result<(), LinkError> {
        for part in 0..self.parts.len() {
            let component = self.parts[part].component;
            for (import, item) in component.imports.iter().enumerate() {
                let Some(home) = component.renames(import) else {
                    continue;
                };
                let ComponentEntityType::Type {
                    created: id @ ComponentAnyTypeId::Defined(_),
                    ..
                } = item.item.ty
                else {
                    continue;
                };
                let is_wired = matches!(self.sources[part][home.import], Source::Export { .. });
                if is_wired && !self.is_hidden(part, id) {
                    let place = place(part, item);
                    let slot = self.slot_for(Member::whole(part, import), place)?;
                    self.sources[part][import] = Source::Slot(slot);
                }
            }
        }
        Ok(())
    }

    fn slot_for(&mut self, member: Member, place: ImportPlace) -> Result<usize, LinkError> {
        let part = member.part;
        let Item { name, item } = &self.parts[part].component.imports[member.import];
        let shared = matches!(place, ImportPlace::Shared);
        if shared
            && let Some(index) = self
                .slots
                .iter()
                .position(|s| s.shared && joins(&s.name, name))
        {
            let slot = &mut self.slots[index];
            if slot.implements != item.implements {
                let first = slot.members[0].part;
                return Err(LinkError::Labels {
                    label: name.clone(),
                    first: self.parts[first].name.into(),
                    first_implements: slot.implements.clone(),
                    second: self.parts[part].name.into(),
                    second_implements: item.implements.clone(),
                });
            }
            if is_newer(name, &slot.name) {
                slot.name = name.clone();
            }
            slot.members.push(member);
            return Ok(index);
        }
        let (name, implements) = match place {
            ImportPlace::Shared => (name.clone(), item.implements.clone()),
            ImportPlace::Separate(label) => {
                let is_named_interface = name.parse::<InterfaceName>().is_ok()
                    && matches!(item.ty, ComponentEntityType::Instance(_));
                (
                    label,
                    item.implements
                        .clone()
                        .or_else(|| is_named_interface.then(|| name.clone())),
                )
            }
        };
        self.slots.push(Slot {
            name,
            implements,
            shared,
            members: vec![member],
        });
        Ok(self.slots.len() - 1)
    }

    fn name_types(&mut self) {
        let mut named = HashMap::new();
        for (index, slot) in self.slots.iter().enumerate() {
            for member in &slot.members {
                for (name, ty) in self.items(member) {
                    if let ComponentEntityType::Type { created, .. } = ty {
                        let name = (!name.is_empty()).then(|| name.to_owned());
                        named.insert((member.part, *created), (index, name));
                    }
                }
            }
        }
        for (part, sources) in self.sources.iter().enumerate() {
            let component = self.parts[part].component;
            for (import, source) in sources.iter().enumerate() {
                if let (Source::Renamed, ComponentEntityType::Type { created, .. }) =
                    (source, component.imports[import].item.ty)
                    && let Some(first) = component.homes.get(&created)
                    && let Some(first) = component.type_at(first)
                    && let Some(place) = named.get(&(part, first)).cloned()
                {
                    named.insert((part, created), place);
                }
            }
        }
        self.named = named;
    }

    /// Puts each slot after those whose types it names, else in the order in which they came up.
    fn sort_slots(&mut self) -> Result<(), LinkError> {
        let needs: Vec<_> = (0..self.slots.len())
            .map(|slot| self.slots_named_by(slot))
            .collect();
        let order = topological(&needs).map_err(|cycle| LinkError::SlotCycle {
            imports: cycle
                .into_iter()
                .map(|slot| self.slots[slot].name.clone())
                .collect(),
        })?;
        let mut place = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            place[*old] = new;
        }
        self.slots = order.iter().map(|slot| self.slots[*slot].clone()).collect();
        for source in self.sources.iter_mut().flatten() {
            if let Source::Slot(slot) = source {
                *slot = place[*slot];
            }
        }
        for (slot, _) in self.named.values_mut() {
            *slot = place[*slot];
        }
        Ok(())
    }

    /// The other slots whose types a slot's own type refers to.
    fn slots_named_by(&self, slot: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for member in &self.slots[slot].members {
            let part = member.part;
            let component = self.parts[part].component;
            let mut todo = Vec::new();
            for (_, ty) in self.items(member) {
                component.types_in(ty, &mut todo);
            }
            // A static function need not mention the resource that its name refers to.
            todo.extend(component.resource_of_name(&component.imports[member.import].name));
            while let Some(id) = todo.pop() {
                if !seen.insert((part, id)) {
                    continue;
                }
                let other = match id {
                    ComponentAnyTypeId::Resource(id) => match self.origin(part, id.resource()) {
                        Origin::Slot { slot, .. } => Some(slot),
                        Origin::Part { .. } => None,
                    },
                    id => self.named(part, id).map(|(slot, _)| *slot),
                };
                match (other, id) {
                    (Some(other), _) if other != slot => found.push(other),
                    (_, ComponentAnyTypeId::Defined(id)) => component.children(id, &mut todo),
                    _ => {}
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Whether the import `name` can be served by a shared slot of name `slot`.
fn joins(slot: &str, name: &str) -> bool {
    match (slot.parse::<InterfaceName>(), name.parse::<InterfaceName>()) {
        (Ok(slot), Ok(name)) => name.is_satisfied_by(&slot),
        _ => slot == name,
    }
}

fn is_newer(name: &str, than: &str) -> bool {
    let version = |name: &str| {
        name.parse::<InterfaceName>()
            .ok()
            .and_then(|name| name.version)
    };
    version(name) > version(than)
}

fn instantiation_order(parts: &[Part], wires: &Wires) -> Result<Vec<usize>, LinkError> {
    let mut needs = vec![Vec::new(); parts.len()];
    for ((importer, _), (exporter, _)) in wires {
        needs[*importer].push(*exporter);
    }
    topological(&needs).map_err(|cycle| LinkError::Cycle {
        parts: cycle
            .into_iter()
            .map(|part| parts[part].name.to_owned())
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_by_track() {
        assert!(joins("wasi:io/streams@0.2.0", "wasi:io/streams@0.2.6"));
        assert!(!joins("wasi:io/streams@0.2.0", "wasi:io/streams@0.3.0"));
        assert!(joins("log", "log"));
        assert!(!joins("log", "wasi:io/streams@0.3.0"));
        assert!(is_newer("a:b/c@0.2.10", "a:b/c@0.2.9"));
        assert!(!is_newer("log", "log"));
    }
}
