//! `withe link`: the links of an application, while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, bail};
use withe_lattice::SharedLattice;
use withe_linker::input::{BindingChoice, Part, Scope};
use withe_load::Supplied;
use withe_node::desired::{self, Desired};
use withe_node::links::{LinkChange, LinkDeclaration, LinkId};
use withe_node::records::AppRecord;
use withe_node::sealing;
use withe_trust::SealKey;
use withe_wit::InterfaceName;
use withe_wit::name::unescaped;

use super::application::LinkedApplication;
use super::config_args::{self, GivenConfig};
use super::key_args::{KeyArgs, SealArgs};
use super::lattice_args::LatticeArgs;
use super::link_args::{BindingArg, ScopeArg};
use super::settle::settle;
use crate::Outcome;
use crate::providers;
use crate::render::table::table;
use crate::running::block_on;
use crate::terminal::Terminal;
use crate::usage::Expected;

const EXAMPLES: &str = "\
Examples:
  withe link list shop
  withe link put shop cart store-2                       the store that `cart` uses is `store-2` from now on
  withe link put shop cart store --target-config bucket=b2
  withe link put shop cart store --target-config-file url=/run/secrets/redis-url
  withe link put shop cart cache --name cache --binding nats
  withe link delete shop cart store";

/// List, make, replace and remove the links of a running application.
///
/// A change is checked as `withe check` checks a manifest. Then each host prepares the new binding beside
/// the old one; new calls take it, and those under way finish on the old one.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the links as they are declared, with all changes.
    List(List),
    /// Make a link, or replace the one that the source has for the same interfaces and name.
    Put(Box<Put>),
    /// Remove a link.
    Delete(Delete),
}

#[derive(Debug, clap::Args)]
struct List {
    /// The application.
    #[arg(value_name = "APP")]
    application: String,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lattice: LatticeArgs,
}

#[derive(Debug, clap::Args)]
struct Put {
    /// The application.
    #[arg(value_name = "APP")]
    application: String,
    /// The component or provider that imports.
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The component or provider that exports.
    #[arg(value_name = "TARGET")]
    target: String,
    /// The link's name.
    #[arg(long, value_name = "NAME", default_value = "default")]
    name: String,
    /// An interface, NAMESPACE:PACKAGE/INTERFACE, with @VERSION if the source imports several; all that both ends
    /// have without it. May be given several times, for interfaces of one package. IMPORT=EXPORT pairs an import with an
    /// export of another name: each a label, a function of the world, or an interface.
    #[arg(long = "interface", value_name = "INTERFACE")]
    interfaces: Vec<String>,
    /// Configuration of the source's side.
    #[arg(long = "source-config", value_name = "KEY=VALUE", value_parser = pair)]
    source_config: Vec<(String, String)>,
    /// The same with the value in a file, for secrets; `-` is standard input.
    #[arg(long = "source-config-file", value_name = "KEY=FILE", value_parser = pair)]
    source_config_file: Vec<(String, String)>,
    /// The same with the value in a variable of the environment.
    #[arg(long = "source-config-env", value_name = "KEY=VARIABLE", value_parser = pair)]
    source_config_env: Vec<(String, String)>,
    /// Configuration of the target's side.
    #[arg(long = "target-config", value_name = "KEY=VALUE", value_parser = pair)]
    target_config: Vec<(String, String)>,
    /// The same with the value in a file, for secrets; `-` is standard input.
    #[arg(long = "target-config-file", value_name = "KEY=FILE", value_parser = pair)]
    target_config_file: Vec<(String, String)>,
    /// The same with the value in a variable of the environment.
    #[arg(long = "target-config-env", value_name = "KEY=VARIABLE", value_parser = pair)]
    target_config_env: Vec<(String, String)>,
    /// How it is bound; the cheapest way that is correct without it.
    #[arg(long, value_enum, value_name = "BINDING")]
    binding: Option<BindingArg>,
    /// How long an instance of the target lives.
    #[arg(long, value_enum, value_name = "SCOPE")]
    scope: Option<ScopeArg>,
    /// A call's deadline in milliseconds.
    #[arg(long, value_name = "MILLISECONDS")]
    timeout: Option<u64>,
    /// A call that may have reached the target may be sent again.
    #[arg(long)]
    idempotent: bool,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    seal: SealArgs,
    #[command(flatten)]
    lattice: LatticeArgs,
}

#[derive(Debug, clap::Args)]
struct Delete {
    /// The application.
    #[arg(value_name = "APP")]
    application: String,
    /// The component or provider that imports.
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The component or provider that exports.
    #[arg(value_name = "TARGET")]
    target: String,
    /// The link's name.
    #[arg(long, value_name = "NAME", default_value = "default")]
    name: String,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    seal: SealArgs,
    #[command(flatten)]
    lattice: LatticeArgs,
}

#[derive(Debug, clap::Args)]
struct Wait {
    /// How long to wait until all hosts have linked it, in seconds; 0 does not wait.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
}

