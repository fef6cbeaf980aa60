//! Third pass: where the ends run. There is one host, so everything runs on it: what the manifest
//! spreads over hosts is reduced to this one, and every `locality` holds.

use crate::check::Checked;
use crate::diagnostic::Diagnostics;
use crate::parts::PartId;
use crate::problems;

/// A checked application with its parts on hosts.
#[derive(Clone, Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) checked: Checked<'a>,
    /// How many instances of each part may run at a time on this host; `None` is as many as fit.
    pub(crate) instances: Vec<Option<u32>>,
}

/// Places every part on this host.
pub(crate) fn place<'a>(checked: Checked<'a>, out: &mut Diagnostics) -> Placed<'a> {
    let parts = &checked.resolved.parts;
    let place_part = |part: PartId| {
        let scaling = parts.declared(part).scaling.as_ref()?;
        if scaling.spread.iter().any(|s| !s.requirements.is_empty()) {
            out.push(problems::bindings::spread(parts, part, scaling.span));
        }
        scaling.instances.as_ref().map(|n| n.value)
    };
    let instances = parts.ids().map(place_part).collect();
    Placed { checked, instances }
}
