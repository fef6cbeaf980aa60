//! The messages and requests to a v1 provider while it runs.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{PublishError, Request, RequestError};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use withe_provider::Health;

use super::definition::LinkDefinition;
use super::seal::{LinkSeal, SealError};

/// Reaches one provider.
#[derive(Clone)]
pub(super) struct Control {
    client: async_nats::Client,
    /// `wasmbus.rpc.{lattice}`
    base: String,
    /// The provider's id.
    id: String,
    seal: Arc<LinkSeal>,
    host_id: String,
}

/// Why a provider was not told something, or did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum TellError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("cannot send to NATS: {0}")]
    Send(#[source] PublishError),
    /// No answer came.
    #[error(transparent)]
    NoAnswer(#[from] RequestError),
    #[error("its answer to a health check cannot be read: {0}")]
    Answer(#[source] serde_json::Error),
}

#[derive(Deserialize)]
struct HealthAnswer {
    #[serde(default)]
    healthy: bool,
    message: Option<String>,
}

#[derive(Serialize)]
struct Shutdown<'a> {
    host_id: &'a str,
}

impl Control {
    pub(super) fn new(client: async_nats::Client, lattice: &str, id: &str, host_id: &str) -> Self {
        Self {
            client,
            base: format!("wasmbus.rpc.{lattice}"),
            id: id.to_owned(),
            seal: Arc::new(LinkSeal::new()),
            host_id: host_id.to_owned(),
        }
    }

    /// Tells it of a link. The provider does not say whether it took the link.
    ///
    /// Providers that are built with the SDK of v1.1 or newer hear of links by their key, older ones by their id. Older
    /// ones cannot open secrets, and hear of no link that has some: v1's hosts do not tell them either.
    pub(super) async fn put_link(&self, link: &LinkDefinition) -> Result<(), TellError> {
        let bytes: Bytes = serde_json::to_vec(&self.seal.link(link)?)?.into();
        if link.has_secrets() {
            tracing::debug!(
                provider = self.id,
                "the link `{}` has secrets, of which a provider with an SDK before v1.1 hears nothing",
                link.name
            );
        } else {
            self.tell(&self.id, "linkdefs.put", bytes.clone()).await?;
        }
        let key = self.seal.provider_key();
        self.tell(&key, "linkdefs.put", bytes).await
    }

    /// Tells it that a link is no more.
    pub(super) async fn delete_link(&self, link: &LinkDefinition) -> Result<(), TellError> {
        // The end of a link is told by its ends and its name.
        let bytes = serde_json::to_vec(&self.seal.link(link)?)?;
        self.tell(&self.id, "linkdefs.del", bytes.into()).await
    }

    async fn tell(&self, provider: &str, what: &str, message: Bytes) -> Result<(), TellError> {
        let subject = format!("{}.{provider}.{what}", self.base);
        let sent = self.client.publish(subject, message);
        sent.await.map_err(TellError::Send)
    }

    /// The keys that seal what it is told.
    pub(super) fn seal(&self) -> &LinkSeal {
        &self.seal
    }

    /// Asks whether it can do its work.
    ///
    /// # Errors
    ///
    /// If it does not answer within `limit`.
    pub(super) async fn health(&self, limit: Duration) -> Result<Health, TellError> {
        let bytes = self.ask("health", Bytes::from_static(b"{}"), limit).await?;
        let answer: HealthAnswer = serde_json::from_slice(&bytes).map_err(TellError::Answer)?;
        Ok(match answer.healthy {
            true => Health::Healthy,
            false => {
                let message = answer.message.filter(|text| !text.is_empty());
                Health::Unhealthy(message.unwrap_or_else(|| "it does not say why".into()))
            }
        })
    }

    /// Asks it to end.
    ///
    /// # Errors
    ///
    /// If it does not say within `limit` that it will.
    pub(super) async fn shut_down(&self, limit: Duration) -> Result<(), TellError> {
        let host_id = &self.host_id;
        let bytes = serde_json::to_vec(&Shutdown { host_id })?;
        self.ask("default.shutdown", bytes.into(), limit).await?;
        Ok(())
    }

    async fn ask(&self, what: &str, bytes: Bytes, limit: Duration) -> Result<Bytes, TellError> {
        let request = Request::new().payload(bytes).timeout(Some(limit));
        let subject = format!("{}.{}.{what}", self.base, self.id);
        let answer = self.client.send_request(subject, request).await?;
        Ok(answer.payload)
    }
}
