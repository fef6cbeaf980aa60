//! The tasks of a link whose component takes messages: one for each subscription.
//!
//! A bounded number of messages is being handled at a time. Further ones wait where the broker has them: in its streams,
//! or in a bounded queue of this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use withe_provider::{CallContext, CallError, Link};

use crate::broker::{Broker, BrokerError, BrokerMessage, Deliveries, Delivery, Subscription};
use crate::sender::wit_of;
use crate::wit::wasmcloud::messaging::handler::Client;

/// A link whose component takes messages. Dropped, it ends at once.
pub(crate) struct DeliveredLink {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    /// Its connection, for as long as messages come over it.
    pub(crate) broker: Arc<dyn Broker>,
}

/// How long a message waits for the end of its link, if the link leads nowhere.
const ENDING: Duration = Duration::from_secs(2);

/// How a link's component is called.
pub(crate) struct MessageHandler {
    broker: Arc<dyn Broker>,
    stop: CancellationToken,
    component: String,
    link: String,
    client: Client,
    /// The longest that a message may take.
    timeout: Duration,
    /// How many messages may be handled at a time.
    permits: Arc<Semaphore>,
}

impl MessageHandler {
    pub(crate) fn new(
        link: &Link,
        client: Client,
        broker: Arc<dyn Broker>,
        timeout: Duration,
        most: usize,
    ) -> Self {
        Self {
            broker,
            stop: CancellationToken::new(),
            component: link.component.clone(),
            link: link.name.clone(),
            client,
            timeout,
            permits: Arc::new(Semaphore::new(most)),
        }
    }

    /// Hands over messages, until it is told to stop, no more can come, and all were handled.
    async fn run(self: Arc<Self>, mut deliveries: Box<dyn Deliveries>) {
        let mut handled = JoinSet::new();
        loop {
            let next = async {
                let permit = self.permit().await?;
                Some((deliveries.next().await?, permit))
            };
            tokio::select! {
                () = self.stop.cancelled() => break,
                Some(_) = handled.join_next() => {}
                next = next => match next {
                    Some((delivery, permit)) => {
                        handled.spawn(self.clone().handle(delivery, permit));
                    }
                    None => break,
                }
            }
        }
        deliveries.leave().await;
        while let Some(delivery) = deliveries.next().await {
            let Some(permit) = self.permit().await else {
                break;
            };
            handled.spawn(self.clone().handle(delivery, permit));
        }
        while handled.join_next().await.is_some() {}
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it.
        self.permits.clone().acquire_owned().await.ok()
    }

    async fn handle(self: Arc<Self>, delivery: Delivery, permit: OwnedSemaphorePermit) {
        let Delivery { message, receipt } = delivery;
        let subject = message.subject.clone();
        // Its bytes are shared, so a copy costs nothing.
        let copy = BrokerMessage {
            subject: message.subject.clone(),
            body: message.body.clone(),
            reply_to: message.reply_to.clone(),
        };
        let context = CallContext {
            deadline: Instant::now() + self.timeout,
            trace: None,
        };
        let called = self.client.handle_message(context, wit_of(message)).await;
        drop(permit);
        if receipt.is_none()
            && matches!(called, Err(CallError::Unlinked(_)))
            && self.passes_on(copy).await
        {
            return;
        }
        let Self {
            component, link, ..
        } = &*self;
        let is_handled = match called {
            Ok(Ok(())) => true,
            Ok(Err(why)) => {
                tracing::warn!(component, link, subject, "a message was refused: {why}");
                false
            }
            Err(why) => {
                tracing::warn!(component, link, subject, "a message was not handled: {why}");
                false
            }
        };
        match (receipt, is_handled) {
            (Some(receipt), true) => receipt.handled().await,
            (Some(receipt), false) => receipt.refused().await,
            (None, _) => {}
        }
    }
}

impl MessageHandler {
    /// Gives a message that certainly was not handled back to the broker, if that is because its link ends: a change
    /// that was not carried out has taken its share of the messages, which the remaining links are to have.
    async fn passes_on(&self, message: BrokerMessage) -> bool {
        if timeout(ENDING, self.stop.cancelled()).await.is_err() {
            return false;
        }
        self.broker.publish(message).await.is_ok()
    }
}

impl DeliveredLink {
    /// Subscribes, and hands over what comes.
    ///
    /// # Errors
    ///
    /// If the broker does not take a subscription; then nothing is subscribed.
    pub(crate) async fn start(
        handler: MessageHandler,
        subscriptions: &[Subscription],
    ) -> Result<Self, BrokerError> {
        let handler = Arc::new(handler);
        let (broker, stop) = (handler.broker.clone(), handler.stop.clone());
        let mut all = Vec::new();
        for subscription in subscriptions {
            all.push(broker.subscribe(subscription).await?);
        }
        let tasks = all
            .into_iter()
            .map(|deliveries| handler.clone().run(deliveries));
        Ok(Self {
            tasks: tasks.collect(),
            stop,
            broker,
        })
    }

    /// Takes nothing new, and waits until all messages taken were handled, at most `grace`.
    pub(crate) async fn stop(mut self, grace: Duration) {
        self.stop.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(grace, ended).await.is_err() {
            tracing::warn!(
                "messages were not handled in time, and were dropped when their link ended"
            );
            self.tasks.shutdown().await;
        }
    }
}
