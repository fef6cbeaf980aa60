//! W3C trace contexts, which go over v1's wire as headers.

use async_nats::HeaderMap;
use withe_rpc::TraceContext;

/// The header that has it.
const TRACEPARENT: &str = "traceparent";

/// The trace that an invocation with these headers is part of.
pub(crate) fn of(headers: &HeaderMap) -> Option<TraceContext> {
    TraceContext::parse(headers.get(TRACEPARENT)?.as_str())
}

/// Adds the trace that an invocation is part of.
pub(crate) fn put(headers: &mut HeaderMap, trace: Option<TraceContext>) {
    if let Some(trace) = trace {
        headers.insert(TRACEPARENT, trace.to_string());
    }
}
