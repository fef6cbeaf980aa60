//! The settings of the engines: what they compile and how, and the pool that instances come from.
//!
//! Compiling needs them as well as running, since code for other settings is refused.

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};
use withe_compose::ExtractLimits;

/// How many memories and tables the pool has for each of its slots.
pub(crate) const MEMORIES_PER_SLOT: u32 = 2;
pub(crate) const TABLES_PER_SLOT: u32 = 4;

/// The most that one instance of a component takes of the pool. Wasmtime sees to that for what is compiled in one piece, and
/// `withe-compose` for what is taken apart.
pub(crate) const INSTANCE_LIMITS: ExtractLimits = ExtractLimits {
    memories: 64,
    tables: 256,
    instances: 4 << 20,
};

/// The settings that differ from host to host.
pub(crate) struct EngineSettings {
    /// The most component instances at a time.
    pub(crate) instances: u32,
    /// The most linear memory of one instance's memory, in bytes.
    pub(crate) memory: usize,
    /// How much of a memory slot stays resident between two instances, in bytes.
    pub(crate) keep_resident: usize,
}

impl EngineSettings {
    /// The settings of an engine that only compiles, for engines whose instances may have so much memory. The size of the pool is no
    /// part of the code, and would be reserved.
    pub(crate) fn compiling(memory: usize) -> Self {
        Self {
            instances: 1,
            memory,
            keep_resident: 0,
        }
    }

    pub(crate) fn config(&self, concurrency: bool) -> Config {
        let mut config = Config::new();
        config
            .concurrency_support(concurrency)
            .wasm_component_model_async(concurrency)
            .wasm_component_model_implements(true)
            .wasm_component_model_map(true)
            .wasm_component_model_fixed_length_lists(true)
            .epoch_interruption(true)
            // Kept with the code of components that have debug information, and read when they trap.
            .wasm_backtrace_details(WasmBacktraceDetails::Enable)
            .memory_init_cow(true)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(self.pool(concurrency)));
        config
    }

    fn pool(&self, concurrency: bool) -> PoolingAllocationConfig {
        // A composition of many components is one component instance with many core instances. These are only counted,
        // so there are as many as there can be.
        const CORES_PER_INSTANCE: u32 = 512;
        // Calls that an instance makes at the same time have a stack each; without concurrency there is one, and one more for the
        // destructor of a resource that is dropped meanwhile. Only those that are used cost memory, but each is a mapping, which
        // takes a microsecond to make and one to remove.
        let stacks_per_instance = if concurrency { 4 } else { 2 };
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(self.instances)
            .total_core_instances(self.instances.saturating_mul(CORES_PER_INSTANCE))
            .total_memories(self.instances.saturating_mul(MEMORIES_PER_SLOT))
            .total_tables(self.instances.saturating_mul(TABLES_PER_SLOT))
            .total_stacks(self.instances.saturating_mul(stacks_per_instance))
            .max_memories_per_component(INSTANCE_LIMITS.memories)
            .max_tables_per_component(INSTANCE_LIMITS.tables)
            .max_core_instances_per_component(CORES_PER_INSTANCE)
            .max_component_instance_size(INSTANCE_LIMITS.instances as usize)
            .max_core_instance_size(1 << 20)
            .max_memory_size(self.memory)
            .linear_memory_keep_resident(self.keep_resident)
            .table_keep_resident(64 << 10)
            .async_stack_keep_resident(128 << 10);
        // Linux 6.7 and later can tell which pages of a slot were touched.
        pool.pagemap_scan(wasmtime::Enabled::Auto);
        pool
    }
}
