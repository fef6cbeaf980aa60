//! A call, as the side that makes it has it.

use std::sync::Arc;
use std::task::Waker;

use super::placed::PlacedSession;
use crate::assembly::Partial;
use crate::frame::Failure;
use crate::{CallError, Payload};

/// A call that was sent and not answered in full. There is one answer to each, also to those that were
/// cancelled, so that a number is not used again before that.
pub(super) struct SentCall {
    pub(super) place: Arc<PlacedSession>,
    pub(super) partial: Option<Partial>,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    Waiting(Option<Waker>),
    Answered(Result<Payload, Failure>),
    /// Nobody waits for the answer any more.
    Abandoned,
}

/// A call that was not answered with a result.
#[derive(Debug)]
pub(super) struct NoResult {
    pub(super) why: CallError,
    pub(super) begun: Begun,
    /// The parameters, if they can be sent again: those that were not sent yet, and those that were and
    /// mention neither handles nor streams, unless the call certainly was begun.
    pub(super) again: Option<Payload>,
}

/// Whether a call was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// Certainly not. The call may be made again.
    No,
    /// Nothing is linked there, or the target cannot be asked. If no call of the session was begun
    /// before, it may be made elsewhere.
    Refused,
    /// The call may have begun.
    Perhaps,
    /// The call was answered, or failed on this side.
    Over,
}

impl NoResult {
    pub(super) fn not_begun(why: CallError, params: Payload) -> Self {
        Self {
            why,
            begun: Begun::No,
            again: Some(params),
        }
    }
}

impl From<CallError> for NoResult {
    fn from(why: CallError) -> Self {
        Self {
            why,
            begun: Begun::Over,
            again: None,
        }
    }
}

impl SentCall {
    /// Whether a part of a result may come for it.
    pub(super) fn expects(&self, first: bool) -> bool {
        match self.partial {
            Some(_) => !first,
            None => first && !matches!(self.stage, Stage::Answered(_)),
        }
    }

    /// Stores the result for the caller; returns the waker of a caller that waits for it.
    pub(super) fn answer(&mut self, result: Result<Payload, Failure>) -> Option<Waker> {
        match std::mem::replace(&mut self.stage, Stage::Answered(result)) {
            Stage::Waiting(waker) => waker,
            // The caller already has its result, or has gone.
            stage => {
                self.stage = stage;
                None
            }
        }
    }
}
