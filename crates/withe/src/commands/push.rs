//! `withe push`: puts a component, a provider, an application or a package of WIT in a registry.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::error::ErrorKind;
use serde::Serialize;
use wit_parser::Resolve;
use withe_linker::Diagnostic;
use withe_linker::input::{Placement, Surroundings};
use withe_load::{LinkOptions, Locks, codes};
use withe_manifest::mask;
use withe_oci::{ApplicationFile, Artifact, FileKind, Reference, ReferenceError};

use super::registry_args::RegistryArgs;
use crate::Outcome;
use crate::providers;
use crate::render::diagnostics;
use crate::terminal::Terminal;
use crate::usage::{Expected, usage};

const EXAMPLES: &str = "\
Examples:
  withe push ghcr.io/example/cart:1.0.0 cart.wasm
  withe push ghcr.io/example/greeter:1.0.0 greeter.par.gz
  withe push ghcr.io/example/acme/cart:1.0.0 wit       the package of WIT in that folder
  withe push ghcr.io/example/shop:1.0.0 shop.yaml      the application and all its parts, as one
  withe push --plain-http localhost:5000 localhost:5000/cart:dev cart.wasm
  withe push ghcr.io/example/cart:1.0.0 cart.wasm --json | jq -r .digest";

/// Put a component, a provider, an application or a package of WIT in a registry.
///
/// A component has the form that `wkg` and wasmCloud give it, a provider's archive that of wasmCloud v1. An application is its
/// manifest with every component, archive and program that it names, also those that are in registries: it is checked
/// before, and `withe up oci://REFERENCE` runs it. The same files have the same digest, whoever pushes them and when.
///
/// Names and passwords are those of `docker login`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to: `REGISTRY/REPOSITORY:TAG`.
    #[arg(value_name = "REFERENCE", value_parser = reference)]
    reference: Reference,
    /// A component, a provider's archive (`.par`, `.par.gz`) or program, a manifest, or a folder with a package of WIT.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// An annotation of the artefact, such as `org.opencontainers.image.source=https://…`; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = annotation)]
    annotation: Vec<(String, String)>,
    /// Print what was pushed as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registries: RegistryArgs,
}

#[derive(Serialize)]
struct PushedJson {
    reference: String,
    digest: String,
    sent: u64,
}

/// A reference on the command line, with or without the scheme that manifests have.
pub(super) fn reference(text: &str) -> Result<Reference, ReferenceError> {
    Reference::parse(text.strip_prefix("oci://").unwrap_or(text))
}

fn annotation(text: &str) -> Result<(String, String), Expected> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(Expected("`KEY=VALUE`")),
    }
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if args.reference.digest().is_some() {
        let message = "a digest follows from what is pushed: leave out what is behind the `@`";
        return Err(usage("push", ErrorKind::ValueValidation, message));
    }
    let file = args.file.display();
    let annotations: BTreeMap<_, _> = args.annotation.iter().cloned().collect();
    let artifact = if args.file.is_dir() {
        Ok(package(args, annotations)?)
    } else {
        let bytes = fs::read(&args.file).with_context(|| format!("`{file}` cannot be read"))?;
        match FileKind::of(&bytes) {
            Some(FileKind::Component) => component(&args.file, bytes, annotations),
            Some(FileKind::Archive) => Ok(Artifact::archive(bytes.into(), annotations)),
            Some(FileKind::Program) => Ok(Artifact::program(bytes.into(), annotations)),
            None => application(args, annotations, terminal)?,
        }
    };
    let artifact = match artifact {
        Ok(artifact) => artifact,
        Err(said) => {
            terminal.say(&said.0);
            return Ok(Outcome::Problems);
        }
    };
    let pushed = args.registries.images().push(&args.reference, &artifact);
    let pushed = match pushed {
        Ok(pushed) => pushed,
        Err(error) => {
            let help = error.help().map(|help| format!("\n{help}"));
            bail!(
                "`{file}` is not pushed: {error}{}",
                help.unwrap_or_default()
            );
        }
    };
    let pinned = args.reference.pinned(&pushed.digest).to_string();
    if args.json {
        terminal.print_json(&PushedJson {
            reference: pinned,
            digest: pushed.digest,
            sent: pushed.sent,
        })?;
    } else {
        terminal.print(&format!("{pinned}\n"))?;
    }
    Ok(Outcome::Done)
}

