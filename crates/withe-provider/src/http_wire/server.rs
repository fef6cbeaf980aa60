//! The side that answers requests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use tokio::task::JoinSet;
use withe_rpc::codec::{Reader, Writer};
use withe_rpc::{
    BoxFuture, CallContext, CallError, Payload, ServedLink, ServedSession, TraceContext,
};

use super::body::{self, Pump, Received};
use super::exchange::HANDLE;
use super::head::{self, Malformed};
use crate::{Body, HttpError, HttpErrorKind, IncomingHandler, LinkId, Provider, RequestOptions};

/// About as many bytes as a response's head has.
const HEAD: usize = 512;

/// Serves requests to a component. They have among their extensions what was asked of them ([`RequestOptions`]), and
/// their trace, if they are part of one.
pub fn serve(handler: Arc<dyn IncomingHandler>) -> Arc<dyn ServedLink> {
    Arc::new(HttpLink(Arc::new(handler)))
}

/// Serves requests that a provider is to send over `link`.
pub fn serve_outgoing(provider: Arc<dyn Provider>, link: LinkId) -> Arc<dyn ServedLink> {
    Arc::new(HttpLink(Arc::new(OutgoingHttp { provider, link })))
}

/// Whoever answers requests.
#[async_trait::async_trait]
trait Handle: Send + Sync + 'static {
    async fn handle(
        &self,
        request: Request<Body>,
        options: RequestOptions,
        deadline: Instant,
    ) -> Result<Response<Body>, HttpError>;
}

#[async_trait::async_trait]
impl Handle for Arc<dyn IncomingHandler> {
    async fn handle(
        &self,
        mut request: Request<Body>,
        options: RequestOptions,
        deadline: Instant,
    ) -> Result<Response<Body>, HttpError> {
        request.extensions_mut().insert(options);
        IncomingHandler::handle(&**self, request, deadline).await
    }
}

struct OutgoingHttp {
    provider: Arc<dyn Provider>,
    link: LinkId,
}

#[async_trait::async_trait]
impl Handle for OutgoingHttp {
    async fn handle(
        &self,
        request: Request<Body>,
        options: RequestOptions,
        _: Instant,
    ) -> Result<Response<Body>, HttpError> {
        let Some(handler) = self.provider.outgoing_http() else {
            let message = "the provider sends no HTTP requests";
            return Err(HttpError::new(HttpErrorKind::Denied, message));
        };
        handler.send(self.link, request, options).await
    }
}

struct HttpLink(Arc<dyn Handle>);

impl ServedLink for HttpLink {
    fn session(&self) -> Arc<dyn ServedSession> {
        Arc::new(HttpSession {
            handle: self.0.clone(),
            pumps: Mutex::default(),
        })
    }
}

struct HttpSession {
    handle: Arc<dyn Handle>,
    /// The tasks that send the rest of responses' bodies. Each ends with its stream, at the latest; all end with the
    /// session.
    pumps: Mutex<JoinSet<()>>,
}

impl ServedSession for HttpSession {
    fn call(
        self: Arc<Self>,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            if function != HANDLE {
                let why = format!("a link that carries HTTP has no function {function}");
                return Err(CallError::TypeMismatch(why));
            }
            let (request, options) = read(params, context.trace).map_err(|why| {
                CallError::TypeMismatch(format!("what came is no HTTP request: {why}"))
            })?;
            let mut w = Writer::with_capacity(HEAD);
            match self.handle.handle(request, options, context.deadline).await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    w.byte(0);
                    head::write_response(&mut w, &head);
                    let (payload, pump) = body::write(w, body).await;
                    pump.into_iter().for_each(|pump| self.keep(pump));
                    Ok(payload)
                }
                Err(error) => {
                    w.byte(1);
                    head::write_error(&mut w, &error);
                    Ok(w.finish())
                }
            }
        })
    }

    fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
        // The link gives none out.
        Box::pin(std::future::ready(()))
    }
}

impl HttpSession {
    fn keep(&self, pump: Pump) {
        // Nothing panics while the lock is held.
        let mut pumps = self.pumps.lock().unwrap_or_else(PoisonError::into_inner);
        while pumps.try_join_next().is_some() {}
        pumps.spawn(pump);
    }
}

fn read(
    params: Payload,
    trace: Option<TraceContext>,
) -> Result<(Request<Body>, RequestOptions), Malformed> {
    let all = Bytes::from(params.bytes);
    let mut r = Reader::from_bytes(&all);
    let (mut head, options) = head::read_request(&mut r)?;
    if let Some(trace) = trace {
        head.extensions_mut().insert(trace);
    }
    let body = Received::read(&mut r, &all, params.streams)?;
    Ok((
        head.map(|()| body.into_body(None::<Arc<()>>, None)),
        options,
    ))
}
