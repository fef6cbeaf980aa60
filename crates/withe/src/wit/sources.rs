//! The requests that can be made, and where their WIT comes from: trees of packages, one for each source.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};
use wit_component::DecodedWasm;
use wit_parser::{PackageId, PackageName, Resolve, WorldId};
use withe_load::{Loaded, Locks, ProviderSource, Registry};

use super::fetch::{Fetched, FetchedPackages, Fetcher};
use super::packages::{self, Extent, Selected, Wanted, parse};

/// The standard interfaces that components export, and hosts do not: they are in no text of what hosts give.
const EXPORTED: [&str; 2] = [
    "package wasi:cli@0.2.12;\n\ninterface run {\n  run: func() -> result;\n}\n",
    "package wasi:cli@0.3.0;\n\ninterface run {\n  run: async func() -> result;\n}\n",
];

/// The most packages that one request leads to.
const MOST_PACKAGES: usize = 256;

/// How first-party providers are named.
const PROVIDER: &str = "withe:";

/// Something whose WIT is wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WitRequest {
    /// A package (`wasi:http`, `wasi:keyvalue@0.2.0-draft`), a provider (`withe:keyvalue`), a component's file or a manifest; a
    /// path is relative to the folder of the WIT.
    pub(crate) from: String,
    /// A part of the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) part: Option<String>,
}

impl fmt::Display for WitRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Some(part) => write!(f, "`{part}` of `{}`", self.from),
            None => write!(f, "`{}`", self.from),
        }
    }
}

/// Whether a text is a path rather than the name of a package or a provider.
pub(crate) fn is_path(text: &str) -> bool {
    let extension = Path::new(text).extension().and_then(|e| e.to_str());
    text.contains('/') && !text.contains(':')
        || matches!(extension, Some("wasm" | "yaml" | "yml" | "json"))
}

/// Reads requests, each manifest once.
pub(crate) struct Sources {
    registry: Registry,
    /// The folder that paths are relative to.
    folder: PathBuf,
    standard: Resolve,
    /// The way to packages that do not come with this command, if there is one.
    fetcher: Option<Fetcher>,
    loaded: Vec<(PathBuf, Arc<Loaded>)>,
}

impl Sources {
    /// # Errors
    ///
    /// If the WIT that comes with this command is faulty.
    pub(crate) fn new(
        registry: Registry,
        folder: &Path,
        fetcher: Option<Fetcher>,
    ) -> anyhow::Result<Self> {
        let standard = standard(&registry)?;
        Ok(Self {
            registry,
            folder: folder.to_owned(),
            standard,
            fetcher,
            loaded: Vec::new(),
        })
    }

    /// All packages that come with this command.
    pub(crate) fn standard(&self) -> &Resolve {
        &self.standard
    }

    /// The packages that were fetched.
    pub(crate) fn into_fetched(self) -> FetchedPackages {
        self.fetcher.map(Fetcher::into_fetched).unwrap_or_default()
    }

    /// The thing that a request names: the last of the list, behind what it uses and has only a part of.
    ///
    /// # Errors
    ///
    /// If there is no such thing, or it cannot be read.
    pub(crate) fn read(&mut self, request: &WitRequest) -> anyhow::Result<Vec<Selected>> {
        if let Some(name) = request.from.strip_prefix(PROVIDER) {
            return self.provider(name).map(|found| vec![found]);
        }
        if !is_path(&request.from) {
            return self.package(&request.from);
        }
        let path = joined(&self.folder, &request.from);
        let found = match &request.part {
            Some(part) => self.part(&path, part),
            None => {
                let read = withe_load::Artifact::read(&path).map_err(|e| anyhow!(e))?;
                component(&read.bytes, &request.from)
            }
        };
        let mut all = Vec::new();
        self.push(found?, &mut BTreeSet::new(), &mut all)?;
        Ok(all)
    }

    /// Adds what a component exports, behind the packages of WASI 0.2 that it has in several releases: those take the place of its own.
    fn push(
        &mut self,
        selected: Selected,
        seen: &mut BTreeSet<String>,
        found: &mut Vec<Selected>,
    ) -> anyhow::Result<()> {
        for name in selected.twice() {
            self.used(&name, seen, found).with_context(|| {
                format!("`{name}` is there besides an older release, and takes the place of both")
            })?;
        }
        found.push(selected);
        Ok(())
    }

