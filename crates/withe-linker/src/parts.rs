//! The application's parts by number and by name.

use std::collections::BTreeMap;

use withe_wit::{Extern, World};

use crate::input::{Component, ComponentKind, ConfigCheck, Inputs, Part};

/// A part's place in `application.components`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PartId(pub(crate) usize);

/// What the linker was given, with names turned into numbers.
#[derive(Clone, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) inputs: &'a Inputs,
    by_name: BTreeMap<&'a str, PartId>,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(inputs: &'a Inputs) -> Self {
        let mut by_name = BTreeMap::new();
        for (i, component) in inputs.application.components.iter().enumerate() {
            // Two components of one name are the manifest's error; the first is meant by it.
            by_name.entry(component.name.as_str()).or_insert(PartId(i));
        }
        Self { inputs, by_name }
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = PartId> + use<> {
        (0..self.inputs.application.components.len()).map(PartId)
    }

    pub(crate) fn find(&self, name: &str) -> Option<PartId> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn declared(&self, id: PartId) -> &'a Component {
        &self.inputs.application.components[id.0]
    }

    pub(crate) fn name(&self, id: PartId) -> &'a str {
        &self.declared(id).name.value
    }

    /// What it imports and exports; `None` if its bytes could not be read.
    pub(crate) fn world(&self, id: PartId) -> Option<&'a World> {
        match self.inputs.parts.get(id.0)? {
            Part::Component { world, .. } => Some(world),
            Part::Provider(provider) => Some(&provider.world),
            Part::Unavailable => None,
        }
    }

    pub(crate) fn digest(&self, id: PartId) -> &'a str {
        match self.inputs.parts.get(id.0) {
            Some(Part::Component { digest, .. }) => digest,
            Some(Part::Provider(provider)) => &provider.digest,
            Some(Part::Unavailable) | None => "",
        }
    }

    pub(crate) fn config_check(&self, id: PartId) -> Option<&'a ConfigCheck> {
        match self.inputs.parts.get(id.0)? {
            Part::Provider(provider) => Some(&provider.check_config),
            Part::Component { .. } | Part::Unavailable => None,
        }
    }

    /// What it turned out to be, or what the manifest says if its bytes could not be read.
    pub(crate) fn kind(&self, id: PartId) -> ComponentKind {
        match self.inputs.parts.get(id.0) {
            Some(Part::Component { .. }) => ComponentKind::Component,
            Some(Part::Provider(_)) => ComponentKind::Provider,
            Some(Part::Unavailable) | None => self.declared(id).kind,
        }
    }

    pub(crate) fn is_provider(&self, id: PartId) -> bool {
        self.kind(id) == ComponentKind::Provider
    }

    /// Whether the host itself provides the interface to every component.
    pub(crate) fn is_from_host(&self, import: &Extern) -> bool {
        let name = import.interface_name();
        name.is_some_and(|name| {
            self.inputs
                .host
                .iter()
                .any(|offered| name.is_satisfied_by(offered))
        })
    }

    /// What a part has of a world's interfaces, leaving out those that only name types and those
    /// that the host provides: what is left takes links.
    pub(crate) fn linkable<'w>(&self, items: &'w [Extern]) -> impl Iterator<Item = &'w Extern> {
        items
            .iter()
            .filter(|item| !item.is_types_only() && !self.is_from_host(item))
    }

    /// Whether the application was written down in a manifest, rather than made from arguments:
    /// what to do about a problem then stands in the manifest.
    pub(crate) fn has_manifest(&self) -> bool {
        self.inputs.application.name.span.is_some()
    }
}
