//! Takes the large core modules out of a component, which then imports them.
//!
//! A component is compiled as a whole, and most of what takes long is the same in many: the interpreter of a language, which
//! a component brings along. Taken out, it can be compiled once, and compiling the component again takes as long as what is
//! left of it, such as adapters. Components that hold nothing large stay as they are: an imported module's imports are looked up by
//! name at each instantiation, and calls between it and the others are not known when they are compiled.
//!
//! A module's own name goes, since compositions give the same module other names ([`crate::fuse`]), and what is a snapshot is
//! split into code and memory ([`snapshot`]).
//!
//! The bytes need not be valid. A component in which anything is unusual is left as it is, which is always right.

mod module_type;
mod rewrite;
mod snapshot;

use wasm_encoder::{ComponentSectionId, ModuleType};

use crate::module_names::{module_name, rename_module};
use crate::sections::Sections;

use module_type::Interface;

/// How deep components may lie in components.
const MOST_DEPTH: usize = 100;

/// The modules that are taken out, by sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub struct ExtractSizes {
    /// Nothing is taken out of a component unless one module's functions have so many bytes.
    pub large: usize,
    /// If it is, so are all modules whose functions have so many.
    pub worthwhile: usize,
    /// A module whose data has so many is taken for a snapshot.
    pub snapshot: usize,
}

impl Default for ExtractSizes {
    /// A megabyte takes about a second to compile, and 64 KiB less than starting a process for it. Programs that are no
    /// snapshots seldom have a megabyte of data.
    fn default() -> Self {
        Self {
            large: 1 << 20,
            worthwhile: 64 << 10,
            snapshot: 1 << 20,
        }
    }
}

/// A component, and what was taken out of it.
#[derive(Clone, Debug)]
pub struct Extracted {
    /// The component, with an import for each of the modules.
    pub component: Vec<u8>,
    /// The modules.
    pub modules: Vec<ExtractedModule>,
    /// The memories and tables of one instance, with all that it imports here.
    pub needs: ExtractedNeeds,
}

/// A module that was taken out.
#[derive(Clone, Debug)]
pub struct ExtractedModule {
    /// The name under which the component imports it.
    pub import: String,
    /// The module, mostly without a name of its own.
    pub bytes: Vec<u8>,
    /// Its own name, where it was.
    pub name: Option<String>,
}

/// How many memories and tables an instance of a component defines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtractedNeeds {
    /// Linear memories.
    pub memories: u32,
    /// Tables.
    pub tables: u32,
}

impl ExtractedNeeds {
    fn add(&mut self, other: Self) {
        self.memories = self.memories.saturating_add(other.memories);
        self.tables = self.tables.saturating_add(other.tables);
    }
}

/// Takes the large modules out of a component, or returns `None` if it stays as it is.
#[must_use]
pub fn extract_modules(component: &[u8], sizes: &ExtractSizes) -> Option<Extracted> {
    let mut modules = Vec::new();
    find(component, MOST_DEPTH, &mut modules)?;
    let largest = modules.iter().map(|module| code_size(module)).max()?;
    if largest < sizes.large {
        return None;
    }
    let mut taken = Taken::default();
    let sites = modules.iter().map(|module| taken.site(module, sizes));
    let sites: Vec<_> = sites.collect::<Option<_>>()?;
    if taken.modules.is_empty() {
        return None;
    }
    let types = taken.types;
    let (component, needs) = rewrite::rewrite(component, &sites, &types)?;
    Some(Extracted {
        component,
        modules: taken.modules,
        needs,
    })
}

/// Finds all core modules, in the order in which they are read.
fn find<'a>(component: &'a [u8], depth: usize, modules: &mut Vec<&'a [u8]>) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    for section in Sections::new(component) {
        let (id, _, body) = section.ok()?;
        let body = &component[body];
        if id == u8::from(ComponentSectionId::CoreModule) {
            modules.push(body);
        } else if id == u8::from(ComponentSectionId::Component) {
            find(body, depth, modules)?;
        }
    }
    Some(())
}

fn code_size(module: &[u8]) -> usize {
    let mut sections = Sections::new(module).flatten();
    let code = sections.find(|(id, ..)| *id == u8::from(wasm_encoder::SectionId::Code));
    code.map_or(0, |(_, _, body)| body.len())
}

/// A module's place in the component: what becomes of it there.
struct Site {
    /// Its own memories and tables.
    needs: ExtractedNeeds,
    fate: Fate,
}

enum Fate {
    /// The module stays.
    Kept,
    /// The import of this number takes its place.
    Imported(u32),
    /// The import of this number has its code, and its memory stays.
    Split { code: u32, memory: Vec<u8> },
}

/// The modules that are taken out, and their types.
#[derive(Default)]
struct Taken {
    modules: Vec<ExtractedModule>,
    types: Vec<ModuleType>,
}

impl Taken {
    fn site(&mut self, module: &[u8], sizes: &ExtractSizes) -> Option<Site> {
        let interface = Interface::of(module)?;
        let needs = ExtractedNeeds {
            memories: u32::try_from(interface.memories.len()).ok()?,
            tables: u32::try_from(interface.tables).ok()?,
        };
        let fate = match interface.code >= sizes.worthwhile {
            true => self.fate(module, &interface, sizes),
            false => None,
        };
        Some(Site {
            needs,
            fate: fate.unwrap_or(Fate::Kept),
        })
    }

    fn fate(
        &mut self,
        module: &[u8],
        interface: &Interface<'_>,
        sizes: &ExtractSizes,
    ) -> Option<Fate> {
        let is_snapshot = interface.data >= sizes.snapshot;
        let split = is_snapshot.then(|| snapshot::split(module, interface));
        match split.flatten() {
            Some(split) => Some(Fate::Split {
                code: self.import(&split.code, Interface::of(&split.code)?.module_type()?)?,
                memory: split.memory,
            }),
            None => Some(Fate::Imported(
                self.import(module, interface.module_type()?)?,
            )),
        }
    }

    /// The number of a module among those that are taken out.
    fn import(&mut self, module: &[u8], ty: ModuleType) -> Option<u32> {
        let name = module_name(module).map(str::to_owned);
        let unnamed = rename_module(module, None).ok()?;
        let same = self.modules.iter().position(|other| other.bytes == unnamed);
        if let Some(same) = same
            && self.modules[same].name == name
        {
            return u32::try_from(same).ok();
        }
        let number = self.modules.len();
        self.modules.push(ExtractedModule {
            import: import_name(number),
            // The constituents of a composition are told apart by the names of their modules, so only the first of
            // several that have the same one goes without.
            bytes: if same.is_some() {
                module.to_vec()
            } else {
                unnamed
            },
            name,
        });
        self.types.push(ty);
        u32::try_from(number).ok()
    }
}

/// The name of the import of the module of a number.
fn import_name(number: usize) -> String {
    format!("{IMPORT}{number}")
}

/// How the names of imported modules begin.
const IMPORT: &str = "withe-module-";

#[cfg(test)]
mod tests;
