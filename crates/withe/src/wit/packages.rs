//! Packages of several trees made one, with one version of WASI 0.2, and printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, anyhow, bail};
use semver::Version;
use wit_component::WitPrinter;
use wit_parser::{PackageId, PackageName, Resolve, SourceMap, WorldItem, WorldKey};

use super::views::View;
use crate::usage::Expected;

/// Packages that somebody requested, with what they use and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Selected {
    resolve: Resolve,
    packages: Vec<PackageId>,
    /// The packages that are all there: of others there is the part that is used.
    whole: BTreeSet<PackageId>,
}

/// The packages of a selection that are all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of them.
    Everything,
    /// The requested ones.
    Requested,
    /// None: a component has of each what it uses.
    Parts,
}

impl Selected {
    /// Packages of a tree. Other packages of it, such as the imports of a component that exports others, are left out, since they need
    /// not go together with what somebody else requested.
    ///
    /// # Errors
    ///
    /// If there is something that WIT has no words for.
    pub(super) fn new(
        tree: &Resolve,
        packages: &[PackageId],
        extent: Extent,
    ) -> anyhow::Result<Self> {
        withe_wit::guarded(|| Self::pruned(tree, packages, extent))?
    }

    fn pruned(tree: &Resolve, packages: &[PackageId], extent: Extent) -> anyhow::Result<Self> {
        let used = used(tree, packages);
        let texts = used.iter().map(|id| print(tree, *id));
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let (resolve, _) = parse(&texts)?;
        let packages = packages.iter().map(|id| {
            let name = &tree.packages[*id].name;
            let id = resolve.package_names.get(name).copied();
            id.with_context(|| format!("`{name}` was lost"))
        });
        let packages = packages.collect::<Result<Vec<_>, _>>()?;
        let whole = match extent {
            Extent::Everything => resolve.packages.iter().map(|(id, _)| id).collect(),
            Extent::Requested => packages.iter().copied().collect(),
            Extent::Parts => BTreeSet::new(),
        };
        Ok(Self {
            resolve,
            packages,
            whole,
        })
    }

    /// The newest release of each package of WASI 0.2 that is there in several: one that uses packages which were built with different
    /// releases has such a tree.
    pub(super) fn twice(&self) -> BTreeSet<PackageName> {
        let mut newest: BTreeMap<&str, (&PackageName, bool)> = BTreeMap::new();
        for (_, package) in &self.resolve.packages {
            let name = &package.name;
            if !is_wasi_0_2(name) {
                continue;
            }
            let known = newest.entry(&name.name).or_insert((name, false));
            if known.0 != name {
                *known = (known.0.max(name), true);
            }
        }
        let twice = newest.into_values().filter(|(_, is_twice)| *is_twice);
        twice.map(|(name, _)| name.clone()).collect()
    }

    /// The names of what was requested.
    fn who(&self) -> String {
        let names = self.packages.iter().map(|id| &self.resolve.packages[*id]);
        let names: Vec<_> = names.map(|package| format!("`{}`", package.name)).collect();
        names.join(", ")
    }
}

/// A package that is wanted, in whatever version fits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    namespace: String,
    name: String,
    version: Option<WantedVersion>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum WantedVersion {
    Exact(Version),
    /// The first numbers of it.
    Line(Vec<u64>),
}

/// A version of WASI 0.2.
pub(crate) fn wasi_version(text: &str) -> Result<Version, Expected> {
    match Version::parse(text) {
        Ok(version) if is_wasi_line(&version) => Ok(version),
        _ => Err(Expected("a release of WASI 0.2, such as `0.2.10`")),
    }
}

fn is_wasi_line(version: &Version) -> bool {
    (version.major, version.minor) == (0, 2) && version.pre.is_empty()
}

