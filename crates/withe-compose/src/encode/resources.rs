//! Resource types: known by where they come from, not by their name.

use wasm_encoder::ComponentExportKind;
use wasmparser::component_types::{AliasableResourceId, ComponentAnyTypeId};

use super::scope::Key;
use super::state::Encoder;
use crate::error::LinkError;
use crate::linkage::Origin;

impl<'a> Encoder<'a> {
    /// The index of a resource that something mentions.
    pub(super) fn resource(
        &mut self,
        part: usize,
        id: AliasableResourceId,
    ) -> Result<u32, LinkError> {
        let key = (part, ComponentAnyTypeId::Resource(id));
        let origin = self.link.origin(part, id.resource());
        if let Some(index) = self.known_resource(key, &origin) {
            return Ok(index);
        }
        if self.labels.is_none() {
            return Err(self.hidden(&origin));
        }
        let ty = self.inside(&origin)?;
        let index = match self.exported_at(&origin) {
            Some((_, export, Some(name))) => self.export_named(export, name, ty),
            Some((_, name, None)) => self.export_named("", name, ty),
            None => return Err(self.hidden(&origin)),
        };
        self.known.know(key, Some(origin.clone()), index);
        Ok(self.find(key, Some(&origin)).unwrap_or(index))
    }

    pub(super) fn known_resource(&mut self, key: Key, origin: &Origin) -> Option<u32> {
        if let Some(index) = self.find(key, Some(origin)) {
            return Some(index);
        }
        let (instance, name) = match origin {
            Origin::Slot {
                slot,
                name: Some(name),
            } => (self.slots[*slot]?, name.clone()),
            _ => self.exported_resources.get(origin).cloned()?,
        };
        Some(self.take(instance, &name, key, Some(origin.clone())))
    }

    /// The resource that a part defines, taken out of its instance: a type without a name outside.
    pub(super) fn inside(&mut self, origin: &Origin) -> Result<u32, LinkError> {
        let Origin::Part { part, .. } = *origin else {
            return Err(self.hidden(origin));
        };
        let place = self.exported_at(origin).zip(self.instances[part]);
        let Some(((kind, export, name), instance)) = place else {
            return Err(self.hidden(origin));
        };
        let index = self.alias(instance, kind, export);
        Ok(match name {
            Some(name) => self.alias(index, ComponentExportKind::Type, name),
            None => index,
        })
    }

    /// The export of the part that defines a resource, with the resource's name in it if that is an
    /// instance.
    pub(super) fn exported_at(
        &self,
        origin: &Origin,
    ) -> Option<(ComponentExportKind, &'a str, Option<&'a str>)> {
        let Origin::Part { part, resource } = *origin else {
            return None;
        };
        let component = self.link.parts[part].component;
        let (export, name) = component.exported_at(resource)?;
        let kind = match name {
            Some(_) => ComponentExportKind::Instance,
            None => ComponentExportKind::Type,
        };
        Some((kind, component.exports[export].name.as_str(), name))
    }

    pub(super) fn hidden(&self, origin: &Origin) -> LinkError {
        LinkError::HiddenResource {
            part: self.link.parts[self.subject.0].name.into(),
            extern_name: self.subject.1.clone(),
            resource: self.link.describe(origin),
        }
    }
}
