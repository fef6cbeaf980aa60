//! The settings of a link, which every way of binding it has to heed.

use std::time::Duration;

use crate::input::{BindingChoice, Locality, Scope};
use crate::resolved::{Resolved, ResolvedLink};

use super::carry;

/// The settings of a link, with defaults filled in.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) binding: BindingChoice,
    /// Who asked for the binding, for `why`.
    pub(super) asked_by: &'static str,
    pub(super) scope: Scope,
    pub(super) timeout: Option<Duration>,
    pub(super) locality: Option<Locality>,
}

impl Settings {
    /// The settings of `link`, by its traits or by the command line.
    pub(super) fn of(resolved: &Resolved<'_>, link: &ResolvedLink<'_>) -> Self {
        // The command line's settings are for links between components; a provider has no choice.
        let defaults =
            (!resolved.involves_provider(link)).then_some(&resolved.parts.inputs.defaults);
        let declared = link
            .traits
            .iter()
            .find_map(|l| l.binding.as_ref())
            .map(|b| b.value);
        let (binding, asked_by) = match (declared, defaults.and_then(|d| d.binding)) {
            (Some(binding), _) => (binding, "the manifest"),
            (None, Some(binding)) => (binding, "the command line"),
            (None, None) => (BindingChoice::Auto, ""),
        };
        let scope = link
            .traits
            .iter()
            .find_map(|l| l.scope.as_ref())
            .map(|s| s.value)
            .or(is_to_shared(resolved, link).then_some(Scope::Shared));
        Self {
            binding,
            asked_by,
            scope: scope.or(defaults.and_then(|d| d.scope)).unwrap_or_default(),
            timeout: link
                .traits
                .iter()
                .find_map(|l| l.timeout.as_ref())
                .map(|t| t.value),
            locality: link
                .traits
                .iter()
                .find_map(|l| l.locality.as_ref())
                .map(|l| l.value),
        }
    }
}

/// Whether the link is to a provider that is a component: one instance serves all its callers, unless they say
/// otherwise. Requests have an instance each, and so has each call of a provider.
fn is_to_shared(resolved: &Resolved<'_>, link: &ResolvedLink<'_>) -> bool {
    resolved.parts.is_component_provider(link.target)
        && !resolved.parts.is_provider(link.source)
        && !carry::carries_requests(resolved, link)
}
