//! The peers that may connect: the identities that belong to a lattice, as they come and go.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use crate::identity::Fingerprint;

/// The identities that a server accepts. Clones are handles of the same set.
#[derive(Clone, Debug, Default)]
pub struct Members(Arc<Mutex<MembersState>>);

#[derive(Debug, Default)]
struct MembersState {
    fingerprints: HashSet<Fingerprint>,
    /// The connections that there are, and some that there were.
    admitted: Vec<Weak<Membership>>,
}

impl Members {
    /// A set of these.
    pub fn new(fingerprints: HashSet<Fingerprint>) -> Self {
        let members = Self::default();
        members.replace(fingerprints);
        members
    }

    /// From now on these are members, and no others. Connections of those that were and are none any more end.
    pub fn replace(&self, fingerprints: HashSet<Fingerprint>) {
        let mut state = self.lock();
        state.fingerprints = fingerprints;
        let MembersState {
            fingerprints,
            admitted,
        } = &mut *state;
        let mut expelled = Vec::new();
        admitted.retain(|membership| {
            let Some(membership) = membership.upgrade() else {
                return false;
            };
            let stays = fingerprints.contains(&membership.fingerprint);
            if !stays {
                expelled.push(membership);
            }
            stays
        });
        drop(state);
        for membership in expelled {
            membership.expel();
        }
    }

    /// Whether it is one.
    pub fn contains(&self, fingerprint: &Fingerprint) -> bool {
        self.lock().fingerprints.contains(fingerprint)
    }

    /// Has a connection told when the other side is no member any more; none if it is none now.
    pub(crate) fn admit(&self, fingerprint: Fingerprint) -> Option<Arc<Membership>> {
        let mut state = self.lock();
        if !state.fingerprints.contains(&fingerprint) {
            return None;
        }
        let membership = Arc::new(Membership {
            fingerprint,
            ends: Mutex::new(Ends::Not(None)),
        });
        state.admitted.retain(|other| other.strong_count() > 0);
        state.admitted.push(Arc::downgrade(&membership));
        Some(membership)
    }

    fn lock(&self) -> MutexGuard<'_, MembersState> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The membership of a connection's peer.
#[derive(Debug)]
pub(crate) struct Membership {
    fingerprint: Fingerprint,
    ends: Mutex<Ends>,
}

#[derive(Debug)]
enum Ends {
    /// The membership lasts; the waker is woken when it ends.
    Not(Option<Waker>),
    Ended,
}

impl Membership {
    fn lock(&self) -> MutexGuard<'_, Ends> {
        // Nothing panics while the lock is held.
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expel(&self) {
        let ends = std::mem::replace(&mut *self.lock(), Ends::Ended);
        if let Ends::Not(Some(waker)) = ends {
            waker.wake();
        }
    }

    /// Waits for its end. To be polled by one task.
    pub(crate) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.lock() {
            Ends::Ended => Poll::Ready(()),
            Ends::Not(Some(waker)) if waker.will_wake(cx.waker()) => Poll::Pending,
            Ends::Not(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::identity::Identity;

    fn fingerprint() -> Fingerprint {
        Identity::generate().unwrap().fingerprint()
    }

    #[tokio::test]
    async fn members_that_are_none_any_more_are_told_and_others_are_not() {
        let (stays, goes, other) = (fingerprint(), fingerprint(), fingerprint());
        let members = Members::new([stays, goes].into());
        assert!(members.contains(&goes) && !members.contains(&other));
        assert!(members.admit(other).is_none());
        let (staying, going) = (members.admit(stays).unwrap(), members.admit(goes).unwrap());
        let told = tokio::spawn(async move { poll_fn(|cx| going.poll_ended(cx)).await });
        tokio::task::yield_now().await;
        members.clone().replace([stays, other].into());
        told.await.unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(staying.poll_ended(&mut cx).is_pending());
        assert!(members.admit(goes).is_none() && members.admit(other).is_some());
    }

    #[test]
    fn connections_that_have_gone_are_forgotten() {
        let one = fingerprint();
        let members = Members::new([one].into());
        for _ in 0..100 {
            drop(members.admit(one));
        }
        assert!(members.lock().admitted.len() <= 1);
    }
}
