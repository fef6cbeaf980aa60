//! WIT packages from registries: which version is meant, and its bytes.
//!
//! A package in the lock is fetched again by its digest, from the cache if it is there, so that a lock gives the same files
//! everywhere. Only when the lock is renewed is a registry asked which versions it has, and what a version is.
//!
//! The registries are asked by Withe's own client of OCI artefacts. `wasm-pkg-client`, the library of `wkg`, was the other choice: see
//! `ARCHITECTURE.md`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use semver::Version;
use serde::{Deserialize, Serialize};
use wit_component::DecodedWasm;
use wit_parser::PackageName;
use withe_oci::{Content, FileKind, Images, Locking, OciError, Reference};

use super::packages::Wanted;
use super::registries::{METADATA, NamedPlace, OciPlace, PackagePlace, Wkg, of_domain};

/// The most bytes of all that a command fetches. A package of WIT has less still: see [`withe_wit::decode`].
const MOST_BYTES: u64 = 64 << 20;

/// A package that came from a registry, in the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FetchedPackage {
    /// Its name in its registry, with the tag of its version.
    pub(crate) reference: String,
    /// The digest of its manifest there.
    pub(crate) digest: String,
}

/// The packages of a lock, by their names with their versions.
pub(crate) type FetchedPackages = BTreeMap<String, FetchedPackage>;

/// Fetches packages.
pub(crate) struct Fetcher {
    images: Arc<Images>,
    /// The places that somebody named, by namespace or package.
    places: BTreeMap<String, PackagePlace>,
    /// The configuration of wkg, once it was needed.
    wkg: Option<Wkg>,
    /// The registries of domains that were asked.
    domains: HashMap<String, OciPlace>,
    /// The packages that need no asking.
    locked: FetchedPackages,
    /// The packages that were fetched.
    fetched: FetchedPackages,
    /// The things that were found for what was wanted.
    found: HashMap<Wanted, Arc<Fetched>>,
    /// The bytes that may still come.
    left: u64,
}

/// A package, or a component, that was fetched.
pub(super) struct Fetched {
    /// Its name with its version.
    pub(super) name: String,
    pub(super) decoded: DecodedWasm,
}

impl Fetcher {
    /// Fetches through `images`: what is `locked` as it was, and everything else from where it is now.
    pub(crate) fn new(
        images: Arc<Images>,
        places: impl IntoIterator<Item = NamedPlace>,
        locked: FetchedPackages,
    ) -> Self {
        let places = places.into_iter();
        Self {
            images,
            places: places.map(|named| (named.name, named.place)).collect(),
            wkg: None,
            domains: HashMap::new(),
            locked,
            fetched: BTreeMap::new(),
            found: HashMap::new(),
            left: MOST_BYTES,
        }
    }

    /// The packages that were fetched, for the lock.
    pub(crate) fn into_fetched(self) -> FetchedPackages {
        self.fetched
    }

    /// The package that is wanted.
    ///
    /// # Errors
    ///
    /// If there is none, it cannot be had, or it is nothing that is understood.
    pub(super) fn fetch(&mut self, wanted: &Wanted) -> anyhow::Result<Arc<Fetched>> {
        if let Some(found) = self.found.get(wanted) {
            return Ok(found.clone());
        }
        let found = Arc::new(self.pull(wanted)?);
        self.found.insert(wanted.clone(), found.clone());
        Ok(found)
    }

    /// Pulls the package that is wanted, and decodes it.
    fn pull(&mut self, wanted: &Wanted) -> anyhow::Result<Fetched> {
        let (name, unpinned, reference) = match self.locked(wanted) {
            Some((name, locked)) => {
                let reference = Reference::parse(&locked.reference)
                    .with_context(|| format!("`wit.lock` has `{}`", locked.reference))?;
                (name, locked.reference, reference.pinned(&locked.digest))
            }
            None => {
                let (name, reference) = self.find(wanted)?;
                (name, reference.to_string(), reference)
            }
        };
        let want = withe_oci::Wanted {
            reference: reference.clone(),
            locking: Locking::Unlocked,
        };
        let pulled = self.images.pull_at_most(want, self.left);
        let pulled = pulled.map_err(|error| match error {
            OciError::TooLarge { .. } => said(error).context(format!(
                "a command fetches up to {} MiB of WIT and components",
                MOST_BYTES >> 20
            )),
            error => said(error),
        })?;
        let Content::File {
            kind: FileKind::Component,
            bytes,
            ..
        } = pulled.content
        else {
            bail!("`{reference}` is no WebAssembly");
        };
        let package = FetchedPackage {
            reference: unpinned,
            digest: pulled.digest,
        };
        self.left = self.left.saturating_sub(bytes.len() as u64);
        let decoded = withe_wit::decode(&bytes)
            .with_context(|| format!("`{name}` of its registry cannot be read as WIT"))?;
        self.fetched.insert(name.clone(), package);
        Ok(Fetched { name, decoded })
    }

