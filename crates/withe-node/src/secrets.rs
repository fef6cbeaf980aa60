//! Secrets that the lattice keeps, for applications that ask for them by name.
//!
//! Each is an entry, `secrets.{name}`, with the newest versions of its value. The lattice's key seals each version, so that
//! whoever reads the buckets learns names, numbers and dates. The name, the version's number and its date are authenticated
//! with the value: no value opens under another name, nor as another version.
//!
//! Removing a secret puts a record without versions. So numbers go on when the name is used again, and hosts that look at
//! signatures are told by somebody who may. One entry for all versions was preferred to one for each: putting is then one
//! exchange that a revision guards, and two who put at the same time get two numbers.
//!
//! A bucket of its own was rejected: what this one has (pieces of large values, watches, marks of what is removed) would
//! have to be there twice.

use std::error::Error;

use serde::{Deserialize, Serialize};
use withe_host::LatticeSecrets;
use withe_lattice::{Entry, Expect, Lattice, LatticeError, SharedLattice};
use withe_trust::{
    MemberKey, RecordPlace, Role, SealKey, SealKeyError, SealKeyId, TrustRoot, UnsealError, payload,
};

use crate::clock::millis;
use crate::records::{SECRETS, UnwritableRecord, key, name_of, write};
use crate::vouching::{Unvouched, Vouching, seal_after};

/// How many versions of a secret are kept; an older one goes when another is put.
pub const MOST_VERSIONS: usize = 8;
/// The largest value, in bytes: the same as that of other backends.
pub const LARGEST: usize = 1 << 20;
/// The most bytes of a name. Its key may have three for each, and a broker bounds that.
const MOST_NAME: usize = 160;
/// How often somebody else may put the same secret while it is put.
const MOST_TRIES: u32 = 100;

/// A secret as it is in the lattice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SecretRecord {
    /// The number of the last version that there ever was.
    last: u64,
    /// The versions that are kept, the newest last; none of a secret that was removed.
    versions: Vec<SealedVersion>,
}

/// A version of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SealedVersion {
    number: u64,
    /// When it was put, in milliseconds since 1970.
    put: u64,
    /// The value, sealed for this name, number and date.
    sealed: String,
}

/// The facts about a secret that everybody who can read the lattice knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptSecret {
    /// Its name.
    pub name: String,
    /// The versions that are kept, the newest last. There is one at least.
    pub versions: Vec<KeptVersion>,
}

/// The facts about a version of a secret that everybody who can read the lattice knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptVersion {
    /// Its number, from 1.
    pub version: u64,
    /// When it was put, in milliseconds since 1970, by the clock of whoever put it.
    pub put: u64,
    /// The key that seals it; `None` for one that is not written as sealed values are.
    pub seal_key: Option<String>,
}

