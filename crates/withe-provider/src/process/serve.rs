//! The serving side of a provider's process: its control link, and its links.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout_at;
use withe_rpc::{
    BoxFuture, CallContext, CallError, Client, LinkFunction, LinkRequest, Payload, Serve,
    ServedLink, ServedSession, Session,
};

use super::control::{self, Answer, CONTROL, LinkPeer, LinkPut, ProviderState, Request};
use crate::{
    Call, Callee, Health, IncomingHandler, Link, LinkId, Peer, Provider, ProviderError, blob_wire,
    http_wire,
};

/// A provider, as its process serves it.
pub(super) struct ServedProvider(Arc<Inner>);

struct Inner {
    provider: Arc<dyn Provider>,
    /// The host, where the components are that the provider calls.
    host: Arc<Client>,
    /// The links that were put and not deleted.
    links: Mutex<HashSet<LinkId>>,
}

impl ServedProvider {
    pub(super) fn new(provider: Arc<dyn Provider>, host: Arc<Client>) -> Self {
        Self(Arc::new(Inner {
            provider,
            host,
            links: Mutex::default(),
        }))
    }
}

impl Serve for ServedProvider {
    fn link(&self, request: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        if request.target == CONTROL {
            return if request.functions == control::control_functions() {
                Ok(Arc::new(Control(self.0.clone())))
            } else {
                let why = "the host speaks another version of the provider protocol";
                Err(CallError::TypeMismatch(why.into()))
            };
        }
        let link = request.name.parse().map(LinkId);
        let link = link.ok().filter(|link| self.0.links().contains(link));
        let Some(link) = link else {
            let why = format!("the provider has no link {}", request.name);
            return Err(CallError::Unlinked(why));
        };
        let provider = self.0.provider.clone();
        if http_wire::is_http(&request.functions) {
            return Ok(http_wire::serve_outgoing(provider, link));
        }
        if blob_wire::is_blobs(&request.functions) {
            return Ok(blob_wire::serve(provider, link));
        }
        let caller = request.importer;
        Ok(Arc::new(Called(Arc::new(CalledProvider {
            provider,
            link,
            caller,
        }))))
    }
}

impl Inner {
    fn links(&self) -> MutexGuard<'_, HashSet<LinkId>> {
        // Nothing panics while the lock is held.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request) -> Answer {
        let done = match request {
            Request::Start => self.provider.start().await,
            Request::LinkPut(put) => self.put(put).await,
            Request::LinkDeleted { link, grace_ms } => {
                let grace = Duration::from_millis(grace_ms);
                self.provider.link_deleted(link, grace).await;
                self.links().remove(&link);
                Ok(())
            }
            Request::Health => match self.provider.health().await {
                Health::Healthy => Ok(()),
                Health::Unhealthy(why) => Err(ProviderError(why)),
            },
        };
        match done {
            Ok(()) => Answer::Done(ProviderState {
                endpoints: self.provider.endpoints(),
                outgoing_http: self.provider.outgoing_http().is_some(),
                hands_over: self.provider.sockets().is_some(),
                backend_calls: self.provider.backend_calls(),
            }),
            Err(ProviderError(why)) => Answer::Failed(why),
        }
    }

    async fn put(&self, put: LinkPut) -> Result<(), ProviderError> {
        let id = put.link;
        let peer = match put.peer {
            LinkPeer::Importer(functions) => Peer::Importer(functions.into()),
            LinkPeer::Http => Peer::Http(self.handler(id, put.component.clone())),
            LinkPeer::Callee(functions) => {
                let wanted = control::link_functions(&functions);
                let session = self.session(id, put.component.clone(), wanted);
                Peer::Callee(Callee::new(functions.into(), session))
            }
        };
        let link = Link {
            id,
            name: put.name,
            application: put.application,
            component: put.component,
            config: put.config,
            peer,
        };
        self.provider.link_put(link).await?;
        self.links().insert(id);
        Ok(())
    }

    /// The HTTP handler that a link leads to of which the provider is the source.
    fn handler(&self, link: LinkId, component: String) -> Arc<dyn IncomingHandler> {
        let session = self.session(link, component, http_wire::functions());
        Arc::new(http_wire::IncomingOver(session))
    }

    /// The way to the component at the other end of such a link. The host keeps nothing for a session, so one has
    /// all calls.
    fn session(
        &self,
        link: LinkId,
        component: String,
        functions: Vec<LinkFunction>,
    ) -> Arc<Session> {
        let link = self.host.link(LinkRequest {
            name: link.0.to_string(),
            target: component,
            functions,
            ..LinkRequest::default()
        });
        Arc::new(link.session())
    }
}

struct Control(Arc<Inner>);

impl ServedLink for Control {
    fn session(&self) -> Arc<dyn ServedSession> {
        Arc::new(Self(self.0.clone()))
    }
}

impl ServedSession for Control {
    fn call(
        self: Arc<Self>,
        _: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            let request = control::read_request(&params)
                .map_err(|e| CallError::TypeMismatch(e.to_string()))?;
            let answer = self.0.answer(request);
            let answer = timeout_at(context.deadline.into(), answer).await;
            Ok(control::write_answer(
                &answer.map_err(|_| CallError::Deadline)?,
            ))
        })
    }

    fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
        // The control link gives none out.
        Box::pin(std::future::ready(()))
    }
}

/// A link that is called.
struct Called(Arc<CalledProvider>);

struct CalledProvider {
    provider: Arc<dyn Provider>,
    link: LinkId,
    caller: String,
}

impl ServedLink for Called {
    fn session(&self) -> Arc<dyn ServedSession> {
        self.0.clone()
    }
}

/// A provider has no state of one caller but the resources that it gave it, which the connection keeps.
impl ServedSession for CalledProvider {
    fn call(
        self: Arc<Self>,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            let call = Call {
                link: self.link,
                function,
                params,
                deadline: context.deadline,
                caller: &self.caller,
                trace: context.trace,
            };
            self.provider.call(call).await
        })
    }

    fn drop_handle(self: Arc<Self>, id: u32) -> BoxFuture<'static, ()> {
        self.provider.drop_resource(self.link, id);
        Box::pin(std::future::ready(()))
    }
}
