//! From a plan to the runtime's units.
//!
//! Every component that is called from outside a composition becomes a unit of its own, with its
//! fused targets inside: linking a component's import to another gives each of its instances an
//! instance of that other, so fusing is a tree, and a component that two others link to is in it twice.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use withe_compose::{Constituent, FuseRequest, FuseWire, fuse};
use withe_linker::plan::{Binding, Plan, PlannedComponent, PlannedGrants, PlannedLink};
use withe_provider::{LinkId, Provider};
use withe_rpc::Route;
use withe_runtime::is_per_component;
use withe_runtime::spec::{
    Directory, FusedLink, Identity, ImportSource, ImportSpec, InstanceLimit, LinkSpec, LinkTarget,
    Member, UnitGrants, UnitLimits, UnitSpec,
};
use withe_wit::name::kebab_case;
use withe_wit::{ExternItem, InterfaceName};

use crate::error::HostError;
use crate::parts::Parts;
use crate::request::called;

/// Where a link leads that does not lead to another unit of the process.
#[derive(Clone)]
pub enum LinkEnd {
    /// To a provider that runs in the process.
    Provider {
        /// The provider.
        provider: Arc<dyn Provider>,
        /// The link as the provider knows it.
        link: LinkId,
    },
    /// To another process; to one of its units, or to a provider there.
    Remote {
        /// The way there.
        route: Arc<Route>,
        /// Whether a unit is called there, and no provider.
        to_unit: bool,
        /// The same way, for pings.
        ping: Arc<Route>,
        /// The same way, for the requests that the link carries to a unit.
        http: Option<Arc<Route>>,
    },
}

/// Makes the units of `plan` that `names` says. `ends` has the links that lead out of the process, by
/// their places in the plan.
pub(crate) fn units(
    parts: &Parts,
    plan: &Plan,
    names: &[String],
    ends: &HashMap<usize, LinkEnd>,
) -> Result<Vec<UnitSpec>, Vec<HostError>> {
    let places = names.iter().enumerate();
    let places: HashMap<&str, usize> = places.map(|(i, name)| (name.as_str(), i)).collect();
    let links = plan.links.iter().enumerate();
    let links = links.map(|(i, link)| link_spec(parts, link, ends.get(&i), &places).map(Arc::new));
    let mut of_source: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, link) in plan.links.iter().enumerate() {
        of_source.entry(&link.source).or_default().push(i);
    }
    let maker = Maker {
        parts,
        plan,
        members: members(plan),
        links: links.collect(),
        of_source,
    };
    let components = plan.components.iter();
    let components: HashMap<&str, &PlannedComponent> =
        components.map(|c| (c.name.as_str(), c)).collect();
    let mut errors = Vec::new();
    let mut units = Vec::new();
    for name in names {
        let entry = components.get(name.as_str()).copied();
        let unit = entry.ok_or_else(|| HostError::NoBytes(name.clone()));
        match unit.and_then(|entry| maker.unit(entry)) {
            Ok(unit) => units.push(unit),
            Err(e) => errors.push(e),
        }
    }
    if errors.is_empty() {
        Ok(units)
    } else {
        Err(errors)
    }
}

/// Each component as a member of units: one identity and one bound of instances, wherever it is.
fn members(plan: &Plan) -> HashMap<&str, Member> {
    let member = |c: &PlannedComponent| Member {
        identity: Arc::new(Identity {
            application: plan.application.clone(),
            component: c.name.clone(),
            config: c.config.clone(),
            secrets: c.secret_values.clone(),
            env: c
                .grants
                .env
                .iter()
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        }),
        instances: c.instances.map(|n| Arc::new(InstanceLimit::new(n))),
    };
    plan.components
        .iter()
        .map(|c| (c.name.as_str(), member(c)))
        .collect()
}

