//! What is desired of a lattice: applications, put and changed by whoever may.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use withe_lattice::{Entry, Expect, Lattice, LatticeError};
use withe_linker::input::{Application, LinkDefaults, Part, Placement, Surroundings};
use withe_wit::InterfaceName;

use super::links::{self, ChangeError, LinkChange};
use super::records::{
    APPS, AppRecord, DEPLOYMENTS, Deployment, HOSTS, HostRecord, ProgramRecord, key, read, write,
};
use crate::load::{
    LoadOptions, Loaded, Registry, SourceText, Supplied, SuppliedProgram, V1Source, artifact,
    load_supplied,
};

/// An application in the lattice.
#[derive(Clone, Debug)]
pub struct Desired {
    /// What is desired.
    pub record: AppRecord,
    /// The entry's revision.
    pub revision: u64,
}

/// Why an application cannot be put in the lattice.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The lattice failed.
    #[error(transparent)]
    Lattice(#[from] LatticeError),
    /// The program of a provider cannot be put there.
    #[error("the provider's program `{}` cannot be put in the lattice: {why}", path.display())]
    Program {
        /// Its file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
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

/// Puts an application that was loaded without errors in the lattice, in the place of one of the same name;
/// returns its revision. Changes of the links of that one are forgotten.
///
/// The programs of its providers are put there, too, if the lattice is of many machines.
///
/// # Errors
///
/// Those of the lattice, or if a program cannot be read.
pub async fn put_application(lattice: &dyn Lattice, loaded: &Loaded) -> Result<u64, PutError> {
    let Some(inputs) = &loaded.inputs else {
        return Err(LatticeError::Invalid("the application has errors".into()).into());
    };
    let before = application(lattice, &inputs.application.name.value).await?;
    let mut blobs = BTreeMap::new();
    let mut images = BTreeMap::new();
    let parts = inputs.application.components.iter().zip(&inputs.parts);
    for ((component, part), bytes) in parts.zip(&loaded.bytes) {
        if let (Part::Component { digest, .. }, Some(bytes)) = (part, bytes) {
            blobs.insert(digest.clone(), Bytes::from_owner(bytes.clone()));
            images.insert(component.name.value.clone(), digest.clone());
        }
    }
    let mut programs = BTreeMap::new();
    if surroundings(lattice) == Surroundings::Lattice {
        for (name, program) in programs_of(loaded) {
            let bytes = read_program(&program).await?;
            let record = ProgramRecord {
                size: bytes.len() as u64,
                path: absolute(&program.path),
                digest: program.digest,
                description: program.description,
            };
            blobs.insert(record.digest.clone(), bytes);
            programs.insert(name.to_owned(), record);
        }
    }
    put_blobs(lattice, &blobs).await?;
    let folder = match loaded.folder.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => loaded.folder.clone(),
    };
    let record = AppRecord {
        name: inputs.application.name.value.clone(),
        manifest: loaded.source.text.clone(),
        file: loaded.source.path.display().to_string(),
        folder: absolute(&folder).display().to_string(),
        images,
        programs,
        binding: inputs.defaults.binding,
        scope: inputs.defaults.scope,
        changes: Vec::new(),
    };
    let revision = lattice
        .put(&key(APPS, &record.name), write(&record), Expect::Any)
        .await?;
    if let Some(before) = before {
        forget(lattice, &before.record).await?;
    }
    // Whoever replaced or removed another application may not have seen yet that this one has the same bytes.
    put_blobs(lattice, &blobs).await?;
    Ok(revision)
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
fn programs_of(loaded: &Loaded) -> Vec<(&str, SuppliedProgram)> {
    let programs = loaded.programs.iter().map(|(name, program)| {
        let program = SuppliedProgram {
            path: program.path.clone(),
            digest: program.digest.clone(),
            description: Some(program.description.clone()),
        };
        (name.as_str(), program)
    });
    let archives = loaded
        .wasmcloud
        .iter()
        .filter_map(|(name, part)| match &part.source {
            V1Source::Archive(path, digest) => Some((
                name.as_str(),
                SuppliedProgram {
                    path: path.clone(),
                    digest: digest.clone(),
                    description: None,
                },
            )),
            V1Source::Lattice(_) => None,
        });
    programs.chain(archives).collect()
}

async fn read_program(program: &SuppliedProgram) -> Result<Bytes, PutError> {
    let failed = |why: String| PutError::Program {
        path: program.path.clone(),
        why,
    };
    let bytes = tokio::fs::read(&program.path).await;
    let bytes = bytes.map_err(|e| failed(format!("it cannot be read: {e}")))?;
    if artifact::digest(&bytes) != program.digest {
        return Err(failed("it was written to meanwhile; try again".into()));
    }
    Ok(bytes.into())
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

/// Removes an application; false if there is none of this name.
///
/// # Errors
///
/// Those of the lattice.
pub async fn delete_application(lattice: &dyn Lattice, name: &str) -> Result<bool, LatticeError> {
    let Some(desired) = application(lattice, name).await? else {
        return Ok(false);
    };
    lattice.delete(&key(APPS, name), Expect::Any).await?;
    forget(lattice, &desired.record).await?;
    Ok(true)
}

/// The application of this name.
///
/// # Errors
///
/// Those of the lattice.
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
/// Those of the lattice.
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
/// Those of the lattice.
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
/// Those of the lattice.
pub async fn hosts(lattice: &dyn Lattice) -> Result<Vec<HostRecord>, LatticeError> {
    let entries = lattice.leases(HOSTS).await?;
    let mut all: Vec<HostRecord> = entries.iter().filter_map(read).collect();
    all.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(all)
}

/// An application as it is to be desired: as `record` says, of which `current` is what it declares with all its
/// changes so far, and with more changes of its links.
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
/// revision.
///
/// # Errors
///
/// [`LatticeError::Conflict`] if it was changed meanwhile.
pub async fn put_changed(
    lattice: &dyn Lattice,
    record: &AppRecord,
    revision: u64,
) -> Result<u64, LatticeError> {
    let expect = Expect::Revision(revision);
    lattice
        .put(&key(APPS, &record.name), write(record), expect)
        .await
}

/// What there is around the hosts of a lattice.
pub fn surroundings(lattice: &dyn Lattice) -> Surroundings {
    match lattice.nats() {
        Some(_) => Surroundings::Lattice,
        None => Surroundings::Alone,
    }
}

/// The bytes of an application's components, and what its programs are. Those in `known`, by digest, are not
/// asked for. Programs are where they were put from.
///
/// # Errors
///
/// Those of the lattice, or if some are not there.
pub async fn fetch(
    lattice: &dyn Lattice,
    record: &AppRecord,
    known: &BTreeMap<String, std::sync::Arc<[u8]>>,
) -> Result<Supplied, FetchError> {
    let mut supplied = Supplied::default();
    for (provider, program) in &record.programs {
        let program = SuppliedProgram {
            path: program.path.clone(),
            digest: program.digest.clone(),
            description: program.description.clone(),
        };
        supplied.programs.insert(provider.clone(), program);
    }
    for (component, digest) in &record.images {
        let bytes = match known.get(digest) {
            Some(bytes) => bytes.clone(),
            None => match lattice.blob(digest).await? {
                Some(blob) => std::sync::Arc::from(&*blob),
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

/// Loads an application as it is desired, with the changes of its links, for hosts in these surroundings that give
/// components the interfaces `host`.
///
/// # Errors
///
/// If one of the changes cannot be made.
pub fn load(
    record: &AppRecord,
    supplied: &Supplied,
    registry: &Registry,
    host: &[InterfaceName],
    surroundings: Surroundings,
) -> Result<Loaded, ChangeError> {
    let options = LoadOptions {
        host: host.to_vec(),
        defaults: LinkDefaults {
            binding: record.binding,
            scope: record.scope,
        },
        placement: Placement {
            surroundings,
            ..Placement::default()
        },
        ..LoadOptions::default()
    };
    let source = SourceText {
        path: PathBuf::from(&record.file),
        text: record.manifest.clone(),
    };
    let folder = Path::new(&record.folder);
    load_supplied(
        source,
        folder,
        supplied,
        registry,
        &options,
        |application| {
            record
                .changes
                .iter()
                .try_for_each(|change| change.apply_again(application))
        },
    )
}

impl Desired {
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        Some(Self {
            record: read(entry)?,
            revision: entry.revision,
        })
    }
}
