//! Components compiled, and what they export and import, each once for all units whose bytes are equal.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use wasmtime::component::Component;
use withe_compose::ExtractedNeeds;

use crate::code::{CompiledPart, ImportedModule};
use crate::engine::Engines;
use crate::exports::{Exports, Import, imports};
use crate::settings::{MEMORIES_PER_SLOT, TABLES_PER_SLOT};

/// A component whose code is compiled, and whose types are therefore known.
pub(crate) struct Compiled {
    pub(crate) component: Component,
    pub(crate) exports: Arc<Exports>,
    pub(crate) imports: Vec<Import>,
    /// The modules that it imports of it: what is compiled apart.
    pub(crate) modules: Arc<[ImportedModule]>,
    /// How many slots of the pool an instance needs.
    pub(crate) slots: u32,
}

/// The components of a graph, by the engine that they are for and their bytes.
#[derive(Default)]
pub(crate) struct Components(HashMap<(bool, Bytes), Arc<Compiled>>);

impl Components {
    /// The component that has these bytes, if it was compiled before.
    pub(crate) fn get(&self, concurrency: bool, bytes: &Arc<[u8]>) -> Option<Arc<Compiled>> {
        self.0.get(&(concurrency, Bytes(bytes.clone()))).cloned()
    }

    /// Compiles `bytes`, and says whether they were found compiled. `told` hears of the parts that are compiled.
    ///
    /// # Errors
    ///
    /// Returns Wasmtime's error when the bytes do not compile.
    pub(crate) fn compile(
        &mut self,
        engines: &Engines,
        concurrency: bool,
        bytes: &Arc<[u8]>,
        told: &(dyn Fn(CompiledPart) + Sync),
    ) -> wasmtime::Result<(Arc<Compiled>, bool)> {
        let code = engines.component(concurrency, bytes, told)?;
        let component = code.component;
        let compiled = Arc::new(Compiled {
            exports: Arc::new(Exports::of(&component)),
            imports: imports(&component),
            slots: slots(code.needs),
            modules: code.modules.into(),
            component,
        });
        let key = (concurrency, Bytes(bytes.clone()));
        self.0.insert(key, compiled.clone());
        Ok((compiled, code.is_found))
    }
}

/// How many slots of the pool an instance of a component needs: 1, unless it has more memories or tables than the pool
/// has for one. A composition has as many as all that is in it.
fn slots(needs: Option<ExtractedNeeds>) -> u32 {
    // Not known of those that import modules of others, which nothing here can satisfy.
    needs.map_or(1, |needs| {
        let memories = needs.memories.div_ceil(MEMORIES_PER_SLOT);
        let tables = needs.tables.div_ceil(TABLES_PER_SLOT);
        memories.max(tables).max(1)
    })
}

/// A component's bytes as a key. They are mostly the same allocation, and otherwise differ mostly somewhere that is
/// looked at; so neither hashing nor comparing them reads all of them often.
struct Bytes(Arc<[u8]>);

/// The number of places of the bytes that are hashed, and the bytes at each.
const SAMPLES: usize = 16;
const SAMPLE: usize = 64;

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let bytes = &*self.0;
        bytes.len().hash(state);
        let step = (bytes.len() / SAMPLES).max(SAMPLE);
        for sample in bytes.chunks(step) {
            sample[..sample.len().min(SAMPLE)].hash(state);
        }
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Bytes {}
