//! NATS: core subjects, and consumers of JetStream.
//!
//! Links with the same configuration share a connection. A connection that breaks is made again, with its
//! subscriptions; what a component publishes meanwhile fails, for nobody would know when it is lost.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::message::{AckKind, Acker};
use async_nats::{Client, ConnectOptions, Event, Request, RequestErrorKind, jetstream};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use tokio::time::{sleep, timeout};
use withe_provider::nats::{NatsAccess, NatsConnectError};

use crate::broker::{
    Broker, BrokerError, BrokerMessage, Deliveries, Delivery, KeptMessages, Receipt, Subscription,
};
use crate::subject::is_subject;

/// How long connecting may take, and what is asked of the server while a link is made.
const CONNECT: Duration = Duration::from_secs(10);

/// How long leaving a subscription may take.
const LEAVE: Duration = Duration::from_secs(5);

/// Messages of a subscription that wait in this process at most. NATS drops those beyond.
const WAITING: usize = 4_096;

/// How long a stream that cannot be read is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// A count of messages that is never reached.
const NEVER: u64 = u64::MAX;

/// Where NATS is, as whom to connect, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct NatsConfig {
    pub(crate) access: NatsAccess,
    pub(crate) inbox_prefix: Option<String>,
    pub(crate) ping_interval: Option<Duration>,
}

/// The server's URL where nobody gives one.
pub(crate) const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

/// A server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Client(#[from] NatsConnectError),
    #[error("cannot reach NATS at `{address}`: no answer in {} s", CONNECT.as_secs())]
    Late { address: String },
}

/// A connection to NATS.
pub(crate) struct NatsBroker {
    client: Client,
    access: NatsAccess,
}

impl NatsBroker {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, in words that say where it should be.
    pub(crate) async fn connect(config: &NatsConfig) -> Result<Self, ConnectError> {
        let mut options = ConnectOptions::new()
            .name("withe-messaging")
            .subscription_capacity(WAITING)
            .event_callback(report);
        if let Some(prefix) = &config.inbox_prefix {
            options = options.custom_inbox_prefix(prefix);
        }
        if let Some(interval) = config.ping_interval {
            options = options.ping_interval(interval);
        }
        let access = config.access.clone();
        match timeout(CONNECT, access.connect(options)).await {
            Ok(client) => Ok(Self {
                client: client?,
                access,
            }),
            Err(_) => Err(ConnectError::Late {
                address: access.address(),
            }),
        }
    }

    fn check(&self, subject: &str, body: &Bytes) -> Result<(), BrokerError> {
        if !is_subject(subject) {
            return Err(BrokerError::Subject(subject.into()));
        }
        let (len, most) = (body.len(), self.client.max_payload());
        if len > most {
            return Err(BrokerError::TooLarge { len, most });
        }
        match self.client.connection_state() {
            State::Connected => Ok(()),
            State::Pending | State::Disconnected => Err(BrokerError::Away(self.access.address())),
        }
    }

    async fn kept(&self, kept: &KeptMessages) -> Result<KeptDeliveries, BrokerError> {
        let context = jetstream::new(self.client.clone());
        let consumer = async {
            let stream = context.get_stream(&kept.stream).await.map_err(other)?;
            let consumer: PullConsumer =
                (stream.get_consumer(&kept.consumer).await).map_err(BrokerError::Other)?;
            let mut messages = consumer.stream();
            if let Some(most) = kept.max_messages {
                messages = messages.max_messages_per_batch(most);
            }
            if let Some(most) = kept.max_bytes {
                messages = messages.max_bytes_per_batch(most);
            }
            messages.messages().await.map_err(other)
        };
        let late = || BrokerError::Late {
            subject: format!("{} of the stream {}", kept.consumer, kept.stream),
            waited: CONNECT,
        };
        let messages = timeout(CONNECT, consumer).await.map_err(|_| late())??;
        Ok(KeptDeliveries(Some(messages)))
    }
}

