//! Encodes the types of a composition's imports and exports.
//!
//! Types are written from what validation knows of the parts, so resources keep their identity: a
//! resource that is at home in another import is named from there, never declared again. Tools that
//! go by a resource's name instead confuse two resources of one name, and merge what must not merge.

use std::collections::HashMap;

use wasm_encoder::{
    Alias, ComponentBuilder, ComponentExportKind, ComponentExternName, ComponentOuterAliasKind,
    ComponentTypeEncoder, ComponentTypeRef, ComponentValType as Value, InstanceType, TypeBounds,
};
use wasmparser::component_types::{
    AliasableResourceId, ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId,
    ComponentEntityType, ComponentFuncTypeId, ComponentInstanceTypeId, ComponentValType,
};

use crate::error::LinkError;
use crate::linkage::{Linkage, Origin, Slot};

/// A part's type, as that part knows it.
type Key = (usize, ComponentAnyTypeId);

/// Type indices of one index space.
#[derive(Default)]
struct Known {
    types: HashMap<Key, u32>,
    resources: HashMap<Origin, u32>,
}

/// Writes a composition.
pub(crate) struct Encoder<'a> {
    link: &'a Linkage<'a>,
    pub(crate) builder: ComponentBuilder,
    known: Known,
    /// The instance type being written, with types of its own.
    inner: Option<(InstanceType, Known)>,
    /// The index of each slot that has been imported, in the index space of its kind; none for one
    /// that is a type, which is known by its type index.
    slots: Vec<Option<u32>>,
    /// Types that have become visible through an exported instance, and their names in it.
    exported: HashMap<Key, (u32, String)>,
    exported_resources: HashMap<Origin, (u32, String)>,
    /// What is being written, for messages.
    subject: (usize, String),
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(link: &'a Linkage<'a>) -> Self {
        Self {
            link,
            builder: ComponentBuilder::default(),
            known: Known::default(),
            inner: None,
            slots: vec![None; link.slots.len()],
            exported: HashMap::new(),
            exported_resources: HashMap::new(),
            subject: (0, String::new()),
        }
    }

    /// Writes the import of a slot; gives its kind and its index.
    pub(crate) fn import(&mut self, index: usize) -> Result<(ComponentExportKind, u32), LinkError> {
        let link = self.link;
        let slot = &link.slots[index];
        let (part, import) = slot.members[0];
        let name = extern_name(&slot.name, slot.implements.as_deref());
        self.subject = (
            part,
            link.parts[part].component.imports[import].name.clone(),
        );
        match link.parts[part].component.imports[import].item.ty {
            ComponentEntityType::Func(id) => {
                let ty = self.func(part, id)?;
                let func = self.builder.import(name, ComponentTypeRef::Func(ty));
                Ok((ComponentExportKind::Func, func))
            }
            ComponentEntityType::Type { referenced, .. } => {
                let bounds = match referenced {
                    ComponentAnyTypeId::Defined(id) => TypeBounds::Eq(self.defined(part, id)?),
                    _ => TypeBounds::SubResource,
                };
                let ty = self.builder.import(name, ComponentTypeRef::Type(bounds));
                for &(part, import) in &slot.members {
                    if let ComponentEntityType::Type { created, .. } =
                        link.parts[part].component.imports[import].item.ty
                    {
                        self.learn(part, created, ty);
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

    /// Makes the types of an exported instance known: what is exported next may refer to them.
    pub(crate) fn learn_exported(
        &mut self,
        part: usize,
        id: ComponentInstanceTypeId,
        instance: u32,
    ) {
        let link = self.link;
        for (name, ty) in link.parts[part].component.instance_items(id) {
            if let ComponentEntityType::Type { created, .. } = ty {
                let place = (instance, name.to_owned());
                if let ComponentAnyTypeId::Resource(id) = created {
                    let origin = link.origin(part, id.resource());
                    self.exported_resources
                        .entry(origin)
                        .or_insert_with(|| place.clone());
                }
                self.exported.entry((part, *created)).or_insert(place);
            }
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

    /// Says what the part's import or export being written is.
    pub(crate) fn about(&mut self, part: usize, name: &str) {
        self.subject = (part, name.to_owned());
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
        // What has been written, and for a type its index.
        let mut written: HashMap<&str, Option<u32>> = HashMap::new();
        for &(part, import) in &slot.members {
            let component = link.parts[part].component;
            self.about(part, &component.imports[import].name);
            let ComponentEntityType::Instance(id) = component.imports[import].item.ty else {
                return Err(self.unsupported("not an instance as for others that import it"));
            };
            for (name, ty) in component.instance_items(id) {
                match (written.get(name), ty) {
                    (Some(Some(ty)), ComponentEntityType::Type { created, .. }) => {
                        self.learn(part, *created, *ty);
                    }
                    (Some(_), _) => {}
                    (None, ComponentEntityType::Func(id)) => {
                        let ty = self.func(part, *id)?;
                        self.instance().export(name, ComponentTypeRef::Func(ty));
                        written.insert(name, None);
                    }
                    (
                        None,
                        ComponentEntityType::Type {
                            created,
                            referenced,
                        },
                    ) => {
                        let here = Origin::Slot {
                            slot: index,
                            name: Some(name.to_owned()),
                        };
                        let bounds = match referenced {
                            ComponentAnyTypeId::Resource(id)
                                if link.origin(part, id.resource()) == here =>
                            {
                                TypeBounds::SubResource
                            }
                            _ => TypeBounds::Eq(self.type_of(part, *referenced)?),
                        };
                        let ty = self.instance().type_count();
                        self.instance().export(name, ComponentTypeRef::Type(bounds));
                        self.learn(part, *created, ty);
                        written.insert(name, Some(ty));
                    }
                    (None, other) => return Err(self.unsupported(crate::compare::entity(other))),
                }
            }
        }
        Ok(())
    }

    fn value(&mut self, part: usize, ty: ComponentValType) -> Result<Value, LinkError> {
        match ty {
            ComponentValType::Primitive(ty) => Ok(Value::Primitive(ty.into())),
            ComponentValType::Type(id) => Ok(Value::Type(self.defined(part, id)?)),
        }
    }

    fn optional(
        &mut self,
        part: usize,
        ty: Option<ComponentValType>,
    ) -> Result<Option<Value>, LinkError> {
        ty.map(|ty| self.value(part, ty)).transpose()
    }

    fn defined(&mut self, part: usize, id: ComponentDefinedTypeId) -> Result<u32, LinkError> {
        let key = (part, ComponentAnyTypeId::Defined(id));
        if let Some(index) = self.find(key, None) {
            return Ok(index);
        }
        let place = match self.link.named(part, key.1) {
            Some((slot, Some(name))) => self.slots[*slot].map(|instance| (instance, name.clone())),
            _ => self.exported.get(&key).cloned(),
        };
        match place {
            Some((instance, name)) => Ok(self.take(instance, &name, key, None)),
            None => {
                let index = self.structure(part, id)?;
                self.scope().know(key, None, index);
                Ok(index)
            }
        }
    }

    fn structure(&mut self, part: usize, id: ComponentDefinedTypeId) -> Result<u32, LinkError> {
        use ComponentDefinedType as D;
        let link = self.link;
        // What a type is made of comes first; then the type itself can be begun.
        match &link.parts[part].component.types[id] {
            D::Primitive(ty) => Ok(self.write(|e| e.defined_type().primitive((*ty).into()))),
            D::Record(ty) => {
                let mut fields = Vec::with_capacity(ty.fields.len());
                for (name, ty) in ty.fields.iter() {
                    fields.push((name.as_str(), self.value(part, *ty)?));
                }
                Ok(self.write(|e| e.defined_type().record(fields)))
            }
            D::Variant(ty) => {
                let mut cases = Vec::with_capacity(ty.cases.len());
                for (name, case) in ty.cases.iter() {
                    cases.push((name.as_str(), self.optional(part, case.ty)?));
                }
                Ok(self.write(|e| e.defined_type().variant(cases)))
            }
            D::Tuple(ty) => {
                let mut types = Vec::with_capacity(ty.types.len());
                for ty in &ty.types {
                    types.push(self.value(part, *ty)?);
                }
                Ok(self.write(|e| e.defined_type().tuple(types)))
            }
            D::Flags(names) => {
                let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
                Ok(self.write(|e| e.defined_type().flags(names)))
            }
            D::Enum(names) => {
                let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
                Ok(self.write(|e| e.defined_type().enum_type(names)))
            }
            D::List { element, .. } => {
                let element = self.value(part, *element)?;
                Ok(self.write(|e| e.defined_type().list(element)))
            }
            D::FixedLengthList {
                element, length, ..
            } => {
                let element = self.value(part, *element)?;
                Ok(self.write(|e| e.defined_type().fixed_length_list(element, *length)))
            }
            D::Map { key, value, .. } => {
                let (key, value) = (self.value(part, *key)?, self.value(part, *value)?);
                Ok(self.write(|e| e.defined_type().map(key, value)))
            }
            D::Option { ty, .. } => {
                let ty = self.value(part, *ty)?;
                Ok(self.write(|e| e.defined_type().option(ty)))
            }
            D::Result { ok, err, .. } => {
                let (ok, err) = (self.optional(part, *ok)?, self.optional(part, *err)?);
                Ok(self.write(|e| e.defined_type().result(ok, err)))
            }
            D::Own(id) => {
                let resource = self.resource(part, *id)?;
                Ok(self.write(|e| e.defined_type().own(resource)))
            }
            D::Borrow(id) => {
                let resource = self.resource(part, *id)?;
                Ok(self.write(|e| e.defined_type().borrow(resource)))
            }
            D::Future { ty, .. } => {
                let ty = self.optional(part, *ty)?;
                Ok(self.write(|e| e.defined_type().future(ty)))
            }
            D::Stream { ty, .. } => {
                let ty = self.optional(part, *ty)?;
                Ok(self.write(|e| e.defined_type().stream(ty)))
            }
        }
    }

    fn resource(&mut self, part: usize, id: AliasableResourceId) -> Result<u32, LinkError> {
        let key = (part, ComponentAnyTypeId::Resource(id));
        let origin = self.link.origin(part, id.resource());
        if let Some(index) = self.find(key, Some(&origin)) {
            return Ok(index);
        }
        let place = match &origin {
            Origin::Slot {
                slot,
                name: Some(name),
            } => self.slots[*slot].map(|i| (i, name.clone())),
            _ => self.exported_resources.get(&origin).cloned(),
        };
        match place {
            Some((instance, name)) => Ok(self.take(instance, &name, key, Some(origin))),
            None => Err(LinkError::HiddenResource {
                part: self.link.parts[self.subject.0].name.into(),
                extern_name: self.subject.1.clone(),
                resource: self.link.describe(&origin),
            }),
        }
    }

    /// The index, valid where types are being written now, of a type that has been written.
    fn find(&mut self, key: Key, origin: Option<&Origin>) -> Option<u32> {
        if let Some(index) = self
            .inner
            .as_ref()
            .and_then(|(_, known)| known.find(key, origin))
        {
            return Some(index);
        }
        let index = self.known.find(key, origin)?;
        Some(self.bring_in(index, key, origin.cloned()))
    }

    /// Takes a type out of an instance of the composition.
    fn take(&mut self, instance: u32, name: &str, key: Key, origin: Option<Origin>) -> u32 {
        let kind = ComponentExportKind::Type;
        let index = self.builder.alias(
            None,
            Alias::InstanceExport {
                instance,
                kind,
                name,
            },
        );
        self.known.know(key, origin.clone(), index);
        self.bring_in(index, key, origin)
    }

    /// Makes a type of the component's level usable where types are being written now.
    fn bring_in(&mut self, index: u32, key: Key, origin: Option<Origin>) -> u32 {
        let Some((ty, known)) = &mut self.inner else {
            return index;
        };
        let inner = ty.type_count();
        ty.alias(Alias::Outer {
            kind: ComponentOuterAliasKind::Type,
            count: 1,
            index,
        });
        known.know(key, origin, inner);
        inner
    }

    fn write(&mut self, write: impl FnOnce(ComponentTypeEncoder)) -> u32 {
        let (index, encoder) = self.next_type();
        write(encoder);
        index
    }

    fn next_type(&mut self) -> (u32, ComponentTypeEncoder<'_>) {
        match &mut self.inner {
            Some((ty, _)) => (ty.type_count(), ty.ty()),
            None => self.builder.ty(None),
        }
    }

    fn instance(&mut self) -> &mut InstanceType {
        &mut self.inner.get_or_insert_with(Default::default).0
    }

    fn scope(&mut self) -> &mut Known {
        match &mut self.inner {
            Some((_, known)) => known,
            None => &mut self.known,
        }
    }

    fn unsupported(&self, what: &str) -> LinkError {
        LinkError::Unsupported {
            part: self.link.parts[self.subject.0].name.into(),
            extern_name: self.subject.1.clone(),
            what: what.into(),
        }
    }
}

impl Known {
    fn find(&self, key: Key, origin: Option<&Origin>) -> Option<u32> {
        self.types
            .get(&key)
            .or_else(|| self.resources.get(origin?))
            .copied()
    }

    fn know(&mut self, key: Key, origin: Option<Origin>, index: u32) {
        self.types.insert(key, index);
        if let Some(origin) = origin {
            self.resources.entry(origin).or_insert(index);
        }
    }
}

/// A name to import or export under.
pub(crate) fn extern_name<'n>(
    name: &'n str,
    implements: Option<&'n str>,
) -> ComponentExternName<'n> {
    ComponentExternName {
        name: name.into(),
        implements: implements.map(Into::into),
        version_suffix: None,
        external_id: None,
    }
}
