//! The host: carries out plans.
//!
//! * [`load`]: from a manifest to a plan.
//! * `parts`, `units`: from a plan to the runtime's units: what is fused, what satisfies each import.
//! * `providers`: the providers of an application and the links they hold; `provider_source`: how each is
//!   started; `provider_process`: those that are processes of their own.
//! * [`host`]: an application running, replaced and stopped.
//! * `serve`: what one of its processes serves to others; `request`, `sockets`, `away`: what it asks of
//!   them, on this machine and beyond; `workers`, [`worker`]: its other processes, seen from the host and
//!   from within.
//! * [`node`]: the host on a lattice: what it runs there, and how it finds the others.

mod away;
mod back_off;
mod build;
mod counts;
pub mod host;
pub mod load;
mod loopback;
pub mod node;
mod parts;
mod provider_process;
mod provider_source;
mod providers;
mod request;
mod retire;
mod serve;
mod sockets;
mod units;
mod v1;
pub mod worker;
mod workers;

pub use counts::Counts;
pub use host::{Broker, Host, HostError, HostOptions, Progress, Running};
pub use load::{Loaded, Registry};
pub use withe_runtime::wave::{FunctionPath, WaveError};
pub use withe_runtime::{Observer, Tracer, host_interfaces};
pub use workers::WorkerCommand;
