//! `withe pull`: fetches a component, a provider or an application from a registry.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use serde::Serialize;
use withe_oci::{Content, FileKind, Locking, Reference, Wanted};

use super::push::reference;
use super::registry_args::RegistryArgs;
use crate::Outcome;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  withe pull ghcr.io/example/cart:1.0.0                 to cart.wasm
  withe pull ghcr.io/example/cart:1.0.0 -o build/c.wasm
  withe pull ghcr.io/example/shop:1.0.0                 an application, to the folder shop
  withe pull ghcr.io/example/cart@sha256:…              from the cache, if it was pulled before";

/// Fetch a component, a provider or an application from a registry.
///
/// What comes is checked against its digest, and kept in the cache: the same digest comes from there the next time, without
/// the registry. Prints the reference with the digest, for manifests.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What: `REGISTRY/REPOSITORY`, with `:TAG`, `@DIGEST` or both.
    #[arg(value_name = "REFERENCE", value_parser = reference)]
    reference: Reference,
    /// The file, or for an application the folder, that it is put in; if not given, named by the repository.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Replace what is there.
    #[arg(short, long)]
    force: bool,
    /// Print what was pulled as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registries: RegistryArgs,
}

#[derive(Serialize)]
struct PulledJson {
    reference: String,
    /// Of the artefact.
    digest: String,
    kind: &'static str,
    /// Of the component or provider.
    content: Option<String>,
    /// The fingerprint of the key that it is signed with, if it had to be signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<String>,
    path: PathBuf,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let wanted = Wanted {
        reference: args.reference.clone(),
        locking: Locking::Unlocked,
    };
    let mut results = args.registries.images().pull(&[wanted]);
    let pulled = match results.pop() {
        Some(Ok(pulled)) => pulled,
        Some(Err(error)) => {
            let help = error.help().map(|help| format!("\n{help}"));
            bail!(
                "`{}` is not pulled: {error}{}",
                args.reference,
                help.unwrap_or_default()
            );
        }
        None => bail!("nothing was asked for"),
    };
    let short = args.reference.short_name();
    let (kind, content, path) = match &pulled.content {
        Content::File {
            kind,
            digest,
            bytes,
        } => {
            let (kind, name, mode) = match kind {
                FileKind::Component => ("component", format!("{short}.wasm"), 0o644),
                FileKind::Archive => ("archive", format!("{short}.par.gz"), 0o644),
                FileKind::Program => ("program", short.to_owned(), 0o755),
            };
            let path = args.output.clone().unwrap_or_else(|| name.into());
            write(&path, bytes, mode, args.force)?;
            (kind, Some(digest.clone()), path)
        }
        Content::Application { manifest, files } => {
            let folder = args.output.clone().unwrap_or_else(|| short.into());
            let images = folder.join("images");
            fs::create_dir_all(&images)
                .with_context(|| format!("`{}` cannot be made", images.display()))?;
            // The manifest last: when it is there, all of it is.
            for file in files {
                let mode = match file.kind {
                    FileKind::Program => 0o755,
                    FileKind::Component | FileKind::Archive => 0o644,
                };
                write(&folder.join(&file.path), &file.bytes, mode, args.force)?;
            }
            let path = folder.join("manifest.yaml");
            write(&path, manifest.as_bytes(), 0o644, args.force)?;
            ("application", None, path)
        }
    };
    let reference = args.reference.pinned(&pulled.digest).to_string();
    if args.json {
        terminal.print_json(&PulledJson {
            reference,
            digest: pulled.digest.clone(),
            kind,
            content,
            signed_by: pulled.signed_by,
            path,
        })?;
    } else {
        let signed = (pulled.signed_by.as_ref())
            .map(|fingerprint| format!(", signed with the key {fingerprint}"))
            .unwrap_or_default();
        terminal.say(&format!("{kind} in {}{signed}\n", path.display()));
        terminal.print(&format!("{reference}\n"))?;
    }
    Ok(Outcome::Done)
}

/// Writes a file, whole or not at all. One that has other bytes is replaced only with `force`.
fn write(path: &Path, bytes: &[u8], mode: u32, force: bool) -> anyhow::Result<()> {
    let shown = path.display();
    if !force && path.exists() {
        if fs::read(path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        bail!(
            "`{shown}` is there, and is something else: `--force` replaces it, `-o PATH` leaves it"
        );
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
        .with_context(|| format!("`{shown}` cannot be written"))?;
    file.write_all(bytes)
        .and_then(|()| (file.as_file()).set_permissions(fs::Permissions::from_mode(mode)))
        .with_context(|| format!("`{shown}` cannot be written"))?;
    file.persist(path)
        .map_err(|error| anyhow!("`{shown}` cannot be written: {error}"))?;
    Ok(())
}
