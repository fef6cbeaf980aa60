//! The provider SDK: a provider is one type that implements [`Provider`].
//!
//! A provider is long-lived. A provider exports interfaces that components import (it is then a link's
//! *target*: a key-value store), or it calls components' exports (it is then a link's *source*: an
//! HTTP server), or both. A provider never knows where the component at the other end runs.
//!
//! One that only exports is shorter: [`generate!`] makes its types of its WIT, and for each interface a trait, which
//! what it has of a link implements; [`Exporter`] is the provider then. For an interface that the provider calls,
//! [`generate!`] makes a client, which a link's [`Callee`] gives.
//!
//! The trait says nothing of the host it runs in, so the same crate can run inside a host or as a
//! process of its own.

mod backend_calls;
mod backends;
pub mod blob_wire;
pub mod blobs;
mod call_target;
mod callee;
mod durations;
mod exports;
mod functions;
mod handover;
mod http_fields;
mod http_types;
pub mod http_wire;
mod line_budget;
mod link;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "object-store")]
pub mod object_store;
mod once;
pub mod process;
pub mod resources;
pub mod settings;
mod sockets;
mod streams;
#[cfg(test)]
mod testing;
pub mod wit;

pub use backend_calls::{BackendCalls, BackendCount};
pub use backends::SharedBackends;
pub use blobs::{
    Blob, BlobError, BlobErrorKind, BlobStore, ContainerInfo, ObjectId, ObjectInfo, ObjectNames,
    Written,
};
pub use call_target::CallTarget;
pub use callee::{CalledInterface, Callee};
pub use durations::Durations;
pub use exports::Exporter;
pub use functions::{Context, Functions, Handler, Imported, Linked};
pub use handover::Handover;
pub use http_fields::{remove_connection_fields, remove_from_trailers};
pub use http_types::{
    Body, HttpError, HttpErrorKind, IncomingHandler, OutgoingHandler, RequestOptions,
};
pub use line_budget::LineBudget;
pub use link::{Call, Endpoint, FunctionName, Health, Link, LinkId, Peer, ProviderError};
pub use once::Once;
pub use resources::{Borrow, Own, Resources};
pub use settings::Settings;
pub use sockets::{InheritedSockets, ListeningSocket};
pub use streams::{FutureReader, FutureWriter, StreamReader, StreamWriter};
pub use withe_linker::input::{ConfigMap, ConfigProblem, ConfigRole, SecretKeys};
pub use withe_provider_macros::generate;
pub use withe_rpc::pipe::Closed;
pub use withe_rpc::{BackOff, BoxFuture, CallContext, CallError, Payload, TraceContext, codec};

use std::sync::Arc;
use std::time::Duration;

/// A provider's description without starting it.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// Its short name: `keyvalue` for `withe:keyvalue`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Its world as WIT packages, one text each, the one with the world named `provider` last.
    /// Components may import its exports; it calls its imports on components.
    pub wit: &'static [&'static str],
    /// Names under which others know the same capability: image references without a tag, such as
    /// `ghcr.io/wasmcloud/http-server`.
    pub aliases: &'static [Alias],
    /// Configuration keys, in lower case, whose values are paths of files: a host makes relative ones
    /// relative to the manifest's folder.
    pub paths: &'static [&'static str],
    /// Finds what is wrong with a piece of its configuration, without side effects.
    pub check_config: fn(ConfigRole, &ConfigMap) -> Vec<ConfigProblem>,
    /// Makes it. Nothing is opened yet: that is for [`Provider::start`].
    pub create: fn(ConfigMap) -> Arc<dyn Provider>,
}

/// Another name for a provider, with the configuration that makes it mean the same thing.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    /// The image reference without a tag.
    pub image: &'static str,
    /// Configuration that the name implies; what the manifest gives wins.
    pub config: &'static [(&'static str, &'static str)],
}

