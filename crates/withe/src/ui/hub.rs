//! Looks at the lattice while anybody looks at the page, keeps the last of what it saw, and tells it to all pages.
//!
//! However many pages there are, hosts are asked once a second, and not at all while there is none. What is told is made once and
//! shared; each page has a queue of bounded length, and one that does not keep up is told all anew in the place of what it missed.

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
use crate::watching::traces::{TraceSummary, Traces};
use crate::watching::watcher::LineOn;
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
const FIRST: Duration = Duration::from_secs(5);

/// What pages are told. Clones share it.
#[derive(Clone)]
pub(super) struct Hub(Arc<Shared>);

struct Shared {
    memory: Mutex<Memory>,
    told: broadcast::Sender<Bytes>,
    /// How many look.
    lookers: watch::Sender<usize>,
    /// How often it was looked.
    looks: watch::Sender<u64>,
}

/// The last of what was seen.
#[derive(Default)]
pub(super) struct Memory {
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

/// What a page follows.
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
            looks: watch::channel(0).0,
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

    /// What there is now, seen after this was asked for.
    pub(super) async fn fresh(&self) -> Looker {
        let looker = self.looker();
        let mut looks = self.0.looks.subscribe();
        let before = *looks.borrow_and_update();
        let looked = looks.wait_for(|looks| *looks > before);
        // What cannot be looked at soon is as it was seen last.
        _ = timeout(FIRST, looked).await;
        looker
    }

    /// Follows what happens.
    pub(super) fn follow(&self) -> Following {
        Following {
            told: self.0.told.subscribe(),
            _looker: self.looker(),
        }
    }

    /// All that is known, as it is told.
    pub(super) fn all(&self) -> Vec<Bytes> {
        let memory = self.memory();
        let mut all = vec![
            message("lattice", &memory.state),
            message("rates", &memory.rates),
            message("lines", &memory.lines),
            message("events", &memory.events),
            message("traces", &memory.traces.summaries()),
        ];
        all.extend((memory.trouble.iter()).map(|trouble| message("trouble", trouble)));
        all.into_iter().flatten().collect()
    }

    /// The last of what was seen.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        // What a panicking holder left behind is still some of it.
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
            match watcher.look().await {
                Ok(looked) => {
                    let trouble = self.memory().trouble.take();
                    if trouble.is_some() {
                        self.tell("trouble", &None::<String>);
                    }
                    if let Some(state) = looked.state {
                        self.tell("lattice", &state);
                        self.memory().state = state;
                    }
                    if looked.rates != self.memory().rates {
                        self.tell("rates", &looked.rates);
                        self.memory().rates = looked.rates;
                    }
                    self.keep_lines(looked.lines);
                    if !looked.spans.is_empty() {
                        let changed = self.keep_spans(looked.spans);
                        self.tell("traces", &changed);
                    }
                }
                Err(error) => {
                    let why = Some(error.to_string());
                    if self.memory().trouble != why {
                        self.tell("trouble", &why);
                        self.memory().trouble = why;
                    }
                }
            }
            self.0.looks.send_modify(|looks| *looks += 1);
        }
    }

    fn keep_lines(&self, lines: Vec<LineOn>) {
        if lines.is_empty() {
            return;
        }
        self.tell("lines", &lines);
        let mut memory = self.memory();
        memory.lines.extend(lines);
        let more = memory.lines.len().saturating_sub(LINES);
        memory.lines.drain(..more);
    }

    /// Keeps spans; the traces that they are of.
    fn keep_spans(&self, spans: Vec<crate::watching::traces::SpanOn>) -> Vec<TraceSummary> {
        let mut memory = self.memory();
        let mut ids = Vec::new();
        for one in spans {
            if !ids.contains(&one.span.trace) {
                ids.push(one.span.trace.clone());
            }
            memory.traces.add(one);
        }
        let changed = ids.iter().filter_map(|id| memory.traces.summary(id));
        changed.collect()
    }

    /// Hears what hosts tell, which is told once, whoever looks.
    async fn hear(self, lattice: SharedLattice) {
        loop {
            match lattice.subscribe(EVENTS).await {
                Ok(mut messages) => {
                    while let Some(message) = messages.recv().await {
                        // What newer hosts tell, this program may not know.
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
        self.tell("events", &[&event]);
        let mut memory = self.memory();
        if memory.events.len() >= EVENTS_KEPT {
            memory.events.pop_front();
        }
        memory.events.push_back(event);
    }
}

/// A server-sent event; `None` for what JSON cannot hold.
fn message(name: &str, value: &impl Serialize) -> Option<Bytes> {
    // JSON has no line breaks outside of texts, and escapes those within.
    let json = serde_json::to_string(value).ok()?;
    Some(format!("event: {name}\ndata: {json}\n\n").into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use withe_lattice::Embedded;
    use withe_node::events::Event;

    use super::*;

    fn hub() -> (Hub, JoinSet<()>) {
        let mut tasks = JoinSet::new();
        let lattice: SharedLattice = Arc::new(Embedded::in_memory("test").unwrap());
        (Hub::start(lattice, &mut tasks), tasks)
    }

    #[tokio::test]
    async fn the_lattice_is_looked_at_while_somebody_looks() {
        let (hub, _tasks) = hub();
        let mut looks = hub.0.looks.subscribe();
        assert!(timeout(2 * EVERY, looks.changed()).await.is_err());
        drop(hub.fresh().await);
        assert!(*hub.0.looks.borrow() > 0);
        assert_eq!(hub.memory().state.lattice, "test");
        assert_eq!(*hub.0.lookers.borrow(), 0);
    }

    #[tokio::test]
    async fn a_page_that_does_not_keep_up_costs_a_queue() {
        let (hub, _tasks) = hub();
        let mut following = hub.follow();
        for n in 0..WAITING as u64 + 10 {
            hub.keep_event(Told {
                time: n,
                host: "east\nwest".into(),
                host_id: "A".into(),
                event: Event::Joined,
            });
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
        let all = hub.all();
        assert!(
            all.iter()
                .any(|message| message.starts_with(b"event: lattice\n"))
        );
    }
}
