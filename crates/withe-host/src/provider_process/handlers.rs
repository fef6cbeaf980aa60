//! The components that a provider's process calls, served to it on a socket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use withe_provider::{Body, HttpError, HttpErrorKind, IncomingHandler, LinkId, http_wire};
use withe_rpc::{CallError, LinkRequest, Serve, ServedLink};

/// The components at the other ends of a provider's links, by the link.
#[derive(Clone, Default)]
pub(super) struct Handlers(Arc<Mutex<HashMap<LinkId, Arc<dyn IncomingHandler>>>>);

impl Handlers {
    fn lock(&self) -> MutexGuard<'_, HashMap<LinkId, Arc<dyn IncomingHandler>>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a link's component, and returns the one before.
    pub(super) fn set(
        &self,
        link: LinkId,
        handler: Arc<dyn IncomingHandler>,
    ) -> Option<Arc<dyn IncomingHandler>> {
        self.lock().insert(link, handler)
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
        let link = link.ok().filter(|link| self.contains(*link));
        match link {
            Some(link) if http_wire::is_http(&request.functions) => {
                let component = Component {
                    link,
                    handlers: self.clone(),
                };
                Ok(http_wire::serve(Arc::new(component)))
            }
            Some(_) => Err(CallError::TypeMismatch(
                "the provider speaks another version of HTTP over links".into(),
            )),
            None => Err(CallError::Unlinked(format!(
                "the provider is the source of no link {}",
                request.name
            ))),
        }
    }
}

/// Whichever component is at the other end of a link now.
struct Component {
    link: LinkId,
    handlers: Handlers,
}

#[async_trait::async_trait]
impl IncomingHandler for Component {
    async fn handle(
        &self,
        request: http::Request<Body>,
        deadline: Instant,
    ) -> Result<http::Response<Body>, HttpError> {
        let handler = self.handlers.lock().get(&self.link).cloned();
        match handler {
            Some(handler) => handler.handle(request, deadline).await,
            None => {
                let message = "the link to the component was removed";
                Err(HttpError::new(HttpErrorKind::Exhausted, message))
            }
        }
    }
}
