//! Components compiled: their large modules apart, each once, and what is left of them.
//!
//! Most of what takes long to compile is the runtime of a language, which is the same in many components
//! ([`withe_compose::extract_modules`]). A module that was taken out is known by its digest: it is looked for in memory, then in
//! the cache, and compiled at last. The rest of the component is compiled as any component is. Modules that differ by their names
//! alone are compiled once, and loaded once for each name.
//!
//! All of it has one deadline: each process and each wait gets what is left of the time. Compiling in this process cannot be
//! stopped; only its waits end then.
//!
//! A component is compiled whole if it has nothing large, or if Wasmtime refuses its parts: then what is wrong is said with
//! places in the component's own file.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::Component;
use wasmtime::{Engine, Module};
use withe_compose::{ExtractSizes, Extracted, ExtractedNeeds, extract_modules};

use crate::cache::{CodeCache, EntryName};
use crate::compile::{CompileDeadline, CompileError, CompileProcess};
use crate::guest_log::printable;
use crate::native_code::{NativeCode, SerializedModule, TrustedCode};
use crate::settings::INSTANCE_LIMITS;
use crate::shared_modules::{ModuleKey, SharedModules};

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
    /// The number of the module among those of the component that have its code; `None` for the component.
    copy: Option<usize>,
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

/// The settings and bounds that all parts of a component are compiled with.
#[derive(Clone, Copy)]
struct Job<'a> {
    to: For<'a>,
    deadline: CompileDeadline,
}

