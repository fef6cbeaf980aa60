//! Parts that nothing uses: most often a link was forgotten.

use crate::diagnostic::Diagnostics;
use crate::parts::{PartId, Parts};
use crate::problems;
use crate::problems::unused::Callers;

/// Warns of components that nothing calls and of capabilities that nothing is linked to or from.
pub(super) fn check(parts: &Parts<'_>, out: &mut Diagnostics) {
    let mut called = vec![false; parts.ids().count()];
    parts.called().for_each(|part| called[part.0] = true);
    for source in parts.ids() {
        let targets = parts
            .declared(source)
            .links
            .iter()
            .filter_map(|link| parts.find(&link.target));
        // A part that only calls itself is not called.
        targets
            .filter(|target| *target != source)
            .for_each(|target| called[target.0] = true);
    }
    // A person who names a component on a command line to look at it knows what calls it.
    if !parts.has_manifest()
        && let Some(first) = called.first_mut()
    {
        *first = true;
    }
    let mut callers = None;
    for part in parts
        .ids()
        .filter(|part| !called[part.0] && is_known(parts, *part))
    {
        if !parts.is_provider(part) {
            let callers = callers.get_or_insert_with(|| Callers::among(parts));
            out.push(problems::unused::component(parts, part, callers));
        } else if parts.declared(part).links.is_empty() {
            out.push(problems::unused::capability(parts, part));
        }
    }
}

/// Whether its bytes could be read; of another part, enough was said already.
fn is_known(parts: &Parts<'_>, part: PartId) -> bool {
    parts.world(part).is_some()
}
