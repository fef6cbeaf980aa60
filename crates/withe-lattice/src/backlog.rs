//! The two backlogs of the lattice: changes, put together by key, and messages, of which the oldest go.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use crate::feed::Backlog;
use crate::{Change, Entry, Message};

/// Changes that a watch has not told yet.
///
/// Of each key only the last change is kept, so they are never more than the keys that there are and
/// those that the watch has told of.
#[derive(Default)]
pub(crate) struct Changes {
    /// The keys that the reader believes to exist.
    told: HashSet<String>,
    /// The steps to tell, in order.
    steps: BTreeMap<u64, Step>,
    next_step: u64,
    /// For each key among the steps, where it is there.
    pending: HashMap<String, u64>,
    /// Where `Synced` is among the steps.
    synced: Option<u64>,
}

enum Step {
    Put(Entry),
    Gone(String),
    Lost(String),
    Synced,
}

impl Changes {
    /// An entry was put.
    pub(crate) fn put(&mut self, entry: Entry) {
        match self.pending.get(&entry.key) {
            Some(at) => {
                self.steps.insert(*at, Step::Put(entry));
            }
            None => {
                let key = entry.key.clone();
                let at = self.push(Step::Put(entry));
                self.pending.insert(key, at);
            }
        }
    }

    /// An entry is gone. Nothing is told of one that the reader never heard of.
    pub(crate) fn gone(&mut self, key: &str) {
        self.ended(key, Step::Gone(key.into()));
    }

    /// An entry is lost. Nothing is told of one that the reader never heard of.
    pub(crate) fn lost(&mut self, key: &str) {
        self.ended(key, Step::Lost(key.into()));
    }

    fn ended(&mut self, key: &str, step: Step) {
        match (self.pending.get(key).copied(), self.told.contains(key)) {
            (Some(at), true) => {
                self.steps.insert(at, step);
            }
            (Some(at), false) => {
                self.steps.remove(&at);
                self.pending.remove(key);
            }
            (None, true) => {
                let at = self.push(step);
                self.pending.insert(key.into(), at);
            }
            (None, false) => {}
        }
    }

    /// All that was there has been told.
    pub(crate) fn synced(&mut self) {
        if let Some(earlier) = self.synced.take() {
            self.steps.remove(&earlier);
        }
        self.synced = Some(self.push(Step::Synced));
    }

    /// This is all that there is: tells it, and what is gone.
    pub(crate) fn all(&mut self, entries: Vec<Entry>) {
        for key in self.all_but(&entries) {
            self.gone(&key);
        }
        self.are_there(entries);
    }

    /// This is all that a store has which keeps marks of what was `removed`: what is neither there nor removed is lost. Of
    /// those that are `unread` nothing can be told.
    pub(crate) fn all_of_store(
        &mut self,
        entries: Vec<Entry>,
        removed: &[String],
        unread: &[String],
    ) {
        for key in self.all_but(&entries) {
            if removed.contains(&key) {
                self.gone(&key);
            } else if !unread.contains(&key) {
                self.lost(&key);
            }
        }
        self.are_there(entries);
    }

    /// The keys that the reader believes to be there, but for those of `entries`.
    fn all_but(&self, entries: &[Entry]) -> Vec<String> {
        let there: HashSet<&str> = entries.iter().map(|entry| &*entry.key).collect();
        let mut known = self.known();
        known.retain(|key| !there.contains(key.as_str()));
        known
    }

    fn are_there(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.put(entry);
        }
        self.synced();
    }

    /// The keys that the reader believes to be there, or will.
    pub(crate) fn known(&self) -> Vec<String> {
        let keys: HashSet<&String> = self.told.iter().chain(self.pending.keys()).collect();
        keys.into_iter().cloned().collect()
    }

    fn push(&mut self, step: Step) -> u64 {
        let at = self.next_step;
        self.next_step += 1;
        self.steps.insert(at, step);
        at
    }
}

impl Backlog for Changes {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        Some(match self.steps.pop_first()?.1 {
            Step::Put(entry) => {
                self.pending.remove(&entry.key);
                self.told.insert(entry.key.clone());
                Change::Put(entry)
            }
            Step::Gone(key) => {
                self.pending.remove(&key);
                self.told.remove(&key);
                Change::Gone { key }
            }
            Step::Lost(key) => {
                // The reader keeps it in mind, so that a removal is told besides.
                self.pending.remove(&key);
                Change::Lost { key }
            }
            Step::Synced => {
                self.synced = None;
                Change::Synced
            }
        })
    }
}

/// Messages that a listener has not taken yet.
pub(crate) struct Recent {
    messages: VecDeque<Message>,
    bytes: usize,
    lost: u64,
}

/// The most messages that wait for a listener.
const MAX_MESSAGES: usize = 1_024;

/// The most bytes that wait for a listener, but for one message that alone is larger.
const MAX_BYTES: usize = 16 << 20;

impl Recent {
    pub(crate) fn new() -> Self {
        Self {
            messages: VecDeque::new(),
            bytes: 0,
            lost: 0,
        }
    }

