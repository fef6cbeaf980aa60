//! The desired applications of a lattice, put and changed by anyone who may.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use withe_lattice::{Entry, Expect, Lattice, LatticeError};
use withe_linker::input::{Application, LinkDefaults, Placement, Surroundings};
use withe_load::{
    LinkOptions, Loaded, ProviderSource, ReadComponent, Registry, SourceText, Supplied,
    SuppliedProgram, V1Source, artifact, load_supplied,
};
use withe_trust::{MemberKey, RecordPlace, Role, SealKey, TrustRoot, UntrustedRecord};

use crate::clock::millis;
use crate::library::Library;
use crate::links::{self, ChangeError, LinkChange};
use crate::records::{
    APPS, AppRecord, DEPLOYMENTS, Deployment, HOSTS, HostRecord, ProgramRecord, UnwritableRecord,
    key, read, write,
};
use crate::sealing::{self, SealingError};
use crate::vouching::seal_after;

/// How often somebody else may put the same application while it is put.
const MOST_TRIES: u32 = 100;

/// An application in the lattice.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The application as it is desired.
    pub record: AppRecord,
    /// The entry's revision.
    pub revision: u64,
    /// The name of the deployer who has signed it, where that was looked at.
    pub deployer: Option<String>,
    declared: OnceLock<Arc<Declared>>,
}

/// The declarations of an application in the lattice, with all changes of its links.
#[derive(Debug)]
pub(crate) struct Declared {
    /// The application, as far as its manifest can be understood.
    pub(crate) application: Option<Arc<Application>>,
    /// The changes that cannot be made.
    pub(crate) problems: Vec<ChangeError>,
}

/// Why an application cannot be put in the lattice.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The lattice failed.
    #[error(transparent)]
    Lattice(#[from] LatticeError),
    /// The program of a provider cannot be read.
    #[error("the provider's program `{}` cannot be read: {why}", path.display())]
    Program {
        /// Its file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        why: io::Error,
    },
    /// The program of a provider changed while it was read.
    #[error("the provider's program `{}` was written to meanwhile; try again", .0.display())]
    Changing(PathBuf),
    /// A path is no text, and so cannot be told to other hosts.
    #[error(
        "the path `{}` is not UTF-8, which other hosts could not be told; give the file or its folder another name",
        .0.display()
    )]
    NotText(PathBuf),
    /// The application cannot be written down.
    #[error(transparent)]
    Unwritable(#[from] UnwritableRecord),
    /// The application has errors.
    #[error("the application has errors")]
    Faulty,
    /// Secret values cannot be sealed.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The record that is to be changed was put by nobody who may: signing it would make it theirs who sign.
    #[error("the application in the lattice is not changed: {0}; put it again by `withe up`")]
    Untrusted(#[from] UntrustedRecord),
}

/// Why an application in the lattice cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The lattice failed.
    #[error(transparent)]
    Lattice(#[from] LatticeError),
    /// The bytes of a component are not there.
    #[error(
        "the bytes of `{component}` (`{digest}`) are not in the lattice; put the application again"
    )]
    NoBytes {
        /// The component.
        component: String,
        /// Its digest.
        digest: String,
    },
    /// A change of its links cannot be made.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// Puts an application that was linked without errors in the lattice, in the place of one of the same name; returns its
/// revision. Changes of the links of that one are forgotten. `defaults` apply to links that say nothing.
///
/// The programs of its providers are put there, too. The record is signed by `key`, if there is one, and its secret values
/// are sealed by `seal_key`.
///
/// # Errors
///
/// Returns the lattice's errors, and one if a program cannot be read or secret values cannot be sealed.
pub async fn put_application(
    lattice: &dyn Lattice,
    loaded: &Loaded,
    defaults: &LinkDefaults,
    key: Option<&MemberKey>,
    seal_key: Option<&SealKey>,
) -> Result<u64, PutError> {
    let put = Put::new(loaded, defaults, true).await?;
    put.sealed(lattice, seal_key)?.carry_out(lattice, key).await
}

