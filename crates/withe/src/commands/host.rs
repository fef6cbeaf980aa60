//! `withe host`: a host of a lattice, which runs what the lattice gives it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use withe_lattice::{Attached, Embedded, Nats, SharedLattice, embedded};
use withe_node::observation::Recent;
use withe_node::policy::AdmissionPolicy;
use withe_node::program_list::{NamedProgram, ProgramOptions};
use withe_node::{Node, NodeOptions};

use super::key_args::{SealArgs, TrustArgs};
use super::lattice_args::{LatticeArgs, Named, socket};
use super::limit_args::LimitArgs;
use super::policy_args::PolicyArgs;
use super::program_args::ProgramArgs;
use super::secret_args::SecretArgs;
use crate::Outcome;
use crate::interrupt::Interrupts;
use crate::observe::{Endpoint, Exporter, ObserveArgs, Readiness};
use crate::progress::Reporter;
use crate::providers;
use crate::recent;
use crate::render::units::duration;
use crate::running::{GRACE, block_on, host_options};
use crate::terminal::Terminal;
use crate::ui::Page;
use crate::usage::Expected;

const EXAMPLES: &str = "\
Examples:
  withe host                                            alone on this machine
  withe host --lattice nats://10.0.0.1:4222             one of many, which meet on NATS
  withe host --lattice nats://10.0.0.1:4222 --name east-1 --label zone=east --label disk=fast
  withe host --lattice tls://nats.example --nats-creds host.creds --advertise east-1.example
  withe host --lattice nats://10.0.0.1:4222 --program greeter=/usr/lib/withe/greeter
  withe host --lattice nats://10.0.0.1:4222 --ui 7171   with a page that shows what the lattice does
  withe host --lattice nats://10.0.0.1:4222 --policy /etc/withe/policy.yaml
  withe host --lattice nats://10.0.0.1:4222 --trust root.pub --key east-1.key

Then `withe up APP.yaml --lattice …` runs an application there, and `withe get hosts --lattice …` shows them.";

/// Run a host of a lattice until Ctrl-C.
///
/// The host runs those parts of the lattice's applications that belong on it, and links them to each other
/// and to those on other hosts. Without `--lattice` it is alone, and other commands on this machine find it
/// by its socket. On Ctrl-C other hosts take over what it ran, and work under way is finished.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    lattice: LatticeArgs,
    /// The host's name; this machine's without it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A label, by which manifests place components. May be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Where to listen for other hosts.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:0")]
    listen: SocketAddr,
    /// Do not listen at all: other hosts reach this one by way of NATS.
    #[arg(long, conflicts_with_all = ["listen", "advertise"])]
    no_listen: bool,
    /// Do not listen at a Unix socket either, by which the other hosts of this machine that run as the same user reach
    /// this one.
    #[arg(long, env = "WITHE_NO_UNIX")]
    no_unix: bool,
    /// The address at which other hosts reach this one, if it is not the one by which it reaches NATS.
    /// May be given several times.
    #[arg(long, value_name = "HOST[:PORT]")]
    advertise: Vec<String>,
    /// Let hosts, providers and tools of wasmCloud v1 on the lattice call the components that run here, by
    /// their ids.
    #[arg(long)]
    wasmcloud: bool,
    /// A provider's program that this host may run, with the digest that its bytes must have if there is one.
    /// Applications name programs by their bytes, so that the file may be anywhere here. May be given several times.
    #[arg(long = "program", value_name = "NAME=PATH[@sha256:DIGEST]")]
    programs: Vec<NamedProgram>,
    /// A folder of programs that this host may run, also those that are put there later. May be given several
    /// times.
    #[arg(long = "programs", value_name = "DIR", env = "WITHE_PROGRAMS")]
    program_folders: Vec<PathBuf>,
    /// Run any program of a provider that whoever deploys an application puts in the lattice. Programs can do on this
    /// machine whatever the host can; components cannot. Without this a host runs those of `--program` and
    /// `--programs`.
    #[arg(long, env = "WITHE_ALLOW_PROGRAMS")]
    allow_programs: bool,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    seal: SealArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Where a host without `--lattice` keeps its state: a file. Without it the state ends with the host. A file that
    /// is damaged or empty is refused.
    #[arg(long, value_name = "FILE", conflicts_with = "lattice")]
    state: Option<PathBuf>,
    /// How long to wait for a NATS server that does not answer yet.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
    #[command(flatten)]
    program_args: ProgramArgs,
    #[command(flatten)]
    secrets: SecretArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    observe: ObserveArgs,
    /// Tell those on the lattice who look at this host (`withe ui`) what it has counted, and neither the last lines of its log nor
    /// its last traces.
    #[arg(long, help_heading = "Watching")]
    no_recent: bool,
}

impl Args {
    /// The last lines and spans, if others are told them.
    fn recent(&self) -> Option<&'static Recent> {
        (!self.no_recent).then(recent::keep)
    }
}

