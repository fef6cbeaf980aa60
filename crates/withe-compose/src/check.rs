//! Whether the types of what has been put together agree.

use std::collections::HashMap;

use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};

use crate::compare::{self, Comparison};
use crate::error::LinkError;
use crate::linkage::{Linkage, Slot, Source};

impl Linkage<'_> {
    /// Everything that is wrong with the types of what has been put together.
    pub(crate) fn check(&self) -> Vec<LinkError> {
        let mut errors = Vec::new();
        for (part, sources) in self.sources.iter().enumerate() {
            for (import, source) in sources.iter().enumerate() {
                if let Source::Export {
                    part: exporter,
                    export,
                } = *source
                {
                    let expected = &self.parts[part].component.imports[import];
                    let found = &self.parts[exporter].component.exports[export];
                    let comparison = Comparison::new(self, part, exporter);
                    if let Err(difference) = comparison.satisfies(&expected.item.ty, &found.item.ty)
                    {
                        errors.push(LinkError::Mismatch {
                            importer: self.parts[part].name.into(),
                            import: expected.name.clone(),
                            exporter: self.parts[exporter].name.into(),
                            export: found.name.clone(),
                            difference,
                        });
                    }
                }
            }
        }
        errors.extend(
            self.slots
                .iter()
                .filter_map(|slot| self.check_slot(slot).err()),
        );
        errors
    }

    fn check_slot(&self, slot: &Slot) -> Result<(), LinkError> {
        for member in &slot.members {
            let component = self.parts[member.part].component;
            let item = &component.imports[member.import];
            let unsupported = |what: &str| LinkError::Unsupported {
                part: self.parts[member.part].name.into(),
                extern_name: item.name.clone(),
                what: what.into(),
            };
            match item.item.ty {
                ComponentEntityType::Func(_) => {}
                ComponentEntityType::Type { created, .. } if is_value_or_resource(created) => {}
                ComponentEntityType::Instance(id) => {
                    for (_, ty) in component.instance_items(id) {
                        match ty {
                            ComponentEntityType::Func(_) => {}
                            ComponentEntityType::Type { created, .. }
                                if is_value_or_resource(*created) => {}
                            other => {
                                return Err(unsupported(&format!(
                                    "{} inside an instance",
                                    compare::entity(other)
                                )));
                            }
                        }
                    }
                }
                ref other => return Err(unsupported(compare::entity(other))),
            }
        }
        self.check_merge(slot)
    }

    /// Whether the imports that a slot serves agree on what they have in common.
    fn check_merge(&self, slot: &Slot) -> Result<(), LinkError> {
        let mut first_to_name: HashMap<&str, (usize, &ComponentEntityType)> = HashMap::new();
        for member in &slot.members {
            let part = member.part;
            let item = &self.parts[part].component.imports[member.import];
            for (name, ty) in self.items(member) {
                let (first, first_ty) = *first_to_name.entry(name).or_insert((part, ty));
                Comparison::new(self, first, part)
                    .same(first_ty, ty)
                    .map_err(|mut difference| {
                        if !name.is_empty() {
                            difference.path.insert(0, format!("`{name}`"));
                        }
                        LinkError::Disagreement {
                            import: item.name.clone(),
                            first: self.parts[first].name.into(),
                            second: self.parts[part].name.into(),
                            difference,
                        }
                    })?;
            }
        }
        Ok(())
    }
}

fn is_value_or_resource(id: ComponentAnyTypeId) -> bool {
    matches!(
        id,
        ComponentAnyTypeId::Resource(_) | ComponentAnyTypeId::Defined(_)
    )
}
