//! The desired applications and deployments of the lattice, as heard last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use withe_lattice::{Change, Entry};

use crate::desired::Desired;
use crate::records::{APPS, AppRecord, DEPLOYMENTS, Deployment, name_of, read};

/// The number of a deployment that no controller made.
pub(crate) const NOT_MADE: u64 = 0;

/// A deployment has a number that no controller can have given it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the deployment of `{application}` says that it is number {number}, which no controller can have made by \
     revision {revision}"
)]
pub(crate) struct ForgedNumber {
    pub(crate) application: String,
    number: u64,
    revision: u64,
}

/// The desired applications and deployments, by the application's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct DesiredTable {
    pub(crate) desired: BTreeMap<String, Arc<Desired>>,
    /// With the revisions of their entries.
    pub(crate) deployments: BTreeMap<String, (Arc<Deployment>, u64)>,
    /// The applications whose deployments somebody has removed who may not.
    pub(crate) removed: BTreeSet<String>,
    /// Applications that the lattice has lost: nobody has removed them, so they go on where they run.
    pub(crate) lost_desired: BTreeMap<String, Arc<Desired>>,
    /// Deployments that the lattice has lost.
    pub(crate) lost_deployments: BTreeMap<String, (Arc<Deployment>, u64)>,
    /// Whether all that there was has been heard.
    pub(crate) synced: bool,
}

/// An application as the lattice has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) desired: Option<Arc<Desired>>,
    /// With the revision of its entry.
    pub(crate) deployment: Option<(Arc<Deployment>, u64)>,
    /// Whether the lattice has lost what it said of it.
    pub(crate) is_lost: bool,
}

impl Wanted {
    /// Becomes `other`; false if it is the same.
    pub(crate) fn replace_if_other(&mut self, other: Self) -> bool {
        let is_same_put = match (&self.desired, &other.desired) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one.is_same_put(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let is_same = (&self.deployment, self.is_lost) == (&other.deployment, other.is_lost);
        if is_same_put && is_same {
            return false;
        }
        *self = other;
        true
    }
}

impl DesiredTable {
    /// Takes note of a change of an application, by this deployer if one is known.
    pub(crate) fn application(&mut self, change: Change, deployer: Option<String>) {
        match change {
            Change::Put(entry) => {
                if let Some(mut desired) = Desired::of(&entry) {
                    let name = desired.record.name.clone();
                    desired.deployer = deployer;
                    self.lost_desired.remove(&name);
                    self.desired.insert(name, Arc::new(desired));
                } else if is_removed(&entry) {
                    self.remove(&name_of(APPS, &entry.key));
                }
            }
            Change::Gone { key } => self.remove(&name_of(APPS, &key)),
            Change::Lost { key } => {
                let name = name_of(APPS, &key);
                if let Some(desired) = self.desired.remove(&name) {
                    self.lost_desired.insert(name, desired);
                }
            }
            Change::Synced => {}
        }
    }

    fn remove(&mut self, application: &str) {
        self.desired.remove(application);
        self.lost_desired.remove(application);
        self.lost_deployments.remove(application);
    }

    /// Takes note of a change of a deployment.
    ///
    /// # Errors
    ///
    /// If no controller can have made it. Of what was known before all but the number stands, which is [`NOT_MADE`]:
    /// hosts follow it as little as any older one, and the controller puts it right.
    pub(crate) fn deployment(&mut self, change: Change) -> Result<(), ForgedNumber> {
        match change {
            Change::Put(entry) => {
                if let Some(mut deployment) = read::<Deployment>(&entry) {
                    let name = name_of(DEPLOYMENTS, &entry.key);
                    self.removed.remove(&name);
                    self.lost_deployments.remove(&name);
                    let number = deployment.number;
                    // A controller counts on from numbers and revisions of entries that were there before.
                    let is_forged = number > entry.revision;
                    if is_forged {
                        deployment = self.not_made(&name);
                    }
                    self.deployments
                        .insert(name.clone(), (Arc::new(deployment), entry.revision));
                    if is_forged {
                        return Err(ForgedNumber {
                            application: name,
                            number,
                            revision: entry.revision,
                        });
                    }
                }
            }
            Change::Gone { key } => {
                self.deployments.remove(&name_of(DEPLOYMENTS, &key));
            }
            Change::Lost { key } => {
                let name = name_of(DEPLOYMENTS, &key);
                self.removed.remove(&name);
                if let Some(deployment) = self.deployments.remove(&name) {
                    self.lost_deployments.insert(name, deployment);
                }
            }
            Change::Synced => {}
        }
        Ok(())
    }

