//! Puts the values of secrets into a plan, on the host that is to carry it out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use withe_linker::input::ComponentKind;
use withe_linker::plan::{Plan, PlannedSecret};
use withe_load::{ProviderSource, V1Source};

use crate::error::{HostError, none_of};
use crate::parts::Parts;
use crate::secrets::{SecretBackends, SecretError};

/// The plan with the values of the secrets that are used on this host.
///
/// # Errors
///
/// All that cannot be had.
pub(crate) fn fetch<'p>(
    plan: &'p Plan,
    parts: &Parts,
    backends: &SecretBackends,
) -> Result<Cow<'p, Plan>, HostError> {
    let has_none = plan.components.iter().all(|c| c.secrets.is_empty())
        && plan
            .links
            .iter()
            .all(|l| l.source_secrets.is_empty() && l.target_secrets.is_empty());
    if has_none {
        return Ok(Cow::Borrowed(plan));
    }
    let mut fetching = Fetching {
        application: &plan.application,
        backends,
        parts,
        errors: Vec::new(),
    };
    let mut fetched = plan.clone();
    for component in fetched.components.iter_mut().filter(|c| !c.elsewhere) {
        let values = match component.kind {
            ComponentKind::Component => &mut component.secret_values,
            ComponentKind::Provider => &mut component.config,
        };
        for secret in &component.secrets {
            fetching.fetch(&component.name, secret, values);
        }
    }
    let here = |name: &str| {
        plan.components
            .iter()
            .any(|c| c.name == name && !c.elsewhere)
    };
    for link in &mut fetched.links {
        if here(&link.source) {
            for secret in &link.source_secrets {
                fetching.fetch(&link.source, secret, &mut link.source_config);
            }
        }
        if here(&link.target) {
            for secret in &link.target_secrets {
                fetching.fetch(&link.target, secret, &mut link.target_config);
            }
        }
    }
    none_of(fetching.errors)?;
    Ok(Cow::Owned(fetched))
}

struct Fetching<'a> {
    application: &'a str,
    backends: &'a SecretBackends,
    parts: &'a Parts,
    errors: Vec<HostError>,
}

impl Fetching<'_> {
    /// Fetches a secret of `part` into its values.
    fn fetch(&mut self, part: &str, secret: &PlannedSecret, values: &mut BTreeMap<String, String>) {
        let fetched = match self.parts.providers.get(part) {
            Some(ProviderSource::V1(part)) if matches!(part.source, V1Source::Lattice(_)) => {
                Err(SecretError::V1)
            }
            _ => self.backends.fetch(self.application, secret),
        };
        match fetched {
            Ok(value) => drop(values.insert(secret.name.clone(), value)),
            Err(why) => self.errors.push(HostError::Secret {
                part: part.to_owned(),
                secret: secret.name.clone(),
                why,
            }),
        }
    }
}
