//! What is done once on a lattice, though several hosts would do it: an entry for each such thing, which says up to which
//! moment it was claimed.
//!
//! Who changes the entry from an earlier moment to a later one has it, by its revision; a host whose clock is behind finds
//! that its moment is gone. One entry that is replaced was preferred to one for each moment: these would have to go again, and a lease
//! is gone before the clocks of all hosts have passed its moment.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use withe_host::{Claimed, Claims};
use withe_lattice::{Entry, Expect, Lattice, LatticeError, SharedLattice};
use withe_provider::CallError;

use crate::clock::millis;
use crate::records::{ONCE, key};

/// A moment that is so far ahead of this host's clock was claimed by one whose clock was wrong: nobody waits for it.
const AHEAD: u64 = 10 * 60 * 1000;

/// How often an entry is read that others change meanwhile.
const ATTEMPTS: usize = 10;

/// Claims by entries of a lattice.
struct LatticeClaims(SharedLattice);

/// What decides on a lattice; `None` if it has but one host.
pub(crate) fn of(lattice: &SharedLattice) -> Option<Arc<dyn Claims>> {
    lattice
        .is_shared()
        .then(|| Arc::new(LatticeClaims(lattice.clone())) as Arc<dyn Claims>)
}

#[async_trait::async_trait]
impl Claims for LatticeClaims {
    async fn claim(&self, claimed: &Claimed, moment: u64) -> Result<bool, CallError> {
        let key = entry(claimed);
        for _ in 0..ATTEMPTS {
            let now = self.0.get(&key).await.map_err(failed)?;
            let expect = now
                .as_ref()
                .map_or(Expect::Absent, |now| Expect::Revision(now.revision));
            if now.as_ref().and_then(last).is_some_and(|last| {
                moment <= last && last <= millis().max(moment).saturating_add(AHEAD)
            }) {
                return Ok(false);
            }
            let value = Bytes::from(moment.to_string());
            match self.0.put(&key, value, expect).await {
                Ok(_) => return Ok(true),
                Err(LatticeError::Conflict { .. }) => {}
                Err(why) => return Err(failed(why)),
            }
        }
        Err(CallError::Exhausted(
            "others change the lattice's entry all the time".into(),
        ))
    }
}

/// The moment that was claimed last; `None` for an entry that nobody understands.
fn last(entry: &Entry) -> Option<u64> {
    std::str::from_utf8(&entry.value).ok()?.parse().ok()
}

fn entry(claimed: &Claimed) -> String {
    let of_application = key(ONCE, &claimed.application);
    let [source, target, name] = &claimed.link;
    // No name has a line's end.
    let what = format!("{source}\n{target}\n{name}\n{}", claimed.what);
    format!("{of_application}.{}", hex::encode(Sha256::digest(what)))
}

fn failed(why: LatticeError) -> CallError {
    CallError::Unreachable(format!("the lattice: {why}"))
}

/// Forgets what was claimed for an application.
///
/// # Errors
///
/// The lattice.
pub(crate) async fn forget(lattice: &dyn Lattice, application: &str) -> Result<(), LatticeError> {
    for entry in lattice.list(&key(ONCE, application)).await? {
        lattice.delete(&entry.key, Expect::Any).await?;
    }
    Ok(())
}
