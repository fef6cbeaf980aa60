//! `withe plan`: how each link of an application is bound, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use withe_linker::input::{ComponentKind, Scope, Surroundings};
use withe_linker::plan::{Binding, Plan, PlannedInterface, PlannedLink};
use withe_node::placement::{Preview, preview};

use super::application::{LinkedApplication, LinkedHow, load_application};
use super::application_args::{ApplicationArgs, Start};
use super::input_args::{InputArgs, Timings};
use super::lattice_args::LatticeArgs;
use super::link_args::LinkArgs;
use crate::Outcome;
use crate::render::table::table;
use crate::render::units::{count, duration};
use crate::render::{diagnostics, json};
use crate::running::block_on;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe plan                                  the application in this folder
  withe plan shop.yaml
  withe plan cart.wasm --link prices.wasm     the same without a manifest
  withe plan shop.yaml --json > plan.json     the same input gives the same bytes
  withe plan shop.yaml --lattice nats://10.0.0.1:4222     on the hosts that are there now
  withe plan shop.yaml --json | jq '.links[] | {source, target, binding}'";

/// Show how each link of an application will be bound, and why.
///
/// One line for each interface of each link: who imports it, who exports it, the binding, how long an
/// instance of the target lives, and the deadline of a call. With `--lattice` it says so for each of the hosts
/// there that would run a part of it. Nothing is compiled or started.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    application: ApplicationArgs,
    #[command(flatten)]
    defaults: LinkArgs,
    /// Print the plan as JSON: all that a host is given to carry out. With `--lattice`, the plans by the names
    /// of their hosts.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lattice: LatticeArgs,
    #[command(flatten)]
    inputs: InputArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let how = LinkedHow {
        defaults: args.defaults,
        surroundings: Surroundings::Unknown,
        timings: Timings::default(),
    };
    let application = load_application(
        "plan",
        &args.application,
        Start::LOOKED_AT,
        &args.inputs,
        how,
        terminal,
    )?;
    let application = match application {
        Ok(application) => application,
        Err(outcome) => return Ok(outcome),
    };
    args.inputs.say_timings(&application.timings, terminal);
    let consequence = Some("there is no plan");
    terminal.say(&application.report(terminal, consequence));
    let Some(plan) = &application.linked.plan else {
        return Ok(Outcome::Problems);
    };
    if args.lattice.lattice.is_some() {
        return on_lattice(args, &application, terminal);
    }
    if args.json {
        terminal.print_json(&plan.masked())?;
    } else {
        terminal.print(&render(plan))?;
    }
    Ok(Outcome::Done)
}

/// The plans of the hosts of a lattice that would run it.
fn on_lattice(
    args: &Args,
    application: &LinkedApplication,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let LinkedApplication {
        loaded, options, ..
    } = application;
    let Preview { unplaced, hosts } = block_on(async {
        let lattice = args.lattice.connect().await?;
        Ok(preview(&*lattice, loaded, options).await?)
    })?;
    let mut plans = BTreeMap::new();
    let mut is_whole = true;
    for (host, linked) in hosts {
        match &linked.plan {
            Some(plan) => _ = plans.insert(host, plan.masked()),
            None => {
                is_whole = false;
                let consequence = format!("host `{host}` could not link its part");
                let source = &loaded.source;
                terminal.say(&diagnostics::report(
                    terminal,
                    source,
                    &linked.diagnostics,
                    Some(&consequence),
                ));
            }
        }
    }
    for why in &unplaced {
        is_whole = false;
        terminal.say(&format!("error: no host can run {why}\n"));
    }
    if plans.is_empty() && is_whole {
        terminal.say("error: the lattice has no hosts; start one with `withe host`\n");
        is_whole = false;
    }
    let text = if args.json {
        json::text(&plans)?
    } else {
        let sections = plans.iter().map(|(host, plan)| {
            let here = plan.components.iter().filter(|c| !c.elsewhere);
            let names: Vec<_> = here.map(|c| c.name.as_str()).collect();
            format!("on `{host}`: {}\n{}", names.join(", "), links_table(plan))
        });
        sections.collect::<Vec<_>>().join("\n")
    };
    terminal.print(&text)?;
    Ok(if is_whole {
        Outcome::Done
    } else {
        Outcome::Problems
    })
}

