//! The link plan: plain, serialisable, diffable data. Nothing in it depends on who made it or when. Worker processes
//! get the plan as written and read it back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::input::{ComponentKind, ConfigMap, Locality, Scope, SecretKeys};
use crate::secrets::{MASK, SecretValue, SecretValues};

/// How every link of an application is bound, and all that a host needs to carry it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The application's name.
    pub application: String,
    /// The application's version, if its manifest gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its parts, in the manifest's order.
    pub components: Vec<PlannedComponent>,
    /// Its links, in the manifest's order (by source, then by place in the source).
    pub links: Vec<PlannedLink>,
    /// The components that the host's own process instantiates on their own, in the manifest's
    /// order: those reached from outside (by a provider, `withe call`), and the targets of `local`
    /// links of what is in that process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_units: Vec<String>,
    /// The other processes on this machine that serve components, in the manifest's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<PlannedWorker>,
}

impl Plan {
    /// The worker that serves `component`: the one that it is the root of.
    pub fn worker(&self, component: &str) -> Option<&PlannedWorker> {
        self.workers.iter().find(|w| w.component == component)
    }

    /// The part of the plan that `component` reaches over links of components. A call from outside needs no more. Links
    /// that start at providers are left out, also of those that components are linked to: an HTTP server would listen, a
    /// timer fire, a subscription take messages that are meant for the application where it runs.
    #[must_use]
    pub fn reached_from(&self, component: &str) -> Self {
        let mut targets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let providers = self
            .components
            .iter()
            .filter(|c| c.kind == ComponentKind::Provider);
        let providers: BTreeSet<_> = providers.map(|c| c.name.as_str()).collect();
        let calls = |link: &&PlannedLink| !providers.contains(link.source.as_str());
        for link in self.links.iter().filter(calls) {
            targets.entry(&link.source).or_default().push(&link.target);
        }
        let mut reached = BTreeSet::from([component]);
        let mut open = vec![component];
        while let Some(source) = open.pop() {
            for &target in targets.get(source).into_iter().flatten() {
                if reached.insert(target) {
                    open.push(target);
                }
            }
        }
        let is_reached = |name: &str| reached.contains(name);
        let mut plan = self.clone();
        plan.components.retain(|c| is_reached(&c.name));
        plan.links
            .retain(|link| is_reached(&link.source) && calls(&link));
        plan.host_units.retain(|name| is_reached(name));
        plan.workers.retain(|worker| is_reached(&worker.component));
        plan
    }

    /// Whether hosts fetch secrets for any of it.
    pub fn asks_for_secrets(&self) -> bool {
        let mut components = self.components.iter();
        let mut links = self.links.iter();
        components.any(|component| !component.secrets.is_empty())
            || links.any(|link| !(link.source_secrets.is_empty() && link.target_secrets.is_empty()))
    }

    /// The plan as it is shown: with [`MASK`] in the place of secret values. Carrying a plan out needs the values.
    #[must_use]
    pub fn masked(&self) -> Self {
        let components = self.components.iter();
        Self {
            components: components.map(PlannedComponent::masked).collect(),
            links: self.links.iter().map(PlannedLink::masked).collect(),
            ..self.clone()
        }
    }

    /// The values of its configuration that messages are not to repeat.
    pub fn secrets(&self) -> SecretValues {
        let own = self.components.iter().map(|c| (&c.config, &c.secret_keys));
        let of_links = self.links.iter().flat_map(|link| {
            [
                (&link.source_config, &link.source_secret_keys),
                (&link.target_config, &link.target_secret_keys),
            ]
        });
        let all = own.chain(of_links);
        let configured = all.flat_map(|(config, secret)| secret_values(config, secret));
        let fetched = (self.components.iter()).flat_map(|c| c.secret_values.values());
        SecretValues::new(configured.chain(fetched.filter_map(SecretValue::text)))
    }
}

/// Configuration with [`MASK`] in the place of the values of these keys.
fn masked(config: &ConfigMap, secret: &SecretKeys) -> ConfigMap {
    let mask = |(key, value): (&String, &String)| {
        let value = match secret.contains(key) {
            true => MASK,
            false => value,
        };
        (key.clone(), value.to_owned())
    };
    config.iter().map(mask).collect()
}

/// The values of these keys.
fn secret_values<'a>(
    config: &'a ConfigMap,
    secret: &'a SecretKeys,
) -> impl Iterator<Item = &'a str> {
    let values = secret.iter().filter_map(|key| config.get(key));
    values.map(String::as_str)
}

impl PlannedComponent {
    fn masked(&self) -> Self {
        Self {
            config: masked(&self.config, &self.secret_keys),
            secret_values: (self.secret_values.keys())
                .map(|name| (name.clone(), SecretValue::Text(MASK.to_owned())))
                .collect(),
            ..self.clone()
        }
    }
}

impl PlannedLink {
    /// The link as it is shown, as [`Plan::masked`] says.
    #[must_use]
    pub fn masked(&self) -> Self {
        Self {
            source_config: masked(&self.source_config, &self.source_secret_keys),
            target_config: masked(&self.target_config, &self.target_secret_keys),
            ..self.clone()
        }
    }
}

/// A process that serves one component to callers in other processes. Any component may be in
/// several processes, as it may be in several compositions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedWorker {
    /// Its root: the target of the `unix` links that lead to it.
    pub component: String,
    /// The components that it instantiates on their own, in the manifest's order: the root, and the
    /// targets of `local` links of what is in it.
    pub units: Vec<String>,
}