impl Wanted {
    /// Reads `wasi:http`, `wasi:http@0.2`, `wasi:keyvalue@0.2.0-draft`.
    ///
    /// # Errors
    ///
    /// If it is no name of a package.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let (package, version) = match text.split_once('@') {
            Some((package, version)) => (package, Some(version)),
            None => (text, None),
        };
        let Some((namespace, name)) = package.split_once(':') else {
            bail!(
                "`{text}` is neither the name of a package, such as `wasi:http`, nor a path, such as `./shop.yaml`"
            );
        };
        let version = version.map(|text| match Version::parse(text) {
            Ok(version) => Some(WantedVersion::Exact(version)),
            Err(_) => {
                let numbers = text.split('.').map(str::parse);
                numbers
                    .collect::<Result<_, _>>()
                    .ok()
                    .map(WantedVersion::Line)
            }
        });
        let version =
            version.map(|v| v.with_context(|| format!("`{text}` has no version of a package")));
        Ok(Self {
            namespace: namespace.into(),
            name: name.split('/').next().unwrap_or(name).into(),
            version: version.transpose()?,
        })
    }

    /// The package of a name, in its version.
    pub(crate) fn of(name: &PackageName) -> Self {
        Self {
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            version: name.version.clone().map(WantedVersion::Exact),
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The version, if it is all of one.
    pub(crate) fn exact(&self) -> Option<&Version> {
        match &self.version {
            Some(WantedVersion::Exact(version)) => Some(version),
            _ => None,
        }
    }

    /// Whether a package has the name.
    pub(crate) fn is(&self, name: &PackageName) -> bool {
        (&self.namespace, &self.name) == (&name.namespace, &name.name)
    }

    /// The one of several versions that is meant: without one, that of WASI 0.2, else the newest release, else the
    /// newest draft.
    pub(crate) fn choose<T: Copy>(&self, candidates: &[(T, &PackageName)]) -> Option<T> {
        let fits = |name: &PackageName| match (&self.version, &name.version) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(WantedVersion::Exact(wanted)), Some(version)) => {
                // WASI 0.2 is printed with any of its versions that is not newer.
                wanted == version
                    || self.namespace == "wasi"
                        && is_wasi_line(wanted)
                        && is_wasi_line(version)
                        && wanted <= version
            }
            (Some(WantedVersion::Line(numbers)), Some(version)) => {
                let own = [version.major, version.minor, version.patch];
                version.pre.is_empty() && own.starts_with(numbers)
            }
        };
        let preference = |name: &PackageName| {
            let version = name.version.clone();
            let is_release = version.as_ref().is_some_and(|v| v.pre.is_empty());
            let is_usual = self.namespace == "wasi" && version.as_ref().is_some_and(is_wasi_line);
            (is_usual, is_release, version)
        };
        let fitting = candidates.iter().filter(|(_, name)| fits(name));
        fitting
            .max_by_key(|(_, name)| preference(name))
            .map(|(id, _)| *id)
    }

    /// The version of WASI 0.2 that it names.
    pub(crate) fn wasi(&self) -> Option<&Version> {
        match &self.version {
            Some(WantedVersion::Exact(version)) if self.namespace == "wasi" => {
                Some(version).filter(|version| is_wasi_line(version))
            }
            _ => None,
        }
    }
}

/// The packages of the interfaces of a world.
pub(crate) fn of_items<'a>(
    resolve: &'a Resolve,
    items: impl IntoIterator<Item = (&'a WorldKey, &'a WorldItem)>,
) -> impl Iterator<Item = PackageId> {
    items
        .into_iter()
        .filter_map(|(key, item)| match (key, item) {
            (WorldKey::Interface(id), _) => resolve.interfaces[*id].package,
            (WorldKey::Name(_), WorldItem::Interface { id, .. }) => {
                // One that has no name of its own belongs to the world.
                let interface = &resolve.interfaces[*id];
                interface.name.as_ref().and(interface.package)
            }
            _ => None,
        })
}

/// The texts of all that is selected and of what it uses, by the packages' names. All of WASI 0.2 has the version `wasi`.
///
/// Merging trees adds to a package what another tree's view of it has besides, and compares no types, so that a package could put
/// functions into those that it uses. So what is whole is merged first, and has to stay as it is.
///
/// # Errors
///
/// If a tree has another thing than a whole package has, or one that does not fit beside those of other trees; if one has a package
/// of WASI 0.2 in two releases that is not here as a whole. Where two trees have an interface of one name of which neither is
/// whole, what they have is put together.
pub(crate) fn texts(
    selected: Vec<Selected>,
    wasi: &Version,
) -> anyhow::Result<BTreeMap<String, String>> {
    withe_wit::guarded(|| Merged::of(selected, wasi)?.texts())
        .context("the packages do not go together")?
}

