//! Many hosts on a real NATS server: an application spread over them, relinked under load, and what
//! becomes of it when hosts, the server and the network fail.
//!
//! The application is `examples/visits` with Redis as its store: every request counts a visit, so that
//! what was lost, or counted twice, can be told. Its components are built by `cargo xtask guests`.
#![cfg(target_os = "linux")]

mod broker;
mod gallery;
mod hosts;
mod membership;
mod network;
mod placement;
mod programs;
mod relink;
mod routes;
mod seen;
mod support;
mod timer;
mod v1_parts;
