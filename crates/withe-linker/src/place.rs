//! Third pass: where the ends run. Which hosts a part runs on was decided before; here it is what that
//! leaves for this host. One that is alone has all of it, whatever the manifest spreads over hosts.

use crate::check::Checked;
use crate::diagnostic::Diagnostics;
use crate::input::Surroundings;
use crate::ix::PerPart;
use crate::parts::{PartId, Parts};
use crate::problems;

/// The most bytes that a host gives one linear memory.
pub const MOST_MEMORY: u64 = 1 << 30;

/// A checked application with its parts on hosts.
#[derive(Clone, Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) checked: Checked<'a>,
    /// How many instances of each part may run at a time on this host; `None` is as many as fit.
    pub(crate) instances: PerPart<Option<u32>>,
}

/// Places every part on this host.
pub(crate) fn place<'a>(checked: Checked<'a>, out: &mut Diagnostics) -> Placed<'a> {
    let parts = &checked.resolved.parts;
    let place_part = |part: PartId| {
        let placement = &parts.inputs.placement;
        let share = placement.instances.get(parts.name(part)).copied();
        let scaling = parts.declared(part).scaling.as_ref()?;
        let is_spread = scaling.spread.iter().any(|s| !s.requirements.is_empty());
        if is_spread && placement.surroundings != Surroundings::Lattice {
            out.push(problems::bindings::spread(parts, part, scaling.span));
        }
        share.or(scaling.instances.as_ref().map(|n| n.value))
    };
    let instances = parts.ids().map(place_part).collect();
    for part in parts.ids() {
        check_memory(parts, part, out);
    }
    Placed { checked, instances }
}

/// Reports a component that starts with more memory than its instances may have.
fn check_memory(parts: &Parts<'_>, part: PartId, out: &mut Diagnostics) {
    let Some(world) = parts.world(part) else {
        return;
    };
    let own = parts.declared(part).limits.memory.as_ref();
    let own = own
        .map(|limit| limit.value)
        .filter(|own| *own < MOST_MEMORY);
    let limit = own.unwrap_or(MOST_MEMORY);
    if world.memory > limit {
        let is_own = own.is_some();
        out.push(problems::memory::too_large(
            parts,
            part,
            world.memory,
            limit,
            is_own,
        ));
    }
}
