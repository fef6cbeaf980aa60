//! Puts the values of secrets into a plan, on the host that is to carry it out.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use withe_linker::input::ComponentKind;
use withe_linker::plan::{Plan, PlannedSecret};
use withe_load::{ProviderSource, V1Source};

use crate::error::{HostError, none_of};
use crate::options::HostOptions;
use crate::parts::Parts;
use crate::secrets::SecretError;

/// How many secrets are fetched beside each other.
const AT_ONCE: usize = 16;

/// The plan with the values of the secrets that are used on this host.
///
/// # Errors
///
/// All that cannot be had.
pub(crate) async fn fetch<'p>(
    plan: &'p Plan,
    parts: &Parts,
    options: &HostOptions,
) -> Result<Cow<'p, Plan>, HostError> {
    if !plan.asks_for_secrets() {
        return Ok(Cow::Borrowed(plan));
    }
    let mut fetched = plan.clone();
    let mut owners = owners(&mut fetched);
    // A lattice that is far away, or down, answers all of them together.
    let wanted = owners.iter().enumerate().flat_map(|(owner, of)| {
        let secrets = of.secrets.iter();
        secrets.map(move |secret| (owner, of.part.clone(), secret.clone()))
    });
    let wanted: Vec<_> = wanted.collect();
    let fetching = wanted.into_iter().map(|(owner, part, secret)| async move {
        let value = value(&plan.application, &part, &secret, parts, options).await;
        (owner, secret.name, value)
    });
    let values: Vec<_> = stream::iter(fetching).buffered(AT_ONCE).collect().await;
    let mut errors = Vec::new();
    for (owner, secret, value) in values {
        let owner = &mut owners[owner];
        match value {
            Ok(value) => drop(owner.values.insert(secret, value)),
            Err(why) => errors.push(HostError::Secret {
                part: owner.part.clone(),
                secret,
                why,
            }),
        }
    }
    none_of(errors)?;
    Ok(Cow::Owned(fetched))
}

/// A part's secrets of one place, and where their values go.
struct Owner<'a> {
    part: String,
    secrets: &'a [PlannedSecret],
    values: &'a mut BTreeMap<String, String>,
}

/// All of a plan whose secrets are used on this host.
fn owners(plan: &mut Plan) -> Vec<Owner<'_>> {
    let here = plan.components.iter().filter(|c| !c.elsewhere);
    let here: BTreeSet<_> = here.map(|c| c.name.clone()).collect();
    let mut owners = Vec::new();
    for component in plan.components.iter_mut().filter(|c| !c.elsewhere) {
        let values = match component.kind {
            ComponentKind::Component => &mut component.secret_values,
            ComponentKind::Provider => &mut component.config,
        };
        owners.push(Owner {
            part: component.name.clone(),
            secrets: &component.secrets,
            values,
        });
    }
    for link in &mut plan.links {
        if here.contains(&link.source) {
            owners.push(Owner {
                part: link.source.clone(),
                secrets: &link.source_secrets,
                values: &mut link.source_config,
            });
        }
        if here.contains(&link.target) {
            owners.push(Owner {
                part: link.target.clone(),
                secrets: &link.target_secrets,
                values: &mut link.target_config,
            });
        }
    }
    owners
}

/// The value of a secret of `part`.
async fn value(
    application: &str,
    part: &str,
    secret: &PlannedSecret,
    parts: &Parts,
    options: &HostOptions,
) -> Result<String, SecretError> {
    if let Some(ProviderSource::V1(part)) = parts.providers.get(part)
        && matches!(part.source, V1Source::Lattice(_))
    {
        return Err(SecretError::V1);
    }
    let lattice = options.lattice_secrets.as_deref();
    (options.secret_backends)
        .fetch(application, secret, lattice)
        .await
}
