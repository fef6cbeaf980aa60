//! Streams that outlive a connection: watches, subscriptions, subjects that are served.
//!
//! Each has a task, which asks for it again when the stream that it read has ended.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;
use withe_rpc::{CallError, PipeReader};

use super::link::{AGAIN, AttachedLink};
use super::protocol::{self, Ask, Follow, Told};
use crate::backlog::{Changes, Recent};
use crate::feed::Feed;
use crate::{Change, Entry, Request};

/// How many elements are asked for ahead.
const AHEAD: usize = 16;

/// A reader that an attached process follows for.
pub(super) enum Follower {
    Watch {
        feed: Feed<Changes>,
        /// The entries that came so far, until all that there are have come.
        there: Option<BTreeMap<String, Entry>>,
    },
    Messages(Feed<Recent>),
    Requests(mpsc::Sender<Request>),
}

impl Follower {
    pub(super) fn watch(feed: Feed<Changes>) -> Self {
        Self::Watch {
            feed,
            there: Some(BTreeMap::new()),
        }
    }

    /// Waits until nobody reads any more.
    async fn unread(&self) {
        match self {
            Self::Watch { feed, .. } => feed.unread().await,
            Self::Messages(feed) => feed.unread().await,
            Self::Requests(served) => served.closed().await,
        }
    }

    fn begin_again(&mut self) {
        if let Self::Watch { there, .. } = self {
            *there = Some(BTreeMap::new());
        }
    }

    fn change(&mut self, change: Change) {
        let Self::Watch { feed, there } = self else {
            return;
        };
        match (there.as_mut(), change) {
            (Some(there), Change::Put(entry)) => {
                there.insert(entry.key.clone(), entry);
            }
            (Some(there), Change::Gone { key } | Change::Lost { key }) => {
                there.remove(&key);
            }
            (_, Change::Synced) => {
                let entries = there.take().unwrap_or_default().into_values();
                feed.tell(|changes| changes.all(entries.collect()));
            }
            (None, Change::Put(entry)) => feed.tell(|changes| changes.put(entry)),
            (None, Change::Gone { key }) => feed.tell(|changes| changes.gone(&key)),
            (None, Change::Lost { key }) => feed.tell(|changes| changes.lost(&key)),
        }
    }
}

/// Follows something until nobody reads any more. `stream` is the one that it began with.
pub(super) async fn follow(
    link: Arc<AttachedLink>,
    what: Follow,
    mut stream: PipeReader,
    mut follower: Follower,
) {
    loop {
        // Answers that are not given yet end with the stream: nobody waits for them there any more.
        let mut answers = JoinSet::new();
        let ended = loop {
            tokio::select! {
                told = next(&mut stream) => match told {
                    Ok(Some(told)) => take(&link, &mut follower, told, &mut answers),
                    Ok(None) => break None,
                    Err(e) => break Some(e),
                },
                Some(_) = answers.join_next() => {}
                () = follower.unread() => return,
            }
        };
        if let Some(e) = ended {
            tracing::debug!(error = %e, "what is followed on the lattice is lost");
        }
        drop(answers);
        stream = tokio::select! {
            stream = begin_again(&link, &what) => stream,
            () = follower.unread() => return,
        };
        follower.begin_again();
    }
}

async fn begin_again(link: &AttachedLink, what: &Follow) -> PipeReader {
    loop {
        match link.begin(what).await {
            Ok((_, stream)) => return stream,
            Err(e) => tracing::trace!(error = %e, "the lattice is not back"),
        }
        sleep(AGAIN).await;
    }
}

/// The next thing that is told; nothing at the end.
///
/// # Errors
///
/// Returns an error if the connection was lost, or the chunk cannot be understood.
pub(super) async fn next(stream: &mut PipeReader) -> Result<Option<Told>, CallError> {
    let chunk = poll_fn(|cx| stream.poll_chunk(cx, AHEAD)).await;
    // Each was sent as one.
    let told = chunk
        .transpose()?
        .map(|chunk| protocol::read(&chunk.payload));
    told.transpose()
}

fn take(link: &Arc<AttachedLink>, follower: &mut Follower, told: Told, answers: &mut JoinSet<()>) {
    match (told, follower) {
        (Told::Change(change), follower) => follower.change(change),
        (Told::Message(message), Follower::Messages(feed)) => {
            feed.tell(|recent| recent.push(message));
        }
        (Told::Request(number, payload), Follower::Requests(served)) => {
            let (answer, answered) = oneshot::channel();
            // If it cannot be taken it is dropped, and that is told.
            _ = served.try_send(Request { payload, answer });
            let link = link.clone();
            // The other side bounds how many there are.
            answers.spawn(async move {
                let answer = answered.await.ok();
                // Without a connection nobody waits for it.
                _ = link.ask(Ask::Reply(number, answer)).await;
            });
        }
        (told, _) => tracing::debug!(?told, "what is told was not asked for"),
    }
}
