//! `withe dev`: builds and runs an application while it is worked at.
//!
//! The command is `withe up --build --watch` under a shorter name, which also finds the manifest: it has no way of its
//! own to run an application.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args as _, FromArgMatches as _};

use super::up;
use crate::Outcome;
use crate::terminal::Terminal;

/// Names of manifests that are taken before others of a folder.
const NAMES: [&str; 4] = ["app.yaml", "app.yml", "withe.yaml", "wadm.yaml"];

const EXAMPLES: &str = "\
Examples:
  withe dev                        the application in this folder
  withe dev shop.yaml --ui 7171    with a page that shows what it does
  withe dev shop -- --listen 127.0.0.1:9000";

/// Build and run an application, and do so again whenever something changes.
///
/// Builds what the manifest says how to build, runs the application until Ctrl-C, and watches the manifest, its components and
/// what they are built from. A part that changed is built and replaces what runs, while requests under way finish on the old one. A mistake
/// is reported with its place, and what runs goes on.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A manifest, a component, or a folder that has one manifest.
    #[arg(value_name = "APP|DIR", default_value = ".")]
    application: PathBuf,
    /// Serve a page at this address, or at this port of this machine, that shows what runs.
    #[arg(long, value_name = "ADDRESS")]
    ui: Option<String>,
    /// Options of `withe up`.
    #[arg(last = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let file = match args.application.is_dir() {
        true => manifest(&args.application)?,
        false => args.application.clone(),
    };
    let command = up::Args::augment_args(clap::Command::new("withe dev").no_binary_name(true));
    let mut given = vec![file.into_os_string(), "--build".into(), "--watch".into()];
    given.extend((args.ui.iter()).map(|address| format!("--ui={address}").into()));
    given.extend(args.options.iter().map(Into::into));
    let matches = command.try_get_matches_from(given);
    let up = matches.and_then(|matches| up::Args::from_arg_matches(&matches));
    match up {
        Ok(up) => up::run(&up, terminal),
        Err(error) => error.exit(),
    }
}

/// The manifest of a folder.
///
/// # Errors
///
/// If it has none, or several of which none has a usual name.
fn manifest(folder: &Path) -> anyhow::Result<PathBuf> {
    let usual = NAMES.iter().map(|name| folder.join(name));
    if let Some(usual) = usual.into_iter().find(|path| path.is_file()) {
        return Ok(usual);
    }
    let entries =
        fs::read_dir(folder).with_context(|| format!("`{}` cannot be read", folder.display()))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    found.retain(|path| is_manifest(path));
    found.sort();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => bail!(
            "`{}` has no manifest of an application, such as `app.yaml`; `withe new NAME --template application` makes one",
            folder.display()
        ),
        several => {
            let names: Vec<_> = several
                .iter()
                .map(|path| format!("`{}`", path.display()))
                .collect();
            bail!(
                "`{}` has several manifests: name one of {}",
                folder.display(),
                names.join(", ")
            )
        }
    }
}

fn is_manifest(path: &Path) -> bool {
    let is_yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    is_yaml && fs::read_to_string(path).is_ok_and(|text| withe_load::is_manifest(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_of_a_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let write = |name: &str| fs::write(folder.join(name), "kind: Application\n").unwrap();
        fs::write(folder.join("other.yaml"), "kind: ConfigMap\n").unwrap();
        assert!(
            manifest(folder)
                .unwrap_err()
                .to_string()
                .contains("has no manifest")
        );
        write("shop.yaml");
        assert_eq!(manifest(folder).unwrap(), folder.join("shop.yaml"));
        write("cart.yml");
        assert!(
            manifest(folder)
                .unwrap_err()
                .to_string()
                .contains("several")
        );
        write("app.yaml");
        assert_eq!(manifest(folder).unwrap(), folder.join("app.yaml"));
    }
}
