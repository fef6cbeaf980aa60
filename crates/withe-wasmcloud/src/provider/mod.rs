//! v1's providers, run under a Withe host: their archives, what they are started with, what they are told
//! while they run, and how they are kept running.

mod archive;
mod claims;
mod config;
mod control;
mod definition;
mod gates;
mod host_data;
mod links;
mod process;
mod seal;
mod supervised;

pub use archive::{ArchiveError, ArchiveFault, Executable};
pub use claims::Claims;
pub use config::{ProcessConfig, Supervision};
pub use process::V1Process;
