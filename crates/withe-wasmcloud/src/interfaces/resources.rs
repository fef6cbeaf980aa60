//! The resources of a link: v1's wire has none, so they stay here, and what they stand for goes over it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use withe_rpc::CallError;
use withe_rpc::codec::Handle;

/// The most that a link has open.
const MOST: usize = 65_536;

/// A resource that a component holds.
#[derive(Clone, Debug)]
pub(crate) enum Resource {
    /// A bucket of `wasi:keyvalue/store`, by its name.
    Bucket(Arc<str>),
}

/// The resources that a link's importers have open, by the numbers that they know them by.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    open: Mutex<OpenResources>,
}

#[derive(Debug, Default)]
struct OpenResources {
    last: u32,
    held: HashMap<u32, Resource>,
}

impl Resources {
    /// Keeps a resource, and numbers it.
    ///
    /// # Errors
    ///
    /// If too many are open.
    pub(crate) fn add(&self, resource: Resource) -> Result<Handle, CallError> {
        let mut open = self.lock();
        if open.held.len() >= MOST {
            return Err(CallError::Exhausted(format!(
                "the link has {MOST} resources open; does the component drop those it has done with?"
            )));
        }
        // Not all numbers are taken, so one that is free is found.
        while open.last == 0 || open.held.contains_key(&open.last) {
            open.last = open.last.wrapping_add(1);
        }
        let number = open.last;
        open.held.insert(number, resource);
        Ok(Handle(number))
    }

    /// The resource that a component means by a number.
    pub(crate) fn get(&self, number: u32) -> Option<Resource> {
        self.lock().held.get(&number).cloned()
    }

    /// Forgets a resource: it was dropped, or handed over. Nothing if it was before.
    pub(crate) fn remove(&self, number: u32) -> Option<Resource> {
        self.lock().held.remove(&number)
    }

    fn lock(&self) -> MutexGuard<'_, OpenResources> {
        // Nothing panics while the lock is held.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of a call that names a resource which is not of its link, or not of that kind.
pub(super) fn unknown(what: &str) -> CallError {
    CallError::TypeMismatch(format!("no such {what} is open"))
}
