//! Links that say which export serves which import, because their names differ.
//!
//! Names are all that is looked at here: whether the types agree is checked as for any link. A pair takes its import
//! as a named interface does, so that nothing is inferred for it any more.

use withe_wit::{Extern, InterfaceName, World};

use crate::diagnostic::Diagnostics;
use crate::input::{Link, NamePair, Spanned};
use crate::parts::{PartId, Parts};
use crate::problems;
use crate::problems::pairs::PairFault;
use crate::resolved::Wire;

use super::declare::{Declared, Trait};

/// Gives every trait that has pairs the imports of these.
pub(super) fn connect(
    parts: &Parts<'_>,
    source: PartId,
    world: &World,
    declared: &mut Declared<'_>,
    out: &mut Diagnostics,
) {
    let Declared { traits, excused } = declared;
    for link in traits {
        for pair in &link.link.pairs {
            let import = find(&world.imports, link.link, &pair.import);
            match wire(world, link, pair, import) {
                Ok(wire) => link.wires.push(wire),
                Err(fault) => {
                    out.push(problems::pairs::unusable(
                        parts, source, link.link, pair, &fault,
                    ));
                    link.faulty = true;
                    // One that was not found may be any.
                    for (i, excused) in excused.iter_mut().enumerate() {
                        *excused |= import.is_none_or(|import| import == i);
                    }
                }
            }
        }
    }
}

fn wire<'a>(
    world: &'a World,
    link: &Trait<'a>,
    pair: &NamePair,
    import: Option<usize>,
) -> Result<Wire, PairFault<'a>> {
    let exports = &link.exports.exports;
    let import = import.ok_or(PairFault::NoImport(&world.imports))?;
    let export = find(exports, link.link, &pair.export).ok_or(PairFault::NoExport(exports))?;
    let (wanted, found) = (&world.imports[import], &exports[export]);
    if wanted.interface().is_some() != found.interface().is_some() {
        return Err(PairFault::Kinds(wanted, found));
    }
    if wanted.is_types_only() {
        return Err(PairFault::TypesOnly);
    }
    Ok(Wire { import, export })
}

/// The one of `items` that a pair names, by its place: what has that very name; else an interface of that name,
/// the newest version that does.
fn find(items: &[Extern], link: &Link, written: &Spanned<String>) -> Option<usize> {
    let text = written.value.as_str();
    if let Some(place) = items.iter().position(|item| item.name == text) {
        return Some(place);
    }
    let full = match (&link.namespace, &link.package) {
        (Some(namespace), Some(package)) if !text.contains([':', '/']) => {
            format!("{}:{}/{text}", namespace.value, package.value)
        }
        _ => text.to_owned(),
    };
    let wanted: InterfaceName = full.parse().ok()?;
    let is_meant = |name: &InterfaceName| match &wanted.version {
        Some(_) => wanted.is_satisfied_by(name),
        None => wanted.same_interface(name),
    };
    let named = items.iter().enumerate().filter_map(|(i, item)| {
        let name = item.interface_name().filter(|name| is_meant(name))?;
        // One under its own name goes before one under a label.
        Some(((!item.is_label(), name.version.clone()), i))
    });
    named.max().map(|(_, i)| i)
}
