//! Traces, put together from the spans that hosts tell.
//!
//! The hops of a trace end on several hosts and are told by each on its own, the outermost last. So a trace is there as soon as
//! one of its spans is, and grows; a span whose parent nobody has told, as one that is still under way, is a root until then.

use std::collections::{BTreeSet, HashMap, VecDeque};

use serde::Serialize;
use withe_node::observation::SpanRecord;

/// The most traces that are kept.
const TRACES: usize = 100;
/// The most spans of one.
const SPANS: usize = 500;

/// A span, and the host that told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SpanOn {
    pub(crate) host: String,
    #[serde(flatten)]
    pub(crate) span: SpanRecord,
}

/// A trace in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TraceSummary {
    pub(crate) id: String,
    /// The name of its outermost span.
    pub(crate) name: String,
    /// When it began, in microseconds since 1970.
    pub(crate) start: u64,
    /// How long it took, in nanoseconds.
    pub(crate) nanos: u64,
    pub(crate) spans: usize,
    /// How many of these failed.
    pub(crate) errors: usize,
    pub(crate) hosts: Vec<String>,
    pub(crate) applications: Vec<String>,
}

/// The last traces.
#[derive(Default)]
pub(crate) struct Traces {
    spans: HashMap<String, Vec<SpanOn>>,
    /// The ids of the traces, the oldest first.
    order: VecDeque<String>,
}

impl Traces {
    /// Takes a span of one of them.
    pub(crate) fn add(&mut self, one: SpanOn) {
        let id = one.span.trace.clone();
        if !self.spans.contains_key(&id) {
            if self.order.len() >= TRACES
                && let Some(oldest) = self.order.pop_front()
            {
                self.spans.remove(&oldest);
            }
            self.order.push_back(id.clone());
        }
        let spans = self.spans.entry(id).or_default();
        if spans.len() < SPANS && !spans.iter().any(|known| known.span.id == one.span.id) {
            spans.push(one);
        }
    }

    /// All, the newest first.
    pub(crate) fn summaries(&self) -> Vec<TraceSummary> {
        let newest = self.order.iter().rev();
        newest.filter_map(|id| self.summary(id)).collect()
    }

    /// One of them in a line.
    pub(crate) fn summary(&self, id: &str) -> Option<TraceSummary> {
        let spans = self.spans.get(id)?;
        let ids: BTreeSet<_> = spans.iter().map(|one| one.span.id.as_str()).collect();
        let is_root = |one: &&SpanOn| {
            let parent = one.span.parent.as_deref();
            parent.is_none_or(|parent| !ids.contains(parent))
        };
        let roots = spans.iter().filter(is_root);
        let root = roots.min_by_key(|one| (one.span.start, std::cmp::Reverse(one.span.nanos)))?;
        let of = |what: &dyn Fn(&SpanOn) -> Option<String>| -> Vec<String> {
            let all: BTreeSet<_> = spans.iter().filter_map(what).collect();
            all.into_iter().collect()
        };
        let start = spans.iter().map(|one| one.span.start).min();
        let start = start.unwrap_or_default();
        let end = |one: &SpanOn| {
            let began = (one.span.start - start).saturating_mul(1_000);
            began.saturating_add(one.span.nanos)
        };
        Some(TraceSummary {
            id: id.to_owned(),
            name: root.span.name.clone(),
            start,
            nanos: spans.iter().map(end).max().unwrap_or_default(),
            spans: spans.len(),
            errors: spans.iter().filter(|one| one.span.error.is_some()).count(),
            hosts: of(&|one| Some(one.host.clone())),
            applications: of(&|one| one.span.attributes.get("withe.application").cloned()),
        })
    }

    /// The spans of one, by their beginning.
    pub(crate) fn spans(&self, id: &str) -> Option<Vec<SpanOn>> {
        let mut spans = self.spans.get(id)?.clone();
        spans.sort_by_key(|one| (one.span.start, std::cmp::Reverse(one.span.nanos)));
        Some(spans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace: &str, id: &str, parent: Option<&str>, start: u64, host: &str) -> SpanOn {
        SpanOn {
            host: host.into(),
            span: SpanRecord {
                trace: trace.into(),
                id: id.into(),
                parent: parent.map(str::to_owned),
                name: format!("span {id}"),
                start,
                nanos: 5_000,
                ..SpanRecord::default()
            },
        }
    }

    #[test]
    fn a_trace_is_named_by_its_outermost_span_as_it_grows() {
        let mut traces = Traces::default();
        traces.add(span("t", "c", Some("b"), 30, "west"));
        assert_eq!(traces.summary("t").unwrap().name, "span c");
        traces.add(span("t", "b", Some("a"), 20, "east"));
        // Its parent is the span of the trace's origin, and tells nothing.
        let summary = traces.summary("t").unwrap();
        assert_eq!((summary.name.as_str(), summary.start), ("span b", 20));
        assert_eq!((summary.nanos, summary.spans), (15_000, 2));
        assert_eq!(summary.hosts, ["east", "west"]);
        // Told twice.
        traces.add(span("t", "b", Some("a"), 20, "east"));
        let spans = traces.spans("t").unwrap();
        let ids: Vec<_> = spans.iter().map(|one| one.span.id.as_str()).collect();
        assert_eq!(ids, ["b", "c"]);
    }

    #[test]
    fn the_oldest_traces_go() {
        let mut traces = Traces::default();
        for n in 0..TRACES + 3 {
            traces.add(span(&format!("{n}"), "a", None, n as u64, "east"));
        }
        let all = traces.summaries();
        assert_eq!((all.len(), all[0].id.as_str()), (TRACES, "102"));
        assert_eq!(traces.spans("2"), None);
        assert_eq!(traces.spans.len(), TRACES);
    }
}
