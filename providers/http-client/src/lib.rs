//! The http-client provider: sends HTTP requests for the components that are linked to it.
//!
//! The provider is a link's target. Each link has an allow-list, limits and connections of its own:
//! what one component has opened, another never uses.
//!
//! * [`provider`]: links, and a request's way;
//! * [`allow`]: where a link may send to;
//! * [`connect`]: names, sockets and TLS;
//! * [`proxy`]: a proxy in between;
//! * [`failure`]: what went wrong, in the interface's words;
//! * [`body`]: the response's body, with a limit between its chunks.
//!
//! Redirects are the component's business, and meet the allow-list like any other request.

mod allow;
mod body;
mod config;
mod connect;
mod failure;
mod provider;
mod proxy;
mod retry;

use std::sync::Arc;

use withe_provider::{Alias, Descriptor, wit};

pub use provider::HttpClient;

/// The provider's description, available without starting it.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "http-client",
    version: env!("CARGO_PKG_VERSION"),
    summary: "sends HTTP requests for components",
    wit: &[
        wit::WASI_IO_0_2,
        wit::WASI_CLOCKS_0_2,
        wit::WASI_HTTP_0_2,
        wit::WASI_CLOCKS_0_3,
        wit::WASI_HTTP_0_3,
        include_str!("../wit/provider.wit"),
    ],
    aliases: &[
        Alias {
            image: "ghcr.io/wasmcloud/http-client",
            config: &[],
        },
        Alias {
            image: "wasmcloud+builtin://http-client",
            config: &[],
        },
    ],
    paths: &["ssl_certs_file"],
    check_config: config::check,
    create: |config| Arc::new(HttpClient::new(config)),
};
