//! A component of Withe, reachable by its id on a v1 lattice.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use withe_provider::{FunctionName, IncomingHandler, ProviderError};
use withe_rpc::{CallContext, CallError, ServedLink};
use withe_wit::Function;

use crate::interfaces::{http, watcher};
use crate::trace;
use crate::values::Signature;
use crate::wire::V1Wire;
use crate::wire::connection::OutgoingValues;
use crate::wire::names;
use crate::wire::server::{Endpoint, Handler, Invocation, ServedFunctions};

/// The reachable exports of a component.
pub struct Exports {
    /// Functions that v1 calls by their own names, in the order in which `link` numbers them.
    pub functions: Vec<(FunctionName, Function)>,
    /// Serves them. Each invocation is a session of its own, as v1 makes an instance for each.
    pub link: Arc<dyn ServedLink>,
    /// Functions that hear of changes in key-value stores ([`crate::is_watcher`]), likewise.
    pub watching: Vec<(FunctionName, Function)>,
    /// Serves those, whose first parameter is the name of a bucket; `None` if there are none.
    pub watcher: Option<Arc<dyn ServedLink>>,
    /// The component's HTTP handler, if it exports one.
    pub http: Option<Arc<dyn IncomingHandler>>,
    /// How long a call may take. v1's callers give up after 10 s.
    pub timeout: Duration,
}

/// A component that is reachable until this is stopped or dropped.
#[derive(Debug)]
pub struct ServedComponent {
    serving: ServedFunctions,
}

impl ServedComponent {
    /// Takes no new calls, and returns when those under way have ended, at the latest after `grace`.
    pub async fn stop(self, grace: Duration) {
        self.serving.stop(grace).await;
    }
}

/// Makes a component reachable as `id` on `lattice`. Hosts that serve the same id share its calls.
///
/// # Errors
///
/// If v1 cannot carry one of the functions, or the connection is closed.
pub async fn serve_component(
    wire: &V1Wire,
    lattice: &str,
    id: &str,
    exports: Exports,
) -> Result<ServedComponent, ProviderError> {
    let refuse =
        |why: String| ProviderError(format!("`{id}` cannot be served to wasmCloud v1: {why}"));
    for (what, text) in [("lattice", lattice), ("id", id)] {
        if !names::is_token(text) {
            return Err(refuse(format!(
                "the {what} `{text}` cannot be part of a NATS subject"
            )));
        }
    }
    let endpoint = |link: &Arc<dyn ServedLink>, function, name: FunctionName, ty: &Function| {
        let signature = Signature::new(ty).map_err(|why| refuse(why.to_string()))?;
        Ok::<_, ProviderError>(Endpoint {
            instance: name.interface,
            function: name.function,
            params: signature.params.paths.clone(),
            results: signature.result.paths.clone(),
            handler: Arc::new(Verbatim {
                link: link.clone(),
                function,
                signature: Arc::new(signature),
                wire: wire.clone(),
            }),
        })
    };
    let mut endpoints = Vec::new();
    for (function, (name, ty)) in exports.functions.into_iter().enumerate() {
        endpoints.push(endpoint(&exports.link, function, name, &ty)?);
    }
    if let Some(link) = &exports.watcher {
        for (function, (name, ty)) in exports.watching.into_iter().enumerate() {
            let (name, ty) = watcher::on_wire(&name, &ty).ok_or_else(|| {
                refuse(format!("`{}` does not begin with a bucket", name.function))
            })?;
            endpoints.push(endpoint(link, function, name, &ty)?);
        }
    }
    endpoints.extend(exports.http.map(http::endpoint));
    let serving = wire
        .serve(names::prefix(lattice, id), endpoints, exports.timeout)
        .await
        .map_err(|why| refuse(why.to_string()))?;
    Ok(ServedComponent { serving })
}

/// A function whose values pass as they are.
struct Verbatim {
    link: Arc<dyn ServedLink>,
    function: usize,
    signature: Arc<Signature>,
    wire: V1Wire,
}

impl Handler for Verbatim {
    fn is_complete(&self, bytes: &[u8]) -> bool {
        self.signature.params.is_complete(bytes)
    }

    fn invoke(
        &self,
        invocation: Invocation,
    ) -> BoxFuture<'static, Result<OutgoingValues, CallError>> {
        let session = self.link.session();
        let (function, signature) = (self.function, self.signature.clone());
        let context = CallContext {
            deadline: invocation.deadline.into_std(),
            trace: trace::of(&invocation.headers),
        };
        let params = (signature.params).lift(invocation.params, invocation.streams, &self.wire);
        Box::pin(async move {
            let result = session.clone().call(function, params?, context).await?;
            let mut values = signature.result.lower(result)?;
            // The instance's streams last as long as its session.
            for (_, messages) in &mut values.streams {
                let session = session.clone();
                let inner = std::mem::replace(messages, Box::pin(futures::stream::empty()));
                *messages = Box::pin(inner.inspect(move |_| _ = &session));
            }
            Ok(values)
        })
    }
}
