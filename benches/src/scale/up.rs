//! `withe up` of large applications from a warm cache: how long until they are ready, and what they hold at rest,
//! beside an application of one component.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::generate;
use crate::{median, servers};

const SIZES: [usize; 3] = [100, 300, 1_000];

const ROUNDS: usize = 3;

/// The longest that an application may take until it is ready, components compiled.
const DEADLINE: Duration = Duration::from_secs(600);

/// How long what is freed after the start may take to be given back.
const REST: Duration = Duration::from_secs(1);

pub(crate) fn run() -> Result<()> {
    let cache = tempfile::tempdir()?;
    let folder = tempfile::tempdir()?;
    let alone = folder.path().join("alone.yaml");
    let manifest = generate::write(folder.path(), super::KINDS, super::KINDS)?;
    let one = std::fs::read_to_string(&manifest)?;
    let end = one
        .find("  - name: part1\n")
        .context("no second component")?;
    std::fs::write(&alone, &one[..end])?;
    let floor = measure(&alone, cache.path())?.mebibytes;
    println!("  up, warm cache: one component rests at {floor:.0} MiB");
    let mut growth = super::Growth::default();
    for components in SIZES {
        let manifest = generate::write(folder.path(), components, super::KINDS)?;
        let runs = (0..=ROUNDS).map(|_| measure(&manifest, cache.path()));
        // The first fills the cache.
        let runs: Vec<_> = runs.skip(1).collect::<Result<_>>()?;
        let milliseconds = median(runs.iter().map(|run| run.milliseconds).collect());
        let mebibytes = median(runs.iter().map(|run| run.mebibytes).collect());
        println!(
            "  {:<12} {components:>6} components {milliseconds:>8.0} ms {:>6.0} MiB above it   {}",
            "up",
            mebibytes - floor,
            growth.since_first(components, milliseconds)
        );
    }
    Ok(())
}

fn measure(manifest: &Path, cache: &Path) -> Result<super::Run> {
    let start = Instant::now();
    let mut up = Command::new(servers::withe()?)
        .arg("up")
        .arg(manifest)
        .env("WITHE_CACHE_DIR", cache)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting withe")?;
    let measured = at_rest(&mut up, start);
    up.kill()?;
    up.wait()?;
    measured
}

fn at_rest(up: &mut Child, start: Instant) -> Result<super::Run> {
    let said = BufReader::new(up.stderr.take().context("no standard error")?);
    let (ready, is_ready) = mpsc::channel();
    // Ends with the process, and reads on so that it never waits for a reader.
    std::thread::spawn(move || {
        for line in said.lines().map_while(Result::ok) {
            if line.contains("runs; Ctrl-C stops it") {
                _ = ready.send(start.elapsed());
            }
        }
    });
    let Ok(took) = is_ready.recv_timeout(DEADLINE) else {
        bail!("withe did not get ready in {DEADLINE:?}");
    };
    std::thread::sleep(REST);
    Ok(super::Run {
        milliseconds: took.as_secs_f64() * 1e3,
        mebibytes: servers::resident_mib(up.id())?,
    })
}
