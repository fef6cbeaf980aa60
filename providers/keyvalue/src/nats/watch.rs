//! Hearing of changes in a bucket of NATS: an ordered consumer of its stream, from the message on that is the latest when
//! the link is made.
//!
//! The consumer is made again by the client when the connection was lost, and goes on behind the last message that came. A
//! stream that keeps one message of each key tells then what keys are, and not all that they were meanwhile.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use futures::StreamExt as _;
use tokio::time::{sleep, timeout};
use withe_provider::BackOff;

use super::subject::{Found, Subjects, inside};
use crate::changes::{ChangedKeys, Watch};

/// How long it is waited before a consumer is made again that the client gave up.
const AGAIN: BackOff = BackOff {
    first: Duration::from_millis(100),
    most: Duration::from_secs(5),
};

/// Hears of the changes of a bucket.
pub(super) struct Listener {
    pub(super) stream: Stream,
    pub(super) subjects: Subjects,
    pub(super) address: String,
    /// The longest that one request may take.
    pub(super) limit: Duration,
    pub(super) changed: Arc<ChangedKeys>,
    /// The number of the last message that came, or was there.
    pub(super) last: u64,
}

/// Why nothing is heard of changes.
pub(super) type NotHeard = Box<dyn std::error::Error + Send + Sync>;

impl Listener {
    /// Watches the bucket.
    pub(super) async fn watch(self) -> Result<Watch, NotHeard> {
        let messages = self.messages().await?;
        Ok(Watch::by(self.changed.clone(), self.listen(messages)))
    }

    /// The messages that are written behind the last one that came.
    async fn messages(&self) -> Result<pull::Ordered, NotHeard> {
        let config = pull::OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: self.last + 1,
            },
            filter_subject: self.subjects.filter(),
            // A key's value is read when the component is told.
            headers_only: true,
            ..Default::default()
        };
        let made = async {
            let consumer = self.stream.create_consumer(config).await?;
            Ok::<_, NotHeard>(consumer.messages().await?)
        };
        timeout(self.limit * 2, made).await?
    }

    /// Notes what changes. Whatever keeps the client from hearing it is tried again.
    async fn listen(mut self, first: pull::Ordered) {
        let mut messages = first;
        let mut failures = 0;
        loop {
            let why = match messages.next().await {
                Some(Ok(message)) => {
                    failures = 0;
                    self.note(&message).await;
                    continue;
                }
                Some(Err(why)) => why.to_string(),
                None => "the consumer ended".to_owned(),
            };
            tracing::debug!("NATS at `{}` tells nothing of changes: {why}", self.address);
            loop {
                failures += 1;
                sleep(AGAIN.after(failures)).await;
                match self.messages().await {
                    Ok(again) => {
                        messages = again;
                        break;
                    }
                    // The first failure may be that of a server which is on its way back, and is no more than said.
                    Err(why) if failures == 1 => tracing::warn!(
                        "NATS at `{}` tells nothing of changes, which is tried again: {why}",
                        self.address
                    ),
                    Err(why) => tracing::debug!(
                        "NATS at `{}` tells nothing of changes: {why}",
                        self.address
                    ),
                }
            }
        }
    }

    async fn note(&mut self, message: &async_nats::jetstream::Message) {
        if let Ok(info) = message.info() {
            self.last = info.stream_sequence;
        }
        let key = match self.subjects.key_of(&message.subject) {
            Found::Key(key) => Some(key),
            Found::Inside => self.key_inside(&message.subject).await,
            Found::Other => None,
        };
        if let Some(key) = key {
            // Until there is room, messages stay with the server.
            self.changed.note_in_room(&key).await;
        }
    }

    /// The key of an entry that says itself which it is, also where it was removed.
    async fn key_inside(&self, subject: &str) -> Option<String> {
        let mut failures = 0;
        loop {
            let reading = self.stream.get_last_raw_message_by_subject(subject);
            match timeout(self.limit, reading).await {
                Ok(Ok(message)) => return inside(&message.payload).map(|(key, _)| key),
                Ok(Err(e)) if e.kind() == LastRawMessageErrorKind::NoMessageFound => return None,
                Ok(Err(_)) | Err(_) => {
                    failures += 1;
                    sleep(AGAIN.after(failures)).await;
                }
            }
        }
    }
}
