//! Links over which requests go between interfaces of different names: the host translates them.
//!
//! Handlers and clients of WASI 0.2 and 0.3 have different names and types, and mean the same. An import takes an export of its own
//! name if any target has one. Where none does, one of the other release serves it. A handler that serves what a component
//! sends has to be meant: by a link that names the import, or that would be for nothing else. Otherwise whatever a
//! component asks of the world could reach a component that it is linked to for other reasons.

use withe_wit::http::{is_handler_of_client, is_of_another_release};
use withe_wit::{Extern, InterfaceName, World};

use crate::matching::find_export;

/// The exports of other names that may serve an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Translation {
    /// The same in another release of WASI.
    Release,
    /// A handler, for an import through which requests are sent.
    Handler,
}

/// The export of `world` that serves `import` through a translation, by its place: that of the import's own release, or
/// the newest.
pub(crate) fn find_translated(
    import: &Extern,
    world: &World,
    translation: Translation,
) -> Option<usize> {
    let wanted = import.interface_name()?;
    let serves = match translation {
        Translation::Release => is_of_another_release,
        Translation::Handler => is_handler_of_client,
    };
    let minor = |name: &InterfaceName| name.version.as_ref().map(|version| version.minor);
    let exports = world.exports.iter().enumerate();
    let serving = exports.filter_map(|(i, export)| {
        let name = export
            .interface_name()
            .filter(|name| serves(wanted, name))?;
        Some(((minor(name) == minor(wanted), name.version.clone()), i))
    });
    serving.max().map(|(_, i)| i)
}

/// The export that serves an import which a link names.
pub(crate) fn find_named(import: &Extern, exports: &World) -> Option<usize> {
    find_export(import, exports)
        .or_else(|| find_translated(import, exports, Translation::Release))
        .or_else(|| find_translated(import, exports, Translation::Handler))
}

/// Whether the host translates between an import and the export that a link joined it to.
pub(crate) fn is_translated(import: &Extern, export: &Extern) -> bool {
    let (Some(wanted), Some(found)) = (import.interface_name(), export.interface_name()) else {
        return false;
    };
    is_of_another_release(wanted, found) || is_handler_of_client(wanted, found)
}
