//! Looks at all that is put in the lattice, and notes what must not be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use withe_lattice::{Change, Lattice as _, Watch};

use super::lattice::{Generation, Store};
use crate::records::{DEPLOYMENTS, Deployment, HOSTS, HostRecord, read};

/// The violations found so far.
#[derive(Clone, Default)]
pub(super) struct Wrong(Arc<Mutex<Vec<String>>>);

impl Wrong {
    pub(super) fn all(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, what: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(what);
    }
}

/// Observes the store for ever.
pub(super) async fn observe(store: Arc<Store>, wrong: Wrong) {
    let mut kept = store.kept();
    loop {
        let generation = kept.borrow_and_update().clone();
        tokio::select! {
            () = observe_generation(&generation, &wrong) => {}
            changed = async { kept.wait_for(|now| now.number != generation.number).await.map(drop) } => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

async fn observe_generation(generation: &Generation, wrong: &Wrong) {
    // After a loss hosts count on from older numbers, and revisions say nothing about these any
    // more.
    if generation.number > 0 {
        return std::future::pending().await;
    }
    let watched = async {
        let deployments = generation.lattice.watch(DEPLOYMENTS).await?;
        let hosts = generation.lattice.watch_leases(HOSTS).await?;
        Ok::<_, withe_lattice::LatticeError>((deployments, hosts))
    };
    let (deployments, hosts) = watched.await.unwrap();
    tokio::join!(
        observe_deployments(deployments, wrong),
        observe_hosts(hosts, wrong),
    );
}

async fn observe_deployments(mut watch: Watch, wrong: &Wrong) {
    let mut numbers = BTreeMap::new();
    while let Some(change) = watch.recv().await {
        match change {
            Change::Put(entry) => {
                let deployment = read::<Deployment>(&entry).unwrap();
                let before = numbers.insert(entry.key.clone(), deployment.number);
                if before.is_some_and(|before| before >= deployment.number) {
                    let key = entry.key;
                    wrong.note(format!(
                        "`{key}` has the number {} after {before:?}",
                        deployment.number
                    ));
                }
            }
            Change::Gone { key } | Change::Lost { key } => drop(numbers.remove(&key)),
            Change::Synced => {}
        }
    }
}

async fn observe_hosts(mut watch: Watch, wrong: &Wrong) {
    let mut numbers: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    while let Some(change) = watch.recv().await {
        match change {
            Change::Put(entry) => {
                let host = read::<HostRecord>(&entry).unwrap();
                let now: BTreeMap<_, _> = (host.apps.iter())
                    .map(|(app, running)| (app.clone(), running.number))
                    .collect();
                let before = numbers.entry(entry.key).or_default();
                for (app, number) in &now {
                    let earlier = before.get(app).filter(|earlier| *earlier > number);
                    if let Some(earlier) = earlier {
                        wrong.note(format!(
                            "`{}` follows {number} of `{app}` after {earlier}",
                            host.name
                        ));
                    }
                }
                *before = now;
            }
            Change::Gone { key } | Change::Lost { key } => drop(numbers.remove(&key)),
            Change::Synced => {}
        }
    }
}
