//! The keyvalue provider: `wasi:keyvalue` over memory, a file, Redis, NATS, or S3.
//!
//! The provider is the target of links from components that use it. A call's way:
//!
//! * [`provider`]: the link that the call came over;
//! * [`wit`], which is generated: which function it is, its parameters and its result;
//! * [`interface`]: what the function asks of the store;
//! * [`store`]: what every backend can do, and [`memory`], [`file`], [`redis`], [`nats`], [`s3`], which do it.
//!
//! The provider is the source of links to components that are told of changes: [`changes`] has the keys that changed, and
//! [`delivery`] tells of them.
//!
//! All backends behave alike, so that one line of a manifest can exchange them: a counter is a
//! decimal number that `get` can read and fits in 64 bits with a sign, as Redis has it; many keys
//! are set or removed at once or not at all, but for a Redis cluster, which does so for each slot, and S3, which writes one at
//! a time and tells nobody of changes.

mod changes;
mod config;
mod counted;
mod cursors;
mod delivery;
mod file;
mod interface;
mod memory;
mod nats;
mod provider;
mod redis;
mod s3;
mod store;
mod turns;

use std::sync::Arc;

use withe_provider::{Alias, Descriptor};

pub use provider::KeyValue;

/// The interfaces and their types.
mod wit {
    withe_provider::generate!(
        "wit/wasi-keyvalue-0.2.0-draft",
        "wit/wasi-keyvalue-0.2.0-draft2",
        "wit",
    );
}

/// The provider's description, without starting it.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "keyvalue",
    version: env!("CARGO_PKG_VERSION"),
    summary: "keeps keys and values in a file, in memory, in Redis, in NATS or in S3",
    wit: wit::WIT,
    aliases: &[
        Alias {
            image: "ghcr.io/wasmcloud/keyvalue-redis",
            config: &[("backend", "redis")],
        },
        Alias {
            image: "ghcr.io/wasmcloud/keyvalue-nats",
            config: &[("backend", "nats")],
        },
    ],
    paths: &["path", "nats_creds_file", "nats_tls_ca_file", "tls_ca_file"],
    check_config: config::check,
    create: |config| Arc::new(KeyValue::new(config)),
};
