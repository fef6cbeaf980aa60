//! `withe wit`: puts the WIT of what a component uses into its `wit/deps`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use semver::Version;
use serde::Serialize;
use withe_wit::World;

use super::registry_args::RegistryArgs;
use crate::Outcome;
use crate::providers;
use crate::render::table::table;
use crate::terminal::Terminal;
use crate::wit::fetch::{FetchedPackages, Fetcher};
use crate::wit::lock::{FoundPackage, PackageState, WitLock, Written};
use crate::wit::packages::{self, Wanted, wasi_version};
use crate::wit::registries::NamedPlace;
use crate::wit::sources::{self, Sources, WitRequest, is_path, listed};

const EXAMPLES: &str = "\
Examples:
  withe wit show                                  the packages that come with Withe
  withe wit add wasi:http wasi:keyvalue           to wit/deps, with all that they use
  withe wit add wasi:http --language javascript   in the version that its tools take
  withe wit add acme:cart@1 --registry acme=oci://ghcr.io/acme
                                                  from a registry, as wkg does
  withe wit add withe:messaging                   what a provider exports and calls
  withe wit add ./shop.yaml cart                  what a part of an application exports
  withe wit add cart.wasm                         what a component exports
  withe wit add                                   what the lock has, if it is not there
  withe wit update                                the same again, as it is now
  withe wit check                                 whether wit/deps is what the lock says";

/// WASI 0.2 as it is printed unless somebody says otherwise: as Withe has it.
const NEWEST: Version = Version::new(0, 2, 12);

/// The folder of a component's WIT, unless somebody says otherwise.
const DEFAULT_FOLDER: &str = "wit";

/// Put the WIT of what a component uses into its `wit/deps`.
///
/// There are the standard interfaces that Withe serves, those of its providers, and those that parts of applications export. Any other
/// package comes from the registry of its namespace, which `--registry` names, or the configuration of `wkg`. The lock
/// `wit/wit.lock` has each request, with what came of it. Anything else in `wit/deps` is left alone.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Add packages, and all that they use; without WHAT, put there again what the lock has.
    Add(AddArgs),
    /// Read all that was added again, and put it there as it is now.
    Update(UpdateArgs),
    /// Print the packages that come with Withe, or the WIT of a package, a component or a part.
    Show(ShowArgs),
    /// Say whether `wit/deps` is what the lock says.
    Check(CheckArgs),
}

#[derive(Debug, clap::Args)]
struct FolderArgs {
    /// The folder of the component's WIT.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_FOLDER)]
    wit: PathBuf,
    /// Print what was done, or found, as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct VersionArgs {
    /// The version that all of WASI 0.2 has.
    #[arg(long, value_name = "VERSION", value_parser = wasi_version, conflicts_with = "language")]
    wasi: Option<Version>,
    /// The version of WASI 0.2 that the tools of a language take.
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<Language>,
}

/// Languages of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Javascript,
    Typescript,
    Python,
    C,
    Go,
}

impl Language {
    /// The newest WASI 0.2 that its tools take.
    fn wasi(self) -> Version {
        match self {
            // componentize-js 0.23 exports `wasi:http` of this version, whatever its world says.
            Self::Javascript | Self::Typescript => Version::new(0, 2, 10),
            // They take whatever a world says.
            Self::Rust | Self::Python | Self::C | Self::Go => NEWEST,
        }
    }
}

impl VersionArgs {
    fn given(&self) -> Option<Version> {
        self.wasi
            .clone()
            .or_else(|| self.language.map(Language::wasi))
    }
}

