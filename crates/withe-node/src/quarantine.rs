//! Parts that seem to have killed their hosts are not handed to the next one at once.
//!
//! Nobody knows why a host died. But a part that was just being made there, or had just begun to run, is the likeliest
//! cause, and would kill each host in turn as it is handed on. So such a part waits before another host is to begin it,
//! after each death for longer; hosts that run it go on. The first death of a host that *ran* it costs nothing:
//! machines fail, and then the part is to be elsewhere soon. Quarantine for good was rejected for the same reason. Putting
//! the application anew ends it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use withe_lattice::LEASE;

use crate::hosts::Hosts;
use crate::records::{Deployment, HostDeath, HostRecord, Quarantine, RunningApp};

/// How long a part counts as one that has just begun. Others hear that a host is gone when its lease ends.
const YOUNG: Duration = LEASE.saturating_add(Duration::from_secs(10));
/// How long a part waits after the first death.
const FIRST: Duration = Duration::from_secs(10);
/// How many times longer after each further death.
const FACTOR: u32 = 4;
/// The longest wait.
const MOST: Duration = Duration::from_secs(3_600);
/// How many hosts that are gone are remembered.
const REMEMBERED: usize = 256;

impl Quarantine {
    /// Counts a death, and waits accordingly from `now` on.
    fn count(&mut self, death: HostDeath, now: u64) {
        self.deaths.push(death);
        let ran = self.deaths.iter().filter(|death| death.ran).count();
        let counted = self.deaths.len() - ran.min(1);
        let Some(further) = counted.checked_sub(1) else {
            return;
        };
        let further = u32::try_from(further).unwrap_or(u32::MAX);
        let wait = FIRST
            .saturating_mul(FACTOR.saturating_pow(further))
            .min(MOST);
        self.until = now.saturating_add(millis(wait));
    }

    /// Whether no further host is to begin the part.
    fn holds(&self, now: u64) -> bool {
        // One that is further away than any is of a controller with another clock.
        now < self.until && self.until <= now.saturating_add(millis(MOST))
    }

