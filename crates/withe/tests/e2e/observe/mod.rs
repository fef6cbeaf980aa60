//! Signs of an application that runs: metrics, the traces that reach a collector, and the page.

#[cfg(target_os = "linux")]
mod browser;
mod collector;
mod metrics;
mod page;
mod screen;
mod traces;
