//! Index spaces: the component's, and that of an instance's type while it is being written.

use std::collections::HashMap;

use wasm_encoder::{
    Alias, ComponentExportKind, ComponentOuterAliasKind, ComponentTypeEncoder, InstanceType,
};
use wasmparser::component_types::ComponentAnyTypeId;

use super::Encoder;
use crate::linkage::Origin;

/// A part's type, as that part knows it.
pub(super) type Key = (usize, ComponentAnyTypeId);

/// Type indices of one index space.
#[derive(Default)]
pub(super) struct Known {
    pub(super) types: HashMap<Key, u32>,
    pub(super) resources: HashMap<Origin, u32>,
}

impl Known {
    pub(super) fn find(&self, key: Key, origin: Option<&Origin>) -> Option<u32> {
        self.types
            .get(&key)
            .or_else(|| self.resources.get(origin?))
            .copied()
    }

    pub(super) fn know(&mut self, key: Key, origin: Option<Origin>, index: u32) {
        self.types.insert(key, index);
        if let Some(origin) = origin {
            self.resources.entry(origin).or_insert(index);
        }
    }
}

impl Encoder<'_> {
    /// Takes an item out of an instance.
    pub(crate) fn alias(&mut self, instance: u32, kind: ComponentExportKind, name: &str) -> u32 {
        let builder = &mut self.builder;
        let taken = self.aliases.entry((instance, name.to_owned()));
        *taken.or_insert_with(|| {
            let alias = Alias::InstanceExport {
                instance,
                kind,
                name,
            };
            builder.alias(None, alias)
        })
    }

    /// The index, valid where types are being written now, of a type that has been written.
    pub(super) fn find(&mut self, key: Key, origin: Option<&Origin>) -> Option<u32> {
        if let Some(index) = self
            .inner
            .as_ref()
            .and_then(|(_, known)| known.find(key, origin))
        {
            return Some(index);
        }
        let index = self.known.find(key, origin)?;
        let index = self.bring_in(index);
        if let Some((_, known)) = &mut self.inner {
            known.know(key, origin.cloned(), index);
        }
        Some(index)
    }

    /// Takes a type out of an instance of the composition.
    pub(super) fn take(
        &mut self,
        instance: u32,
        name: &str,
        key: Key,
        origin: Option<Origin>,
    ) -> u32 {
        let index = self.alias(instance, ComponentExportKind::Type, name);
        self.known.know(key, origin.clone(), index);
        let index = self.bring_in(index);
        self.scope().know(key, origin, index);
        index
    }

    /// Makes a type of the component's level usable where types are being written now.
    pub(super) fn bring_in(&mut self, index: u32) -> u32 {
        let Some((ty, _)) = &mut self.inner else {
            return index;
        };
        let inner = ty.type_count();
        ty.alias(Alias::Outer {
            kind: ComponentOuterAliasKind::Type,
            count: 1,
            index,
        });
        inner
    }

    pub(super) fn write(&mut self, write: impl FnOnce(ComponentTypeEncoder)) -> u32 {
        let (index, encoder) = self.next_type();
        write(encoder);
        index
    }

    pub(super) fn next_type(&mut self) -> (u32, ComponentTypeEncoder<'_>) {
        match &mut self.inner {
            Some((ty, _)) => (ty.type_count(), ty.ty()),
            None => self.builder.ty(None),
        }
    }

    pub(super) fn instance(&mut self) -> &mut InstanceType {
        &mut self.inner.get_or_insert_with(Default::default).0
    }

    pub(super) fn scope(&mut self) -> &mut Known {
        match &mut self.inner {
            Some((_, known)) => known,
            None => &mut self.known,
        }
    }
}
