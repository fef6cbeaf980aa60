//! Building the parts of an application by the commands of its manifest.
//!
//! * [`steps`]: which commands these are; [`inputs`]: what they are made from, and whether that has changed.
//!
//! All steps that have to run do so at once, as many as there are processors. Their output is shown if they fail,
//! and with `--verbose`.

pub(crate) mod inputs;
pub(crate) mod steps;

use std::io::IsTerminal as _;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::render::units::duration;
use crate::terminal::Terminal;
use steps::BuildStep;

/// The most of what a command writes that is kept to be shown: the end of it.
const MOST_TEXT: usize = 256 << 10;

/// The outcome of building.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Built {
    /// Steps that have run, and succeeded.
    pub(crate) done: usize,
    /// Steps that did not have to.
    pub(crate) current: usize,
    /// Steps that failed, which was said.
    pub(crate) failed: usize,
}

/// Runs those of `steps` whose inputs have changed, or all if `force` says so.
pub(crate) async fn build(steps: &[BuildStep], force: bool, terminal: &Terminal) -> Built {
    let mut built = Built::default();
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let turns = Arc::new(Semaphore::new(at_once));
    let mut running = JoinSet::new();
    for step in steps {
        // Before the command runs: what is changed meanwhile is built the next time.
        let from = inputs::fingerprint(step);
        let is_current = from
            .as_ref()
            .is_some_and(|from| inputs::is_current(step, from));
        if is_current && !force {
            built.current += 1;
            continue;
        }
        let (step, turns) = (step.clone(), turns.clone());
        running.spawn(async move {
            // Nobody closes it.
            let _turn = turns.acquire().await;
            let began = Instant::now();
            let result = run(&step).await;
            (step, from, result, began.elapsed())
        });
    }
    let bar = bar(running.len());
    while let Some(joined) = running.join_next().await {
        let Ok((step, from, result, took)) = joined else {
            built.failed += 1;
            continue;
        };
        bar.inc(1);
        let text = match &result {
            Ok(()) => {
                built.done += 1;
                if let Some(from) = &from {
                    inputs::keep(&step, from);
                }
                format!("built {} in {}\n", step.name(), duration(rounded(took)))
            }
            Err(failure) => {
                built.failed += 1;
                failed(&step, failure)
            }
        };
        bar.suspend(|| terminal.say(&text));
    }
    bar.finish_and_clear();
    built
}

fn rounded(took: Duration) -> Duration {
    Duration::from_millis(took.as_millis() as u64)
}

fn bar(steps: usize) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(steps as u64), target);
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} building, {pos} of {len} {elapsed:.dim}")
    {
        bar.set_style(style);
    }
    if steps > 0 {
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    bar
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum StepFailure {
    #[error("its command cannot be started: {0}")]
    Start(#[from] std::io::Error),
    /// With what it wrote.
    #[error("its command ended with {status}")]
    Ended { status: String, text: String },
    #[error("its command succeeded, but has not made `{0}`")]
    NotMade(String),
}

fn failed(step: &BuildStep, failure: &StepFailure) -> String {
    let mut text = String::new();
    if let StepFailure::Ended { text: written, .. } = failure {
        for line in written.lines() {
            text += &format!("{} | {line}\n", step.name());
        }
    }
    text + &format!(
        "error: {} was not built: {failure}\n  command: {}\n",
        step.name(),
        step.command
    )
}

async fn run(step: &BuildStep) -> Result<(), StepFailure> {
    let mut shell = match cfg!(windows) {
        true => Command::new("cmd"),
        false => Command::new("sh"),
    };
    shell.arg(if cfg!(windows) { "/C" } else { "-c" });
    shell
        .arg(&step.command)
        .current_dir(&step.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // A command that uses `withe` itself has the one that builds, as commands of cargo have `CARGO`.
    if let Ok(program) = std::env::current_exe() {
        shell.env("WITHE", program);
    }
    let mut child = shell.spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (out, err, status) = tokio::join!(end_of(out), end_of(err), child.wait());
    let status = status?;
    if !status.success() {
        let text = [out, err].concat();
        return Err(StepFailure::Ended {
            status: status.to_string(),
            text: String::from_utf8_lossy(&text).into_owned(),
        });
    }
    let missing = step.artifacts.iter().find(|artifact| !artifact.is_file());
    match missing {
        Some(missing) => Err(StepFailure::NotMade(missing.display().to_string())),
        None => Ok(()),
    }
}

/// The end of what is written to a stream.
async fn end_of(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let Some(mut stream) = stream else {
        return Vec::new();
    };
    let (mut text, mut part) = (Vec::new(), vec![0; 16 << 10]);
    // A stream that cannot be read has ended.
    while let Ok(read @ 1..) = stream.read(&mut part).await {
        text.extend_from_slice(&part[..read]);
        if text.len() > 2 * MOST_TEXT {
            text.drain(..text.len() - MOST_TEXT);
        }
    }
    let beyond = text.len().saturating_sub(MOST_TEXT);
    text.drain(..beyond);
    text
}

#[cfg(all(test, unix))]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn step(folder: &Path, command: &str) -> BuildStep {
        BuildStep {
            parts: vec!["a".into()],
            command: command.into(),
            folder: folder.to_owned(),
            inputs: BTreeSet::from([folder.join("src")]),
            artifacts: BTreeSet::from([folder.join("out")]),
        }
    }

    #[tokio::test]
    async fn what_has_not_changed_is_not_built_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::create_dir(folder.join("src")).unwrap();
        fs::write(folder.join("src/a"), "1").unwrap();
        let steps = [step(folder, "cat src/a > out; echo x >> runs")];
        let terminal = Terminal::plain();
        let run = async |force| build(&steps, force, &terminal).await;
        let (done, current) = (
            Built {
                done: 1,
                ..Built::default()
            },
            Built {
                current: 1,
                ..Built::default()
            },
        );
        assert_eq!(run(false).await, done);
        assert_eq!(run(false).await, current);
        assert_eq!(run(true).await, done);
        // Of another size, so that the clock's steps do not matter.
        fs::write(folder.join("src/a"), "22").unwrap();
        assert_eq!(run(false).await, done);
        assert_eq!(fs::read_to_string(folder.join("out")).unwrap(), "22");
        fs::remove_file(folder.join("out")).unwrap();
        assert_eq!(run(false).await, done);
        assert_eq!(
            fs::read_to_string(folder.join("runs"))
                .unwrap()
                .lines()
                .count(),
            4
        );
    }

    #[tokio::test]
    async fn what_fails_is_built_again_and_says_what_it_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::create_dir(folder.join("src")).unwrap();
        let failing = step(folder, "touch out; echo why >&2; exit 3");
        let failure = run(&failing).await.unwrap_err();
        let said = failed(&failing, &failure);
        assert!(
            said.starts_with("a | why\nerror: a was not built"),
            "{said}"
        );
        let from = inputs::fingerprint(&failing).unwrap();
        assert!(!inputs::is_current(&failing, &from));
        let lazy = step(folder, "rm out");
        let failure = run(&lazy).await.unwrap_err();
        assert!(failure.to_string().contains("has not made"), "{failure}");
    }
}
