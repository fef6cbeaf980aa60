//! Looks at the lattice while anybody looks at the page, keeps the last of what it saw, and tells it to all pages.
//!
//! However many pages there are, hosts are asked once a second, and not at all while there is none. Each message is
//! made once and shared; each page has a queue of bounded length, and one that does not keep up is told all anew in the
//! place of what it missed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use withe_lattice::SharedLattice;
use withe_node::events::Told;
use withe_node::records::EVENTS;

use crate::commands::events::describe;
use crate::watching::rates::Rates;
use crate::watching::traces::{SpanOn, TraceSummary, Traces};
use crate::watching::watcher::{LineOn, Looked as Seen};
use crate::watching::{LatticeState, Wants, Watcher};

/// How often hosts are asked while somebody looks.
const EVERY: Duration = Duration::from_secs(1);
/// The most messages that wait for one page.
const WAITING: usize = 64;
/// The most lines that are kept.
const LINES: usize = 1_000;
/// The most events that are kept.
const EVENTS_KEPT: usize = 200;
/// How long to wait before events are asked for again that could not be had.
const AGAIN: Duration = Duration::from_secs(5);
/// The longest that somebody waits for a first look.
const FIRST: Duration = Duration::from_secs(10);

/// The messages to pages. Clones share it.
#[derive(Clone)]
pub(super) struct Hub(Arc<Shared>);

struct Shared {
    memory: Mutex<Memory>,
    told: broadcast::Sender<Bytes>,
    /// How many look.
    lookers: watch::Sender<usize>,
    /// How often it was looked.
    looks: watch::Sender<Looked>,
}

/// How many looks were begun, and how many are over.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    begun: u64,
    ended: u64,
}

/// How often it has to be looked for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    One,
    /// Twice, unless there are figures of late to compare those with that are there now.
    ToCompare,
}

/// The last of what was seen.
#[derive(Default)]
pub(super) struct Memory {
    /// Whether the lattice could ever be looked at.
    pub(super) is_seen: bool,
    /// Whether rates are of two looks.
    is_compared: bool,
    pub(super) state: LatticeState,
    pub(super) rates: Rates,
    pub(super) lines: VecDeque<LineOn>,
    pub(super) traces: Traces,
    pub(super) events: VecDeque<EventLine>,
    /// Why the lattice could not be looked at, if it could not.
    pub(super) trouble: Option<String>,
}

/// An event, and what it says.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EventLine {
    #[serde(flatten)]
    told: Told,
    text: String,
}

/// Somebody who looks, for as long as this is kept.
pub(super) struct Looker(Hub);

impl Drop for Looker {
    fn drop(&mut self) {
        self.0.0.lookers.send_modify(|lookers| *lookers -= 1);
    }
}

/// The messages that a page follows.
pub(super) struct Following {
    pub(super) told: broadcast::Receiver<Bytes>,
    pub(super) _looker: Looker,
}

impl Hub {
    /// One for `lattice`, whose tasks are among `tasks`.
    pub(super) fn start(lattice: SharedLattice, tasks: &mut JoinSet<()>) -> Self {
        let hub = Self(Arc::new(Shared {
            memory: Mutex::default(),
            told: broadcast::channel(WAITING).0,
            lookers: watch::channel(0).0,
            looks: watch::channel(Looked::default()).0,
        }));
        tasks.spawn(hub.clone().look(lattice.clone()));
        tasks.spawn(hub.clone().hear(lattice));
        hub
    }

    /// From now on somebody looks.
    fn looker(&self) -> Looker {
        self.0.lookers.send_modify(|lookers| *lookers += 1);
        Looker(self.clone())
    }

    /// The lattice now, looked at after this was asked for.
    pub(super) async fn fresh(&self, wanted: Looks) -> Looker {
        let looker = self.looker();
        // A lattice that cannot be looked at soon is as it was seen last.
        _ = timeout(FIRST, async {
            self.look_ends().await;
            if wanted == Looks::ToCompare && !self.memory().is_compared {
                self.look_ends().await;
            }
        })
        .await;
        looker
    }

