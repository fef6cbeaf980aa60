//! The blobstore provider: `wasi:blobstore` from a folder, in memory, in NATS, and in S3, Azure and GCS.
//!
//! The provider is a link's target. The host has the interface's resources and streams; here are names, and bodies that stream
//! ([`withe_provider::BlobStore`]).
//!
//! * `provider`: links, and the stores that they share;
//! * `names`: which names there can be, the same for all backends;
//! * `store`: what every backend can do, and `memory`, `folder`, `nats` and `cloud`, which do it.
//!
//! All backends behave alike, so that one line of a manifest can exchange them. An object is written whole or not at
//! all, whoever reads one reads it as it was, and a part of an object is from its first byte up to its last one and
//! without that, as in wasmCloud v1: the comment of the interface says otherwise, and none of v1's providers does.

mod cloud;
mod config;
mod counted;
mod folder;
mod memory;
mod names;
mod nats;
mod provider;
mod store;

use std::sync::Arc;

use withe_provider::{Alias, Descriptor, wit};

pub use provider::Blobs;

/// The description of the provider, which is known without starting it.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "blobstore",
    version: env!("CARGO_PKG_VERSION"),
    summary: "keeps objects in memory, in a folder, in NATS, or in S3, Azure or Google Cloud Storage",
    wit: &[
        wit::WASI_IO_0_2,
        include_str!("../wit/wasi-blobstore-0.2.0-draft/package.wit"),
        include_str!("../wit/provider.wit"),
    ],
    aliases: &[
        Alias {
            image: "ghcr.io/wasmcloud/blobstore-fs",
            config: &[("backend", "folder")],
        },
        Alias {
            image: "ghcr.io/wasmcloud/blobstore-s3",
            config: &[("backend", "s3")],
        },
        Alias {
            image: "ghcr.io/wasmcloud/blobstore-azure",
            config: &[("backend", "azure")],
        },
        Alias {
            image: "ghcr.io/wasmcloud/blobstore-nats",
            config: &[("backend", "nats")],
        },
    ],
    paths: &["root", "creds_file", "tls_ca_file", "service_account_file"],
    check_config: config::check,
    create: |config| Arc::new(Blobs::new(config)),
};
