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
//! The bytes need not be valid. A component in which anything is unusual is left as it is, which is always right. So is one of
//! which an instance would need more than a pool gives ([`needs`]).

mod module_type;
mod needs;
mod rewrite;
mod snapshot;

use std::collections::HashMap;
use std::sync::Arc;

use wasm_encoder::{ComponentSectionId, ModuleType, SectionId};
use wasmparser::{Parser, Validator, WasmFeatures};

use crate::module_names::{module_name, rename_module};
use crate::sections::Sections;

use module_type::Interface;
pub use needs::ExtractLimits;
use needs::InstanceNeeds;

/// How deep components may lie in components.
const MOST_DEPTH: usize = 100;
/// The most imports that a component is given: modules of equal code and other names are imports of their own.
const MOST_IMPORTS: usize = 256;

/// The modules that are taken out, by sizes in bytes, and how many.
#[derive(Clone, Copy, Debug)]
pub struct ExtractSizes {
    /// Nothing is taken out of a component unless one module's functions have so many bytes.
    pub large: usize,
    /// If it is, so are all modules whose functions have so many.
    pub worthwhile: usize,
    /// A module whose data has so many is taken for a snapshot.
    pub snapshot: usize,
    /// The most modules of different code that are taken out, the largest.
    pub modules: usize,
}

