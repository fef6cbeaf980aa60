//! Finds exporters, for messages about imports that nothing satisfies: thousands of them may be missing, and
//! thousands of parts there to look through.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use semver::Version;
use withe_wit::{Extern, InterfaceName, World};

use crate::ix::PartIx;
use crate::matching::{find_export, interface_text};

/// The exports of all parts by their names.
#[derive(Clone, Debug)]
pub(crate) struct Exporters<'a> {
    worlds: Vec<(PartIx, &'a World)>,
    /// By an interface's name without its version, then by its version: the parts in order, with the export.
    interfaces: HashMap<[&'a str; 3], BTreeMap<Option<&'a Version>, Vec<Export<'a>>>>,
    /// By the name of a function, or of an interface that has none of its own.
    others: HashMap<&'a str, Vec<Export<'a>>>,
    /// The exporters found so far, by the imports asked for.
    found: RefCell<HashMap<Vec<Asked<'a>>, Rc<[PartIx]>>>,
}

/// An export of a part.
type Export<'a> = (PartIx, &'a Extern);

/// All of an import that decides which export it names.
type Asked<'a> = (&'a str, Option<&'a InterfaceName>);

impl<'a> Exporters<'a> {
    pub(crate) fn among(worlds: impl Iterator<Item = (PartIx, &'a World)>) -> Self {
        let mut exporters = Self {
            worlds: worlds.collect(),
            interfaces: HashMap::new(),
            others: HashMap::new(),
            found: RefCell::default(),
        };
        for (part, world) in &exporters.worlds {
            for export in &world.exports {
                let list = match export.interface_name() {
                    Some(name) => (exporters.interfaces.entry(path(name)).or_default())
                        .entry(name.version.as_ref())
                        .or_default(),
                    None => exporters.others.entry(&export.name).or_default(),
                };
                list.push((*part, export));
            }
        }
        exporters
    }

    /// The parts, in order, that export any of `imports`.
    pub(crate) fn of(&self, imports: &[&'a Extern]) -> Rc<[PartIx]> {
        let asked = imports
            .iter()
            .map(|i| (i.name.as_str(), i.interface_name()));
        let asked: Vec<_> = asked.collect();
        if let Some(found) = self.found.borrow().get(&asked) {
            return Rc::clone(found);
        }
        let mut found = BTreeSet::new();
        for import in imports {
            let mut add = |(part, _): &Export<'a>| {
                let world = self.world(*part);
                if world.is_some_and(|world| find_export(import, world).is_some()) {
                    found.insert(*part);
                }
            };
            match import.interface_name() {
                Some(name) => self
                    .versions(name)
                    .flat_map(|(_, list)| list)
                    .for_each(&mut add),
                None => {
                    let others = self.others.get(import.name.as_str());
                    others.into_iter().flatten().for_each(&mut add);
                }
            }
        }
        let found: Rc<[PartIx]> = found.into_iter().collect();
        let known = Rc::clone(&found);
        self.found.borrow_mut().insert(asked, known);
        found
    }

    /// The first so many parts, in order, that export the interface in a version that does not do for `wanted`,
    /// of which `source` is no one.
    pub(crate) fn other_versions(
        &self,
        wanted: &InterfaceName,
        source: PartIx,
        most: usize,
    ) -> Vec<Export<'a>> {
        let of_version = |(_, list): (_, &Vec<Export<'a>>)| {
            // All of one version satisfy it, or none.
            let fits = |(_, export): &&Export<'a>| {
                let name = export.interface_name();
                name.is_none_or(|name| wanted.is_satisfied_by(name))
            };
            let list = list.iter().filter(|(part, _)| *part != source);
            let others = list.take_while(|export| !fits(export)).take(most);
            others.copied().collect::<Vec<_>>()
        };
        let mut found: Vec<_> = self.versions(wanted).flat_map(of_version).collect();
        found.sort_by_key(|(part, _)| *part);
        found.truncate(most);
        found
    }

    /// The names of everything that is exported, each once, with who exports it first beside `source`: in the order
    /// of these.
    pub(crate) fn names(&self, source: PartIx) -> Vec<(PartIx, String)> {
        let versions = self.interfaces.values().flat_map(BTreeMap::values);
        let lists = versions.chain(self.others.values());
        let first = lists.filter_map(|list| list.iter().find(|(part, _)| *part != source));
        let mut names: Vec<_> = first
            .map(|(part, export)| (*part, interface_text(export)))
            .collect();
        names.sort();
        names
    }

    fn versions<'s>(
        &'s self,
        name: &'s InterfaceName,
    ) -> impl Iterator<Item = (&'s Option<&'a Version>, &'s Vec<Export<'a>>)> + use<'s, 'a> {
        self.interfaces.get(&path(name)).into_iter().flatten()
    }

    fn world(&self, part: PartIx) -> Option<&'a World> {
        let place = self.worlds.binary_search_by_key(&part, |(part, _)| *part);
        Some(self.worlds[place.ok()?].1)
    }
}

/// An interface's name without its version.
fn path(name: &InterfaceName) -> [&str; 3] {
    [&name.namespace, &name.package, &name.interface].map(String::as_str)
}
