//! The inputs of the linker: the application as its manifest declares it, and each part as it was read.
//!
//! The manifest crate makes an [`Application`] from text; the command line makes one from
//! arguments. Names are as written; nothing is resolved yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use withe_wit::World;

/// A byte range in the manifest's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A value and where it was written. `span` is `None` for what was given on the command line or
/// filled in as a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Option<Span>,
}

impl<T> Spanned<T> {
    /// A value with a place.
    pub fn new(value: T, span: Span) -> Self {
        Self {
            value,
            span: Some(span),
        }
    }

    /// A value from nowhere in the manifest.
    pub fn unplaced(value: T) -> Self {
        Self { value, span: None }
    }
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A flat map of configuration, as wasmCloud has it.
pub type ConfigMap = BTreeMap<String, String>;

/// The keys of a [`ConfigMap`] whose values are not to be shown.
pub type SecretKeys = BTreeSet<String>;

/// An application as declared.
#[derive(Clone, Debug)]
pub struct Application {
    /// `metadata.name`
    pub name: Spanned<String>,
    /// `metadata.annotations.version`, if given.
    pub version: Option<String>,
    /// `metadata.annotations.description`, if given.
    pub description: Option<String>,
    /// Whether `experimental.wasmcloud.dev/shared` is set.
    pub shared: bool,
    /// Every entry of `spec.components`, in order.
    pub components: Vec<Component>,
    /// Every entry of `spec.policies`, in order.
    pub policies: Vec<Policy>,
}

/// One entry of `spec.components`.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its name in the manifest.
    pub name: Spanned<String>,
    /// Component or provider (`capability`), as declared: the image of a provider may be a component.
    pub kind: ComponentKind,
    /// Where its bytes come from.
    pub image: Spanned<Image>,
    /// `properties.id`, if given.
    pub id: Option<Spanned<String>>,
    /// Named configuration, later entries win.
    pub config: Vec<NamedConfig>,
    /// Secrets.
    pub secrets: Vec<SecretRef>,
    /// Its links, in order: it is the source of each.
    pub links: Vec<Link>,
    /// How many instances may run at a time, and where.
    pub scaling: Option<Scaling>,
    /// Limits of each instance.
    pub limits: Limits,
    /// The machine's resources that it may reach.
    pub grants: Grants,
    /// `properties.reuse`: how many calls an instance may serve before it is discarded; `None`
    /// (the default) gives every call from outside a fresh instance.
    pub reuse: Option<Spanned<u32>>,
    /// `properties.process`: whether a first-party provider runs as a process of its own.
    pub process: Option<Spanned<bool>>,
    /// `properties.command`: the component is a command, and the application ends with it.
    pub command: Option<Spanned<Command>>,
    /// `properties.on-missing`: what becomes of its imports that nothing provides.
    pub on_missing: Option<Spanned<OnMissing>>,
    /// `properties.build`: how its image is made.
    pub build: Option<Build>,
}

/// How a part's image is made (`properties.build`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// A command line for a shell, run in the manifest's folder.
    pub command: Spanned<String>,
    /// Files and folders that it is made from, relative to the manifest; the whole folder if there are none.
    pub inputs: Vec<Spanned<String>>,
}

/// The treatment of imports that nothing provides (`properties.on-missing`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// They are errors, before anything starts.
    #[default]
    Error,
    /// They are functions that trap when they are called.
    Trap,
}

/// How a command is run (`properties.command`): a component that exports `wasi:cli/run`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Its arguments, without its own name.
    pub arguments: Vec<String>,
}

/// Component or provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComponentKind {
    /// `type: component` (or v1's `actor`).
    Component,
    /// `type: capability`.
    Provider,
}