impl Default for ExtractSizes {
    /// A megabyte takes about a second to compile, and 64 KiB less than starting a process for it. Programs that are no
    /// snapshots seldom have a megabyte of data. The interpreter of Python has 14 modules, all but a few of them small.
    fn default() -> Self {
        Self {
            large: 1 << 20,
            worthwhile: 64 << 10,
            snapshot: 1 << 20,
            modules: 16,
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
    /// The module without a name of its own. Several have the same bytes if their names differ.
    pub bytes: Arc<[u8]>,
    /// The name that it had.
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

/// Takes the large modules out of a component, or returns `None` if it stays as it is.
#[must_use]
pub fn extract_modules(
    component: &[u8],
    sizes: &ExtractSizes,
    limits: &ExtractLimits,
) -> Option<Extracted> {
    let mut modules = Vec::new();
    find(component, MOST_DEPTH, &mut modules)?;
    let largest = |section| {
        let sizes = modules.iter().map(|module| section_size(module, section));
        sizes.max().unwrap_or_default()
    };
    if largest(SectionId::Code) < sizes.large {
        return None;
    }
    if largest(SectionId::Data) >= sizes.snapshot
        && let Some(extracted) = extract(component, &modules, sizes, limits)
    {
        return Some(extracted);
    }
    // Another module may rely on what the type of split code does not say, such as how large its memory is at least.
    let unsplit = ExtractSizes {
        snapshot: usize::MAX,
        ..*sizes
    };
    extract(component, &modules, &unsplit, limits)
}

fn extract(
    component: &[u8],
    modules: &[&[u8]],
    sizes: &ExtractSizes,
    limits: &ExtractLimits,
) -> Option<Extracted> {
    let mut codes = Codes::default();
    let cut = modules.iter().map(|module| codes.cut(module, sizes));
    let cut: Vec<_> = cut.collect::<Option<_>>()?;
    let mut taken = Taken::of(codes, sizes.modules);
    let sites = cut.into_iter().map(|(needs, cut)| Site {
        needs,
        fate: cut.map_or(Fate::Kept, |cut| taken.fate(cut)),
    });
    let sites: Vec<_> = sites.collect();
    if taken.modules.is_empty() {
        return None;
    }
    let (component, needs) = rewrite::rewrite(component, &sites, &taken.types)?;
    if !needs.are_within(limits) || !is_valid(&component) {
        return None;
    }
    Some(Extracted {
        component,
        modules: taken.modules,
        needs: ExtractedNeeds {
            memories: needs.memories,
            tables: needs.tables,
        },
    })
}

/// Whether a component fits together. Functions are not looked at: those that are left in it are as they were.
fn is_valid(component: &[u8]) -> bool {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut payloads = Parser::new(0).parse_all(component);
    payloads.all(|payload| payload.is_ok_and(|payload| validator.payload(&payload).is_ok()))
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

fn section_size(module: &[u8], section: SectionId) -> usize {
    let mut sections = Sections::new(module).flatten();
    let found = sections.find(|(id, ..)| *id == u8::from(section));
    found.map_or(0, |(_, _, body)| body.len())
}

/// A module's place in the component: what becomes of it there.
struct Site {
    needs: InstanceNeeds,
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

/// The modules that can be taken out, each code once whatever its modules are called.
#[derive(Default)]
struct Codes {
    numbers: HashMap<Arc<[u8]>, usize>,
    types: Vec<ModuleType>,
}

/// A module that can be taken out.
struct Cut {
    /// The number of its code.
    code: usize,
    name: Option<String>,
    /// Its memory, if that is apart.
    memory: Option<Vec<u8>>,
}

impl Codes {
    /// A module's needs, and its parts if it can be taken out. `None` if it cannot be read.
    fn cut(&mut self, module: &[u8], sizes: &ExtractSizes) -> Option<(InstanceNeeds, Option<Cut>)> {
        let interface = Interface::of(module)?;
        let cut = match interface.code >= sizes.worthwhile {
            true => self.parts(module, &interface, sizes),
            false => None,
        };
        Some((InstanceNeeds::of(&interface)?, cut))
    }

    fn parts(
        &mut self,
        module: &[u8],
        interface: &Interface<'_>,
        sizes: &ExtractSizes,
    ) -> Option<Cut> {
        let is_snapshot = interface.data >= sizes.snapshot;
        let split = is_snapshot.then(|| snapshot::split(module, interface));
        match split.flatten() {
            Some(split) => {
                let ty = Interface::of(&split.code)?.module_type()?;
                self.code(&split.code, ty, Some(split.memory))
            }
            None => self.code(module, interface.module_type()?, None),
        }
    }

    fn code(&mut self, module: &[u8], ty: ModuleType, memory: Option<Vec<u8>>) -> Option<Cut> {
        let unnamed = rename_module(module, None).ok()?;
        let next = self.types.len();
        let code = *self.numbers.entry(unnamed.into()).or_insert(next);
        if code == next {
            self.types.push(ty);
        }
        Some(Cut {
            code,
            name: module_name(module).map(str::to_owned),
            memory,
        })
    }
}

/// The modules that are taken out, and their types, in the order in which they are read.
struct Taken {
    modules: Vec<ExtractedModule>,
    types: Vec<ModuleType>,
    /// The codes that are taken out, by their numbers.
    chosen: HashMap<usize, (Arc<[u8]>, ModuleType)>,
    /// The import of a code with a name.
    imports: HashMap<(usize, Option<String>), u32>,
}

impl Taken {
    /// Takes out the largest of `codes`, `most` of them.
    fn of(codes: Codes, most: usize) -> Self {
        let mut largest: Vec<_> = codes.numbers.into_iter().collect();
        largest.sort_by_key(|(code, number)| (std::cmp::Reverse(code.len()), *number));
        largest.truncate(most);
        let chosen = largest.into_iter().map(|(code, number)| {
            let ty = codes.types[number].clone();
            (number, (code, ty))
        });
        Self {
            modules: Vec::new(),
            types: Vec::new(),
            chosen: chosen.collect(),
            imports: HashMap::new(),
        }
    }

    fn fate(&mut self, cut: Cut) -> Fate {
        let Some(import) = self.import(cut.code, cut.name) else {
            return Fate::Kept;
        };
        match cut.memory {
            Some(memory) => Fate::Split {
                code: import,
                memory,
            },
            None => Fate::Imported(import),
        }
    }

    /// The number of the import of a code for modules of one name, if it is taken out. The constituents of a composition are told
    /// apart by the names of their modules, so each name has its own.
    fn import(&mut self, code: usize, name: Option<String>) -> Option<u32> {
        let (bytes, ty) = self.chosen.get(&code)?;
        let key = (code, name);
        if let Some(import) = self.imports.get(&key) {
            return Some(*import);
        }
        let number = self.modules.len();
        if number == MOST_IMPORTS {
            return None;
        }
        self.modules.push(ExtractedModule {
            import: import_name(number),
            bytes: bytes.clone(),
            name: key.1.clone(),
        });
        self.types.push(ty.clone());
        let import = u32::try_from(number).ok()?;
        self.imports.insert(key, import);
        Some(import)
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
