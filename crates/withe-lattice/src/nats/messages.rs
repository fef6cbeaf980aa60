//! Messages and requests, over core NATS.

use std::time::Duration;

use async_nats::{Client, HeaderMap, RequestErrorKind, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::SelectAll;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::backlog::Recent;
use crate::error::Invalid;
use crate::feed::Feed;
use crate::{LatticeError, Message, Request, names};

/// Requests that wait for one who serves them, beyond those in the client's own queue.
const WAITING: usize = 64;

/// Requests of one subject that are being answered at a time. More wait in the client's queue.
const ANSWERING: usize = 256;

/// The longest that a server may take over a request. Nobody waits so long, but one who forgets it must
/// not keep others from being served.
const LONGEST: Duration = Duration::from_secs(600);

/// The header of an answer that is none, and says why.
const REASON: &str = "Withe-Reason";
/// The server of the request dropped it.
const DROPPED: &str = "dropped";

/// Fails if a message would be too large for the server.
fn check_size(client: &Client, what: String, message: &[u8]) -> Result<(), Invalid> {
    let most = client.max_payload();
    if message.len() <= most {
        return Ok(());
    }
    let size = message.len();
    Err(Invalid::LargeMessage { what, size, most })
}

pub(super) async fn publish(
    client: &Client,
    lattice: &str,
    subject: &str,
    message: Bytes,
) -> Result<(), LatticeError> {
    check_size(client, format!("a message to `{subject}`"), &message)?;
    let published = client.publish(names::message(lattice, subject), message);
    published.await.map_err(LatticeError::unreachable)
}

pub(super) async fn subscribe(
    client: &Client,
    lattice: &str,
    prefix: &str,
) -> Result<SelectAll<Subscriber>, LatticeError> {
    let subjects = match prefix {
        "" => vec![format!("{}>", names::message_prefix(lattice))],
        _ => {
            let subject = names::message(lattice, prefix);
            vec![format!("{subject}.>"), subject]
        }
    };
    let mut subscribers = SelectAll::new();
    for subject in subjects {
        let subscribed = client.subscribe(subject).await;
        subscribers.push(subscribed.map_err(LatticeError::unreachable)?);
    }
    settle(client).await?;
    Ok(subscribers)
}

/// Tells a feed what is published, until nobody reads.
pub(super) async fn listen(
    mut subscribers: SelectAll<Subscriber>,
    prefix: String,
    feed: Feed<Recent>,
) {
    loop {
        tokio::select! {
            message = subscribers.next() => {
                let Some(message) = message else { return };
                let subject = message.subject.as_str();
                let subject = subject.strip_prefix(&prefix).unwrap_or(subject).into();
                let payload = message.payload;
                feed.tell(|recent| recent.push(Message { subject, payload }));
            }
            () = feed.unread() => return,
        }
    }
}

pub(super) async fn request(
    client: &Client,
    lattice: &str,
    subject: &str,
    message: Bytes,
    limit: Duration,
) -> Result<Bytes, LatticeError> {
    check_size(client, format!("a request to `{subject}`"), &message)?;
    let request = async_nats::Request::new()
        .payload(message)
        .timeout(Some(limit));
    let answered = client
        .send_request(names::request(lattice, subject), request)
        .await;
    let answer = answered.map_err(|e| match e.kind() {
        RequestErrorKind::NoResponders => LatticeError::NobodyServes(subject.into()),
        RequestErrorKind::TimedOut => LatticeError::Timeout(subject.into()),
        _ => LatticeError::unreachable(e),
    })?;
    match answer.headers.as_ref().and_then(|h| h.get(REASON)) {
        None => Ok(answer.payload),
        Some(reason) if reason.as_str() == DROPPED => Err(LatticeError::Timeout(subject.into())),
        Some(reason) => Err(LatticeError::invalid(reason.as_str())),
    }
}

pub(super) async fn serve(
    client: &Client,
    lattice: &str,
    subject: &str,
) -> Result<Subscriber, LatticeError> {
    let subject = names::request(lattice, subject);
    // Of several who serve a subject one gets a request.
    let subscribed = client.queue_subscribe(subject, "withe".into()).await;
    let subscriber = subscribed.map_err(LatticeError::unreachable)?;
    settle(client).await?;
    Ok(subscriber)
}

/// Waits until the server has seen what was asked of it before: it takes things in order.
async fn settle(client: &Client) -> Result<(), LatticeError> {
    match client.request(client.new_inbox(), Bytes::new()).await {
        Err(e) if e.kind() == RequestErrorKind::NoResponders => Ok(()),
        Err(e) => Err(LatticeError::unreachable(e)),
        Ok(_) => Ok(()),
    }
}

/// Hands requests to one who serves them, and the answers back, until nobody serves.
pub(super) async fn answer(
    client: Client,
    subject: String,
    mut subscriber: Subscriber,
    served: mpsc::Sender<Request>,
) {
    let mut answering = JoinSet::new();
    loop {
        tokio::select! {
            message = subscriber.next(), if answering.len() < ANSWERING => {
                let Some(message) = message else { return };
                // One that asks for no answer is no request.
                let Some(reply) = message.reply else { continue };
                let (answer, answered) = oneshot::channel();
                let request = Request { payload: message.payload, answer };
                if served.send(request).await.is_err() {
                    return;
                }
                let client = client.clone();
                let subject = subject.clone();
                answering.spawn(async move {
                    let answer = timeout(LONGEST, answered).await;
                    let answer = answer.ok().and_then(Result::ok);
                    send_answer(&client, &subject, reply, answer).await;
                });
            }
            _ = answering.join_next(), if !answering.is_empty() => {}
            () = served.closed() => break,
        }
    }
    // Requests under way are answered, if their handlers still hold them.
    while answering.join_next().await.is_some() {}
}

async fn send_answer(
    client: &Client,
    subject: &str,
    reply: async_nats::Subject,
    answer: Option<Bytes>,
) {
    let reason = match &answer {
        None => Some(DROPPED.to_owned()),
        Some(answer) => check_size(client, format!("an answer of `{subject}`"), answer)
            .err()
            .map(|e| e.to_string()),
    };
    let sent = match reason {
        None => client.publish(reply, answer.unwrap_or_default()).await,
        Some(reason) => {
            let mut headers = HeaderMap::new();
            headers.insert(REASON, reason);
            let empty = Bytes::new();
            client.publish_with_headers(reply, headers, empty).await
        }
    };
    if let Err(e) = sent {
        tracing::debug!(subject, error = %e, "an answer cannot be sent");
    }
}

/// A channel to one who serves.
pub(super) fn requests() -> (mpsc::Sender<Request>, mpsc::Receiver<Request>) {
    mpsc::channel(WAITING)
}