/// The links of a plan that start on its host, in a table.
fn links_table(plan: &Plan) -> String {
    let header = [
        "SOURCE",
        "INTERFACE",
        "TARGET",
        "BINDING",
        "SCOPE",
        "DEADLINE",
        "WHY",
    ];
    let components = plan.components.iter();
    let providers: BTreeSet<&str> = components
        .filter(|c| c.kind == ComponentKind::Provider)
        .map(|c| c.name.as_str())
        .collect();
    let links = plan.links.iter().filter(|link| !link.incoming);
    let rows: Vec<_> = links.flat_map(|link| rows(&providers, link)).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{}", table(header, &rows))
}

/// The plan for people.
pub(crate) fn render(plan: &Plan) -> String {
    let version = plan
        .version
        .as_ref()
        .map(|v| format!(" {v}"))
        .unwrap_or_default();
    let mut text = format!(
        "{}{version}: {}, {}\n",
        plan.application,
        count(plan.components.len(), "component", "components"),
        count(plan.links.len(), "link", "links"),
    );
    text += &links_table(plan);
    let components: Vec<_> = plan
        .components
        .iter()
        .map(|c| {
            let kind = match c.kind {
                ComponentKind::Component if c.provider => "provider (component)",
                ComponentKind::Component => "component",
                ComponentKind::Provider => "provider",
            };
            // A digest is recognised by its first digits, as a commit is.
            let digest: String = c
                .digest
                .trim_start_matches("sha256:")
                .chars()
                .take(12)
                .collect();
            [
                c.name.clone(),
                kind.into(),
                digest,
                packages(&c.host_imports),
            ]
        })
        .collect();
    text += "\n";
    text += &table(
        ["COMPONENT", "KIND", "DIGEST", "GIVEN BY THE HOST"],
        &components,
    );
    if !plan.workers.is_empty() {
        let host = ("the host's", &plan.host_units);
        let workers = plan.workers.iter();
        let processes: Vec<_> = std::iter::once(host)
            .chain(workers.map(|w| (w.component.as_str(), &w.units)))
            .map(|(process, units)| [process.to_owned(), units.join(", ")])
            .collect();
        text += "\n";
        text += &table(["PROCESS", "INSTANTIATES"], &processes);
    }
    text
}

/// The packages of the interfaces `imports`, each once: a component often imports a dozen interfaces of
/// WASI, and which ones is for `withe inspect` to show.
fn packages(imports: &[String]) -> String {
    let package = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
    let packages: BTreeSet<_> = imports.iter().map(|name| package(name)).collect();
    packages.into_iter().collect::<Vec<_>>().join(", ")
}

/// A binding as manifests name it.
pub(crate) fn binding_name(binding: Binding) -> &'static str {
    match binding {
        Binding::Fused => "fused",
        Binding::Local => "local",
        Binding::Host => "host",
        Binding::Unix => "unix",
        Binding::Tcp => "tcp",
        Binding::Nats => "nats",
    }
}

/// One row for each interface of a link; what is the same in all of them only in the first.
fn rows(providers: &BTreeSet<&str>, link: &PlannedLink) -> Vec<[String; 7]> {
    let is_provider = |name: &str| providers.contains(name);
    // Where a provider is, instances of components mean nothing: it is one, and serves every link.
    let scope = match link.scope {
        _ if is_provider(&link.source) || is_provider(&link.target) => "-",
        Scope::Caller => "caller",
        Scope::Call => "call",
        Scope::Shared => "shared",
    };
    let binding = binding_name(link.binding);
    let row = |first: bool, interface: String| {
        let once = |text: &str| {
            if first {
                text.to_owned()
            } else {
                String::new()
            }
        };
        [
            once(&link.source),
            interface,
            once(&link.target),
            once(binding),
            once(scope),
            once(&duration(Duration::from_millis(link.timeout_ms))),
            once(&link.why),
        ]
    };
    if link.interfaces.is_empty() {
        return vec![row(true, "-".into())];
    }
    link.interfaces
        .iter()
        .enumerate()
        .map(|(i, interface)| row(i == 0, describe(interface)))
        .collect()
}

