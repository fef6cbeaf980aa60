//! The answer of a host to those who look at it: what it has counted, the last lines of its log, and the last spans.
//!
//! Nothing of it is sent while nobody asks. An observer asks now and then, and says how far it has seen: a host keeps
//! no state of its observers, and one that stops asking costs nothing. Lines are kept always, for what has gone wrong
//! is what one wants to read then; spans only while somebody looks, for each costs a call more than all else that is
//! counted. Subscribing to a subject on which hosts publish was the other way, and would have had them send while
//! nobody listens.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use withe_host::{Figures, TraceGate};

/// The most lines that are kept.
const LINES: usize = 1_000;
/// The most spans that are kept.
const SPANS: usize = 4_000;
/// The most bytes of a line or of a span's text that are kept: as much as people read.
const TEXT: usize = 2_048;
/// The most bytes of lines, and of spans, in one answer: a NATS server takes messages of 1 MiB.
const ANSWER: usize = 128 << 10;
/// The most links, and components, in one answer.
pub(crate) const FIGURES: usize = 600;
/// So long after somebody has looked, spans are kept.
const WATCHED: Duration = Duration::from_secs(10);
/// The most traces that begin in a second because somebody looks.
const TRACES: u32 = 20;
/// The most traces in a second that others have begun, and that are recorded because somebody looks: those of several hosts.
const JOINED: usize = 100;

/// How far somebody has seen what a host keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenUpTo {
    /// The number of the next line.
    #[serde(default)]
    pub line: u64,
    /// The number of the next span.
    #[serde(default)]
    pub span: u64,
}

/// The counts, lines and spans of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When, in milliseconds since 1970, by the host's clock.
    pub time: u64,
    /// The counts since the host started.
    pub figures: Figures,
    /// Lines of its log, and of what its components print, that were not seen before.
    #[serde(default)]
    pub lines: Vec<LogLine>,
    /// Spans that were not seen before.
    #[serde(default)]
    pub spans: Vec<SpanRecord>,
    /// How far that goes.
    pub seen: SeenUpTo,
}

/// A line of a host's log, or one that a component has printed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// `error`, `warn`, `info`, `debug` or `trace`; `out` for what is printed.
    pub level: String,
    /// The application that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The part that has said it; `None` for the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// The text.
    pub text: String,
}

/// A hop of a trace, which has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanRecord {
    /// The trace's id, in hexadecimal.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The id of the hop that has caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The name, for people.
    pub name: String,
    /// `server`, `client` or `internal`.
    pub kind: String,
    /// When it began, in microseconds since 1970, by the clock of its host.
    pub start: u64,
    /// How long it took, in nanoseconds.
    pub nanos: u64,
    /// How it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its attributes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// The last lines and spans of a host. Clones are one.
#[derive(Clone, Default)]
pub struct Recent(Arc<Inner>);

struct Inner {
    kept: Mutex<Kept>,
    made: Instant,
    /// How many milliseconds after it was made spans are kept no more, because nobody has looked; 0 if that is over. Every
    /// request that comes in reads it.
    watched_until: AtomicU64,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            made: Instant::now(),
            watched_until: AtomicU64::new(0),
        }
    }
}

#[derive(Default)]
struct Kept {
    lines: Numbered<LogLine>,
    spans: Numbered<SpanRecord>,
    /// The second in which traces were begun, and how many.
    begun: Option<(Instant, u32)>,
    /// The second in which traces of others came, and which.
    joined: Option<(Instant, Vec<[u8; 16]>)>,
}

/// The last of many, each with a number.
struct Numbered<T> {
    all: VecDeque<T>,
    /// The number of the next one.
    next: u64,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            all: VecDeque::new(),
            next: 0,
        }
    }
}

impl<T: Clone> Numbered<T> {
    fn push(&mut self, one: T, most: usize) {
        if self.all.len() >= most {
            self.all.pop_front();
        }
        self.all.push_back(one);
        self.next += 1;
    }

