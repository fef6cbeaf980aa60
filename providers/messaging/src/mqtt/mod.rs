//! MQTT 5, by a client of its own.
//!
//! * [`packet`]: what goes over the wire;
//! * [`topic`]: topics for subjects, and back;
//! * [`connect`]: where the broker is, and the way there;
//! * [`state`]: who waits for what of a session;
//! * [`session`]: the task of its connection, which makes it again, and what others ask of it;
//! * [`work`]: the packets that the task writes;
//! * [`MqttBroker`]: what components ask for.
//!
//! The crate `rumqttc` was rejected. Its publishing says nothing of whether the broker has a message, so nobody could be
//! told that nobody listens; what was under way when a connection is lost it sends again, also what was given up; and its
//! TLS is of crates that are not maintained any more.
//!
//! **QoS 1.** A message that is published is with the broker when publishing returns. One that comes is acknowledged when
//! its component's turn has come, so what waits here is bounded by what the broker has under way. Where a subscription
//! ends, the broker has messages of it yet that nobody else is given: they are taken before it is forgotten. A connection that is
//! lost is made again within the same session: what the broker had sent and was not acknowledged comes once more.

mod connect;
mod packet;
mod session;
mod state;
mod topic;
mod work;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::broker::{Broker, BrokerError, BrokerMessage, Deliveries, KeptMessages, Subscription};

pub(crate) use connect::{ConnectError, DEFAULT_URL, MqttConfig, check_url, is_tls};
pub(crate) use packet::Qos;
pub(crate) use topic::{is_group, is_plain};

use packet::LARGEST_MESSAGE;
use session::Session;
use topic::{filter_of, topic_of};

/// How long the broker may take to answer what is not bounded by a caller.
const ANSWER: Duration = Duration::from_secs(10);
/// The answer of a broker that nobody subscribes to the topic.
const NOBODY: u8 = 0x10;

/// A connection to a broker. Dropped, it leaves.
pub(crate) struct MqttBroker {
    session: Arc<Session>,
    qos: Qos,
}

impl MqttBroker {
    /// Connects. One of `tasks` has the connection, and ends when it has left.
    ///
    /// # Errors
    ///
    /// If the broker cannot be reached, in words that say where it should be.
    pub(crate) async fn connect(
        config: &MqttConfig,
        tasks: &TaskTracker,
    ) -> Result<Self, ConnectError> {
        Ok(Self {
            session: Session::begin(config, tasks).await?,
            qos: config.qos,
        })
    }

    /// Publishes a message, which the broker acknowledges if this `qos` says so; whether anybody subscribes to it, as
    /// far as the broker says.
    async fn send(
        &self,
        subject: String,
        body: &Bytes,
        reply: Option<&str>,
        qos: Qos,
    ) -> Result<bool, BrokerError> {
        let Some(topic) = topic_of(&subject) else {
            return Err(BrokerError::Subject(subject));
        };
        let len = body.len();
        if len > LARGEST_MESSAGE {
            return Err(BrokerError::TooLarge {
                len,
                most: LARGEST_MESSAGE,
            });
        }
        // A broker that is sent more than it takes closes the connection, which others use, too.
        let (len, most) = (
            len + packet::overhead(&topic, reply),
            self.session.largest(),
        );
        if len > most {
            return Err(BrokerError::PacketTooLarge { len, most });
        }
        if qos == Qos::AtMostOnce {
            let packet = packet::publish(&topic, body, reply, None);
            self.session.send(packet).await?;
            return Ok(true);
        }
        let asked = self
            .session
            .ask(|id| packet::publish(&topic, body, reply, Some(id)));
        match asked.await? {
            NOBODY => Ok(false),
            0..0x80 => Ok(true),
            code => Err(BrokerError::Refused(code)),
        }
    }
}

#[async_trait::async_trait]
impl Broker for MqttBroker {
    async fn publish(&self, message: BrokerMessage) -> Result<(), BrokerError> {
        let reply = match message.reply_to {
            Some(reply) => match topic_of(&reply) {
                Some(topic) => Some(topic),
                None => return Err(BrokerError::Subject(reply)),
            },
            None => None,
        };
        let BrokerMessage { subject, body, .. } = message;
        self.send(subject, &body, reply.as_deref(), self.qos)
            .await
            .map(drop)
    }

    async fn request(
        &self,
        subject: String,
        body: Bytes,
        limit: Duration,
    ) -> Result<BrokerMessage, BrokerError> {
        let (topic, answer) = self.session.inbox();
        let asked = async {
            // A broker says that nobody listens only of what it acknowledges.
            match self
                .send(subject.clone(), &body, Some(&topic.0), Qos::AtLeastOnce)
                .await?
            {
                true => Ok(answer.await.ok()),
                false => Err(BrokerError::NoResponders(subject.clone())),
            }
        };
        let late = || BrokerError::Late {
            subject: subject.clone(),
            waited: limit,
        };
        match timeout(limit, asked).await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Err(why)) => Err(why),
            Ok(Ok(None)) | Err(_) => Err(late()),
        }
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
    ) -> Result<Box<dyn Deliveries>, BrokerError> {
        let (pattern, group) = match subscription {
            Subscription::Subject { pattern, group } => (pattern, group),
            Subscription::Kept(KeptMessages { .. }) => return Err(BrokerError::NoStreams),
        };
        let filter = filter_of(pattern, group);
        let filter = filter.ok_or_else(|| BrokerError::Subject(pattern.clone()))?;
        let subscribed = self.session.subscribe(&filter, pattern, self.qos);
        let messages = match timeout(ANSWER, subscribed).await {
            Ok(subscribed) => subscribed?,
            Err(_) => {
                return Err(BrokerError::Late {
                    subject: pattern.clone(),
                    waited: ANSWER,
                });
            }
        };
        Ok(Box::new(messages))
    }

    fn trouble(&self) -> Option<String> {
        self.session.trouble()
    }
}

impl Drop for MqttBroker {
    fn drop(&mut self) {
        self.session.end();
    }
}
