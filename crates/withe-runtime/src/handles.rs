//! Resources of an instance that its callers hold.

use wasmtime::component::ResourceAny;
use withe_rpc::{CallError, HandleRef};

/// Resources that callers hold, by the number they know them under.
#[derive(Default)]
pub(crate) struct HandleTable {
    entries: Vec<Option<ResourceAny>>,
    free: Vec<u32>,
}

impl HandleTable {
    /// The resources that a call's handles mean; those given away leave the table.
    pub(crate) fn take(&mut self, handles: &[HandleRef]) -> Result<Vec<ResourceAny>, CallError> {
        if handles.is_empty() {
            return Ok(Vec::new());
        }
        let unknown = || CallError::TypeMismatch("a resource handle that was not given out".into());
        handles
            .iter()
            .map(|handle| {
                let entry = self.entries.get(handle.id as usize).copied().flatten();
                if handle.own {
                    self.remove(handle.id)
                } else {
                    entry
                }
                .ok_or_else(unknown)
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
            .map(|resource| {
                let id = match self.free.pop() {
                    Some(id) => {
                        self.entries[id as usize] = Some(resource);
                        id
                    }
                    None => {
                        self.entries.push(Some(resource));
                        // Wasmtime's own table of handles is bounded far below this.
                        (self.entries.len() - 1) as u32
                    }
                };
                HandleRef { id, own: true }
            })
            .collect()
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, id: u32) -> Option<ResourceAny> {
        let resource = self.entries.get_mut(id as usize)?.take();
        if resource.is_some() {
            self.free.push(id);
        }
        resource
    }
}