    /// The entries from number `from` on, the oldest first, of at most so many bytes; and the number behind the last of
    /// them. An observer that has seen nothing gets the newest.
    fn since(&self, from: u64, bytes: impl Fn(&T) -> usize) -> (Vec<T>, u64) {
        let first = self.next - self.all.len() as u64;
        // A number that was never given out is of somebody who saw another host.
        let from = if from > self.next { 0 } else { from };
        let mut left = ANSWER;
        let mut fits = |one: &T| match left.checked_sub(bytes(one)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        };
        if from == 0 {
            let newest = self.all.iter().rev().take_while(|one| fits(one));
            let mut newest: Vec<T> = newest.cloned().collect();
            newest.reverse();
            return (newest, self.next);
        }
        let skipped = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        let new = self.all.iter().skip(skipped).take_while(|one| fits(one));
        let new: Vec<T> = new.cloned().collect();
        let next = from.max(first) + new.len() as u64;
        (new, next)
    }
}

impl Recent {
    /// Keeps a line.
    pub fn line(&self, mut line: LogLine) {
        cut(&mut line.text);
        self.lock().lines.push(line, LINES);
    }

    /// Keeps a span.
    pub fn span(&self, mut span: SpanRecord) {
        cut(&mut span.name);
        span.error.iter_mut().for_each(cut);
        span.attributes.values_mut().for_each(cut);
        self.lock().spans.push(span, SPANS);
    }

    /// Gives the lines and spans that were not seen yet; from now on spans are kept for some time.
    pub(crate) fn since(&self, seen: SeenUpTo) -> (Vec<LogLine>, Vec<SpanRecord>, SeenUpTo) {
        self.watched_at(Instant::now());
        let kept = self.lock();
        let (lines, line) = kept.lines.since(seen.line, LogLine::bytes);
        let (spans, span) = kept.spans.since(seen.span, SpanRecord::bytes);
        (lines, spans, SeenUpTo { line, span })
    }

    /// Whether somebody has looked of late.
    pub fn is_open(&self) -> bool {
        // Asking for the time costs more than this.
        self.0.watched_until.load(Ordering::Relaxed) != 0 && self.is_open_at(Instant::now())
    }

    fn is_open_at(&self, now: Instant) -> bool {
        let watched_until = &self.0.watched_until;
        let until = watched_until.load(Ordering::Relaxed);
        let is_open = self.millis_at(now) < until;
        if !is_open {
            // So that nobody asks for the time again. Somebody may have looked meanwhile.
            let (order, failed) = (Ordering::Relaxed, Ordering::Relaxed);
            _ = watched_until.compare_exchange(until, 0, order, failed);
        }
        is_open
    }

    /// Somebody looks.
    fn watched_at(&self, now: Instant) {
        let until = self.millis_at(now + WATCHED);
        self.0.watched_until.store(until, Ordering::Relaxed);
    }

