//! Empty. `wasmcloud-core` 0.21 depends on `wasmtime-wasi-http` and uses nothing of it; the real crate would have a
//! second Wasmtime compiled for these tests, once for the lints and once for the tests themselves.
