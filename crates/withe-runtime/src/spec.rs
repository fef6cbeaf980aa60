//! The specification of what the host runs: plain data, made from a link plan.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use withe_linker::input::{ConfigMap, Scope};
use withe_linker::plan::Binding;
use withe_linker::secrets::SecretValue;
use withe_provider::{FunctionName, LinkId, Provider};
use withe_rpc::Route;

use crate::metrics::labels::LinkLabels;
pub use crate::permits::InstanceLimit;

/// A component that is instantiated on its own, with what is fused into it.
pub struct UnitSpec {
    /// The root component's name.
    pub name: String,
    /// The component to compile: the root itself, or the composition.
    pub bytes: Arc<[u8]>,
    /// Whether it needs the engine with concurrency support.
    pub concurrency: bool,
    /// The components in it, the root first.
    pub members: Vec<Member>,
    /// Every import of `bytes`.
    pub imports: Vec<ImportSpec>,
    /// The links within it, by interface: there is nothing to be done about them but to list them.
    pub fused: Vec<FusedLink>,
    /// Bounds of one instance.
    pub limits: UnitLimits,
    /// The machine's resources that it may reach.
    pub grants: UnitGrants,
}

/// One component in a unit.
#[derive(Clone)]
pub struct Member {
    /// The component's identity.
    pub identity: Arc<Identity>,
    /// How many of it may run at a time, in whatever units; `None` for no bound of its own.
    pub instances: Option<Arc<InstanceLimit>>,
}

/// The identity of a component: never merged with another's, also in a composition.
#[derive(Debug)]
pub struct Identity {
    /// The application's name.
    pub application: String,
    /// The component's name in it.
    pub component: String,
    /// Its configuration, for `wasi:config`.
    pub config: ConfigMap,
    /// Its secrets, for `wasmcloud:secrets`.
    pub secrets: BTreeMap<String, SecretValue>,
    /// Its environment variables.
    pub env: Vec<(String, String)>,
}

/// Bounds of one instance of a unit.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnitLimits {
    /// The most linear memory in all, in bytes.
    pub memory: Option<u64>,
    /// The longest one call from outside may run.
    pub time: Option<Duration>,
    /// How many calls from outside an instance may serve; 1 unless the manifest allows more.
    pub reuse: u32,
}

/// The machine's resources that a unit may reach.
#[derive(Clone, Debug, Default)]
pub struct UnitGrants {
    /// Directories.
    pub directories: Vec<Directory>,
    /// Sockets and name look-ups.
    pub network: bool,
}

/// A directory that a unit may reach.
#[derive(Clone, Debug)]
pub struct Directory {
    /// The path on this machine.
    pub host: PathBuf,
    /// The path the component sees.
    pub guest: String,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// One import of a unit.
#[derive(Clone)]
pub struct ImportSpec {
    /// Its name in the unit's bytes.
    pub name: String,
    /// The importing member: an index into [`UnitSpec::members`] (of a shared one: 0).
    pub member: usize,
    /// The name under which that member itself imports it: an interface, a label or a function.
    pub original: String,
    /// The interface it is, versioned; `None` for a function of the world.
    pub interface: Option<String>,
    /// Its functions that return `result<_, error>` with the `error` of `wrpc:rpc/error`: a call over a
    /// link that fails is such an error for them, not a trap.
    pub rpc_errors: Vec<String>,
    /// The source that satisfies it.
    pub source: ImportSource,
}

/// The source that satisfies an import.
#[derive(Clone)]
pub enum ImportSource {
    /// Nothing: its functions trap.
    Missing,
    /// The host.
    Host,
    /// A link; where there are several, `wasmcloud:bus/lattice` chooses among them by name.
    Links(Vec<Arc<LinkSpec>>),
}

/// A link that is not fused.
#[derive(Clone)]
pub struct LinkSpec {
    /// The link's name.
    pub name: String,
    /// The importer's name.
    pub source: String,
    /// The target's name.
    pub target_name: String,
    /// How it is bound, for messages.
    pub binding: Binding,
    /// How long a callee's instance lives.
    pub scope: Scope,
    /// A call's deadline.
    pub timeout: Duration,
    /// Whether the deadline is this link's own and enforced here; else the caller's is inherited
    /// where it is shorter.
    pub timeout_given: bool,
    /// For each import (as the importer names it) the export that satisfies it.
    pub exports: Vec<(String, String)>,
    /// The target of the link.
    pub target: LinkTarget,
}

/// One interface of a link within a composition.
#[derive(Clone, Debug)]
pub struct FusedLink {
    /// The application's name.
    pub application: String,
    /// The link's name.
    pub name: String,
    /// The importer's name.
    pub source: String,
    /// The exporter's name.
    pub target: String,
    /// The interface, with or without its version, or the name of a function of the world.
    pub interface: String,
}

impl FusedLink {
    pub(crate) fn labels(&self) -> LinkLabels<'_> {
        LinkLabels {
            application: &self.application,
            source: &self.source,
            target: &self.target,
            name: &self.name,
            interface: self.interface.split('@').next().unwrap_or_default(),
            binding: Binding::Fused,
        }
    }
}

/// The target of a link.
#[derive(Clone)]
pub enum LinkTarget {
    /// A unit of the same graph: an index into its units.
    Unit(usize),
    /// A provider in this host.
    Provider {
        /// The provider.
        provider: Arc<dyn Provider>,
        /// The link's number with it.
        link: LinkId,
        /// The functions it was told of; their indices are what a call carries.
        functions: Arc<[FunctionName]>,
    },
    /// Another process.
    Remote {
        /// The way there.
        route: Arc<Route>,
        /// The way of requests to a handler there, if the link carries HTTP.
        http: Option<Arc<Route>>,
        /// The functions it was told of, by the importer's import and their names in it; their indices
        /// are what a call carries.
        functions: Arc<[(String, String)]>,
        /// The number of the function that drops its parameter, a resource, and says how that went. Without
        /// one a drop is only told.
        drop: Option<usize>,
    },
}
