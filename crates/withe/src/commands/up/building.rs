//! Building what `withe up --build` runs, at its start and, with `--watch`, when it changes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;

use super::Args;
use super::watch::Watch;
use crate::build::build;
use crate::build::steps::{BuildStep, steps};
use crate::interrupt::Interrupts;
use crate::terminal::Terminal;

/// The steps by which the application is built. Problems in its manifest are reported by the load that runs it.
fn steps_of(args: &Args) -> Vec<BuildStep> {
    let file = &args.application.file;
    if args.application.is_component() {
        return Vec::new();
    }
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let folder = file.parent().unwrap_or(std::path::Path::new(""));
    let parsed = withe_manifest::parse(&text).application;
    parsed.map_or_else(Vec::new, |application| steps(&application, folder))
}

/// The inputs of its builds, if it is built here.
pub(super) fn inputs(args: &Args) -> BTreeSet<PathBuf> {
    match args.build {
        true => steps_of(args)
            .into_iter()
            .flat_map(|step| step.inputs)
            .collect(),
        false => BTreeSet::new(),
    }
}

/// Builds what has changed. Whether all of it is built; what failed has been said.
pub(super) async fn build_all(args: &Args, terminal: &Terminal) -> anyhow::Result<bool> {
    Ok(build(&steps_of(args), false, terminal).await.failed == 0)
}

/// Watches the manifest and what the application is made from, if that is wanted: from before it is built or read, so that
/// nothing is missed that changes meanwhile.
pub(super) fn watch(args: &Args) -> anyhow::Result<Option<Watch>> {
    let mut watch = args.watch.then(Watch::new).transpose()?;
    if let Some(watch) = &mut watch {
        watch.set(std::slice::from_ref(&args.application.file))?;
        watch.set_trees(&inputs(args))?;
    }
    Ok(watch)
}

/// Waits for a change. Whether one came, and no Ctrl-C.
pub(super) async fn changed(watch: &mut Watch) -> anyhow::Result<bool> {
    let mut interrupts = Interrupts::new().context("signals cannot be watched")?;
    tokio::select! {
        () = watch.changed() => Ok(true),
        () = interrupts.next() => Ok(false),
    }
}