    /// A package that another one uses: from here, or else fetched.
    fn used(
        &mut self,
        name: &PackageName,
        seen: &mut BTreeSet<String>,
        found: &mut Vec<Selected>,
    ) -> anyhow::Result<()> {
        let wanted = Wanted::of(name);
        match self.here(&wanted) {
            Some(here) => found.push(here?),
            None => self.fetch(&wanted, seen, found)?,
        }
        Ok(())
    }

    /// A package that comes with this command, or else from its registry.
    fn package(&mut self, text: &str) -> anyhow::Result<Vec<Selected>> {
        let wanted = Wanted::parse(text)?;
        if let Some(here) = self.here(&wanted) {
            return Ok(vec![here?]);
        }
        let missing = self.missing(&wanted, text);
        if self.fetcher.is_none() {
            bail!(missing);
        }
        let mut found = Vec::new();
        self.fetch(&wanted, &mut BTreeSet::new(), &mut found)
            .context(missing)?;
        Ok(found)
    }

    /// A package that comes with this command.
    fn here(&self, wanted: &Wanted) -> Option<anyhow::Result<Selected>> {
        let packages = self.standard.packages.iter();
        let candidates = packages.filter(|(_, package)| wanted.is(&package.name));
        let candidates: Vec<_> = candidates
            .map(|(id, package)| (id, &package.name))
            .collect();
        let chosen = wanted.choose(&candidates)?;
        Some(Selected::new(&self.standard, &[chosen], Extent::Everything))
    }

    /// The words for a package that does not come with this command.
    fn missing(&self, wanted: &Wanted, text: &str) -> String {
        let names = || {
            self.standard
                .packages
                .iter()
                .map(|(_, package)| &package.name)
        };
        let versions: Vec<_> = names()
            .filter(|name| wanted.is(name))
            .map(ToString::to_string)
            .collect();
        match versions.is_empty() {
            true => format!(
                "no package `{text}` comes with Withe (`withe wit show` lists those that do)"
            ),
            false => format!(
                "no `{text}` comes with Withe, which has {}",
                versions.join(", ")
            ),
        }
    }

    /// Fetches a package, and before it what it uses: packages in binary form have only that part of others which they use.
    fn fetch(
        &mut self,
        wanted: &Wanted,
        seen: &mut BTreeSet<String>,
        found: &mut Vec<Selected>,
    ) -> anyhow::Result<()> {
        let fetcher = self.fetcher.as_mut().context("there is no way to it")?;
        let fetched = fetcher.fetch(wanted)?;
        let Fetched { name, decoded } = &*fetched;
        if !seen.insert(name.clone()) {
            return Ok(());
        }
        if seen.len() > MOST_PACKAGES {
            bail!("more than {MOST_PACKAGES} packages belong to it");
        }
        match decoded {
            DecodedWasm::Component(resolve, world) => {
                self.push(exported(resolve, *world, name)?, seen, found)
            }
            DecodedWasm::WitPackage(resolve, id) => {
                let is = resolve.packages[*id].name.to_string();
                if is != *name {
                    bail!("what its registry has as `{name}` is the package `{is}`");
                }
                let used = packages::used(resolve, &[*id]).into_iter();
                for other in used.filter(|used| used != id) {
                    let other = &resolve.packages[other].name;
                    self.used(other, seen, found)
                        .with_context(|| format!("`{name}` uses `{other}`"))?;
                }
                found.push(Selected::new(resolve, &[*id], Extent::Requested)?);
                Ok(())
            }
        }
    }

    /// The interfaces of a first-party provider.
    fn provider(&self, name: &str) -> anyhow::Result<Selected> {
        let Some(descriptor) = self.registry.get(name) else {
            let names: Vec<_> = self
                .registry
                .iter()
                .map(|d| format!("`{PROVIDER}{}`", d.name))
                .collect();
            bail!(
                "there is no provider `{name}`; there are {}",
                names.join(", ")
            );
        };
        of_provider(descriptor.wit.to_vec())
    }

