//! The host: carries out plans.
//!
//! * `parts`, `units`: from a plan to the runtime's units: what is fused, what satisfies each import.
//! * `host`: engines to run applications on; `run`: an application running, replaced and stopped.
//! * `provider_source`: how each provider is started; `provider_process`: those that are processes of their own.
//! * `serve`: what one of its processes serves to others; `request`, `sockets`, `away`: what it asks of
//!   them, on this machine and beyond; `workers`, [`worker`]: its other processes, seen from the host and
//!   from within; `assignment`: what each is told.
//! * [`elsewhere`]: what a member of a lattice needs of all that.

mod assignment;
mod away;
mod build;
mod counts;
pub mod elsewhere;
mod error;
mod host;
mod loopback;
mod options;
mod parts;
mod provider_process;
mod provider_source;
mod request;
mod run;
mod serve;
mod sockets;
mod units;
mod v1;
pub mod worker;
mod workers;

pub use counts::Counts;
pub use error::{HostError, ProviderFailure, WorkerFailure};
pub use host::Host;
pub use options::{Broker, HostOptions, Phase, Progress, WorkerCommand};
pub use parts::Parts;
pub use run::Running;
pub use withe_runtime::wave::{FunctionPath, WaveError};
pub use withe_runtime::{Observer, Tracer, host_interfaces};
