//! Which records of the lattice this host acts on, where it was told whom to trust.
//!
//! A record counts if somebody who may has signed it for its place, and it is no older than the one that counted
//! before: a client that can write to the lattice can also put back an old record. A host that has just started has
//! seen nothing before, so it takes the record that it finds. Keeping what was seen on disk was left: a host without a
//! disk of its own would still start with nothing, and nobody could remove an application from a host that has seen a
//! wrong clock.
//!
//! A record that does not count is as if it had not been put: what was known before stands.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use withe_lattice::Entry;
use withe_trust::{
    Certificate, MemberKey, PublicKey, RecordPlace, Role, SignedRecord, TrustRoot, UntrustedRecord,
};

use crate::clock::millis;

/// The most keys whose reported faults are remembered.
const MOST_TOLD: usize = 1024;

/// Which records this host acts on.
pub(crate) struct Vouching {
    lattice: String,
    trust: Option<TrustRoot>,
    state: Mutex<VouchingState>,
}

#[derive(Default)]
struct VouchingState {
    /// The newest records that counted, by their keys.
    newest: BTreeMap<String, Newest>,
    /// The last report of each key.
    told: BTreeMap<String, String>,
}

/// The newest record of a place.
struct Newest {
    serial: u64,
    signer: PublicKey,
}

/// Why a record does not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unvouched {
    #[error(transparent)]
    Untrusted(#[from] UntrustedRecord),
    #[error(
        "it is older than what was there before: its serial number is {serial}, and {newest} was seen; serial numbers are \
         times, so the clock of who signed it may be behind"
    )]
    Older { serial: u64, newest: u64 },
    #[error("it is signed by the host `{0}`, and an earlier one by another host")]
    OtherHost(String),
    #[error("nobody who may has removed it")]
    Removed,
    #[error("it says of itself that it is another host's: `{0}`")]
    OtherId(String),
}

impl Vouching {
    pub(crate) fn new(lattice: &str, trust: Option<TrustRoot>) -> Self {
        Self {
            lattice: lattice.to_owned(),
            trust,
            state: Mutex::default(),
        }
    }

    /// Whether only records that are signed count.
    pub(crate) fn is_on(&self) -> bool {
        self.trust.is_some()
    }

    /// Whether an entry counts, which somebody of this role must have signed; whose it is, where that is looked at.
    ///
    /// # Errors
    ///
    /// If nobody who may has put it.
    pub(crate) fn check(
        &self,
        entry: &Entry,
        role: Role,
    ) -> Result<Option<Certificate>, Unvouched> {
        self.check_if(entry, role, || Ok(()))
    }

    /// As [`check`](Self::check), for an entry that counts only if `is_sound` says so; `is_sound` is asked after the
    /// signature was found good.
    ///
    /// # Errors
    ///
    /// As that, and those of `is_sound`.
    pub(crate) fn check_if(
        &self,
        entry: &Entry,
        role: Role,
        is_sound: impl FnOnce() -> Result<(), Unvouched>,
    ) -> Result<Option<Certificate>, Unvouched> {
        let Some(trust) = self.trust else {
            return Ok(None);
        };
        let place = RecordPlace {
            lattice: &self.lattice,
            key: &entry.key,
        };
        let record = trust.open(&entry.value, place, role, millis() / 1_000)?;
        let mut state = self.lock();
        if let Some(newest) = state.newest.get(&entry.key) {
            if record.serial < newest.serial {
                return Err(Unvouched::Older {
                    serial: record.serial,
                    newest: newest.serial,
                });
            }
            // An id is one host's for as long as there is any of that id.
            if role == Role::Host && is_lease(&entry.key) && newest.signer != record.certificate.key
            {
                return Err(Unvouched::OtherHost(record.certificate.name));
            }
        }
        // An unsound record must not keep a sound one out.
        is_sound()?;
        let newest = Newest {
            serial: record.serial,
            signer: record.certificate.key,
        };
        state.newest.insert(entry.key.clone(), newest);
        state.told.remove(&entry.key);
        Ok(Some(record.certificate))
    }

