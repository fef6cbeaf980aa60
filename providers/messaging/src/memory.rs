//! The memory of this process, one broker for each application.
//!
//! Messages go to subscribers on this host, and are gone if there are none. A subscriber that does not keep up makes
//! publishing fail: NATS would drop the message and say nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::broker::{Broker, BrokerError, BrokerMessage, Deliveries, Delivery, Subscription};
use crate::subject::{is_subject, matches};

/// How many messages wait for a subscriber at most.
const QUEUE: usize = 1_024;

/// How many bytes wait for a subscriber at most.
const QUEUED_BYTES: usize = 64 << 20;

/// The largest message, as NATS has it unless it is told otherwise.
const LARGEST: usize = 1 << 20;

/// The prefix of the subjects on which answers are waited for.
const INBOX: &str = "_INBOX";

/// The brokers of the applications of this process. They are kept by the links that use them.
static BROKERS: LazyLock<Mutex<HashMap<String, Weak<MemoryBroker>>>> =
    LazyLock::new(Mutex::default);

/// A broker in memory.
#[derive(Default)]
pub(crate) struct MemoryBroker {
    subscribers: Mutex<Vec<Subscriber>>,
    inboxes: AtomicU64,
    /// The next turn in groups.
    turn: AtomicUsize,
}

struct MemoryDeliveries {
    messages: mpsc::Receiver<BrokerMessage>,
    /// How many bytes wait among them.
    queued: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl Deliveries for MemoryDeliveries {
    async fn next(&mut self) -> Option<Delivery> {
        let message = self.messages.recv().await?;
        self.queued.fetch_sub(message.body.len(), Ordering::Relaxed);
        Some(Delivery {
            message,
            receipt: None,
        })
    }

    async fn leave(&mut self) {
        self.messages.close();
    }
}

struct Subscriber {
    pattern: String,
    /// None for a caller that waits for an answer.
    group: Option<String>,
    queue: mpsc::Sender<BrokerMessage>,
    /// How many bytes wait in the queue.
    queued: Arc<AtomicUsize>,
}

impl MemoryBroker {
    /// The broker of an application.
    pub(crate) fn of(application: &str) -> Arc<Self> {
        // Nothing panics while the lock is held.
        let mut brokers = BROKERS.lock().unwrap_or_else(PoisonError::into_inner);
        brokers.retain(|_, broker| broker.strong_count() > 0);
        if let Some(broker) = brokers.get(application).and_then(Weak::upgrade) {
            return broker;
        }
        let broker = Arc::new(Self::default());
        brokers.insert(application.to_owned(), Arc::downgrade(&broker));
        broker
    }

    fn subscribers(&self) -> MutexGuard<'_, Vec<Subscriber>> {
        // Nothing panics while the lock is held.
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, pattern: String, group: Option<String>) -> MemoryDeliveries {
        let (queue, messages) = mpsc::channel(QUEUE);
        let queued = Arc::new(AtomicUsize::new(0));
        self.subscribers().push(Subscriber {
            pattern,
            group,
            queue,
            queued: queued.clone(),
        });
        MemoryDeliveries { messages, queued }
    }

