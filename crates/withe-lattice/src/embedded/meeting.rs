//! The listeners for messages and the servers of requests.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::backlog::Recent;
use crate::feed::Feed;
use crate::keys::has_prefix;
use crate::{LatticeError, Message, Messages, Request, Requests};

/// Requests that may wait for one who serves them. A caller beyond that waits with them.
const WAITING: usize = 64;

#[derive(Default)]
pub(super) struct Meeting {
    listeners: Vec<(String, Feed<Recent>)>,
    servers: HashMap<String, Vec<mpsc::Sender<Request>>>,
}

impl Meeting {
    pub(super) fn listen(&mut self, prefix: &str) -> Messages {
        self.listeners.retain(|(_, feed)| !feed.is_unread());
        let (feed, messages) = Feed::new(Recent::new());
        self.listeners.push((prefix.into(), feed));
        messages
    }

    pub(super) fn publish(&mut self, subject: &str, payload: &Bytes) {
        self.listeners.retain(|(_, feed)| !feed.is_unread());
        for (_, feed) in self
            .listeners
            .iter()
            .filter(|(prefix, _)| has_prefix(subject, prefix))
        {
            let message = Message {
                subject: subject.into(),
                payload: payload.clone(),
            };
            feed.tell(|recent| recent.push(message));
        }
    }

    pub(super) fn serve(&mut self, subject: &str) -> Requests {
        self.servers.retain(|_, servers| {
            servers.retain(|server| !server.is_closed());
            !servers.is_empty()
        });
        let (sender, requests) = mpsc::channel(WAITING);
        self.servers.entry(subject.into()).or_default().push(sender);
        requests
    }

    /// One who serves the subject: each in turn, if there are several.
    pub(super) fn server(&mut self, subject: &str) -> Option<mpsc::Sender<Request>> {
        let servers = self.servers.get_mut(subject)?;
        servers.retain(|server| !server.is_closed());
        if servers.is_empty() {
            return None;
        }
        servers.rotate_left(1);
        servers.last().cloned()
    }
}

/// Asks one who serves the subject.
///
/// # Errors
///
/// Returns an error when the server is gone, does not answer, or is late.
pub(super) async fn ask(
    server: mpsc::Sender<Request>,
    subject: &str,
    payload: Bytes,
    limit: Duration,
) -> Result<Bytes, LatticeError> {
    let (answer, answered) = oneshot::channel();
    let asked = async {
        let request = Request { payload, answer };
        if server.send(request).await.is_err() {
            return Err(LatticeError::NobodyServes(subject.into()));
        }
        // A server that drops the request unanswered counts as one that is late.
        answered
            .await
            .map_err(|_| LatticeError::Timeout(subject.into()))
    };
    match timeout(limit, asked).await {
        Ok(result) => result,
        Err(_) => Err(LatticeError::Timeout(subject.into())),
    }
}
