//! What the tasks of a host on a lattice have in common: what the host is, what it tells of itself, and the ways to
//! all else.

use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use withe_host::Host;
use withe_lattice::SharedLattice;
use withe_load::Registry;

use crate::events::Event;
use crate::library::Library;
use crate::peers::Peers;
use crate::policy::AdmissionPolicy;
use crate::programs::Programs;
use crate::records::{HostRecord, RunningApp};
use crate::served::Applications;

/// How long others may take to hear of what this host tells.
pub(crate) const HEARD: Duration = Duration::from_millis(250);

/// What the tasks of a node have in common.
pub(crate) struct ThisHost {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) lattice: SharedLattice,
    pub(crate) registry: Registry,
    pub(crate) host: Host,
    pub(crate) peers: Arc<Peers>,
    pub(crate) applications: Applications,
    pub(crate) programs: Programs,
    pub(crate) policy: AdmissionPolicy,
    pub(crate) library: Library,
    /// By which components here are reached from wasmCloud v1, if they are.
    pub(crate) wasmcloud: Option<withe_wasmcloud::V1Wire>,
    /// What this host tells of itself.
    pub(crate) record: Mutex<HostRecord>,
    /// Changes with the record.
    pub(crate) changed: watch::Sender<u64>,
    /// How far the others can have heard.
    pub(crate) told: watch::Sender<u64>,
    pub(crate) events: mpsc::Sender<Event>,
}

impl ThisHost {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HostRecord> {
        // Nothing panics while the lock is held.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what happened, if anybody can hear it.
    pub(crate) fn tell(&self, event: Event) {
        tracing::debug!(?event);
        // A lattice that takes no events for so long has other worries.
        _ = self.events.try_send(event);
    }

    /// Tells of something in the lattice that was put there by nobody who may, and is ignored.
    pub(crate) fn ignore(&self, application: &str, why: String) {
        tracing::warn!(application, "ignored: {why}");
        self.tell(Event::Ignored {
            application: application.to_owned(),
            why,
        });
    }

    /// Tells what this host runs of an application now.
    pub(crate) fn report(&self, application: &str, app: Option<RunningApp>) {
        let is_new = {
            let mut record = self.lock();
            match app {
                Some(app) if record.apps.get(application) == Some(&app) => false,
                Some(app) => {
                    record.apps.insert(application.to_owned(), app);
                    true
                }
                None => record.apps.remove(application).is_some(),
            }
        };
        if is_new {
            self.changed.send_modify(|n| *n += 1);
        }
    }

    pub(crate) fn reported(&self, application: &str) -> Option<RunningApp> {
        self.lock().apps.get(application).cloned()
    }

    /// Waits until the others can have heard what was reported.
    pub(crate) async fn settle(&self) {
        let now = *self.changed.borrow();
        let mut told = self.told.subscribe();
        let heard = async { drop(told.wait_for(|told| *told >= now).await) };
        _ = timeout(HEARD, heard).await;
        self.settle_for(HEARD).await;
    }

    pub(crate) async fn settle_for(&self, time: Duration) {
        if self.has_others() {
            sleep(time).await;
        }
    }

    /// Whether there are other hosts.
    pub(crate) fn has_others(&self) -> bool {
        self.peers.hosts().borrow().len() > 1
    }
}

/// Milliseconds since 1970.
pub(crate) fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
