//! Modules whose code is in memory, each once for all components that have it, for as long as one of them is there.
//!
//! A composition in which one module has several names needs a copy for each: a trap's module is told by its identity. Copies have
//! numbers and not the names, so that other compositions with other names have the same ones.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use wasmtime::Module;

use crate::cache::EntryName;
use crate::compile::{CompileDeadline, CompileError};

/// The key of a module in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ModuleKey {
    /// Whether the engine that it is for supports concurrency.
    pub(crate) concurrency: bool,
    /// The name of its code.
    pub(crate) entry: EntryName,
    /// The number of the copy.
    pub(crate) copy: usize,
}

/// The modules of all graphs.
#[derive(Default)]
pub(crate) struct SharedModules(Mutex<HashMap<ModuleKey, Arc<Place>>>);

/// The place of one module.
#[derive(Default)]
struct Place {
    state: Mutex<PlaceState>,
    /// Told when the one that had the turn is done.
    done: Condvar,
}

#[derive(Default)]
struct PlaceState {
    module: Weak<Module>,
    /// Whether a thread makes it, for which the others wait.
    is_being_made: bool,
}

impl SharedModules {
    /// The module of a key, if it is in memory, or else what `make` makes. Waits while another thread makes it, until the
    /// deadline. `make` must end as well, and must not come back here for the same key.
    ///
    /// # Errors
    ///
    /// [`CompileError::Late`], or if `make` fails. The next one tries it again.
    pub(crate) fn get(
        &self,
        key: &ModuleKey,
        deadline: &CompileDeadline,
        make: impl FnOnce() -> wasmtime::Result<Option<Module>>,
    ) -> wasmtime::Result<Option<Arc<Module>>> {
        let place = self.place(key);
        let turn = place.turn(deadline)?;
        if let Some(module) = place.state().module.upgrade() {
            return Ok(Some(module));
        }
        let made = make()?.map(Arc::new);
        if let Some(module) = &made {
            place.state().module = Arc::downgrade(module);
        }
        drop(turn);
        Ok(made)
    }

    fn place(&self, key: &ModuleKey) -> Arc<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(key) {
            return place.clone();
        }
        // Modules that nobody has any more go when another one comes. A place that is being filled has a second reference.
        places.retain(|_, place| {
            Arc::strong_count(place) > 1 || place.state().module.strong_count() > 0
        });
        places.entry(key.clone()).or_default().clone()
    }
}

impl Place {
    /// Never held for long. Whatever panicked while it was held, what is in it is whole.
    fn state(&self) -> MutexGuard<'_, PlaceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other thread has the turn, and has it.
    fn turn(&self, deadline: &CompileDeadline) -> Result<Turn<'_>, CompileError> {
        let mut state = self.state();
        while state.is_being_made {
            let waited = self.done.wait_timeout(state, deadline.left()?);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.is_being_made = true;
        Ok(Turn(self))
    }
}

/// The turn of the thread that makes a module, which ends however that goes.
struct Turn<'a>(&'a Place);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().is_being_made = false;
        self.0.done.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wasmtime::Engine;

    use super::*;
    use crate::native_code::CodeKind;

    fn key(engine: &Engine, bytes: &[u8]) -> ModuleKey {
        ModuleKey {
            concurrency: false,
            entry: EntryName::of(engine, CodeKind::Module, bytes),
            copy: 0,
        }
    }

    fn in_time() -> CompileDeadline {
        CompileDeadline::after(Duration::from_secs(600))
    }

    #[test]
    fn a_module_is_made_once_while_somebody_has_it() {
        let engine = Engine::default();
        let modules = SharedModules::default();
        let bytes = wat::parse_str("(module)").unwrap();
        let key = key(&engine, &bytes);
        let make = || Module::new(&engine, &bytes).map(Some);
        let never = || panic!("it is there");
        let none = modules.get(&key, &in_time(), || Ok(None));
        assert!(none.unwrap().is_none());
        let failed = modules.get(&key, &in_time(), || Err(wasmtime::Error::msg("no")));
        assert!(failed.is_err());
        let first = modules.get(&key, &in_time(), make).unwrap().unwrap();
        let second = modules.get(&key, &in_time(), never).unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        let made = modules.get(&key, &in_time(), || Ok(None));
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
                modules.get(&key, &in_time(), make).unwrap().unwrap()
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
    fn a_thread_waits_for_another_until_its_own_deadline() {
        let engine = Engine::default();
        let modules = SharedModules::default();
        let bytes = wat::parse_str("(module)").unwrap();
        let key = key(&engine, &bytes);
        let first = modules.get(&key, &in_time(), || {
            let late = CompileDeadline::after(Duration::from_millis(1));
            let never = || panic!("another thread has the turn");
            let get = || modules.get(&key, &late, never).map(drop);
            let second = std::thread::scope(|scope| scope.spawn(get).join().unwrap());
            let why = second.unwrap_err();
            assert!(matches!(why.downcast_ref(), Some(CompileError::Late(_))));
            Module::new(&engine, &bytes).map(Some)
        });
        let first = first.unwrap().unwrap();
        // A thread that fails gives the turn back.
        let never = || panic!("it is there");
        let third = modules.get(&key, &in_time(), never).unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &third));
    }

    #[test]
    fn copies_are_modules_of_their_own() {
        let engine = Engine::default();
        let modules = SharedModules::default();
        let bytes = wat::parse_str("(module)").unwrap();
        let first = key(&engine, &bytes);
        let second = ModuleKey {
            copy: 1,
            ..first.clone()
        };
        let [first, second] = [first, second].map(|key| {
            let make = || Module::new(&engine, &bytes).map(Some);
            modules.get(&key, &in_time(), make).unwrap().unwrap()
        });
        assert!(!Module::same(&first, &second));
    }

    #[test]
    fn modules_that_nobody_has_leave_nothing_behind() {
        let engine = Engine::default();
        let modules = SharedModules::default();
        let mut held = Vec::new();
        for n in 0..20 {
            let bytes = wat::parse_str(format!("(module (memory {n}))")).unwrap();
            let key = key(&engine, &bytes);
            let module = modules.get(&key, &in_time(), || Module::new(&engine, &bytes).map(Some));
            let module = module.unwrap().unwrap();
            if n % 10 == 0 {
                held.push(module);
            }
        }
        assert!(modules.0.lock().unwrap().len() <= 3);
    }
}
