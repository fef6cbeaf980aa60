//! A connection to NATS that speaks v1's wire.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::task::JoinSet;
use tokio::time::timeout;
use withe_rpc::CallError;

use super::limits::Limits;
use super::mailbox::{Mailbox, MailboxSide, silent};
use super::names;

/// How long the broker may take to answer.
const SETTLE: Duration = Duration::from_secs(10);

/// How many messages go before streams to a callee that has just begun to listen. v1's transport, when it is late,
/// takes each of them with the same probability as it begins to listen.
const RUN_UP: usize = 16;

/// The messages of one stream, as they go over the wire.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, CallError>> + Send>>;

/// Values on their way out: encoded, and the streams in them by their paths.
pub(crate) struct OutgoingValues {
    pub(crate) bytes: Bytes,
    pub(crate) streams: Vec<(String, Messages)>,
}

impl OutgoingValues {
    /// Outgoing without streams.
    pub(crate) fn plain(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            streams: Vec::new(),
        }
    }
}

/// v1's wire over one connection to NATS. Cloned, it is the same one; dropped, what is under way ends.
#[derive(Clone, Debug)]
pub struct V1Wire {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: async_nats::Client,
    /// The prefix of all inboxes of this connection, with the dot.
    inbox: String,
    mailbox: Arc<Mailbox>,
    limits: Limits,
    /// Takes what comes to the inboxes, as long as the wire is there.
    _receiver: JoinSet<()>,
    /// Streams that go on when the call that began them has returned.
    streams: Mutex<JoinSet<()>>,
}

impl V1Wire {
    /// Begins to speak v1's wire over `client`.
    ///
    /// # Errors
    ///
    /// If the connection is closed.
    pub async fn open(client: async_nats::Client, limits: Limits) -> Result<Self, CallError> {
        let mut inbox = client.new_inbox();
        inbox.push('.');
        let mut subscriber = client
            .subscribe(format!("{inbox}>"))
            .await
            .map_err(|e| CallError::Unreachable(format!("cannot subscribe to an inbox: {e}")))?;
        let mailbox = Arc::new(Mailbox::new(limits.clone()));
        let mut receiver = JoinSet::new();
        let (prefix, boxes) = (inbox.len(), mailbox.clone());
        receiver.spawn(async move {
            while let Some(message) = subscriber.next().await {
                boxes.deliver(prefix, message);
            }
            let text = "the connection to NATS was closed";
            boxes.close(CallError::Unreachable(text.into()));
        });
        Ok(Self {
            inner: Arc::new(Inner {
                client,
                inbox,
                mailbox,
                limits,
                _receiver: receiver,
                streams: Mutex::default(),
            }),
        })
    }

    /// The connection.
    pub fn client(&self) -> &async_nats::Client {
        &self.inner.client
    }

