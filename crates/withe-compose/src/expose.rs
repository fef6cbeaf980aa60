//! Finds the types that need a name outside although a wire satisfies the import that names them inside.
//!
//! A component may only show types that have a name: of a function that a composition exports, every
//! record, variant, enum and set of flags has to be named by an import or an earlier export of the
//! composition. A part takes such a name from an import of its own (`use staff.{person}`), and when that
//! import is linked to another part, the name is gone from outside. An interface that re-exports
//! `person` says nothing of the enum inside it either.
//!
//! Value types are no more than their structure, so the composition imports the interface again with
//! nothing but the types that it has to name: such an import needs nobody to satisfy it, and is what
//! the part's own world says. Types made of a resource that exists only inside cannot be imported:
//! `encode` exports those under a name of their own. Exporting all types so was rejected, for WIT has
//! no words for it and other tools would not read the composition.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};

use crate::component::Component;
use crate::linkage::{Linkage, Source};

/// For wired imports (part, import), the types in them that need a name outside.
pub(crate) type Needed = BTreeMap<(usize, usize), BTreeSet<String>>;

/// The types that have to be imported in addition to what `link` imports already.
pub(crate) fn needed(link: &Linkage) -> Needed {
    let mut needed = Needed::new();
    for slot in &link.slots {
        for member in &slot.members {
            let mut walk = Walk::new(link, member.part, &mut needed);
            for (name, ty) in link.items(member) {
                // A world takes a type from an interface by its name there.
                if let ("", ComponentEntityType::Type { referenced, .. }) = (name, ty) {
                    walk.mention(*referenced);
                }
                walk.item(ty);
            }
        }
    }
    let mut walk = Walk::new(link, 0, &mut needed);
    for export in &link.parts[0].component.exports {
        walk.item(&export.item.ty);
    }
    needed
}

/// Goes through items in the order in which they are written, as validation does.
struct Walk<'a> {
    link: &'a Linkage<'a>,
    part: usize,
    component: &'a Component,
    /// Types that an item before has named.
    named: HashSet<ComponentAnyTypeId>,
    /// Types that need no second look.
    seen: HashSet<ComponentAnyTypeId>,
    /// Types that an import names, or is to name.
    required: HashSet<ComponentAnyTypeId>,
    needed: &'a mut Needed,
}

impl<'a> Walk<'a> {
    fn new(link: &'a Linkage<'a>, part: usize, needed: &'a mut Needed) -> Self {
        Self {
            link,
            part,
            component: link.parts[part].component,
            named: HashSet::new(),
            seen: HashSet::new(),
            required: HashSet::new(),
            needed,
        }
    }

    fn item(&mut self, ty: &ComponentEntityType) {
        let component = self.component;
        match ty {
            ComponentEntityType::Instance(id) => {
                for (_, ty) in component.instance_items(*id) {
                    self.item(ty);
                }
            }
            ComponentEntityType::Type {
                created,
                referenced,
            } => {
                // The item itself names the type, by whichever id it is mentioned later.
                self.mention_children(*referenced);
                self.named.extend([*created, *referenced]);
            }
            ComponentEntityType::Func(_) => {
                let mut mentioned = Vec::new();
                component.types_in(ty, &mut mentioned);
                mentioned.into_iter().for_each(|id| self.mention(id));
            }
            // Refused by `check`.
            ComponentEntityType::Module(_)
            | ComponentEntityType::Value(_)
            | ComponentEntityType::Component(_) => {}
        }
    }

    fn mention(&mut self, id: ComponentAnyTypeId) {
        let is_named = self.named.contains(&id) || self.link.named(self.part, id).is_some();
        if is_named || !self.seen.insert(id) {
            return;
        }
        if self.need(id) {
            self.require_children(id);
        } else {
            self.mention_children(id);
        }
    }

    /// Has the parts of an imported type named by imports: exports come later, and name nothing in them.
    fn require(&mut self, id: ComponentAnyTypeId) {
        if self.link.named(self.part, id).is_some() || !self.required.insert(id) {
            return;
        }
        self.need(id);
        self.require_children(id);
    }

    /// Has the type imported once more, if it comes from an import that is wired.
    fn need(&mut self, id: ComponentAnyTypeId) -> bool {
        if let ComponentAnyTypeId::Defined(defined) = id
            && self.component.wants_name(defined)
            && let Some(home) = self.component.homes.get(&id)
            && let Some(name) = &home.name
            && matches!(
                self.link.sources[self.part][home.import],
                Source::Export { .. }
            )
            && !self.link.is_hidden(self.part, id)
        {
            let types = self.needed.entry((self.part, home.import)).or_default();
            types.insert(name.clone());
            return true;
        }
        false
    }

    fn mention_children(&mut self, id: ComponentAnyTypeId) {
        for child in self.children(id) {
            self.mention(child);
        }
    }

    fn require_children(&mut self, id: ComponentAnyTypeId) {
        for child in self.children(id) {
            self.require(child);
        }
    }

    fn children(&self, id: ComponentAnyTypeId) -> Vec<ComponentAnyTypeId> {
        let mut children = Vec::new();
        if let ComponentAnyTypeId::Defined(id) = id {
            self.component.children(id, &mut children);
        }
        children
    }
}
