//! A broker whose calls are counted.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use withe_provider::BackendCalls;

use crate::broker::{Broker, BrokerError, BrokerMessage, Deliveries, Subscription};

/// A broker beyond this process, and the counts of its calls.
pub(crate) struct CountedBroker {
    pub(crate) broker: Arc<dyn Broker>,
    /// Its kind.
    pub(crate) backend: &'static str,
    pub(crate) calls: BackendCalls,
}

#[async_trait::async_trait]
impl Broker for CountedBroker {
    async fn publish(&self, message: BrokerMessage) -> Result<(), BrokerError> {
        let call = self.broker.publish(message);
        self.calls.count(self.backend, "publish", call).await
    }

    async fn request(
        &self,
        subject: String,
        body: Bytes,
        timeout: Duration,
    ) -> Result<BrokerMessage, BrokerError> {
        let call = self.broker.request(subject, body, timeout);
        self.calls.count(self.backend, "request", call).await
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
    ) -> Result<Box<dyn Deliveries>, BrokerError> {
        let call = self.broker.subscribe(subscription);
        self.calls.count(self.backend, "subscribe", call).await
    }

    fn trouble(&self) -> Option<String> {
        self.broker.trouble()
    }
}
