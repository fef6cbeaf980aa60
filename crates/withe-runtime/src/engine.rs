//! Wasmtime engines: their settings, the pool that instances come from, the clock that interrupts
//! them, and components compiled for them.
//!
//! There are two. Components that use no async types run on one without concurrency support, whose
//! boundary calls cost a half to a quarter (see `benches/`); the others on one with it. Each is made when the first component needs it,
//! for its pool takes ten milliseconds and thousands of mappings, and most processes need one of the two.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use wasmtime::Engine;

use crate::cache::CodeCache;
use crate::code::{CodeSource, CompiledPart, ComponentCode, For};
use crate::compile::CompileProcess;
use crate::error::RuntimeError;
use crate::guest_output::GuestOutput;
use crate::observe::Observer;
use crate::quota::{HostQuota, ShareLimits};
use crate::settings::EngineSettings;
use crate::shared_modules::SharedModules;
use crate::turns::Turns;

/// How often a running guest looks whether its deadline has passed, and lets other tasks run, as long as none runs for
/// longer than that.
const EPOCH_TICK: Duration = Duration::from_millis(10);
/// How often it does while one does.
const SHORT_TICK: Duration = Duration::from_millis(1);
/// For how many short ticks after the last time it was seen.
const SHORT_TICKS: u32 = 100;

/// Bounds of what runs at a time on one host.
#[derive(Clone)]
pub struct EngineOptions {
    /// Where compiled components are kept, if anywhere.
    pub cache_dir: Option<PathBuf>,
    /// Where the key is by which they are known to be this user's; in `cache_dir` if it is none.
    pub key_dir: Option<PathBuf>,
    /// The process that compiles components; without one, this process does, and components can take what it has.
    pub compiler: Option<CompileProcess>,
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
    /// Where what components print goes; `None` is the log.
    pub output: Option<GuestOutput>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            cache_dir: None,
            key_dir: None,
            compiler: None,
            instances: 1000,
            shares: ShareLimits::default(),
            // Fits on every machine that this is built for.
            memory: withe_linker::MOST_MEMORY as usize,
            keep_resident: 2 << 20,
            observer: Observer::default(),
            output: None,
        }
    }
}

/// Both engines. Cheap to clone.
#[derive(Clone)]
pub struct Engines {
    pair: Arc<EnginePair>,
    code: Arc<CodeSource>,
    observer: Observer,
    quota: Arc<HostQuota>,
    turns: Arc<Turns>,
    output: Option<GuestOutput>,
    _ticker: Arc<Ticker>,
}

impl Engines {
    /// Makes them.
    ///
    /// # Errors
    ///
    /// If the cache's folder cannot be used.
    pub fn new(options: &EngineOptions) -> Result<Self, RuntimeError> {
        let cache = options.cache_dir.as_deref().map(|dir| {
            let opened = CodeCache::open(dir, options.key_dir.as_deref());
            opened.map_err(|cause| RuntimeError::Cache {
                dir: dir.into(),
                cause,
            })
        });
        let code = CodeSource {
            cache: cache.transpose()?,
            compiler: options.compiler.clone(),
            instance_memory: options.memory,
            modules: SharedModules::default(),
        };
        let pair = Arc::new(EnginePair {
            settings: EngineSettings {
                instances: options.instances,
                memory: options.memory,
                keep_resident: options.keep_resident,
            },
            plain: OnceLock::new(),
            concurrent: OnceLock::new(),
            making: Mutex::new(()),
        });
        let quota = HostQuota::new(options.instances, options.shares);
        options.observer.metrics.level(&[], &quota.level);
        let turns = Arc::new(Turns::default());
        let ticker = Ticker::start(pair.clone(), turns.clone());
        Ok(Self {
            pair,
            code: Arc::new(code),
            observer: options.observer.clone(),
            quota,
            turns,
            output: options.output.clone(),
            _ticker: Arc::new(ticker),
        })
    }

    /// Where what components print goes, if not into the log.
    pub(crate) fn output(&self) -> Option<&GuestOutput> {
        self.output.as_ref()
    }

    /// The component that has these bytes, compiled for one of the engines. `told` hears which of its parts are compiled, if
    /// it has several.
    ///
    /// # Errors
    ///
    /// If it does not compile, or there can be no engine.
    pub(crate) fn component(
        &self,
        concurrency: bool,
        bytes: &[u8],
        told: &(dyn Fn(CompiledPart) + Sync),
    ) -> wasmtime::Result<ComponentCode> {
        let engine = self.get(concurrency)?;
        let to = For {
            engine,
            concurrency,
        };
        self.code.component(to, bytes, told)
    }

    /// Where what runs on them is counted and traced.
    pub(crate) fn observer(&self) -> &Observer {
        &self.observer
    }

    /// The shares of the pool, and who has them.
    pub(crate) fn quota(&self) -> &Arc<HostQuota> {
        &self.quota
    }

    /// The turns that guests take which run for long.
    pub(crate) fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// The engine for a component that does, or does not, use async types. The first to ask for one has it made.
    ///
    /// # Errors
    ///
    /// If the machine cannot give the address space of its pool.
    pub fn get(&self, concurrency: bool) -> wasmtime::Result<&Engine> {
        self.pair.get(concurrency)
    }
}

/// The engines that were asked for.
struct EnginePair {
    settings: EngineSettings,
    plain: OnceLock<Engine>,
    concurrent: OnceLock<Engine>,
    /// Held while one is made.
    making: Mutex<()>,
}

impl EnginePair {
    fn get(&self, concurrency: bool) -> wasmtime::Result<&Engine> {
        let engine = match concurrency {
            true => &self.concurrent,
            false => &self.plain,
        };
        if let Some(made) = engine.get() {
            return Ok(made);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        match engine.get() {
            Some(made) => Ok(made),
            None => {
                let made = Engine::new(&self.settings.config(concurrency))?;
                Ok(engine.get_or_init(|| made))
            }
        }
    }

    /// Lets guests on both look at the time.
    fn increment_epochs(&self) {
        let made = [self.plain.get(), self.concurrent.get()];
        made.into_iter().flatten().for_each(Engine::increment_epoch);
    }
}

/// The thread that makes the engines' epochs go on; it stops when the engines are dropped.
struct Ticker {
    stop: Arc<AtomicBool>,
}

impl Ticker {
    fn start(engines: Arc<EnginePair>, turns: Arc<Turns>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let run = move || {
            let mut short = 0;
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(if short > 0 { SHORT_TICK } else { EPOCH_TICK });
                engines.increment_epochs();
                short = match turns.were_needed() {
                    true => SHORT_TICKS,
                    false => short.saturating_sub(1),
                };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_made_once_and_when_it_is_asked_for() {
        let options = EngineOptions {
            instances: 1,
            ..EngineOptions::default()
        };
        let engines = Engines::new(&options).unwrap();
        assert!(engines.pair.plain.get().is_none());
        let made = engines.get(false).unwrap();
        assert!(Engine::same(made, engines.clone().get(false).unwrap()));
        assert!(engines.pair.concurrent.get().is_none());
        assert!(!Engine::same(made, engines.get(true).unwrap()));
    }
}
