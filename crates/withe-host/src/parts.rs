//! The components of a plan, as a process has them that carries out a part of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use withe_linker::input::Part;
use withe_linker::plan::{PlannedInterface, PlannedLink};
use withe_load::{Loaded, ProviderSource};
use withe_provider::FunctionName;
use withe_wit::{Extern, ExternItem, Function, Interface, InterfaceName, OPEN, World};

/// The parts of a plan.
#[derive(Default)]
pub struct Parts {
    /// The base of relative paths in the plan: an absolute path.
    pub(crate) folder: PathBuf,
    pub(crate) components: HashMap<String, ComponentPart>,
    pub(crate) providers: HashMap<String, ProviderSource>,
    /// The worlds of the providers: what they import, they call on components.
    pub(crate) provider_worlds: HashMap<String, Arc<World>>,
    /// In a worker, which has no worlds of others: the digests of the functions that open what its components are handed,
    /// by link and import.
    pub(crate) openers: Openers,
}

/// Digests of functions that open resources: the link's source, target and name, the import, and the digest.
pub(crate) type Openers = Vec<([String; 3], String, u64)>;

/// One component.
pub(crate) struct ComponentPart {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) world: Arc<World>,
}

impl Parts {
    /// The parts of an application that was read here.
    pub fn of(loaded: &Loaded) -> Self {
        let folder = match loaded.folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => &loaded.folder,
        };
        let mut parts = Self {
            // A provider is the same if its files are, however the folder was named.
            folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
            ..Self::default()
        };
        for (name, part) in loaded.named_parts() {
            if let Some(component) = part.component() {
                let component = ComponentPart {
                    bytes: component.bytes.clone(),
                    world: component.world.clone(),
                };
                parts.components.insert(name.to_owned(), component);
            } else if let Some(provider) = part.provider() {
                parts.providers.insert(name.to_owned(), provider.clone());
                if let Part::Provider(provider) = &part.input {
                    let world = provider.world.clone();
                    parts.provider_worlds.insert(name.to_owned(), world);
                }
            }
        }
        parts
    }

    /// The world of the component called `name`.
    pub fn world(&self, name: &str) -> Option<&World> {
        self.components.get(name).map(|part| &*part.world)
    }

    /// The functions that a link makes available to its source, with their names there. Their order is
    /// what the target's side knows them by.
    pub(crate) fn functions(&self, link: &PlannedLink) -> Vec<LinkedFunction<'_>> {
        let provider = || self.provider_worlds.get(&link.source).map(|world| &**world);
        let Some(world) = self.world(&link.source).or_else(provider) else {
            return Vec::new();
        };
        let mut functions = Vec::new();
        for planned in &link.interfaces {
            let import = world.imports.iter().find(|i| i.name == planned.import);
            match import.map(|i| &i.item) {
                Some(ExternItem::Interface(interface)) => {
                    let name = interface.name.as_ref();
                    // An exporter that serves the interface under another name knows it by that name.
                    let name = match (name, planned.export.parse::<InterfaceName>()) {
                        (Some(name), Ok(export)) if !name.same_interface(&export) => {
                            planned.export.clone()
                        }
                        (Some(name), _) => name.to_string(),
                        (None, _) => planned.interface.clone(),
                    };
                    functions.extend(interface.functions.iter().map(|f| LinkedFunction {
                        key: (planned.import.clone(), f.name.clone()),
                        name: FunctionName {
                            interface: name.clone(),
                            function: f.name.clone(),
                        },
                        export: (Some(planned.export.clone()), f.name.clone()),
                        ty: FunctionType::Known(f),
                    }));
                    if let Some(open) = self.opener(link, planned, world, interface) {
                        functions.push(LinkedFunction {
                            key: (planned.import.clone(), OPEN.into()),
                            name: FunctionName {
                                interface: name,
                                function: OPEN.into(),
                            },
                            export: (Some(planned.export.clone()), OPEN.into()),
                            ty: open,
                        });
                    }
                }
                Some(ExternItem::Function(f)) => functions.push(LinkedFunction {
                    key: (planned.import.clone(), planned.import.clone()),
                    name: FunctionName {
                        interface: String::new(),
                        function: planned.export.clone(),
                    },
                    export: (None, planned.export.clone()),
                    ty: FunctionType::Known(f),
                }),
                _ => {}
            }
        }
        functions
    }

    /// The function by which the resources of `interface`, which `world` imports over a link from the export `export`, are
    /// opened, if an export of `world` is handed one and the world does not import the function itself: then the host
    /// calls it.
    fn opener(
        &self,
        link: &PlannedLink,
        planned: &PlannedInterface,
        world: &World,
        interface: &Interface,
    ) -> Option<FunctionType<'_>> {
        let of_interface = |f: &Function| {
            let first = f.first_owned();
            first.is_some_and(|first| first.interface == interface.name)
        };
        let mut exported = world.exports.iter().flat_map(Extern::functions);
        let is_imported = interface.functions.iter().any(|f| f.name == OPEN);
        if is_imported || !exported.any(of_interface) {
            return None;
        }
        let key = ends(link);
        let mut told = self.openers.iter();
        let told = told.find(|(link, import, _)| *link == key && *import == planned.import);
        if let Some((.., digest)) = told {
            return Some(FunctionType::Digest(*digest));
        }
        let provider = || self.provider_worlds.get(&link.target).map(|world| &**world);
        let target = self.world(&link.target).or_else(provider)?;
        let export = target.exports.iter().find(|e| e.name == planned.export)?;
        let open = export.functions().iter().find(|f| f.name == OPEN);
        open.map(FunctionType::Known)
    }

    /// The interfaces that a link joins though their names differ.
    pub(crate) fn pairs(&self, link: &PlannedLink) -> Vec<(InterfaceName, InterfaceName)> {
        let world = self.world(&link.source);
        let names = link.interfaces.iter().filter_map(|planned| {
            let import = world?.imports.iter().find(|i| i.name == planned.import)?;
            let (a, b) = (import.interface_name()?, planned.export.parse().ok()?);
            (!a.same_interface(&b)).then(|| (a.clone(), b))
        });
        names.collect()
    }

    /// Tells a worker of the functions that open resources which are handed to the components of these links.
    pub(crate) fn openers(&self, links: &[PlannedLink]) -> Openers {
        let mut openers = Vec::new();
        for link in links {
            let Some(world) = self.world(&link.source) else {
                continue;
            };
            let pairs = self.pairs(link);
            for planned in &link.interfaces {
                let import = world.imports.iter().find(|i| i.name == planned.import);
                let interface = import.and_then(Extern::interface);
                let open = interface.and_then(|i| self.opener(link, planned, world, i));
                if let Some(open) = open {
                    let digest = open.digest(&pairs);
                    openers.push((ends(link), planned.import.clone(), digest));
                }
            }
        }
        openers
    }

    /// The names that a link's functions have for its source, in their order.
    pub(crate) fn names(&self, link: &PlannedLink) -> Arc<[FunctionName]> {
        let functions = self.functions(link).into_iter();
        functions.map(|function| function.name).collect()
    }
}

