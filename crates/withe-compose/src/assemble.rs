//! Writes a decided composition: imports, the parts inside, their instances, the root's exports.

use std::collections::HashMap;

use wasm_encoder::ComponentExportKind;
use wasmparser::component_types::ComponentEntityType;
use wasmparser::{Validator, WasmFeatures};

use crate::compare;
use crate::component::{Component, Home, Item};
use crate::encode::{Encoder, extern_name};
use crate::error::LinkError;
use crate::linkage::{Linkage, Source};

/// Encodes the composition whose root is part 0, and validates it but for the bodies of functions.
/// `bytes` are what each part is embedded as.
pub(crate) fn assemble(link: &Linkage, bytes: &[&[u8]]) -> Result<Vec<u8>, LinkError> {
    let mut assembly = Assembly {
        link,
        encoder: Encoder::new(link),
        slots: Vec::with_capacity(link.slots.len()),
    };
    for slot in 0..link.slots.len() {
        let import = assembly.encoder.import(slot)?;
        assembly.slots.push(import);
    }
    let mut embedded: HashMap<&[u8], u32> = HashMap::new();
    for &part in &link.order {
        let bytes = bytes[part];
        let component = *embedded
            .entry(bytes)
            .or_insert_with(|| assembly.encoder.builder.component_raw(None, bytes));
        assembly.instantiate(part, component)?;
    }
    assembly.export_root()?;
    let composed = assembly.encoder.builder.finish();
    validate(&composed)?;
    Ok(composed)
}

struct Assembly<'a> {
    link: &'a Linkage<'a>,
    encoder: Encoder<'a>,
    /// The kind and index of each slot.
    slots: Vec<(ComponentExportKind, u32)>,
}

impl<'a> Assembly<'a> {
    fn instantiate(&mut self, part: usize, component: u32) -> Result<(), LinkError> {
        let imports = &self.link.parts[part].component.imports;
        let mut arguments = Vec::with_capacity(imports.len());
        for (import, item) in imports.iter().enumerate() {
            let (kind, index) = match self.link.sources[part][import] {
                Source::Slot(slot) => self.slots[slot],
                Source::Export {
                    part: exporter,
                    export,
                } => self.exported(exporter, export)?,
                Source::Renamed => (ComponentExportKind::Type, self.renamed(part, import, item)?),
            };
            arguments.push((item.name.as_str(), kind, index));
        }
        let instance = self.encoder.builder.instantiate(None, component, arguments);
        self.encoder.instances[part] = Some(instance);
        Ok(())
    }

    /// An export of a part, taken out of its instance.
    fn exported(
        &mut self,
        part: usize,
        export: usize,
    ) -> Result<(ComponentExportKind, u32), LinkError> {
        let item = &self.link.parts[part].component.exports[export];
        let kind = self.kind(part, item)?;
        // The order of instantiation has those first whose exports others are given.
        let instance = self.encoder.instances[part].unwrap_or_default();
        Ok((kind, self.encoder.alias(instance, kind, &item.name)))
    }

    /// The type that a type import only gives another name to.
    fn renamed(&mut self, part: usize, import: usize, item: &Item) -> Result<u32, LinkError> {
        let component: &Component = self.link.parts[part].component;
        if let Some(Home {
            import: first,
            name,
        }) = component.renames(import)
            && let Source::Export {
                part: exporter,
                export,
            } = self.link.sources[part][*first]
        {
            let (_, index) = self.exported(exporter, export)?;
            return Ok(match name {
                Some(name) => self.encoder.alias(index, ComponentExportKind::Type, name),
                None => index,
            });
        }
        match item.item.ty {
            ComponentEntityType::Type { created, .. } => {
                self.encoder.about(part, &item.name);
                self.encoder.type_of(part, created)
            }
            ref other => Err(self.unsupported(part, item, compare::entity(other))),
        }
    }

    fn export_root(&mut self) -> Result<(), LinkError> {
        let link = self.link;
        for (export, item) in link.parts[0].component.exports.iter().enumerate() {
            let (kind, index) = self.exported(0, export)?;
            let ty = self.encoder.export_type(item)?;
            let name = extern_name(&item.name, item.item.implements.as_deref());
            let index = self.encoder.builder.export(name, kind, index, ty);
            self.encoder.learn_exported(item, index);
        }
        Ok(())
    }

    fn kind(&self, part: usize, item: &Item) -> Result<ComponentExportKind, LinkError> {
        match &item.item.ty {
            ComponentEntityType::Func(_) => Ok(ComponentExportKind::Func),
            ComponentEntityType::Type { .. } => Ok(ComponentExportKind::Type),
            ComponentEntityType::Instance(_) => Ok(ComponentExportKind::Instance),
            other => Err(self.unsupported(part, item, compare::entity(other))),
        }
    }

    fn unsupported(&self, part: usize, item: &Item, what: &str) -> LinkError {
        LinkError::Unsupported {
            part: self.link.parts[part].name.into(),
            extern_name: item.name.clone(),
            what: what.into(),
        }
    }
}

fn validate(bytes: &[u8]) -> Result<(), LinkError> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        payload
            .and_then(|payload| validator.payload(&payload).map(drop))
            .map_err(|e| LinkError::Invalid(e.to_string()))?;
    }
    Ok(())
}
