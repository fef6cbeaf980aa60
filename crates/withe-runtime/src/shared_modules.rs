//! Modules whose code is in memory, each once for all components that have it, for as long as one of them is there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmtime::Module;

use crate::cache::EntryName;

/// The engine that a module is for, by whether it supports concurrency, and the name of the module's code.
pub(crate) type ModuleKey = (bool, EntryName);

/// The modules of all graphs.
#[derive(Default)]
pub(crate) struct SharedModules(Mutex<HashMap<ModuleKey, Arc<Place>>>);

/// The place of one module. The thread that makes it holds the lock, so that others who want it wait for that one.
type Place = Mutex<Weak<Module>>;

impl SharedModules {
    /// The module of a key, if it is in memory, or else what `make` makes. Waits while another thread makes it, so `make` must
    /// end, and must not come back here.
    ///
    /// # Errors
    ///
    /// If `make` fails. The next one tries it again.
    pub(crate) fn get(
        &self,
        key: &ModuleKey,
        make: impl FnOnce() -> wasmtime::Result<Option<Module>>,
    ) -> wasmtime::Result<Option<Arc<Module>>> {
        let place = self.place(key);
        // Whatever panicked while it was held, the reference is whole.
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = place.upgrade() {
            return Ok(Some(module));
        }
        let made = make()?.map(Arc::new);
        if let Some(module) = &made {
            *place = Arc::downgrade(module);
        }
        Ok(made)
    }

    fn place(&self, key: &ModuleKey) -> Arc<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(key) {
            return place.clone();
        }
        // Modules that nobody has any more go when another one comes. A place that is being filled has a second reference.
        places.retain(|_, place| {
            let is_used = |place: &Place| place.try_lock().is_ok_and(|p| p.strong_count() > 0);
            Arc::strong_count(place) > 1 || is_used(place)
        });
        places.entry(key.clone()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::Engine;

    use super::*;
    use crate::native_code::CodeKind;

    fn key(engine: &Engine, bytes: &[u8]) -> ModuleKey {
        (false, EntryName::of(engine, CodeKind::Module, bytes))
    }

    #[test]
    fn a_module_is_made_once_while_somebody_has_it() {
        let engine = Engine::default();
        let modules = SharedModules::default();
        let bytes = wat::parse_str("(module)").unwrap();
        let key = key(&engine, &bytes);
        let make = || Module::new(&engine, &bytes).map(Some);
        let never = || panic!("it is there");
        let none = modules.get(&key, || Ok(None));
        assert!(none.unwrap().is_none());
        let failed = modules.get(&key, || Err(wasmtime::Error::msg("no")));
        assert!(failed.is_err());
        let first = modules.get(&key, make).unwrap().unwrap();
        let second = modules.get(&key, never).unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        let made = modules.get(&key, || Ok(None));
        assert!(made.unwrap().is_none());
    }

    #[test]
    fn threads_that_want_one_module_wait_for_the_one_that_makes_it() {
        let engine = Engine::default();
        let modules = SharedModules::default();
        let bytes = wat::parse_str("(module)").unwrap();
        let key = key(&engine, &bytes);
        let made = Mutex::new(0);
        let all: Vec<_> = std::thread::scope(|scope| {
            let get = || {
                let make = || {
                    *made.lock().unwrap() += 1;
                    Module::new(&engine, &bytes).map(Some)
                };
                modules.get(&key, make).unwrap().unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(get)).collect();
            // None of them is dropped before the last one has it.
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!((all.len(), *made.lock().unwrap()), (8, 1));
    }

    #[test]
    fn modules_that_nobody_has_leave_nothing_behind() {
        let engine = Engine::default();
        let modules = SharedModules::default();
        let mut held = Vec::new();
        for n in 0..20 {
            let bytes = wat::parse_str(format!("(module (memory {n}))")).unwrap();
            let key = key(&engine, &bytes);
            let module = modules.get(&key, || Module::new(&engine, &bytes).map(Some));
            let module = module.unwrap().unwrap();
            if n % 10 == 0 {
                held.push(module);
            }
        }
        assert!(modules.0.lock().unwrap().len() <= 3);
    }
}
