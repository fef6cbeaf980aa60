//! The result of binding a link: each way of binding makes one, and the plan is written from all of them.

use crate::plan::Binding;

/// A link's binding and why.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) binding: Binding,
    /// Whether it is only the cheapest of the ways to several hosts.
    pub(super) by_host: bool,
    pub(super) why: String,
}

impl Bound {
    /// A link with one binding for all of its target.
    pub(super) fn by(binding: Binding, why: impl Into<String>) -> Self {
        Self {
            binding,
            by_host: false,
            why: why.into(),
        }
    }
}
