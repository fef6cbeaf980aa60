//! Running instances: a link plan's units compiled, linked and called.
//!
//! From below to above; no module knows one that is above it, and a test holds them to that (`cargo xtask tidy`).
//!
//! * `quota`: who may have how much of what is shared.
//! * [`metrics`], [`trace`]: what is counted of all that runs, and recorded.
//! * `cache`: compiled code that is kept between starts.
//! * `code`, `compile`, `shared_modules`: components compiled, in a process of its own; large modules apart, and once.
//! * [`engine`]: Wasmtime's engines and pool.
//! * [`spec`], [`error`]: what the host asks for, and why it cannot be had.
//! * `guest_log`, `guest_output`: where what components log and print goes.
//! * `permits`, `needs`: how many instances of a component may run at a time.
//! * `abi`: values between guests and bytes.
//! * `exports`, `links`: what a component exports, and where what a unit imports over links leads: plain data.
//! * `handles`, `chosen`, `limits`, `last_words`, `log_stream`, `wasi`, `task`: what an instance has.
//! * `core`: the types that hold each other: graph, unit, instance, its state, its callees.
//! * `stream`, `exchange`, `dispatch`: values into and out of a store, and calls into it.
//! * `failure`, `trap`: what went wrong, for people.
//! * `instance`, `callee`, `holding`: instances made and called; what a caller reaches.
//! * `link`, `stub`: a call over a link, and what an import is defined as.
//! * `functions`, `http`, `blobs`: host functions that are ours, requests into and out of components, and objects.
//! * `components`, `define`, [`graph`]: graphs built.
//! * `serve`, `provider_calls`, `fits`, [`invoke`], [`wave`]: units called from other processes, by providers, with
//!   values, and with text.
//! * `command`: a component run as a command of this process.
//!
//! A call never looks anything up by name: names became indices when the graph was made.

mod abi;
mod blobs;
mod cache;
mod callee;
mod chosen;
mod code;
mod command;
mod compile;
mod components;
mod core;
mod define;
mod dispatch;
pub mod engine;
pub mod error;
mod exchange;
mod exports;
mod failure;
mod fits;
mod functions;
pub mod graph;
mod guest_log;
mod guest_output;
mod handles;
mod holding;
mod http;
mod idle;
mod inside;
mod instance;
pub mod invoke;
mod last_words;
mod limits;
mod link;
mod links;
mod log_stream;
pub mod metrics;
mod native_code;
mod needs;
mod observe;
mod opened;
mod permits;
mod provider_calls;
mod quota;
mod serve;
mod settings;
mod shared_modules;
pub mod spec;
mod stream;
mod stub;
mod task;
pub mod trace;
mod trap;
mod turns;
mod wasi;
pub mod wave;

pub use self::core::Graph;
pub use code::CompiledPart;
pub use command::run_command;
pub use compile::{CompileError, CompileLimits, CompileProcess, compile_stdin};
pub use engine::{EngineOptions, Engines};
pub use error::RuntimeError;
pub use functions::{HOST_WIT, host_interfaces, is_per_component};
pub use guest_output::{GuestOutput, Printed, StandardStream};
pub use http::{HttpEntry, HttpFace, HttpOfOthers};
pub use metrics::{
    ComponentFigures, DurationFigures, Figures, LinkFigures, Metrics, Snapshot, SnapshotError,
};
pub use observe::Observer;
pub use provider_calls::CalledComponent;
pub use quota::{ShareLimits, available_memory};
pub use serve::{Callers, DROP};
pub use trace::{TraceGate, Tracer};
