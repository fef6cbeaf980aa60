//! `withe lock`: writes down what the tags of an application lead to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;
use serde::Serialize;
use withe_linker::diagnostic::Severity;
use withe_load::{Locks, codes};
use withe_oci::{LockFile, Locked, Reference};

use super::application_file::{ApplicationFile, HERE};
use super::registry_args::RegistryArgs;
use crate::Outcome;
use crate::providers;
use crate::render::diagnostics;
use crate::render::units::count;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe lock                                          the application in this folder
  withe lock shop.yaml                                what changed, and withe.lock beside it
  withe up shop.yaml --locked                         refuses what differs from it
  withe lock shop.yaml --json | jq '.[] | select(.was != null)'";

/// Write down what the tags of an application lead to: `withe.lock`, beside the manifest.
///
/// Pulls every image that the manifest names by a tag, checks it, and keeps its digest. `--locked` has other commands take
/// that and nothing else. Keep the file with the manifest. If an image cannot be pulled, nothing is written.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The manifest, or the folder that has it.
    #[arg(value_name = "APP.yaml", default_value = HERE, value_parser = ApplicationFile)]
    file: PathBuf,
    /// Print what is locked as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registries: RegistryArgs,
}

#[derive(Serialize)]
struct LockedJson<'a> {
    reference: &'a str,
    #[serde(flatten)]
    locked: &'a Locked,
    /// The digest that was locked before, if it was another one.
    was: Option<&'a str>,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let images = args.registries.images();
    let registry = providers::registry()?.pulling(images, Locks::Ignored);
    let loaded = match withe_load::load(&args.file, &registry) {
        Ok(loaded) => loaded,
        Err(error) => {
            terminal.say(&diagnostics::single(terminal, &error.diagnostic()));
            return Ok(Outcome::Problems);
        }
    };
    // Other problems, such as a component that is not built yet, are for `withe check`.
    let mut found = loaded.diagnostics.clone();
    let of_images = codes::IMAGE_NOT_FOUND.0..=codes::NOT_LOCKED.0;
    let is_of_image = |code: &str| of_images.contains(&code) || code == codes::NOT_SIGNED.0;
    let is_understood = loaded.application.is_some();
    found.0.retain(|found| {
        found.severity == Severity::Error && (!is_understood || is_of_image(found.code.0))
    });
    if found.has_errors() {
        let consequence = Some("nothing was locked");
        terminal.say(&diagnostics::report(
            terminal,
            &loaded.source,
            &found,
            consequence,
        ));
        return Ok(Outcome::Problems);
    }
    let Some(name) = args.file.file_name() else {
        bail!("`{}` is no file", args.file.display());
    };
    let name = name.to_string_lossy();
    let path = LockFile::beside(&args.file);
    let mut lock = LockFile::read(&path)?;
    let before = lock.of(&name).cloned().unwrap_or_default();
    let locked: BTreeMap<_, _> = (loaded.pulled())
        // A reference with a digest can lead to nothing else.
        .filter(|(text, _)| Reference::parse(text).is_ok_and(|r| r.digest().is_none()))
        .map(|(reference, file)| {
            let locked = Locked {
                digest: file.manifest_digest.clone(),
                content: file.digest.clone(),
                size: file.bytes.len() as u64,
                signed_by: file.signed_by.clone(),
            };
            (reference.to_owned(), locked)
        })
        .collect();
    lock.set(&name, locked.clone());
    lock.write(&path)?;
    let was = |reference: &str, locked: &Locked| {
        let was = before.get(reference).map(|before| before.digest.as_str());
        was.filter(|was| *was != locked.digest)
    };
    if args.json {
        let rows = locked.iter().map(|(reference, locked)| LockedJson {
            reference,
            locked,
            was: was(reference, locked),
        });
        terminal.print_json(&rows.collect::<Vec<_>>())?;
        return Ok(Outcome::Done);
    }
    for (reference, locked) in &locked {
        let digest = &locked.digest;
        let line = match was(reference, locked) {
            Some(was) => format!("{reference}: {digest} (was {was})\n"),
            None if before.contains_key(reference) => format!("{reference}: {digest}, as before\n"),
            None => format!("{reference}: {digest}\n"),
        };
        terminal.print(&line)?;
    }
    for reference in before.keys().filter(|key| !locked.contains_key(*key)) {
        terminal.print(&format!("{reference}: not named any more\n"))?;
    }
    let images = count(locked.len(), "image", "images");
    terminal.say(&format!("{images} in {}\n", path.display()));
    Ok(Outcome::Done)
}
