//! How a host is set up, and what it tells of its work.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use withe_process::{Confined, Confinement};
use withe_runtime::{
    CompileLimits, CompileProcess, EngineOptions, GuestOutput, ShareLimits, Tracer,
};

use crate::counts::Counts;
use crate::known_secrets::KnownSecrets;
use crate::secrets::{LatticeSecrets, SecretBackends};

/// How long work under way may take to finish, where nobody says.
const GRACE: Duration = Duration::from_secs(10);

/// How a host is set up.
#[derive(Clone)]
pub struct HostOptions {
    /// Where compiled components are kept; `None` compiles them at every start.
    pub cache_dir: Option<PathBuf>,
    /// Where the key is by which they are known to be this user's; in `cache_dir` if it is none.
    pub key_dir: Option<PathBuf>,
    /// Files and folders that no component may be granted to change, besides those: what this host runs, or is reached
    /// by.
    pub guarded: Vec<PathBuf>,
    /// How long work under way may take to finish when it is stopped or replaced.
    pub grace: Duration,
    /// The bounds of all that runs at a time.
    pub limits: HostLimits,
    /// Told what goes on.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
    /// How the processes of components are started that others serve; `None` refuses such links.
    pub worker: Option<WorkerCommand>,
    /// How the processes are started that compile components, which call [`withe_runtime::compile_stdin`]; `None`
    /// compiles in this process, whose memory components then can take.
    pub compiler: Option<WorkerCommand>,
    /// How the process of a first-party provider is started, whose short name is one more argument; `None`
    /// refuses such providers.
    pub provider: Option<WorkerCommand>,
    /// The names of variables of this process that the processes of providers have, too. All others but a few that
    /// hold nothing secret are this process's own.
    pub pass_environment: Vec<String>,
    /// The part of the machine that processes of providers may reach; `None` does not confine them.
    pub confine: Option<ConfineOptions>,
    /// The broker for links that are bound by `nats`, for a host that is on no lattice.
    pub broker: Option<Broker>,
    /// Where what runs is counted.
    pub counts: Counts,
    /// Where it is traced.
    pub tracer: Tracer,
    /// Where the secrets are that applications ask for.
    pub secret_backends: SecretBackends,
    /// The secrets of the lattice that the host is on; `None` for a host that is on none.
    pub lattice_secrets: Option<Arc<dyn LatticeSecrets>>,
    /// Takes what components print, which goes into the log otherwise. The output of components in processes of their
    /// own always goes into the log.
    pub output: Option<GuestOutput>,
    /// Gets the secret values of all that the host runs, for the writer of its log.
    pub secrets: KnownSecrets,
}

/// The bounds of all that runs on a host at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLimits {
    /// The most instances of components.
    pub instances: u32,
    /// The most linear memory of one instance, in bytes.
    pub memory: usize,
    /// How all that is shared is shared.
    pub shares: ShareLimits,
    /// How much memory and time compiling one component may take, where a process of its own does that.
    pub compile: CompileLimits,
}

impl HostLimits {
    /// The limits of a process that has one component of the host's: the component's share.
    pub(crate) fn of_one_component(&self) -> Self {
        let (instances, shares) = self.shares.of_one_component(self.instances);
        Self {
            instances,
            memory: self.memory,
            shares,
            compile: self.compile,
        }
    }

    /// Engines with these limits, for which a command compiles components, if there is one.
    pub(crate) fn engine_options(&self, compiler: Option<&WorkerCommand>) -> EngineOptions {
        EngineOptions {
            compiler: compiler.map(|command| CompileProcess {
                program: command.program.clone(),
                args: command.args.clone(),
                limits: self.compile,
            }),
            instances: self.instances,
            memory: self.memory,
            shares: self.shares,
            ..EngineOptions::default()
        }
    }
}

impl Default for HostLimits {
    fn default() -> Self {
        let engine = EngineOptions::default();
        Self {
            instances: engine.instances,
            memory: engine.memory,
            shares: engine.shares,
            compile: CompileLimits::default(),
        }
    }
}

