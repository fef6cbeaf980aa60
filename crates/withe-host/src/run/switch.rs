//! The component behind a link that starts at a provider, which a new plan may replace.
//!
//! A provider is given one handler when its link is made. Plans that are carried out later only turn the switch, so
//! that committing one asks no provider for anything, and cannot fail. A link is made before its plan is committed:
//! what is called meanwhile waits.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::timeout_at;
use withe_provider::{Body, HttpError, HttpErrorKind, IncomingHandler};

/// A handler that can be replaced.
pub(crate) struct Switch {
    /// Read by every request.
    target: ArcSwap<SwitchTarget>,
    /// Changes with `target`, for those that wait for it to open.
    turned: watch::Sender<()>,
}

/// What a switch leads to.
enum SwitchTarget {
    /// Nothing yet: the plan is being prepared.
    Closed,
    /// A component.
    Open(Box<dyn IncomingHandler>),
    /// Nothing any more: the plan was not carried out, or the link has ended.
    Gone,
}

impl Switch {
    /// One that leads to nothing yet.
    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Self {
            target: ArcSwap::from_pointee(SwitchTarget::Closed),
            turned: watch::Sender::default(),
        })
    }

    /// From now on requests reach `handler`; those under way finish where they are.
    pub(crate) fn open(&self, handler: Box<dyn IncomingHandler>) {
        self.turn(SwitchTarget::Open(handler));
    }

    /// From now on requests are refused, and what handled them is let go.
    pub(crate) fn end(&self) {
        self.turn(SwitchTarget::Gone);
    }

    fn turn(&self, target: SwitchTarget) {
        self.target.store(Arc::new(target));
        self.turned.send_replace(());
    }

    /// Waits for a switch that is closed.
    async fn opened(&self) -> Arc<SwitchTarget> {
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

#[async_trait]
impl IncomingHandler for Switch {
    async fn handle(
        &self,
        request: http::Request<Body>,
        deadline: Instant,
    ) -> Result<http::Response<Body>, HttpError> {
        let mut target = self.target.load_full();
        if matches!(*target, SwitchTarget::Closed) {
            target = timeout_at(deadline.into(), self.opened())
                .await
                .map_err(|_| {
                    let why = "the application did not begin before the request's deadline";
                    HttpError::new(HttpErrorKind::Deadline, why)
                })?;
        }
        match &*target {
            SwitchTarget::Open(handler) => handler.handle(request, deadline).await,
            SwitchTarget::Closed | SwitchTarget::Gone => Err(HttpError::new(
                HttpErrorKind::Handler,
                "the link to the component has ended",
            )),
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

    async fn status(switch: &Switch, patience: Duration) -> Result<u16, HttpErrorKind> {
        let request = http::Request::new(empty());
        let answer = switch.handle(request, Instant::now() + patience).await;
        answer
            .map(|response| response.status().as_u16())
            .map_err(|error| error.kind)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_is_called_before_it_opens_waits() {
        let switch = Switch::closed();
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
        let switch = Switch::closed();
        for code in [200, 404] {
            switch.open(Box::new(Status(code)));
            assert_eq!(status(&switch, LONG).await, Ok(code));
        }
        switch.end();
        assert_eq!(status(&switch, LONG).await, Err(HttpErrorKind::Handler));
    }
}
