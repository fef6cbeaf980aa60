//! The components that a provider's process calls, served to it on a socket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use withe_provider::process::link_functions;
use withe_provider::{
    Body, BoxFuture, CallContext, Callee, HttpError, HttpErrorKind, IncomingHandler, LinkId,
    Payload, http_wire,
};
use withe_rpc::{CallError, LinkRequest, Serve, ServedLink, ServedSession};

/// The component that a provider calls over a link.
#[derive(Clone)]
pub(super) enum LinkedComponent {
    /// A component that handles HTTP requests.
    Http(Arc<dyn IncomingHandler>),
    /// A component that exports functions.
    Functions(Callee),
}

/// The components at the other ends of a provider's links, by the link.
#[derive(Clone, Default)]
pub(super) struct Handlers(Arc<Mutex<HashMap<LinkId, LinkedComponent>>>);

impl Handlers {
    fn lock(&self) -> MutexGuard<'_, HashMap<LinkId, LinkedComponent>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a link's component, and returns the one before.
    pub(super) fn set(&self, link: LinkId, component: LinkedComponent) -> Option<LinkedComponent> {
        self.lock().insert(link, component)
    }

    fn get(&self, link: LinkId) -> Option<LinkedComponent> {
        self.lock().get(&link).cloned()
    }

    pub(super) fn remove(&self, link: LinkId) {
        let removed = self.lock().remove(&link);
        // Outside the lock: with the last of a plan's handlers goes much else.
        drop(removed);
    }

    pub(super) fn contains(&self, link: LinkId) -> bool {
        self.lock().contains_key(&link)
    }
}

impl Serve for Handlers {
    fn link(&self, request: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        let link = request.name.parse().map(LinkId);
        let known = link.ok().and_then(|link| Some((link, self.get(link)?)));
        let Some((link, component)) = known else {
            return Err(CallError::Unlinked(format!(
                "the provider is the source of no link {}",
                request.name
            )));
        };
        let current = CurrentComponent {
            link,
            handlers: self.clone(),
        };
        match component {
            LinkedComponent::Http(_) if http_wire::is_http(&request.functions) => {
                Ok(http_wire::serve(Arc::new(current)))
            }
            LinkedComponent::Http(_) => Err(CallError::TypeMismatch(
                "the provider speaks another version of HTTP over links".into(),
            )),
            LinkedComponent::Functions(callee)
                if request.functions == link_functions(callee.functions()) =>
            {
                Ok(Arc::new(CalledLink(Arc::new(current))))
            }
            LinkedComponent::Functions(_) => Err(CallError::TypeMismatch(
                "the provider asks for other functions than its link has".into(),
            )),
        }
    }
}

/// Whichever component is at the other end of a link now.
struct CurrentComponent {
    link: LinkId,
    handlers: Handlers,
}

#[async_trait::async_trait]
impl IncomingHandler for CurrentComponent {
    async fn handle(
        &self,
        request: http::Request<Body>,
        deadline: Instant,
    ) -> Result<http::Response<Body>, HttpError> {
        match self.handlers.get(self.link) {
            Some(LinkedComponent::Http(handler)) => handler.handle(request, deadline).await,
            _ => Err(HttpError::new(HttpErrorKind::Exhausted, REMOVED)),
        }
    }
}

/// A link whose functions a provider calls.
struct CalledLink(Arc<CurrentComponent>);

impl ServedLink for CalledLink {
    fn session(&self) -> Arc<dyn ServedSession> {
        self.0.clone()
    }
}

/// Calls of a provider have an instance each, so a session keeps nothing.
impl ServedSession for CurrentComponent {
    fn call(
        self: Arc<Self>,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            match self.handlers.get(self.link) {
                Some(LinkedComponent::Functions(callee)) => {
                    callee.target().call(function, params, context).await
                }
                _ => Err(CallError::Unlinked(REMOVED.into())),
            }
        })
    }

    fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
        // No call gives any out.
        Box::pin(std::future::ready(()))
    }
}

const REMOVED: &str = "the link to the component was removed";