/// A provider.
///
/// The host calls [`start`](Self::start) once, then makes and removes links, and calls
/// [`shutdown`](Self::shutdown) once. Calls and link changes may come at the same time from many
/// tasks. Every future must end by itself in bounded time, or stop when it is dropped.
#[async_trait::async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Opens what the provider needs for itself, before any link is made.
    async fn start(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    /// The handover to the provider that takes the place of this one ([`take_over`](Self::take_over)).
    fn handover(&self) -> Option<Handover> {
        None
    }

    /// Takes the place of another provider of the same sort, which runs and gave `handover`. Called before
    /// [`start`](Self::start).
    ///
    /// The predecessor serves until it is shut down, and its successor from then on, without a gap. A successor
    /// that is shut down or dropped before has changed nothing for its predecessor.
    ///
    /// Between processes the handover holds [`InheritedSockets`], if the predecessor has [`sockets`](Self::sockets) to
    /// hand over. Returns whether this provider knows what to do with what it was given: if not, its predecessor is
    /// shut down before it starts.
    fn take_over(&self, handover: Handover) -> bool {
        let _ = handover;
        false
    }

    /// Duplicates of the sockets that the provider listens on, for a successor in another process. `None` if it cannot
    /// hand over what it listens on: its successor starts when it has been shut down.
    fn sockets(&self) -> Option<Vec<ListeningSocket>> {
        None
    }

    /// Makes a link, or, if `link.id` is known already, replaces it: calls that run go on as they
    /// were, new ones see the new link. An error means that the link is not made (or stays as it
    /// was) and says what to do about it.
    async fn link_put(&self, link: Link) -> Result<(), ProviderError>;

    /// As [`link_put`](Self::link_put), for providers that take secrets apart from configuration, as wasmCloud v1's do:
    /// `secret_keys` are the keys of the link's configuration whose values the host fetched as secrets. Others find them
    /// in the configuration, and need not implement this.
    ///
    /// # Errors
    ///
    /// As [`link_put`](Self::link_put).
    async fn link_put_with_secrets(
        &self,
        link: Link,
        secret_keys: &SecretKeys,
    ) -> Result<(), ProviderError> {
        _ = secret_keys;
        self.link_put(link).await
    }

    /// Removes a link. As a source: takes no new work for it, and waits for the work under way to
    /// finish, at most `grace`.
    async fn link_deleted(&self, id: LinkId, grace: Duration);

    /// Serves one call over a link of which this provider is the target. `Err` reaches the caller
    /// as a trap; an error that the interface itself can express belongs in the result.
    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        let _ = call;
        Err(CallError::Unlinked(
            "this provider exports no functions".into(),
        ))
    }

    /// The component at the other end dropped a resource that a call returned. Never blocks.
    fn drop_resource(&self, link: LinkId, handle: u32) {
        let _ = (link, handle);
    }

    /// Outgoing HTTP (`wasi:http/outgoing-handler`, or 0.3's `handler` as an import), if this is
    /// what the provider provides. Bodies are streams; the host carries them.
    fn outgoing_http(&self) -> Option<&dyn OutgoingHandler> {
        None
    }

    /// The store of objects for a link (`wasi:blobstore`), if the provider has one. Their bytes stream; the
    /// host carries them.
    fn blob_store(&self, link: LinkId) -> Option<Arc<dyn BlobStore>> {
        let _ = link;
        None
    }

    /// The addresses at which links can be reached from outside now: what an HTTP server listens on.
    fn endpoints(&self) -> Vec<Endpoint> {
        Vec::new()
    }

    /// Whether the provider can do its work now.
    async fn health(&self) -> Health {
        Health::Healthy
    }

    /// The counts of the calls of its backends, which hosts show as metrics. Never blocks.
    fn backend_calls(&self) -> Vec<BackendCount> {
        Vec::new()
    }

    /// Finishes the work under way, at most `grace`, and releases everything.
    async fn shutdown(&self, grace: Duration);
}
