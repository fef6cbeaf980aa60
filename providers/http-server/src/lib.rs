//! The http-server provider: listens for HTTP and hands each request to the component that it is
//! linked to.
//!
//! The provider is a link's source. Links that ask for the same address share a listener, which tells them apart by
//! host and path. The modules in the order in which a request meets them:
//!
//! * [`listener`]: the socket, the accept loop and its limit, draining;
//! * [`connection`]: TLS and hyper, one task a connection; [`flood`]: HTTP/2 that is of no use, by its [`frames`];
//! * [`crowd`]: how many connections and requests there may be, and which goes for another;
//! * [`exchange`]: one request: route, policy, the component, the response;
//! * [`target`]: which host and path a request is for, by the letter; [`paths`]: what is done with a path that others
//!   may read otherwise;
//! * [`routes`]: which link a host and path belong to; [`serving`]: whose links they are just now; [`link`]: what
//!   there is of one;
//! * [`cors`]: what browsers are told about other origins;
//! * [`body`]: bodies in both directions, streamed; [`trailers`]: what hyper would drop of them;
//!   [`transfer`]: how slow a client may be over them.
//!
//! Nothing on a request's way takes a lock that it shares with other connections, but for registering with tokio's
//! timer and the link's stop signal once it has to wait.

mod body;
mod config;
mod connection;
mod cors;
mod crowd;
mod exchange;
mod flood;
mod frames;
mod link;
mod listener;
mod methods;
mod paths;
mod provider;
mod reload;
mod routes;
mod serving;
mod stall;
mod stop;
mod target;
mod tls;
mod trailers;
mod transfer;

use std::sync::Arc;

use withe_provider::{Alias, Descriptor, wit};

pub use provider::HttpServer;

/// The provider's description, available without starting it.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "http-server",
    version: env!("CARGO_PKG_VERSION"),
    summary: "listens for HTTP and hands requests to components",
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
            image: "ghcr.io/wasmcloud/http-server",
            config: &[],
        },
        Alias {
            image: "wasmcloud+builtin://http-server",
            config: &[],
        },
    ],
    paths: &["tls_cert_file", "tls_priv_key_file"],
    check_config: config::check,
    create: |config| Arc::new(HttpServer::new(config)),
};
