//! The side that is invoked.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_nats::{HeaderMap, Message, Subject, Subscriber};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{SelectAll, Stream, StreamExt as _};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};
use withe_rpc::CallError;

use super::connection::{OutgoingValues, Publisher, V1Wire};
use super::mailbox::{ChannelReader, Exchange, MailboxSide};
use super::{REMINDER, names};

/// How long results are kept from a caller of which nothing has come since its call was accepted.
///
/// Callers that v1's Rust crates make end their parameters as soon as they are accepted. Callers that the Go library
/// makes end them only in its later versions, and earlier ones get their results that much later.
const UNHEARD: Duration = Duration::from_secs(1);

/// How long a successor and what it replaces serve together, at most.
///
/// `nats-server` looks up who serves a call before it delivers the call (`processInboundClientMsg`). A thread of the broker
/// that loses its processor in between may find everybody gone whom it looked up, and tells the caller that nobody
/// serves the function, although a successor has begun. Without a pause 2 calls of 1,600,000 met that under load.
const OVERLAP: Duration = Duration::from_millis(100);

/// A function that is served.
pub(crate) struct Endpoint {
    /// The interface as it stands on the wire; empty for a function of the world itself.
    pub(crate) instance: String,
    pub(crate) function: String,
    /// Where the parameters may have streams.
    pub(crate) params: Vec<String>,
    /// Where the results may have streams.
    pub(crate) results: Vec<String>,
    pub(crate) handler: Arc<dyn Handler>,
}

/// The handler of a function's invocations.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Whether `bytes` are all the parameters. If not, more is waited for.
    fn is_complete(&self, bytes: &[u8]) -> bool;

    /// Serves an invocation. The future is dropped at its deadline.
    fn invoke(
        &self,
        invocation: Invocation,
    ) -> BoxFuture<'static, Result<OutgoingValues, CallError>>;
}

/// One invocation as it came.
pub(crate) struct Invocation {
    pub(crate) params: Bytes,
    /// The streams, in the order of the endpoint's paths.
    pub(crate) streams: Vec<ChannelReader>,
    pub(crate) headers: HeaderMap,
    pub(crate) deadline: Instant,
}

/// Functions that are served until this is stopped or dropped.
#[derive(Debug)]
pub(crate) struct ServedFunctions {
    stop: Option<oneshot::Sender<Duration>>,
    task: JoinHandle<()>,
}

impl V1Wire {
    /// Serves `endpoints` at `{lattice}.{id}`, each call for at most `limit`. Several that serve the same
    /// id share its calls.
    ///
    /// Each function is a subscription of its own, and not all one wildcard, so that the broker tells
    /// callers of what is not there that nobody serves it, and gives a call to a replica that has the
    /// function while others do not.
    ///
    /// # Errors
    ///
    /// If the connection is closed.
    pub(crate) async fn serve(
        &self,
        prefix: String,
        endpoints: Vec<Endpoint>,
        limit: Duration,
    ) -> Result<ServedFunctions, CallError> {
        let mut invocations = SelectAll::new();
        for endpoint in endpoints {
            let subject = names::invocation(&prefix, &endpoint.instance, &endpoint.function);
            let subscribed = self.client().queue_subscribe(subject, prefix.clone()).await;
            let subscriber = subscribed.map_err(|e| {
                CallError::Unreachable(format!("cannot subscribe at `{prefix}`: {e}"))
            })?;
            invocations.push(Subscribed {
                subscriber,
                endpoint: Arc::new(endpoint),
            });
        }
        // When this returns the broker knows of it, so that a call that is made then finds it.
        self.settle().await?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(self.clone(), invocations, limit, stopped));
        Ok(ServedFunctions {
            stop: Some(stop),
            task,
        })
    }
}

impl ServedFunctions {
    /// Takes no new calls, and returns when those under way have ended, at the latest after `grace`.
    pub(crate) async fn stop(mut self, grace: Duration) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone if the task has ended, and then there is nothing to stop.
            _ = stop.send(grace);
        }
        // The task has its own bound, which is below this.
        _ = timeout(grace + Duration::from_secs(2), &mut self.task).await;
    }
}