#[derive(Debug, clap::Args)]
struct PackageRegistryArgs {
    /// The registry of a namespace's packages, or of one package: a domain that says where they are, or a registry of OCI artefacts with
    /// the beginning of the names of its repositories. The lock keeps it. May be given several times.
    #[arg(long, value_name = "NAMESPACE=DOMAIN|oci://REGISTRY/PREFIX")]
    registry: Vec<NamedPlace>,
    #[command(flatten)]
    registries: RegistryArgs,
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    /// Packages (`wasi:http`, `wasi:keyvalue@0.2.0-draft`), providers (`withe:keyvalue`) and components (`cart.wasm`); or a manifest and
    /// the names of its parts. Without it: all that was added before, packages of registries as the lock has them.
    #[arg(value_name = "WHAT")]
    what: Vec<String>,
    #[command(flatten)]
    version: VersionArgs,
    /// Replace files that somebody else put there, or changed.
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    registries: PackageRegistryArgs,
}

#[derive(Debug, clap::Args)]
struct UpdateArgs {
    #[command(flatten)]
    version: VersionArgs,
    /// Replace files that somebody else put there, or changed.
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    registries: PackageRegistryArgs,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// A package, a provider or a component; or a manifest and the name of a part. Without it: what comes with Withe.
    #[arg(value_name = "WHAT", num_args = 0..=2)]
    what: Vec<String>,
    #[command(flatten)]
    version: VersionArgs,
    /// The folder of the component's WIT, whose lock has places of packages.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_FOLDER)]
    wit: PathBuf,
    /// Print the list of packages as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registries: PackageRegistryArgs,
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    #[command(flatten)]
    folder: FolderArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    match &args.action {
        Action::Add(args) => add(args, terminal),
        Action::Update(args) => update(args, terminal),
        Action::Show(args) => show(args, terminal),
        Action::Check(args) => check(args, terminal),
    }
}

/// The requests in the words of a command line. Paths become relative to `folder`.
fn requests(what: &[String], folder: &Path) -> anyhow::Result<Vec<WitRequest>> {
    let mut requests = Vec::new();
    let mut words = what.iter().peekable();
    while let Some(word) = words.next() {
        let is_manifest = is_path(word) && !word.ends_with(".wasm");
        let from = match is_path(word) {
            true => relative(word, folder)?,
            false => word.clone(),
        };
        if !is_manifest {
            requests.push(WitRequest { from, part: None });
            continue;
        }
        let mut parts = 0;
        while let Some(part) = words.next_if(|word| !is_path(word) && !word.contains(':')) {
            parts += 1;
            requests.push(WitRequest {
                from: from.clone(),
                part: Some(part.clone()),
            });
        }
        if parts == 0 {
            bail!(
                "name the parts of `{word}` whose interfaces are wanted: `withe wit add {word} PART`"
            );
        }
    }
    Ok(requests)
}

/// A path of the command line, seen from a folder, so that it means the same wherever the component's folder is moved to
/// with what is beside it.
fn relative(path: &str, folder: &Path) -> anyhow::Result<String> {
    let path = Path::new(path);
    if path.is_absolute() {
        return Ok(path.display().to_string());
    }
    let absolute = |path: &Path| -> anyhow::Result<Vec<std::ffi::OsString>> {
        let mut parts = Vec::new();
        for part in std::path::absolute(path)?.components() {
            match part {
                std::path::Component::ParentDir => _ = parts.pop(),
                part => parts.push(part.as_os_str().to_owned()),
            }
        }
        Ok(parts)
    };
    let (path, folder) = (absolute(path)?, absolute(folder)?);
    let shared = path.iter().zip(&folder).take_while(|(a, b)| a == b).count();
    let mut relative: PathBuf = folder[shared..].iter().map(|_| "..").collect();
    relative.extend(&path[shared..]);
    match relative.starts_with("..") {
        true => Ok(relative.display().to_string()),
        false => Ok(format!("./{}", relative.display())),
    }
}

/// Where requests are read. Packages that are `locked` are fetched as they were, and others from `places`.
fn sources(
    registries: &RegistryArgs,
    folder: &Path,
    places: Vec<NamedPlace>,
    locked: FetchedPackages,
) -> anyhow::Result<Sources> {
    let images = registries.images();
    let registry = sources::pulling(providers::registry()?, images.clone());
    let fetcher = Fetcher::new(images, places, locked);
    Sources::new(registry, folder, Some(fetcher))
}