    /// Adds a message; forgets the oldest if they become too many.
    pub(crate) fn push(&mut self, message: Message) {
        self.bytes += message.payload.len();
        self.messages.push_back(message);
        while self.messages.len() > MAX_MESSAGES
            || (self.bytes > MAX_BYTES && self.messages.len() > 1)
        {
            let Some(oldest) = self.messages.pop_front() else {
                break;
            };
            self.bytes -= oldest.payload.len();
            self.lost += 1;
            if self.lost == 1 {
                tracing::warn!(
                    subject = oldest.subject,
                    "a listener does not keep up and loses messages"
                );
            }
        }
    }
}

impl Backlog for Recent {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.payload.len();
        Some(message)
    }
}

impl Drop for Recent {
    fn drop(&mut self) {
        if self.lost > 0 {
            tracing::warn!(lost = self.lost, "a listener that did not keep up is gone");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, revision: u64) -> Entry {
        Entry {
            key: key.into(),
            value: Default::default(),
            revision,
        }
    }

    fn rest<B: Backlog>(backlog: &mut B) -> Vec<B::Item> {
        std::iter::from_fn(|| backlog.next()).collect()
    }

    fn put(key: &str, revision: u64) -> Change {
        Change::Put(entry(key, revision))
    }

    fn gone(key: &str) -> Change {
        Change::Gone { key: key.into() }
    }

    #[test]
    fn changes_of_a_key_are_put_together() {
        let mut changes = Changes::default();
        changes.all(vec![entry("a", 1), entry("b", 2)]);
        changes.put(entry("a", 3));
        changes.put(entry("c", 4));
        let told = rest(&mut changes);
        assert_eq!(
            told,
            [put("a", 3), put("b", 2), Change::Synced, put("c", 4)]
        );
        changes.gone("a");
        changes.put(entry("a", 5));
        changes.gone("b");
        assert_eq!(rest(&mut changes), [put("a", 5), gone("b")]);
    }

    #[test]
    fn what_comes_and_goes_untold_leaves_nothing() {
        let mut changes = Changes::default();
        for revision in 0..1_000 {
            let key = format!("k{revision}");
            changes.put(entry(&key, revision));
            changes.gone(&key);
        }
        assert!(changes.steps.is_empty() && changes.pending.is_empty());
        assert_eq!(rest(&mut changes), []);
    }

    #[test]
    fn another_beginning_tells_what_went_meanwhile() {
        let mut changes = Changes::default();
        changes.all(vec![entry("a", 1), entry("b", 2)]);
        rest(&mut changes);
        changes.all(vec![entry("b", 2), entry("c", 3)]);
        // And another before any of that is told: there is one `Synced`, at the end.
        changes.all(vec![entry("c", 3)]);
        let told = rest(&mut changes);
        assert_eq!(told.last(), Some(&Change::Synced));
        assert_eq!(told.len(), 4);
        for change in [gone("a"), gone("b"), put("c", 3)] {
            assert!(told.contains(&change), "{change:?} in {told:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_gone() {
        let mut changes = Changes::default();
        changes.all(vec![entry("a", 1), entry("b", 2), entry("c", 3)]);
        rest(&mut changes);
        let unread = ["b".into(), "new".into()];
        changes.all_of_store(vec![entry("c", 3)], &["a".into()], &unread);
        assert_eq!(rest(&mut changes), [gone("a"), put("c", 3), Change::Synced]);
        // Told again when it can be.
        changes.put(entry("b", 4));
        changes.gone("b");
        assert_eq!(rest(&mut changes), [gone("b")]);
    }

    #[test]
    fn what_is_lost_is_not_gone_until_somebody_removes_it() {
        let mut changes = Changes::default();
        changes.all_of_store(vec![entry("a", 7), entry("b", 8)], &[], &[]);
        rest(&mut changes);
        changes.put(entry("untold", 9));
        changes.all_of_store(vec![], &["b".into()], &[]);
        let told = rest(&mut changes);
        let lost = Change::Lost { key: "a".into() };
        assert!(
            told.contains(&lost) && told.contains(&gone("b")),
            "{told:?}"
        );
        assert_eq!(told.len(), 3, "{told:?}");
        // Put and removed at once: the reader has never heard of the former.
        changes.put(entry("a", 1));
        changes.gone("a");
        assert_eq!(rest(&mut changes), [gone("a")]);
    }

    #[test]
    fn the_oldest_messages_go() {
        let message = |n: usize, size: usize| Message {
            subject: n.to_string(),
            payload: vec![0; size].into(),
        };
        let mut recent = Recent::new();
        for n in 0..MAX_MESSAGES + 3 {
            recent.push(message(n, 1));
        }
        assert_eq!(recent.lost, 3);
        assert_eq!(recent.next().unwrap().subject, "3");
        recent.push(message(0, MAX_BYTES));
        assert_eq!(recent.messages.len(), 1);
        assert_eq!(recent.bytes, MAX_BYTES);
    }
}
