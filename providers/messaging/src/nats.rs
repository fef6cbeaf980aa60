//! NATS: core subjects, and consumers of JetStream.
//!
//! Links with the same configuration share a connection. A connection that breaks is made again, with its
//! subscriptions; what a component publishes meanwhile fails, for nobody would know when it is lost.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::message::{AckKind, Acker};
use async_nats::rustls::pki_types::pem::PemObject as _;
use async_nats::rustls::pki_types::{CertificateDer, pem};
use async_nats::{Client, ConnectOptions, Event, Request, RequestErrorKind, jetstream, rustls};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use tokio::time::{sleep, timeout};

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

/// Where NATS is, and as whom to connect.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct NatsConfig {
    /// URLs, one or more with commas between them. They may hold passwords: never printed.
    pub(crate) urls: String,
    /// A user's JWT, and the seed of its key.
    pub(crate) jwt: Option<(String, String)>,
    /// A file with both.
    pub(crate) credentials: Option<String>,
    /// Certificates of the authorities to trust, as PEM: a file.
    pub(crate) ca_file: Option<String>,
    /// The same as text.
    pub(crate) ca: Option<String>,
    pub(crate) inbox_prefix: Option<String>,
    pub(crate) ping_interval: Option<Duration>,
}

/// What stands for a server where nobody says one.
pub(crate) const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

impl fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConfig")
            .field("urls", &address(&self.urls))
            .finish_non_exhaustive()
    }
}

/// What of URLs can be shown: where the servers are.
fn address(urls: &str) -> String {
    let hosts = urls.split(',').map(|url| {
        let url = url.trim();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        host.to_owned()
    });
    hosts.collect::<Vec<_>>().join(", ")
}

/// The servers that URLs name.
pub(crate) fn servers(urls: &str) -> Result<Vec<async_nats::ServerAddr>, std::io::Error> {
    urls.split(',').map(|url| url.trim().parse()).collect()
}

/// A server cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot reach NATS at {address}: {why}; start it there (`nats-server`), or correct the link's `cluster_uris`"
)]
pub(crate) struct ConnectError {
    address: String,
    #[source]
    why: NoConnection,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum NoConnection {
    #[error(transparent)]
    Url(std::io::Error),
    #[error(transparent)]
    Client(#[from] async_nats::ConnectError),
    #[error("no answer in {} s", CONNECT.as_secs())]
    Late,
    #[error("`{path}` cannot be read: {why}")]
    File {
        path: String,
        #[source]
        why: std::io::Error,
    },
    #[error("the seed is no key: {0}")]
    Seed(#[source] nkeys::error::Error),
    #[error("the certificates are no PEM: {0}")]
    Certificates(#[source] pem::Error),
    #[error("the certificates cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// A connection to NATS.
pub(crate) struct NatsBroker {
    client: Client,
    address: String,
}

impl NatsBroker {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, in words that say where it should be.
    pub(crate) async fn connect(config: &NatsConfig) -> Result<Self, ConnectError> {
        let address = address(&config.urls);
        let connecting = async {
            let servers = servers(&config.urls).map_err(NoConnection::Url)?;
            Ok(options(config).await?.connect(servers).await?)
        };
        let connected = timeout(CONNECT, connecting).await;
        match connected.unwrap_or(Err(NoConnection::Late)) {
            Ok(client) => Ok(Self { client, address }),
            Err(why) => Err(ConnectError { address, why }),
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
            State::Pending | State::Disconnected => Err(BrokerError::Away(self.address.clone())),
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

async fn options(config: &NatsConfig) -> Result<ConnectOptions, NoConnection> {
    // TLS may turn out to be wanted by the server; which implementation of it is used must be known then.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have said so meanwhile.
        _ = rustls::crypto::ring::default_provider().install_default();
    }
    let mut options = ConnectOptions::new()
        .name("withe-messaging")
        .subscription_capacity(WAITING)
        .event_callback(report);
    if let Some((jwt, seed)) = &config.jwt {
        let key = nkeys::KeyPair::from_seed(seed).map_err(NoConnection::Seed)?;
        let key = Arc::new(key);
        options = options.jwt(jwt.clone(), move |nonce| {
            let key = key.clone();
            async move { key.sign(&nonce).map_err(async_nats::AuthError::new) }
        });
    }
    if let Some(path) = &config.credentials {
        let text = read(path).await?;
        let used = options.credentials(&text);
        options = used.map_err(|why| NoConnection::File {
            path: path.clone(),
            why,
        })?;
    }
    let ca = match (&config.ca, &config.ca_file) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(path)) => Some(read(path).await?),
        (None, None) => None,
    };
    if let Some(pem) = ca {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate.map_err(NoConnection::Certificates)?)?;
        }
        let tls = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        options = options.tls_client_config(tls).require_tls(true);
    }
    if let Some(prefix) = &config.inbox_prefix {
        options = options.custom_inbox_prefix(prefix);
    }
    if let Some(interval) = config.ping_interval {
        options = options.ping_interval(interval);
    }
    Ok(options)
}

async fn read(path: &str) -> Result<String, NoConnection> {
    let text = tokio::fs::read_to_string(path).await;
    text.map_err(|why| NoConnection::File {
        path: path.into(),
        why,
    })
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
        match self.client.connection_state() {
            State::Connected => None,
            State::Pending | State::Disconnected => {
                Some(format!("NATS at {} cannot be reached", self.address))
            }
        }
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

/// What comes to a subject.
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

/// What a consumer of JetStream has.
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
        // What was sent and not handled comes again, to whoever asks.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let urls = "nats://me:secret@a:4222, tls://token@b";
        assert_eq!(address(urls), "a:4222, b");
        let config = NatsConfig {
            urls: urls.into(),
            ..NatsConfig::default()
        };
        assert!(!format!("{config:?}").contains("secret"));
    }
}