/// A package that is whole, as it has to stay.
struct Whole {
    text: String,
    /// The version that it had before all of WASI 0.2 was given one.
    version: Option<Version>,
}

/// Trees that were made one.
#[derive(Default)]
struct Merged {
    all: Resolve,
    wholes: BTreeMap<PackageName, Whole>,
    /// The requests that each package is first from.
    from: BTreeMap<PackageName, String>,
}

impl Merged {
    fn of(mut selected: Vec<Selected>, wasi: &Version) -> anyhow::Result<Self> {
        // Packages that use others come behind those already.
        selected.sort_by_key(|selected| selected.whole.is_empty());
        let mut merged = Self::default();
        merged.all.all_features = true;
        for selected in selected {
            merged.merge(selected, wasi)?;
        }
        Ok(merged)
    }

    fn texts(self) -> anyhow::Result<BTreeMap<String, String>> {
        let texts = self.all.packages.iter();
        texts
            .map(|(id, package)| Ok((package.name.to_string(), print(&self.all, id)?)))
            .collect()
    }

    fn merge(&mut self, mut selected: Selected, wasi: &Version) -> anyhow::Result<()> {
        let who = selected.who();
        let versions = one_wasi(&mut selected.resolve, wasi);
        let Selected { resolve, whole, .. } = selected;
        let mut names: BTreeMap<PackageName, Vec<PackageId>> = BTreeMap::new();
        for (id, package) in &resolve.packages {
            names.entry(package.name.clone()).or_default().push(id);
        }
        let mut own = BTreeMap::new();
        for (name, ids) in names {
            let newest = ids.iter().max_by_key(|id| versions.get(id));
            let version = newest.and_then(|id| versions.get(id)).cloned();
            let is_newer = self.is_newer(&name, version.as_ref());
            for id in &ids {
                self.agree(&resolve, *id, whole.contains(id), is_newer, &who)?;
            }
            if ids.len() > 1 && (is_newer || !self.wholes.contains_key(&name)) {
                bail!(
                    "{who} uses `{}:{}` in two releases of WASI 0.2, of which the newer is not here to take the place of both",
                    name.namespace,
                    name.name
                );
            }
            let text = match ids.iter().find(|id| whole.contains(id)) {
                Some(id) => Some(print(&resolve, *id)?),
                None => None,
            };
            own.insert(name, (version, is_newer, text));
        }
        self.all.merge(resolve).with_context(|| {
            format!("{who} has another interface than the rest under one name and version")
        })?;
        for (name, (version, is_newer, own)) in own {
            let was_here = self.from.contains_key(&name);
            if !was_here {
                self.from.insert(name.clone(), who.clone());
            }
            let known = self.wholes.get(&name);
            if known.is_none() && own.is_none() {
                continue;
            }
            let text = print(&self.all, self.package(&name)?)?;
            // Types and functions are compared before; this is for all else that merging may add. A package that was not here is as its
            // tree has it, but for a world that imports two releases of one interface: it imports one now.
            let has_to_be = known.map(|known| &known.text).or(own.as_ref());
            let has_to_be = has_to_be.filter(|_| was_here && !is_newer);
            if has_to_be.is_some_and(|has_to_be| *has_to_be != text) {
                bail!(other(&who, &name, "what it has there is another"));
            }
            if known.is_none() || is_newer {
                self.wholes.insert(name, Whole { text, version });
            }
        }
        Ok(())
    }

    /// Whether a package has a newer release of WASI 0.2 than the whole one: all of it is one here, and a newer one has more.
    fn is_newer(&self, name: &PackageName, version: Option<&Version>) -> bool {
        let known = self.wholes.get(name);
        is_wasi_0_2(name) && known.is_some_and(|known| known.version.as_ref() < version)
    }

