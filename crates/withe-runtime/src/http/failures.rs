//! Reports a failure behind a link: the whole to the log, and to the calling component no more than concerns it.
//!
//! Why a component failed is for people: the text names its functions, and has its last words. Over links that carry
//! functions a trap traps the caller, too, so no guest reads it. Over this one the caller goes on, in another process or on
//! another host perhaps, and is told only that the component failed. An `error-code` that a component answers is its own
//! word to its caller, and comes as it is.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use withe_provider::{Body, HttpError, HttpErrorKind, LineBudget};

use crate::guest_log::printable;
use crate::spec::LinkSpec;

/// The longest reason that is logged whole, in bytes.
const LONGEST: usize = 4 << 10;

/// Where failures of a link's requests are told.
pub(crate) struct LinkFailures {
    spec: Arc<LinkSpec>,
    /// Callers cause failures as often as they like.
    lines: LineBudget,
}

impl LinkFailures {
    pub(crate) fn new(spec: Arc<LinkSpec>) -> Self {
        Self {
            spec,
            lines: LineBudget::default(),
        }
    }

    /// The answer as the calling component may see it, a failure of which is logged, also one of the response's body.
    pub(super) fn told(
        self: &Arc<Self>,
        answer: Result<http::Response<Body>, HttpError>,
    ) -> Result<http::Response<Body>, HttpError> {
        match answer {
            Ok(response) => {
                let failures = self.clone();
                let tell = move |error| failures.tell("the response broke off", error);
                Ok(response.map(|body| body.map_err(tell).boxed_unsync()))
            }
            Err(error) => Err(self.tell("the request failed", error)),
        }
    }

    /// Logs a failure; what of it is for the calling component.
    fn tell(&self, what: &str, error: HttpError) -> HttpError {
        let LinkSpec {
            source,
            target_name,
            ..
        } = &*self.spec;
        if let Some(dropped) = self.lines.line() {
            if dropped > 0 {
                tracing::warn!(
                    component = source,
                    "{dropped} more requests to `{target_name}` failed"
                );
            }
            // Some of it is as a component wants it.
            let why = printable(&error.message, LONGEST);
            tracing::warn!(component = source, "to `{target_name}`: {what}: {why}");
        }
        for_component(target_name, error)
    }
}

fn for_component(target: &str, error: HttpError) -> HttpError {
    let message = match error.kind {
        HttpErrorKind::Handler => format!("`{target}` failed"),
        // The text is the `rcode`.
        HttpErrorKind::Dns => error.message,
        _ => format!("`{target}`: {}", error.message),
    };
    HttpError::new(error.kind, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_told_that_another_failed_and_not_why() {
        let trap = HttpError::new(
            HttpErrorKind::Handler,
            "unreachable, in `f`, with the last words \"x\"",
        );
        assert_eq!(for_component("shop", trap).message, "`shop` failed");
        let answer = HttpError::new(HttpErrorKind::Internal, "sold out");
        assert_eq!(for_component("shop", answer).message, "`shop`: sold out");
    }
}
