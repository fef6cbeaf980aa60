//! Packages of several trees made one, with one version of WASI 0.2, and printed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, anyhow, bail};
use semver::Version;
use wit_component::WitPrinter;
use wit_parser::{PackageId, PackageName, Resolve, WorldItem, WorldKey};

use crate::usage::Expected;

/// Packages of a tree that somebody requested.
#[derive(Clone, Debug)]
pub(crate) struct Selected {
    pub(crate) resolve: Resolve,
    pub(crate) packages: Vec<PackageId>,
    /// The packages of the tree that are all there: of others it has the part that is used.
    pub(crate) whole: BTreeSet<PackageId>,
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
/// of WASI 0.2 in two versions; if something has no words in WIT. Where two trees have an interface of one name of which neither is
/// whole, their functions are put together, and a type is that of the first.
pub(crate) fn texts(
    selected: Vec<Selected>,
    wasi: &Version,
) -> anyhow::Result<BTreeMap<String, String>> {
    withe_wit::guarded(|| merged(selected, wasi)).context("the packages do not go together")?
}

/// A package that is whole, as it has to stay.
struct Whole {
    text: String,
    /// The version that it had before all of WASI 0.2 was given one.
    version: Option<Version>,
}

fn merged(mut selected: Vec<Selected>, wasi: &Version) -> anyhow::Result<BTreeMap<String, String>> {
    // Packages that use others come behind those already.
    selected.sort_by_key(|selected| selected.whole.is_empty());
    let mut all = Resolve {
        all_features: true,
        ..Resolve::default()
    };
    let mut wanted = BTreeSet::new();
    let mut wholes: BTreeMap<String, Whole> = BTreeMap::new();
    for Selected {
        mut resolve,
        packages,
        whole,
    } in selected
    {
        let who: Vec<_> = packages
            .iter()
            .map(|id| format!("`{}`", resolve.packages[*id].name))
            .collect();
        let who = who.join(", ");
        let is_kept = used(&resolve, &packages);
        let versions: Vec<_> = (resolve.packages.iter())
            .map(|(id, package)| (id, package.name.version.clone()))
            .collect();
        one_wasi(&mut resolve, &is_kept, wasi)?;
        let named = |id: PackageId| resolve.packages[id].name.to_string();
        wanted.extend(is_kept.iter().map(|id| named(*id)));
        let mut own = BTreeMap::new();
        for (id, version) in versions {
            let text = match whole.contains(&id) {
                true => Some(print(&resolve, id)?),
                false => None,
            };
            own.insert(named(id), (version, text));
        }
        all.merge(resolve).with_context(|| {
            format!("{who} has another interface than the rest under one name and version")
        })?;
        for (name, (version, own)) in own {
            let known = wholes.get(&name);
            if known.is_none() && own.is_none() {
                continue;
            }
            let id = all
                .package_names
                .iter()
                .find(|(n, _)| n.to_string() == name);
            let (_, id) = id.with_context(|| format!("`{name}` was lost"))?;
            let text = print(&all, *id)?;
            let is_newer = known.is_some_and(|known| {
                // All of WASI 0.2 is one here, and a newer one has more.
                known.version < version && name.starts_with("wasi:")
            });
            let has_to_be = known.map(|known| &known.text).or(own.as_ref());
            if !is_newer && has_to_be.is_some_and(|has_to_be| *has_to_be != text) {
                let who = match known {
                    Some(_) => &who,
                    None => "another package",
                };
                bail!(
                    "{who} uses a `{name}` that is not the one of its registry, or of Withe; whoever publishes {who} has to build it \
                     with that one"
                );
            }
            if known.is_none() || is_newer {
                wholes.insert(name, Whole { text, version });
            }
        }
    }
    let mut texts = BTreeMap::new();
    for (id, package) in &all.packages {
        let name = package.name.to_string();
        if wanted.contains(&name) {
            texts.insert(name, print(&all, id)?);
        }
    }
    Ok(texts)
}

/// Gives all of WASI 0.2 one version among the packages that are kept.
fn one_wasi(
    resolve: &mut Resolve,
    is_kept: &BTreeSet<PackageId>,
    wasi: &Version,
) -> anyhow::Result<()> {
    let mut before = BTreeMap::new();
    for id in is_kept {
        let name = &mut resolve.packages[*id].name;
        if name.namespace == "wasi" && name.version.as_ref().is_some_and(is_wasi_line) {
            let was = name.to_string();
            name.version = Some(wasi.clone());
            if let Some(other) = before.insert(name.to_string(), was.clone()) {
                bail!(
                    "one tree of packages has both `{other}` and `{was}`, and all of WASI 0.2 is one version here: whoever publishes it \
                     has to build it with one of them"
                );
            }
        }
    }
    let mut names = resolve.package_names.clone();
    names.clear();
    for (id, package) in &resolve.packages {
        if names.insert(package.name.clone(), id).is_some() {
            // One that nothing uses has the version already.
            bail!(
                "one tree of packages has `{}` besides another version of it that it uses: whoever publishes it has to build it with \
                 one of them",
                package.name
            );
        }
    }
    resolve.package_names = names;
    Ok(())
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
