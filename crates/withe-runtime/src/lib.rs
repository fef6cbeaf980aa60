//! Running instances: Wasmtime, the call path, host functions.
