//! Commands: that they can be run, and that there is one.

use crate::diagnostic::Diagnostics;
use crate::parts::Parts;
use crate::problems;

/// Reports commands that export nothing to run, and all but the first of several.
pub(super) fn check(parts: &Parts<'_>, out: &mut Diagnostics) {
    let mut first = None;
    for part in parts.ids() {
        if parts.declared(part).command.is_none() {
            continue;
        }
        // Of a part that could not be read enough was said already.
        if parts
            .world(part)
            .is_some_and(|world| world.command().is_none())
        {
            out.push(problems::commands::not_run(parts, part));
        }
        match first {
            None => first = Some(part),
            Some(first) => out.push(problems::commands::several(parts, first, part)),
        }
    }
}