fn add(args: &AddArgs, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let folder = &args.folder.wit;
    let new = requests(&args.what, folder)?;
    // Without a lock there is nothing to put there again.
    let lock = match new.is_empty() {
        true => Some(locked(folder)?),
        false => WitLock::read(folder)?,
    };
    let named = new.iter().filter(|request| !is_path(&request.from));
    let named = named.filter_map(|request| Wanted::parse(&request.from).ok());
    let named = named.filter_map(|wanted| wanted.wasi().cloned()).min();
    let mut lock = lock.unwrap_or_else(|| WitLock::new(NEWEST));
    // A version of WASI that was named applies to all of it: two would be two sets of types.
    if let Some(wasi) = args.version.given().or(named) {
        lock.wasi = wasi;
    }
    for request in new {
        if !lock.requests.contains(&request) {
            lock.requests.push(request);
        }
    }
    lock.requests.sort();
    lock.name_places(&args.registries.registry);
    let locked = lock.fetched.clone();
    let sources = sources(&args.registries.registries, folder, lock.places()?, locked)?;
    put(lock, sources, &args.folder, args.force, terminal)
}

fn update(args: &UpdateArgs, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let folder = &args.folder.wit;
    let mut lock = locked(folder)?;
    if let Some(wasi) = args.version.given() {
        lock.wasi = wasi;
    }
    lock.name_places(&args.registries.registry);
    // All is looked for anew.
    let locked = FetchedPackages::new();
    let sources = sources(&args.registries.registries, folder, lock.places()?, locked)?;
    put(lock, sources, &args.folder, args.force, terminal)
}

fn locked(folder: &Path) -> anyhow::Result<WitLock> {
    let lock = WitLock::read(folder)?;
    lock.with_context(|| {
        format!(
            "`{}` has no `wit.lock`: `withe wit add WHAT` makes it",
            folder.display()
        )
    })
}

/// Reads all requests of a lock, and puts what comes of them into the folder.
fn put(
    mut lock: WitLock,
    mut sources: Sources,
    args: &FolderArgs,
    force: bool,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let mut selected = Vec::new();
    let mut problems = Vec::new();
    for request in &lock.requests {
        match sources.read(request) {
            Ok(found) => selected.extend(found),
            Err(error) => problems.push(format!("{request}: {error:#}")),
        }
    }
    if !problems.is_empty() {
        bail!("nothing was written:\n{}", problems.join("\n"));
    }
    let texts = packages::texts(selected, &lock.wasi)?;
    lock.fetched = sources.into_fetched();
    let written = lock.write(&args.wit, &texts, force)?;
    if args.json {
        terminal.print_json(&written)?;
        return Ok(Outcome::Done);
    }
    print_written(&written, terminal)?;
    Ok(Outcome::Done)
}

