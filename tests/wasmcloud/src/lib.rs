//! Tests of the interoperation with wasmCloud v1, against v1's own crates; see `tests`.
