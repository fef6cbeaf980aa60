//! Messages that a component handles, beside a bare subscriber of NATS.
//!
//! Each message has a fresh instance, in `withe up` with the provider `messaging`. The sender of one waits for the answer to it, so
//! that none is dropped on the way; both sides answer with the same bytes. A third does the same with Wasmtime alone ([`bare`]): no host is faster.

mod bare;

use std::path::Path;

use self::bare::BareHandler;
use anyhow::Result;
use futures::StreamExt as _;
use tokio::task::spawn_blocking;
use withe_testing::nats::NatsServer;

use super::{operation, row};
use crate::servers::{Server, free_address, guest};

/// The subject of the component's messages, and that of the subscriber's.
const OURS: &str = "uncounted.ours";
const NATIVE: &str = "uncounted.native";
const BARE: &str = "uncounted.bare";
/// How many messages are sent in a round.
const MESSAGES: usize = 3_000;

pub(super) async fn run(cache: &Path, nats: &NatsServer) -> Result<()> {
    let (cache, url) = (cache.join("compiled"), nats.url());
    // Starting waits for an answer.
    let server = spawn_blocking(move || component(&cache, &url)).await??;

    let answering = async_nats::connect(nats.url()).await?;
    let mut messages = answering.subscribe(NATIVE).await?;
    answering.flush().await?;
    let subscriber = tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            if let Some(reply) = message.reply {
                let answer = message.payload.to_ascii_uppercase();
                // The caller may have gone.
                _ = answering.publish(reply, answer.into()).await;
            }
        }
    });
    let answering = async_nats::connect(nats.url()).await?;
    let mut messages = answering.subscribe(BARE).await?;
    let handler = BareHandler::new(answering.clone())?;
    answering.flush().await?;
    let bare = tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            let handler = handler.clone();
            tokio::spawn(async move {
                // The caller waits in vain, and says so.
                _ = handler.handle(message).await;
            });
        }
    });
    let client = async_nats::connect(nats.url()).await?;
    let [ours, native, least] = [OURS, NATIVE, BARE].map(|subject| {
        operation(client.clone(), move |client| async move {
            let answer = client.request(subject, vec![b'x'; 100].into()).await?;
            anyhow::ensure!(answer.payload.starts_with(b"XX"), "it was not handled");
            Ok(())
        })
    });
    row("message handled, NATS", ours, native.clone(), MESSAGES).await?;
    row("message handled, Wasmtime alone", least, native, MESSAGES).await?;
    subscriber.abort();
    bare.abort();
    drop(server);
    Ok(())
}

/// A component that answers messages, as `withe up` runs it.
fn component(cache: &Path, nats: &str) -> Result<Server> {
    let address = free_address()?;
    let image = guest("events");
    let image = image.display();
    let manifest = format!(
        "apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: bench
spec:
  components:
    - name: events
      type: component
      properties:
        image: {image}
      traits:
        - type: link
          properties: {{target: keyvalue}}
        - type: link
          properties: {{target: messaging}}
    - name: keyvalue
      type: capability
      properties:
        image: withe:keyvalue
        config: [{{name: kept, properties: {{backend: memory}}}}]
    - name: messaging
      type: capability
      properties:
        image: withe:messaging
        config: [{{name: broker, properties: {{cluster_uris: '{nats}'}}}}]
      traits:
        - type: link
          properties:
            target: events
            source: {{config: [{{name: subjects, properties: {{subscriptions: {OURS}}}}}]}}
    - name: http
      type: capability
      properties:
        image: withe:http-server
      traits:
        - type: link
          properties:
            target: events
            source: {{config: [{{name: address, properties: {{address: '{address}'}}}}]}}
"
    );
    Server::withe(&manifest, address, "/count/nothing", cache)
}
