//! Work that is done once on a lattice, though several hosts would do it: an entry for each such thing, which says up to which
//! moment it was claimed.
//!
//! A host claims the work by moving the entry from an earlier moment to a later one, guarded by its revision; a host
//! whose clock is behind finds its moment already claimed. One entry that is replaced was preferred to one for each
//! moment: these would have to go again, and a lease is gone before the clocks of all hosts have passed its moment.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use withe_host::{Claimed, Claims};
use withe_lattice::{Entry, Expect, Lattice, LatticeError, SharedLattice};
use withe_provider::CallError;

use crate::clock::millis;
use crate::records::{ONCE, key, name_of};

/// A moment that is so far ahead of this host's clock was claimed by one whose clock was wrong: nobody waits for it.
const AHEAD: u64 = 10 * 60 * 1000;

/// How far the clocks of hosts may be apart before that is worth a word.
const AGREE: u64 = 10 * 1000;

/// How often an entry is read that others change meanwhile.
const ATTEMPTS: usize = 10;

/// Claims by entries of a lattice.
struct LatticeClaims(SharedLattice);

/// Decides for a lattice; `None` if the lattice has but one host.
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
            let clock = millis();
            let last = now.as_ref().and_then(last);
            match verdict(moment, last, clock) {
                Verdict::Free => {}
                Verdict::Gone => return Ok(false),
                Verdict::Ahead(by) => {
                    tracing::warn!(
                        application = claimed.application,
                        "a time of the timer is left out: the lattice has it as past, by {by} ms more than this host's \
                         clock says. Clocks of hosts have to agree"
                    );
                    return Ok(false);
                }
                Verdict::Forged(by) => tracing::warn!(
                    application = claimed.application,
                    "a host whose clock is {by} ms ahead of this one's has claimed times of a timer, which may be called \
                     twice. Clocks of hosts have to agree"
                ),
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

/// The verdict on a moment.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nobody has claimed it.
    Free,
    /// The moment was claimed, or a later one that has come.
    Gone,
    /// One was claimed that will come in so many milliseconds by this host's clock: one of the clocks is wrong, or was.
    Ahead(u64),
    /// The same, and that far ahead that nobody waits for it: the moment is free.
    Forged(u64),
}

/// The verdict on `moment`, if `last` was claimed last and the clock says `clock`.
fn verdict(moment: u64, last: Option<u64>, clock: u64) -> Verdict {
    // Where a moment is due, this host's clock is there.
    let clock = clock.max(moment);
    match last {
        Some(last) if moment <= last => match last.saturating_sub(clock) {
            by if by > AHEAD => Verdict::Forged(by),
            by if by > AGREE => Verdict::Ahead(by),
            _ => Verdict::Gone,
        },
        Some(_) | None => Verdict::Free,
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

/// Forgets what was claimed for applications that are not there.
///
/// # Errors
///
/// The lattice.
pub(crate) async fn forget_unless(
    lattice: &dyn Lattice,
    is_there: impl Fn(&str) -> bool,
) -> Result<(), LatticeError> {
    for entry in lattice.list(ONCE).await? {
        if !is_there(&application(&entry.key)) {
            lattice.delete(&entry.key, Expect::Any).await?;
        }
    }
    Ok(())
}

/// The application of an entry.
fn application(entry: &str) -> String {
    let (of_application, _) = entry.rsplit_once('.').unwrap_or((entry, ""));
    name_of(ONCE, of_application)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_whose_it_is() {
        for name in ["app", "an app.2", "once"] {
            let claimed = Claimed {
                application: name.into(),
                link: ["timer", "c", "default"].map(String::from),
                what: "0 job".into(),
            };
            assert_eq!(application(&entry(&claimed)), name);
        }
    }

    #[test]
    fn a_moment_is_claimed_once_and_a_clock_that_is_wrong_does_not_keep_others_for_ever() {
        let now = 1_000_000_000;
        assert_eq!(verdict(now, None, now), Verdict::Free);
        assert_eq!(verdict(now, Some(now - 1), now), Verdict::Free);
        assert_eq!(verdict(now, Some(now), now), Verdict::Gone);
        assert_eq!(verdict(now - 5_000, Some(now), now), Verdict::Gone);
        assert_eq!(verdict(now, Some(now + AGREE), now), Verdict::Gone);
        assert_eq!(verdict(now, Some(now + AHEAD), now), Verdict::Ahead(AHEAD));
        let far = AHEAD + 1;
        assert_eq!(verdict(now, Some(now + far), now), Verdict::Forged(far));
    }
}
