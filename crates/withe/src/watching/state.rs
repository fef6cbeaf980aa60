//! The state of a lattice, as those show it who watch: the hosts, the applications, their parts and their links, each once.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::commands::plan::binding_name;
use crate::overview::Overview;

/// The state of a lattice.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct LatticeState {
    /// The lattice's name.
    pub(crate) lattice: String,
    pub(crate) hosts: Vec<HostState>,
    pub(crate) applications: Vec<ApplicationState>,
    pub(crate) parts: Vec<PartState>,
    pub(crate) links: Vec<LinkState>,
}

/// A host.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct HostState {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) addresses: Vec<String>,
    /// How many parts run there.
    pub(crate) parts: usize,
    /// When it started, in seconds since 1970.
    pub(crate) started: u64,
    pub(crate) leaving: bool,
    /// Why it does not say what it has counted, if it does not.
    pub(crate) silent: Option<String>,
}

/// An application.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct ApplicationState {
    pub(crate) name: String,
    /// `runs`, `starting`, `failing` or `lost`.
    pub(crate) status: String,
    /// The number of its deployment.
    pub(crate) number: u64,
    pub(crate) hosts: Vec<String>,
    /// Where it is reached.
    pub(crate) endpoints: Vec<String>,
    pub(crate) problems: Vec<String>,
}

/// A part of an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct PartState {
    pub(crate) application: String,
    pub(crate) name: String,
    /// `component` or `provider`.
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) digest: String,
    /// The hosts that run it.
    pub(crate) hosts: Vec<String>,
}

/// A link of an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct LinkState {
    pub(crate) application: String,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) name: String,
    pub(crate) interfaces: Vec<String>,
    /// How each host of the source has bound it.
    pub(crate) on: Vec<LinkOnHost>,
}

/// A link as a host has bound it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct LinkOnHost {
    pub(crate) host: String,
    pub(crate) binding: &'static str,
    /// Why by no cheaper binding.
    pub(crate) why: String,
}

impl LatticeState {
    /// Of what was found on the lattice `lattice`.
    pub(crate) fn of(lattice: &str, found: &Overview) -> Self {
        Self {
            lattice: lattice.to_owned(),
            hosts: hosts(found),
            applications: (found.applications().into_iter())
                .map(|app| ApplicationState {
                    name: app.name.to_owned(),
                    status: app.status.to_owned(),
                    number: app.number,
                    hosts: app.hosts.into_iter().map(str::to_owned).collect(),
                    endpoints: app.endpoints.into_iter().map(str::to_owned).collect(),
                    problems: app.problems,
                })
                .collect(),
            parts: parts(found),
            links: links(found),
        }
    }

    /// The application of a part with this name that runs on a host, if there is only one.
    pub(crate) fn application_of(&self, part: &str, host: &str) -> Option<&str> {
        let on = |of: &&PartState| of.name == part && of.hosts.iter().any(|name| name == host);
        let mut meant = self.parts.iter().filter(on);
        let first = meant.next()?;
        meant.next().is_none().then_some(first.application.as_str())
    }
}

fn hosts(found: &Overview) -> Vec<HostState> {
    let all = found.hosts.iter().map(|host| HostState {
        id: host.id.clone(),
        name: host.name.clone(),
        version: host.version.clone(),
        labels: host.labels.clone(),
        addresses: (host.tcp.iter().flat_map(|tcp| &tcp.addresses))
            .cloned()
            .collect(),
        parts: host.apps.values().map(|app| app.parts.len()).sum(),
        started: host.started,
        leaving: host.leaving,
        silent: None,
    });
    all.collect()
}

fn parts(found: &Overview) -> Vec<PartState> {
    let mut all = BTreeMap::<_, PartState>::new();
    for kind in ["component", "provider"] {
        for part in found.parts(kind) {
            let state = all
                .entry((part.application, part.name))
                .or_insert_with(|| PartState {
                    application: part.application.to_owned(),
                    name: part.name.to_owned(),
                    kind: kind.to_owned(),
                    id: part.id.to_owned(),
                    digest: part.digest.to_owned(),
                    hosts: Vec::new(),
                });
            state.hosts.push(part.host.to_owned());
        }
    }
    all.into_values().collect()
}

fn links(found: &Overview) -> Vec<LinkState> {
    let mut all = BTreeMap::<_, LinkState>::new();
    for on in found.links() {
        let link = on.link;
        let key = (on.application, &link.source, &link.target, &link.name);
        let state = all.entry(key).or_insert_with(|| LinkState {
            application: on.application.to_owned(),
            source: link.source.clone(),
            target: link.target.clone(),
            name: link.name.clone(),
            interfaces: Vec::new(),
            on: Vec::new(),
        });
        for interface in &link.interfaces {
            if !state.interfaces.contains(interface) {
                state.interfaces.push(interface.clone());
            }
        }
        state.on.push(LinkOnHost {
            host: on.host.to_owned(),
            binding: binding_name(link.binding),
            why: link.why.clone(),
        });
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use withe_linker::plan::Binding;
    use withe_node::records::{HostRecord, RunningApp, RunningLink, RunningPart};

    use super::*;

    fn host(name: &str, binding: Binding) -> HostRecord {
        let part = |name: &str, kind: &str| RunningPart {
            name: name.into(),
            id: format!("shop-{name}"),
            kind: kind.into(),
            digest: "sha256:77".into(),
            instances: None,
        };
        let app = RunningApp {
            number: 1,
            revision: 1,
            parts: vec![part("cart", "component"), part("http", "provider")],
            links: vec![RunningLink {
                source: "http".into(),
                target: "cart".into(),
                name: "default".into(),
                interfaces: vec!["wasi:http/incoming-handler".into()],
                binding,
                why: "a provider".into(),
            }],
            ..RunningApp::default()
        };
        HostRecord {
            id: format!("id-{name}"),
            name: name.into(),
            version: "1".into(),
            machine: "m".into(),
            labels: BTreeMap::new(),
            fingerprint: String::new(),
            tcp: None,
            unix: None,
            nats: false,
            started: 1,
            signed_only: false,
            leaving: false,
            apps: BTreeMap::from([("shop".to_owned(), app)]),
        }
    }

    #[test]
    fn what_runs_on_several_hosts_is_there_once() {
        let found = Overview {
            hosts: vec![host("east", Binding::Host), host("west", Binding::Tcp)],
            apps: Vec::new(),
            deployments: BTreeMap::new(),
            only: None,
        };
        let state = LatticeState::of("default", &found);
        assert_eq!((state.hosts.len(), state.hosts[0].parts), (2, 2));
        assert_eq!(state.parts.len(), 2);
        assert_eq!(state.parts[0].hosts, ["east", "west"]);
        let [link] = state.links.as_slice() else {
            panic!("{state:#?}")
        };
        assert_eq!(link.interfaces.len(), 1);
        let bound: Vec<_> = link.on.iter().map(|on| on.binding).collect();
        assert_eq!(bound, ["host", "tcp"]);
        assert_eq!(state.application_of("cart", "east"), Some("shop"));
        assert_eq!(state.application_of("cart", "north"), None);
    }
}
