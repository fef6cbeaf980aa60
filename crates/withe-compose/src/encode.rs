//! Encodes the types of a composition's imports and exports.
//!
//! Types are written from what validation knows of the parts, so resources keep their identity: a
//! resource that is at home in another import is named from there, never declared again. Tools that
//! go by a resource's name instead confuse two resources of one name, and merge what must not merge.
//!
//! Exports are written like imports, with types of their own: inside, a type may get its name from a
//! part that nobody outside sees.

mod resources;
mod scope;
mod state;
mod values;

use std::collections::HashMap;

use wasm_encoder::{ComponentExportKind, ComponentTypeRef, InstanceType, TypeBounds};
use wasmparser::component_types::{
    AliasableResourceId, ComponentAnyTypeId, ComponentEntityType, ComponentFuncTypeId,
};

use crate::component::Item;
use crate::error::LinkError;
use crate::linkage::{Origin, Slot};
use crate::names::Labels;
pub(crate) use state::{Encoder, extern_name};

impl Encoder<'_> {
    /// Writes the import of a slot; gives its kind and its index.
    pub(crate) fn import(&mut self, index: usize) -> Result<(ComponentExportKind, u32), LinkError> {
        let link = self.link;
        let slot = &link.slots[index];
        let (part, import) = (slot.members[0].part, slot.members[0].import);
        let name = extern_name(&slot.name, slot.implements.as_deref());
        let item = &link.parts[part].component.imports[import];
        self.about(part, &item.name);
        match item.item.ty {
            ComponentEntityType::Func(id) => {
                let ty = self.func(part, id)?;
                let func = self.builder.import(name, ComponentTypeRef::Func(ty));
                Ok((ComponentExportKind::Func, func))
            }
            ComponentEntityType::Type { referenced, .. } => {
                let bounds = match referenced {
                    ComponentAnyTypeId::Defined(id) => TypeBounds::Eq(self.body(part, id)?),
                    _ => TypeBounds::SubResource,
                };
                let ty = self.builder.import(name, ComponentTypeRef::Type(bounds));
                for member in &slot.members {
                    for (_, item) in link.items(member) {
                        if let ComponentEntityType::Type { created, .. } = item {
                            self.learn(member.part, *created, ty);
                        }
                    }
                }
                Ok((ComponentExportKind::Type, ty))
            }
            ComponentEntityType::Instance(_) => {
                let ty = self.instance_type(index, slot)?;
                let ty = self.builder.type_instance(None, &ty);
                let instance = self.builder.import(name, ComponentTypeRef::Instance(ty));
                self.slots[index] = Some(instance);
                Ok((ComponentExportKind::Instance, instance))
            }
            ref other => Err(self.unsupported(crate::compare::entity(other))),
        }
    }

    /// The type index of an imported resource or type, as a part knows it.
    pub(crate) fn type_of(
        &mut self,
        part: usize,
        id: ComponentAnyTypeId,
    ) -> Result<u32, LinkError> {
        match id {
            ComponentAnyTypeId::Resource(id) => self.resource(part, id),
            ComponentAnyTypeId::Defined(id) => self.defined(part, id),
            _ => Err(self.unsupported("a type that is neither of a value nor of a resource")),
        }
    }

    /// Makes a type of the part known at the component's level.
    pub(crate) fn learn(&mut self, part: usize, id: ComponentAnyTypeId, index: u32) {
        let origin = match id {
            ComponentAnyTypeId::Resource(id) => Some(self.link.origin(part, id.resource())),
            _ => None,
        };
        self.scope().know((part, id), origin, index);
    }

    /// Writes the type that the root's export has outside; `None` leaves it the one that it has inside.
    pub(crate) fn export_type(
        &mut self,
        item: &Item,
    ) -> Result<Option<ComponentTypeRef>, LinkError> {
        let link = self.link;
        self.about(0, &item.name);
        self.labels.get_or_insert_with(|| {
            let exports = &link.parts[0].component.exports;
            Labels::without(exports.iter().map(|item| item.name.as_str()))
        });
        let ty = match item.item.ty {
            ComponentEntityType::Func(id) => ComponentTypeRef::Func(self.func(0, id)?),
            ComponentEntityType::Type { referenced, .. } => {
                ComponentTypeRef::Type(self.bounds(0, referenced)?)
            }
            ComponentEntityType::Instance(id) => {
                let items: Vec<_> = link.parts[0].component.instance_items(id).collect();
                let is_plain = |ty: &ComponentEntityType| {
                    use ComponentEntityType as E;
                    matches!(ty, E::Func(_) | E::Type { .. })
                };
                if !items.iter().all(|(_, ty)| is_plain(ty)) {
                    return Ok(None);
                }
                self.inner = Some(Default::default());
                let mut items = items.into_iter();
                let written = items
                    .try_for_each(|(name, ty)| self.instance_item(0, name, ty, None).map(drop));
                let inner = self.inner.take();
                written?;
                let ty = inner.map(|(ty, _)| ty).unwrap_or_default();
                ComponentTypeRef::Instance(self.builder.type_instance(None, &ty))
            }
            _ => return Ok(None),
        };
        Ok(Some(ty))
    }

    /// Makes the types of an exported item known by their names in it: what is exported next may
    /// refer to them.
    pub(crate) fn learn_exported(&mut self, item: &Item, index: u32) {
        let link = self.link;
        match item.item.ty {
            ComponentEntityType::Instance(id) => {
                for (name, ty) in link.parts[0].component.instance_items(id) {
                    if let ComponentEntityType::Type {
                        created,
                        referenced,
                    } = ty
                    {
                        let place = (index, name.to_owned());
                        if let ComponentAnyTypeId::Resource(id) = created {
                            let origin = link.origin(0, id.resource());
                            self.exported_resources
                                .entry(origin)
                                .or_insert_with(|| place.clone());
                        }
                        for id in [created, referenced] {
                            let known = self.exported.entry((0, *id));
                            known.or_insert_with(|| place.clone());
                        }
                    }
                }
            }
            ComponentEntityType::Type {
                created,
                referenced,
            } => self.learn_named(0, created, referenced, index),
            _ => {}
        }
    }

    /// Writes the type of a function.
    pub(crate) fn func(&mut self, part: usize, id: ComponentFuncTypeId) -> Result<u32, LinkError> {
        let link = self.link;
        let func = &link.parts[part].component.types[id];
        let mut params = Vec::with_capacity(func.params.len());
        for (name, ty) in &func.params {
            params.push((name.as_str(), self.value(part, *ty)?));
        }
        let result = func.result.map(|ty| self.value(part, ty)).transpose()?;
        let (index, ty) = self.next_type();
        ty.function()
            .async_(func.async_)
            .params(params)
            .result(result);
        Ok(index)
    }

    /// The type of a slot: everything that one of its imports has.
    fn instance_type(&mut self, index: usize, slot: &Slot) -> Result<InstanceType, LinkError> {
        self.inner = Some(Default::default());
        let written = self.instance_items(index, slot);
        let inner = self.inner.take();
        written?;
        Ok(inner.map(|(ty, _)| ty).unwrap_or_default())
    }

    fn instance_items(&mut self, index: usize, slot: &Slot) -> Result<(), LinkError> {
        let link = self.link;
        // The items written so far, with the index of each that is a type.
        let mut written: HashMap<&str, Option<u32>> = HashMap::new();
        for member in &slot.members {
            let item = &link.parts[member.part].component.imports[member.import];
            self.about(member.part, &item.name);
            if !matches!(item.item.ty, ComponentEntityType::Instance(_)) {
                return Err(self.unsupported("not an instance as for others that import it"));
            }
            for (name, ty) in link.items(member) {
                match (written.get(name), ty) {
                    (Some(Some(ty)), ComponentEntityType::Type { created, .. }) => {
                        self.learn(member.part, *created, *ty);
                    }
                    (Some(_), _) => {}
                    (None, ty) => {
                        let ty = self.instance_item(member.part, name, ty, Some(index))?;
                        written.insert(name, ty);
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes an item of an instance's type, for a type gives its index. `slot` is the import whose
    /// type it is; `None` for an export.
    fn instance_item(
        &mut self,
        part: usize,
        name: &str,
        ty: &ComponentEntityType,
        slot: Option<usize>,
    ) -> Result<Option<u32>, LinkError> {
        match *ty {
            ComponentEntityType::Func(id) => {
                let ty = self.func(part, id)?;
                self.instance().export(name, ComponentTypeRef::Func(ty));
                Ok(None)
            }
            ComponentEntityType::Type {
                created,
                referenced,
            } => {
                let is_declared_here = |id: AliasableResourceId| {
                    slot.is_some_and(|slot| {
                        let name = Some(name.to_owned());
                        self.link.origin(part, id.resource()) == Origin::Slot { slot, name }
                    })
                };
                let bounds = match referenced {
                    ComponentAnyTypeId::Resource(id) if is_declared_here(id) => {
                        TypeBounds::SubResource
                    }
                    referenced => self.bounds(part, referenced)?,
                };
                let ty = self.instance().type_count();
                self.instance().export(name, ComponentTypeRef::Type(bounds));
                self.learn_named(part, created, referenced, ty);
                Ok(Some(ty))
            }
            ref other => Err(self.unsupported(crate::compare::entity(other))),
        }
    }

    /// Makes the bounds of a type item that names `id`.
    fn bounds(&mut self, part: usize, id: ComponentAnyTypeId) -> Result<TypeBounds, LinkError> {
        let index = match id {
            ComponentAnyTypeId::Resource(id) => {
                let key = (part, ComponentAnyTypeId::Resource(id));
                let origin = self.link.origin(part, id.resource());
                match (self.labels.is_some(), self.known_resource(key, &origin)) {
                    (_, Some(index)) => index,
                    // The item is its first name.
                    (true, None) => {
                        let index = self.inside(&origin)?;
                        self.bring_in(index)
                    }
                    (false, None) => return Err(self.hidden(&origin)),
                }
            }
            ComponentAnyTypeId::Defined(id) => self.body(part, id)?,
            _ => {
                return Err(self.unsupported("a type that is neither of a value nor of a resource"));
            }
        };
        Ok(TypeBounds::Eq(index))
    }

    fn learn_named(
        &mut self,
        part: usize,
        created: ComponentAnyTypeId,
        referenced: ComponentAnyTypeId,
        index: u32,
    ) {
        self.learn(part, created, index);
        // Others may mention the type by the id that it had before it got this name.
        let known = &mut self.scope().types;
        known.entry((part, referenced)).or_insert(index);
    }

    fn unsupported(&self, what: &str) -> LinkError {
        LinkError::Unsupported {
            part: self.link.parts[self.subject.0].name.into(),
            extern_name: self.subject.1.clone(),
            what: what.into(),
        }
    }
}