/// Where a part comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// A file; a relative path is relative to the manifest.
    File(String),
    /// A first-party provider by its short name: `http-server` for `withe:http-server`.
    Builtin(String),
    /// An OCI reference: understood, not yet pulled.
    Oci(String),
    /// Whatever has this id on the lattice, of wasmCloud v1, run by others: `lattice:ID`.
    Lattice(String),
    /// Composed from other components when the application is built: the first entry is the
    /// socket, the others are plugged into it and into each other.
    Compose(Vec<Spanned<Image>>),
    /// A component of another application (`properties.application`): understood, not yet run.
    Application {
        /// The other application's name.
        name: String,
        /// The component's name in it.
        component: String,
    },
    /// The image could not be understood; a diagnostic says why. The part is [`Part::Unavailable`], so that the rest of
    /// the application can still be checked.
    Invalid,
}

/// A named piece of configuration.
#[derive(Clone, Debug)]
pub struct NamedConfig {
    /// Its name.
    pub name: Spanned<String>,
    /// Its values, each with its place; `None` means it is defined elsewhere under this name.
    pub properties: Option<BTreeMap<String, Spanned<String>>>,
    /// Whether its values are not to be shown. Where it is defined elsewhere, the definition says.
    pub secret: bool,
}

impl Application {
    /// The component that is a command, if one is; its place among the components is its part's.
    pub fn command(&self) -> Option<(&Component, &Command)> {
        let mut commands = self.components.iter();
        commands.find_map(|component| Some((component, &component.command.as_ref()?.value)))
    }

    /// All configuration that it names or defines: of its components, and of both sides of their links.
    pub fn named_config(&self) -> impl Iterator<Item = &NamedConfig> {
        self.components.iter().flat_map(|component| {
            let of_links = component
                .links
                .iter()
                .flat_map(|link| link.source_config.iter().chain(&link.target_config));
            component.config.iter().chain(of_links)
        })
    }
}

/// A reference to a secret.
#[derive(Clone, Debug)]
pub struct SecretRef {
    /// The name the component knows it by.
    pub name: Spanned<String>,
    /// The policy that says how to fetch it.
    pub policy: Spanned<String>,
    /// The key in the backend.
    pub key: String,
    /// A field of the value.
    pub field: Option<String>,
    /// A version of the value.
    pub version: Option<String>,
}

/// One entry of `spec.policies`.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name.
    pub name: Spanned<String>,
    /// Its type, such as `policy.secret.wasmcloud.dev/v1alpha1`.
    pub kind: Spanned<String>,
    /// Its properties.
    pub properties: ConfigMap,
}

/// A link trait: this component's imports, to the target's exports.
#[derive(Clone, Debug)]
pub struct Link {
    /// The whole trait's place.
    pub span: Option<Span>,
    /// The target's name in the manifest.
    pub target: Spanned<String>,
    /// The link's name; `default` unless given. An import label, or a name for
    /// `wasmcloud:bus/lattice`.
    pub name: Option<Spanned<String>>,
    /// `namespace`, if given: else inferred.
    pub namespace: Option<Spanned<String>>,
    /// `package`, if given: else inferred.
    pub package: Option<Spanned<String>>,
    /// `interfaces`, if given: else inferred. An entry may carry a version (`store@0.2.0`).
    pub interfaces: Option<Vec<Spanned<String>>>,
    /// Imports and exports that `interfaces` names in pairs, because their names differ.
    pub pairs: Vec<NamePair>,
    /// Configuration for the source's side.
    pub source_config: Vec<NamedConfig>,
    /// Secrets for the source's side.
    pub source_secrets: Vec<SecretRef>,
    /// Configuration for the target's side.
    pub target_config: Vec<NamedConfig>,
    /// Secrets for the target's side.
    pub target_secrets: Vec<SecretRef>,
    /// `binding`: pins the binding.
    pub binding: Option<Spanned<BindingChoice>>,
    /// `scope`: how long a callee's instance lives.
    pub scope: Option<Spanned<Scope>>,
    /// `timeout`: a call's deadline.
    pub timeout: Option<Spanned<Duration>>,
    /// `locality`: how far away the target may be.
    pub locality: Option<Spanned<Locality>>,
    /// `idempotent`: a call may be sent again.
    pub idempotent: Option<Spanned<bool>>,
}

