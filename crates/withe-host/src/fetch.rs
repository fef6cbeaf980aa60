//! Puts the values of secrets into a plan, on the host that is to carry it out.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use tokio::task::spawn_blocking;
use withe_linker::input::{ComponentKind, ConfigMap};
use withe_linker::plan::{Plan, PlannedSecret};
use withe_linker::secrets::SecretValue;
use withe_load::{ProviderSource, V1Source};
use withe_wasmcloud::{Executable, HostJwt, component_jwt};

use crate::error::{HostError, none_of};
use crate::options::HostOptions;
use crate::parts::Parts;
use crate::secrets::{SecretError, Sources, V1Sources};

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
    let v1 = v1_sources(&wanted, parts, options).await?;
    let v1 = v1.as_ref();
    let fetching = wanted.into_iter().map(|(owner, part, secret)| async move {
        let value = value(&plan.application, &part, &secret, parts, options, v1).await;
        (owner, secret.name, value)
    });
    let values: Vec<_> = stream::iter(fetching).buffered(AT_ONCE).collect().await;
    let mut errors = Vec::new();
    for (owner, secret, value) in values {
        let owner = &mut owners[owner];
        match value.and_then(|value| owner.values.insert(&secret, value)) {
            Ok(()) => {}
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
    values: Values<'a>,
}

/// Where values go.
enum Values<'a> {
    /// To a component, which reads them one by one.
    Secrets(&'a mut BTreeMap<String, SecretValue>),
    /// Among configuration.
    Config(&'a mut ConfigMap),
}

impl Values<'_> {
    fn insert(&mut self, name: &str, value: SecretValue) -> Result<(), SecretError> {
        match (self, value) {
            (Self::Secrets(values), value) => drop(values.insert(name.to_owned(), value)),
            (Self::Config(values), SecretValue::Text(text)) => {
                values.insert(name.to_owned(), text);
            }
            (Self::Config(_), SecretValue::Bytes(_)) => return Err(SecretError::ConfigBytes),
        }
        Ok(())
    }
}

/// All of a plan whose secrets are used on this host.
fn owners(plan: &mut Plan) -> Vec<Owner<'_>> {
    let here = plan.components.iter().filter(|c| !c.elsewhere);
    let here: BTreeSet<_> = here.map(|c| c.name.clone()).collect();
    let mut owners = Vec::new();
    for component in plan.components.iter_mut().filter(|c| !c.elsewhere) {
        let values = match component.kind {
            ComponentKind::Component => Values::Secrets(&mut component.secret_values),
            ComponentKind::Provider => Values::Config(&mut component.config),
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
                values: Values::Config(&mut link.source_config),
            });
        }
        if here.contains(&link.target) {
            owners.push(Owner {
                part: link.target.clone(),
                secrets: &link.target_secrets,
                values: Values::Config(&mut link.target_config),
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
    v1: Option<&V1Sources>,
) -> Result<SecretValue, SecretError> {
    if let Some(ProviderSource::V1(part)) = parts.providers.get(part)
        && matches!(part.source, V1Source::Lattice(_))
    {
        return Err(SecretError::V1);
    }
    let sources = Sources {
        lattice: options.lattice_secrets.as_deref(),
        v1,
    };
    (options.secret_backends)
        .fetch(application, part, secret, &sources)
        .await
}

/// The identities that backends of v1 are asked with, if any of these secrets is at one.
async fn v1_sources(
    wanted: &[(usize, String, PlannedSecret)],
    parts: &Parts,
    options: &HostOptions,
) -> Result<Option<V1Sources>, HostError> {
    let at_v1 = |secret: &PlannedSecret| options.secret_backends.is_v1(&secret.backend);
    let (Some((_, part, secret)), Some(broker)) = (
        wanted.iter().find(|(_, _, secret)| at_v1(secret)),
        &options.broker,
    ) else {
        return Ok(None);
    };
    let host = HostJwt::new(&broker.host).map_err(|why| HostError::Secret {
        part: part.clone(),
        secret: secret.name.clone(),
        why: SecretError::HostJwt(why),
    })?;
    let mut jwts = BTreeMap::new();
    let mut errors = Vec::new();
    let mut read = BTreeSet::new();
    for (_, part, secret) in wanted.iter().filter(|(_, _, secret)| at_v1(secret)) {
        if !read.insert(part) {
            continue;
        }
        match jwt(parts, part).await {
            Ok(jwt) => jwts.extend(jwt.map(|jwt| (part.clone(), jwt))),
            Err(why) => errors.push(HostError::Secret {
                part: part.clone(),
                secret: secret.name.clone(),
                why,
            }),
        }
    }
    none_of(errors)?;
    Ok(Some(V1Sources::new(broker.client.clone(), host, jwts)))
}

/// The JWT that the maker of a part has signed it with, if there is one. Components and archives are large, so threads for
/// that read them.
async fn jwt(parts: &Parts, part: &str) -> Result<Option<String>, SecretError> {
    if let Some(component) = parts.components.get(part) {
        let bytes = component.bytes.clone();
        let read = spawn_blocking(move || component_jwt(&bytes)).await;
        return Ok(read.map_err(SecretError::Task)??);
    }
    let Some(ProviderSource::V1(v1)) = parts.providers.get(part) else {
        return Ok(None);
    };
    let V1Source::Archive(path, _) = &v1.source else {
        return Ok(None);
    };
    let path = path.clone();
    let read = spawn_blocking(move || Executable::claims_of(&path)).await;
    let claims = read.map_err(SecretError::Task)?;
    let claims = claims.map_err(|why| SecretError::Archive(why.into()))?;
    Ok(claims.map(|claims| claims.jwt))
}
