//! Keeps a panic of what is served to the one call that it is in.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use crate::transport::BoxFuture;

/// Calls `f`; a panic of it is its text.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    // Whatever panicked is dropped and not looked at again.
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| text(&*panic))
}

/// Polls once, without being told when to poll again.
pub(crate) fn poll_once<T>(future: &mut BoxFuture<'static, T>) -> Poll<Result<T, String>> {
    poll(future, &mut Context::from_waker(Waker::noop()))
}

/// Waits for a future.
pub(crate) async fn caught<T>(future: &mut BoxFuture<'static, T>) -> Result<T, String> {
    poll_fn(|cx| poll(future, cx)).await
}

fn poll<T>(future: &mut BoxFuture<'static, T>, cx: &mut Context<'_>) -> Poll<Result<T, String>> {
    match catch(|| future.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(panic) => Poll::Ready(Err(panic)),
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    match text {
        Some(text) => format!("panicked: {text}"),
        None => "panicked".into(),
    }
}