    /// Why the part waits, without how long: this is compared to know whether anything has changed.
    fn explained(&self, part: &str) -> String {
        let names: Vec<_> = (self.deaths.iter())
            .map(|death| format!("`{}`", death.name))
            .collect();
        let (hosts, verb) = match names.len() {
            1 => ("host", "was"),
            _ => ("hosts", "were"),
        };
        format!(
            "`{part}` is in quarantine: the {hosts} {} {verb} gone while making it or soon after, so it is not handed to \
             another at once; put the application anew (`withe up`) to try at once",
            names.join(", ")
        )
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The parts in quarantine that follow for the application `name`: those of the deployment `before`, if that was for the same
/// revision, with what has happened since.
pub(crate) fn quarantines(
    name: &str,
    before: Option<&Deployment>,
    revision: u64,
    hosts: &Hosts,
    gone: &GoneHosts,
    now: u64,
) -> BTreeMap<String, Quarantine> {
    let Some(before) = before.filter(|before| before.revision == revision) else {
        return BTreeMap::new();
    };
    let mut all = before.quarantine.clone();
    for (part, shares) in &before.hosts {
        for id in shares.keys().filter(|id| !hosts.contains_key(*id)) {
            let Some(ran) = gone.blames(id, name, part) else {
                continue;
            };
            let quarantine = all.entry(part.clone()).or_default();
            if quarantine.deaths.iter().all(|death| death.id != *id) {
                let name = gone.name(id);
                let id = id.clone();
                quarantine.count(HostDeath { id, name, ran }, now);
            }
        }
    }
    for quarantine in all.values_mut() {
        // A host that is there again was cut off, and had not died.
        let there = |death: &HostDeath| hosts.contains_key(&death.id);
        if quarantine.deaths.iter().any(there) {
            quarantine.deaths.retain(|death| !there(death));
            quarantine.until = 0;
        }
    }
    all.retain(|_, quarantine| !quarantine.deaths.is_empty());
    all
}

/// Takes from `assignment` the hosts that are to begin a part in quarantine; returns why for each part that loses any.
pub(crate) fn hold_back(
    assignment: &mut withe_planner::Assignment,
    before: &withe_planner::Assignment,
    quarantines: &BTreeMap<String, Quarantine>,
    now: u64,
) -> Vec<String> {
    let mut why = Vec::new();
    for (part, quarantine) in quarantines.iter().filter(|(_, q)| q.holds(now)) {
        let Some(shares) = assignment.get_mut(part) else {
            continue;
        };
        let had = before.get(part);
        let many = shares.len();
        shares.retain(|id, _| had.is_some_and(|had| had.contains_key(id)));
        if shares.len() < many {
            why.push(quarantine.explained(part));
        }
    }
    why
}

/// The hosts that went without saying so, and what had just begun there.
#[derive(Default)]
pub(crate) struct GoneHosts {
    /// Since when each part of each application runs, on the hosts that there are.
    since: HashMap<String, HashMap<(String, String), Instant>>,
    gone: Vec<GoneHost>,
}

struct GoneHost {
    record: Arc<HostRecord>,
    /// The parts, with their applications, that had just begun.
    young: BTreeSet<(String, String)>,
}

impl GoneHosts {
    /// Takes note of what a host tells.
    pub(crate) fn tells(&mut self, record: &HostRecord, now: Instant) {
        self.gone.retain(|gone| gone.record.id != record.id);
        let before = self.since.remove(&record.id).unwrap_or_default();
        let parts = (record.apps.iter()).flat_map(|(app, running)| {
            running
                .parts
                .iter()
                .map(|part| (app.clone(), part.name.clone()))
        });
        let since = parts.map(|part| {
            let since = before.get(&part).copied().unwrap_or(now);
            (part, since)
        });
        self.since.insert(record.id.clone(), since.collect());
    }

    /// Takes note that a host is there no more.
    pub(crate) fn is_gone(&mut self, record: Arc<HostRecord>, now: Instant) {
        let since = self.since.remove(&record.id).unwrap_or_default();
        if record.leaving {
            return;
        }
        let young = (since.into_iter())
            .filter(|(_, since)| now.saturating_duration_since(*since) < YOUNG)
            .map(|(part, _)| part)
            .collect();
        if self.gone.len() >= REMEMBERED {
            self.gone.remove(0);
        }
        self.gone.push(GoneHost { record, young });
    }

    fn host(&self, id: &str) -> Option<&GoneHost> {
        self.gone.iter().find(|gone| gone.record.id == id)
    }

    fn name(&self, id: &str) -> String {
        self.host(id)
            .map_or_else(|| id.to_owned(), |gone| gone.record.name.clone())
    }

    /// Whether the part of an application that was to be on a host may have killed it; if so, whether it ran there.
    fn blames(&self, id: &str, application: &str, part: &str) -> Option<bool> {
        let gone = self.host(id)?;
        if gone
            .young
            .contains(&(application.to_owned(), part.to_owned()))
        {
            return Some(true);
        }
        let failed = |app: &RunningApp| app.failure.is_some();
        let is_made = !gone.record.runs(application, part)
            && !gone.record.apps.get(application).is_some_and(failed);
        is_made.then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use withe_planner::Share;

    use super::*;
    use crate::records::RunningPart;

    fn host(id: &str, parts: &[&str]) -> Arc<HostRecord> {
        let part = |name: &&str| RunningPart {
            name: (*name).into(),
            id: String::new(),
            kind: "component".into(),
            digest: String::new(),
            instances: None,
        };
        let app = RunningApp {
            parts: parts.iter().map(part).collect(),
            ..RunningApp::default()
        };
        Arc::new(HostRecord {
            id: id.into(),
            name: id.to_uppercase(),
            version: String::new(),
            machine: String::new(),
            labels: BTreeMap::new(),
            fingerprint: String::new(),
            tcp: None,
            unix: None,
            nats: false,
            started: 0,
            signed_only: false,
            leaving: false,
            apps: [("app".to_owned(), app)].into(),
        })
    }

    fn deployment(hosts: &[&str]) -> Deployment {
        let shares = hosts.iter().map(|id| ((*id).to_owned(), Share::default()));
        Deployment {
            revision: 7,
            hosts: [("part".to_owned(), shares.collect())].into(),
            ..Deployment::default()
        }
    }

    /// The memory of a host with these parts that is gone, `after` it told of them.
    fn gone(record: Arc<HostRecord>, after: Duration) -> GoneHosts {
        let mut gone = GoneHosts::default();
        let then = Instant::now();
        gone.tells(&record, then);
        gone.is_gone(record, then + after);
        gone
    }

    #[test]
    fn what_was_being_made_waits_after_one_death_and_longer_after_each() {
        let mut before = deployment(&["a"]);
        let mut now = 1_000_000;
        let none = Hosts::new();
        for (id, wait) in [
            ("a", 10),
            ("b", 40),
            ("c", 160),
            ("d", 640),
            ("e", 2_560),
            ("f", 3_600),
        ] {
            before.hosts = deployment(&[id]).hosts;
            let gone = gone(host(id, &[]), Duration::ZERO);
            let next = quarantines("app", Some(&before), 7, &none, &gone, now);
            assert_eq!(next["part"].until, now + wait * 1_000, "{id}");
            // Deciding again counts nothing twice.
            before.quarantine = next;
            let again = quarantines("app", Some(&before), 7, &none, &gone, now + 5);
            assert_eq!(again, before.quarantine);
            now += wait * 1_000;
        }
        // An application that is put anew has a chance at once.
        let anew = quarantines("app", Some(&before), 8, &none, &GoneHosts::default(), now);
        assert_eq!(anew, BTreeMap::new());
    }

    #[test]
    fn what_ran_is_handed_on_once() {
        let none = Hosts::new();
        let mut before = deployment(&["a"]);
        let first = gone(host("a", &["part"]), Duration::from_secs(1));
        before.quarantine = quarantines("app", Some(&before), 7, &none, &first, 1_000);
        assert!(!before.quarantine["part"].holds(1_000));
        before.hosts = deployment(&["b"]).hosts;
        let second = gone(host("b", &["part"]), Duration::from_secs(1));
        let next = quarantines("app", Some(&before), 7, &none, &second, 1_000);
        assert_eq!(next["part"].until, 11_000);
        let said = next["part"].explained("part");
        assert!(said.contains("the hosts `A`, `B` were gone"), "{said}");
    }

    #[test]
    fn what_ran_for_long_and_what_had_failed_is_not_blamed() {
        let none = Hosts::new();
        let before = deployment(&["a"]);
        let mut failed = (*host("a", &[])).clone();
        for app in failed.apps.values_mut() {
            app.failure = Some("no".into());
        }
        let mut left = (*host("a", &[])).clone();
        left.leaving = true;
        for (record, after) in [
            (host("a", &["part"]), YOUNG),
            (Arc::new(failed), Duration::ZERO),
            (Arc::new(left), Duration::ZERO),
        ] {
            let gone = gone(record, after);
            let next = quarantines("app", Some(&before), 7, &none, &gone, 1_000);
            assert_eq!(next, BTreeMap::new());
        }
    }

    #[test]
    fn a_host_that_comes_back_had_not_died() {
        let mut before = deployment(&["a"]);
        let record = host("a", &[]);
        let mut gone = gone(record.clone(), Duration::ZERO);
        before.quarantine = quarantines("app", Some(&before), 7, &Hosts::new(), &gone, 1_000);
        assert!(before.quarantine["part"].holds(1_000));
        gone.tells(&record, Instant::now());
        let there = [("a".to_owned(), record)].into();
        let next = quarantines("app", Some(&before), 7, &there, &gone, 1_001);
        assert_eq!(next, BTreeMap::new());
    }

    #[test]
    fn only_hosts_that_do_not_have_it_are_held_back() {
        let before = deployment(&["a", "b"]).hosts;
        let mut assignment = deployment(&["b", "c"]).hosts;
        let quarantine = Quarantine {
            deaths: vec![HostDeath {
                id: "a".into(),
                name: "A".into(),
                ran: false,
            }],
            until: 2_000,
        };
        let all = [("part".to_owned(), quarantine)].into();
        let mut later = assignment.clone();
        let why = hold_back(&mut assignment, &before, &all, 1_999);
        assert_eq!(why.len(), 1);
        assert_eq!(assignment, deployment(&["b"]).hosts);
        assert_eq!(
            hold_back(&mut later, &before, &all, 2_000),
            Vec::<String>::new()
        );
        assert_eq!(later, deployment(&["b", "c"]).hosts);
        // A clock that is an age ahead does not hold it for an age.
        let far = u64::MAX - 1;
        let mut all = all;
        all.get_mut("part").unwrap().until = far;
        assert_eq!(
            hold_back(&mut later, &before, &all, 0),
            Vec::<String>::new()
        );
    }
}