    /// Hands a message to those it is for: all that are in no group, and one of each group. Returns how many there are.
    fn send(&self, message: &BrokerMessage) -> Result<usize, BrokerError> {
        if !is_subject(&message.subject) {
            return Err(BrokerError::Subject(message.subject.clone()));
        }
        let len = message.body.len();
        if len > LARGEST {
            return Err(BrokerError::TooLarge { len, most: LARGEST });
        }
        let mut subscribers = self.subscribers();
        subscribers.retain(|subscriber| !subscriber.queue.is_closed());
        let wanted = subscribers
            .iter()
            .filter(|s| matches(&s.pattern, &message.subject));
        let mut alone = Vec::new();
        let mut groups: HashMap<&str, Vec<&Subscriber>> = HashMap::new();
        for subscriber in wanted {
            match &subscriber.group {
                Some(group) => groups.entry(group).or_default().push(subscriber),
                None => alone.push(subscriber),
            }
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut found = 0;
        let mut is_full = false;
        for subscriber in alone {
            found += 1;
            is_full |= !subscriber.take(message);
        }
        for members in groups.values() {
            found += 1;
            // The next member in turn that has room takes it.
            let order = (0..members.len()).map(|i| members[(turn + i) % members.len()]);
            is_full |= !order.into_iter().any(|subscriber| subscriber.take(message));
        }
        match is_full {
            true => Err(BrokerError::Full(message.subject.clone())),
            false => Ok(found),
        }
    }
}

impl Subscriber {
    /// Queues a message, unless there is no room.
    fn take(&self, message: &BrokerMessage) -> bool {
        let len = message.body.len();
        if self.queued.load(Ordering::Relaxed) + len > QUEUED_BYTES {
            return false;
        }
        let copy = BrokerMessage {
            subject: message.subject.clone(),
            body: message.body.clone(),
            reply_to: message.reply_to.clone(),
        };
        // Counted before it can be taken out.
        self.queued.fetch_add(len, Ordering::Relaxed);
        let taken = self.queue.try_send(copy).is_ok();
        if !taken {
            self.queued.fetch_sub(len, Ordering::Relaxed);
        }
        taken
    }
}

#[async_trait::async_trait]
impl Broker for MemoryBroker {
    async fn publish(&self, message: BrokerMessage) -> Result<(), BrokerError> {
        self.send(&message).map(drop)
    }

    async fn request(
        &self,
        subject: String,
        body: Bytes,
        limit: Duration,
    ) -> Result<BrokerMessage, BrokerError> {
        let inbox = self.inboxes.fetch_add(1, Ordering::Relaxed);
        let inbox = format!("{INBOX}.{inbox}");
        let mut answers = self.listen(inbox.clone(), None);
        let message = BrokerMessage {
            subject,
            body,
            reply_to: Some(inbox),
        };
        let found = self.send(&message)?;
        let subject = message.subject;
        if found == 0 {
            return Err(BrokerError::NoResponders(subject));
        }
        match timeout(limit, answers.next()).await {
            Ok(Some(answer)) => Ok(answer.message),
            Ok(None) | Err(_) => Err(BrokerError::Late {
                subject,
                waited: limit,
            }),
        }
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
    ) -> Result<Box<dyn Deliveries>, BrokerError> {
        match subscription {
            Subscription::Subject { pattern, group } => {
                Ok(Box::new(self.listen(pattern.clone(), Some(group.clone()))))
            }
            Subscription::Kept(_) => Err(BrokerError::NoStreams),
        }
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: &str, len: usize) -> BrokerMessage {
        BrokerMessage {
            subject: subject.into(),
            body: vec![0; len].into(),
            reply_to: None,
        }
    }

    #[tokio::test]
    async fn a_subscriber_that_does_not_keep_up_makes_publishing_fail() {
        let broker = MemoryBroker::default();
        let _subscribed = broker.listen("a".into(), Some("g".into()));
        for _ in 0..QUEUE {
            broker.publish(message("a", 1)).await.unwrap();
        }
        let full = broker.publish(message("a", 1)).await.unwrap_err();
        assert!(matches!(full, BrokerError::Full(_)), "{full}");
        // One more of the group takes what this one has no room for.
        let _more = broker.listen("a".into(), Some("g".into()));
        broker.publish(message("a", 1)).await.unwrap();
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_bytes() {
        let broker = MemoryBroker::default();
        let mut subscribed = broker.listen("a".into(), Some("g".into()));
        for _ in 0..QUEUED_BYTES / LARGEST {
            broker.publish(message("a", LARGEST)).await.unwrap();
        }
        let full = broker.publish(message("a", LARGEST)).await.unwrap_err();
        assert!(matches!(full, BrokerError::Full(_)), "{full}");
        subscribed.next().await.unwrap();
        broker.publish(message("a", LARGEST)).await.unwrap();
        let large = broker.publish(message("a", LARGEST + 1)).await.unwrap_err();
        assert!(matches!(large, BrokerError::TooLarge { .. }), "{large}");
    }

    #[test]
    fn applications_have_brokers_of_their_own_as_long_as_they_are_used() {
        let one = MemoryBroker::of("memory-tests-one");
        assert!(Arc::ptr_eq(&one, &MemoryBroker::of("memory-tests-one")));
        assert!(!Arc::ptr_eq(&one, &MemoryBroker::of("memory-tests-two")));
    }
}
