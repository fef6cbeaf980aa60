//! Deciding where the parts of all applications run. Every host can; the one that holds the lease does.
//!
//! The controller compares the desired applications with the hosts' reports and writes what follows, again and again:
//! its successor finds all it needs in the lattice.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;
use withe_lattice::{Expect, LEASE, LatticeError};
use withe_linker::input::Surroundings;
use withe_planner::{place, transition};

use crate::claims;
use crate::clock::millis;
use crate::desired::{Desired, surroundings};
use crate::events::Event;
use crate::hosts::Hosts;
use crate::library::Library;
use crate::placement::{views, wish};
use crate::quarantine::{GoneHosts, hold_back, quarantines};
use crate::records::{APPS, CONTROLLER, DEPLOYMENTS, Deployment, key, write};
use crate::table::{DesiredTable, NOT_MADE};
use crate::this_host::ThisHost;

/// How long what changes in a lattice of several hosts is waited for to come to rest.
const REST: Duration = Duration::from_millis(20);

/// The interval between searches for claims of applications that are gone.
const SWEEP: Duration = Duration::from_secs(60);

/// Tries to become the controller, and is it as long as the lease can be renewed.
pub(crate) async fn run(
    this: Arc<ThisHost>,
    mut table: watch::Receiver<Arc<DesiredTable>>,
    stop: CancellationToken,
) {
    let mut hosts = this.peers.hosts();
    let mut ticks = interval(LEASE / 3);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut lease: Option<HeldLease> = None;
    let mut controller = Controller {
        this: this.clone(),
        decided: BTreeMap::new(),
        swept: Instant::now(),
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {
                let renewed = hold(&this, lease).await;
                if renewed.is_some() && lease.is_none() {
                    controller.decided.clear();
                    this.tell(Event::Controls);
                }
                lease = renewed;
            }
            changed = table.changed() => if changed.is_err() { break },
            changed = hosts.changed() => if changed.is_err() { break },
        }
        if lease.is_none() || !this.lattice.is_connected() {
            continue;
        }
        // Several changes mostly come together where there are several hosts. A lattice within one host is not waited for:
        // the rest would be half of a warm start.
        if this.lattice.is_shared() {
            tokio::time::sleep(REST).await;
        }
        // A host that stood still may have been woken by a change: another one decides since.
        if lease.is_some_and(|lease| Instant::now() >= lease.until) {
            continue;
        }
        let (table, hosts) = (
            table.borrow_and_update().clone(),
            hosts.borrow_and_update().clone(),
        );
        if let Err(error) = controller.decide(&table, &hosts).await {
            tracing::warn!("the lattice does not take what was decided: {error}");
        }
        controller.sweep(&table).await;
    }
    if lease.is_some_and(|lease| Instant::now() < lease.until) {
        // Another one need not wait until it runs out; if this fails, it does.
        _ = timeout(LEASE, this.lattice.delete_lease(CONTROLLER)).await;
    }
}

/// The lease of the one that decides, while this host has it.
#[derive(Clone, Copy)]
struct HeldLease {
    revision: u64,
    /// Until when no other host can have it.
    until: Instant,
}

/// Takes or renews the lease, if it is this host's.
async fn hold(this: &ThisHost, lease: Option<HeldLease>) -> Option<HeldLease> {
    let expect = lease.map_or(Expect::Absent, |lease| Expect::Revision(lease.revision));
    let value = this.id.clone().into();
    let until = Instant::now() + LEASE;
    match this.lattice.put_lease(CONTROLLER, value, expect).await {
        Ok(revision) => Some(HeldLease { revision, until }),
        Err(LatticeError::Conflict { .. }) => None,
        Err(error) => {
            tracing::debug!("the controller's lease: {error}");
            None
        }
    }
}

struct Controller {
    this: Arc<ThisHost>,
    /// The deployments written last, with the revisions of their entries. They may not have come back through the watch
    /// yet.
    decided: BTreeMap<String, (Deployment, u64)>,
    /// When it was looked last for what was claimed for applications that are gone.
    swept: Instant,
}

impl Controller {
    /// Forgets now and then what was claimed for applications that are gone. Not when they go: their hosts claim until they
    /// have heard of it.
    async fn sweep(&mut self, table: &DesiredTable) {
        if !table.synced || self.swept.elapsed() < SWEEP {
            return;
        }
        self.swept = Instant::now();
        let is_there = |name: &str| {
            self.decided.contains_key(name)
                || table.deployments.contains_key(name)
                || table.desired.contains_key(name)
                || table.lost_deployments.contains_key(name)
                || table.lost_desired.contains_key(name)
        };
        if let Err(error) = claims::forget_unless(&*self.this.lattice, is_there).await {
            tracing::warn!(
                "the lattice keeps what was claimed for applications that are gone, which is tried again: {error}"
            );
        }
    }

