//! Where what runs is counted and traced.

use crate::metrics::Metrics;
use crate::trace::Tracer;

/// Counts and traces all that one process runs. Cheap to clone; clones are one.
#[derive(Clone, Default)]
pub struct Observer {
    /// Counts calls, requests and instances.
    pub metrics: Metrics,
    /// Records spans, if there is somewhere for them to go.
    pub tracer: Tracer,
}
