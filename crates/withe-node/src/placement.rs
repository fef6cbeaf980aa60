//! Where the parts of an application run, as one of its hosts sees it; and the plans that follow, without any
//! host carrying them out.

use std::collections::BTreeMap;
use std::sync::Arc;

use withe_lattice::{Lattice, LatticeError};
use withe_linker::LinkOutcome;
use withe_linker::input::{
    Application, ComponentKind, Elsewhere, OtherHost, Placement, Surroundings,
};
use withe_load::{LinkOptions, Loaded};
use withe_planner::{Assignment, HostView, Where, Wish, place};

use crate::desired;
use crate::hosts::{Hosts, Names, Reach};
use crate::records::HostRecord;

/// The hosts and placements that a plan is made from.
pub(crate) struct Seen<'a> {
    pub(crate) surroundings: Surroundings,
    pub(crate) hosts: &'a Hosts,
    pub(crate) assignment: &'a Assignment,
    /// Whether every component may be called by others than its links say.
    pub(crate) all_are_called: bool,
}

impl Seen<'_> {
    /// The hosts of each part that does not run on the host `own`.
    pub(crate) fn elsewhere(
        &self,
        application: &Application,
        own: &str,
    ) -> BTreeMap<String, Vec<String>> {
        let parts = application.components.iter();
        parts
            .filter_map(|part| {
                let name = &part.name.value;
                let shares = self.assignment.get(name);
                if shares.is_some_and(|shares| shares.contains_key(own)) {
                    return None;
                }
                let ids = shares.into_iter().flat_map(|shares| shares.keys().cloned());
                Some((name.clone(), ids.collect()))
            })
            .collect()
    }

    /// The placement that the linker gets for the host `own`. `reach` says how another host is reached; one that
    /// is not known is not reached directly.
    pub(crate) fn placement(
        &self,
        application: &Application,
        own: &str,
        reach: impl Fn(&str) -> Option<Reach>,
    ) -> Placement {
        let mut placement = Placement {
            surroundings: self.surroundings,
            ..Placement::default()
        };
        for part in &application.components {
            let declared = part.scaling.as_ref().and_then(|s| s.instances.as_ref());
            let shares = self.assignment.get(&part.name.value);
            let share = shares.and_then(|shares| shares.get(own)?.instances);
            // One that has all of them has what its manifest says.
            if let Some(instances) = share
                && declared.is_none_or(|declared| declared.value != instances)
            {
                placement
                    .instances
                    .insert(part.name.value.clone(), instances);
            }
        }
        let names = Names::of(self.hosts.values().map(|host| &**host));
        for (part, ids) in self.elsewhere(application, own) {
            let host = |id: &String| {
                let reach = reach(id);
                let record = self.hosts.get(id);
                OtherHost {
                    name: record.map_or(id.clone(), |host| names.of_host(host)),
                    tcp: reach.is_some_and(|reach| reach.tcp),
                    unix: reach.is_some_and(|reach| reach.unix),
                    same_machine: reach.is_some_and(|reach| reach.same_machine),
                }
            };
            let mut hosts: Vec<_> = ids.iter().map(host).collect();
            hosts.sort_by(|a, b| a.name.cmp(&b.name));
            placement.elsewhere.insert(part, Elsewhere { hosts });
        }
        let wish = Wish::of(application);
        placement.served = withe_planner::served(self.assignment, &wish, own);
        if self.all_are_called {
            let parts = application.components.iter();
            let components = parts.filter(|part| part.kind == ComponentKind::Component);
            let names = components.map(|part| part.name.value.clone());
            let here: Vec<_> = names
                .filter(|name| !placement.elsewhere.contains_key(name))
                .collect();
            placement.served.extend(here);
        }
        placement
    }
}

/// How an application would be linked on the hosts of a lattice.
#[derive(Debug)]
pub struct Preview {
    /// The parts that no host may run, and why.
    pub unplaced: Vec<String>,
    /// How each host that would run a part of it would link it, by the host's name: with its id where two share
    /// one.
    pub hosts: Vec<(String, Arc<LinkOutcome>)>,
}

/// How an application would be linked on a lattice as it is now. Hosts count as reached by whatever
/// they announce. `options` are those of the hosts, but for the placement. Nothing is changed.
///
/// # Errors
///
/// The records of the lattice.
pub async fn preview(
    lattice: &dyn Lattice,
    loaded: &Loaded,
    options: &LinkOptions,
) -> Result<Preview, LatticeError> {
    let records = desired::hosts(lattice).await?;
    let hosts: Hosts = (records.into_iter())
        .map(|host| (host.id.clone(), Arc::new(host)))
        .collect();
    let Some(application) = &loaded.application else {
        return Ok(Preview {
            unplaced: Vec::new(),
            hosts: Vec::new(),
        });
    };
    let name = loaded.name();
    let current = desired::deployment(lattice, name).await?;
    let current = current
        .map(|deployment| deployment.hosts)
        .unwrap_or_default();
    let surroundings = desired::surroundings(lattice);
    let wish = wish(application, surroundings);
    let placed = place(&wish, &views(&hosts, name), &current);
    let seen = Seen {
        surroundings,
        hosts: &hosts,
        assignment: &placed.assignment,
        all_are_called: false,
    };
    let runs = |id: &String| {
        placed
            .assignment
            .values()
            .any(|shares| shares.contains_key(id))
    };
    let plan = |host: &HostRecord| {
        let reach = |id: &str| {
            let other = hosts.get(id)?;
            let same_machine = other.machine == host.machine;
            Some(Reach {
                tcp: other.tcp.is_some(),
                unix: same_machine && other.unix.is_some(),
                same_machine,
            })
        };
        loaded.link(&LinkOptions {
            placement: seen.placement(application, &host.id, reach),
            ..options.clone()
        })
    };
    let planned = hosts.iter().filter(|(id, _)| runs(id));
    let names = Names::of(hosts.values().map(|host| &**host));
    let mut planned: Vec<_> = planned
        .map(|(_, host)| (names.of_host(host), plan(host)))
        .collect();
    planned.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Preview {
        unplaced: (placed.unplaced.iter()).map(ToString::to_string).collect(),
        hosts: planned,
    })
}

/// The demands of an application on its hosts, in these surroundings.
pub(crate) fn wish(application: &Application, surroundings: Surroundings) -> Wish {
    let mut wish = Wish::of(application);
    if surroundings == Surroundings::Alone {
        // There is no choice, and labels are for one: a manifest that spreads its parts runs on one machine, too.
        for part in &mut wish.parts {
            part.place = Where::OneHost;
        }
    }
    wish
}

/// The hosts that parts of the application `name` may be placed on.
pub(crate) fn views(hosts: &Hosts, name: &str) -> Vec<HostView> {
    let view = |host: &Arc<HostRecord>| HostView {
        id: host.id.clone(),
        labels: host.labels.clone(),
        load: (host.apps.iter())
            .filter(|(other, _)| *other != name)
            .map(|(_, app)| app.parts.len())
            .sum(),
    };
    (hosts.values())
        .filter(|host| !host.leaving)
        .map(view)
        .collect()
}