    /// Waits until a look is over that begins after now.
    async fn look_ends(&self) {
        let mut looks = self.0.looks.subscribe();
        let begun = looks.borrow_and_update().begun;
        // The sender is in `self`.
        _ = looks.wait_for(|looks| looks.ended > begun).await;
    }

    /// Follows what happens from now on, and what there is until now.
    pub(super) fn follow(&self) -> (Following, Vec<Bytes>) {
        let memory = self.memory();
        let following = Following {
            told: self.0.told.subscribe(),
            _looker: self.looker(),
        };
        (following, memory.all())
    }

    /// The state until now, in the place of all that was not heard yet.
    pub(super) fn anew(&self, following: &mut Following) -> Vec<Bytes> {
        let memory = self.memory();
        following.told = self.0.told.subscribe();
        memory.all()
    }

    /// The last of what was seen. A caller that changes it tells the pages before it lets go of the lock, so that each
    /// hears all, and all once.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        // A panicking holder still leaves some of it behind.
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all pages. Nobody need be there.
    fn tell(&self, name: &str, value: &impl Serialize) {
        if self.0.told.receiver_count() > 0
            && let Some(message) = message(name, value)
        {
            _ = self.0.told.send(message);
        }
    }

    /// Looks, while anybody else does.
    async fn look(self, lattice: SharedLattice) {
        let mut watcher = Watcher::new(lattice, Wants::All, EVERY);
        let mut lookers = self.0.lookers.subscribe();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The sender is in `self`.
        while lookers.wait_for(|lookers| *lookers > 0).await.is_ok() {
            ticks.tick().await;
            self.0.looks.send_modify(|looks| looks.begun += 1);
            match watcher.look().await {
                Ok(looked) => self.keep(looked),
                Err(error) => {
                    let why = Some(error.to_string());
                    let mut memory = self.memory();
                    if memory.trouble != why {
                        self.tell("trouble", &why);
                        memory.trouble = why;
                    }
                }
            }
            self.0.looks.send_modify(|looks| looks.ended += 1);
        }
    }

    /// Keeps what was seen, and tells what is new of it.
    fn keep(&self, seen: Seen) {
        let mut memory = self.memory();
        memory.is_seen = true;
        memory.is_compared = seen.is_compared;
        if memory.trouble.take().is_some() {
            self.tell("trouble", &None::<String>);
        }
        if let Some(state) = seen.state {
            self.tell("lattice", &state);
            memory.state = state;
        }
        if seen.rates != memory.rates {
            self.tell("rates", &seen.rates);
            memory.rates = seen.rates;
        }
        if !seen.lines.is_empty() {
            self.tell("lines", &seen.lines);
            memory.lines.extend(seen.lines);
            let more = memory.lines.len().saturating_sub(LINES);
            memory.lines.drain(..more);
        }
        if !seen.spans.is_empty() {
            let changed = memory.add(seen.spans);
            self.tell("traces", &changed);
        }
    }

    /// Hears the hosts' events, and tells each once, however many pages there are.
    async fn hear(self, lattice: SharedLattice) {
        loop {
            match lattice.subscribe(EVENTS).await {
                Ok(mut messages) => {
                    while let Some(message) = messages.recv().await {
                        // Newer hosts may tell events that this program does not know.
                        if let Ok(told) = serde_json::from_slice::<Told>(&message.payload) {
                            self.keep_event(told);
                        }
                    }
                }
                Err(error) => tracing::debug!("events are not heard: {error}"),
            }
            sleep(AGAIN).await;
        }
    }

    fn keep_event(&self, told: Told) {
        let text = describe(&told.event);
        let event = EventLine { told, text };
        let mut memory = self.memory();
        self.tell("events", &[&event]);
        if memory.events.len() >= EVENTS_KEPT {
            memory.events.pop_front();
        }
        memory.events.push_back(event);
    }
}

impl Memory {
    /// The whole state, as messages.
    fn all(&self) -> Vec<Bytes> {
        let mut all = vec![
            message("lattice", &self.state),
            message("rates", &self.rates),
            message("lines", &self.lines),
            message("events", &self.events),
            message("traces", &self.traces.summaries()),
        ];
        all.extend((self.trouble.iter()).map(|trouble| message("trouble", trouble)));
        all.into_iter().flatten().collect()
    }

