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
use withe_provider::{CallContext, Link};

use crate::broker::{Broker, BrokerError, Deliveries, Delivery, Subscription};
use crate::sender::wit_of;
use crate::wit::wasmcloud::messaging::handler::Client;

/// A link whose component takes messages. Dropped, it ends at once.
pub(crate) struct DeliveredLink {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    /// Its connection, for as long as messages come over it.
    pub(crate) broker: Arc<dyn Broker>,
}

/// How a link's component is called.
pub(crate) struct MessageHandler {
    component: String,
    link: String,
    client: Client,
    /// The longest that a message may take.
    timeout: Duration,
    /// How many messages may be handled at a time.
    permits: Arc<Semaphore>,
}

impl MessageHandler {
    pub(crate) fn new(link: &Link, client: Client, timeout: Duration, most: usize) -> Self {
        Self {
            component: link.component.clone(),
            link: link.name.clone(),
            client,
            timeout,
            permits: Arc::new(Semaphore::new(most)),
        }
    }

    /// Hands over what comes, until it is told to stop, no more can come, and all that came was handled.
    async fn run(self: Arc<Self>, mut deliveries: Box<dyn Deliveries>, stop: CancellationToken) {
        let mut handled = JoinSet::new();
        loop {
            let next = async {
                let permit = self.permit().await?;
                Some((deliveries.next().await?, permit))
            };
            tokio::select! {
                () = stop.cancelled() => break,
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
        let context = CallContext {
            deadline: Instant::now() + self.timeout,
            trace: None,
        };
        let called = self.client.handle_message(context, wit_of(message)).await;
        drop(permit);
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

impl DeliveredLink {
    /// Subscribes, and hands over what comes.
    ///
    /// # Errors
    ///
    /// If the broker does not take a subscription; then nothing is subscribed.
    pub(crate) async fn start(
        broker: Arc<dyn Broker>,
        handler: MessageHandler,
        subscriptions: &[Subscription],
    ) -> Result<Self, BrokerError> {
        let handler = Arc::new(handler);
        let stop = CancellationToken::new();
        let mut all = Vec::new();
        for subscription in subscriptions {
            all.push(broker.subscribe(subscription).await?);
        }
        let tasks = all
            .into_iter()
            .map(|deliveries| handler.clone().run(deliveries, stop.clone()));
        Ok(Self {
            tasks: tasks.collect(),
            stop,
            broker,
        })
    }

    /// Takes nothing new, and waits until all that came was handled, at most `grace`.
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
