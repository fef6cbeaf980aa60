//! The side that invokes.

use std::pin::{Pin, pin};

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::time::{Instant, timeout, timeout_at};
use withe_rpc::CallError;

use super::connection::{OutgoingValues, Publisher, V1Wire};
use super::mailbox::{ChannelReader, MailboxSide};
use super::{REMINDER, names};

/// One invocation.
pub(crate) struct Request<'a> {
    /// The callee: `{lattice}.{id}`.
    pub(crate) prefix: &'a str,
    /// The interface as it stands on the wire; empty for a function of the world itself.
    pub(crate) instance: &'a str,
    pub(crate) function: &'a str,
    pub(crate) headers: HeaderMap,
    pub(crate) params: OutgoingValues,
    /// Where the results may have streams.
    pub(crate) results: &'a [String],
    pub(crate) deadline: Instant,
}

/// The callee's reply.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Empty if the callee closed the call without a result, or has none.
    pub(crate) bytes: Bytes,
    /// The streams, in the order of the paths that were asked for.
    pub(crate) streams: Vec<ChannelReader>,
}

/// The error of a call whose callee closed it without a result: v1's only way to say that it failed.
pub(crate) fn closed(prefix: &str) -> CallError {
    CallError::Trap(format!(
        "`{prefix}` closed the call without a result; wasmCloud v1 does not carry why, so see its log"
    ))
}

impl V1Wire {
    /// Invokes a function, and returns when its results are there; streams go on. Dropped, it waits for
    /// nothing more; v1 has no way to tell the callee.
    pub(crate) async fn invoke(&self, request: Request<'_>) -> Result<Reply, CallError> {
        let deadline = request.deadline;
        timeout_at(deadline, self.exchange(request))
            .await
            .unwrap_or(Err(CallError::Deadline))
    }

    async fn exchange(&self, request: Request<'_>) -> Result<Reply, CallError> {
        let (exchange, readers) = self.mailbox().open(MailboxSide::Client, request.results);
        let publisher = self.publisher();
        let inbox = self.inbox(exchange.id);
        let subject = names::invocation(request.prefix, request.instance, request.function);
        let mut params = request.params;
        // As v1 counts: what goes with the message counts against what the broker takes.
        let overhead = inbox.len() + header_bytes(&request.headers);
        let room = publisher.max_payload().saturating_sub(overhead);
        let first = params.bytes.split_to(room.min(params.bytes.len()));
        publisher
            .ask(subject, inbox, Some(request.headers), first)
            .await?;

        let whole = params.bytes.is_empty() && params.streams.is_empty();
        let mut root = readers.root;
        let mut results = pin!(root.all(Bytes::new()));
        let sender = publisher.clone();
        let mut sending: BoxFuture<'static, Result<String, CallError>> = Box::pin(async move {
            let callee = exchange.accepted().await?;
            let subject = format!("{callee}.params");
            if !whole {
                // Streams cannot be repeated, as what is short is.
                sender.run_up(&callee).await?;
            }
            sender.send_values(&subject, params).await?;
            Ok(subject)
        });
        // Biased, so that what is short is sent before the caller goes on.
        let (sent, bytes) = tokio::select! {
            biased;
            subject = &mut sending => {
                let subject = subject?;
                if whole {
                    (true, remind(&publisher, &subject.into(), results.as_mut()).await?)
                } else {
                    (true, results.await?)
                }
            }
            bytes = &mut results => (false, bytes?),
        };
        if !sent {
            self.spawn(async move {
                if let Err(why) = sending.await {
                    tracing::debug!("streams of a wasmCloud v1 call broke off: {why}");
                }
            })?;
        }
        Ok(Reply {
            bytes,
            streams: readers.streams,
        })
    }
}

/// Waits for the results of a call whose parameters all went with its first message, and repeats to the
/// callee that there are no more.
///
/// v1's transport can lose what comes just when it begins to listen for it, and would wait for the end of the
/// parameters for ever. One that it has had already it passes over.
async fn remind(
    publisher: &Publisher,
    subject: &Subject,
    mut results: Pin<&mut impl Future<Output = Result<Bytes, CallError>>>,
) -> Result<Bytes, CallError> {
    let mut pause = REMINDER;
    loop {
        if let Ok(results) = timeout(pause, results.as_mut()).await {
            return results;
        }
        publisher.end(subject).await?;
        pause *= 2;
    }
}

/// How many bytes `headers` take in a message.
fn header_bytes(headers: &HeaderMap) -> usize {
    let lines = headers.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        let line = move |value: &str| name.len() + ": ".len() + value.len() + "\r\n".len();
        values.iter().map(move |value| line(value.as_str()))
    });
    "NATS/1.0\r\n\r\n".len() + lines.sum::<usize>()
}
