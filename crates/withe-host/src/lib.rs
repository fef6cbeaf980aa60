//! The host: carries out plans.
//!
//! A program that is to have a host within it needs four things of this crate: [`Runnable`], an application that was
//! read and linked; [`Host`], on which it runs; [`Running`], by which it is called, replaced and stopped; and
//! [`HttpService`], by which its HTTP handlers become a service. `examples/embed.rs` uses them. All else is for the
//! `withe` command and for members of a lattice.
//!
//! * `parts`, `units`: from a plan to the runtime's units: what is fused, what satisfies each import.
//! * `runnable`: from a manifest to a plan; `http_service`: a component's handler as a service.
//! * `host`: engines to run applications on; `run`: an application running, replaced and stopped.
//! * `provider_source`: how each provider is started; `provider_process`: those that are processes of their own.
//! * `known_secrets`: what its log is not to have.
//! * `serve`: what one of its processes serves to others; `request`, `sockets`, `away`: what it asks of
//!   them, on this machine and beyond; `blobs_over`: objects that are kept there; `workers`, [`worker`]: its other processes, seen from the host and
//!   from within; `assignment`: what each is told.
//! * [`elsewhere`]: what a member of a lattice needs of all that.

mod assignment;
mod away;
mod blobs_over;
mod build;
mod claims;
mod counts;
pub mod elsewhere;
mod error;
mod fetch;
mod grants;
mod host;
mod http_service;
mod known_secrets;
mod loopback;
mod options;
mod parts;
mod provider_process;
mod provider_source;
mod request;
mod run;
mod runnable;
mod secrets;
mod serve;
mod sockets;
mod units;
mod v1;
pub mod worker;
mod workers;

pub use claims::{Claimed, Claims};
pub use counts::{Counts, LOOKED_AT};
pub use error::{HostError, ProviderFailure, WorkerFailure};
pub use host::{Host, HostBuilder};
pub use http_service::HttpService;
pub use known_secrets::KnownSecrets;
pub use options::{
    Broker, ConfineOptions, HostLimits, HostOptions, Phase, Progress, WorkerCommand,
};
pub use parts::Parts;
pub use run::Running;
pub use runnable::{Problems, Runnable, RunnableBuilder, RunnableError};
pub use secrets::{LatticeSecrets, NoBackend, SecretBackend, SecretBackends, SecretError};
pub use withe_process::{Confinement, confine_and_become};
pub use withe_runtime::compile_stdin;
pub use withe_runtime::invoke::{FunctionPath, InvokeError, Val};
pub use withe_runtime::{
    ComponentFigures, DurationFigures, Figures, GuestOutput, HOST_WIT, LinkFigures, Observer,
    Printed, ShareLimits, StandardStream, TraceGate, Tracer, available_memory, host_interfaces,
    wave,
};