fn pair(text: &str) -> Result<(String, String), Expected> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(Expected("KEY=VALUE")),
    }
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    block_on(async {
        match &args.action {
            Action::List(args) => list(args, terminal).await,
            Action::Put(args) => put(args, terminal).await,
            Action::Delete(args) => delete(args, terminal).await,
        }
    })
}

/// An application of a lattice, as it is desired and as it is linked.
struct Found {
    lattice: SharedLattice,
    /// With its secret values, if it is to be changed.
    record: AppRecord,
    revision: u64,
    supplied: Supplied,
    application: LinkedApplication,
}

/// An application as `record` says, linked as if all of it ran in one place.
fn linked(
    lattice: &SharedLattice,
    record: &AppRecord,
    supplied: &Supplied,
) -> anyhow::Result<LinkedApplication> {
    let loaded = desired::load(record, supplied, &providers::registry()?)?;
    let options = desired::link_options(record, desired::surroundings(&**lattice));
    Ok(LinkedApplication::new(loaded, options))
}

/// How the secret values of an application are found.
enum SecretsOf<'a> {
    /// Not at all: they are not shown.
    Nobody,
    /// By this key, which there need not be if there are none.
    Key(Option<&'a SealKey>),
}

async fn find(lattice: &LatticeArgs, name: &str, secrets: SecretsOf<'_>) -> anyhow::Result<Found> {
    let lattice = lattice.connect().await?;
    let Some(desired) = desired::application(&*lattice, name).await? else {
        bail!(
            "there is no application `{name}` on the lattice; `withe get apps` shows those there are"
        );
    };
    let Desired {
        record, revision, ..
    } = desired;
    let record = match secrets {
        SecretsOf::Nobody => record,
        SecretsOf::Key(key) => sealing::open(&record, lattice.name(), key)
            .with_context(|| format!("the links of `{name}` cannot be changed"))?
            .into_owned(),
    };
    let supplied = desired::fetch(&*lattice, &record, &BTreeMap::new()).await?;
    let application = linked(&lattice, &record, &supplied)?;
    Ok(Found {
        lattice,
        record,
        revision,
        supplied,
        application,
    })
}

impl Found {
    /// Checks the application with `changes`, and makes them.
    async fn change(
        self,
        changes: Vec<LinkChange>,
        key: &KeyArgs,
        seal_key: Option<&SealKey>,
        wait: &Wait,
        terminal: &Terminal,
    ) -> anyhow::Result<Outcome> {
        let record = match &self.application.loaded.application {
            Some(application) => desired::with_changes(&self.record, application, changes)?,
            None => bail!("`{}` cannot be read", self.record.name),
        };
        let changed = linked(&self.lattice, &record, &self.supplied)?;
        terminal.say(&changed.report(terminal, Some("nothing was changed")));
        if changed.linked.plan.is_none() {
            return Ok(Outcome::Problems);
        }
        let name = &record.name;
        key.warn(&*self.lattice, terminal).await?;
        let (key, before) = (key.read()?, self.revision);
        let put = desired::put_changed(&*self.lattice, &record, before, key.as_ref(), seal_key);
        let revision = put
            .await
            .with_context(|| format!("the links of `{name}` were not changed"))?;
        if wait.wait > 0 {
            let wait = Duration::from_secs(wait.wait);
            let settled = settle(&*self.lattice, name, revision, wait).await?;
            terminal.say(&format!(
                "`{name}` is linked anew on {}\n",
                settled.hosts.join(", ")
            ));
        }
        Ok(Outcome::Done)
    }
}

async fn list(args: &List, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let found = find(&args.lattice, &args.application, SecretsOf::Nobody).await?;
    let Some(plan) = &found.application.linked.plan else {
        terminal.say(&found.application.report(terminal, None));
        return Ok(Outcome::Problems);
    };
    let text = if args.json {
        crate::render::json::text(&plan.masked().links)?
    } else {
        let rows: Vec<_> = plan
            .links
            .iter()
            .map(|link| {
                let interfaces: Vec<_> = link
                    .interfaces
                    .iter()
                    .map(|i| i.interface.clone())
                    .collect();
                let config = |config: &BTreeMap<String, String>| config.len().to_string();
                [
                    link.source.clone(),
                    link.target.clone(),
                    link.name.clone(),
                    interfaces.join(", "),
                    config(&link.source_config),
                    config(&link.target_config),
                ]
            })
            .collect();
        table(
            [
                "SOURCE",
                "TARGET",
                "NAME",
                "INTERFACES",
                "SOURCE KEYS",
                "TARGET KEYS",
            ],
            &rows,
        )
    };
    terminal.print(&text)?;
    Ok(Outcome::Done)
}

async fn put(args: &Put, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let seal_key = args.seal.read()?;
    let seal_key = seal_key.as_deref();
    let secrets = SecretsOf::Key(seal_key);
    let found = find(&args.lattice, &args.application, secrets).await?;
    let declaration = declaration(args, terminal)?;
    let mut changes = replaced(&found.application, &declaration);
    changes.push(LinkChange::Put(declaration));
    found
        .change(changes, &args.key, seal_key, &args.wait, terminal)
        .await
}