/// Why a secret is not put or removed.
#[derive(Debug, thiserror::Error)]
pub enum PutSecretError {
    /// The lattice failed.
    #[error(transparent)]
    Lattice(#[from] LatticeError),
    /// The name is none.
    #[error(
        "`{0}` is no name for a secret: it has from 1 to {MOST_NAME} bytes, and no control characters"
    )]
    Name(String),
    /// The value is too large.
    #[error("the value has {0} bytes, and {LARGEST} are the most")]
    TooLarge(usize),
    /// There is no value.
    #[error("the value is empty")]
    Empty,
    /// The versions before are sealed otherwise: with one more that this key seals, no host could open all.
    #[error(
        "version {version} of `{name}` does not open: {why}. Give the key of the lattice's hosts by `--seal-key`; if theirs \
         is this one, remove the secret first, by `withe secrets remove {name}`"
    )]
    OtherKey {
        /// The secret.
        name: String,
        /// The version that was tried.
        version: u64,
        /// Why it does not open.
        #[source]
        why: UnsealError,
    },
    /// The record that is there was put by nobody who may: signing it would make it theirs who sign.
    #[error(
        "the record of `{name}` in the lattice is not used: {why}. Remove the secret first, by `withe secrets remove {name}`"
    )]
    Untrusted {
        /// The secret.
        name: String,
        /// Why its record does not count.
        #[source]
        why: withe_trust::UntrustedRecord,
    },
    /// The entry is no record of a secret.
    #[error("what the lattice has at `{key}` cannot be read: {why}")]
    Unreadable {
        /// Its key.
        key: String,
        /// The fault.
        #[source]
        why: serde_json::Error,
    },
    /// All numbers are used, which only a forged record has.
    #[error("`{0}` has no further version number: its record was not made by `withe secrets`")]
    NoNumber(String),
    /// The value cannot be sealed.
    #[error("the value cannot be sealed: {0}")]
    Seal(#[from] SealKeyError),
    /// The record cannot be written down.
    #[error(transparent)]
    Unwritable(#[from] UnwritableRecord),
}

/// Why a host has not the value of a secret in the lattice.
#[derive(Debug, thiserror::Error)]
enum LatticeSecretError {
    #[error(
        "this host has no key that opens secrets of the lattice: start `withe host` with `--seal-key`"
    )]
    NoKey,
    #[error("the lattice cannot be asked for `{name}`: {why}")]
    Lattice {
        name: String,
        #[source]
        why: LatticeError,
    },
    #[error("the lattice has no secret `{0}`: put it by `withe secrets put {0}`")]
    Missing(String),
    #[error("the record of `{name}` does not count: {why}")]
    Unvouched {
        name: String,
        #[source]
        why: Unvouched,
    },
    #[error("the record of `{name}` cannot be read: {why}")]
    Unreadable {
        name: String,
        #[source]
        why: serde_json::Error,
    },
    #[error("the lattice has no version `{wanted}` of `{name}`: it keeps {kept}")]
    Version {
        name: String,
        wanted: String,
        kept: String,
    },
    #[error("version {version} of `{name}` does not open: {why}")]
    Unseal {
        name: String,
        version: u64,
        #[source]
        why: UnsealError,
    },
    #[error("version {version} of `{name}` is no text in UTF-8")]
    NoText { name: String, version: u64 },
}

/// Puts another version of a secret; returns its number. `seal_key` seals it, and `member` signs the record if there is one.
///
/// # Errors
///
/// If the name or the value cannot be kept, or what is there has versions that `seal_key` does not open.
pub async fn put(
    lattice: &dyn Lattice,
    name: &str,
    value: &str,
    member: Option<&MemberKey>,
    seal_key: &SealKey,
) -> Result<u64, PutSecretError> {
    if value.is_empty() {
        return Err(PutSecretError::Empty);
    }
    if value.len() > LARGEST {
        return Err(PutSecretError::TooLarge(value.len()));
    }
    change(lattice, name, member, |place, before| {
        let mut record = match before {
            Some(before) => vouched(lattice, name, before, member)?,
            None => SecretRecord::default(),
        };
        for version in &record.versions {
            let opened = version.open(place, seal_key);
            opened.map_err(|why| PutSecretError::OtherKey {
                name: name.to_owned(),
                version: version.number,
                why,
            })?;
        }
        let number = record.last.checked_add(1);
        let number = number.ok_or_else(|| PutSecretError::NoNumber(name.to_owned()))?;
        let put = millis();
        let sealed = seal_key.seal(place, &beside(number, put), value.as_bytes())?;
        record.last = number;
        record.versions.push(SealedVersion {
            number,
            put,
            sealed,
        });
        let too_many = record.versions.len().saturating_sub(MOST_VERSIONS);
        record.versions.drain(..too_many);
        Ok(Some((record, number)))
    })
    .await
    // The change always makes a record.
    .map(Option::unwrap_or_default)
}