    fn millis_at(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.0.made);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panicking holder still leaves some lines behind.
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TraceGate for Recent {
    fn records(&self, trace_id: [u8; 16]) -> bool {
        if !self.is_open() {
            return false;
        }
        let now = Instant::now();
        match &mut self.lock().joined {
            Some((second, joined)) if now - *second < Duration::from_secs(1) => {
                let is_known = joined.contains(&trace_id);
                if !is_known && joined.len() < JOINED {
                    joined.push(trace_id);
                    return true;
                }
                is_known
            }
            joined => {
                *joined = Some((now, vec![trace_id]));
                true
            }
        }
    }

    fn begins(&self) -> bool {
        if !self.is_open() {
            return false;
        }
        let now = Instant::now();
        match &mut self.lock().begun {
            Some((second, begun)) if now - *second < Duration::from_secs(1) => {
                *begun += 1;
                *begun <= TRACES
            }
            begun => {
                *begun = Some((now, 1));
                true
            }
        }
    }
}

/// Cuts what is longer than anybody reads.
fn cut(text: &mut String) {
    if text.len() > TEXT {
        text.truncate(text.floor_char_boundary(TEXT));
        text.push('…');
    }
}

/// About what a record needs besides its texts.
const AROUND: usize = 100;

impl LogLine {
    fn bytes(&self) -> usize {
        // A control character is six bytes in JSON.
        let names = self.application.as_ref().map_or(0, String::len)
            + self.part.as_ref().map_or(0, String::len);
        let escaped = self
            .text
            .bytes()
            .filter(|b| *b < 0x20 || *b == b'"' || *b == b'\\');
        AROUND + names + self.text.len() + 5 * escaped.count()
    }
}

impl SpanRecord {
    fn bytes(&self) -> usize {
        let attributes = self.attributes.iter();
        let attributes: usize = attributes.map(|(k, v)| k.len() + v.len() + 8).sum();
        2 * AROUND + self.name.len() + self.error.as_ref().map_or(0, String::len) + attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: impl Into<String>) -> LogLine {
        LogLine {
            text: text.into(),
            ..LogLine::default()
        }
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn whoever_looks_again_gets_what_is_new() {
        let recent = Recent::default();
        recent.line(line("a"));
        recent.line(line("b"));
        let (lines, _, seen) = recent.since(SeenUpTo::default());
        assert_eq!(texts(&lines), ["a", "b"]);
        recent.line(line("c"));
        let (lines, _, seen) = recent.since(seen);
        assert_eq!(texts(&lines), ["c"]);
        assert!(recent.since(seen).0.is_empty());
        // An observer of another host comes with numbers that mean nothing here.
        let other = SeenUpTo { line: 99, span: 99 };
        assert_eq!(recent.since(other).0.len(), 3);
    }

    #[test]
    fn what_is_kept_and_what_is_told_is_bounded() {
        let recent = Recent::default();
        for n in 0..LINES + 5 {
            recent.line(line(format!("{n}")));
        }
        let first = SeenUpTo { line: 1, span: 0 };
        let (lines, _, seen) = recent.since(first);
        assert_eq!((lines.len(), lines[0].text.as_str()), (LINES, "5"));
        assert_eq!(seen.line, LINES as u64 + 5);

        for _ in 0..LINES {
            recent.line(line("ü".repeat(TEXT)));
        }
        let mut seen = seen;
        let mut heard = 0;
        loop {
            let (lines, _, next) = recent.since(seen);
            if lines.is_empty() {
                break;
            }
            assert!(lines.iter().map(LogLine::bytes).sum::<usize>() <= ANSWER);
            assert!(lines.iter().all(|line| line.text.len() <= TEXT + "…".len()));
            heard += lines.len();
            seen = next;
        }
        assert_eq!(heard, LINES);
    }

    #[test]
    fn traces_begin_while_somebody_looks_and_not_all() {
        let recent = Recent::default();
        assert!(!recent.is_open() && !recent.begins());
        recent.since(SeenUpTo::default());
        let begun = (0..1_000).filter(|_| recent.begins()).count();
        // A second may have passed.
        assert!((TRACES as usize..=100).contains(&begun), "{begun}");
    }

    #[test]
    fn nobody_need_ask_for_spans_to_be_kept_no_more() {
        let recent = Recent::default();
        let now = Instant::now();
        recent.watched_at(now);
        assert!(recent.is_open_at(now) && recent.is_open_at(now + WATCHED / 2));
        assert!(!recent.is_open_at(now + WATCHED));
        assert!(!recent.is_open_at(now + 100 * WATCHED));
        // Asking again reopens the watch.
        recent.watched_at(now + 3 * WATCHED);
        assert!(recent.is_open_at(now + 3 * WATCHED));
    }

    #[test]
    fn of_traces_of_others_not_all_are_recorded() {
        let recent = Recent::default();
        let id = |n: u64| -> [u8; 16] { u128::from(n).to_le_bytes() };
        assert!(!recent.records(id(0)));
        recent.since(SeenUpTo::default());
        let recorded: Vec<_> = (0..2_000).filter(|n| recent.records(id(*n))).collect();
        // A second may have passed.
        assert!(
            (JOINED..=10 * JOINED).contains(&recorded.len()),
            "{recorded:?}"
        );
        // All hops of one that is recorded are.
        recent.lock().joined = None;
        assert!((0..2_000).all(|_| recent.records(id(7))));
    }
}