/// A link as the runtime makes it; `None` for one that has no end there.
fn link_spec(
    parts: &Parts,
    link: &PlannedLink,
    end: Option<&LinkEnd>,
    units: &HashMap<&str, usize>,
) -> Option<LinkSpec> {
    let target = match (link.binding, end) {
        (Binding::Fused, _) => return None,
        (_, Some(LinkEnd::Provider { provider, link: id })) => LinkTarget::Provider {
            provider: provider.clone(),
            link: *id,
            functions: parts.names(link),
        },
        (
            _,
            Some(LinkEnd::Remote {
                route,
                to_unit,
                http,
                ..
            }),
        ) => {
            let functions = called(parts, link, *to_unit).into_iter().map(|f| f.key);
            let functions: Arc<[_]> = functions.collect();
            LinkTarget::Remote {
                route: route.clone(),
                http: http.clone(),
                // The request lists `drop` behind the functions (`serve::request`).
                drop: to_unit.then_some(functions.len()),
                functions,
            }
        }
        (_, None) => LinkTarget::Unit(*units.get(link.target.as_str())?),
    };
    Some(LinkSpec {
        name: link.name.clone(),
        source: link.source.clone(),
        target_name: link.target.clone(),
        binding: link.binding,
        scope: link.scope,
        timeout: Duration::from_millis(link.timeout_ms),
        timeout_given: link.timeout_given,
        exports: link
            .interfaces
            .iter()
            .map(|i| (i.import.clone(), i.export.clone()))
            .collect(),
        target,
    })
}

struct Maker<'a> {
    parts: &'a Parts,
    plan: &'a Plan,
    members: HashMap<&'a str, Member>,
    /// By place in the plan; `None` for fused ones.
    links: Vec<Option<Arc<LinkSpec>>>,
    /// The places in the plan of the links that start at a component.
    of_source: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Maker<'a> {
    fn unit(&self, entry: &'a PlannedComponent) -> Result<UnitSpec, HostError> {
        let mut tree = Tree {
            names: vec![entry.name.as_str()],
            wires: Vec::new(),
            links: Vec::new(),
        };
        self.grow(&mut tree, 0);
        let members: Vec<Member> = tree
            .names
            .iter()
            .map(|name| self.members[name].clone())
            .collect();
        let (bytes, imports) = if tree.wires.is_empty() {
            (self.bytes(&entry.name)?, self.own_imports(&entry.name))
        } else {
            self.fuse(entry, &tree)?
        };
        Ok(UnitSpec {
            name: entry.name.clone(),
            bytes,
            concurrency: entry.concurrency,
            members,
            imports,
            fused: tree.links,
            limits: UnitLimits {
                memory: entry.memory,
                time: entry.time_ms.map(Duration::from_millis),
                reuse: entry.reuse.unwrap_or(1),
            },
            grants: grants(&entry.grants, &self.parts.folder),
        })
    }

    /// Adds the fused targets of constituent `at`, and theirs. The linker has made sure that this ends.
    fn grow(&self, tree: &mut Tree<'a>, at: usize) {
        for (_, link) in self.links_of(tree.names[at]) {
            if link.binding != Binding::Fused {
                continue;
            }
            let target = tree.names.len();
            tree.names.push(&link.target);
            tree.wires.extend(link.interfaces.iter().map(|i| FuseWire {
                importer: at,
                import: i.import.clone(),
                exporter: target,
                export: i.export.clone(),
            }));
            tree.links.extend(link.interfaces.iter().map(|i| FusedLink {
                application: self.plan.application.clone(),
                name: link.name.clone(),
                source: link.source.clone(),
                target: link.target.clone(),
                interface: i.interface.clone(),
            }));
            self.grow(tree, target);
        }
    }

    fn fuse(
        &self,
        entry: &PlannedComponent,
        tree: &Tree<'_>,
    ) -> Result<(Arc<[u8]>, Vec<ImportSpec>), HostError> {
        let constituents = tree
            .names
            .iter()
            .enumerate()
            .map(|(i, name)| {
                Ok(Constituent {
                    label: tree.label(i),
                    name: (*name).to_owned(),
                    bytes: self.bytes(name)?,
                })
            })
            .collect::<Result<_, HostError>>()?;
        let request = FuseRequest {
            constituents,
            wires: tree.wires.clone(),
        };
        let separate = |import: &str| import.parse().map_or(true, |name| is_per_component(&name));
        let fused = fuse(&request, &separate).map_err(|e| HostError::Fuse {
            component: entry.name.clone(),
            why: e,
        })?;
        let imports = fused
            .imports
            .into_iter()
            .map(|import| {
                let member = import.constituent.unwrap_or(0);
                let importer = tree.names[member];
                match import.constituent {
                    Some(_) => self.import(import.name, member, importer, import.import),
                    // Shared by several, whose versions may differ: its own name says what it is.
                    None => ImportSpec {
                        interface: import
                            .name
                            .parse::<InterfaceName>()
                            .ok()
                            .map(|_| import.name.clone()),
                        original: import.import,
                        name: import.name,
                        member,
                        rpc_errors: Vec::new(),
                        source: ImportSource::Host,
                    },
                }
            })
            .collect();
        Ok((fused.bytes.into(), imports))
    }

    fn own_imports(&self, component: &str) -> Vec<ImportSpec> {
        let Some(world) = self.parts.world(component) else {
            return Vec::new();
        };
        let own = |name: &String| self.import(name.clone(), 0, component, name.clone());
        world
            .imports
            .iter()
            .map(|import| own(&import.name))
            .collect()
    }

    /// The import spec for `importer`'s import `original`.
    fn import(&self, name: String, member: usize, importer: &str, original: String) -> ImportSpec {
        let links: Vec<_> = self
            .links_of(importer)
            .filter(|(_, link)| link.interfaces.iter().any(|i| i.import == original))
            .filter_map(|(i, _)| self.links[i].clone())
            .collect();
        let world = self.parts.world(importer);
        let item = world
            .and_then(|w| w.imports.iter().find(|i| i.name == original))
            .map(|i| &i.item);
        let interface = match item {
            Some(ExternItem::Interface(interface)) => Some(
                interface
                    .name
                    .as_ref()
                    .map_or_else(|| original.clone(), InterfaceName::to_string),
            ),
            _ => None,
        };
        let mut components = self.plan.components.iter();
        let planned = components.find(|c| c.name == importer);
        let source = match links.is_empty() {
            false => ImportSource::Links(links),
            true if planned.is_some_and(|c| c.missing.contains(&original)) => ImportSource::Missing,
            true => ImportSource::Host,
        };
        let functions = match item {
            Some(ExternItem::Interface(interface)) => interface.functions.as_slice(),
            Some(ExternItem::Function(function)) => std::slice::from_ref(function),
            None => &[],
        };
        let rpc_errors = functions.iter().filter(|f| f.has_rpc_error());
        ImportSpec {
            rpc_errors: rpc_errors.map(|f| f.name.clone()).collect(),
            name,
            member,
            original,
            interface,
            source,
        }
    }

    /// The links that start at a component, with their places in the plan.
    fn links_of(&self, source: &str) -> impl Iterator<Item = (usize, &'a PlannedLink)> {
        let places = self.of_source.get(source).into_iter().flatten();
        places.map(|i| (*i, &self.plan.links[*i]))
    }

    fn bytes(&self, component: &str) -> Result<Arc<[u8]>, HostError> {
        let part = self.parts.components.get(component);
        part.map(|part| part.bytes.clone())
            .ok_or_else(|| HostError::NoBytes(component.to_owned()))
    }
}