fn label(text: &str) -> Result<(String, String), Expected> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(Expected("KEY=VALUE, such as `zone=east`")),
    }
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let name = args.name.clone().unwrap_or_else(machine_name);
    let exporter = Exporter::new(&args.observe.traces, &name, args.recent())?;
    let result = block_on(serve(args, name, &exporter, terminal));
    exporter.finish();
    result
}

async fn serve(
    args: &Args,
    name: String,
    exporter: &Exporter,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let Some(policy) = args.policy.read(AdmissionPolicy::of_lattice(), terminal)? else {
        return Ok(Outcome::Problems);
    };
    let mut interrupts = Interrupts::new()?;
    let joined = tokio::select! {
        joined = join(args, name, policy, exporter, terminal) => joined?,
        () = interrupts.next() => {
            terminal.say("interrupted before it joined the lattice\n");
            return Ok(Outcome::Problems);
        }
    };
    let readiness = joined.endpoint.as_ref().map(Endpoint::readiness);
    readiness.into_iter().for_each(Readiness::ready);
    interrupts.next().await;
    readiness.into_iter().for_each(Readiness::leaving);
    terminal.say(&format!(
        "leaving: what is under way may take {} to finish; Ctrl-C again ends it at once\n",
        duration(GRACE)
    ));
    tokio::select! {
        () = joined.leave() => Ok(Outcome::Done),
        () = interrupts.next() => Ok(Outcome::Problems),
    }
}

/// A host that has joined, with the means by which commands on this machine and observers find it.
struct Joined {
    // The page ends before the host that it shows.
    _page: Option<Page>,
    node: Node,
    _socket: Option<embedded::Serving>,
    endpoint: Option<Endpoint>,
}

impl Joined {
    async fn leave(self) {
        self.node.leave().await;
    }
}

async fn join(
    args: &Args,
    name: String,
    policy: AdmissionPolicy,
    exporter: &Exporter,
    terminal: &Terminal,
) -> anyhow::Result<Joined> {
    let (trust, key) = args.trust.read()?;
    let reporter = Reporter::new(*terminal);
    let mut host = host_options(&reporter)?;
    args.program_args.apply(&mut host)?;
    args.secrets.apply(&mut host);
    host.limits = args.limits.limits();
    exporter.observe(&mut host);
    // Before it has joined: it lives while it waits for its broker.
    let endpoint = args.observe.serve(&host, terminal).await?;
    let page = args.observe.listen_for_page().await?;
    let (lattice, serving): (SharedLattice, _) =
        match args.lattice.named(Duration::from_secs(args.wait))? {
            Named::Nats(options) => (Arc::new(Nats::connect(*options).await?), None),
            Named::Socket(path) => {
                let attached = Attached::connect(&path)
                    .await
                    .with_context(|| format!("no host answers at `{}`", path.display()))?;
                (Arc::new(attached), None)
            }
            Named::Nothing => {
                let lattice_name = &args.lattice.lattice_name;
                let embedded = match &args.state {
                    Some(path) => Embedded::open(lattice_name, path)?,
                    None => Embedded::in_memory(lattice_name)?,
                };
                let embedded = embedded.with_max_blob(args.lattice.max_blob());
                let serving = embedded::serve(embedded.clone(), socket(&name)?).await?;
                (Arc::new(embedded), Some(serving))
            }
        };
    let options = NodeOptions {
        name: name.clone(),
        labels: args.labels.iter().cloned().collect::<BTreeMap<_, _>>(),
        // One that is alone is reached by nobody.
        listen: (!args.no_listen && lattice.nats().is_some()).then_some(args.listen),
        advertise: args.advertise.clone(),
        unix: !args.no_listen && !args.no_unix && lattice.is_shared(),
        url: args.lattice.lattice.clone(),
        wasmcloud: args.wasmcloud,
        programs: ProgramOptions {
            named: args.programs.clone(),
            folders: args.program_folders.clone(),
            from_lattice: args.allow_programs,
        },
        policy,
        trust,
        key,
        seal_key: args.seal.read()?,
        recent: args.recent().cloned(),
        host,
    };
    let node = Node::join(lattice.clone(), providers::registry()?, options).await?;
    let address = node
        .address()
        .map(|address| format!(", listening at {address}"))
        .unwrap_or_default();
    terminal.say(&format!(
        "host `{name}` ({}) is on the lattice `{}`{address}; Ctrl-C ends it\n",
        node.id(),
        lattice.name()
    ));
    let page = (args.observe).serve_page(page, lattice.clone(), &node, terminal)?;
    Ok(Joined {
        _page: page,
        node,
        _socket: serving,
        endpoint,
    })
}

/// The name of this machine.
pub(crate) fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "host".to_owned(), |name| name.trim().to_owned())
}
