//! The cost of an application's size: time, peak memory, and how both grow with it.
//!
//! The floor is proportion: ten times the application in at most twelve times the time.
//!
//! * `check` and `plan --json`: every component read, every link resolved, checked and bound.
//! * [`up`]: every component compiled or found compiled, linked, and ready to be called.

mod generate;
mod up;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{median, servers};

/// How many components the applications have that are checked and planned, and so about ten times as many links.
const SIZES: [usize; 3] = [1_000, 3_000, 10_000];

/// How many kinds of components there are in an application: all of a kind are one file.
const KINDS: usize = 100;

const ROUNDS: usize = 3;

/// No command may take longer.
const DEADLINE: Duration = Duration::from_secs(300);

pub(crate) fn run() -> Result<()> {
    println!(
        "\nScale: medians of {ROUNDS}; nine of ten components import ten interfaces from ten others"
    );
    let commands: [(&str, &[&str]); 2] =
        [("check", &["check"]), ("plan --json", &["plan", "--json"])];
    for (name, arguments) in commands {
        let mut growth = Growth::default();
        for components in SIZES {
            let folder = tempfile::tempdir()?;
            let manifest = generate::write(folder.path(), components, KINDS)?;
            let runs = (0..ROUNDS).map(|_| measure(arguments, &manifest));
            let runs = runs.collect::<Result<Vec<_>>>()?;
            let milliseconds = median(runs.iter().map(|run| run.milliseconds).collect());
            let mebibytes = median(runs.iter().map(|run| run.mebibytes).collect());
            println!(
                "  {name:<12} {components:>6} components {milliseconds:>8.0} ms {mebibytes:>6.0} MiB at most   {}",
                growth.since_first(components, milliseconds)
            );
        }
    }
    up::run()
}

/// How the time of a row compares with that of the first.
#[derive(Default)]
struct Growth {
    first: Option<(usize, f64)>,
}

impl Growth {
    fn since_first(&mut self, size: usize, milliseconds: f64) -> String {
        match self.first {
            None => {
                self.first = Some((size, milliseconds));
                String::new()
            }
            Some((first, before)) => format!(
                "{:.1} times the time for {} times the size",
                milliseconds / before,
                size / first
            ),
        }
    }
}

/// The cost of one run of a command.
struct Run {
    milliseconds: f64,
    mebibytes: f64,
}

fn measure(arguments: &[&str], manifest: &Path) -> Result<Run> {
    let mut command = Command::new(servers::withe()?);
    command.args(arguments).arg(manifest);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().context("starting withe")?;
    let mut mebibytes = 0.0_f64;
    loop {
        // The kernel keeps the peak while the process runs, and nothing once it has ended.
        if let Ok(peak) = servers::peak_mib(child.id()) {
            mebibytes = mebibytes.max(peak);
        }
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("withe {arguments:?} ended with {status}");
            }
            break;
        }
        if start.elapsed() > DEADLINE {
            child.kill()?;
            child.wait()?;
            bail!("withe {arguments:?} took more than {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(Run {
        milliseconds: start.elapsed().as_secs_f64() * 1e3,
        mebibytes,
    })
}
