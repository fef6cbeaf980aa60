//! Keeps a panic of what is served to the one call that it is in.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use crate::transport::BoxFuture;

/// A panic of the served target; with its message, if that is a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Panicked(Option<String>);

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(message) => write!(f, "panicked: {message}"),
            None => f.write_str("panicked"),
        }
    }
}

impl std::error::Error for Panicked {}

/// Calls `f`, and keeps a panic of it.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Panicked> {
    // Whatever panicked is dropped and not looked at again.
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| panicked(&*panic))
}

/// Polls once, without being told when to poll again.
pub(crate) fn poll_once<T>(future: &mut BoxFuture<'static, T>) -> Poll<Result<T, Panicked>> {
    poll(future, &mut Context::from_waker(Waker::noop()))
}

/// Waits for a future.
pub(crate) async fn caught<T>(future: &mut BoxFuture<'static, T>) -> Result<T, Panicked> {
    poll_fn(|cx| poll(future, cx)).await
}

fn poll<T>(future: &mut BoxFuture<'static, T>, cx: &mut Context<'_>) -> Poll<Result<T, Panicked>> {
    match catch(|| future.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(panic) => Poll::Ready(Err(panic)),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Panicked {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    Panicked(text.or_else(|| panic.downcast_ref::<String>().cloned()))
}