/// The interface, with the names that differ from it at either end.
fn describe(interface: &PlannedInterface) -> String {
    let mut text = interface.interface.clone();
    if interface.import != interface.interface {
        text += &format!(" as `{}`", interface.import);
    }
    if interface.export != interface.interface {
        text += &format!(" to {}", interface.export);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use withe_linker::plan::{PlannedComponent, PlannedGrants};

    use super::*;

    fn component(name: &str, kind: ComponentKind, host_imports: &[&str]) -> PlannedComponent {
        PlannedComponent {
            name: name.into(),
            id: format!("shop-{name}"),
            kind,
            provider: false,
            elsewhere: false,
            digest: format!("sha256:{}", "0123456789abcdef".repeat(4)),
            entry: true,
            concurrency: false,
            config: BTreeMap::new(),
            secrets: Vec::new(),
            secret_values: Default::default(),
            secret_keys: BTreeSet::new(),
            instances: None,
            memory: None,
            time_ms: None,
            reuse: None,
            grants: PlannedGrants::default(),
            host_imports: host_imports.iter().map(|s| (*s).into()).collect(),
            missing: Vec::new(),
        }
    }

    fn link(source: &str, target: &str, binding: Binding, interfaces: &[[&str; 3]]) -> PlannedLink {
        PlannedLink {
            source_secrets: Vec::new(),
            target_secrets: Vec::new(),
            source: source.into(),
            target: target.into(),
            name: "default".into(),
            interfaces: interfaces
                .iter()
                .map(|[interface, import, export]| PlannedInterface {
                    interface: (*interface).into(),
                    import: (*import).into(),
                    export: (*export).into(),
                })
                .collect(),
            binding,
            by_host: false,
            why: "because it is so".into(),
            incoming: false,
            leaves_host: false,
            scope: Scope::Caller,
            timeout_ms: 30_000,
            timeout_given: false,
            locality: None,
            idempotent: false,
            source_config: BTreeMap::new(),
            source_secret_keys: BTreeSet::new(),
            target_config: BTreeMap::new(),
            target_secret_keys: BTreeSet::new(),
        }
    }

    #[test]
    fn every_interface_has_a_row() {
        let store = "wasi:keyvalue/store@0.2.0-draft";
        let atomics = "wasi:keyvalue/atomics@0.2.0-draft";
        let plan = Plan {
            application: "shop".into(),
            version: Some("1.2.0".into()),
            components: vec![
                component(
                    "cart",
                    ComponentKind::Component,
                    &[
                        "wasi:logging/logging",
                        "wasi:cli/environment@0.2.6",
                        "wasi:cli/exit@0.2.6",
                    ],
                ),
                component("kv", ComponentKind::Provider, &[]),
            ],
            links: vec![
                link(
                    "cart",
                    "prices",
                    Binding::Fused,
                    &[[
                        "shop:api/prices@1.0.0",
                        "shop:api/prices@1.0.0",
                        "shop:api/prices@1.2.0",
                    ]],
                ),
                link(
                    "cart",
                    "kv",
                    Binding::Host,
                    &[[store, "cache", store], [atomics, atomics, atomics]],
                ),
            ],
            host_units: vec!["cart".into()],
            workers: Vec::new(),
        };
        insta::assert_snapshot!(render(&plan), @r#"
        shop 1.2.0: 2 components, 2 links

        SOURCE  INTERFACE                                       TARGET  BINDING  SCOPE   DEADLINE  WHY
        cart    shop:api/prices@1.0.0 to shop:api/prices@1.2.0  prices  fused    caller  30 s      because it is so
        cart    wasi:keyvalue/store@0.2.0-draft as `cache`      kv      host     -       30 s      because it is so
                wasi:keyvalue/atomics@0.2.0-draft

        COMPONENT  KIND       DIGEST        GIVEN BY THE HOST
        cart       component  0123456789ab  wasi:cli, wasi:logging
        kv         provider   0123456789ab
        "#);
    }
}