async fn report(event: Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("the connection to NATS is lost, and is made again"),
        Event::SlowConsumer(_) => tracing::warn!(
            "messages were dropped: more than {WAITING} of a subscription waited for the component"
        ),
        other => tracing::debug!("NATS: {other}"),
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> BrokerError {
    BrokerError::Other(Box::new(error))
}

#[async_trait::async_trait]
impl Broker for NatsBroker {
    async fn publish(&self, message: BrokerMessage) -> Result<(), BrokerError> {
        self.check(&message.subject, &message.body)?;
        let published = match message.reply_to {
            Some(reply) if !is_subject(&reply) => return Err(BrokerError::Subject(reply)),
            Some(reply) => {
                let client = &self.client;
                client
                    .publish_with_reply(message.subject, reply, message.body)
                    .await
            }
            None => self.client.publish(message.subject, message.body).await,
        };
        published.map_err(other)
    }

    async fn request(
        &self,
        subject: String,
        body: Bytes,
        limit: Duration,
    ) -> Result<BrokerMessage, BrokerError> {
        self.check(&subject, &body)?;
        let request = Request::new().payload(body).timeout(Some(limit));
        match self.client.send_request(subject.clone(), request).await {
            Ok(answer) => Ok(message_of(answer)),
            Err(why) => Err(match why.kind() {
                RequestErrorKind::NoResponders => BrokerError::NoResponders(subject),
                RequestErrorKind::TimedOut => BrokerError::Late {
                    subject,
                    waited: limit,
                },
                _ => other(why),
            }),
        }
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
    ) -> Result<Box<dyn Deliveries>, BrokerError> {
        match subscription {
            Subscription::Subject { pattern, group } => {
                let subscribed = self.client.queue_subscribe(pattern.clone(), group.clone());
                let subscriber = subscribed.await.map_err(other)?;
                // From here on messages come: the server knows of it.
                settle(&self.client).await;
                Ok(Box::new(SubjectDeliveries {
                    client: self.client.clone(),
                    subscriber,
                }))
            }
            Subscription::Kept(kept) => Ok(Box::new(self.kept(kept).await?)),
        }
    }

    fn trouble(&self) -> Option<String> {
        self.access.trouble(&self.client)
    }
}

fn message_of(message: async_nats::Message) -> BrokerMessage {
    BrokerMessage {
        subject: message.subject.into_string(),
        body: message.payload,
        reply_to: message.reply.map(async_nats::Subject::into_string),
    }
}

/// Waits until the server has seen all that this client told it.
async fn settle(client: &Client) {
    // Nobody listens there, which the server says at once.
    let request = Request::new().timeout(Some(LEAVE));
    _ = client.send_request(client.new_inbox(), request).await;
}

/// The messages of a subject.
struct SubjectDeliveries {
    client: Client,
    subscriber: async_nats::Subscriber,
}

#[async_trait::async_trait]
impl Deliveries for SubjectDeliveries {
    async fn next(&mut self) -> Option<Delivery> {
        let message = self.subscriber.next().await?;
        Some(Delivery {
            message: message_of(message),
            receipt: None,
        })
    }

    /// `Subscriber::drain` is for this, but forgets a subscription before the server knows: messages on their way are
    /// dropped. So the server is told first, by a request to end the subscription after more messages than there are.
    async fn leave(&mut self) {
        // All of it fails only if the connection is closed, and then nothing comes.
        _ = self.subscriber.unsubscribe_after(NEVER).await;
        settle(&self.client).await;
        _ = self.subscriber.unsubscribe().await;
    }
}

/// The messages of a consumer of JetStream.
struct KeptDeliveries(Option<pull::Stream>);

#[async_trait::async_trait]
impl Deliveries for KeptDeliveries {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            let message = match self.0.as_mut()?.next().await? {
                Ok(message) => message,
                Err(why) => {
                    tracing::warn!("a stream cannot be read now: {why}");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let (message, acker) = message.split();
            return Some(Delivery {
                message: BrokerMessage {
                    // Where JetStream wants the receipt, and no answer.
                    reply_to: None,
                    ..message_of(message)
                },
                receipt: Some(Box::new(JetStreamReceipt(acker))),
            });
        }
    }

    async fn leave(&mut self) {
        // Messages sent and not handled come again, to any member that asks.
        self.0 = None;
    }
}

struct JetStreamReceipt(Acker);

impl JetStreamReceipt {
    async fn send(self, kind: AckKind) {
        if let Err(why) = self.0.ack_with(kind).await {
            tracing::warn!("a message that was handled may come again: {why}");
        }
    }
}

impl Receipt for JetStreamReceipt {
    fn handled(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(self.send(AckKind::Ack))
    }

    fn refused(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(self.send(AckKind::Nak(None)))
    }
}
