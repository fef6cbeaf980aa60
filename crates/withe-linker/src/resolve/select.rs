//! Links that name the interfaces they are for.

use semver::Version;
use withe_wit::{Extern, InterfaceName, World};

use crate::diagnostic::Diagnostics;
use crate::input::{Link, Spanned};
use crate::matching::find_export;
use crate::parts::{PartId, Parts};
use crate::problems;
use crate::work;

use super::Wire;
use super::declare::{Declared, Slot, Trait};

/// One entry of `interfaces`, with the link's `namespace` and `package`.
#[derive(Clone, Debug)]
pub(crate) struct Selector<'a> {
    pub(crate) namespace: Option<&'a str>,
    pub(crate) package: Option<&'a str>,
    pub(crate) interface: &'a str,
    pub(crate) version: Option<Version>,
    /// The entry as it was written.
    pub(crate) written: &'a Spanned<String>,
}

impl Selector<'_> {
    /// Whether `item` is an interface that this selects.
    pub(crate) fn matches(&self, item: &Extern) -> bool {
        work::note(1);
        item.interface_name()
            .is_some_and(|name| self.matches_name(name))
    }

    fn matches_name(&self, name: &InterfaceName) -> bool {
        self.namespace.is_none_or(|n| n == name.namespace)
            && self.package.is_none_or(|p| p == name.package)
            && self.interface == name.interface
            && self.version.as_ref().is_none_or(|v| {
                let wanted = InterfaceName {
                    version: Some(v.clone()),
                    ..name.clone()
                };
                wanted.is_satisfied_by(name)
            })
    }

    /// What it selects, as far as it says: `wasi:keyvalue/store`.
    pub(crate) fn describe(&self) -> String {
        let path = match (self.namespace, self.package) {
            (Some(namespace), Some(package)) => format!("{namespace}:{package}/"),
            _ => String::new(),
        };
        format!("{path}{}", self.written.value)
    }
}

/// An entry of `interfaces` that cannot be understood, and why.
pub(crate) struct BadSelector<'a> {
    pub(crate) written: &'a Spanned<String>,
    pub(crate) why: &'static str,
}

/// What `link` names; `None` if that is left to inference.
///
/// # Errors
///
/// All entries that are not an interface's name.
pub(crate) fn selectors(link: &Link) -> Result<Option<Vec<Selector<'_>>>, Vec<BadSelector<'_>>> {
    let Some(interfaces) = &link.interfaces else {
        return Ok(None);
    };
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for written in interfaces {
        let (interface, version) = match written.split_once('@') {
            Some((interface, version)) => (interface, Some(version)),
            None => (written.as_str(), None),
        };
        let version = version.map(Version::parse).transpose();
        match version {
            Ok(version) if withe_wit::name::is_kebab(interface) => good.push(Selector {
                namespace: link.namespace.as_ref().map(|n| n.value.as_str()),
                package: link.package.as_ref().map(|p| p.value.as_str()),
                interface,
                version,
                written,
            }),
            Ok(_) if interface.contains([':', '/']) => {
                bad.push(BadSelector {
                    written,
                    why: "namespace and package stand in fields of their own",
                });
            }
            Ok(_) => bad.push(BadSelector {
                written,
                why: "it is not in kebab-case",
            }),
            Err(_) => bad.push(BadSelector {
                written,
                why: "its version is not one",
            }),
        }
    }
    if bad.is_empty() {
        Ok(Some(good))
    } else {
        Err(bad)
    }
}

/// Gives every trait that names interfaces the imports it names.
pub(super) fn select(
    parts: &Parts<'_>,
    source: PartId,
    world: &World,
    declared: &mut Declared<'_>,
    out: &mut Diagnostics,
) {
    let Declared { traits, excused } = declared;
    for link in traits {
        let Some(selectors) = link.selectors.clone() else {
            continue;
        };
        let mut unmatched = Vec::new();
        for selector in &selectors {
            let blamed = match matching(world, selector, link.slot) {
                Matching::Nothing => {
                    unmatched.push(selector);
                    continue;
                }
                Matching::Imports(imports) => {
                    if connect(link, world, &imports) {
                        continue;
                    }
                    let (at, import) = (selector.written.span, &world.imports[imports[0]]);
                    out.push(problems::selection::not_exported(
                        parts, source, link.link, at, import,
                    ));
                    imports
                }
                Matching::Labels(labels) => {
                    let imports: Vec<&Extern> = labels.iter().map(|i| &world.imports[*i]).collect();
                    out.push(problems::coverage::several_labels(
                        parts, source, link.link, &imports,
                    ));
                    labels
                }
            };
            blamed.into_iter().for_each(|import| excused[import] = true);
        }
        if unmatched.len() < selectors.len() {
            out.extend(problems::selection::not_imported(
                parts, source, link.link, &unmatched,
            ));
            continue;
        }
        out.push(problems::selection::nothing_imported(
            parts, source, link.link, &unmatched,
        ));
        // What the target could satisfy is what the misnamed interfaces were meant to be.
        for (excused, import) in excused.iter_mut().zip(&world.imports) {
            *excused |= find_export(import, link.exports).is_some();
        }
    }
}

/// Connects what the target exports of `imports`; whether that is any, or nothing needs to be.
fn connect(link: &mut Trait<'_>, world: &World, imports: &[usize]) -> bool {
    let mut connected = false;
    for &import in imports {
        let item = &world.imports[import];
        if item.is_types_only() {
            connected = true;
        } else if let Some(export) = find_export(item, link.exports) {
            link.wires.push(Wire { import, export });
            connected = true;
        }
    }
    connected
}

enum Matching {
    /// No import is of this name.
    Nothing,
    Imports(Vec<usize>),
    /// It is imported under several labels only, and the link does not say which.
    Labels(Vec<usize>),
}

fn matching(world: &World, selector: &Selector<'_>, slot: Slot<'_>) -> Matching {
    let all = (0..world.imports.len()).filter(|i| selector.matches(&world.imports[*i]));
    let found: Vec<usize> = match slot {
        Slot::Label(label) => all.filter(|i| *i == label).collect(),
        Slot::Default | Slot::Named(_) => {
            let (labels, plain): (Vec<_>, Vec<_>) = all.partition(|i| world.imports[*i].is_label());
            match (plain.is_empty(), labels.len()) {
                (true, 2..) => return Matching::Labels(labels),
                (true, _) => labels,
                (false, _) => plain,
            }
        }
    };
    if found.is_empty() {
        Matching::Nothing
    } else {
        Matching::Imports(found)
    }
}