    /// The wish for an application. One that the lattice has lost is wanted until somebody says otherwise.
    pub(crate) fn wanted(&self, name: &str) -> Wanted {
        let (desired, deployment) = (self.desired.get(name), self.deployments.get(name));
        let (lost_desired, lost_deployment) =
            (self.lost_desired.get(name), self.lost_deployments.get(name));
        let is_lost = lost_desired.is_some() || (deployment.is_none() && lost_deployment.is_some());
        // A lost deployment says nothing of an application that was put since.
        let lost_deployment = lost_deployment.filter(|_| desired.is_none());
        Wanted {
            desired: desired.or(lost_desired).cloned(),
            deployment: deployment.or(lost_deployment).cloned(),
            is_lost,
        }
    }

    /// Takes note of a change of a deployment that nobody who may has made. As with a forged number, what was known
    /// before stands, and the controller puts it right.
    pub(crate) fn unvouched_deployment(&mut self, change: &Change) {
        match change {
            Change::Put(entry) => {
                let name = name_of(DEPLOYMENTS, &entry.key);
                let deployment = Arc::new(self.not_made(&name));
                self.deployments.insert(name, (deployment, entry.revision));
            }
            Change::Gone { key } => {
                let name = name_of(DEPLOYMENTS, key);
                let deployment = self.not_made(&name);
                if let Some((known, _)) = self.deployments.get_mut(&name) {
                    *known = Arc::new(deployment);
                    self.removed.insert(name);
                }
            }
            Change::Lost { .. } | Change::Synced => {}
        }
    }

    /// The deployment of an application that is known, with a number that no controller gives.
    fn not_made(&self, name: &str) -> Deployment {
        let before = self.deployments.get(name).map(|(d, _)| (**d).clone());
        Deployment {
            number: NOT_MADE,
            ..before.unwrap_or_default()
        }
    }

    /// The newest revision of an entry that was seen: numbers beyond it are nobody's.
    pub(crate) fn newest(&self) -> u64 {
        let desired = self.desired.values().map(|desired| desired.revision);
        let deployed = self.deployments.values().map(|(_, revision)| *revision);
        desired.chain(deployed).max().unwrap_or_default()
    }
}

/// Whether an entry says that its application was removed.
fn is_removed(entry: &Entry) -> bool {
    read::<Option<AppRecord>>(entry).is_some_and(|record| record.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(number: u64, revision: u64) -> Change {
        let deployment = Deployment {
            number,
            revision: 1,
            unplaced: vec![number.to_string()],
            ..Deployment::default()
        };
        Change::Put(Entry {
            key: "deployments.a".into(),
            value: crate::records::write(&deployment).unwrap(),
            revision,
        })
    }

    fn app(revision: u64) -> Change {
        let record = AppRecord {
            name: "a".into(),
            manifest: String::new(),
            file: String::new(),
            folder: String::new(),
            images: BTreeMap::new(),
            programs: BTreeMap::new(),
            binding: None,
            scope: None,
            missing: None,
            apart: false,
            changes: Vec::new(),
            sealed: None,
        };
        Change::Put(Entry {
            key: "apps.a".into(),
            value: crate::records::write(&record).unwrap(),
            revision,
        })
    }

    #[test]
    fn what_the_lattice_has_lost_is_wanted_until_somebody_says_otherwise() {
        let mut table = DesiredTable::default();
        let lose = |table: &mut DesiredTable| {
            let lost = |key: &str| Change::Lost { key: key.into() };
            table.application(lost("apps.a"), None);
            table.deployment(lost("deployments.a")).unwrap();
        };
        table.application(app(7), None);
        table.deployment(put(7, 8)).unwrap();
        assert!(!table.wanted("a").is_lost);
        lose(&mut table);
        // Told again with each connection.
        lose(&mut table);
        let wanted = table.wanted("a");
        assert!(wanted.is_lost && wanted.desired.is_some() && wanted.deployment.is_some());
        assert!(table.desired.is_empty() && table.deployments.is_empty());
        assert_eq!(table.newest(), 0);
        // Put again, and not decided yet.
        table.application(app(1), None);
        let wanted = table.wanted("a");
        assert!(wanted.is_lost && wanted.deployment.is_none());
        table.deployment(put(1, 2)).unwrap();
        assert!(!table.wanted("a").is_lost);
        lose(&mut table);
        let key = "apps.a".to_owned();
        table.application(Change::Gone { key }, None);
        let wanted = table.wanted("a");
        assert!(!wanted.is_lost && wanted.desired.is_none() && wanted.deployment.is_none());
    }

    #[test]
    fn numbers_that_no_controller_can_have_made_are_nobodys() {
        let mut table = DesiredTable::default();
        table.deployment(put(7, 7)).unwrap();
        for number in [9, u64::MAX] {
            let error = table.deployment(put(number, 8)).unwrap_err();
            assert_eq!((error.number, error.revision), (number, 8));
            let (deployment, revision) = &table.deployments["a"];
            assert_eq!((deployment.number, *revision), (NOT_MADE, 8));
            assert_eq!(deployment.unplaced, ["7"]);
        }
        table.deployment(put(8, 9)).unwrap();
        assert_eq!(table.deployments["a"].0.number, 8);
        assert_eq!(table.newest(), 9);
    }
}