/// The components of a unit: the root first.
struct Tree<'a> {
    names: Vec<&'a str>,
    wires: Vec<FuseWire>,
    links: Vec<FusedLink>,
}

impl Tree<'_> {
    /// A label for constituent `i`: its name as a WIT identifier, numbered from its second occurrence.
    fn label(&self, i: usize) -> String {
        let base = label_of(self.names[i]);
        let before = self.names[..i]
            .iter()
            .filter(|name| label_of(name) == base)
            .count();
        match before {
            0 => base,
            // The `n` makes it a word of its own that starts with a letter.
            n => format!("{base}-n{}", n + 1),
        }
    }
}

/// A component's name as a label.
fn label_of(name: &str) -> String {
    match kebab_case(name) {
        label if label.is_empty() => "component".into(),
        label => label,
    }
}

fn grants(grants: &PlannedGrants, folder: &Path) -> UnitGrants {
    let directory = |d: &withe_linker::plan::PlannedDirectory| Directory {
        host: folder.join(&d.host),
        guest: d.guest.clone(),
        read_only: d.read_only,
    };
    UnitGrants {
        directories: grants.directories.iter().map(directory).collect(),
        network: grants.network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_wit_identifiers_and_unique() {
        let tree = Tree {
            names: vec!["My_App", "2fast", "my-app", "…", "my.app"],
            wires: Vec::new(),
            links: Vec::new(),
        };
        let labels: Vec<_> = (0..5).map(|i| tree.label(i)).collect();
        assert_eq!(
            labels,
            ["my-app", "n2fast", "my-app-n2", "component", "my-app-n3"]
        );
        assert!(labels.iter().all(|l| withe_wit::name::is_kebab(l)));
    }
}
