//! The component behind a link that starts at a provider, which a new plan may replace.
//!
//! A provider is given one handler, or one set of functions, when its link is made. Plans that are carried out later only turn the switch, so
//! that committing one asks no provider for anything, and cannot fail. A link is made before its plan is committed:
//! what is called meanwhile waits.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::timeout_at;
use withe_provider::{
    Body, BoxFuture, CallContext, CallError, CallTarget, Callee, FunctionName, HttpError,
    HttpErrorKind, IncomingHandler, Payload, Peer,
};

/// A target of calls that can be replaced.
pub(crate) struct Switch<T: ?Sized> {
    /// Read by every call.
    target: ArcSwap<SwitchTarget<T>>,
    /// Changes with `target`, for those that wait for it to open.
    turned: watch::Sender<()>,
}

/// The target of a switch.
enum SwitchTarget<T: ?Sized> {
    /// Nothing yet: the plan is being prepared.
    Closed,
    /// A component.
    Open(Box<T>),
    /// Nothing any more: the plan was not carried out, or the link has ended.
    Gone,
}

impl<T: ?Sized> Switch<T> {
    /// One that leads to nothing yet.
    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Self {
            target: ArcSwap::from_pointee(SwitchTarget::Closed),
            turned: watch::Sender::default(),
        })
    }

    /// From now on calls reach `target`; those under way finish where they are.
    pub(crate) fn open(&self, target: Box<T>) {
        self.turn(SwitchTarget::Open(target));
    }

    /// From now on calls are refused, and what took them is let go.
    pub(crate) fn end(&self) {
        self.turn(SwitchTarget::Gone);
    }

    fn turn(&self, target: SwitchTarget<T>) {
        self.target.store(Arc::new(target));
        self.turned.send_replace(());
    }

    /// The switch's target. Waits until `deadline` for a switch that is closed; `None` if it is closed then.
    async fn leads_to(&self, deadline: Instant) -> Option<Arc<SwitchTarget<T>>> {
        let target = self.target.load_full();
        if !matches!(*target, SwitchTarget::Closed) {
            return Some(target);
        }
        timeout_at(deadline.into(), self.opened()).await.ok()
    }

    async fn opened(&self) -> Arc<SwitchTarget<T>> {
        let mut turned = self.turned.subscribe();
        loop {
            turned.mark_unchanged();
            let target = self.target.load_full();
            if !matches!(*target, SwitchTarget::Closed) {
                return target;
            }
            // The sender lives as long as the switch.
            _ = turned.changed().await;
        }
    }
}

/// Why a link that starts at a provider leads nowhere.
const ENDED: &str = "the link to the component has ended";

#[async_trait]
impl IncomingHandler for Switch<dyn IncomingHandler> {
    async fn handle(
        &self,
        request: http::Request<Body>,
        deadline: Instant,
    ) -> Result<http::Response<Body>, HttpError> {
        let target = self.leads_to(deadline).await.ok_or_else(|| {
            let why = "the application did not begin before the request's deadline";
            HttpError::new(HttpErrorKind::Deadline, why)
        })?;
        match &*target {
            SwitchTarget::Open(handler) => handler.handle(request, deadline).await,
            SwitchTarget::Closed | SwitchTarget::Gone => {
                Err(HttpError::new(HttpErrorKind::Handler, ENDED))
            }
        }
    }
}

impl CallTarget for Switch<dyn CallTarget> {
    fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'_, Result<Payload, CallError>> {
        Box::pin(async move {
            let target = self.leads_to(context.deadline).await;
            match target.as_deref() {
                Some(SwitchTarget::Open(target)) => target.call(function, params, context).await,
                Some(SwitchTarget::Closed | SwitchTarget::Gone) => {
                    Err(CallError::Unlinked(ENDED.into()))
                }
                None => Err(CallError::Deadline),
            }
        })
    }
}

