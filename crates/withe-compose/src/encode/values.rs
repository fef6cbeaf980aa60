//! Value types: found where they are named, else written.

use wasm_encoder::ComponentValType as Value;
use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId, ComponentValType,
};

use super::scope::Key;
use super::state::Encoder;
use crate::error::LinkError;

impl<'a> Encoder<'a> {
    pub(super) fn value(&mut self, part: usize, ty: ComponentValType) -> Result<Value, LinkError> {
        match ty {
            ComponentValType::Primitive(ty) => Ok(Value::Primitive(ty.into())),
            ComponentValType::Type(id) => Ok(Value::Type(self.defined(part, id)?)),
        }
    }

    pub(super) fn optional(
        &mut self,
        part: usize,
        ty: Option<ComponentValType>,
    ) -> Result<Option<Value>, LinkError> {
        ty.map(|ty| self.value(part, ty)).transpose()
    }

    /// The index of a value type that something mentions.
    pub(super) fn defined(
        &mut self,
        part: usize,
        id: ComponentDefinedTypeId,
    ) -> Result<u32, LinkError> {
        let key = (part, ComponentAnyTypeId::Defined(id));
        if let Some(index) = self.known_value(key) {
            return Ok(index);
        }
        if self.labels.is_some() && self.link.parts[part].component.wants_name(id) {
            return self.export_value(part, id);
        }
        let index = self.structure(part, id)?;
        self.scope().types.insert(key, index);
        Ok(index)
    }

    /// The index of a value type that is about to be named.
    pub(super) fn body(
        &mut self,
        part: usize,
        id: ComponentDefinedTypeId,
    ) -> Result<u32, LinkError> {
        match self.known_value((part, ComponentAnyTypeId::Defined(id))) {
            Some(index) => Ok(index),
            None => self.structure(part, id),
        }
    }

    pub(super) fn known_value(&mut self, key: Key) -> Option<u32> {
        if let Some(index) = self.find(key, None) {
            return Some(index);
        }
        let (instance, name) = match self.link.named(key.0, key.1) {
            Some((slot, Some(name))) => (self.slots[*slot]?, name.clone()),
            _ => self.exported.get(&key).cloned()?,
        };
        Some(self.take(instance, &name, key, None))
    }

    /// Exports a value type that nothing names, under a name of its own.
    pub(super) fn export_value(
        &mut self,
        part: usize,
        id: ComponentDefinedTypeId,
    ) -> Result<u32, LinkError> {
        let key = (part, ComponentAnyTypeId::Defined(id));
        let inner = self.inner.take();
        let named = self.structure(part, id);
        let component = self.link.parts[part].component;
        let (from, name) = match component.homes.get(&key.1) {
            Some(home) => (&component.imports[home.import].name, home.name.as_deref()),
            None => (&self.subject.1, None),
        };
        let (from, name) = (from.clone(), name.unwrap_or("type"));
        let index = named.map(|ty| self.export_named(&from, name, ty));
        self.inner = inner;
        let index = index?;
        self.known.know(key, None, index);
        Ok(self.find(key, None).unwrap_or(index))
    }

    pub(super) fn structure(
        &mut self,
        part: usize,
        id: ComponentDefinedTypeId,
    ) -> Result<u32, LinkError> {
        use ComponentDefinedType as D;
        let link = self.link;
        // The types that this one is made of come first; then this one can be begun.
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
}