fn print_written(written: &BTreeMap<String, Written>, terminal: &Terminal) -> anyhow::Result<()> {
    for (package, state) in written {
        let state = match state {
            Written::Added => "added",
            Written::Changed => "changed",
            Written::Same => "as before",
            Written::Removed => "removed",
        };
        terminal.print(&format!("{package}: {state}\n"))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct ListedPackage {
    package: String,
    interfaces: Vec<String>,
}

fn show(args: &ShowArgs, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let here = Path::new("");
    let lock = match args.what.is_empty() {
        true => None,
        false => WitLock::read(&args.wit)?,
    };
    let mut places = match &lock {
        Some(lock) => lock.places()?,
        None => Vec::new(),
    };
    // Of two places for one name the last is taken.
    places.extend(args.registries.registry.iter().cloned());
    let locked = FetchedPackages::new();
    let mut sources = sources(&args.registries.registries, here, places, locked)?;
    let [what, rest @ ..] = &*args.what else {
        let resolve = sources.standard();
        let mut rows: Vec<_> = listed(resolve)
            .map(|(id, name)| ListedPackage {
                package: name.to_string(),
                interfaces: resolve.packages[id].interfaces.keys().cloned().collect(),
            })
            .collect();
        rows.sort_by(|a, b| a.package.cmp(&b.package));
        if args.json {
            terminal.print_json(&rows)?;
        } else {
            let rows: Vec<_> = rows
                .into_iter()
                .map(|row| [row.package, row.interfaces.join(", ")])
                .collect();
            terminal.print(&table(["PACKAGE", "INTERFACES"], &rows))?;
        }
        return Ok(Outcome::Done);
    };
    if what.ends_with(".wasm") {
        let read = withe_load::Artifact::read(Path::new(what))?;
        terminal.print(&World::wit(&read.bytes)?)?;
        return Ok(Outcome::Done);
    }
    let part = rest.first().cloned();
    if part.is_none() && is_path(what) {
        bail!("name a part of `{what}`: `withe wit show {what} PART`");
    }
    if part.is_some() && !is_path(what) {
        bail!("only a manifest has parts, and `{what}` is none");
    }
    let request = WitRequest {
        from: what.clone(),
        part,
    };
    let named = Wanted::parse(what)
        .ok()
        .and_then(|wanted| wanted.wasi().cloned());
    let wasi = args.version.given().or(named).unwrap_or(NEWEST);
    let texts = packages::texts(sources.read(&request)?, &wasi)?;
    let texts: Vec<_> = texts.into_values().collect();
    // The package that was asked for and those it uses, one after the other.
    terminal.print(&texts.join("\n"))?;
    Ok(Outcome::Done)
}

fn check(args: &CheckArgs, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let folder = &args.folder.wit;
    let found = locked(folder)?.found(folder);
    let wrong =
        |state: PackageState| matches!(state, PackageState::Changed | PackageState::Missing);
    let outcome = match found.iter().any(|package| wrong(package.state)) {
        true => Outcome::Problems,
        false => Outcome::Done,
    };
    if args.folder.json {
        terminal.print_json(&found)?;
        return Ok(outcome);
    }
    for package in &found {
        let said = match package.state {
            PackageState::Same => continue,
            PackageState::Changed => "is not what was put there",
            PackageState::Missing => "is not there",
            PackageState::Unknown => "was put there by somebody else, and is left alone",
        };
        let path = folder.join(&package.path);
        terminal.say(&format!("`{}` {said}\n", path.display()));
    }
    match outcome {
        Outcome::Done => {
            let same = found
                .iter()
                .filter(|p| p.state == PackageState::Same)
                .count();
            let packages = crate::render::units::count(same, "package", "packages");
            terminal.print(&format!("{packages} as the lock says\n"))?;
        }
        _ => {
            let is_changed = |p: &FoundPackage| p.state == PackageState::Changed;
            let force = match found.iter().any(is_changed) {
                true => " --force",
                false => "",
            };
            let option = match folder == Path::new(DEFAULT_FOLDER) {
                true => String::new(),
                false => format!(" --wit {}", folder.display()),
            };
            terminal.say(&format!(
                "`withe wit add{force}{option}` puts there what the lock has\n"
            ));
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(Into::into).collect()
    }

    #[test]
    fn words_are_packages_or_a_manifest_and_its_parts() {
        let folder = Path::new("app/wit");
        let read = |text: &str| requests(&words(text), folder);
        let found = read("wasi:http ./shop.yaml cart prices withe:keyvalue").unwrap();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "`wasi:http`",
                "`cart` of `../../shop.yaml`",
                "`prices` of `../../shop.yaml`",
                "`withe:keyvalue`"
            ]
        );
        assert_eq!(read("app/wit/x.wasm").unwrap()[0].from, "./x.wasm");
        assert_eq!(read("/a/x.wasm").unwrap()[0].from, "/a/x.wasm");
        assert!(
            read("shop.yaml")
                .unwrap_err()
                .to_string()
                .contains("name the parts")
        );
    }

    #[test]
    fn the_version_of_a_language_is_the_one_that_its_tools_take() {
        assert_eq!(Language::Typescript.wasi(), Version::new(0, 2, 10));
        assert_eq!(Language::Rust.wasi(), NEWEST);
    }
}