    /// Keeps spans; the traces that they are of.
    fn add(&mut self, spans: Vec<SpanOn>) -> Vec<TraceSummary> {
        let mut ids = Vec::new();
        for one in spans {
            if !ids.contains(&one.span.trace) {
                ids.push(one.span.trace.clone());
            }
            self.traces.add(one);
        }
        let changed = ids.iter().filter_map(|id| self.traces.summary(id));
        changed.collect()
    }
}

/// A server-sent event; `None` for what JSON cannot hold.
fn message(name: &str, value: &impl Serialize) -> Option<Bytes> {
    // JSON has no line breaks outside of texts, and escapes those within.
    let json = serde_json::to_string(value).ok()?;
    Some(format!("event: {name}\ndata: {json}\n\n").into())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use withe_lattice::Embedded;
    use withe_node::events::Event;

    use super::*;

    fn hub() -> (Hub, JoinSet<()>) {
        let mut tasks = JoinSet::new();
        let lattice: SharedLattice = Arc::new(Embedded::in_memory("test").unwrap());
        (Hub::start(lattice, &mut tasks), tasks)
    }

    /// One that looks at nothing and hears nothing by itself.
    pub(crate) fn quiet() -> (Hub, JoinSet<()>) {
        let (hub, mut tasks) = hub();
        tasks.abort_all();
        (hub, tasks)
    }

    /// Something happens.
    pub(crate) fn event(hub: &Hub, time: u64) {
        hub.keep_event(Told {
            time,
            host: "east\nwest".into(),
            host_id: "A".into(),
            event: Event::Joined,
        });
    }

    #[tokio::test]
    async fn the_lattice_is_looked_at_while_somebody_looks() {
        let (hub, _tasks) = quiet();
        let lattice: SharedLattice = Arc::new(Embedded::in_memory("test").unwrap());
        let mut looking = std::pin::pin!(hub.clone().look(lattice));
        // Looking waits for somebody who looks, and for no time: else the first look would have begun.
        assert!(futures::poll!(looking.as_mut()).is_pending());
        assert_eq!(hub.0.looks.borrow().begun, 0);
        let looker = hub.looker();
        let mut looks = hub.0.looks.subscribe();
        tokio::select! {
            () = looking => unreachable!("it ends with the hub"),
            looked = looks.wait_for(|looks| looks.ended > 1) => drop(looked.unwrap()),
        }
        assert_eq!(hub.memory().state.lattice, "test");
        assert!(hub.memory().is_seen);
        drop(looker);
        assert_eq!(*hub.0.lookers.borrow(), 0);
    }

    #[tokio::test]
    async fn whoever_asks_waits_for_a_look_that_begins_then() {
        let (hub, _tasks) = quiet();
        // One is under way.
        hub.0.looks.send_modify(|looks| looks.begun += 1);
        let mut waiting = std::pin::pin!(hub.look_ends());
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        hub.0.looks.send_modify(|looks| looks.ended += 1);
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        hub.0.looks.send_modify(|looks| looks.begun += 1);
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        hub.0.looks.send_modify(|looks| looks.ended += 1);
        assert!(futures::poll!(waiting.as_mut()).is_ready());
    }

    #[tokio::test]
    async fn a_page_that_does_not_keep_up_costs_a_queue() {
        let (hub, _tasks) = quiet();
        let (mut following, _) = hub.follow();
        for n in 0..WAITING as u64 + 10 {
            event(&hub, n);
        }
        let missed = following.told.recv().await;
        assert!(matches!(
            missed,
            Err(broadcast::error::RecvError::Lagged(_))
        ));
        let next = following.told.recv().await.unwrap();
        let text = std::str::from_utf8(&next).unwrap();
        assert!(text.starts_with("event: events\ndata: [{"), "{text}");
        assert!(
            text.ends_with("}]\n\n") && text.lines().count() == 3,
            "{text}"
        );
        assert_eq!(hub.memory().events.len(), WAITING + 10);
        let all = hub.anew(&mut following);
        assert!(
            all.iter()
                .any(|message| message.starts_with(b"event: lattice\n"))
        );
    }
}
