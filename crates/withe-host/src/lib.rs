//! The host: carries out plans.
//!
//! * [`load`]: from a manifest to a plan.
//! * `units`: from a plan to the runtime's units: what is fused, what satisfies each import.
//! * `providers`: providers running in this host and the links they hold.
//! * [`host`]: an application running, replaced and stopped.

pub mod host;
pub mod load;
mod providers;
mod units;

pub use host::{Host, HostError, HostOptions, Progress, Running};
pub use load::{Loaded, Registry};
pub use withe_runtime::host_interfaces;
pub use withe_runtime::wave::{FunctionPath, WaveError};