    /// The interfaces that a part of an application exports.
    fn part(&mut self, path: &Path, part: &str) -> anyhow::Result<Selected> {
        let known = self.loaded.iter().find(|(known, _)| known == path);
        let loaded = match known {
            Some((_, loaded)) => loaded.clone(),
            None => {
                let read = withe_load::load(path, &self.registry);
                let read = Arc::new(read.map_err(|e| anyhow!(e))?);
                self.loaded.push((path.to_owned(), read.clone()));
                read
            }
        };
        let Some(found) = loaded.part(part) else {
            let names: Vec<_> = loaded
                .named_parts()
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            bail!(
                "`{}` has no part `{part}`; it has {}",
                path.display(),
                names.join(", ")
            );
        };
        if let Some(read) = found.component() {
            return component(read.bytes, part);
        }
        match found.provider() {
            Some(ProviderSource::InHost(descriptor) | ProviderSource::OwnProcess(descriptor)) => {
                of_provider(descriptor.wit.to_vec())
            }
            Some(ProviderSource::Program(program)) => {
                of_provider(program.description.wit.iter().map(String::as_str).collect())
            }
            Some(ProviderSource::V1(_)) => {
                bail!("`{part}` is a provider of wasmCloud v1, which does not say what it exports")
            }
            None => bail!(
                "`{part}` cannot be read: `withe check {}` says why",
                path.display()
            ),
        }
    }
}

/// `path` from `folder`, which need not be there yet.
fn joined(folder: &Path, path: &str) -> PathBuf {
    let mut joined = folder.to_owned();
    for part in Path::new(path).components() {
        let is_named = matches!(joined.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if is_named => _ = joined.pop(),
            part => joined.push(part),
        }
    }
    joined
}

/// The packages of a tree that are for components: without the worlds by which providers and the host say what they have.
pub(crate) fn listed(resolve: &Resolve) -> impl Iterator<Item = (PackageId, &PackageName)> {
    let packages = resolve.packages.iter();
    packages
        .filter(|(_, package)| !package.interfaces.is_empty())
        .map(|(id, package)| (id, &package.name))
}

/// The packages that come with this command, as one tree.
fn standard(registry: &Registry) -> anyhow::Result<Resolve> {
    let mut all = Resolve {
        all_features: true,
        ..Resolve::default()
    };
    let hosts = withe_host::HOST_WIT.iter().chain(&EXPORTED);
    let hosts = hosts.map(|text| vec![*text]);
    let providers = registry.iter().map(|descriptor| descriptor.wit.to_vec());
    for texts in hosts.chain(providers) {
        let (read, _) = parse(&texts).context("WIT that comes with this command is faulty")?;
        all.merge(read)
            .context("WIT that comes with this command does not agree with itself")?;
    }
    Ok(all)
}

/// The packages of the interfaces that a provider's world names.
fn of_provider(texts: Vec<&str>) -> anyhow::Result<Selected> {
    let (resolve, main) = parse(&texts)?;
    let mut named: Vec<PackageId> = Vec::new();
    for (_, world) in &resolve.packages[main].worlds {
        let world = &resolve.worlds[*world];
        named.extend(packages::of_items(
            &resolve,
            world.imports.iter().chain(&world.exports),
        ));
    }
    named.sort();
    named.dedup();
    Selected::new(&resolve, &named, Extent::Parts)
}

/// The packages of the interfaces that a component exports.
fn component(bytes: &[u8], name: &str) -> anyhow::Result<Selected> {
    let decoded = withe_wit::decode(bytes).with_context(|| format!("`{name}` cannot be read"))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        bail!("`{name}` is a WIT package, not a component");
    };
    exported(&resolve, world, name)
}

/// The packages of the interfaces that a world exports.
fn exported(resolve: &Resolve, world: WorldId, name: &str) -> anyhow::Result<Selected> {
    let exports = &resolve.worlds[world].exports;
    let mut named: Vec<_> = packages::of_items(resolve, exports).collect();
    named.sort();
    named.dedup();
    if named.is_empty() {
        bail!("`{name}` exports no interface that has a name");
    }
    Selected::new(resolve, &named, Extent::Parts)
}

/// The registry that reads manifests and pulls their images.
pub(crate) fn pulling(registry: Registry, images: Arc<withe_oci::Images>) -> Registry {
    registry.pulling(images, Locks::Told)
}
