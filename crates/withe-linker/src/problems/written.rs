//! How the values of a manifest are written, for messages that name them and help that is pasted into one.

use withe_wit::{Extern, InterfaceName, World};

use crate::input::{BindingChoice, Scope};
use crate::plan::Binding;

pub(crate) fn binding_name(binding: BindingChoice) -> &'static str {
    match binding {
        BindingChoice::Auto => "auto",
        BindingChoice::Fused => "fused",
        BindingChoice::Local => "local",
        BindingChoice::Host => "host",
        BindingChoice::Unix => "unix",
        BindingChoice::Tcp => "tcp",
        BindingChoice::Nats => "nats",
    }
}

pub(crate) fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Caller => "caller",
        Scope::Call => "call",
        Scope::Shared => "shared",
    }
}

/// A planned binding's name, as `binding:` has it.
pub(crate) fn planned_name(binding: Binding) -> &'static str {
    binding_name(match binding {
        Binding::Fused => BindingChoice::Fused,
        Binding::Local => BindingChoice::Local,
        Binding::Host => BindingChoice::Host,
        Binding::Unix => BindingChoice::Unix,
        Binding::Tcp => BindingChoice::Tcp,
        Binding::Nats => BindingChoice::Nats,
    })
}

/// How an entry of `interfaces` names an import of `world`: with its version if there are several.
pub(crate) fn selector(world: &World, name: &InterfaceName) -> String {
    let imports = world.imports.iter().filter_map(Extern::interface_name);
    let mut others = imports.filter(|other| name.same_interface(other) && *other != name);
    match (&name.version, others.next()) {
        (Some(version), Some(_)) => format!("{}@{version}", name.interface),
        _ => name.interface.clone(),
    }
}
