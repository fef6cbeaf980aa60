//! A lattice as a whole: hosts, applications, their parts and links, as `withe get`, `withe ui` and `withe top` show them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use withe_lattice::{Lattice, LatticeError};
use withe_node::desired::{self, Desired};
use withe_node::records::{Deployment, HostRecord};

/// The problem of an application that only the hosts know.
const LOST: &str = "the lattice has lost it, and what runs of it goes on; put it again with `withe up`, or end it with \
                    `withe down`";

/// The hosts, applications, parts and links that were found.
pub(crate) struct Overview {
    pub(crate) hosts: Vec<HostRecord>,
    pub(crate) apps: Vec<Desired>,
    pub(crate) deployments: BTreeMap<String, Deployment>,
    pub(crate) only: Option<String>,
}

/// A part of an application on one host.
#[derive(Serialize)]
pub(crate) struct PartOn<'a> {
    pub(crate) application: &'a str,
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
    pub(crate) host: &'a str,
    pub(crate) digest: &'a str,
    pub(crate) instances: Option<u32>,
}

/// A link as one host has bound it.
#[derive(Serialize)]
pub(crate) struct LinkOn<'a> {
    pub(crate) application: &'a str,
    pub(crate) host: &'a str,
    #[serde(flatten)]
    pub(crate) link: &'a withe_node::records::RunningLink,
}

/// An application, and how far it has come.
#[derive(Serialize)]
pub(crate) struct AppStatus<'a> {
    pub(crate) name: &'a str,
    pub(crate) revision: u64,
    pub(crate) number: u64,
    pub(crate) status: &'static str,
    pub(crate) hosts: Vec<&'a str>,
    pub(crate) endpoints: Vec<&'a str>,
    pub(crate) problems: Vec<String>,
}

impl Overview {
    /// Reads it from the lattice; of one application alone, if `only` names one.
    ///
    /// # Errors
    ///
    /// If the lattice cannot be read.
    pub(crate) async fn read(
        lattice: &dyn Lattice,
        only: Option<String>,
    ) -> Result<Self, LatticeError> {
        let hosts = desired::hosts(lattice).await?;
        Self::with_hosts(lattice, hosts, only).await
    }

    /// The same where the hosts were read.
    ///
    /// # Errors
    ///
    /// If the lattice cannot be read.
    pub(crate) async fn with_hosts(
        lattice: &dyn Lattice,
        hosts: Vec<HostRecord>,
        only: Option<String>,
    ) -> Result<Self, LatticeError> {
        let mut apps = desired::applications(lattice).await?;
        apps.retain(|app| only.as_ref().is_none_or(|name| app.record.name == *name));
        let mut deployments = BTreeMap::new();
        for app in &apps {
            let name = &app.record.name;
            if let Some(deployment) = desired::deployment(lattice, name).await? {
                deployments.insert(name.clone(), deployment);
            }
        }
        Ok(Self {
            hosts,
            apps,
            deployments,
            only,
        })
    }

    pub(crate) fn parts(&self, kind: &str) -> Vec<PartOn<'_>> {
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

    pub(crate) fn links(&self) -> Vec<LinkOn<'_>> {
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

    pub(crate) fn applications(&self) -> Vec<AppStatus<'_>> {
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

    fn is_meant(&self, application: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == application)
    }
}
