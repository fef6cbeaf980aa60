//! Listening sockets that a provider hands to a successor in another process.
//!
//! Within one process a successor is given whatever it knows how to use ([`Handover`](crate::Handover)). Between two
//! processes only descriptors can go, so a provider says which sockets it listens on, and its successor is given
//! duplicates of them: both have the same queue of connections, and none is refused when the predecessor closes its own.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// A socket that a provider listens on.
#[derive(Debug)]
pub struct ListeningSocket {
    /// The address that was asked for, perhaps with port 0.
    pub asked: SocketAddr,
    /// Who asked for it: a text that the successor knows again.
    pub name: String,
    /// The socket.
    pub socket: TcpListener,
}

/// The sockets of a predecessor in another process, as [`take_over`](crate::Provider::take_over) is given them in a
/// [`Handover`](crate::Handover).
#[derive(Debug)]
pub struct InheritedSockets {
    sockets: Mutex<Vec<ListeningSocket>>,
    left: CancellationToken,
}

impl InheritedSockets {
    /// The sockets of a predecessor that accepts no more connections when `left` is cancelled.
    pub fn new(sockets: Vec<ListeningSocket>, left: CancellationToken) -> Self {
        Self {
            sockets: Mutex::new(sockets),
            left,
        }
    }

    /// The first of them that is meant, which is then no longer among them.
    pub fn take(&self, is_meant: impl Fn(&ListeningSocket) -> bool) -> Option<ListeningSocket> {
        let mut sockets = self.lock();
        let place = sockets.iter().position(is_meant)?;
        Some(sockets.swap_remove(place))
    }

    /// Cancelled when it is the successor's turn to accept connections: the predecessor does no more.
    pub fn left(&self) -> &CancellationToken {
        &self.left
    }

    /// Closes those that nobody took: what the successor does not listen on is nobody's.
    pub fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ListeningSocket>> {
        // Nothing panics while the lock is held.
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
