//! Where what runs is counted and traced.

use crate::metrics::Metrics;
use crate::trace::Tracer;

/// What all that one process runs is counted and traced by. Cheap to clone; clones are one.
#[derive(Clone, Default)]
pub struct Observer {
    /// Counts calls, requests and instances.
    pub metrics: Metrics,
    /// Records spans, if there is somewhere for them to go.
    pub tracer: Tracer,
}
