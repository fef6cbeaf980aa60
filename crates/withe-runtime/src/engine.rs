//! Wasmtime engines: their settings, the pool that instances come from, the clock that interrupts
//! them, and components compiled for them.
//!
//! There are two. Components that use no async types run on one without concurrency support, whose
//! boundary calls cost a half to a quarter (see `benches/`); the others on one with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::cache::CodeCache;
use crate::error::RuntimeError;
use crate::observe::Observer;
use crate::quota::{HostQuota, ShareLimits};

/// How often a running guest looks whether its deadline has passed, and lets other tasks run.
pub(crate) const EPOCH_TICK: Duration = Duration::from_millis(10);

/// How many memories and tables the pool has for each of its slots.
pub(crate) const MEMORIES_PER_SLOT: u32 = 2;
pub(crate) const TABLES_PER_SLOT: u32 = 4;

/// Bounds of what runs at a time on one host.
#[derive(Clone)]
pub struct EngineOptions {
    /// Where compiled components are kept, if anywhere.
    pub cache_dir: Option<PathBuf>,
    /// Where the key is by which they are known to be this user's; in `cache_dir` if it is none.
    pub key_dir: Option<PathBuf>,
    /// The most component instances at a time. One with more memories or tables than most counts as several.
    pub instances: u32,
    /// How all that is shared.
    pub shares: ShareLimits,
    /// The most linear memory of one instance's memory, in bytes.
    pub memory: usize,
    /// How much of a memory slot stays resident between two instances, in bytes: it costs as many
    /// bytes for each slot in use, and saves page faults for each instance.
    pub keep_resident: usize,
    /// Where what runs is counted and traced.
    pub observer: Observer,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            cache_dir: None,
            key_dir: None,
            instances: 1000,
            shares: ShareLimits::default(),
            // Fits on every machine that this is built for.
            memory: withe_linker::MOST_MEMORY as usize,
            keep_resident: 2 << 20,
            observer: Observer::default(),
        }
    }
}

/// Both engines. Cheap to clone.
#[derive(Clone)]
pub struct Engines {
    plain: Engine,
    concurrent: Engine,
    cache: Option<Arc<CodeCache>>,
    observer: Observer,
    quota: Arc<HostQuota>,
    _ticker: Arc<Ticker>,
}

impl Engines {
    /// Makes them.
    ///
    /// # Errors
    ///
    /// If the machine cannot give the address space or the cache's folder cannot be used.
    pub fn new(options: &EngineOptions) -> Result<Self, RuntimeError> {
        let cache = options.cache_dir.as_deref().map(|dir| {
            let opened = CodeCache::open(dir, options.key_dir.as_deref());
            opened.map_err(|cause| RuntimeError::Cache {
                dir: dir.into(),
                cause,
            })
        });
        let cache = cache.transpose()?.map(Arc::new);
        let make = |concurrency| {
            Engine::new(&config(options, concurrency))
                .map_err(|cause| RuntimeError::Engine { cause })
        };
        let plain = make(false)?;
        let concurrent = make(true)?;
        let quota = HostQuota::new(options.instances, options.shares);
        options.observer.metrics.level(&[], &quota.level);
        let ticker = Ticker::start(vec![plain.clone(), concurrent.clone()]);
        Ok(Self {
            plain,
            concurrent,
            cache,
            observer: options.observer.clone(),
            quota,
            _ticker: Arc::new(ticker),
        })
    }

    /// The component that has these bytes, compiled for one of the engines, and whether it was found compiled.
    ///
    /// # Errors
    ///
    /// If it does not compile.
    pub(crate) fn component(
        &self,
        concurrency: bool,
        bytes: &[u8],
    ) -> wasmtime::Result<(Component, bool)> {
        let engine = self.get(concurrency);
        match &self.cache {
            Some(cache) => cache.component(engine, bytes),
            None => Ok((Component::new(engine, bytes)?, false)),
        }
    }

    /// Where what runs on them is counted and traced.
    pub(crate) fn observer(&self) -> &Observer {
        &self.observer
    }

    /// The shares of the pool, and who has them.
    pub(crate) fn quota(&self) -> &Arc<HostQuota> {
        &self.quota
    }

    /// The engine for a component that does, or does not, use async types.
    pub fn get(&self, concurrency: bool) -> &Engine {
        if concurrency {
            &self.concurrent
        } else {
            &self.plain
        }
    }
}

fn config(options: &EngineOptions, concurrency: bool) -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(concurrency)
        .wasm_component_model_async(concurrency)
        .wasm_component_model_implements(true)
        .wasm_component_model_map(true)
        .wasm_component_model_fixed_length_lists(true)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(options)));
    config
}

fn pool(options: &EngineOptions) -> PoolingAllocationConfig {
    // A composition of many components is one component instance with many core instances. These are only counted,
    // so there are as many as there can be.
    const CORES_PER_INSTANCE: u32 = 512;
    // Calls that an instance makes at the same time have a stack each. Only those that are used cost memory.
    const STACKS_PER_INSTANCE: u32 = 4;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(options.instances)
        .total_core_instances(options.instances.saturating_mul(CORES_PER_INSTANCE))
        .total_memories(options.instances.saturating_mul(MEMORIES_PER_SLOT))
        .total_tables(options.instances.saturating_mul(TABLES_PER_SLOT))
        .total_stacks(options.instances.saturating_mul(STACKS_PER_INSTANCE))
        .max_memories_per_component(64)
        .max_tables_per_component(256)
        .max_core_instances_per_component(CORES_PER_INSTANCE)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(1 << 20)
        .max_memory_size(options.memory)
        .linear_memory_keep_resident(options.keep_resident)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(128 << 10);
    // Linux 6.7 and later can tell which pages of a slot were touched.
    pool.pagemap_scan(wasmtime::Enabled::Auto);
    pool
}

/// The thread that makes the engines' epochs go on; it stops when the engines are dropped.
struct Ticker {
    stop: Arc<AtomicBool>,
}

impl Ticker {
    fn start(engines: Vec<Engine>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let run = move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(EPOCH_TICK);
                engines.iter().for_each(Engine::increment_epoch);
            }
        };
        // Without the thread no deadline would hold, and a machine that cannot start one thread
        // cannot run a host.
        std::thread::Builder::new()
            .name("withe-epoch".into())
            .spawn(run)
            .expect("a thread can be started");
        Self { stop }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
