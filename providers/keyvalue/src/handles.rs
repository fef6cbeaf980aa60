//! The resources that a link's components hold, and their cursors.
//!
//! Both are bounded: a component that never drops its buckets, or never finishes its listings,
//! harms its own link only.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use withe_provider::{CallError, resources};

/// Resources of one link at a time.
const RESOURCES: usize = 100_000;
/// Cursors of one link that are remembered.
const CURSORS: usize = 1024;

/// What a handle stands for.
#[derive(Clone, Debug)]
pub(crate) enum Resource {
    /// `store.bucket`: its name.
    Bucket(Arc<str>),
    /// `atomics.cas`
    Cas(Arc<Cas>),
}

/// A key's value at one moment.
#[derive(Debug)]
pub(crate) struct Cas {
    pub(crate) bucket: Arc<str>,
    pub(crate) key: String,
    pub(crate) value: Option<Vec<u8>>,
}

/// One link's resources and cursors.
#[derive(Debug, Default)]
pub(crate) struct Handles(Mutex<Tables>);

#[derive(Debug)]
struct Tables {
    resources: HashMap<u32, Resource>,
    last_resource: u32,
    cursors: HashMap<u64, String>,
    /// The cursors, oldest first.
    ages: VecDeque<u64>,
    last_cursor: u64,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            resources: HashMap::new(),
            last_resource: resources::first_number(),
            cursors: HashMap::new(),
            ages: VecDeque::new(),
            last_cursor: 0,
        }
    }
}

impl Handles {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a resource a handle.
    pub(crate) fn add(&self, resource: Resource) -> Result<u32, CallError> {
        let mut tables = self.tables();
        if tables.resources.len() >= RESOURCES {
            return Err(CallError::Exhausted(format!(
                "the link holds {RESOURCES} buckets; does the component drop those it has done with?"
            )));
        }
        // Numbers are not used again soon: a handle that was dropped does not become another's.
        let free = (1..).map(|n| tables.last_resource.wrapping_add(n));
        let free = free.into_iter().find(|n| !tables.resources.contains_key(n));
        // There are more numbers than resources may be.
        let handle = free.unwrap_or_default();
        tables.last_resource = handle;
        tables.resources.insert(handle, resource);
        Ok(handle)
    }

    /// The bucket that `handle` stands for.
    pub(crate) fn bucket(&self, handle: u32) -> Result<Arc<str>, CallError> {
        match self.tables().resources.get(&handle) {
            Some(Resource::Bucket(name)) => Ok(name.clone()),
            _ => Err(CallError::TypeMismatch(format!(
                "{handle} is not a bucket of this link"
            ))),
        }
    }

    /// What the compare-and-swap `handle` stands for.
    pub(crate) fn cas(&self, handle: u32) -> Result<Arc<Cas>, CallError> {
        match self.tables().resources.get(&handle) {
            Some(Resource::Cas(cas)) => Ok(cas.clone()),
            _ => Err(CallError::TypeMismatch(format!(
                "{handle} is not a `cas` of this link"
            ))),
        }
    }

    /// Frees `handle`. One that is not there was freed before.
    pub(crate) fn remove(&self, handle: u32) {
        self.tables().resources.remove(&handle);
    }

    /// A number for a store's cursor.
    pub(crate) fn add_cursor(&self, cursor: String) -> u64 {
        let mut tables = self.tables();
        if tables.ages.len() >= CURSORS
            && let Some(oldest) = tables.ages.pop_front()
        {
            tables.cursors.remove(&oldest);
        }
        tables.last_cursor += 1;
        let number = tables.last_cursor;
        tables.cursors.insert(number, cursor);
        tables.ages.push_back(number);
        number
    }

    /// The cursor that has that number, if it is still known.
    pub(crate) fn cursor(&self, number: u64) -> Option<String> {
        self.tables().cursors.get(&number).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_live_until_they_are_removed() {
        let handles = Handles::default();
        let a = handles.add(Resource::Bucket("a".into())).unwrap();
        let b = handles.add(Resource::Bucket("b".into())).unwrap();
        assert_ne!(a, b);
        assert_eq!(&*handles.bucket(a).unwrap(), "a");
        assert!(handles.cas(a).is_err());
        handles.remove(a);
        assert!(handles.bucket(a).is_err());
        assert_ne!(handles.add(Resource::Bucket("c".into())).unwrap(), a);
        assert_eq!(&*handles.bucket(b).unwrap(), "b");
    }

    #[test]
    fn old_cursors_are_forgotten() {
        let handles = Handles::default();
        let first = handles.add_cursor("first".into());
        assert_eq!(handles.cursor(first).as_deref(), Some("first"));
        for n in 0..CURSORS {
            handles.add_cursor(n.to_string());
        }
        assert_eq!(handles.cursor(first), None);
        assert_eq!(handles.tables().cursors.len(), CURSORS);
    }
}
