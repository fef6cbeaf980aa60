//! The waiting sides of a session: requests wait for the broker's answers, links for messages.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::packet::{self, Qos};
use crate::broker::BrokerMessage;

/// The number of the subscription to answers.
pub(super) const ANSWERS: u32 = 1;

/// The waiting sides of a session, and the way to the broker.
#[derive(Default)]
pub(super) struct MqttState {
    pub(super) line: Option<Line>,
    /// Counts the sessions that the broker began: what was to be acknowledged in one is nothing to the next.
    pub(super) number: u64,
    last_id: u16,
    /// The callers that wait for the broker's answer, by the number of the packet sent.
    pub(super) asked: HashMap<u16, Asked>,
    pub(super) filters: HashMap<String, Filter>,
    last_filter: u32,
    last_member: u64,
    pub(super) inboxes: HashMap<String, oneshot::Sender<BrokerMessage>>,
    pub(super) last_inbox: u64,
    /// The numbers of messages that wait here and are not acknowledged.
    pub(super) unacknowledged: HashSet<u16>,
    /// How many messages came that have a number.
    pub(super) came: u64,
    /// Filters that have ended, and of which the broker may not know: there was no connection, or no room for a packet.
    pub(super) ended: Vec<String>,
    /// Filters that the broker sends nothing new of: what waits there of before still comes.
    pub(super) leaving: Vec<Filter>,
}

/// The way to the task that has the connection.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) packets: mpsc::Sender<Bytes>,
    /// Acknowledgements: as many as the broker has messages under way.
    pub(super) acknowledged: mpsc::Sender<Bytes>,
    /// How many messages may be under way to the broker.
    pub(super) permits: Arc<Semaphore>,
    pub(super) largest: usize,
}

/// A request to the broker, until it is answered.
pub(super) struct Asked {
    pub(super) answer: Option<oneshot::Sender<u8>>,
    /// The request, for the log where nobody waits.
    pub(super) what: Option<String>,
    /// A filter that ends by it, and of which the broker is told again if the connection is lost.
    pub(super) ends: Option<String>,
    pub(super) _permit: Option<OwnedSemaphorePermit>,
}

impl Asked {
    /// The end of a filter, for which nobody waits.
    pub(super) fn end_of(filter: &str) -> Self {
        Self {
            answer: None,
            what: None,
            ends: Some(filter.to_owned()),
            _permit: None,
        }
    }
}

/// A subscription of the broker's, and those here that share it.
pub(super) struct Filter {
    pub(super) number: u32,
    pub(super) pattern: String,
    pub(super) qos: Qos,
    pub(super) members: Vec<Member>,
    /// The next turn among its members.
    pub(super) turn: usize,
}

/// A link that shares a subscription.
pub(super) struct Member {
    pub(super) number: u64,
    pub(super) messages: mpsc::Sender<Came>,
    pub(super) waiting: Arc<AtomicUsize>,
}

/// A message that waits for its component.
pub(super) struct Came {
    pub(super) message: BrokerMessage,
    /// The session and the number that it is acknowledged by.
    pub(super) id: Option<(u64, u16)>,
    pub(super) waiting: Arc<AtomicUsize>,
}

impl Filter {
    /// Whether nobody else shares it.
    pub(super) fn is_only(&self, member: u64) -> bool {
        matches!(&self.members[..], [only] if only.number == member)
    }
}

impl MqttState {
    /// A number for what is asked; `None` if all are taken.
    pub(super) fn ask(&mut self, asked: Asked) -> Option<u16> {
        for _ in 0..u16::MAX {
            // 0 is no number.
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.asked.contains_key(&self.last_id) {
                self.asked.insert(self.last_id, asked);
                return Some(self.last_id);
            }
        }
        None
    }

    /// Adds a member to those who share a filter; the number of the subscription, if it has to be made.
    pub(super) fn join(
        &mut self,
        filter: &str,
        pattern: &str,
        qos: Qos,
        messages: mpsc::Sender<Came>,
    ) -> (u64, Option<u32>) {
        self.last_member += 1;
        let member = Member {
            number: self.last_member,
            messages,
            waiting: Arc::default(),
        };
        if let Some(filter) = self.filters.get_mut(filter) {
            filter.members.push(member);
            return (self.last_member, None);
        }
        // The first is that of answers. Numbers have 28 bits, and nobody makes so many links.
        self.last_filter = (self.last_filter % 0x0fff_fff0).max(ANSWERS) + 1;
        let made = Filter {
            number: self.last_filter,
            pattern: pattern.to_owned(),
            qos,
            members: vec![member],
            turn: 0,
        };
        self.filters.insert(filter.to_owned(), made);
        self.ended.retain(|ended| ended != filter);
        (self.last_member, Some(self.last_filter))
    }

    /// Takes a member away; whether nobody shares the filter any more.
    pub(super) fn part(&mut self, filter: &str, member: u64) -> bool {
        let Some(found) = self.filters.get_mut(filter) else {
            return false;
        };
        found.members.retain(|other| other.number != member);
        let is_last = found.members.is_empty();
        if is_last {
            self.filters.remove(filter);
        }
        is_last
    }

    pub(super) fn acknowledge(&self, id: u16) {
        if let Some(line) = &self.line {
            // There is room for as many as the broker has under way; if not, it sends the message again.
            _ = line.acknowledged.try_send(packet::published(id));
        }
    }
}
