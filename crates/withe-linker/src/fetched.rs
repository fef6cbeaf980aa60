//! Secrets that hosts fetch: who has them, and where they are.
//!
//! A component reads its secrets one by one (`wasmcloud:secrets/store`). A provider has them among its configuration,
//! under their names, for that is where its settings are. The values come into the plan on the host that carries it
//! out: neither a manifest nor the lattice has them.

use withe_wit::World;

use crate::diagnostic::Diagnostics;
use crate::input::{Application, SecretRef};
use crate::parts::{PartId, Parts};
use crate::plan::PlannedSecret;
use crate::problems;
use crate::resolved::Resolved;

/// The property of a policy that names its backend.
const BACKEND: &str = "backend";

/// The secrets of `refs`, as hosts fetch them. Later ones go before earlier ones of the same name.
pub(crate) fn planned<'a>(
    application: &Application,
    refs: impl IntoIterator<Item = &'a SecretRef>,
) -> Vec<PlannedSecret> {
    let mut planned: Vec<PlannedSecret> = Vec::new();
    for secret in refs {
        let policies = application.policies.iter();
        // Of two policies of one name the last one counts; that there is one was checked when the manifest was read.
        let policy = policies.rev().find(|p| p.name.value == secret.policy.value);
        let mut properties = policy.map_or_else(Default::default, |p| p.properties.clone());
        let backend = properties.remove(BACKEND);
        planned.retain(|known| known.name != secret.name.value);
        planned.push(PlannedSecret {
            name: secret.name.value.clone(),
            policy: secret.policy.value.clone(),
            backend: backend.unwrap_or_default(),
            properties,
            key: secret.key.clone(),
            field: secret.field.clone(),
            version: secret.version.clone(),
        });
    }
    planned
}

/// Reports every secret that nobody reads.
pub(crate) fn check(resolved: &Resolved<'_>, out: &mut Diagnostics) {
    let parts = &resolved.parts;
    for part in parts.ids() {
        let declared = parts.declared(part);
        if !parts.is_provider(part) && !reads_secrets(parts, part) {
            let name = &declared.name.value;
            for secret in &declared.secrets {
                out.push(problems::config::unread_secret(secret, name));
            }
        }
    }
    for (_, link) in resolved.links.iter() {
        for (end, is_source) in [(link.source, true), (link.target, false)] {
            if parts.is_provider(end) {
                continue;
            }
            let of_end = link.traits.iter().flat_map(|declared| match is_source {
                true => &declared.source_secrets,
                false => &declared.target_secrets,
            });
            for secret in of_end {
                out.push(problems::config::secret_of_a_component(
                    secret,
                    parts.name(end),
                ));
            }
        }
    }
}

/// Whether a component imports what reads secrets. One that cannot be read might.
fn reads_secrets(parts: &Parts<'_>, part: PartId) -> bool {
    let imports = |world: &World| {
        let mut names = world
            .imports
            .iter()
            .filter_map(|import| import.interface_name());
        names.any(|name| name.namespace == "wasmcloud" && name.package == "secrets")
    };
    parts.world(part).is_none_or(imports)
}