/// An application that is to be put in a lattice.
pub(crate) struct Put {
    pub(crate) record: AppRecord,
    /// The bytes that the record names by digests.
    blobs: BTreeMap<String, Bytes>,
}

impl Put {
    /// The record of an application which was read; with the bytes of its providers' programs, if these are to be sent.
    ///
    /// # Errors
    ///
    /// If it has errors, a program cannot be read, or a path is no text.
    pub(crate) async fn new(
        loaded: &Loaded,
        defaults: &LinkDefaults,
        sends_programs: bool,
    ) -> Result<Self, PutError> {
        if loaded.application.is_none() {
            return Err(PutError::Faulty);
        }
        let mut blobs = BTreeMap::new();
        let mut images = BTreeMap::new();
        for (name, part) in loaded.named_parts() {
            if let Some(ReadComponent { digest, bytes, .. }) = part.component() {
                blobs.insert(digest.to_owned(), Bytes::from_owner(bytes.clone()));
                images.insert(name.to_owned(), digest.to_owned());
            }
        }
        let mut programs = BTreeMap::new();
        for (name, program) in programs_of(loaded) {
            let size = if sends_programs {
                let bytes = read_program(&program).await?;
                let size = bytes.len() as u64;
                blobs.insert(program.digest.clone(), bytes);
                size
            } else {
                size_of(&program).await?
            };
            let record = ProgramRecord {
                size,
                path: text(absolute(&program.path))?,
                digest: program.digest,
                description: program.description,
            };
            programs.insert(name.to_owned(), record);
        }
        let folder = match loaded.folder.as_os_str().is_empty() {
            true => PathBuf::from("."),
            false => loaded.folder.clone(),
        };
        let record = AppRecord {
            name: loaded.name().to_owned(),
            manifest: loaded.manifest().to_owned(),
            file: loaded.source.path.display().to_string(),
            folder: text(absolute(&folder))?,
            images,
            programs,
            binding: defaults.binding,
            scope: defaults.scope,
            missing: defaults.missing,
            apart: defaults.apart,
            changes: Vec::new(),
            sealed: None,
        };
        Ok(Self { record, blobs })
    }

    /// The same as it is put: with its secret values sealed.
    ///
    /// # Errors
    ///
    /// As [`sealing::seal`].
    pub(crate) fn sealed(
        self,
        lattice: &dyn Lattice,
        seal_key: Option<&SealKey>,
    ) -> Result<Self, SealingError> {
        let record = seal_for(lattice, self.record, seal_key)?;
        Ok(Self { record, ..self })
    }

    /// Puts it in the place of one of the same name; returns its revision.
    ///
    /// # Errors
    ///
    /// The records of the lattice.
    pub(crate) async fn carry_out(
        self,
        lattice: &dyn Lattice,
        member: Option<&MemberKey>,
    ) -> Result<u64, PutError> {
        let Self { record, blobs } = self;
        put_blobs(lattice, &blobs).await?;
        let value = write(&record)?;
        let (revision, before) = put_in_place(lattice, &record.name, &value, member).await?;
        if let Some(before) = before {
            forget(lattice, &before).await?;
        }
        // Another deployer that replaced or removed an application may not have seen yet that this one shares its
        // bytes.
        put_blobs(lattice, &blobs).await?;
        // A deployer that replaced this application meanwhile may have removed its bytes before they were put again.
        let now = application(lattice, &record.name).await?;
        if now.is_none_or(|now| now.revision > revision && now.record != record) {
            forget(lattice, &record).await?;
        }
        Ok(revision)
    }
}

