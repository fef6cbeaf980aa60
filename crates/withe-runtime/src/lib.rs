//! Running instances: a link plan's units compiled, linked and called.
//!
//! * [`engine`]: Wasmtime's engines, pool and cache.
//! * [`spec`]: what the host asks for: units, their imports and what satisfies them.
//! * [`graph`]: units compiled and linked to each other; the top of this crate.
//! * `abi`, `dispatch`: values between guests and bytes; functions of any shape.
//! * `link`, `callee`, `holding`, `instance`: a call over a link, and the instance that it reaches.
//! * `serve`: units that other processes call.
//! * `state`, `handles`, `stream`: what a store holds, and what leads out of it and into it.
//! * `functions`: host functions that are ours; those of WASI are Wasmtime's.
//! * `http`: requests into and out of components.
//! * [`metrics`], [`trace`]: what is counted of all that, and recorded.
//! * [`wave`]: calling an export with values written as text.
//!
//! A call never looks anything up by name: names became indices when the graph was made.

mod abi;
mod callee;
mod dispatch;
pub mod engine;
mod functions;
pub mod graph;
mod handles;
mod holding;
mod http;
mod instance;
mod link;
pub mod metrics;
mod observe;
mod serve;
pub mod spec;
mod state;
mod stream;
pub mod trace;
mod trap;
pub mod wave;

pub use engine::{EngineOptions, Engines};
pub use functions::{host_interfaces, is_per_component};
pub use graph::Graph;
pub use http::HttpEntry;
pub use metrics::{Metrics, Snapshot};
pub use observe::Observer;
pub use serve::DROP;
pub use trace::Tracer;

use std::path::PathBuf;

/// Why units could not be made ready to run.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine could not be made.
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
    /// The folder for compiled components cannot be used.
    #[error("the cache folder `{}` cannot be used: {why}", dir.display())]
    Cache {
        /// The folder.
        dir: PathBuf,
        /// Why not.
        why: String,
    },
    /// A component does not compile.
    #[error("component `{component}` does not compile: {why}")]
    Compile {
        /// Its name.
        component: String,
        /// Why not.
        why: String,
    },
    /// A compiled component's imports do not fit what they are linked to.
    #[error("component `{component}` cannot be linked: {why}")]
    Link {
        /// Its name.
        component: String,
        /// Why not.
        why: String,
    },
}
