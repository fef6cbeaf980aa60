//! A link as requests meet it: the component at its other end, its policy, and the requests under way.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use withe_provider::{HttpError, IncomingHandler, LineBudget};

use crate::cors::Cors;
use crate::methods::AllowedMethods;
use crate::stop::Stop;
use crate::transfer::Pace;

/// One version of a link. Requests keep the version they started with.
pub(crate) struct HttpRoute {
    /// The application and component at the other end, for people.
    pub(crate) name: String,
    pub(crate) handler: Arc<dyn IncomingHandler>,
    pub(crate) limits: RequestLimits,
    /// The methods that are let through; all of them if there is none.
    pub(crate) methods: Option<AllowedMethods>,
    /// Whether each request has a line in the log.
    pub(crate) access_log: bool,
    /// Whether the connection closes after each response.
    pub(crate) close: bool,
    /// For responses that do not say themselves.
    pub(crate) cache_control: Option<HeaderValue>,
    pub(crate) cors: Option<Cors>,
    pub(crate) work: Arc<Work>,
}

/// How long a request may take, and how much it may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestLimits {
    /// From the request's head to the response's.
    pub(crate) response: Duration,
    /// Between two parts of a body, in either direction.
    pub(crate) idle: Duration,
    /// From the request's head to the end of the response's body.
    pub(crate) request: Option<Duration>,
    /// How slow the client may be over either body.
    pub(crate) pace: Pace,
    /// The most bytes of a request's body.
    pub(crate) body: Option<u64>,
}

/// A link's requests under way, whichever version of the link they started with.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Holds a token for each until its response is sent.
    pub(crate) requests: TaskTracker,
    /// Given when they have to end.
    pub(crate) stop: Stop,
    /// For those that fail.
    failures: LineBudget,
}

impl Work {
    /// Counts a request as under way until what this returns is dropped; `None` if the link has ended, for then nobody
    /// waits for its requests any more.
    pub(crate) fn begin(&self) -> Option<TaskTrackerToken> {
        let token = self.requests.token();
        // The check comes after the request was counted: the end of the link closes first, and counts then.
        (!self.requests.is_closed()).then_some(token)
    }
}

impl HttpRoute {
    /// Logs that something became of a request which should not have, with the status that was answered if there is one.
    /// Clients can cause that as often as they like, so not all of it is logged.
    pub(crate) fn failed(&self, what: &str, status: Option<StatusCode>, why: &HttpError) {
        let Some(dropped) = self.work.failures.line() else {
            return;
        };
        let (component, status) = (&self.name, status.map(|status| status.as_u16()));
        if dropped > 0 {
            tracing::warn!(component, "{dropped} more of its requests failed");
        }
        tracing::warn!(component, status, "{what}: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_link_that_has_ended_begins_no_requests_and_waits_for_those_that_began() {
        let work = Work::default();
        let begun = work.begin().unwrap();
        work.requests.close();
        assert!(work.begin().is_none());
        assert_eq!(work.requests.len(), 1);
        drop(begun);
        work.requests.wait().await;
    }
}
