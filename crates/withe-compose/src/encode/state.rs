//! A composition while it is being written: what there is of it so far, and what all of `encode` does to it.
//! The other files add to this what they write: value types, resource types, imports and exports.

use std::collections::HashMap;

use wasm_encoder::{
    Alias, ComponentBuilder, ComponentExportKind, ComponentExternName, ComponentOuterAliasKind,
    ComponentTypeEncoder, InstanceType,
};

use super::scope::{Key, Known};
use crate::linkage::{Linkage, Origin};
use crate::names::{Labels, interface_word};

/// Writes a composition.
pub(crate) struct Encoder<'a> {
    pub(super) link: &'a Linkage<'a>,
    pub(crate) builder: ComponentBuilder,
    pub(super) known: Known,
    /// The instance type being written, with types of its own.
    pub(super) inner: Option<(InstanceType, Known)>,
    /// The index of each slot that has been imported, in the index space of its kind; none for one
    /// that is a type, which is known by its type index.
    pub(super) slots: Vec<Option<u32>>,
    /// The instance of each part, once there is one.
    pub(crate) instances: Vec<Option<u32>>,
    /// The items that were taken out of an instance, each with its index.
    aliases: HashMap<(u32, String), u32>,
    /// Once exports are written: names for types that have none.
    pub(super) labels: Option<Labels>,
    /// Types that have become visible through an exported instance, and their names in it.
    pub(super) exported: HashMap<Key, (u32, String)>,
    pub(super) exported_resources: HashMap<Origin, (u32, String)>,
    /// The part and its import or export that is being written, for messages.
    pub(super) subject: (usize, String),
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(link: &'a Linkage<'a>) -> Self {
        Self {
            link,
            builder: ComponentBuilder::default(),
            known: Known::default(),
            inner: None,
            slots: vec![None; link.slots.len()],
            instances: vec![None; link.parts.len()],
            aliases: HashMap::new(),
            labels: None,
            exported: HashMap::new(),
            exported_resources: HashMap::new(),
            subject: (0, String::new()),
        }
    }

    /// Says what the part's import or export being written is.
    pub(crate) fn about(&mut self, part: usize, name: &str) {
        self.subject = (part, name.to_owned());
    }

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

    /// Exports a type of the component's level, by the name that it has in the import or export `from`;
    /// gives its new index.
    pub(super) fn export_named(&mut self, from: &str, name: &str, ty: u32) -> u32 {
        let labels = self.labels.get_or_insert_default();
        let label = labels.take(interface_word(from), name);
        let kind = ComponentExportKind::Type;
        self.builder
            .export(extern_name(&label, None), kind, ty, None)
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
