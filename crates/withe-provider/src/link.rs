//! Links as a provider sees them.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use withe_rpc::{Payload, TraceContext};

use crate::{Callee, ConfigMap, IncomingHandler};

/// A link's number; the host never uses one for two links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkId(pub u64);

/// One link to or from a provider.
#[derive(Clone)]
pub struct Link {
    /// Its number.
    pub id: LinkId,
    /// Its name, `default` unless the manifest says otherwise.
    pub name: String,
    /// The application and component at the other end.
    pub application: String,
    /// The component at the other end.
    pub component: String,
    /// This side's configuration, merged.
    pub config: ConfigMap,
    /// The role of the other end for this provider.
    pub peer: Peer,
}

/// The role of the other end of a link for the provider.
#[derive(Clone)]
pub enum Peer {
    /// The component imports: the provider is the target. A [`Call`]'s `function` is an index into this list,
    /// fixed as long as the link is.
    Importer(Arc<[FunctionName]>),
    /// The component exports an HTTP handler (WASI 0.2 or 0.3): the provider is the source.
    Http(Arc<dyn IncomingHandler>),
    /// The component exports functions: the provider is the source, and calls them.
    Callee(Callee),
}

/// A function of an interface, named as the importer names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionName {
    /// The interface with the importer's version: `wasi:keyvalue/store@0.2.0-draft`.
    pub interface: String,
    /// The function: `[method]bucket.get`.
    pub function: String,
}

/// One call over a link of which the provider is the target.
pub struct Call<'a> {
    /// The link.
    pub link: LinkId,
    /// Which function: an index into the link's [`Peer::Importer`].
    pub function: usize,
    /// The parameters.
    pub params: Payload,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// The component that calls, for logs.
    pub caller: &'a str,
    /// The trace that the call is part of, for what the provider itself asks of others.
    pub trace: Option<TraceContext>,
}

/// An address at which a link can be reached from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The link.
    pub link: LinkId,
    /// A URL that can be opened on this machine, with the port really bound: `http://127.0.0.1:8000/`.
    pub url: String,
}

/// Why a link could not be made, or a provider not started: a sentence for a person that says what
/// to do. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderError(pub String);

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProviderError {}

/// Whether a provider can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// The provider can.
    Healthy,
    /// The provider cannot, and why.
    Unhealthy(String),
}
