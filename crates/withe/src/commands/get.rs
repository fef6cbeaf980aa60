//! `withe get`: what is on a lattice.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use withe_node::desired::{self, Desired};
use withe_node::records::{Deployment, HostRecord};

use super::lattice_args::LatticeArgs;
use crate::Outcome;
use crate::render::json;
use crate::render::table::table;
use crate::running::block_on;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe get hosts
  withe get links --lattice nats://10.0.0.1:4222
  withe get apps --json | jq '.[].name'";

/// The problem of an application that only the hosts know.
const LOST: &str = "the lattice has lost it, and what runs of it goes on; put it again with `withe up`, or end it with \
                    `withe down`";

/// Show what is on a lattice.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to show.
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

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let seen = block_on(async {
        let lattice = args.lattice.connect().await?;
        let hosts = desired::hosts(&*lattice).await?;
        let mut apps = desired::applications(&*lattice).await?;
        apps.retain(|app| {
            args.app
                .as_ref()
                .is_none_or(|name| app.record.name == *name)
        });
        let mut deployments = BTreeMap::new();
        for app in &apps {
            let name = &app.record.name;
            if let Some(deployment) = desired::deployment(&*lattice, name).await? {
                deployments.insert(name.clone(), deployment);
            }
        }
        Ok(Seen {
            hosts,
            apps,
            deployments,
            only: args.app.clone(),
        })
    })?;
    let text = match (args.what, args.json) {
        (What::Hosts, false) => seen.hosts_table(),
        (What::Hosts, true) => json::text(&seen.hosts)?,
        (What::Components, false) => seen.parts_table("component"),
        (What::Components, true) => json::text(&seen.parts("component"))?,
        (What::Providers, false) => seen.parts_table("provider"),
        (What::Providers, true) => json::text(&seen.parts("provider"))?,
        (What::Links, false) => seen.links_table(),
        (What::Links, true) => json::text(&seen.links())?,
        (What::Apps, false) => seen.apps_table(),
        (What::Apps, true) => json::text(&seen.applications())?,
    };
    terminal.print(&text)?;
    Ok(Outcome::Done)
}

/// What was found.
struct Seen {
    hosts: Vec<HostRecord>,
    apps: Vec<Desired>,
    deployments: BTreeMap<String, Deployment>,
    only: Option<String>,
}

/// A part of an application on one host.
#[derive(Serialize)]
struct PartOn<'a> {
    application: &'a str,
    name: &'a str,
    id: &'a str,
    host: &'a str,
    digest: &'a str,
    instances: Option<u32>,
}

/// A link as one host has bound it.
#[derive(Serialize)]
struct LinkOn<'a> {
    application: &'a str,
    host: &'a str,
    #[serde(flatten)]
    link: &'a withe_node::records::RunningLink,
}

/// An application, and how far it has come.
#[derive(Serialize)]
struct AppStatus<'a> {
    name: &'a str,
    revision: u64,
    number: u64,
    status: &'static str,
    hosts: Vec<&'a str>,
    endpoints: Vec<&'a str>,
    problems: Vec<String>,
}

impl Seen {
    fn hosts_table(&self) -> String {
        let rows: Vec<_> = self
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

    fn parts(&self, kind: &str) -> Vec<PartOn<'_>> {
        let mut parts = Vec::new();
        for host in &self.hosts {
            for (application, app) in host.apps.iter().filter(|(name, _)| self.is_meant(name)) {
                parts.extend(
                    app.parts
                        .iter()
                        .filter(|p| p.kind == kind)
                        .map(|part| PartOn {
                            application,
                            name: &part.name,
                            id: &part.id,
                            host: &host.name,
                            digest: &part.digest,
                            instances: part.instances,
                        }),
                );
            }
        }
        parts.sort_by_key(|part| (part.application, part.name, part.host));
        parts
    }

    fn parts_table(&self, kind: &str) -> String {
        let rows: Vec<_> = self
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

    fn links(&self) -> Vec<LinkOn<'_>> {
        let mut links = Vec::new();
        for host in &self.hosts {
            for (application, app) in host.apps.iter().filter(|(name, _)| self.is_meant(name)) {
                links.extend(app.links.iter().map(|link| LinkOn {
                    application,
                    host: &host.name,
                    link,
                }));
            }
        }
        links.sort_by_key(|on| (on.application, &on.link.source, &on.link.target, on.host));
        links
    }

    fn links_table(&self) -> String {
        let rows: Vec<_> = self
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

    fn applications(&self) -> Vec<AppStatus<'_>> {
        let known = self.apps.iter().map(|app| self.status(app));
        known.chain(self.lost_applications()).collect()
    }

    /// The applications that the lattice has lost, and hosts run on.
    fn lost_applications(&self) -> impl Iterator<Item = AppStatus<'_>> {
        let known: BTreeSet<_> = self.apps.iter().map(|app| &app.record.name).collect();
        let mut lost = BTreeMap::<_, AppStatus<'_>>::new();
        for host in &self.hosts {
            let apps = host
                .apps
                .iter()
                .filter(|(name, app)| app.lost && self.is_meant(name) && !known.contains(name));
            for (name, app) in apps {
                let status = lost.entry(name).or_insert_with(|| AppStatus {
                    name,
                    revision: 0,
                    number: 0,
                    status: "lost",
                    hosts: Vec::new(),
                    endpoints: Vec::new(),
                    problems: vec![LOST.to_owned()],
                });
                status.hosts.push(&host.name);
                (status.endpoints).extend(app.endpoints.iter().map(String::as_str));
            }
        }
        lost.into_values()
    }

    fn status<'a>(&'a self, app: &'a Desired) -> AppStatus<'a> {
        let name = &app.record.name;
        let deployment = self.deployments.get(name);
        let mut problems: Vec<String> =
            deployment.map_or_else(Vec::new, |deployment| deployment.unplaced.clone());
        let mut endpoints = Vec::new();
        let mut hosts = Vec::new();
        let mut is_behind = deployment.is_none_or(|d| d.revision != app.revision);
        for host in &self.hosts {
            let is_to_run = deployment
                .is_some_and(|d| d.hosts.values().any(|hosts| hosts.contains_key(&host.id)));
            let running = host.apps.get(name);
            if is_to_run && running.is_none_or(|r| r.revision != app.revision) {
                is_behind = true;
            }
            if let Some(running) = running {
                hosts.push(host.name.as_str());
                endpoints.extend(running.endpoints.iter().map(String::as_str));
                let failure = running.failure.as_ref();
                problems.extend(failure.map(|why| format!("on `{}`: {why}", host.name)));
            }
        }
        endpoints.sort_unstable();
        endpoints.dedup();
        AppStatus {
            name,
            revision: app.revision,
            number: deployment.map_or(0, |d| d.number),
            status: match (problems.is_empty(), is_behind) {
                (false, _) => "failing",
                (true, true) => "starting",
                (true, false) => "runs",
            },
            hosts,
            endpoints,
            problems,
        }
    }

    fn apps_table(&self) -> String {
        let rows: Vec<_> = self
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

    fn is_meant(&self, application: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == application)
    }
}
