//! A component or provider of a v1 lattice as the target of links.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use async_trait::async_trait;
use tokio::time::Instant;
use withe_provider::{
    BlobStore, Body, Call, FunctionName, HttpError, HttpErrorKind, Link, LinkId, OutgoingHandler,
    Peer, Provider, ProviderError, RequestOptions,
};
use withe_rpc::{CallContext, CallError, Payload};
use withe_wit::Function;

use crate::Ids;
use crate::caller::Caller;
use crate::interfaces::blobstore::{self, V1Blobs};
use crate::interfaces::http::{self, Taker};
use crate::interfaces::keyvalue::{self, KeyValue};
use crate::interfaces::resources::Resources;
use crate::interfaces::watcher;
use crate::trace;
use crate::values::{CannotCarry, Signature};
use crate::wire::V1Wire;
use crate::wire::client::closed;
use crate::wire::names;

/// How long a v1 HTTP client may take to the response's head when the component does not say.
const FIRST_BYTE: Duration = Duration::from_secs(30);

/// The component or provider that a [`V1Target`] stands for.
#[derive(Clone, Debug)]
pub struct TargetConfig {
    /// The connection.
    pub wire: V1Wire,
    /// The lattice.
    pub lattice: String,
    /// The id of the component or provider on it. The host that runs it does not matter.
    pub id: String,
    /// The ids by which it knows those who call.
    pub ids: Ids,
}

/// Something with an id on a v1 lattice, as a provider of Withe: components are linked to it like to any.
pub struct V1Target {
    config: TargetConfig,
    prefix: Arc<str>,
    /// The functions that may be asked for, as the wire has them: names, and signatures.
    functions: HashMap<(String, String), (FunctionName, Result<Signature, CannotCarry>)>,
    links: Mutex<HashMap<LinkId, Arc<V1Link>>>,
}

/// A link to it.
struct V1Link {
    routes: Vec<FunctionRoute>,
    resources: Arc<Resources>,
    /// The headers of each call.
    headers: HeaderMap,
}

/// How a function is called.
enum FunctionRoute {
    /// As it is.
    Verbatim {
        name: FunctionName,
        signature: Signature,
    },
    KeyValue(KeyValue),
    /// Through [`BlobStore`], which has what streams.
    Blobs,
    /// Through [`OutgoingHandler`], which has the bodies.
    Http(Taker),
}

/// Why a function cannot be linked to.
#[derive(Debug, thiserror::Error)]
enum NoRoute {
    #[error(transparent)]
    Type(#[from] CannotCarry),
    #[error("the type of `{function}` of `{interface}` is not known")]
    Unknown { function: String, interface: String },
}

impl V1Target {
    /// The target that `config` says. `functions` are those that its importers import, with their types:
    /// v1 does not tell them apart by version, so they are called by the importer's names.
    ///
    /// # Errors
    ///
    /// If the lattice or the id cannot be part of a subject.
    pub fn new(
        config: TargetConfig,
        functions: impl IntoIterator<Item = (FunctionName, Function)>,
    ) -> Result<Self, ProviderError> {
        for (what, text) in [("lattice", &config.lattice), ("id", &config.id)] {
            if !names::is_token(text) {
                return Err(ProviderError(format!(
                    "the {what} `{text}` of a wasmCloud v1 target cannot be part of a NATS subject; \
                     leave out spaces, dots, `*` and `>`"
                )));
            }
        }
        let signature = |(name, function): (FunctionName, Function)| {
            let key = (name.interface.clone(), name.function.clone());
            // A provider tells a component of changes.
            let (name, function) = watcher::on_wire(&name, &function).unwrap_or((name, function));
            (key, (name, Signature::new(&function)))
        };
        Ok(Self {
            prefix: names::prefix(&config.lattice, &config.id).into(),
            config,
            functions: functions.into_iter().map(signature).collect(),
            links: Mutex::default(),
        })
    }

    fn route(&self, name: &FunctionName) -> Result<FunctionRoute, NoRoute> {
        if let Some(key_value) = KeyValue::named(name) {
            return Ok(FunctionRoute::KeyValue(key_value));
        }
        if blobstore::is_blobstore(&name.interface) {
            return Ok(FunctionRoute::Blobs);
        }
        if let Some(taker) = Taker::of(&name.interface) {
            return Ok(FunctionRoute::Http(taker));
        }
        let key = (name.interface.clone(), name.function.clone());
        let known = self.functions.get(&key).ok_or_else(|| NoRoute::Unknown {
            function: name.function.clone(),
            interface: name.interface.clone(),
        })?;
        let (name, signature) = known.clone();
        Ok(FunctionRoute::Verbatim {
            name,
            signature: signature?,
        })
    }

