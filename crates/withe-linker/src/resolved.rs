//! The application with its links resolved. `resolve` makes this, the passes after it read it, and the
//! messages of `problems` speak of it, so it stands below all of them.

use std::collections::HashSet;

use withe_wit::{Extern, InterfaceName, World};

use crate::host::HostImport;
use crate::input::Link;
use crate::ix::PerLink;
use crate::parts::{PartId, Parts};

/// The application with every link's ends found.
#[derive(Clone, Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) parts: Parts<'a>,
    /// By source, then by place in the source.
    pub(crate) links: PerLink<ResolvedLink<'a>>,
    /// For each part, the imports that the host satisfies.
    pub(crate) host_imports: Vec<Vec<HostImport<'a>>>,
    /// For each part, the imports that nothing satisfies and that trap.
    pub(crate) missing: Vec<Vec<&'a Extern>>,
    /// The imports for which their component chooses a link by name while it runs: by component, and by place
    /// in its world.
    pub(crate) chosen_at_run_time: HashSet<(PartId, usize)>,
}

/// A link: one or more traits with the same source, target and name.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedLink<'a> {
    pub(crate) source: PartId,
    pub(crate) target: PartId,
    pub(crate) name: &'a str,
    /// The traits that declare it; never empty.
    pub(crate) traits: Vec<&'a Link>,
    /// The wires it connects, in the order of the source's imports; never empty.
    pub(crate) wires: Vec<Wire>,
    /// Whether the source chooses among links by name while it runs (`set-link-name`), and this is
    /// one of those it can choose.
    pub(crate) chosen_at_run_time: bool,
}

/// An import of the source's world and the export of the target's that satisfies it, by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wire {
    pub(crate) import: usize,
    pub(crate) export: usize,
}

impl<'a> Resolved<'a> {
    /// The worlds of a link's source and target.
    pub(crate) fn worlds(&self, link: &ResolvedLink<'_>) -> Option<(&'a World, &'a World)> {
        Some((
            self.parts.world(link.source)?,
            self.parts.world(link.target)?,
        ))
    }

    /// The import and export of every wire of a link.
    pub(crate) fn wires<'s>(
        &'s self,
        link: &'s ResolvedLink<'_>,
    ) -> impl Iterator<Item = (&'a Extern, &'a Extern)> + use<'s, 'a> {
        let ends = self.worlds(link).into_iter();
        ends.flat_map(|(source, target)| {
            let wires = link.wires.iter();
            wires.map(move |w| (&source.imports[w.import], &target.exports[w.export]))
        })
    }
}

impl Resolved<'_> {
    /// The interfaces that a link joins though their names differ.
    pub(crate) fn pairs(&self, link: &ResolvedLink<'_>) -> Vec<(InterfaceName, InterfaceName)> {
        if link.traits.iter().all(|declared| declared.pairs.is_empty()) {
            return Vec::new();
        }
        let names = self.wires(link).filter_map(|(import, export)| {
            let (a, b) = (import.interface_name()?, export.interface_name()?);
            (!a.is_satisfied_by(b)).then(|| (a.clone(), b.clone()))
        });
        names.collect()
    }

    /// Whether the part needs an engine with concurrency support: by what it is, or by what it has from the
    /// host, of which it may use no more than what is synchronous.
    pub(crate) fn uses_concurrency(&self, part: PartId) -> bool {
        let from_host = &self.host_imports[part.0];
        self.parts.uses_concurrency(part)
            || from_host
                .iter()
                .any(|host| !host.import.is_types_only() && host.export.is_asynchronous())
    }

    /// Whether a provider is at either end of a link.
    pub(crate) fn involves_provider(&self, link: &ResolvedLink<'_>) -> bool {
        self.parts.is_provider(link.source) || self.parts.is_provider(link.target)
    }
}
