//! Link traits with their targets and what their names mean.

use withe_wit::World;

use crate::diagnostic::Diagnostics;
use crate::input::Link;
use crate::parts::{PartId, Parts};
use crate::problems;
use crate::resolved::Wire;
use crate::selector::{Selector, selectors};

/// A component's link traits on their way to links.
pub(super) struct Declared<'a> {
    pub(super) traits: Vec<Trait<'a>>,
    /// By import: whether a problem that was reported already may be why nothing satisfies it.
    pub(super) excused: Vec<bool>,
}

/// A link trait whose target is known and readable.
pub(super) struct Trait<'a> {
    pub(super) link: &'a Link,
    pub(super) target: PartId,
    pub(super) exports: &'a World,
    pub(super) slot: NameSlot<'a>,
    /// The interfaces it names; `None` leaves that to inference.
    pub(super) selectors: Option<Vec<Selector<'a>>>,
    /// The imports and exports it was found to connect.
    pub(super) wires: Vec<Wire>,
    /// Whether a problem with it was reported: more would only repeat that.
    pub(super) faulty: bool,
}

/// The meaning of a link's name to its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NameSlot<'a> {
    /// No name: imports that have none either.
    Default,
    /// The import under this label, by place.
    Label(usize),
    /// One of the links that the source chooses from while it runs.
    Named(&'a str),
}

/// Finds the targets and slots of the links of `source`.
pub(super) fn declare<'a>(
    parts: &Parts<'a>,
    source: PartId,
    out: &mut Diagnostics,
) -> Declared<'a> {
    let world = parts.world(source);
    let mut declared = Declared {
        traits: Vec::new(),
        excused: vec![false; world.map_or(0, |w| w.imports.len())],
    };
    for link in &parts.declared(source).links {
        let target = parts.find(&link.target);
        if target.is_none() {
            out.push(problems::targets::unknown(parts, source, link));
        }
        let Some(world) = world else { continue };
        let selectors = match selectors(link) {
            Ok(selectors) => selectors,
            Err(bad) => {
                out.extend(problems::selection::malformed(&bad));
                declared.excuse(world, None);
                continue;
            }
        };
        let slot = slot(world, link);
        if slot.is_none() {
            out.push(problems::selection::unknown_name(parts, source, link));
        }
        match (target.and_then(|t| Some((t, parts.world(t)?))), slot) {
            (Some((target, exports)), Some(slot)) => declared.traits.push(Trait {
                link,
                target,
                exports,
                slot,
                selectors,
                wires: Vec::new(),
                faulty: false,
            }),
            _ => declared.excuse(world, selectors.as_deref()),
        }
    }
    declared
}

fn slot<'a>(world: &World, link: &'a Link) -> Option<NameSlot<'a>> {
    let Some(name) = &link.name else {
        return Some(NameSlot::Default);
    };
    if let Some(label) = world.imports.iter().position(|e| e.name == name.value) {
        return Some(NameSlot::Label(label));
    }
    if name.value == "default" {
        return Some(NameSlot::Default);
    }
    let lattice = |e: &withe_wit::Extern| e.interface_name().is_some_and(is_lattice);
    world
        .imports
        .iter()
        .any(lattice)
        .then_some(NameSlot::Named(&name.value))
}

/// Whether this is the interface by which a component chooses among its links while it runs.
pub(super) fn is_lattice(name: &withe_wit::InterfaceName) -> bool {
    (
        name.namespace.as_str(),
        name.package.as_str(),
        name.interface.as_str(),
    ) == ("wasmcloud", "bus", "lattice")
}

impl Declared<'_> {
    /// Notes that a trait which came to nothing may have been meant for these imports.
    fn excuse(&mut self, world: &World, selectors: Option<&[Selector<'_>]>) {
        for (excused, import) in self.excused.iter_mut().zip(&world.imports) {
            *excused |= selectors.is_none_or(|all| all.iter().any(|s| s.matches(import)));
        }
    }
}
