//! wasmCloud v1: its wire, its providers and their archives.
