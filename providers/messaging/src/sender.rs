//! Serves the requests of components that send.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use withe_provider::{CallError, Context};

use crate::broker::{Broker, BrokerError, BrokerMessage};
use crate::wit::wasmcloud::messaging::consumer::Interface;
use crate::wit::wasmcloud::messaging::types::BrokerMessage as WitMessage;

/// How long before its caller stops waiting a call gives up, so that the caller learns why.
const MARGIN: Duration = Duration::from_millis(20);

/// The provider's end of a link from a component that sends.
pub(crate) struct Sender(pub(crate) Arc<dyn Broker>);

impl Interface for Sender {
    async fn request(
        &self,
        cx: &Context<'_>,
        subject: String,
        body: Vec<u8>,
        timeout_ms: u32,
    ) -> Result<Result<WitMessage, String>, CallError> {
        let left = cx.deadline.saturating_duration_since(Instant::now());
        let limit = Duration::from_millis(timeout_ms.into()).min(left.saturating_sub(MARGIN));
        let answer = self.0.request(subject, body.into(), limit).await;
        Ok(answer.map(wit_of).map_err(|why| why.to_string()))
    }

    async fn publish(
        &self,
        cx: &Context<'_>,
        msg: WitMessage,
    ) -> Result<Result<(), String>, CallError> {
        let subject = msg.subject.clone();
        let left = cx.deadline.saturating_duration_since(Instant::now());
        let until = cx.deadline.checked_sub(MARGIN).unwrap_or(cx.deadline);
        let publish = self.0.publish(BrokerMessage {
            subject: msg.subject,
            body: msg.body.into(),
            reply_to: msg.reply_to,
        });
        // A client whose queue is full waits until the server takes more.
        let late = || BrokerError::Late {
            subject,
            waited: left,
        };
        let published = timeout_at(until.into(), publish).await;
        let published = published.unwrap_or_else(|_| Err(late()));
        Ok(published.map_err(|why| why.to_string()))
    }
}

/// A message as a component has it.
pub(crate) fn wit_of(message: BrokerMessage) -> WitMessage {
    WitMessage {
        subject: message.subject,
        body: message.body.into(),
        reply_to: message.reply_to,
    }
}
