//! What is desired and decided on the lattice, as it was heard last.

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

/// What is desired and decided, by the application's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct DesiredTable {
    pub(crate) desired: BTreeMap<String, Arc<Desired>>,
    /// With the revisions of their entries.
    pub(crate) deployments: BTreeMap<String, (Arc<Deployment>, u64)>,
    /// The applications whose deployments somebody has removed who may not.
    pub(crate) removed: BTreeSet<String>,
    /// Whether all that there was has been heard.
    pub(crate) synced: bool,
}

impl DesiredTable {
    /// Takes note of a change of an application, by this deployer if it is known which.
    pub(crate) fn application(&mut self, change: Change, deployer: Option<String>) {
        match change {
            Change::Put(entry) => {
                if let Some(mut desired) = Desired::of(&entry) {
                    let name = desired.record.name.clone();
                    desired.deployer = deployer;
                    self.desired.insert(name, Arc::new(desired));
                } else if is_removed(&entry) {
                    self.desired.remove(&name_of(APPS, &entry.key));
                }
            }
            Change::Gone { key } => {
                self.desired.remove(&name_of(APPS, &key));
            }
            Change::Synced => {}
        }
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
            Change::Synced => {}
        }
        Ok(())
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
            Change::Synced => {}
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