/// An error that displays as its text.
struct Said(String);

fn component(
    path: &Path,
    bytes: Vec<u8>,
    annotations: BTreeMap<String, String>,
) -> Result<Artifact, Said> {
    let read = withe_load::Artifact::from_bytes(path, bytes);
    let read =
        read.map_err(|error| Said(diagnostics::single(&Terminal::plain(), &error.diagnostic())))?;
    let names = |items: &[withe_wit::Extern]| -> Vec<String> {
        items.iter().map(|item| item.name.clone()).collect()
    };
    let (imports, exports) = (names(&read.world.imports), names(&read.world.exports));
    let bytes = Bytes::from_owner(read.bytes);
    Ok(Artifact::component(bytes, &imports, &exports, annotations))
}

/// The WIT package in a folder, in binary form, as `wkg` has it.
fn package(args: &Args, annotations: BTreeMap<String, String>) -> anyhow::Result<Artifact> {
    let folder = args.file.display();
    let mut resolve = Resolve {
        all_features: true,
        ..Resolve::default()
    };
    let pushed = resolve.push_dir(&args.file);
    let (id, _) = pushed.with_context(|| format!("`{folder}` has no package of WIT"))?;
    let name = &resolve.packages[id].name;
    let Some(version) = &name.version else {
        bail!("`{name}` in `{folder}` has no version: write `package {name}@0.1.0;`");
    };
    // A version is looked for by its tag, which has no `+`.
    let tag = version.to_string().replace('+', "_");
    if args.reference.tag() != Some(&tag) {
        bail!("`{folder}` has `{name}`: its tag in a registry is `{tag}`");
    }
    let bytes = wit_component::encode(&resolve, id)
        .with_context(|| format!("`{name}` has no binary form"))?;
    Ok(Artifact::component(bytes.into(), &[], &[], annotations))
}

/// The application of a manifest, with all that it names.
fn application(
    args: &Args,
    annotations: BTreeMap<String, String>,
    terminal: &Terminal,
) -> anyhow::Result<Result<Artifact, Said>> {
    let images = args.registries.images();
    let registry = providers::registry()?.pulling(images, Locks::Told);
    let loaded = match withe_load::load(&args.file, &registry) {
        Ok(loaded) => loaded,
        Err(error) => {
            return Ok(Err(Said(diagnostics::single(
                terminal,
                &error.diagnostic(),
            ))));
        }
    };
    let options = LinkOptions {
        host: withe_host::host_interfaces(),
        placement: Placement {
            surroundings: Surroundings::Unknown,
            ..Placement::default()
        },
        ..LinkOptions::default()
    };
    let mut found = loaded.link(&options).diagnostics.clone();
    for (span, _) in mask::edits(loaded.manifest()) {
        let message = "a secret value would be in the registry, for all who can pull to read";
        let error = Diagnostic::error(codes::SECRETS_PUSHED, message)
            .at(Some(span), "")
            .with_help(
                "have the host fetch it: `secrets` in place of `config` (`docs/manifest.md`)",
            );
        found.push(error);
    }
    found.sort();
    let report = diagnostics::report(terminal, &loaded.source, &found, Some("nothing was pushed"));
    if found.has_errors() {
        return Ok(Err(Said(report)));
    }
    terminal.say(&report);
    let folder = tempfile::tempdir().context("there is no place for the application's copy")?;
    let manifest = withe_load::save(&loaded, folder.path())?;
    let text = fs::read_to_string(&manifest)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(folder.path().join("images"))? {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Some(kind) = FileKind::of(&bytes) else {
            bail!("`{name}` is neither a component nor a provider");
        };
        files.push(ApplicationFile {
            path: format!("images/{name}"),
            kind,
            bytes: bytes.into(),
        });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let artifact = Artifact::application(loaded.name(), text, &files, annotations)?;
    Ok(Ok(artifact))
}