async fn delete(args: &Delete, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let seal_key = args.seal.read()?;
    let seal_key = seal_key.as_deref();
    let secrets = SecretsOf::Key(seal_key);
    let found = find(&args.lattice, &args.application, secrets).await?;
    let id = LinkId {
        source: args.source.clone(),
        name: args.name.clone(),
        target: Some(args.target.clone()),
        namespace: None,
        package: None,
    };
    found
        .change(
            vec![LinkChange::Delete(id)],
            &args.key,
            seal_key,
            &args.wait,
            terminal,
        )
        .await
}

fn declaration(args: &Put, terminal: &Terminal) -> anyhow::Result<LinkDeclaration> {
    let files = args
        .source_config_file
        .iter()
        .chain(&args.target_config_file);
    config_args::check_standard_input(files)?;
    let source = GivenConfig {
        option: "source-config",
        values: &args.source_config,
        files: &args.source_config_file,
        variables: &args.source_config_env,
    };
    let target = GivenConfig {
        option: "target-config",
        values: &args.target_config,
        files: &args.target_config_file,
        variables: &args.target_config_env,
    };
    let (source_config, source_secret_keys) = source.read(terminal)?;
    let (target_config, target_secret_keys) = target.read(terminal)?;
    let mut declaration = LinkDeclaration {
        source: args.source.clone(),
        target: args.target.clone(),
        name: args.name.clone(),
        source_config,
        target_config,
        source_secret_keys,
        target_secret_keys,
        binding: args.binding.map(BindingChoice::from),
        scope: args.scope.map(Scope::from),
        timeout_ms: args.timeout,
        idempotent: args.idempotent.then_some(true),
        ..LinkDeclaration::default()
    };
    let mut names = BTreeSet::new();
    for text in &args.interfaces {
        if let Some((import, export)) = text.split_once('=') {
            let [import, export] = [import, export].map(unescaped);
            if import.is_empty() || export.is_empty() {
                bail!("`{text}` pairs nothing; expected IMPORT=EXPORT");
            }
            if let Some(before) = declaration.pairs.insert(import, export) {
                bail!("`{text}` pairs an import that `{before}` serves already");
            }
            continue;
        }
        let name: InterfaceName = unescaped(text).parse().map_err(|_| {
            anyhow::anyhow!("`{text}` is no interface; expected one such as `wasi:keyvalue/store`")
        })?;
        let package = (Some(name.namespace), Some(name.package));
        let before = (declaration.namespace.take(), declaration.package.take());
        if before.0.is_some() && before != package {
            bail!("interfaces of several packages need a link each");
        }
        (declaration.namespace, declaration.package) = package;
        // A version names one of several that the source imports.
        names.insert(match name.version {
            Some(version) => format!("{}@{version}", name.interface),
            None => name.interface,
        });
    }
    declaration.interfaces = (!names.is_empty()).then(|| names.into_iter().collect());
    Ok(declaration)
}

/// The links of the same source and name that connect what the new one is to connect.
fn replaced(application: &LinkedApplication, new: &LinkDeclaration) -> Vec<LinkChange> {
    let Some(plan) = &application.linked.plan else {
        return Vec::new();
    };
    let target = application.loaded.part(&new.target);
    let world = target.and_then(|target| match &target.input {
        Part::Component { world, .. } => Some(world),
        Part::Provider(provider) => Some(&provider.world),
        Part::Unavailable => None,
    });
    let offers = |interface: &str| {
        let Ok(wanted) = interface.parse::<InterfaceName>() else {
            return false;
        };
        let version = wanted.version.as_ref().map(ToString::to_string);
        let names_it = |written: &String| match written.split_once('@') {
            Some((name, written)) => {
                name == wanted.interface && version.as_deref() == Some(written)
            }
            None => *written == wanted.interface,
        };
        let is_meant = match &new.interfaces {
            Some(names) => names.iter().any(names_it),
            // Pairs alone are for the imports that they name.
            None => new.pairs.is_empty(),
        };
        let mut exports = world.iter().flat_map(|world| &world.exports);
        is_meant
            && exports.any(|export| {
                export.interface_name().is_some_and(|export| {
                    (&export.namespace, &export.package, &export.interface)
                        == (&wanted.namespace, &wanted.package, &wanted.interface)
                })
            })
    };
    plan.links
        .iter()
        .filter(|old| old.source == new.source && old.name == new.name)
        .filter(|old| old.target != new.target)
        .filter(|old| {
            let mut interfaces = old.interfaces.iter();
            interfaces.any(|i| offers(&i.interface) || new.pairs.contains_key(&i.import))
        })
        .map(|old| {
            LinkChange::Delete(LinkId {
                source: old.source.clone(),
                name: old.name.clone(),
                target: Some(old.target.clone()),
                namespace: None,
                package: None,
            })
        })
        .collect()
}
