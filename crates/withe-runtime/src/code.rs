//! Components compiled: their large modules apart, each once, and what is left of them.
//!
//! Most of what takes long to compile is the runtime of a language, which is the same in many components
//! ([`withe_compose::extract_modules`]). A module that was taken out is known by its digest: it is looked for in memory, then in
//! the cache, and compiled at last. The rest of the component is compiled as any component is.
//!
//! A component is compiled whole if it has nothing large, or if Wasmtime refuses its parts: then what is wrong is said with
//! places in the component's own file.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::Component;
use wasmtime::{Engine, Module};
use withe_compose::{ExtractSizes, Extracted, ExtractedNeeds, extract_modules};

use crate::cache::{CodeCache, EntryName};
use crate::compile::{CompileError, CompileProcess};
use crate::guest_log::printable;
use crate::native_code::NativeCode;
use crate::shared_modules::SharedModules;

/// The most parts of a component that are compiled beside each other. Wasmtime compiles the functions of each on all cores; more
/// parts only fill the time in which it does other things.
const MOST_BESIDE: usize = 4;
/// The longest name of a module that is told, in bytes.
const LONGEST_NAME: usize = 64;

/// Where code comes from.
pub(crate) struct CodeSource {
    /// Where it is kept, if anywhere.
    pub(crate) cache: Option<CodeCache>,
    /// The process that compiles, if not this one.
    pub(crate) compiler: Option<CompileProcess>,
    /// The most linear memory of one instance's memory, in bytes, which code depends on.
    pub(crate) instance_memory: usize,
    pub(crate) modules: SharedModules,
}

/// A component's code.
pub(crate) struct ComponentCode {
    pub(crate) component: Component,
    /// The modules that were taken out of it, which it imports.
    pub(crate) modules: Vec<ImportedModule>,
    /// The memories and tables of an instance; `None` for a component that imports other modules, which nothing can satisfy.
    pub(crate) needs: Option<ExtractedNeeds>,
    /// Whether all of it was found compiled.
    pub(crate) is_found: bool,
}

/// A module that was taken out of a component.
pub(crate) struct ImportedModule {
    /// The name of the import.
    pub(crate) import: String,
    /// The name that the module had.
    pub(crate) name: Option<Arc<str>>,
    /// The module, which others may have as well.
    pub(crate) module: Arc<Module>,
}

/// A part of a component that begins to be compiled.
#[derive(Clone, Debug)]
pub struct CompiledPart {
    /// The name of the module, if it is one that has a name.
    pub name: Option<Arc<str>>,
    /// Its size as WebAssembly, in bytes.
    pub size: usize,
    /// Its number among the parts that are compiled, from 1.
    pub number: usize,
    /// How many are compiled.
    pub of: usize,
}

/// A part of a component.
struct Part<'a> {
    name: Option<Arc<str>>,
    bytes: &'a [u8],
    entry: EntryName,
    is_module: bool,
}

/// The code of a part.
enum PartCode {
    Module(Arc<Module>),
    Component(Component),
}

/// The engine that code is for.
#[derive(Clone, Copy)]
pub(crate) struct For<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) concurrency: bool,
}

impl CodeSource {
    /// The component that has these bytes. `told` hears which of its parts are compiled, if it has several.
    ///
    /// # Errors
    ///
    /// If it does not compile.
    pub(crate) fn component(
        &self,
        to: For<'_>,
        bytes: &[u8],
        told: &(dyn Fn(CompiledPart) + Sync),
    ) -> wasmtime::Result<ComponentCode> {
        if let Some(process) = &self.compiler {
            process.check_size(bytes)?;
        }
        if let Some(extracted) = extract_modules(bytes, &ExtractSizes::default()) {
            match self.in_parts(to, &extracted, told) {
                Err(why) if is_refused(&why) => {
                    tracing::debug!(
                        "a component is compiled whole, as its parts do not compile: {why:#}"
                    );
                }
                compiled => return compiled,
            }
        }
        let entry = EntryName::of(to.engine, Component::KIND, bytes);
        let (component, is_found) = match self.find::<Component>(to, &entry) {
            Some(component) => (component, true),
            None => (self.make(to, &entry, bytes, 1)?, false),
        };
        let needs = component.resources_required();
        Ok(ComponentCode {
            needs: needs.map(|needs| ExtractedNeeds {
                memories: needs.num_memories,
                tables: needs.num_tables,
            }),
            component,
            modules: Vec::new(),
            is_found,
        })
    }