    /// The locked package that is meant.
    fn locked(&self, wanted: &Wanted) -> Option<(String, FetchedPackage)> {
        let names: Vec<_> = (self.locked.iter())
            .filter_map(|(name, package)| Some(((name, package), package_name(name)?)))
            .collect();
        let candidates = names.iter().map(|(entry, name)| (*entry, name));
        let candidates: Vec<_> = candidates.filter(|(_, name)| wanted.is(name)).collect();
        let (name, package) = wanted.choose(&candidates)?;
        Some((name.clone(), package.clone()))
    }

    /// The name and the reference of the package that is meant, as its registry has it.
    fn find(&mut self, wanted: &Wanted) -> anyhow::Result<(String, Reference)> {
        let (namespace, name) = (wanted.namespace().to_owned(), wanted.name().to_owned());
        let place = self.place(&namespace, &name)?;
        let version = match wanted.exact() {
            Some(version) => version.clone(),
            None => {
                let repository = place.reference(&namespace, &name, None)?;
                let tags = self.images.tags(&repository).map_err(said)?;
                let versions = tags.iter().filter_map(|tag| version_of(tag));
                let names: Vec<_> = versions
                    .map(|version| PackageName {
                        namespace: namespace.clone(),
                        name: name.clone(),
                        version: Some(version),
                    })
                    .collect();
                let candidates: Vec<_> = names.iter().map(|name| (name, name)).collect();
                let chosen = wanted.choose(&candidates);
                let version = chosen.and_then(|name| name.version.clone());
                version.with_context(|| {
                    let all: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                    match all.is_empty() {
                        true => format!(
                            "`{}/{}{namespace}/{name}` has no version",
                            place.registry, place.prefix
                        ),
                        false => format!("its registry has {}", all.join(", ")),
                    }
                })?
            }
        };
        // A tag has no `+`.
        let tag = version.to_string().replace('+', "_");
        let reference = place.reference(&namespace, &name, Some(&tag))?;
        Ok((format!("{namespace}:{name}@{version}"), reference))
    }

    /// The registry that has a package.
    fn place(&mut self, namespace: &str, name: &str) -> anyhow::Result<OciPlace> {
        let package = format!("{namespace}:{name}");
        let named = self.places.get(&package);
        let named = named.or_else(|| self.places.get(namespace)).cloned();
        let place = match named {
            Some(place) => Some(place),
            None => {
                let wkg = match self.wkg.take() {
                    Some(wkg) => wkg,
                    None => Wkg::read()?,
                };
                self.wkg.insert(wkg).place(namespace, name)?
            }
        };
        let domain = match place {
            Some(PackagePlace::Oci(place)) => return Ok(place),
            Some(PackagePlace::Domain(domain)) => domain,
            None => {
                let file =
                    Wkg::path().map(|path| format!(", or in `{}` as `wkg` has it", path.display()));
                bail!(
                    "no registry is known for `{namespace}`: name it by `--registry {namespace}=DOMAIN` or \
                     `--registry {namespace}=oci://REGISTRY/PREFIX`{}",
                    file.unwrap_or_default()
                );
            }
        };
        if let Some(known) = self.domains.get(&domain) {
            return Ok(known.clone());
        }
        let document = self.images.document(&domain, METADATA);
        let document = document.map_err(said).with_context(|| {
            format!("`{domain}` does not say where its packages are; `oci://REGISTRY/PREFIX` in its place does without")
        })?;
        let place = of_domain(&domain, document.as_deref())?;
        self.domains.insert(domain, place.clone());
        Ok(place)
    }
}

/// An error of a registry, with its remedy.
fn said(error: OciError) -> anyhow::Error {
    match error.help() {
        Some(help) => anyhow!("{error}; {help}"),
        None => error.into(),
    }
}

/// The version that a tag is; other tags are signatures and names such as `latest`.
fn version_of(tag: &str) -> Option<Version> {
    Version::parse(&tag.replace('_', "+")).ok()
}

/// `acme:cart@1.0.0`
fn package_name(text: &str) -> Option<PackageName> {
    let (package, version) = text.split_once('@')?;
    let (namespace, name) = package.split_once(':')?;
    Some(PackageName {
        namespace: namespace.into(),
        name: name.into(),
        version: Some(Version::parse(version).ok()?),
    })
}