/// One part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedComponent {
    /// Its name in the manifest.
    pub name: String,
    /// Its id on the lattice: the manifest's, or `{application}-{name}` as wasmCloud makes it.
    pub id: String,
    /// Component or provider.
    pub kind: ComponentKind,
    /// Whether it is a component that the manifest declares as a provider.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub provider: bool,
    /// Whether it runs on other hosts and not on this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
    /// The digest of its bytes.
    pub digest: String,
    /// Whether something outside a component calls it (a provider, `withe call`, a link that is
    /// not fused): it is then instantiated on its own, with its fused targets inside.
    pub entry: bool,
    /// Whether it, or something fused into it, uses async types and so needs the engine with
    /// concurrency support.
    pub concurrency: bool,
    /// Its own configuration, merged.
    pub config: ConfigMap,
    /// The keys of `config` whose values are not to be shown.
    #[serde(default, skip_serializing_if = "SecretKeys::is_empty")]
    pub secret_keys: SecretKeys,
    /// The secrets that the host fetches for it, before it carries the plan out. A provider has them in `config`, by
    /// their names; until then [`MASK`] stands there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<PlannedSecret>,
    /// The values of a component's secrets, by their names, as soon as the host has fetched them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_values: BTreeMap<String, SecretValue>,
    /// How many instances may run at a time, in each process that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
    /// The most linear memory of an instance, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// The longest one call from outside may run, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// How many calls an instance may serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<u32>,
    /// The machine's resources that it may reach.
    #[serde(default, skip_serializing_if = "PlannedGrants::is_empty")]
    pub grants: PlannedGrants,
    /// Imports that the host satisfies, by the name the component imports them under.
    pub host_imports: Vec<String>,
    /// Imports that nothing satisfies, and whose functions trap, by the name the component imports them under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// A secret, and where its value is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSecret {
    /// The part's own name for it.
    pub name: String,
    /// The policy that says where it is.
    pub policy: String,
    /// The policy's backend: hosts know it by this name.
    pub backend: String,
    /// The policy's other properties, which wasmCloud v1's backends are told.
    #[serde(default, skip_serializing_if = "ConfigMap::is_empty")]
    pub properties: ConfigMap,
    /// Its key there.
    pub key: String,
    /// The field of its value that is meant, if not all of it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Its version, if not the newest is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The machine's resources that a component may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedGrants {
    /// Directories.
    pub directories: Vec<PlannedDirectory>,
    /// Environment variables.
    pub env: ConfigMap,
    /// Sockets and name look-ups.
    pub network: bool,
}

impl PlannedGrants {
    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// A directory that a component may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDirectory {
    /// The path on this machine, as the manifest has it.
    pub host: String,
    /// The path the component sees.
    pub guest: String,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// How a link is realised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// Composed at load.
    Fused,
    /// Direct call between instances through the host.
    Local,
    /// A provider running in this host.
    Host,
    /// Another process on this machine, called over a Unix socket: the worker of the target, from a worker to a
    /// provider the host, or other hosts that run the target.
    Unix,
    /// Hosts that are reached over TCP; this one calls itself, if the target runs on it.
    Tcp,
    /// Hosts that are reached by way of NATS; this one calls itself, if the target runs on it.
    Nats,
}

/// One link and how it is bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedLink {
    /// The importer's name.
    pub source: String,
    /// The exporter's name.
    pub target: String,
    /// The link's name.
    pub name: String,
    /// The interfaces it connects, in the order of the importer's imports.
    pub interfaces: Vec<PlannedInterface>,
    /// How.
    pub binding: Binding,
    /// Whether each of the hosts that the target runs on is called in the cheapest way that reaches it, of which
    /// `binding` is the cheapest. Otherwise those that it does not reach are not called.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_host: bool,
    /// Why this binding and no cheaper one: one line.
    pub why: String,
    /// Whether its source runs on other hosts and not on this one, which at most serves it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incoming: bool,
    /// Whether calls from this host leave it over the link: to other hosts, or to come back over a wire that the link is
    /// pinned to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaves_host: bool,
    /// How long a callee's instance lives.
    pub scope: Scope,
    /// A call's deadline in milliseconds.
    pub timeout_ms: u64,
    /// Whether `timeout` was given: then it is this link's own, and enforced at this link.
    pub timeout_given: bool,
    /// How far away the target may be, if the manifest says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locality: Option<Locality>,
    /// Whether a call may be sent again.
    pub idempotent: bool,
    /// Configuration of the source's side, merged.
    pub source_config: ConfigMap,
    /// The keys of `source_config` whose values are not to be shown.
    #[serde(default, skip_serializing_if = "SecretKeys::is_empty")]
    pub source_secret_keys: SecretKeys,
    /// The secrets of the source's side, where that is a provider: they are in `source_config`, as a provider's own are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_secrets: Vec<PlannedSecret>,
    /// Configuration of the target's side, merged.
    pub target_config: ConfigMap,
    /// The keys of `target_config` whose values are not to be shown.
    #[serde(default, skip_serializing_if = "SecretKeys::is_empty")]
    pub target_secret_keys: SecretKeys,
    /// The secrets of the target's side, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_secrets: Vec<PlannedSecret>,
}

/// One interface (or world-level function) of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedInterface {
    /// The interface, versioned as the importer has it, or a world-level function's name.
    pub interface: String,
    /// The name the source imports it under: the same, or a label. For a provider as source, the
    /// interface it calls.
    pub import: String,
    /// The name the target exports it under.
    pub export: String,
}
