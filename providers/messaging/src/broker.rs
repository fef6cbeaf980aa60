//! The operations of every broker.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::mqtt_codes::refusal;

/// A message.
#[derive(Debug)]
pub(crate) struct BrokerMessage {
    /// Where it was published.
    pub(crate) subject: String,
    pub(crate) body: Bytes,
    /// Where an answer is waited for.
    pub(crate) reply_to: Option<String>,
}

/// A message that came, and how the broker learns what became of it.
pub(crate) struct Delivery {
    pub(crate) message: BrokerMessage,
    /// Of a broker that keeps a message until it was handled; none else.
    pub(crate) receipt: Option<Box<dyn Receipt>>,
}

/// Tells a broker what became of a message that it keeps until then.
pub(crate) trait Receipt: Send + Sync {
    /// The message was handled: it does not come again.
    fn handled(self: Box<Self>) -> BoxFuture<'static, ()>;

    /// The message was not handled: it comes again, as the broker is configured.
    fn refused(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// The source of messages that a component subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subscription {
    /// The messages that come to a subject from now on. Each goes to one of a group.
    Subject {
        /// Perhaps with wildcards.
        pattern: String,
        group: String,
    },
    /// The messages that a stream keeps for a consumer, until they were handled.
    Kept(KeptMessages),
}

/// A consumer of a stream that keeps messages.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptMessages {
    pub(crate) stream: String,
    pub(crate) consumer: String,
    /// How many are asked for at a time.
    pub(crate) max_messages: Option<usize>,
    /// How many bytes are asked for at a time.
    pub(crate) max_bytes: Option<usize>,
}

/// Why a broker did not do something: a sentence for the component and for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    #[error("`{0}` is no subject: tokens between dots, without wildcards and white space")]
    Subject(String),
    #[error("nobody listens on `{0}`")]
    NoResponders(String),
    #[error("no answer on `{subject}` in {} ms", .waited.as_millis())]
    Late { subject: String, waited: Duration },
    /// A subscriber has more waiting for it than is kept.
    #[error("a subscriber of `{0}` does not keep up")]
    Full(String),
    #[error("the message has {len} bytes, and the broker takes at most {most}")]
    TooLarge { len: usize, most: usize },
    #[error(
        "the message has {len} bytes with its subject and where its answer is waited for, and the broker takes at most {most}"
    )]
    PacketTooLarge { len: usize, most: usize },
    #[error("the broker at {0} cannot be reached now")]
    Away(String),
    #[error(
        "the connection to the broker at {0} was lost before it answered: what was published may be there or not"
    )]
    Lost(String),
    #[error("the broker refuses it with the code {0:#x}: {text}", text = refusal(*.0))]
    Refused(u8),
    #[error("only NATS keeps streams: `consumers` needs `backend: nats`")]
    NoStreams,
    #[error("the broker: {0}")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The messages of a subscription. The subscription goes on over a loss of the connection.
#[async_trait::async_trait]
pub(crate) trait Deliveries: Send {
    /// The next message; `None` when no more can come. Dropped while it waits, it has taken none.
    async fn next(&mut self) -> Option<Delivery>;

    /// Has the broker send nothing more. Messages sent already still come.
    async fn leave(&mut self);
}

/// A broker.
#[async_trait::async_trait]
pub(crate) trait Broker: Send + Sync {
    /// Sends a message.
    async fn publish(&self, message: BrokerMessage) -> Result<(), BrokerError>;

    /// Sends a message, and waits for the first answer to it, for so long at most.
    async fn request(
        &self,
        subject: String,
        body: Bytes,
        timeout: Duration,
    ) -> Result<BrokerMessage, BrokerError>;

    /// Subscribes to the messages that come from now on.
    async fn subscribe(
        &self,
        subscription: &Subscription,
    ) -> Result<Box<dyn Deliveries>, BrokerError>;

    /// Why it cannot do its work now, if it cannot.
    fn trouble(&self) -> Option<String>;
}
