//! The labels of a link's counts and spans.

use withe_linker::plan::{Binding, PlannedLink};

/// Which link, and which of the interfaces that it carries.
pub(crate) struct LinkLabels<'a> {
    pub(crate) application: &'a str,
    pub(crate) source: &'a str,
    pub(crate) target: &'a str,
    pub(crate) name: &'a str,
    /// `namespace:package/interface`, or the name of a function of the world.
    pub(crate) interface: &'a str,
    pub(crate) binding: Binding,
}

impl<'a> LinkLabels<'a> {
    /// The labels of a planned link. `interface` may have its version.
    pub(crate) fn of(application: &'a str, link: &'a PlannedLink, interface: &'a str) -> Self {
        Self {
            application,
            source: &link.source,
            target: &link.target,
            name: &link.name,
            interface: interface.split('@').next().unwrap_or_default(),
            binding: link.binding,
        }
    }

    pub(super) fn values(&self) -> Vec<String> {
        let binding = binding_name(self.binding);
        [
            self.application,
            self.source,
            self.target,
            self.name,
            self.interface,
            binding,
        ]
        .map(str::to_owned)
        .into()
    }
}

/// A binding, as metrics and traces name it.
pub(crate) fn binding_name(binding: Binding) -> &'static str {
    match binding {
        Binding::Fused => "fused",
        Binding::Local => "local",
        Binding::Host => "host",
        Binding::Unix => "unix",
        Binding::Tcp => "tcp",
        Binding::Nats => "nats",
    }
}