impl Job<'_> {
    fn key(&self, entry: &EntryName, copy: usize) -> ModuleKey {
        ModuleKey {
            concurrency: self.to.concurrency,
            entry: entry.clone(),
            copy,
        }
    }
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
        let limits = self.compiler.as_ref().map(|process| process.limits);
        let job = &Job {
            to,
            deadline: CompileDeadline::after(limits.unwrap_or_default().time),
        };
        let extracted = extract_modules(bytes, &ExtractSizes::default(), &INSTANCE_LIMITS);
        if let Some(extracted) = extracted {
            match self.in_parts(job, &extracted, told) {
                Err(why) if is_refused(&why) => {
                    tracing::debug!(
                        "a component is compiled whole, as its parts do not compile: {why:#}"
                    );
                }
                compiled => return compiled,
            }
        }
        let entry = EntryName::of(to.engine, Component::KIND, bytes);
        let (component, is_found) = match self.find::<Component>(job, &entry) {
            Some(component) => (component, true),
            None => (self.make(job, &entry, bytes, 1)?, false),
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
        job: &Job<'_>,
        extracted: &Extracted,
        told: &(dyn Fn(CompiledPart) + Sync),
    ) -> wasmtime::Result<ComponentCode> {
        let parts = parts(job.to.engine, extracted);
        let is_first = |part: &Part<'_>| part.copy.unwrap_or_default() == 0;
        let mut codes = Vec::with_capacity(parts.len());
        for part in &parts {
            codes.push(match is_first(part) {
                true => self.found(job, part)?,
                false => None,
            });
        }
        let missing = (0..parts.len()).filter(|n| codes[*n].is_none() && is_first(&parts[*n]));
        let missing: Vec<_> = missing.collect();
        let of_missing: Vec<_> = missing.iter().map(|n| &parts[*n]).collect();
        let made = self.all(job, &of_missing, told)?;
        for (number, code) in missing.iter().zip(made) {
            codes[*number] = Some(code);
        }
        // By its code, the first module that has it: the others come behind that.
        let mut firsts = HashMap::new();
        let mut modules = Vec::with_capacity(extracted.modules.len());
        let mut component = None;
        for ((number, part), code) in parts.into_iter().enumerate().zip(codes) {
            let module = match code {
                Some(PartCode::Component(code)) => {
                    component = Some(code);
                    continue;
                }
                Some(PartCode::Module(module)) => {
                    firsts.insert(part.entry, module.clone());
                    module
                }
                None => self.copy(job, &firsts[&part.entry], &part)?,
            };
            modules.push(ImportedModule {
                import: extracted.modules[number].import.clone(),
                name: part.name,
                module,
            });
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
        job: &Job<'_>,
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
                let made = self.made(job, part, beside);
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
                    self.made(job, part, 1)
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
    fn found(&self, job: &Job<'_>, part: &Part<'_>) -> wasmtime::Result<Option<PartCode>> {
        let Some(copy) = part.copy else {
            return Ok(self.find(job, &part.entry).map(PartCode::Component));
        };
        let find = || Ok(self.find(job, &part.entry));
        let key = job.key(&part.entry, copy);
        let found = self.modules.get(&key, &job.deadline, find);
        Ok(found?.map(PartCode::Module))
    }

    /// A part's code, compiled unless another thread has done that meanwhile.
    fn made(&self, job: &Job<'_>, part: &Part<'_>, beside: usize) -> wasmtime::Result<PartCode> {
        let (entry, bytes) = (&part.entry, part.bytes);
        let Some(copy) = part.copy else {
            return self
                .make(job, entry, bytes, beside)
                .map(PartCode::Component);
        };
        let make = || self.make(job, entry, bytes, beside).map(Some);
        let key = job.key(entry, copy);
        let made = self.modules.get(&key, &job.deadline, make)?;
        Ok(PartCode::Module(
            made.expect("a module that is not there is made"),
        ))
    }

    /// Another module with the code of `first`, which has another name in this component.
    fn copy(
        &self,
        job: &Job<'_>,
        first: &Module,
        part: &Part<'_>,
    ) -> wasmtime::Result<Arc<Module>> {
        let make = || {
            let code = SerializedModule::of(first)?;
            Module::load(&TrustedCode::of_module(&code), job.to.engine).map(Some)
        };
        let key = job.key(&part.entry, part.copy.unwrap_or_default());
        let copy = self.modules.get(&key, &job.deadline, make)?;
        Ok(copy.expect("a module that is not there is made"))
    }

    fn find<T: NativeCode>(&self, job: &Job<'_>, entry: &EntryName) -> Option<T> {
        self.cache.as_ref()?.get(job.to.engine, entry)
    }

    /// Compiles, with one part of the memory of so many, and keeps the code.
    fn make<T: NativeCode>(
        &self,
        job: &Job<'_>,
        entry: &EntryName,
        bytes: &[u8],
        beside: usize,
    ) -> wasmtime::Result<T> {
        let to = job.to;
        let (made, code) = match &self.compiler {
            None => (T::compile(to.engine, bytes)?, None),
            Some(process) => {
                let memory = process.limits.memory / beside.max(1) as u64;
                let compiled = process.compile(
                    to.engine,
                    to.concurrency,
                    self.instance_memory,
                    memory,
                    &job.deadline,
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

/// The parts of a component: its modules and, last, what is left of it.
fn parts<'a>(engine: &Engine, extracted: &'a Extracted) -> Vec<Part<'a>> {
    let mut copies: HashMap<&[u8], (EntryName, usize)> = HashMap::new();
    let mut parts = Vec::with_capacity(extracted.modules.len() + 1);
    for module in &extracted.modules {
        let bytes = &*module.bytes;
        let (entry, next) = copies
            .entry(bytes)
            .or_insert_with(|| (EntryName::of(engine, Module::KIND, bytes), 0));
        parts.push(Part {
            name: module.name.as_deref().map(Arc::from),
            bytes,
            entry: entry.clone(),
            copy: Some(*next),
        });
        *next += 1;
    }
    parts.push(Part {
        name: None,
        bytes: &extracted.component,
        entry: EntryName::of(engine, Component::KIND, &extracted.component),
        copy: None,
    });
    parts
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

#[cfg(test)]
mod tests;