impl HostOptions {
    /// Tells that a phase which began then has ended.
    pub(crate) fn took(&self, phase: Phase, began: Instant) {
        let took = began.elapsed();
        (self.progress)(Progress::Took { phase, took });
    }
}

impl Default for HostOptions {
    /// A host that keeps nothing on disk, starts no other processes, and is silent.
    fn default() -> Self {
        Self {
            cache_dir: None,
            key_dir: None,
            guarded: Vec::new(),
            grace: GRACE,
            limits: HostLimits::default(),
            progress: Arc::new(|_| {}),
            worker: None,
            compiler: None,
            provider: None,
            pass_environment: Vec::new(),
            confine: None,
            broker: None,
            counts: Counts::default(),
            tracer: Tracer::default(),
            secret_backends: SecretBackends::default(),
            lattice_secrets: None,
            output: None,
            secrets: KnownSecrets::default(),
        }
    }
}

/// How a process is started, such as a worker: a program that calls [`crate::worker::run`] with its standard input and
/// output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// How the processes of providers are confined.
#[derive(Clone, Debug)]
pub struct ConfineOptions {
    /// The program that becomes theirs, as [`withe_process::Confined`] has it.
    pub command: WorkerCommand,
    /// Files and folders that they may read, besides those of the system.
    pub read: Vec<PathBuf>,
    /// Files and folders that they may change, besides those that their configuration names.
    pub write: Vec<PathBuf>,
    /// The memory that each may have, in bytes.
    pub memory: Option<u64>,
    /// Whether they do not run where the system cannot confine them.
    pub required: bool,
}

impl ConfineOptions {
    /// The confinement of one process, which may also change the files in `folders`.
    pub fn confined(&self, folders: impl IntoIterator<Item = PathBuf>) -> Confined {
        Confined {
            program: self.command.program.clone(),
            args: self.command.args.clone(),
            confinement: Confinement {
                read: self.read.clone(),
                write: self.write.iter().cloned().chain(folders).collect(),
                memory: self.memory,
                required: self.required,
            },
        }
    }
}

/// A NATS server that a host is connected to.
#[derive(Clone)]
pub struct Broker {
    /// The connection.
    pub client: async_nats::Client,
    /// The name of the lattice whose subjects are used.
    pub lattice: String,
    /// Where providers of wasmCloud v1 connect, which are processes of their own. The URL may hold a password.
    pub url: String,
    /// The id by which they know this host.
    pub host: String,
}

/// The phases of a plan on its way to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Components are compiled, or found compiled, and linked to each other.
    Compile,
    /// All that the plan needs is made: providers, links, processes, and what is compiled.
    Prepare,
    /// The prepared plan takes the place of the running one.
    Commit,
}

/// The progress of an application's start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// A component, or a composition under its root's name, is being compiled.
    Compiling {
        /// Its name.
        component: String,
    },
    /// A part of a component is being compiled: a large module, which others may have as well, or what is left without those.
    CompilingPart {
        /// The component's name.
        component: String,
        /// The module's name, if it is one that has a name.
        module: Option<String>,
        /// Its size as WebAssembly, in bytes.
        size: u64,
        /// Its number among the parts that are compiled, from 1. Parts that were found compiled do not count.
        number: usize,
        /// How many are compiled.
        of: usize,
    },
    /// A component was compiled.
    Compiled {
        /// Its name.
        component: String,
        /// Whether it was found in the cache.
        cached: bool,
        /// How long it took.
        took: Duration,
    },
    /// A provider is being started.
    Starting {
        /// Its name.
        provider: String,
    },
    /// A phase of a plan's way has ended.
    Took {
        /// Which.
        phase: Phase,
        /// How long it took.
        took: Duration,
    },
    /// A provider listens.
    Listening {
        /// Where.
        url: String,
        /// For which component.
        component: String,
    },
}
