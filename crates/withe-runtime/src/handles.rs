//! Resources that cross the boundary of a store, by the numbers that the other side knows them under.
//!
//! * [`HandleTable`]: those of the instance itself, which its callers hold.
//! * [`LinkedHandles`]: those of others, which came to the instance over several links.
//!
//! A resource that came over a link is a number that its target chose. Where all resources of a component come
//! over one link, that number is what its handle is made of. Where there are several links, two targets may have
//! chosen the same number, and all 32 bits of it are theirs: so the handle is made of a number of the store's own,
//! and what is behind that stands in a table, with the link.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use slab::Slab;
use wasmtime::component::ResourceAny;
use withe_rpc::{CallError, HandleRef};

/// The numbers that the instances of one callee, each of which takes the place of the one before, give to resources.
///
/// A caller may hold a resource of an instance that has trapped. Its number is one that no later instance gives, or
/// the caller would have what another one was given since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers(Arc<AtomicU32>);

/// Resources that callers hold, by the number they know them under.
#[derive(Default)]
pub(crate) struct HandleTable {
    held: Slab<ResourceAny>,
    /// The number of the first place in `held`.
    first: u32,
    /// As many places were ever in use at a time.
    used: u32,
    numbers: Numbers,
}

impl HandleTable {
    /// One that gives numbers which none before it gave.
    pub(crate) fn of(numbers: &Numbers) -> Self {
        Self {
            first: numbers.0.load(Ordering::Relaxed),
            numbers: numbers.clone(),
            ..Self::default()
        }
    }

    /// The place of a number, which may be one that this table never gave.
    fn place(&self, id: u32) -> usize {
        id.wrapping_sub(self.first) as usize
    }

    fn insert(&mut self, resource: ResourceAny) -> u32 {
        // Wasmtime's own table of handles is bounded far below this.
        let place = self.held.insert(resource) as u32;
        if place >= self.used {
            self.used = place + 1;
            let next = self.first.wrapping_add(self.used);
            self.numbers.0.fetch_max(next, Ordering::Relaxed);
        }
        self.first.wrapping_add(place)
    }

    /// The resources that a call's handles mean; those given away leave the table.
    pub(crate) fn take(&mut self, handles: &[HandleRef]) -> Result<Vec<ResourceAny>, CallError> {
        if handles.is_empty() {
            return Ok(Vec::new());
        }
        let unknown = || CallError::TypeMismatch("a resource handle that was not given out".into());
        // Nothing is taken for a call that cannot be made.
        let mut places = handles.iter().map(|handle| self.place(handle.id));
        if !places.all(|place| self.held.contains(place)) {
            return Err(unknown());
        }
        handles
            .iter()
            .map(|handle| {
                let resource = if handle.own {
                    self.remove(handle.id)
                } else {
                    self.held.get(self.place(handle.id)).copied()
                };
                resource.ok_or_else(unknown)
            })
            .collect()
    }

    /// Keeps resources for a caller, who owns them from now on.
    pub(crate) fn put(&mut self, resources: Vec<ResourceAny>) -> Vec<HandleRef> {
        if resources.is_empty() {
            return Vec::new();
        }
        resources
            .into_iter()
            .map(|resource| HandleRef {
                id: self.insert(resource),
                own: true,
            })
            .collect()
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, id: u32) -> Option<ResourceAny> {
        self.held.try_remove(self.place(id))
    }
}

/// Where a resource is that came over one of several links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkedHandle {
    /// The link's slot among those of the unit.
    pub(crate) slot: usize,
    /// Its number there.
    pub(crate) id: u32,
}

/// Resources that came over one of several links, by the number that their handles are made of.
#[derive(Default)]
pub(crate) struct LinkedHandles(Slab<LinkedHandle>);

/// Handles of two links in one call: the two links' slots.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MixedLinks(pub(crate) usize, pub(crate) usize);

impl LinkedHandles {
    /// Resources came over the link that has `slot`: gives them numbers of the store.
    pub(crate) fn enter(&mut self, slot: usize, handles: &mut [HandleRef]) {
        for handle in handles {
            let linked = LinkedHandle {
                slot,
                id: handle.id,
            };
            handle.id = self.0.insert(linked) as u32;
        }
    }

    /// Handles leave the store: gives them their targets' numbers again, and returns the slot of the link that
    /// all of them came over; `None` if there are none.
    ///
    /// # Errors
    ///
    /// If they came over several: no call can be about both. All of them are then as they were.
    pub(crate) fn leave(&mut self, handles: &mut [HandleRef]) -> Result<Option<usize>, MixedLinks> {
        let mut common = None;
        for handle in handles.iter() {
            // A handle's number is one that `enter` gave, until it leaves: only the host makes them.
            let Some(linked) = self.0.get(handle.id as usize) else {
                continue;
            };
            match common {
                Some(slot) if slot != linked.slot => return Err(MixedLinks(slot, linked.slot)),
                _ => common = Some(linked.slot),
            }
        }
        for handle in handles {
            let linked = if handle.own {
                self.0.try_remove(handle.id as usize)
            } else {
                self.0.get(handle.id as usize).copied()
            };
            if let Some(linked) = linked {
                handle.id = linked.id;
            }
        }
        Ok(common)
    }

    /// The instance drops one.
    pub(crate) fn dropped(&mut self, number: u32) -> Option<LinkedHandle> {
        self.0.try_remove(number as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(id: u32, own: bool) -> HandleRef {
        HandleRef { id, own }
    }

    #[test]
    fn numbers_of_two_links_never_meet() {
        let mut table = LinkedHandles::default();
        // As large as they may be, and the same on both links.
        for id in [0, 1, 1 << 24, (1 << 26) | 5, u32::MAX] {
            let mut one = [handle(id, true)];
            let mut other = [handle(id, true)];
            table.enter(3, &mut one);
            table.enter(300, &mut other);
            assert_ne!(one[0].id, other[0].id);

            let mut borrowed = [handle(one[0].id, false), handle(one[0].id, false)];
            assert_eq!(table.leave(&mut borrowed), Ok(Some(3)));
            assert_eq!(borrowed, [handle(id, false); 2]);
            assert_eq!(table.leave(&mut other), Ok(Some(300)));
            assert_eq!(other, [handle(id, true)]);
            assert_eq!(table.dropped(one[0].id), Some(LinkedHandle { slot: 3, id }));
            assert_eq!(table.dropped(one[0].id), None);
        }
    }

    #[test]
    fn handles_of_two_links_do_not_leave_together() {
        let mut table = LinkedHandles::default();
        let (mut one, mut other) = ([handle(7, true)], [handle(7, true)]);
        table.enter(0, &mut one);
        table.enter(1, &mut other);
        let mut both = [one[0], other[0]];
        assert_eq!(table.leave(&mut both), Err(MixedLinks(0, 1)));
        assert_eq!(both, [one[0], other[0]]);
        assert_eq!(table.leave(&mut one), Ok(Some(0)));
        assert_eq!(table.leave(&mut []), Ok(None));
    }
}