impl Drop for ServedFunctions {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An endpoint and the subscription at which its invocations come.
struct Subscribed {
    subscriber: Subscriber,
    endpoint: Arc<Endpoint>,
}

impl Stream for Subscribed {
    type Item = (Arc<Endpoint>, Message);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = ready!(self.subscriber.poll_next_unpin(cx));
        Poll::Ready(message.map(|message| (self.endpoint.clone(), message)))
    }
}

async fn run(
    wire: V1Wire,
    mut invocations: SelectAll<Subscribed>,
    limit: Duration,
    mut stop: oneshot::Receiver<Duration>,
) {
    let mut calls = JoinSet::new();
    let mut stopping = None;
    let until = loop {
        tokio::select! {
            grace = &mut stop, if stopping.is_none() => {
                let now = Instant::now();
                let grace = grace.unwrap_or_default();
                stopping = Some((now + OVERLAP.min(grace / 2), now + grace));
            }
            Some(until) = passed(stopping) => break until,
            Some(_) = calls.join_next() => {}
            next = invocations.next() => {
                // Nothing comes any more: the connection was closed.
                let Some((endpoint, message)) = next else { break Instant::now() };
                let full = calls.len() >= wire.limits().calls;
                calls.spawn(serve_one(wire.clone(), endpoint, message, limit, full));
            }
        }
    };
    let all = async {
        leave(&wire, &mut invocations).await;
        // Invocations that the broker sent before it heard of the end are still served here.
        while let Some((endpoint, message)) = invocations.next().await {
            calls.spawn(serve_one(wire.clone(), endpoint, message, limit, false));
        }
        while calls.join_next().await.is_some() {}
    };
    if timeout_at(until, all).await.is_err() {
        tracing::warn!(
            "calls of wasmCloud v1 peers did not end in time and were dropped when their component stopped"
        );
    }
}

/// Waits for the first instant of `stopping`, and returns the second.
async fn passed(stopping: Option<(Instant, Instant)>) -> Option<Instant> {
    let (overlap, until) = stopping?;
    tokio::time::sleep_until(overlap).await;
    Some(until)
}

/// A count of messages that is never reached.
const NEVER: u64 = u64::MAX;

/// Has the broker send nothing more, and returns when all that it sent has come. The subscriptions end with that.
///
/// `Subscriber::drain` is for this, but forgets a subscription before the broker knows (`ConnectionHandler::process` of
/// `async-nats` 0.51): what was on its way is dropped without a word, and its caller waits. So the broker is told first,
/// by a request to end the subscription after a number of messages. The client keeps the subscription until so many
/// have come. The broker takes a number of more than nine digits for none (`parseSize` of `nats-server`), and ends it
/// at once. One that took it for a number would go on sending until the subscription is forgotten: what is on its way
/// then would be lost as it is with `drain`.
async fn leave(wire: &V1Wire, invocations: &mut SelectAll<Subscribed>) {
    // All of it fails only if the connection is closed, and then nothing comes.
    for subscribed in invocations.iter_mut() {
        _ = subscribed.subscriber.unsubscribe_after(NEVER).await;
    }
    _ = wire.settle().await;
    for subscribed in invocations.iter_mut() {
        _ = subscribed.subscriber.unsubscribe().await;
    }
}

/// One invocation that is being served.
struct ServedInvocation {
    wire: V1Wire,
    endpoint: Arc<Endpoint>,
    /// The caller's inbox.
    reply: Subject,
    /// The parameters, as far as they came with the invocation.
    first: Bytes,
    headers: HeaderMap,
    deadline: Instant,
    /// Whether too many are in flight for this one to be served.
    full: bool,
}

