//! The keyvalue provider: `wasi:keyvalue` over memory, a file, or Redis.
//!
//! It is a link's target. A call's way:
//!
//! * [`provider`]: the link that the call came over;
//! * [`interface`]: which function it is (a number, fixed when the link was made), its parameters
//!   and its result;
//! * [`handles`]: the resources that the link's components hold;
//! * [`store`]: what every backend can do, and [`memory`], [`file`], [`redis`], which do it.
//!
//! All backends behave alike, so that one line of a manifest can exchange them: a counter is a
//! decimal number that `get` can read and fits in 64 bits with a sign, as Redis has it; many keys
//! are set or removed at once or not at all.

mod config;
mod file;
mod handles;
mod interface;
mod memory;
mod provider;
mod redis;
mod store;

use std::sync::Arc;

use withe_provider::{Alias, Descriptor};

pub use provider::KeyValue;

/// What is known of the provider without starting it.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "keyvalue",
    version: env!("CARGO_PKG_VERSION"),
    summary: "keeps keys and values in a file, in memory or in Redis",
    wit: &[
        include_str!("../../../wit/wasi-keyvalue-0.2.0-draft/package.wit"),
        include_str!("../../../wit/wasi-keyvalue-0.2.0-draft2/package.wit"),
        include_str!("../wit/provider.wit"),
    ],
    aliases: &[Alias {
        image: "ghcr.io/wasmcloud/keyvalue-redis",
        config: &[("backend", "redis")],
    }],
    paths: &["path"],
    check_config: config::check,
    create: |config| Arc::new(KeyValue::new(config)),
};
