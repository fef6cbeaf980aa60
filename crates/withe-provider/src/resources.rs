//! Resources that a provider gives out.
//!
//! A component holds a resource as a number that the provider chose. Numbers are not used twice, not
//! even across a restart of the provider's process: a component that still holds a resource of the process
//! before must not reach one of another by it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use withe_rpc::CallError;
use withe_rpc::codec::Handle;

/// The first number of this process.
static FIRST: AtomicU32 = AtomicU32::new(0);

/// Has the tables that are made from now on begin with `first`.
pub(crate) fn number_from(first: u32) {
    FIRST.store(first, Ordering::Relaxed);
}

/// Where a provider that numbers its resources itself begins: those of the processes before were below.
pub fn first_number() -> u32 {
    FIRST.load(Ordering::Relaxed)
}

/// The resources that the component at the other end of a link holds.
#[derive(Debug)]
pub struct Resources<T> {
    most: usize,
    table: Mutex<Table<T>>,
}

#[derive(Debug)]
struct Table<T> {
    held: HashMap<u32, Arc<T>>,
    next: u32,
}

impl<T> Resources<T> {
    /// A table that holds up to `most` resources at a time.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            table: Mutex::new(Table {
                held: HashMap::new(),
                next: first_number(),
            }),
        }
    }

    /// Keeps a resource, and numbers it.
    ///
    /// # Errors
    ///
    /// [`CallError::Exhausted`] if the component holds as many as it may.
    pub fn add(&self, resource: T) -> Result<Handle, CallError> {
        let mut table = self.lock();
        if table.held.len() >= self.most {
            return Err(CallError::Exhausted(format!(
                "the component holds {} resources of the link; does it drop those it has done with?",
                self.most
            )));
        }
        while table.held.contains_key(&table.next) {
            table.next = table.next.wrapping_add(1);
        }
        let number = table.next;
        table.next = number.wrapping_add(1);
        table.held.insert(number, Arc::new(resource));
        Ok(Handle(number))
    }

    /// The resource that a component means.
    ///
    /// # Errors
    ///
    /// [`CallError::TypeMismatch`] if it holds none of that number.
    pub fn get(&self, handle: Handle) -> Result<Arc<T>, CallError> {
        self.lock().held.get(&handle.0).cloned().ok_or_else(|| {
            CallError::TypeMismatch(format!("{} is no resource of this link", handle.0))
        })
    }

    /// Takes a resource back: it was dropped, or handed over. `None` if it was before.
    pub fn remove(&self, number: u32) -> Option<Arc<T>> {
        self.lock().held.remove(&number)
    }

    fn lock(&self) -> MutexGuard<'_, Table<T>> {
        // Nothing panics while the lock is held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_held_until_they_are_removed_and_no_more_than_may_be() {
        let resources = Resources::new(2);
        let a = resources.add("a").unwrap();
        let b = resources.add("b").unwrap();
        assert!(matches!(resources.add("c"), Err(CallError::Exhausted(_))));
        assert_eq!(
            (*resources.get(a).unwrap(), *resources.get(b).unwrap()),
            ("a", "b")
        );
        assert_eq!(resources.remove(a.0).as_deref(), Some(&"a"));
        assert_eq!(resources.remove(a.0), None);
        assert!(matches!(resources.get(a), Err(CallError::TypeMismatch(_))));
        assert_ne!(resources.add("c").unwrap(), a);
    }
}