    fn package(&self, name: &PackageName) -> anyhow::Result<PackageId> {
        let id = self.all.package_names.get(name);
        id.copied().with_context(|| format!("`{name}` was lost"))
    }

    /// Sees to it that a package of a tree is the one that is here already, so far as both have it.
    fn agree(
        &self,
        resolve: &Resolve,
        package: PackageId,
        is_whole: bool,
        is_newer: bool,
        who: &str,
    ) -> anyhow::Result<()> {
        let name = &resolve.packages[package].name;
        let Some(here) = self.all.package_names.get(name) else {
            return Ok(());
        };
        let here = View {
            resolve: &self.all,
            package: *here,
        };
        let view = View { resolve, package };
        let is_bound = self.wholes.contains_key(name) && !is_newer;
        if let Some(difference) = view.differs(here, is_bound) {
            if self.wholes.contains_key(name) {
                bail!(other(who, name, difference));
            }
            let first = self.from.get(name).map_or("another", String::as_str);
            if is_whole {
                bail!(other(first, name, difference));
            }
            bail!(
                "{first} and {who} were built with different packages `{name}`: of {who}, {difference}; build both with one of them, or give \
                 one of them another version"
            );
        }
        if is_whole
            && !self.wholes.contains_key(name)
            && let Some(difference) = here.differs(view, true)
        {
            let first = self.from.get(name).map_or("another", String::as_str);
            bail!(other(first, name, difference));
        }
        Ok(())
    }
}

/// The words for a package that was built with another one than the one of that name.
fn other(who: &str, name: &PackageName, difference: impl fmt::Display) -> String {
    format!(
        "{who} uses a `{name}` that is not the one of its registry, or of Withe: {difference}; whoever publishes {who} has to build it \
         with that one"
    )
}

fn is_wasi_0_2(name: &PackageName) -> bool {
    name.namespace == "wasi" && name.version.as_ref().is_some_and(is_wasi_line)
}

/// Gives all of WASI 0.2 one version. Two releases of one package have one name then. Returns the versions from before.
fn one_wasi(resolve: &mut Resolve, wasi: &Version) -> BTreeMap<PackageId, Version> {
    let mut versions = BTreeMap::new();
    let mut names = resolve.package_names.clone();
    names.clear();
    for (id, package) in &mut resolve.packages {
        if let Some(version) = &package.name.version {
            versions.insert(id, version.clone());
        }
        if is_wasi_0_2(&package.name) {
            package.name.version = Some(wasi.clone());
        }
        names.insert(package.name.clone(), id);
    }
    resolve.package_names = names;
    versions
}

/// Packages and all that they use.
pub(super) fn used(resolve: &Resolve, packages: &[PackageId]) -> BTreeSet<PackageId> {
    let mut found = BTreeSet::new();
    let mut left = packages.to_vec();
    while let Some(id) = left.pop() {
        if found.insert(id) {
            left.extend(resolve.package_direct_deps(id));
        }
    }
    found
}

/// The text of a package.
///
/// # Errors
///
/// If it has something that WIT has no words for.
pub(crate) fn print(resolve: &Resolve, package: PackageId) -> anyhow::Result<String> {
    let mut printer = WitPrinter::default();
    printer
        .print(resolve, package, &[])
        .map_err(|error| anyhow!("`{}`: {error:#}", resolve.packages[package].name))?;
    Ok(printer.output.to_string())
}

/// Reads texts of packages, of which the last uses the others.
pub(super) fn parse(texts: &[&str]) -> anyhow::Result<(Resolve, PackageId)> {
    let read = |text: &&str| {
        let mut map = SourceMap::default();
        map.push_str("package", *text);
        map.parse()
            .map_err(|(map, error)| anyhow!(error.render(&map)))
    };
    let mut groups = texts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let main = groups.pop().context("there is no package")?;
    let mut resolve = Resolve {
        all_features: true,
        ..Resolve::default()
    };
    let pushed = resolve.push_groups(main, groups);
    let package = pushed.map_err(|error| anyhow!(error.render(&resolve.source_map)))?;
    Ok((resolve, package))
}
