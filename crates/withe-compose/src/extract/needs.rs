//! The slots and bytes of a pool that an instance of a component takes, counted before anything of it is compiled.
//!
//! Wasmtime's pool bounds the memories, the tables and the bytes of all core instances of a component together, but not of those
//! whose modules are imported: nothing says then what these define. So the component is counted here as a whole, and stays one
//! if it has more than a pool gives: then Wasmtime refuses it. The bytes are an upper bound, since what an instance
//! consists of is Wasmtime's affair: a component that only the bound refuses is compiled whole, and counted exactly there.

use super::module_type::Interface;

/// The most that an instance of a component from which modules are taken may need.
#[derive(Clone, Copy, Debug)]
pub struct ExtractLimits {
    /// Linear memories.
    pub memories: u32,
    /// Tables.
    pub tables: u32,
    /// The bytes that its core instances take of the host, without their memories and tables.
    pub instances: u64,
}

/// The needs of an instance of a module or component.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InstanceNeeds {
    pub(super) memories: u32,
    pub(super) tables: u32,
    /// At most so many bytes of the host.
    bytes: u64,
}

/// The bytes of an instance of a module that has nothing in it. Wasmtime 48 takes less than half of it.
const INSTANCE: u64 = 1 << 10;
/// The bytes of anything that an instance imports, refers to or defines, but for memories. Wasmtime 48 takes up to 32.
const ITEM: u64 = 32;
/// The bytes of a memory that it defines: a definition, a pointer to that, and a place for what the memory begins with.
const MEMORY: u64 = 64;

impl InstanceNeeds {
    /// The needs of a module.
    pub(super) fn of(interface: &Interface<'_>) -> Option<Self> {
        let items = [
            interface.imports.len(),
            // A reference to each function that code can refer to. None has two.
            interface.functions.min(interface.mentions),
            interface.tables,
            interface.globals_and_tags,
            interface.segments,
        ];
        let items = items.into_iter().map(|count| count as u64).sum::<u64>();
        Some(Self {
            memories: u32::try_from(interface.memories.len()).ok()?,
            tables: u32::try_from(interface.tables).ok()?,
            bytes: INSTANCE + items * ITEM + interface.memories.len() as u64 * MEMORY,
        })
    }

    pub(super) fn add(&mut self, other: Self) {
        self.memories = self.memories.saturating_add(other.memories);
        self.tables = self.tables.saturating_add(other.tables);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(super) fn are_within(&self, limits: &ExtractLimits) -> bool {
        self.memories <= limits.memories
            && self.tables <= limits.tables
            && self.bytes <= limits.instances
    }
}