/// Removes a secret, with all of its versions; false if there is none of this name.
///
/// # Errors
///
/// The lattice's, and one for a name that is none.
pub async fn remove(
    lattice: &dyn Lattice,
    name: &str,
    member: Option<&MemberKey>,
) -> Result<bool, PutSecretError> {
    let removed = change(lattice, name, member, |_, before| {
        let Some(before) = before else {
            return Ok(None);
        };
        // A record that cannot be read is removed, too: then the name can be used again.
        let before = read(before).unwrap_or_else(|_| SecretRecord {
            last: 0,
            versions: vec![SealedVersion {
                number: 0,
                put: 0,
                sealed: String::new(),
            }],
        });
        let removed = SecretRecord {
            // A forged number may leave no greater one.
            last: before.last.min(u64::MAX / 2),
            versions: Vec::new(),
        };
        Ok((!before.versions.is_empty()).then_some((removed, ())))
    });
    Ok(removed.await?.is_some())
}

/// The secrets that the lattice keeps, by name. Neither signatures nor seals are looked at, and entries that cannot be read
/// are left out, with a line in the log.
///
/// # Errors
///
/// The lattice's.
pub async fn list(lattice: &dyn Lattice) -> Result<Vec<KeptSecret>, LatticeError> {
    let entries = lattice.list(SECRETS).await?;
    let mut all: Vec<_> = entries.iter().filter_map(kept).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn kept(entry: &Entry) -> Option<KeptSecret> {
    let record = crate::records::read::<SecretRecord>(entry)?;
    let versions = record.versions.iter().map(|version| KeptVersion {
        version: version.number,
        put: version.put,
        seal_key: SealKeyId::of_sealed(&version.sealed).map(|id| id.to_string()),
    });
    let secret = KeptSecret {
        name: name_of(SECRETS, &entry.key),
        versions: versions.collect(),
    };
    (!secret.versions.is_empty()).then_some(secret)
}

/// Puts what `made` makes of the entry of a secret, and returns what `made` says of it; `made` is asked again if somebody
/// else was faster, and makes `None` of what stays as it is.
async fn change<T>(
    lattice: &dyn Lattice,
    name: &str,
    member: Option<&MemberKey>,
    made: impl Fn(RecordPlace<'_>, Option<&Entry>) -> Result<Option<(SecretRecord, T)>, PutSecretError>
    + Send
    + Sync,
) -> Result<Option<T>, PutSecretError>
where
    T: Send,
{
    if name.is_empty() || name.len() > MOST_NAME || name.chars().any(char::is_control) {
        return Err(PutSecretError::Name(name.escape_debug().to_string()));
    }
    let key = key(SECRETS, name);
    let place = RecordPlace {
        lattice: lattice.name(),
        key: &key,
    };
    let mut tries = 0;
    loop {
        let before = lattice.get(&key).await?;
        let Some((record, said)) = made(place, before.as_ref())? else {
            return Ok(None);
        };
        let expect = (before.as_ref()).map_or(Expect::Absent, |e| Expect::Revision(e.revision));
        let value = seal_after(member, place, before.as_ref(), &write(&record)?);
        match lattice.put(&key, value.into(), expect).await {
            Ok(_) => return Ok(Some(said)),
            Err(LatticeError::Conflict { .. }) if tries < MOST_TRIES => tries += 1,
            Err(why) => return Err(why.into()),
        }
    }
}

/// The record of an entry that is to be signed anew, if somebody who may has signed it.
fn vouched(
    lattice: &dyn Lattice,
    name: &str,
    entry: &Entry,
    member: Option<&MemberKey>,
) -> Result<SecretRecord, PutSecretError> {
    let record = read(entry).map_err(|why| PutSecretError::Unreadable {
        key: entry.key.clone(),
        why,
    })?;
    // Nothing is taken over from a secret that was removed, but its number.
    if let (Some(member), false) = (member, record.versions.is_empty()) {
        let place = RecordPlace {
            lattice: lattice.name(),
            key: &entry.key,
        };
        let trust = TrustRoot::new(member.root());
        // A record of somebody whose key has ended since stays good: its values open with the lattice's key.
        let opened = trust.open(&entry.value, place, Role::Deployer, 0);
        opened.map_err(|why| PutSecretError::Untrusted {
            name: name.to_owned(),
            why,
        })?;
    }
    Ok(record)
}

fn read(entry: &Entry) -> Result<SecretRecord, serde_json::Error> {
    serde_json::from_slice(payload(&entry.value))
}

/// The bytes that are authenticated beside the value of a version.
fn beside(number: u64, put: u64) -> Vec<u8> {
    format!("secret version {number} put {put}").into_bytes()
}

impl SealedVersion {
    fn open(&self, place: RecordPlace<'_>, key: &SealKey) -> Result<Vec<u8>, UnsealError> {
        key.open(place, &beside(self.number, self.put), &self.sealed)
    }
}

impl SecretRecord {
    /// The version that a manifest means.
    fn version(
        &self,
        name: &str,
        wanted: Option<&str>,
    ) -> Result<&SealedVersion, LatticeSecretError> {
        let Some(newest) = self.versions.last() else {
            return Err(LatticeSecretError::Missing(name.to_owned()));
        };
        let Some(wanted) = wanted else {
            return Ok(newest);
        };
        let mut versions = self.versions.iter();
        let found = versions.find(|version| version.number.to_string() == wanted);
        found.ok_or_else(|| {
            let kept = self.versions.iter().map(|v| v.number.to_string());
            LatticeSecretError::Version {
                name: name.to_owned(),
                wanted: wanted.to_owned(),
                kept: kept.collect::<Vec<_>>().join(", "),
            }
        })
    }
}

/// Secrets of a lattice, as one of its hosts has them.
pub(crate) struct HostSecrets {
    lattice: SharedLattice,
    /// Apart from that of other records: an application's record says nothing of a secret's.
    vouching: Vouching,
    seal_key: Option<std::sync::Arc<SealKey>>,
}

impl HostSecrets {
    pub(crate) fn new(
        lattice: SharedLattice,
        trust: Option<TrustRoot>,
        seal_key: Option<std::sync::Arc<SealKey>>,
    ) -> Self {
        Self {
            vouching: Vouching::new(lattice.name(), trust),
            lattice,
            seal_key,
        }
    }

    async fn value(&self, name: &str, wanted: Option<&str>) -> Result<String, LatticeSecretError> {
        let seal_key = self.seal_key.as_ref().ok_or(LatticeSecretError::NoKey)?;
        let named = || name.to_owned();
        let key = key(SECRETS, name);
        let entry = self.lattice.get(&key).await;
        let entry = entry.map_err(|why| LatticeSecretError::Lattice { name: named(), why })?;
        let entry = entry.ok_or_else(|| LatticeSecretError::Missing(named()))?;
        let vouched = self.vouching.check(&entry, Role::Deployer);
        vouched.map_err(|why| LatticeSecretError::Unvouched { name: named(), why })?;
        let record = read(&entry);
        let record = record.map_err(|why| LatticeSecretError::Unreadable { name: named(), why })?;
        let version = record.version(name, wanted)?;
        let place = RecordPlace {
            lattice: self.lattice.name(),
            key: &key,
        };
        let number = version.number;
        let value = version.open(place, seal_key);
        let value = value.map_err(|why| LatticeSecretError::Unseal {
            name: named(),
            version: number,
            why,
        })?;
        String::from_utf8(value).map_err(|_| LatticeSecretError::NoText {
            name: named(),
            version: number,
        })
    }
}

#[async_trait::async_trait]
impl LatticeSecrets for HostSecrets {
    async fn secret(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        Ok(self.value(name, version).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use withe_lattice::Embedded;
    use withe_trust::RootKey;

    use super::*;

    const NAME: &str = "shop/api-key";

    fn lattice() -> SharedLattice {
        Arc::new(Embedded::in_memory("l").unwrap())
    }

    fn key() -> Arc<SealKey> {
        Arc::new(SealKey::generate().unwrap())
    }

    /// The value that a host with this key is told.
    async fn told(
        lattice: &SharedLattice,
        seal_key: Option<&Arc<SealKey>>,
        name: &str,
        version: Option<&str>,
    ) -> Result<String, String> {
        let host = HostSecrets::new(lattice.clone(), None, seal_key.cloned());
        let value = host.secret(name, version).await;
        value.map_err(|why| why.to_string())
    }

    async fn record_of(lattice: &SharedLattice, name: &str) -> SecretRecord {
        let entry = lattice.get(&super::key(SECRETS, name)).await.unwrap();
        read(&entry.unwrap()).unwrap()
    }

    async fn put_record(lattice: &SharedLattice, name: &str, record: &SecretRecord) {
        let key = super::key(SECRETS, name);
        let value = write(record).unwrap();
        lattice.put(&key, value, Expect::Any).await.unwrap();
    }

    #[tokio::test]
    async fn a_host_has_the_newest_version_or_the_one_that_is_meant() {
        let (lattice, key) = (lattice(), key());
        for n in 1..=MOST_VERSIONS as u64 + 2 {
            let value = format!("value-{n}");
            let version = put(&*lattice, NAME, &value, None, &key).await.unwrap();
            assert_eq!(version, n);
        }
        let told = async |version| told(&lattice, Some(&key), NAME, version).await;
        assert_eq!(told(None).await.unwrap(), "value-10");
        assert_eq!(told(Some("3")).await.unwrap(), "value-3");
        for version in ["2", "11", "03", "latest", ""] {
            let said = told(Some(version)).await.unwrap_err();
            assert!(said.contains("keeps 3, 4, 5, 6, 7, 8, 9, 10"), "{said}");
        }
        let all = list(&*lattice).await.unwrap();
        assert_eq!((all.len(), all[0].name.as_str()), (1, NAME));
        assert_eq!(all[0].versions.len(), MOST_VERSIONS);
        assert_eq!(all[0].versions[0].seal_key, Some(key.id().to_string()));
        // Nothing of a value is in the entry.
        let entry = lattice.get(&super::key(SECRETS, NAME)).await.unwrap();
        let text = String::from_utf8(entry.unwrap().value.to_vec()).unwrap();
        assert!(!text.contains("value-") && !text.contains(&hex::encode("value-")));
    }

    #[tokio::test]
    async fn a_removed_secret_is_missing_and_its_numbers_do_not_come_again() {
        let (lattice, key) = (lattice(), key());
        assert!(!remove(&*lattice, NAME, None).await.unwrap());
        put(&*lattice, NAME, "a", None, &key).await.unwrap();
        assert!(remove(&*lattice, NAME, None).await.unwrap());
        assert!(!remove(&*lattice, NAME, None).await.unwrap());
        assert_eq!(list(&*lattice).await.unwrap(), []);
        for name in [NAME, "other"] {
            let said = told(&lattice, Some(&key), name, None).await.unwrap_err();
            assert!(
                said.contains(&format!("`withe secrets put {name}`")),
                "{said}"
            );
        }
        // Another key may seal what comes after.
        let other = SealKey::generate().unwrap();
        assert_eq!(put(&*lattice, NAME, "b", None, &other).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn values_open_neither_under_other_names_nor_as_other_versions() {
        let (lattice, key) = (lattice(), key());
        for (name, value) in [("a", "1"), ("a", "2"), ("b", "3")] {
            put(&*lattice, name, value, None, &key).await.unwrap();
        }
        let (a, b) = (
            record_of(&lattice, "a").await,
            record_of(&lattice, "b").await,
        );
        put_record(&lattice, "b", &a).await;
        put_record(&lattice, "a", &b).await;
        for name in ["a", "b"] {
            let said = told(&lattice, Some(&key), name, None).await.unwrap_err();
            assert!(
                said.contains("were changed since they were sealed"),
                "{said}"
            );
        }
        let mut swapped = a.clone();
        let [first, second] = &mut swapped.versions[..] else {
            panic!("{a:?}")
        };
        std::mem::swap(&mut first.sealed, &mut second.sealed);
        put_record(&lattice, "a", &swapped).await;
        let mut renumbered = a.clone();
        renumbered.versions[1].number = 7;
        let mut dated = a.clone();
        dated.versions[1].put += 1;
        for damaged in [swapped, renumbered, dated] {
            put_record(&lattice, "a", &damaged).await;
            let said = told(&lattice, Some(&key), "a", None).await.unwrap_err();
            assert!(said.contains("were changed since"), "{said}");
            // Nor is another version put beside it.
            let said = put(&*lattice, "a", "4", None, &key).await.unwrap_err();
            assert!(matches!(said, PutSecretError::OtherKey { .. }), "{said}");
        }
        put_record(&lattice, "a", &a).await;
        assert_eq!(told(&lattice, Some(&key), "a", None).await.unwrap(), "2");
    }

    #[tokio::test]
    async fn without_the_key_nothing_opens_and_another_key_says_so() {
        let (lattice, key, other) = (lattice(), key(), key());
        put(&*lattice, NAME, "a", None, &key).await.unwrap();
        let said = told(&lattice, None, NAME, None).await.unwrap_err();
        assert!(said.contains("`--seal-key`"), "{said}");
        let said = told(&lattice, Some(&other), NAME, None).await.unwrap_err();
        let [own, its] = [&key, &other].map(|key| key.id().to_string());
        assert!(said.contains(&own) && said.contains(&its), "{said}");
        let said = put(&*lattice, NAME, "b", None, &other).await;
        let said = said.unwrap_err().to_string();
        assert!(
            said.contains(&own) && said.contains("`withe secrets remove"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn names_and_values_that_cannot_be_kept_are_refused() {
        let (lattice, key) = (lattice(), key());
        for name in ["", "a\nb", &"ö".repeat(MOST_NAME)] {
            let said = put(&*lattice, name, "v", None, &key).await.unwrap_err();
            assert!(matches!(said, PutSecretError::Name(_)), "{said}");
        }
        // The longest key that a name can have is one.
        let long = "/".repeat(MOST_NAME);
        put(&*lattice, &long, "v", None, &key).await.unwrap();
        for (value, why) in [
            (String::new(), "empty"),
            ("x".repeat(LARGEST + 1), "the most"),
        ] {
            let said = put(&*lattice, NAME, &value, None, &key).await.unwrap_err();
            assert!(said.to_string().contains(why), "{said}");
        }
        lattice
            .put(&super::key(SECRETS, NAME), "{".into(), Expect::Any)
            .await
            .unwrap();
        let said = told(&lattice, Some(&key), NAME, None).await.unwrap_err();
        assert!(said.contains("cannot be read"), "{said}");
        assert!(remove(&*lattice, NAME, None).await.unwrap());
        put(&*lattice, NAME, "v", None, &key).await.unwrap();
    }

    #[tokio::test]
    async fn a_host_that_looks_at_signatures_takes_none_but_deployers_newest() {
        let (lattice, key) = (lattice(), key());
        let root = RootKey::generate().unwrap();
        let ada = root.certify(Role::Deployer, "ada", None).unwrap();
        let eve = root.certify(Role::Viewer, "eve", None).unwrap();
        let trust = TrustRoot::new(root.public());
        let host = HostSecrets::new(lattice.clone(), Some(trust), Some(key.clone()));
        let told = async || host.secret(NAME, None).await.map_err(|why| why.to_string());
        for member in [None, Some(&eve)] {
            put(&*lattice, NAME, "a", member, &key).await.unwrap();
            let said = told().await.unwrap_err();
            assert!(said.contains("does not count"), "{said}");
            // A deployer does not sign what others have put.
            let said = put(&*lattice, NAME, "b", Some(&ada), &key).await;
            assert!(matches!(said, Err(PutSecretError::Untrusted { .. })));
            remove(&*lattice, NAME, Some(&ada)).await.unwrap();
        }
        put(&*lattice, NAME, "b", Some(&ada), &key).await.unwrap();
        assert_eq!(told().await.unwrap(), "b");
        // A secret that a deployer has removed does not come back.
        let entry = lattice.get(&super::key(SECRETS, NAME)).await.unwrap();
        let entry = entry.unwrap();
        remove(&*lattice, NAME, Some(&ada)).await.unwrap();
        assert!(told().await.unwrap_err().contains("no secret"));
        let again = lattice.put(&entry.key, entry.value, Expect::Any).await;
        again.unwrap();
        assert!(told().await.unwrap_err().contains("older"));
    }
}
