//! What is seen of an application that runs: metrics, and the traces that reach a collector.

mod collector;
mod metrics;
mod traces;