/// The target of a link that starts at a provider.
pub(crate) enum SourceTarget {
    /// A component that handles HTTP requests.
    Http(Box<dyn IncomingHandler>),
    /// A component that exports these functions.
    Functions(Arc<[FunctionName]>, Box<dyn CallTarget>),
}

/// The switch of such a link.
#[derive(Clone)]
pub(crate) enum SourceSwitch {
    Http(Arc<Switch<dyn IncomingHandler>>),
    Functions(Arc<[FunctionName]>, Arc<Switch<dyn CallTarget>>),
}

impl SourceSwitch {
    /// One for `target`, which leads to nothing yet.
    pub(crate) fn closed(target: &SourceTarget) -> Self {
        match target {
            SourceTarget::Http(_) => Self::Http(Switch::closed()),
            SourceTarget::Functions(names, _) => Self::Functions(names.clone(), Switch::closed()),
        }
    }

    /// Whether it can lead to `target`: the provider knows the functions by their places.
    pub(crate) fn fits(&self, target: &SourceTarget) -> bool {
        match (self, target) {
            (Self::Http(_), SourceTarget::Http(_)) => true,
            (Self::Functions(ours, _), SourceTarget::Functions(theirs, _)) => ours == theirs,
            _ => false,
        }
    }

    /// See [`Switch::open`]; the target is one that [`fits`](Self::fits).
    pub(crate) fn open(&self, target: SourceTarget) {
        match (self, target) {
            (Self::Http(switch), SourceTarget::Http(handler)) => switch.open(handler),
            (Self::Functions(_, switch), SourceTarget::Functions(_, target)) => switch.open(target),
            _ => tracing::error!("a link was to lead to what its provider cannot call"),
        }
    }

    /// See [`Switch::end`].
    pub(crate) fn end(&self) {
        match self {
            Self::Http(switch) => switch.end(),
            Self::Functions(_, switch) => switch.end(),
        }
    }

    /// The component, as the provider is given it.
    pub(crate) fn peer(&self) -> Peer {
        match self {
            Self::Http(switch) => Peer::Http(switch.clone()),
            Self::Functions(names, switch) => {
                Peer::Callee(Callee::new(names.clone(), switch.clone()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::{BodyExt as _, Empty};

    use super::*;

    struct Status(u16);

    #[async_trait]
    impl IncomingHandler for Status {
        async fn handle(
            &self,
            _: http::Request<Body>,
            _: Instant,
        ) -> Result<http::Response<Body>, HttpError> {
            let mut response = http::Response::new(empty());
            *response.status_mut() = self.0.try_into().unwrap();
            Ok(response)
        }
    }

    fn empty() -> Body {
        Empty::new().map_err(|never| match never {}).boxed_unsync()
    }

    async fn status(
        switch: &Switch<dyn IncomingHandler>,
        patience: Duration,
    ) -> Result<u16, HttpErrorKind> {
        let request = http::Request::new(empty());
        let answer = switch.handle(request, Instant::now() + patience).await;
        answer
            .map(|response| response.status().as_u16())
            .map_err(|error| error.kind)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_is_called_before_it_opens_waits() {
        let switch = Switch::<dyn IncomingHandler>::closed();
        assert_eq!(
            status(&switch, Duration::ZERO).await,
            Err(HttpErrorKind::Deadline)
        );
        let waiting = tokio::spawn({
            let switch = switch.clone();
            async move { status(&switch, LONG).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        switch.open(Box::new(Status(200)));
        assert_eq!(waiting.await.unwrap(), Ok(200));
    }

    #[tokio::test]
    async fn it_leads_where_it_was_turned_last() {
        let switch = Switch::<dyn IncomingHandler>::closed();
        for code in [200, 404] {
            switch.open(Box::new(Status(code)));
            assert_eq!(status(&switch, LONG).await, Ok(code));
        }
        switch.end();
        assert_eq!(status(&switch, LONG).await, Err(HttpErrorKind::Handler));
    }
}
