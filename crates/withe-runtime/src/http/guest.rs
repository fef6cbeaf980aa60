//! The work of a guest on one request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use tokio::task::JoinSet;
use withe_rpc::CallError;

use crate::inside::is_inside_guest;

/// Ends when the guest is done; cancels it when dropped.
pub(super) struct Guest {
    /// `None` once it is in the task.
    work: Option<BoxFuture<'static, Result<(), CallError>>>,
    /// Whether it goes into a task in any case.
    apart: bool,
    task: Option<JoinSet<Result<(), CallError>>>,
}

impl Guest {
    /// A guest that runs where it is polled; within the poll of another guest it goes into a task, for Wasmtime runs no
    /// store within another, nor does a guest take turns there.
    pub(super) fn here(work: impl Future<Output = Result<(), CallError>> + Send + 'static) -> Self {
        Self {
            work: Some(Box::pin(work)),
            apart: false,
            task: None,
        }
    }

    /// A guest that has a task of its own.
    pub(super) fn apart(
        work: impl Future<Output = Result<(), CallError>> + Send + 'static,
    ) -> Self {
        Self {
            apart: true,
            ..Self::here(work)
        }
    }
}

impl Future for Guest {
    type Output = Result<(), CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if (this.apart || is_inside_guest())
            && let Some(work) = this.work.take()
        {
            this.task.get_or_insert_default().spawn(work);
        }
        let ended = match (&mut this.work, &mut this.task) {
            (Some(work), _) => return work.as_mut().poll(cx),
            (None, Some(task)) => ready!(task.poll_join_next(cx)),
            (None, None) => None,
        };
        Poll::Ready(match ended {
            Some(Ok(result)) => result,
            Some(Err(e)) => Err(CallError::Trap(format!("the call was not finished: {e}"))),
            None => Err(CallError::Trap("the call was not begun".into())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inside::run_guest;

    /// Waits once, and then says whether it is polled within a guest.
    async fn asks() -> Result<(), CallError> {
        tokio::task::yield_now().await;
        match is_inside_guest() {
            true => Err(CallError::Trap("inside".into())),
            false => Ok(()),
        }
    }

    #[tokio::test]
    async fn a_guest_that_is_polled_within_another_goes_into_a_task() {
        assert_eq!(Guest::here(asks()).await, Ok(()));
        assert_eq!(run_guest(Guest::here(asks())).await, Ok(()));
        assert_eq!(Guest::apart(asks()).await, Ok(()));
        // Also one that began outside.
        let mut begun = Guest::here(asks());
        assert!(futures::poll!(&mut begun).is_pending());
        assert!(begun.task.is_none());
        assert_eq!(run_guest(begun).await, Ok(()));
    }
}