/// Serves one invocation, from its first message to the end of its last stream.
async fn serve_one(
    wire: V1Wire,
    endpoint: Arc<Endpoint>,
    message: Message,
    limit: Duration,
    full: bool,
) {
    let Some(reply) = message.reply else {
        tracing::debug!("an invocation of `{}` names no inbox", endpoint.function);
        return;
    };
    let publisher = wire.publisher();
    let results = format!("{reply}.results");
    let call = ServedInvocation {
        wire,
        endpoint: endpoint.clone(),
        reply,
        first: message.payload,
        headers: message.headers.unwrap_or_default(),
        deadline: Instant::now() + limit,
        full,
    };
    let sent = match call.answer(&publisher).await {
        Ok(values) => publisher.send_values(&results, values).await,
        Err(why) => {
            tracing::warn!(
                "a call of `{}` of `{}` failed, of which its wasmCloud v1 caller learns only that: {why}",
                endpoint.function,
                endpoint.instance,
            );
            close(&publisher, &results, &endpoint.results).await
        }
    };
    if let Err(why) = sent {
        tracing::debug!(
            "results of `{}` could not be sent: {why}",
            endpoint.function
        );
    }
}

impl ServedInvocation {
    /// Accepts the invocation and has it handled.
    async fn answer(self, publisher: &Publisher) -> Result<OutgoingValues, CallError> {
        let endpoint = self.endpoint;
        let mailbox = self.wire.mailbox();
        let (exchange, mut readers) = mailbox.open(MailboxSide::Server, &endpoint.params);
        let inbox = self.wire.inbox(exchange.id);
        let accept = || publisher.ask(self.reply.to_string(), inbox.clone(), None, Bytes::new());
        accept().await?;
        let sure = Instant::now() + UNHEARD;
        let handled = async {
            if self.full {
                let limit = self.wire.limits().calls;
                return Err(CallError::Exhausted(format!("{limit} calls are in flight")));
            }
            let params = if endpoint.handler.is_complete(&self.first) {
                self.first
            } else {
                readers.root.all(self.first).await?
            };
            let invocation = Invocation {
                params,
                streams: readers.streams,
                headers: self.headers,
                deadline: self.deadline,
            };
            endpoint.handler.invoke(invocation).await
        };
        let mut handled = pin!(timeout_at(self.deadline, handled));
        let mut heard = pin!(accept_until_heard(&exchange, accept));
        let handled = tokio::select! {
            biased;
            handled = &mut handled => {
                // Results that come to a caller that does not listen are lost, and so is the call.
                _ = timeout_at(sure, heard).await;
                handled
            }
            () = &mut heard => handled.await,
        };
        handled.unwrap_or(Err(CallError::Deadline))
    }
}

/// Repeats to a caller that it is accepted until something comes from it.
///
/// v1's caller listens for acceptance and results in one step, but not before it calls: it passes both the step and
/// what comes from the broker to one task, which takes them in random order when it is late (the `select!` of
/// `wrpc_transport_nats::Client::new`, up to 0.29), and throws away what it does not know yet. Such a caller waits for
/// the acceptance before anything else, for ever. A second acceptance does no harm: the caller ignores it. As soon as
/// it has one it ends its parameters, so that something comes from it.
async fn accept_until_heard<A>(exchange: &Exchange, accept: impl Fn() -> A)
where
    A: Future<Output = Result<(), CallError>>,
{
    let mut pause = REMINDER;
    while timeout(pause, exchange.heard()).await.is_err() {
        tracing::debug!(
            "nothing has come of a wasmCloud v1 caller, which is told again that it is accepted"
        );
        // Accepting fails only if the connection is closed, and then the results cannot be sent either.
        if accept().await.is_err() {
            return;
        }
        pause *= 2;
    }
}

/// Ends all that a caller waits for.
async fn close(publisher: &Publisher, results: &str, paths: &[String]) -> Result<(), CallError> {
    publisher.end(&results.into()).await?;
    for path in paths {
        publisher.end(&names::at(results, path).into()).await?;
    }
    Ok(())
}