    /// Whether an entry is of somebody whose earlier ones counted, and whose key has expired since.
    pub(crate) fn has_ended(&self, entry: &Entry) -> bool {
        let Some(trust) = self.trust else {
            return false;
        };
        let Ok(SignedRecord { certificate, .. }) = SignedRecord::read(&entry.value) else {
            return false;
        };
        let state = self.lock();
        let before = state.newest.get(&entry.key);
        before.is_some_and(|before| before.signer == certificate.key)
            && certificate.is_of(trust.key())
            && certificate.has_expired(millis() / 1_000)
    }

    /// Whether this is news: a key and what is wrong with its record are reported once.
    pub(crate) fn is_news(&self, key: &str, why: &str) -> bool {
        let mut state = self.lock();
        if state.told.len() >= MOST_TOLD {
            // Forgetting bounds the memory; so many made-up keys may well be reported again.
            state.told.clear();
        }
        let before = state.told.insert(key.to_owned(), why.to_owned());
        before.is_none_or(|before| before != why)
    }

    /// A record of this host's, signed by its key if it has one.
    pub(crate) fn seal(&self, member: Option<&MemberKey>, key: &str, record: &[u8]) -> Vec<u8> {
        let Some(member) = member else {
            return record.to_vec();
        };
        let mut state = self.lock();
        // The clocks of hosts differ, and the controller before may have had a faster one.
        let before = state.newest.get(key).map_or(0, |newest| newest.serial);
        let serial = millis().max(before.saturating_add(1));
        let newest = Newest {
            serial,
            signer: member.certificate().key,
        };
        // The record counts here before it comes back, so that the next is newer.
        state.newest.insert(key.to_owned(), newest);
        drop(state);
        let place = RecordPlace {
            lattice: &self.lattice,
            key,
        };
        member.seal(place, serial, record)
    }

    fn lock(&self) -> MutexGuard<'_, VouchingState> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_lease(key: &str) -> bool {
    key.split('.').next() == Some(crate::records::HOSTS)
}

/// A record that takes the place of `before`, signed by a key if there is one. Without a host there is nobody who has seen
/// others, so that the record itself says what is newer.
pub(crate) fn seal_after(
    member: Option<&MemberKey>,
    place: RecordPlace<'_>,
    before: Option<&Entry>,
    record: &[u8],
) -> Vec<u8> {
    let Some(member) = member else {
        return record.to_vec();
    };
    let trust = TrustRoot::new(member.root());
    let role = member.certificate().role;
    let serial_of = |before: &Entry| {
        // The serial of a key that has ended since counts too. A forged one does not: the greatest that there is would
        // leave no greater one.
        let opened = trust.open(&before.value, place, role, 0);
        opened.map_or(0, |record| record.serial)
    };
    let serial = before.map_or(0, serial_of).saturating_add(1);
    member.seal(place, millis().max(serial), record)
}

#[cfg(test)]
mod tests {
    use withe_trust::RootKey;

    use super::*;

    const KEY: &str = "apps.shop";

    fn entry(key: &str, value: Vec<u8>) -> Entry {
        Entry {
            key: key.into(),
            value: value.into(),
            revision: 1,
        }
    }