    fn linked(&self, link: LinkId) -> Option<Arc<V1Link>> {
        self.lock().get(&link).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LinkId, Arc<V1Link>>> {
        // Nothing panics while the lock is held.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The caller for calls over a link.
    fn caller(&self, linked: &V1Link, context: CallContext) -> Caller<'_> {
        let mut headers = linked.headers.clone();
        trace::put(&mut headers, context.trace);
        Caller {
            wire: &self.config.wire,
            prefix: &self.prefix,
            headers,
            deadline: context.deadline.into(),
        }
    }
}

#[async_trait]
impl Provider for V1Target {
    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        let Peer::Importer(functions) = &link.peer else {
            return Err(ProviderError(format!(
                "`{}` on the wasmCloud v1 lattice cannot be the source of a link that Withe makes; \
                 link it there, to the component's id",
                self.config.id
            )));
        };
        let routes: Result<_, _> = functions.iter().map(|name| self.route(name)).collect();
        let routes = routes.map_err(|why: NoRoute| {
            ProviderError(format!("`{}` cannot be linked to: {why}", self.config.id))
        })?;
        let source = self.config.ids.of(&link.application, &link.component);
        let mut headers = HeaderMap::new();
        headers.insert("source-id", source);
        headers.insert("link-name", link.name);
        let mut links = self.lock();
        // Importers keep what they have open when their link is replaced.
        let resources = links.get(&link.id).map(|known| known.resources.clone());
        let linked = V1Link {
            routes,
            resources: resources.unwrap_or_default(),
            headers,
        };
        links.insert(link.id, Arc::new(linked));
        Ok(())
    }

    async fn link_deleted(&self, id: LinkId, _: Duration) {
        self.lock().remove(&id);
    }

    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        let unlinked = || CallError::Unlinked(format!("`{}`", self.prefix));
        let linked = self.linked(call.link).ok_or_else(unlinked)?;
        let context = CallContext {
            deadline: call.deadline,
            trace: call.trace,
        };
        let caller = self.caller(&linked, context);
        match linked.routes.get(call.function).ok_or_else(unlinked)? {
            FunctionRoute::Verbatim { name, signature } => {
                let params = signature.params.lower(call.params)?;
                let results = &signature.result.paths;
                let reply = caller.invoke(&name.interface, &name.function, params, results);
                let reply = reply.await?;
                if reply.bytes.is_empty() && !signature.result.is_empty() {
                    return Err(closed(&self.prefix));
                }
                signature
                    .result
                    .lift(reply.bytes, reply.streams, &self.config.wire)
            }
            FunctionRoute::KeyValue(KeyValue::Open) => {
                keyvalue::open(&linked.resources, &call.params)
            }
            FunctionRoute::KeyValue(KeyValue::OnBucket { instance, function }) => {
                let params = keyvalue::lower(&linked.resources, &call.params)?;
                let reply = caller.result(instance, function, params, &[]).await?;
                Ok(Payload {
                    bytes: reply.bytes.into(),
                    ..Payload::default()
                })
            }
            FunctionRoute::Blobs => Err(CallError::Unlinked(
                "objects are not passed as values".into(),
            )),
            FunctionRoute::Http(_) => Err(CallError::Unlinked(
                "HTTP requests are not sent as values".into(),
            )),
        }
    }

    fn drop_resource(&self, link: LinkId, handle: u32) {
        if let Some(linked) = self.linked(link) {
            linked.resources.remove(handle);
        }
    }

    fn outgoing_http(&self) -> Option<&dyn OutgoingHandler> {
        Some(self)
    }

    fn blob_store(&self, link: LinkId) -> Option<Arc<dyn BlobStore>> {
        let linked = self.linked(link)?;
        let is_blobs = |route: &FunctionRoute| matches!(route, FunctionRoute::Blobs);
        if !linked.routes.iter().any(is_blobs) {
            return None;
        }
        Some(Arc::new(V1Blobs {
            wire: self.config.wire.clone(),
            prefix: self.prefix.clone(),
            headers: linked.headers.clone(),
        }))
    }

    async fn shutdown(&self, _: Duration) {
        self.lock().clear();
    }
}

#[async_trait]
impl OutgoingHandler for V1Target {
    async fn send(
        &self,
        link: LinkId,
        request: ::http::Request<Body>,
        options: RequestOptions,
    ) -> Result<::http::Response<Body>, HttpError> {
        let Some(linked) = self.linked(link) else {
            let text = format!("nothing is linked to `{}`", self.prefix);
            return Err(HttpError::new(HttpErrorKind::Internal, text));
        };
        // A part of v1's is a client or a handler, and a link to one is of one sort.
        let taker = linked.routes.iter().find_map(|route| match route {
            FunctionRoute::Http(taker) => Some(*taker),
            _ => None,
        });
        let Some(taker) = taker else {
            let text = format!("the link to `{}` carries no requests", self.prefix);
            return Err(HttpError::new(HttpErrorKind::Denied, text));
        };
        let limit = options.connect_timeout.unwrap_or_default()
            + options.first_byte_timeout.unwrap_or(FIRST_BYTE);
        let mut headers = linked.headers.clone();
        trace::put(&mut headers, request.extensions().get().copied());
        let deadline = Instant::now() + limit;
        http::send(
            &self.config.wire,
            &self.prefix,
            taker,
            headers,
            request,
            options,
            deadline,
        )
        .await
    }
}
