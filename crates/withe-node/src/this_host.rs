//! The state that the tasks of a host on a lattice share: the host's identity, its record, and the ways to other
//! hosts.

use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use withe_host::Host;
use withe_lattice::{Change, SharedLattice};
use withe_load::Registry;
use withe_trust::{Certificate, MemberKey, Role, SealKey};

use crate::events::Event;
use crate::library::Library;
use crate::observation::Recent;
use crate::peers::Peers;
use crate::policy::AdmissionPolicy;
use crate::programs::Programs;
use crate::quarantine::GoneHosts;
use crate::records::{HostRecord, RunningApp};
use crate::served::Applications;
use crate::vouching::{Unvouched, Vouching};

/// How long others may take to hear of what this host tells.
pub(crate) const HEARD: Duration = Duration::from_millis(250);

/// The signer of an entry, if signatures are checked.
pub(crate) type Signer = Option<Certificate>;

/// A change is to be ignored, and was reported.
pub(crate) struct IgnoredChange;

/// The state that the tasks of a node share.
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
    pub(crate) vouching: Vouching,
    /// With which this host signs what it puts, if it has a key.
    pub(crate) key: Option<Arc<MemberKey>>,
    /// With which the secret values of records are sealed, if this host has that key.
    pub(crate) seal_key: Option<Arc<SealKey>>,
    pub(crate) library: Library,
    /// Lines and spans for those who look at this host, besides the counts.
    pub(crate) recent: Option<Recent>,
    /// The hosts that went without saying so.
    pub(crate) gone: Mutex<GoneHosts>,
    /// By which components here are reached from wasmCloud v1, if they are.
    pub(crate) wasmcloud: Option<withe_wasmcloud::V1Wire>,
    /// The record that this host announces.
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

    pub(crate) fn gone(&self) -> MutexGuard<'_, GoneHosts> {
        // Nothing panics while the lock is held.
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The signer of a change, if signatures are checked. One that nobody who may has made is reported.
    ///
    /// # Errors
    ///
    /// If the change is to be ignored.
    pub(crate) fn vouched(&self, change: &Change, role: Role) -> Result<Signer, IgnoredChange> {
        let (key, checked) = match change {
            Change::Put(entry) => (&entry.key, self.vouching.check(entry, role)),
            Change::Gone { key } if self.vouching.is_on() => (key, Err(Unvouched::Removed)),
            // Nobody has done that.
            Change::Gone { .. } | Change::Lost { .. } | Change::Synced => return Ok(None),
        };
        checked.map_err(|why| {
            self.ignore_record(key, &why);
            IgnoredChange
        })
    }

    /// Tells once of a record that nobody who may has put.
    pub(crate) fn ignore_record(&self, record: &str, why: &Unvouched) {
        let why = why.to_string();
        if self.vouching.is_news(record, &why) {
            tracing::warn!(record, "ignored: {why}");
            let record = record.to_owned();
            self.tell(Event::Untrusted { record, why });
        }
    }

    /// A record as this host puts it.
    pub(crate) fn seal(&self, key: &str, record: &[u8]) -> Bytes {
        self.vouching.seal(self.key.as_deref(), key, record).into()
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