    fn place(key: &str) -> RecordPlace<'_> {
        RecordPlace {
            lattice: "default",
            key,
        }
    }

    #[test]
    fn what_was_there_before_does_not_come_back() {
        let root = RootKey::generate().unwrap();
        let vouching = Vouching::new("default", Some(TrustRoot::new(root.public())));
        let ada = root.certify(Role::Deployer, "ada", None).unwrap();
        let put = |serial| entry(KEY, ada.seal(place(KEY), serial, b"{}"));
        let check = |serial| vouching.check(&put(serial), Role::Deployer);
        let signer = check(7).unwrap().unwrap();
        assert_eq!(signer.name, "ada");
        check(8).unwrap();
        // A record is told again when the lattice is back.
        check(8).unwrap();
        let older = check(7).unwrap_err();
        assert!(
            matches!(
                older,
                Unvouched::Older {
                    serial: 7,
                    newest: 8
                }
            ),
            "{older}"
        );
        let unsigned = vouching.check(&entry(KEY, b"{}".to_vec()), Role::Deployer);
        assert!(matches!(unsigned, Err(Unvouched::Untrusted(_))));
        // Without a root nothing is looked at.
        let anything = Vouching::new("default", None);
        let unsigned = anything.check(&entry(KEY, b"{}".to_vec()), Role::Deployer);
        assert!(unsigned.unwrap().is_none());
    }

    #[test]
    fn a_lease_is_of_one_host() {
        let root = RootKey::generate().unwrap();
        let vouching = Vouching::new("default", Some(TrustRoot::new(root.public())));
        let [a, b] = ["a", "b"].map(|name| root.certify(Role::Host, name, None).unwrap());
        let put = |host: &MemberKey, key, serial| entry(key, host.seal(place(key), serial, b"{}"));
        let check = |entry: Entry| vouching.check(&entry, Role::Host);
        // A record that another host has put there before does not keep this one out.
        let unsound = || Err(Unvouched::OtherId("2".into()));
        let early = vouching.check_if(&put(&b, "hosts.1", 9), Role::Host, unsound);
        assert!(matches!(early, Err(Unvouched::OtherId(_))));
        check(put(&a, "hosts.1", 1)).unwrap();
        let other = check(put(&b, "hosts.1", 2)).unwrap_err();
        assert!(matches!(other, Unvouched::OtherHost(_)), "{other}");
        check(put(&a, "hosts.1", 3)).unwrap();
        // Any host may decide where parts run.
        check(put(&a, "deployments.shop", 1)).unwrap();
        check(put(&b, "deployments.shop", 2)).unwrap();
    }

    #[test]
    fn a_host_ends_with_its_key_and_not_with_that_of_another() {
        let root = RootKey::generate().unwrap();
        let vouching = Vouching::new("default", Some(TrustRoot::new(root.public())));
        let [a, b] = [Some(1), Some(1)].map(|end| root.certify(Role::Host, "a", end).unwrap());
        let put = |host: &MemberKey| entry("hosts.1", host.seal(place("hosts.1"), 1, b"{}"));
        assert!(!vouching.has_ended(&put(&a)));
        // As if it had counted before its end.
        drop(vouching.seal(Some(&a), "hosts.1", b"{}"));
        assert!(vouching.has_ended(&put(&a)));
        assert!(!vouching.has_ended(&put(&b)));
        assert!(!vouching.has_ended(&entry("hosts.1", b"{}".to_vec())));
    }

    #[test]
    fn what_is_signed_next_is_newer_whatever_the_clocks_say() {
        let root = RootKey::generate().unwrap();
        let vouching = Vouching::new("default", Some(TrustRoot::new(root.public())));
        let host = root.certify(Role::Host, "a", None).unwrap();
        let serial = |bytes: &[u8]| SignedRecord::read(bytes).unwrap().serial;
        let far = millis() * 2;
        let key = "deployments.shop";
        let ahead = entry(key, host.seal(place(key), far, b"{}"));
        vouching.check(&ahead, Role::Host).unwrap();
        assert_eq!(serial(&vouching.seal(Some(&host), key, b"{}")), far + 1);
        assert_eq!(serial(&vouching.seal(Some(&host), key, b"{}")), far + 2);
        assert_eq!(vouching.seal(None, key, b"{}"), b"{}");

        let ada = root.certify(Role::Deployer, "ada", None).unwrap();
        let before = entry(KEY, ada.seal(place(KEY), far, b"{}"));
        let next = |before| serial(&seal_after(Some(&ada), place(KEY), Some(before), b"{}"));
        assert_eq!(next(&before), far + 1);
        // A forged number leaves room for others.
        let eve = RootKey::generate().unwrap();
        let eve = eve.certify(Role::Deployer, "ada", None).unwrap();
        let forged = entry(KEY, eve.seal(place(KEY), u64::MAX, b"{}"));
        assert!(next(&forged) < far);
    }

    #[test]
    fn what_is_ignored_is_reported_once() {
        let vouching = Vouching::new("default", None);
        assert!(vouching.is_news("a", "forged"));
        assert!(!vouching.is_news("a", "forged"));
        assert!(vouching.is_news("a", "expired"));
        assert!(vouching.is_news("b", "forged"));
    }
}