    /// Waits until the broker has taken all that was sent before, such as subscriptions.
    ///
    /// # Errors
    ///
    /// If it does not within [`SETTLE`].
    pub(crate) async fn settle(&self) -> Result<(), CallError> {
        // The broker takes what comes over a connection in order, so it has when a message to
        // ourselves comes back.
        let (exchange, mut readers) = self.mailbox().open(MailboxSide::Client, &[]);
        let subject = format!("{}.results", self.inbox(exchange.id));
        self.publisher().end(&subject.into()).await?;
        match timeout(SETTLE, readers.root.next()).await {
            Ok(None) => Ok(()),
            Ok(Some(Err(why))) => Err(why),
            _ => Err(CallError::Unreachable(format!(
                "NATS does not answer within {} s",
                SETTLE.as_secs()
            ))),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.inner.mailbox
    }

    /// The inbox of the invocation `id`.
    pub(crate) fn inbox(&self, id: u64) -> Subject {
        format!("{}{id}", self.inner.inbox).into()
    }

    pub(crate) fn publisher(&self) -> Publisher {
        Publisher {
            client: self.inner.client.clone(),
            limits: self.inner.limits.clone(),
        }
    }

    /// Lets `stream` go on until it ends by itself, or the wire is dropped.
    ///
    /// # Errors
    ///
    /// If there are too many.
    pub(crate) fn spawn(
        &self,
        stream: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), CallError> {
        let mut streams = (self.inner.streams.lock()).unwrap_or_else(PoisonError::into_inner);
        while streams.try_join_next().is_some() {}
        let limit = self.inner.limits.streams;
        if streams.len() >= limit {
            return Err(CallError::Exhausted(format!(
                "{limit} streams of wasmCloud v1 calls are open"
            )));
        }
        streams.spawn(stream);
        Ok(())
    }
}

/// Sends messages.
#[derive(Clone)]
pub(crate) struct Publisher {
    client: async_nats::Client,
    limits: Limits,
}

impl Publisher {
    /// The most bytes that the broker takes in a message.
    pub(crate) fn max_payload(&self) -> usize {
        // A broker that takes nothing cannot be talked to; one byte at a time it says so itself.
        self.client.max_payload().max(1)
    }

    /// Sends a message that asks for an answer.
    pub(crate) async fn ask(
        &self,
        subject: String,
        reply: Subject,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<(), CallError> {
        let sent = match headers {
            Some(headers) => {
                let sent = self
                    .client
                    .publish_with_reply_and_headers(subject, reply, headers, payload);
                sent.await
            }
            None => {
                self.client
                    .publish_with_reply(subject, reply, payload)
                    .await
            }
        };
        sent.map_err(unsent)
    }

    async fn publish(&self, subject: Subject, payload: Bytes) -> Result<(), CallError> {
        self.client.publish(subject, payload).await.map_err(unsent)
    }

    /// Sends `bytes` in as many messages as it takes, and ends the subject.
    async fn send(&self, subject: &Subject, mut bytes: Bytes) -> Result<(), CallError> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(self.max_payload().min(bytes.len()));
            self.publish(subject.clone(), piece).await?;
        }
        self.end(subject).await
    }

    /// Ends a subject.
    pub(crate) async fn end(&self, subject: &Subject) -> Result<(), CallError> {
        self.publish(subject.clone(), Bytes::new()).await
    }

    /// Sends messages that may be lost to `inbox`, before others that must not be.
    pub(crate) async fn run_up(&self, inbox: &str) -> Result<(), CallError> {
        for _ in 0..RUN_UP {
            self.end(&names::nowhere(inbox)).await?;
        }
        Ok(())
    }

    /// Sends values to `base`, then what their streams have until all have ended.
    pub(crate) async fn send_values(
        &self,
        base: &str,
        values: OutgoingValues,
    ) -> Result<(), CallError> {
        self.send(&base.into(), values.bytes).await?;
        let streams = values
            .streams
            .into_iter()
            .map(|(path, messages)| async move {
                let subject = names::at(base, &path).into();
                let sent = self.send_stream(&subject, messages).await;
                // However it ended, the other side is not to wait for more.
                let ended = self.end(&subject).await;
                sent.and(ended)
            });
        let ended = futures::future::join_all(streams).await;
        ended.into_iter().collect()
    }

    async fn send_stream(
        &self,
        subject: &Subject,
        mut messages: Messages,
    ) -> Result<(), CallError> {
        let idle = self.limits.idle;
        loop {
            let next = timeout(idle, messages.next()).await;
            let Some(bytes) = next.map_err(|_| silent(idle))? else {
                return Ok(());
            };
            let mut bytes = bytes?;
            while !bytes.is_empty() {
                let piece = bytes.split_to(self.max_payload().min(bytes.len()));
                self.publish(subject.clone(), piece).await?;
            }
        }
    }
}

fn unsent(e: async_nats::PublishError) -> CallError {
    CallError::Unreachable(format!("cannot send to NATS: {e}"))
}
