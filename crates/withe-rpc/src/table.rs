//! Entries by number: numbers of our own choice, or of the peer's.
//!
//! All numbers on the wire are indices below an agreed limit, so finding an entry is an array access and
//! no number makes a table larger than its limit.

/// Entries whose numbers are chosen here: the smallest that was free last.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    entries: Table<T>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            entries: Table::new(limit),
            free: Vec::new(),
        }
    }

    /// Adds an entry; gives it back if there is no number left.
    pub(crate) fn insert(&mut self, entry: T) -> Result<u32, T> {
        let id = match self.free.pop() {
            Some(id) => id,
            None => match u32::try_from(self.entries.slots.len()) {
                Ok(next) => next,
                Err(_) => return Err(entry),
            },
        };
        self.entries.insert(id, entry).map(|()| id)
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        let entry = self.entries.remove(id)?;
        self.free.push(id);
        Some(entry)
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.entries.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.entries.get_mut(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn ids(&self) -> Vec<u32> {
        self.entries.ids()
    }
}

/// Entries whose numbers are chosen by the peer.
#[derive(Debug)]
pub(crate) struct Table<T> {
    slots: Vec<Option<T>>,
    limit: u32,
    len: usize,
}

impl<T> Table<T> {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            slots: Vec::new(),
            limit,
            len: 0,
        }
    }

    /// Adds an entry; gives it back if the number is in use or not below the limit.
    pub(crate) fn insert(&mut self, id: u32, entry: T) -> Result<(), T> {
        if !self.is_vacant(id) {
            return Err(entry);
        }
        let index = id as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(entry);
        self.len += 1;
        Ok(())
    }

    pub(crate) fn is_vacant(&self, id: u32) -> bool {
        id < self.limit && self.get(id).is_none()
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        let entry = self.slots.get_mut(id as usize)?.take()?;
        self.len -= 1;
        Some(entry)
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.slots.get(id as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.slots.get_mut(id as usize)?.as_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    pub(crate) fn ids(&self) -> Vec<u32> {
        (0..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.is_some())
            .map(|(id, _)| id)
            .collect()
    }

    /// Takes all entries out, in the order of their numbers.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        self.len = 0;
        std::mem::take(&mut self.slots)
            .into_iter()
            .flatten()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again_and_bounded() {
        let mut slab = Slab::new(2);
        assert_eq!(slab.insert('a'), Ok(0));
        assert_eq!(slab.insert('b'), Ok(1));
        assert_eq!(slab.insert('c'), Err('c'));
        assert_eq!(slab.remove(0), Some('a'));
        assert_eq!(slab.remove(0), None);
        assert_eq!(slab.insert('d'), Ok(0));
        assert_eq!((slab.len(), slab.get(0)), (2, Some(&'d')));
        assert_eq!(slab.ids(), [0, 1]);
    }

    #[test]
    fn a_peers_numbers_are_checked() {
        let mut table = Table::new(3);
        assert_eq!(table.insert(3, 'x'), Err('x'));
        assert_eq!(table.insert(u32::MAX, 'x'), Err('x'));
        assert_eq!(table.insert(2, 'a'), Ok(()));
        assert_eq!(table.insert(2, 'b'), Err('b'));
        assert!(table.is_vacant(1) && !table.is_vacant(2) && !table.is_vacant(3));
        assert_eq!(table.take_all(), ['a']);
        assert_eq!(table.len(), 0);
    }
}
