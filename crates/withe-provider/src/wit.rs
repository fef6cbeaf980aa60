//! Standard interfaces that providers export and call, as the texts that [`crate::Descriptor::wit`] takes.
//!
//! The signatures are those of the published packages, in the versions that the names of their folders say; worlds,
//! and interfaces that no provider refers to, are left out. Interfaces that one provider alone needs are in its crate.

/// `wasi:io` of WASI 0.2.
pub const WASI_IO_0_2: &str = include_str!("../wit/wasi-io-0.2.12/package.wit");
/// `wasi:clocks` of WASI 0.2.
pub const WASI_CLOCKS_0_2: &str = include_str!("../wit/wasi-clocks-0.2.12/package.wit");
/// `wasi:http` of WASI 0.2.
pub const WASI_HTTP_0_2: &str = include_str!("../wit/wasi-http-0.2.12/package.wit");
/// `wasi:clocks` of WASI 0.3.
pub const WASI_CLOCKS_0_3: &str = include_str!("../wit/wasi-clocks-0.3.0/package.wit");
/// `wasi:http` of WASI 0.3.
pub const WASI_HTTP_0_3: &str = include_str!("../wit/wasi-http-0.3.0/package.wit");
