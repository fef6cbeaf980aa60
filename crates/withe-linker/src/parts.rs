//! The application's parts by number and by name.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use withe_wit::{Extern, World};

use crate::carried::{Carried, Walked};
use crate::exporters::Exporters;
use crate::host::HostExports;
use crate::ids::component_id;
use crate::input::{Component, ComponentKind, ConfigCheck, Elsewhere, Inputs, OnMissing, Part};
use crate::ix::PerPart;
use crate::wording::Suggestions;
use crate::work;

pub(crate) use crate::ix::PartIx as PartId;

/// The linker's inputs, with names turned into numbers.
#[derive(Clone, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) inputs: &'a Inputs,
    pub(crate) host: HostExports<'a>,
    by_name: BTreeMap<&'a str, PartId>,
    elsewhere: PerPart<Option<&'a Elsewhere>>,
    walked: Walked<'a>,
    exporters: OnceCell<Exporters<'a>>,
    /// Finds the names that misspelt parts and exports were meant to be.
    pub(crate) suggestions: Suggestions,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(inputs: &'a Inputs) -> Self {
        let mut by_name = BTreeMap::new();
        for (i, component) in inputs.application.components.iter().enumerate() {
            // Two components of one name are the manifest's error; the first is meant by it.
            by_name.entry(component.name.as_str()).or_insert(PartId(i));
        }
        let components = inputs.application.components.iter();
        let elsewhere = components
            .map(|component| inputs.placement.elsewhere.get(component.name.as_str()))
            .collect();
        Self {
            inputs,
            host: HostExports::new(&inputs.host),
            by_name,
            elsewhere,
            walked: Walked::default(),
            exporters: OnceCell::new(),
            suggestions: Suggestions::among(inputs.application.components.len()),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.inputs.application.components.len()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = PartId> + use<> {
        (0..self.count()).map(PartId)
    }

    pub(crate) fn find(&self, name: &str) -> Option<PartId> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn declared(&self, id: PartId) -> &'a Component {
        work::note(1);
        &self.inputs.application.components[id.0]
    }

    pub(crate) fn name(&self, id: PartId) -> &'a str {
        &self.declared(id).name.value
    }

    /// The part's id on the lattice.
    pub(crate) fn lattice_id(&self, id: PartId) -> String {
        let declared = self.declared(id);
        match &declared.id {
            Some(given) => given.value.clone(),
            None => component_id(&self.inputs.application.name, &declared.name),
        }
    }

    /// The part's imports and exports; `None` if its bytes could not be read.
    pub(crate) fn world(&self, id: PartId) -> Option<&'a World> {
        work::note(1);
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
            Part::Component { check_config, .. } => check_config.as_ref(),
            Part::Unavailable => None,
        }
    }

    /// The kind of the part: as read, or as the manifest says if its bytes could not be read.
    pub(crate) fn kind(&self, id: PartId) -> ComponentKind {
        work::note(1);
        match self.inputs.parts.get(id.0) {
            Some(Part::Component { .. }) => ComponentKind::Component,
            Some(Part::Provider(_)) => ComponentKind::Provider,
            Some(Part::Unavailable) | None => self.declared(id).kind,
        }
    }

    pub(crate) fn is_provider(&self, id: PartId) -> bool {
        self.kind(id) == ComponentKind::Provider
    }

    /// Whether the part is a provider to which providers are linked, for it may be a component that others run.
    pub(crate) fn may_be_component(&self, id: PartId) -> bool {
        let part = self.inputs.parts.get(id.0);
        matches!(part, Some(Part::Provider(provider)) if provider.may_be_component)
    }

    /// Whether the part is declared as a provider, and is a component.
    pub(crate) fn is_component_provider(&self, id: PartId) -> bool {
        let is_component = matches!(self.inputs.parts.get(id.0), Some(Part::Component { .. }));
        is_component && self.declared(id).kind == ComponentKind::Provider
    }

    /// Where the part runs, if that is not on this host.
    pub(crate) fn elsewhere(&self, id: PartId) -> Option<&'a Elsewhere> {
        self.elsewhere[id]
    }

    /// Whether the part runs on this host.
    pub(crate) fn is_here(&self, id: PartId) -> bool {
        self.elsewhere(id).is_none()
    }

    /// The types that calls of an import or export carry.
    pub(crate) fn carried(&self, item: &'a Extern) -> Rc<Carried<'a>> {
        self.walked.carried(item)
    }

    /// Whether running it by itself takes an engine with concurrency support, as
    /// [`World::uses_concurrency`] says.
    pub(crate) fn uses_concurrency(&self, id: PartId) -> bool {
        self.world(id).is_some_and(|world| {
            let mut items = world.imports.iter().chain(&world.exports);
            world.async_abi
                || items.any(|item| {
                    let carried = self.carried(item);
                    carried.has_async || carried.asynchronous.is_some()
                })
        })
    }

    /// The index of the parts by their exports.
    pub(crate) fn exporters(&self) -> &Exporters<'a> {
        self.exporters.get_or_init(|| {
            let worlds = self
                .ids()
                .filter_map(|part| Some((part, self.world(part)?)));
            Exporters::among(worlds)
        })
    }

    /// Whether the host itself provides the interface to every component.
    pub(crate) fn is_from_host(&self, import: &Extern) -> bool {
        self.host.find(import).is_some()
    }

    /// The interfaces of a world that take links: without those that only name types and those that the host
    /// provides.
    pub(crate) fn linkable<'w>(&self, items: &'w [Extern]) -> impl Iterator<Item = &'w Extern> {
        items
            .iter()
            .filter(|item| !item.is_types_only() && !self.is_from_host(item))
    }

    /// The parts called from outside of the application, and so instantiated on their own: those that the linker's
    /// caller names, and commands.
    pub(crate) fn called(&self) -> impl Iterator<Item = PartId> {
        let named = self.inputs.called.iter();
        let named = named.filter_map(|name| self.find(name));
        let commands = self.ids().filter(|id| self.declared(*id).command.is_some());
        named.chain(commands)
    }

    /// The treatment of a part's imports that nothing provides.
    pub(crate) fn on_missing(&self, id: PartId) -> OnMissing {
        let own = self.declared(id).on_missing.as_ref().map(|own| own.value);
        own.or(self.inputs.defaults.missing).unwrap_or_default()
    }

    /// Whether the application was written down in a manifest, rather than made from arguments:
    /// what to do about a problem then stands in the manifest.
    pub(crate) fn has_manifest(&self) -> bool {
        self.inputs.application.name.span.is_some()
    }
}