/// An import, and the export under another name that satisfies it. Each is a label, a function of the world, or an
/// interface: `ns:package/interface`, with a version if need be, or its own name where the link has the rest.
#[derive(Clone, Debug)]
pub struct NamePair {
    /// The source's import.
    pub import: Spanned<String>,
    /// The target's export.
    pub export: Spanned<String>,
}

/// The values of `binding:`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum BindingChoice {
    /// The cheapest that is correct.
    Auto,
    /// Composed at load.
    Fused,
    /// Direct call between instances through the host.
    Local,
    /// A host function, or a provider running in this host.
    Host,
    /// Another process on this machine.
    Unix,
    /// A host that can be reached directly.
    Tcp,
    /// By way of the lattice's broker.
    Nats,
}

/// How long a callee's instance lives.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// As long as the caller's instance.
    #[default]
    Caller,
    /// One call.
    Call,
    /// As long as the replica; all callers share it.
    Shared,
}

/// How far away a link's target may be.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Locality {
    /// In this host's process.
    Host,
    /// On this machine.
    Machine,
    /// Anywhere on the lattice.
    Lattice,
}

/// A `spreadscaler` or `daemonscaler` trait.
#[derive(Clone, Debug)]
pub struct Scaling {
    /// The trait's place.
    pub span: Option<Span>,
    /// Which of the two.
    pub kind: ScalerKind,
    /// How many instances may run at a time; unbounded (but for the host's pool) if not given.
    pub instances: Option<Spanned<u32>>,
    /// Where they should run.
    pub spread: Vec<Spread>,
}

/// Which scaler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalerKind {
    /// A number of instances in all.
    Spread,
    /// A number of instances on each matching host.
    Daemon,
}

/// One entry of a scaler's `spread`.
#[derive(Clone, Debug)]
pub struct Spread {
    /// Its name.
    pub name: Option<Spanned<String>>,
    /// Labels that a host must have.
    pub requirements: BTreeMap<String, String>,
    /// Its share, 100 if not given.
    pub weight: Option<u32>,
}

/// Limits of one instance of a component (`properties.limits`).
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The most linear memory, in bytes.
    pub memory: Option<Spanned<u64>>,
    /// The longest one call from outside may run.
    pub time: Option<Spanned<Duration>>,
}

/// The machine's resources that a component may reach (`properties.grants`); nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// Directories: `{host: PATH, guest: PATH, read_only: bool}`.
    pub directories: Vec<DirectoryGrant>,
    /// Environment variables, with their values.
    pub env: BTreeMap<String, String>,
    /// Whether it may open sockets and look up names.
    pub network: Option<Spanned<bool>>,
}

/// A directory that a component may reach.
#[derive(Clone, Debug)]
pub struct DirectoryGrant {
    /// The path on this machine; relative to the manifest.
    pub host: Spanned<String>,
    /// The path the component sees.
    pub guest: String,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// A part as its bytes have it.
#[derive(Clone, Debug)]
pub enum Part {
    /// A component: its world, and the digest of its bytes (`sha256:…`).
    Component {
        /// Imports and exports.
        world: Arc<World>,
        /// `sha256:` and 64 hexadecimal digits.
        digest: String,
        /// Finds what is wrong with its configuration, if the component says which it has.
        check_config: Option<ConfigCheck>,
    },
    /// A provider running in this host.
    Provider(ProviderWorld),
    /// The part could not be read; a diagnostic says why. Links to and from it are not checked further.
    Unavailable,
}

/// The exports and imports of a provider, and the check of its configuration.
#[derive(Clone, Debug)]
pub struct ProviderWorld {
    /// The provider's short name, such as `http-server`.
    pub name: String,
    /// `exports`: what components may import from it. `imports`: what it calls on components.
    pub world: Arc<World>,
    /// A digest of the provider's identity and version.
    pub digest: String,
    /// Finds what is wrong with a piece of its configuration.
    pub check_config: ConfigCheck,
    /// Whether it may be a component that others run, as what has an id on a lattice of wasmCloud v1 may be: then providers
    /// are linked to it, too.
    pub may_be_component: bool,
}

/// Finds what is wrong with a provider's configuration, without side effects: asked the same, it answers
/// the same.
#[derive(Clone)]
pub struct ConfigCheck(Arc<Check>);

type Check = dyn Fn(ConfigRole, &ConfigMap) -> Vec<ConfigProblem> + Send + Sync;

impl ConfigCheck {
    /// One that asks `check`.
    pub fn new(
        check: impl Fn(ConfigRole, &ConfigMap) -> Vec<ConfigProblem> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(check))
    }

