//! What is desired and decided on the lattice, as it was heard last.

use std::collections::BTreeMap;
use std::sync::Arc;

use withe_lattice::Change;

use crate::desired::Desired;
use crate::records::{APPS, DEPLOYMENTS, Deployment, name_of, read};

/// What is desired and decided, by the application's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct DesiredTable {
    pub(crate) desired: BTreeMap<String, Arc<Desired>>,
    /// With the revisions of their entries.
    pub(crate) deployments: BTreeMap<String, (Arc<Deployment>, u64)>,
    /// Whether all that there was has been heard.
    pub(crate) synced: bool,
}

impl DesiredTable {
    /// Takes note of a change of an application.
    pub(crate) fn application(&mut self, change: Change) {
        match change {
            Change::Put(entry) => {
                if let Some(desired) = Desired::of(&entry) {
                    let name = desired.record.name.clone();
                    self.desired.insert(name, Arc::new(desired));
                }
            }
            Change::Gone { key } => {
                self.desired.remove(&name_of(APPS, &key));
            }
            Change::Synced => {}
        }
    }

    /// Takes note of a change of a deployment.
    pub(crate) fn deployment(&mut self, change: Change) {
        match change {
            Change::Put(entry) => {
                if let Some(deployment) = read::<Deployment>(&entry) {
                    let name = name_of(DEPLOYMENTS, &entry.key);
                    self.deployments
                        .insert(name, (Arc::new(deployment), entry.revision));
                }
            }
            Change::Gone { key } => {
                self.deployments.remove(&name_of(DEPLOYMENTS, &key));
            }
            Change::Synced => {}
        }
    }
}
