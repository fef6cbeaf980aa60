//! The types known in an index space: the component's, or that of an instance's type while it is being written.

use std::collections::HashMap;

use wasmparser::component_types::ComponentAnyTypeId;

use crate::linkage::Origin;

/// A part's type, as that part knows it.
pub(super) type Key = (usize, ComponentAnyTypeId);

/// Type indices of one index space.
#[derive(Default)]
pub(super) struct Known {
    pub(super) types: HashMap<Key, u32>,
    pub(super) resources: HashMap<Origin, u32>,
}

impl Known {
    pub(super) fn find(&self, key: Key, origin: Option<&Origin>) -> Option<u32> {
        self.types
            .get(&key)
            .or_else(|| self.resources.get(origin?))
            .copied()
    }

    pub(super) fn know(&mut self, key: Key, origin: Option<Origin>, index: u32) {
        self.types.insert(key, index);
        if let Some(origin) = origin {
            self.resources.entry(origin).or_insert(index);
        }
    }
}