    async fn decide(&mut self, table: &DesiredTable, hosts: &Hosts) -> Result<(), LatticeError> {
        // Before anything is known of the hosts nothing can be said.
        if !table.synced || !hosts.contains_key(&self.this.id) {
            return Ok(());
        }
        for (name, deployment) in &table.deployments {
            let is_wanted = table.desired.contains_key(name);
            if !is_wanted && !table.lost_desired.contains_key(name) {
                let expect = Expect::Revision(deployment.1);
                self.this
                    .lattice
                    .delete(&key(DEPLOYMENTS, name), expect)
                    .await?;
                self.decided.remove(name);
            }
        }
        let around = surroundings(&*self.this.lattice);
        let decided = self.decided.values().map(|(_, revision)| *revision);
        let newest = decided.max().unwrap_or_default().max(table.newest());
        for (name, desired) in &table.desired {
            // Of what was removed or lost nothing is there that could be compared with, or replaced.
            let lost = table.lost_deployments.get(name);
            let is_removed = table.removed.contains(name) || lost.is_some();
            if is_removed {
                self.decided.remove(name);
            }
            if lost.is_some() && !self.is_there(name, desired.revision).await? {
                // The application is lost, too, and the news of that is on its way here.
                continue;
            }
            let known = table
                .deployments
                .get(name)
                .map(|(d, revision)| (&**d, *revision));
            let decided = self.decided.get(name).map(|(d, revision)| (d, *revision));
            let current = [known, decided]
                .into_iter()
                .flatten()
                .max_by_key(|(_, r)| *r);
            // Somebody who has slept may have put an older one since, which no host follows.
            let followed = hosts.values().filter_map(|host| host.apps.get(name));
            // No deployment has had such a number: it was forged, or is of a lattice that has lost its data.
            let followed = followed.filter(|app| app.number <= newest);
            let highest = (known.iter().chain(&decided))
                .map(|(d, _)| d.number)
                .chain(followed.map(|app| app.number))
                .max();
            let next = Deployment {
                number: number(desired.revision, highest),
                ..deployment(
                    desired,
                    &self.this.library,
                    // Parts stay where they run.
                    (current.map(|(current, _)| current)).or(lost.map(|(lost, _)| &**lost)),
                    hosts,
                    &self.this.gone(),
                    around,
                )
            };
            let is_made = |d: &Deployment| d.number != NOT_MADE && Some(d.number) == highest;
            if current.is_some_and(|(d, _)| is_made(d) && is_same(d, &next)) {
                continue;
            }
            let expect = match current {
                Some((_, revision)) if !is_removed => Expect::Revision(revision),
                _ => Expect::Absent,
            };
            let key = key(DEPLOYMENTS, name);
            let value = match write(&next) {
                Ok(value) => value,
                Err(error) => {
                    tracing::error!(application = name, "it cannot be deployed: {error}");
                    continue;
                }
            };
            let value = self.this.seal(&key, &value);
            match self.this.lattice.put(&key, value, expect).await {
                Ok(revision) => {
                    self.this.tell(Event::Deployed {
                        application: name.clone(),
                        number: next.number,
                        unplaced: next.unplaced.clone(),
                    });
                    self.decided.insert(name.clone(), (next, revision));
                }
                // The newer entry is on its way here; the watch then triggers another decision.
                Err(LatticeError::Conflict { .. }) => drop(self.decided.remove(name)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the lattice has this revision of an application.
    async fn is_there(&self, application: &str, revision: u64) -> Result<bool, LatticeError> {
        let entry = self.this.lattice.get(&key(APPS, application)).await?;
        Ok(entry.is_some_and(|entry| entry.revision == revision))
    }
}

fn is_same(one: &Deployment, other: &Deployment) -> bool {
    let same_place = one.revision == other.revision && one.hosts == other.hosts;
    same_place && one.unplaced == other.unplaced && one.quarantine == other.quarantine
}

/// The number of the next deployment. Of one that was removed nothing is left to count on from; but the
/// revision of what was put since is greater than all numbers before it, for each of those was in an entry of a
/// revision at least as great.
fn number(revision: u64, highest: Option<u64>) -> u64 {
    highest.map_or(revision, |highest| revision.max(highest.saturating_add(1)))
}

/// The deployment that follows for one application; the caller sets its number.
fn deployment(
    desired: &Desired,
    library: &Library,
    current: Option<&Deployment>,
    hosts: &Hosts,
    gone: &GoneHosts,
    around: Surroundings,
) -> Deployment {
    let name = &desired.record.name;
    let declared = desired.declared(library);
    let mut unplaced: Vec<_> = declared.problems.iter().map(ToString::to_string).collect();
    let application = declared.application.as_ref();
    let wish = application.map(|application| wish(application, around));
    let wish = wish.unwrap_or_default();
    let none = withe_planner::Assignment::new();
    let before = current.map_or(&none, |current| &current.hosts);
    let mut placed = place(&wish, &views(hosts, name), before);
    let now = millis();
    let quarantine = quarantines(name, current, desired.revision, hosts, gone, now);
    let held_back = hold_back(&mut placed.assignment, before, &quarantine, now);
    let alive: BTreeSet<String> = hosts.keys().cloned().collect();
    // Asked for every part of every host, so a search through what a host runs would be quadratic.
    let running: HashSet<(&str, &str)> = (hosts.values())
        .filter_map(|host| Some((host, host.apps.get(name)?)))
        .flat_map(|(host, app)| app.parts.iter().map(|part| (&*part.name, &*host.id)))
        .collect();
    let is_ready = |part: &str, host: &str| running.contains(&(part, host));
    unplaced.extend(placed.unplaced.iter().map(ToString::to_string));
    unplaced.extend(held_back);
    let mut hosts_of = transition(before, &placed.assignment, &alive, is_ready);
    // A part that no host takes over does not keep a host that leaves.
    for (part, of) in &mut hosts_of {
        if placed.assignment.get(part).is_none_or(BTreeMap::is_empty) {
            of.retain(|id, _| hosts.get(id).is_some_and(|host| !host.leaving));
        }
    }
    Deployment {
        number: 0,
        revision: desired.revision,
        hosts: hosts_of,
        unplaced,
        quarantine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_also_when_nothing_is_left_of_those_before() {
        assert_eq!(number(1, None), 1);
        assert_eq!(number(1, Some(1)), 2);
        assert_eq!(number(1, Some(7)), 8);
        // The application was put again at revision 12: all deployments before it had revisions below.
        assert_eq!(number(12, None), 12);
        assert_eq!(number(12, Some(7)), 12);
        assert_eq!(number(12, Some(u64::MAX)), u64::MAX);
    }
}
