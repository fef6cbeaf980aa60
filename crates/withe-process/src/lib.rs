//! Child processes: started, watched, started again, stopped.
//!
//! A host has three kinds of processes: workers, providers, and providers of wasmCloud v1. They differ in what they
//! are told, in how they show that they are ready and in how they are asked to end; all else is the same, and is here.
//! This crate knows no plan, no link and no protocol beyond one line of JSON. A process manager of the system
//! (systemd) was no choice, as it knows neither when such a process is ready nor which calls wait for it.
//!
//! * [`ProcessCommand`]: the one place that says how a process is started, and what it inherits.
//! * [`Confinement`]: what of the machine a process may reach.
//! * [`Process`]: one process, from its start to its end, with what it says ([`Said`]) and what it logs.
//! * [`Supervisor`]: keeps what is [`Supervised`] running, and reports its [`ProcessState`].
//! * [`Restarts`]: the waits between one start and the next.
//! * [`ask`]: one question to a program, and its answer. Asking blocks, as linking does, which asks.

mod ask;
mod command;
mod confine;
mod error;
mod group;
mod log;
mod process;
mod restarts;
mod supervisor;

pub use ask::{AskError, AskLimits, RunOutput, ask, run};
pub use command::{ProcessCommand, ProcessLog};
pub use confine::{ConfineError, Confined, Confinement, confine_and_become};
pub use error::{ProcessError, Unhealthy};
pub use log::LastLines;
pub use process::{Process, Said};
pub use restarts::Restarts;
pub use supervisor::{
    HealthChecks, Live, ProcessState, STOP, Supervised, Supervisor, SupervisorOptions, ready,
};
