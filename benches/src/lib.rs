//! Benchmarks, each against its floor.
