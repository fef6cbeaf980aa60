//! Whether this thread polls a guest at the moment.
//!
//! A provider in the host is polled by the instance that waits for it, and may call a component meanwhile. Wasmtime runs no
//! store with concurrency within the poll of another, and panics at the attempt: such a call goes to a task of its own. One
//! for every call would cost each request of a server a task, and whoever makes the calls cannot say where it is polled.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Puts things back as they were, also when the guest panics.
struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        INSIDE.set(self.0);
    }
}

/// Whether a guest is polled that waits for whoever asks.
pub(crate) fn is_inside_guest() -> bool {
    INSIDE.get()
}

/// Polls a guest.
pub(crate) fn poll_guest<R>(poll: impl FnOnce() -> R) -> R {
    let _restore = Restore(INSIDE.replace(true));
    poll()
}

/// Runs a guest.
pub(crate) async fn run_guest<F: Future>(guest: F) -> F::Output {
    let mut guest = pin!(guest);
    poll_fn(|cx| poll_guest(|| guest.as_mut().poll(cx))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_guest_waits_for_is_inside_it() {
        assert!(!is_inside_guest());
        run_guest(async {
            assert!(is_inside_guest());
            tokio::task::yield_now().await;
            run_guest(async { assert!(is_inside_guest()) }).await;
            assert!(is_inside_guest());
            let apart = tokio::spawn(async { is_inside_guest() });
            assert!(!apart.await.unwrap());
        })
        .await;
        assert!(!is_inside_guest());
    }
}