    fn in_parts(
        &self,
        to: For<'_>,
        extracted: &Extracted,
        told: &(dyn Fn(CompiledPart) + Sync),
    ) -> wasmtime::Result<ComponentCode> {
        let modules = extracted.modules.iter().map(|module| Part {
            name: module.name.as_deref().map(Arc::from),
            bytes: &module.bytes,
            entry: EntryName::of(to.engine, Module::KIND, &module.bytes),
            is_module: true,
        });
        let mut parts: Vec<_> = modules.collect();
        parts.push(Part {
            name: None,
            bytes: &extracted.component,
            entry: EntryName::of(to.engine, Component::KIND, &extracted.component),
            is_module: false,
        });
        let mut codes = Vec::with_capacity(parts.len());
        for part in &parts {
            codes.push(self.found(to, part)?);
        }
        let missing = (0..parts.len()).filter(|n| codes[*n].is_none());
        let missing: Vec<_> = missing.collect();
        let of_missing: Vec<_> = missing.iter().map(|n| &parts[*n]).collect();
        let made = self.all(to, &of_missing, told)?;
        for (number, code) in missing.iter().zip(made) {
            codes[*number] = Some(code);
        }
        let mut modules = Vec::with_capacity(extracted.modules.len());
        let mut component = None;
        for ((number, part), code) in parts.into_iter().enumerate().zip(codes) {
            match code {
                Some(PartCode::Module(module)) => modules.push(ImportedModule {
                    import: extracted.modules[number].import.clone(),
                    name: part.name,
                    module,
                }),
                Some(PartCode::Component(code)) => component = Some(code),
                None => {}
            }
        }
        Ok(ComponentCode {
            component: component.expect("one of the parts is the component, and all have code"),
            modules,
            needs: Some(extracted.needs),
            is_found: missing.is_empty(),
        })
    }

    /// Compiles parts beside each other, the largest first.
    fn all(
        &self,
        to: For<'_>,
        parts: &[&Part<'_>],
        told: &(dyn Fn(CompiledPart) + Sync),
    ) -> wasmtime::Result<Vec<PartCode>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let beside = parts.len().min(cores).min(MOST_BESIDE);
        let mut order: Vec<_> = (0..parts.len()).collect();
        order.sort_by_key(|number| std::cmp::Reverse(parts[*number].bytes.len()));
        let next = AtomicUsize::new(0);
        let results = parts.iter().map(|_| None).collect::<Vec<_>>();
        let results = Mutex::new(results);
        let work = || {
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let Some(number) = order.get(turn) else { break };
                let part = parts[*number];
                told(CompiledPart {
                    name: part
                        .name
                        .as_deref()
                        .map(|name| printable(name, LONGEST_NAME).into()),
                    size: part.bytes.len(),
                    number: turn + 1,
                    of: parts.len(),
                });
                let made = self.made(to, part, beside);
                if made.as_ref().is_err_and(|why| !is_memory(why)) {
                    // The others are of no use.
                    next.store(parts.len(), Ordering::Relaxed);
                }
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results[*number] = Some(made);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..beside {
                scope.spawn(work);
            }
            work();
        });
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut first_error = None;
        let mut codes = Vec::with_capacity(parts.len());
        for (part, result) in parts.iter().zip(results) {
            let made = match result {
                // Alone it has all the memory.
                Some(Err(why)) if first_error.is_none() && beside > 1 && is_memory(&why) => {
                    self.made(to, part, 1)
                }
                Some(made) => made,
                // Another one failed before its turn came.
                None => continue,
            };
            match made {
                Ok(code) => codes.push(code),
                Err(why) => first_error = first_error.or(Some(why)),
            }
        }
        match first_error {
            Some(why) => Err(why),
            None => Ok(codes),
        }
    }

    /// A part's code, if it is there.
    fn found(&self, to: For<'_>, part: &Part<'_>) -> wasmtime::Result<Option<PartCode>> {
        if !part.is_module {
            return Ok(self.find(to, &part.entry).map(PartCode::Component));
        }
        let key = (to.concurrency, part.entry.clone());
        let found = self.modules.get(&key, || Ok(self.find(to, &part.entry)));
        Ok(found?.map(PartCode::Module))
    }

    /// A part's code, compiled unless another thread has done that meanwhile.
    fn made(&self, to: For<'_>, part: &Part<'_>, beside: usize) -> wasmtime::Result<PartCode> {
        let (entry, bytes) = (&part.entry, part.bytes);
        if !part.is_module {
            return self.make(to, entry, bytes, beside).map(PartCode::Component);
        }
        let key = (to.concurrency, entry.clone());
        let make = || self.make(to, entry, bytes, beside).map(Some);
        let made = self.modules.get(&key, make)?;
        Ok(PartCode::Module(
            made.expect("a module that is not there is made"),
        ))
    }

    fn find<T: NativeCode>(&self, to: For<'_>, entry: &EntryName) -> Option<T> {
        self.cache.as_ref()?.get(to.engine, entry)
    }

    /// Compiles, with one part of the memory of so many, and keeps the code.
    fn make<T: NativeCode>(
        &self,
        to: For<'_>,
        entry: &EntryName,
        bytes: &[u8],
        beside: usize,
    ) -> wasmtime::Result<T> {
        let (made, code) = match &self.compiler {
            None => (T::compile(to.engine, bytes)?, None),
            Some(process) => {
                let memory = process.limits.memory / beside.max(1) as u64;
                let compiled = process.compile(
                    to.engine,
                    to.concurrency,
                    self.instance_memory,
                    memory,
                    bytes,
                );
                let (made, code) = compiled?;
                (made, Some(code))
            }
        };
        if let Some(cache) = &self.cache {
            cache.put(entry, code.map_or_else(|| made.serialize(), Ok));
        }
        Ok(made)
    }
}

/// Whether Wasmtime refused what it was to compile.
fn is_refused(why: &wasmtime::Error) -> bool {
    matches!(
        why.downcast_ref::<CompileError>(),
        None | Some(CompileError::Refused(_))
    )
}

fn is_memory(why: &wasmtime::Error) -> bool {
    matches!(
        why.downcast_ref::<CompileError>(),
        Some(CompileError::Memory(_))
    )
}