/// A record as it is put in a lattice. Nobody but its user can read one that is not on NATS.
fn seal_for(
    lattice: &dyn Lattice,
    record: AppRecord,
    seal_key: Option<&SealKey>,
) -> Result<AppRecord, SealingError> {
    let needs_key = surroundings(lattice) == Surroundings::Lattice;
    sealing::seal(record, lattice.name(), seal_key, needs_key)
}

/// Puts a record in the place of whatever is there, which is returned, too: of two who deploy at the same time, each
/// knows what it replaced.
async fn put_in_place(
    lattice: &dyn Lattice,
    name: &str,
    value: &[u8],
    member: Option<&MemberKey>,
) -> Result<(u64, Option<AppRecord>), LatticeError> {
    let key = key(APPS, name);
    let place = RecordPlace {
        lattice: lattice.name(),
        key: &key,
    };
    let mut tries = 0;
    loop {
        let before = lattice.get(&key).await?;
        let expect = (before.as_ref()).map_or(Expect::Absent, |e| Expect::Revision(e.revision));
        let value = seal_after(member, place, before.as_ref(), value);
        match lattice.put(&key, value.into(), expect).await {
            Ok(revision) => {
                let before = before.as_ref().and_then(read::<Option<AppRecord>>);
                return Ok((revision, before.flatten()));
            }
            Err(LatticeError::Conflict { .. }) if tries < MOST_TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

/// A path as other hosts are told it.
fn text(path: PathBuf) -> Result<String, PutError> {
    path.into_os_string()
        .into_string()
        .map_err(|path| PutError::NotText(path.into()))
}

async fn put_blobs(
    lattice: &dyn Lattice,
    blobs: &BTreeMap<String, Bytes>,
) -> Result<(), LatticeError> {
    for (digest, bytes) in blobs {
        lattice.put_blob(digest, bytes.clone()).await?;
    }
    Ok(())
}

/// The programs of an application's providers.
pub(crate) fn programs_of(loaded: &Loaded) -> Vec<(&str, SuppliedProgram)> {
    let program = |part: &ProviderSource| match part {
        ProviderSource::Program(program) => Some(SuppliedProgram {
            path: program.path.clone(),
            digest: program.digest.clone(),
            description: Some(program.description.clone()),
        }),
        ProviderSource::V1(part) => match &part.source {
            V1Source::Archive(path, digest) => Some(SuppliedProgram {
                path: path.clone(),
                digest: digest.clone(),
                description: None,
            }),
            V1Source::Lattice(_) => None,
        },
        ProviderSource::InHost(_) | ProviderSource::OwnProcess(_) => None,
    };
    let parts = loaded.named_parts();
    parts
        .filter_map(|(name, part)| Some((name, program(part.provider()?)?)))
        .collect()
}

async fn read_program(program: &SuppliedProgram) -> Result<Bytes, PutError> {
    let path = || program.path.clone();
    let bytes = tokio::fs::read(&program.path).await;
    let bytes = bytes.map_err(|why| PutError::Program { path: path(), why })?;
    if artifact::digest(&bytes) != program.digest {
        return Err(PutError::Changing(path()));
    }
    Ok(bytes.into())
}

async fn size_of(program: &SuppliedProgram) -> Result<u64, PutError> {
    let file = tokio::fs::metadata(&program.path).await;
    let file = file.map_err(|why| PutError::Program {
        path: program.path.clone(),
        why,
    })?;
    Ok(file.len())
}

/// Deletes the bytes that an application had and that no application has now.
async fn forget(lattice: &dyn Lattice, gone: &AppRecord) -> Result<(), LatticeError> {
    let all = applications(lattice).await?;
    let used: BTreeSet<_> = all
        .iter()
        .flat_map(|other| digests(&other.record))
        .collect();
    for digest in digests(gone).filter(|digest| !used.contains(digest)) {
        lattice.delete_blob(digest).await?;
    }
    Ok(())
}

/// The digests of an application's bytes.
fn digests(record: &AppRecord) -> impl Iterator<Item = &String> {
    let programs = record.programs.values().map(|program| &program.digest);
    record.images.values().chain(programs)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// Removes an application; false if there is none of this name. With a key a record stays that says so, for anybody who can
/// write to the lattice can remove an entry, and hosts that look at signatures do not act on that.
///
/// # Errors
///
/// The records of the lattice.
pub async fn delete_application(
    lattice: &dyn Lattice,
    name: &str,
    member: Option<&MemberKey>,
) -> Result<bool, LatticeError> {
    let Some(desired) = application(lattice, name).await? else {
        let hosts = hosts(lattice).await?;
        if !hosts.iter().any(|host| host.apps.contains_key(name)) {
            return Ok(false);
        }
        // The lattice has lost it. Hosts end what somebody has removed, and nothing else, so something is put for that.
        let (revision, _) = put_in_place(lattice, name, b"null", member).await?;
        if member.is_none() {
            let expect = Expect::Revision(revision);
            lattice.delete(&key(APPS, name), expect).await?;
        }
        return Ok(true);
    };
    match member {
        Some(member) => drop(put_in_place(lattice, name, b"null", Some(member)).await?),
        None => lattice.delete(&key(APPS, name), Expect::Any).await?,
    }
    forget(lattice, &desired.record).await?;
    Ok(true)
}

/// The application of this name.
///
/// # Errors
///
/// The records of the lattice.
pub async fn application(
    lattice: &dyn Lattice,
    name: &str,
) -> Result<Option<Desired>, LatticeError> {
    let entry = lattice.get(&key(APPS, name)).await?;
    Ok(entry.and_then(|entry| Desired::of(&entry)))
}

/// All applications, by name.
///
/// # Errors
///
/// The records of the lattice.
pub async fn applications(lattice: &dyn Lattice) -> Result<Vec<Desired>, LatticeError> {
    let entries = lattice.list(APPS).await?;
    let mut all: Vec<_> = entries.iter().filter_map(Desired::of).collect();
    all.sort_by(|a, b| a.record.name.cmp(&b.record.name));
    Ok(all)
}

/// Where an application runs.
///
/// # Errors
///
/// The records of the lattice.
pub async fn deployment(
    lattice: &dyn Lattice,
    name: &str,
) -> Result<Option<Deployment>, LatticeError> {
    let entry = lattice.get(&key(DEPLOYMENTS, name)).await?;
    Ok(entry.and_then(|entry| read(&entry)))
}

/// All hosts, by name.
///
/// # Errors
///
/// The records of the lattice.
pub async fn hosts(lattice: &dyn Lattice) -> Result<Vec<HostRecord>, LatticeError> {
    let entries = lattice.leases(HOSTS).await?;
    let mut all: Vec<HostRecord> = entries.iter().filter_map(read).collect();
    all.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(all)
}

/// An application as it is to be desired: as `record` says, with its secret values, and with more changes of its links.
/// `current` is what the record declares with all its changes so far.
///
/// # Errors
///
/// If one of them cannot be made.
pub fn with_changes(
    record: &AppRecord,
    current: &Application,
    changes: Vec<LinkChange>,
) -> Result<AppRecord, ChangeError> {
    let (mut record, mut application) = (record.clone(), current.clone());
    for change in changes {
        change.apply(&mut application)?;
        links::add(&mut record.changes, change);
    }
    Ok(record)
}

/// Puts an application whose links were changed since it was found as it was at `revision`; returns its new
/// revision. `record` has its secret values, which are sealed by `seal_key`; it is signed by `member`, if there is one.
///
/// # Errors
///
/// [`LatticeError::Conflict`], in a [`PutError`], if it was changed meanwhile; if secret values cannot be sealed; or if it is
/// to be signed, and nobody who may has signed what it was made of.
pub async fn put_changed(
    lattice: &dyn Lattice,
    record: &AppRecord,
    revision: u64,
    member: Option<&MemberKey>,
    seal_key: Option<&SealKey>,
) -> Result<u64, PutError> {
    let record = seal_for(lattice, record.clone(), seal_key)?;
    let (key, value) = (key(APPS, &record.name), write(&record)?);
    let place = RecordPlace {
        lattice: lattice.name(),
        key: &key,
    };
    let mut before = None;
    if let Some(member) = member {
        // If it is another one meanwhile, it is not replaced.
        before = lattice.get(&key).await?;
        let trust = TrustRoot::new(member.root());
        let value = before.as_ref().map_or(&[][..], |entry| &entry.value);
        trust.open(value, place, Role::Deployer, millis() / 1_000)?;
    }
    let value = seal_after(member, place, before.as_ref(), &value);
    let put = lattice.put(&key, value.into(), Expect::Revision(revision));
    Ok(put.await?)
}

/// The surroundings of the hosts of a lattice.
pub fn surroundings(lattice: &dyn Lattice) -> Surroundings {
    match lattice.is_shared() {
        true => Surroundings::Lattice,
        false => Surroundings::Alone,
    }
}

/// The bytes of an application's components, and what its programs are said to be. Components in `known`, by digest,
/// are not fetched. The programs have the paths that they were put from, which say nothing of this machine.
///
/// # Errors
///
/// Returns the lattice's errors, and one if some bytes are missing.
pub async fn fetch(
    lattice: &dyn Lattice,
    record: &AppRecord,
    known: &BTreeMap<String, Arc<[u8]>>,
) -> Result<Supplied, FetchError> {
    let mut supplied = Supplied::default();
    for (provider, program) in &record.programs {
        let program = SuppliedProgram {
            path: PathBuf::from(&program.path),
            digest: program.digest.clone(),
            description: program.description.clone(),
        };
        supplied.programs.insert(provider.clone(), program);
    }
    for (component, digest) in &record.images {
        let bytes = match known.get(digest) {
            Some(bytes) => bytes.clone(),
            None => match lattice.blob(digest).await? {
                Some(blob) => Arc::from(&*blob),
                None => {
                    let (component, digest) = (component.clone(), digest.clone());
                    return Err(FetchError::NoBytes { component, digest });
                }
            },
        };
        supplied.components.insert(component.clone(), bytes);
    }
    Ok(supplied)
}

/// How the links of an application are to be made, for a host of its own in these surroundings.
pub fn link_options(record: &AppRecord, surroundings: Surroundings) -> LinkOptions {
    LinkOptions {
        host: withe_runtime::host_interfaces(),
        called: Vec::new(),
        defaults: record.defaults(),
        placement: Placement {
            surroundings,
            ..Placement::default()
        },
    }
}

/// Loads an application as it is desired, with the changes of its links. `record` has its secret values; one that was not
/// [opened](sealing::open) is loaded with masks in their places.
///
/// # Errors
///
/// If one of the changes cannot be made.
pub fn load(
    record: &AppRecord,
    supplied: &Supplied,
    registry: &Registry,
) -> Result<Loaded, ChangeError> {
    let mut parsed = withe_manifest::parse(&record.manifest);
    if let Some(application) = &mut parsed.application {
        for change in &record.changes {
            change.apply_again(application)?;
        }
    }
    let source = SourceText {
        path: PathBuf::from(&record.file),
        text: record.manifest.clone(),
    };
    let folder = Path::new(&record.folder);
    Ok(load_supplied(source, parsed, folder, supplied, registry))
}

impl AppRecord {
    /// The defaults of links that say nothing.
    pub fn defaults(&self) -> LinkDefaults {
        LinkDefaults {
            binding: self.binding,
            scope: self.scope,
            missing: self.missing,
            apart: self.apart,
        }
    }
}

impl Desired {
    /// The application of an entry; `None` if it was removed, or the entry has none of its key's name.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let record = read::<Option<AppRecord>>(entry)??;
        if key(APPS, &record.name) != entry.key {
            tracing::warn!(
                key = entry.key,
                "the application is `{}`, and ignored",
                record.name
            );
            return None;
        }
        Some(Self {
            record,
            revision: entry.revision,
            deployer: None,
            declared: OnceLock::new(),
        })
    }

    /// Whether `other` was put with this one, and told again since.
    pub(crate) fn is_same_put(&self, other: &Self) -> bool {
        let is_same = (self.revision, &self.deployer) == (other.revision, &other.deployer);
        // Revisions alone do not tell: a lattice that has lost its data counts anew.
        is_same && self.record == other.record
    }

    /// The record's declarations: read on this host, or else parsed once.
    pub(crate) fn declared(&self, library: &Library) -> Arc<Declared> {
        let declared = || match library.find(&self.record) {
            Some(loaded) => Declared {
                application: loaded.application.clone(),
                problems: Vec::new(),
            },
            None => Declared::parse(&self.record),
        };
        self.declared.get_or_init(|| Arc::new(declared())).clone()
    }
}

impl Declared {
    fn parse(record: &AppRecord) -> Self {
        let mut application = withe_manifest::parse(&record.manifest).application;
        let changes = record.changes.iter();
        let problems = application.as_mut().map(|application| {
            changes
                .filter_map(|change| change.apply_again(application).err())
                .collect()
        });
        Self {
            application: application.map(Arc::new),
            problems: problems.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use withe_lattice::Embedded;

    use super::*;

    /// An application of one component with these bytes, in this folder.
    fn loaded(bytes: &str, folder: &Path) -> Loaded {
        let manifest = "
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: shop}
spec:
  components:
    - {name: shop, type: component, properties: {image: ./shop.wasm}}
";
        let source = SourceText {
            path: "shop.yaml".into(),
            text: manifest.into(),
        };
        let parsed = withe_manifest::parse(manifest);
        let component = wat::parse_str(format!(r#"(component (@custom "n" "{bytes}"))"#)).unwrap();
        let supplied = Supplied {
            components: [("shop".to_owned(), component.into())].into(),
            ..Supplied::default()
        };
        let registry = Registry::new(&[]).unwrap();
        load_supplied(source, parsed, folder, &supplied, &registry)
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_path_that_is_no_text_changes_nothing() {
        use std::os::unix::ffi::OsStrExt as _;

        let lattice = Embedded::in_memory("l").unwrap();
        let defaults = LinkDefaults::default();
        let good = loaded("a", Path::new("/shop"));
        let revision = put_application(&lattice, &good, &defaults, None, None)
            .await
            .unwrap();
        let folder = std::ffi::OsStr::from_bytes(b"/sh\xffp");
        let bad = loaded("b", Path::new(folder));
        let error = put_application(&lattice, &bad, &defaults, None, None).await;
        assert!(matches!(error, Err(PutError::NotText(_))), "{error:?}");
        let kept = application(&lattice, "shop").await.unwrap().unwrap();
        assert_eq!((kept.revision, &*kept.record.folder), (revision, "/shop"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_those_who_deploy_at_once_nothing_is_left_but_the_last() {
        let lattice = Embedded::in_memory("l").unwrap();
        let puts = (0..16).map(|i| {
            let lattice = lattice.clone();
            tokio::spawn(async move {
                let loaded = loaded(&i.to_string(), Path::new("/shop"));
                let defaults = LinkDefaults::default();
                put_application(&lattice, &loaded, &defaults, None, None)
                    .await
                    .unwrap();
                loaded.parts[0].component().unwrap().digest.to_owned()
            })
        });
        let digests: Vec<_> = join_all(puts)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let last = application(&lattice, "shop").await.unwrap().unwrap();
        for digest in digests {
            let is_there = lattice.blob(&digest).await.unwrap().is_some();
            assert_eq!(is_there, last.record.images["shop"] == digest, "{digest}");
        }
    }
}
