//! The built command with real components: what one can do with linked components, end to end.
//!
//! The components are those of `tests/guests`, built by `cargo xtask guests`.
#![cfg(unix)]

mod blobs;
mod call;
mod changes;
mod component;
mod events;
mod forms;
mod gallery;
mod grants;
mod http;
mod identity;
mod keyvalue_component;
mod lifecycle;
mod middleware;
mod mistakes;
mod observe;
#[cfg(target_os = "linux")]
mod providers;
mod registry;
mod runtimes;
mod secrets;
mod sql;
mod support;
mod tests;
mod tutorial;
mod v1;
mod wit_registry;
#[cfg(target_os = "linux")]
mod workers;
