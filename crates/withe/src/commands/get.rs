//! `withe get`: what is on a lattice.

use std::ffi::OsStr;
use std::path::Path;

use clap::ValueEnum as _;
use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::error::ErrorKind;

use super::lattice_args::LatticeArgs;
use crate::Outcome;
use crate::overview::Overview;
use crate::render::json;
use crate::render::table::table;
use crate::running::block_on;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe get hosts
  withe get links --lattice nats://10.0.0.1:4222
  withe get apps --json | jq '.[].name'";

/// Show what is on a lattice.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to show.
    #[arg(value_parser = WhatParser)]
    what: What,
    /// Only of this application.
    #[arg(long, value_name = "APP")]
    app: Option<String>,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lattice: LatticeArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    /// The hosts, their labels, and how many parts they run.
    Hosts,
    /// The components, and on which hosts they run.
    Components,
    /// The providers, and on which hosts they run.
    Providers,
    /// The links, and how each is bound on each host of its source.
    Links,
    /// The applications, and whether all of them runs.
    Apps,
}

/// Reads what to show, and knows where to send those who name a file.
#[derive(Clone)]
struct WhatParser;

impl TypedValueParser for WhatParser {
    type Value = What;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<What, clap::Error> {
        let path = Path::new(value);
        let is_file = path.extension().is_some() || path.components().count() > 1;
        if is_file {
            let path = path.display();
            let message = format!(
                "`{path}` is the name of a file, and `withe get` shows what is on a lattice: `withe plan {path}` shows what a file \
                 leads to\n"
            );
            let error = clap::Error::raw(ErrorKind::InvalidValue, message);
            return Err(error.with_cmd(command));
        }
        EnumValueParser::<What>::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let values = What::value_variants().iter();
        Some(Box::new(values.filter_map(What::to_possible_value)))
    }
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let seen = block_on(async {
        let lattice = args.lattice.connect().await?;
        Ok(Overview::read(&*lattice, args.app.clone()).await?)
    })?;
    let text = match (args.what, args.json) {
        (What::Hosts, false) => hosts_table(&seen),
        (What::Hosts, true) => json::text(&seen.hosts)?,
        (What::Components, false) => parts_table(&seen, "component"),
        (What::Components, true) => json::text(&seen.parts("component"))?,
        (What::Providers, false) => parts_table(&seen, "provider"),
        (What::Providers, true) => json::text(&seen.parts("provider"))?,
        (What::Links, false) => links_table(&seen),
        (What::Links, true) => json::text(&seen.links())?,
        (What::Apps, false) => apps_table(&seen),
        (What::Apps, true) => json::text(&seen.applications())?,
    };
    terminal.print(&text)?;
    Ok(Outcome::Done)
}

fn hosts_table(seen: &Overview) -> String {
    let rows: Vec<_> = seen
        .hosts
        .iter()
        .map(|host| {
            let labels: Vec<_> = host
                .labels
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            let parts: usize = host.apps.values().map(|app| app.parts.len()).sum();
            let address = host.tcp.as_ref().map(|tcp| tcp.addresses.join(", "));
            [
                host.name.clone(),
                host.id.clone(),
                labels.join(","),
                address.unwrap_or_else(|| "-".into()),
                parts.to_string(),
                host.version.clone(),
            ]
        })
        .collect();
    table(
        ["HOST", "ID", "LABELS", "ADDRESS", "PARTS", "VERSION"],
        &rows,
    )
}

fn parts_table(seen: &Overview, kind: &str) -> String {
    let rows: Vec<_> = seen
        .parts(kind)
        .into_iter()
        .map(|part| {
            let digest = part.digest.trim_start_matches("sha256:");
            [
                part.application.to_owned(),
                part.name.to_owned(),
                part.host.to_owned(),
                part.instances.map_or("-".into(), |n| n.to_string()),
                digest.chars().take(12).collect(),
                part.id.to_owned(),
            ]
        })
        .collect();
    table(["APP", "NAME", "HOST", "INSTANCES", "DIGEST", "ID"], &rows)
}

fn links_table(seen: &Overview) -> String {
    let rows: Vec<_> = seen
        .links()
        .into_iter()
        .map(|on| {
            [
                on.application.to_owned(),
                on.link.source.clone(),
                on.link.target.clone(),
                on.link.name.clone(),
                on.host.to_owned(),
                super::plan::binding_name(on.link.binding).to_owned(),
                on.link.why.clone(),
            ]
        })
        .collect();
    table(
        ["APP", "SOURCE", "TARGET", "NAME", "ON", "BINDING", "WHY"],
        &rows,
    )
}

fn apps_table(seen: &Overview) -> String {
    let rows: Vec<_> = seen
        .applications()
        .into_iter()
        .map(|app| {
            [
                app.name.to_owned(),
                app.status.to_owned(),
                app.number.to_string(),
                app.hosts.join(", "),
                app.endpoints.join(", "),
                app.problems.join("; "),
            ]
        })
        .collect();
    table(
        ["APP", "STATUS", "PLAN", "HOSTS", "REACHED AT", "PROBLEMS"],
        &rows,
    )
}