/// The key of a link.
fn ends(link: &PlannedLink) -> [String; 3] {
    [&link.source, &link.target, &link.name].map(String::clone)
}

/// One function of a link.
pub(crate) struct LinkedFunction<'a> {
    /// The source's import, which may be a label, and the function in it: what the runtime knows it by.
    pub(crate) key: (String, String),
    /// The name that a provider knows it by: its name for the source, or for the target where a link pairs two names; without an
    /// interface for a function of the world.
    pub(crate) name: FunctionName,
    /// Under which interface, if any, and name the target exports it.
    pub(crate) export: (Option<String>, String),
    /// Its type, as the source has it.
    pub(crate) ty: FunctionType<'a>,
}

/// The type of a function of a link.
pub(crate) enum FunctionType<'a> {
    Known(&'a Function),
    /// Of one that the source does not import itself, its digest for the link.
    Digest(u64),
}

impl FunctionType<'_> {
    /// Its digest over a link that joins these pairs of interfaces.
    pub(crate) fn digest(&self, pairs: &[(InterfaceName, InterfaceName)]) -> u64 {
        match self {
            Self::Known(function) if pairs.is_empty() => function.digest(),
            Self::Known(function) => function.digest_paired(pairs),
            Self::Digest(digest) => *digest,
        }
    }
}