    /// The check of a provider that does not describe its configuration before it is started.
    pub fn none() -> Self {
        Self::new(|_, _| Vec::new())
    }

    /// Everything that is wrong with `config`.
    pub fn problems(&self, role: ConfigRole, config: &ConfigMap) -> Vec<ConfigProblem> {
        (self.0)(role, config)
    }
}

impl fmt::Debug for ConfigCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfigCheck")
    }
}

/// Which of a provider's configurations is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigRole {
    /// The provider's own (`properties.config`).
    Own,
    /// The source side of a link that starts at it.
    LinkSource,
    /// The target side of a link that ends at it.
    LinkTarget,
}

/// One thing wrong with a provider's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigProblem {
    /// The key it is about; `None` if one is missing or several clash.
    pub key: Option<String>,
    /// The problem: one line, lower case.
    pub message: String,
    /// The remedy.
    pub help: Option<String>,
}

/// Everything the linker is given.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The application as declared.
    pub application: Arc<Application>,
    /// The parts of `application.components`, in the same order.
    pub parts: Vec<Part>,
    /// The interfaces that the host itself gives every component, as the imports of a world: each interface
    /// (`wasi:cli/environment@0.2.12` …) complete, in the newest version that the host has.
    pub host: Arc<World>,
    /// Component exports that something outside the application calls (`withe call`): names of
    /// components. They count as reached.
    pub called: Vec<String>,
    /// `--binding` and `--scope` on the command line: what links that say nothing get.
    pub defaults: LinkDefaults,
    /// Which of the parts run on the host that is linked for.
    pub placement: Placement,
}

/// Where parts run, as the host that is linked for sees it. By default all of them run on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The other hosts, in kind.
    pub surroundings: Surroundings,
    /// The parts that do not run on this host, by name, and how those that do are reached.
    pub elsewhere: BTreeMap<String, Elsewhere>,
    /// Components that run on this host and that other hosts call, by name.
    pub served: BTreeSet<String>,
    /// How many instances of a component may run at a time on this host, where that is not what its
    /// manifest says: its share of those on all hosts.
    pub instances: BTreeMap<String, u32>,
}

/// The kind of other hosts besides the one that is linked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Surroundings {
    /// The surroundings are unknown: the application is checked, not run.
    #[default]
    Unknown,
    /// None: the host is alone on its machine.
    Alone,
    /// Hosts on a lattice that NATS carries.
    Lattice,
}

/// Where a part runs that does not run on this host: nowhere yet, if there are no hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// The hosts, in the order in which messages name them.
    pub hosts: Vec<OtherHost>,
}

/// Another host, as the one that is linked for sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherHost {
    /// The host's name in messages.
    pub name: String,
    /// Whether it can be reached over TCP.
    pub tcp: bool,
    /// Whether it can be reached over a Unix socket: never if it is on another machine.
    pub unix: bool,
    /// Whether it is on the same machine.
    pub same_machine: bool,
}

impl OtherHost {
    /// Whether it can be reached directly, and not only by way of a broker.
    pub fn is_direct(&self) -> bool {
        self.tcp || self.unix
    }
}

/// The defaults of links that say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkDefaults {
    /// `auto` unless given.
    pub binding: Option<BindingChoice>,
    /// `caller` unless given.
    pub scope: Option<Scope>,
    /// The treatment of imports that nothing provides, for components that do not say; `error` unless given.
    pub missing: Option<OnMissing>,
    /// Whether components stay apart that could be fused and need not be: where they are worked at, one that changed is
    /// then compiled alone.
    pub apart: bool,
}
