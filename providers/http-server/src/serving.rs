//! The routes served at an address, and the provider that serves them just now. Connections and requests read
//! them; the `listener` decides who serves next.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderName;
use http::uri::Authority;
use rustls::ServerConfig;

use crate::crowd::CrowdLimits;
use crate::link::HttpRoute;
use crate::paths::AmbiguousPaths;
use crate::routes::RouteTable;

/// The listener's state for the connections that it accepted.
pub(crate) struct Front {
    /// The address as requests that do not name a host would.
    pub(crate) authority: Authority,
    /// The provider whose turn it is. Replaced while there are connections.
    pub(crate) serving: ArcSwap<ServingProvider>,
}

/// The routes and settings of one provider at a listener.
pub(crate) struct ServingProvider {
    /// The header that names the host.
    pub(crate) host_header: HeaderName,
    /// How paths are treated that can be read in more than one way.
    pub(crate) ambiguous_paths: AmbiguousPaths,
    /// How long a client may take over a request's head, and leave a connection idle.
    pub(crate) head_timeout: Duration,
    /// The most bytes of a request's head.
    pub(crate) head_bytes: usize,
    /// How many connections and requests there may be.
    pub(crate) crowd: CrowdLimits,
    pub(crate) table: ArcSwap<RouteTable<Arc<HttpRoute>>>,
    /// For connections that come.
    pub(crate) tls: ArcSwapOption<ServerConfig>,
}
