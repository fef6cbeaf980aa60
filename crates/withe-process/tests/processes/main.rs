//! Processes that are shell scripts.

mod ask;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use withe_process::{
    HealthChecks, Live, Process, ProcessCommand, ProcessError, ProcessLog, ProcessState, Restarts,
    Supervised, Supervisor, SupervisorOptions, Unhealthy,
};
use withe_rpc::BackOff;

/// So long that only what hangs takes it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the process of that number has ended. A parent may not have looked at it yet.
fn has_ended(id: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", id.trim()));
    // The state stands behind the name, which is in parentheses.
    let state = |stat: &str| {
        stat.rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next())
    };
    stat.map_or(true, |stat| state(&stat) == Some('Z'))
}

/// Waits until the process of that number has ended.
pub(crate) fn is_gone(id: &str) {
    let over = Instant::now() + PATIENCE;
    while !has_ended(id) {
        assert!(Instant::now() < over, "{id} goes on");
        thread::sleep(Duration::from_millis(5));
    }
}

fn command(script: &str) -> ProcessCommand {
    ProcessCommand::new("/bin/sh")
        .args(["-c", script])
        .log(ProcessLog::Errors("test".into()))
        .ready_within(PATIENCE)
}

async fn said_ready(command: ProcessCommand) -> Result<Vec<u32>, ProcessError> {
    let mut process = Process::start(&command).await?;
    process.write(b"hello\n").await?;
    let progress = Mutex::new(Vec::new());
    process
        .said_ready(|n| progress.lock().unwrap().push(n))
        .await?;
    Ok(progress.into_inner().unwrap())
}

#[tokio::test]
async fn a_process_reads_what_it_is_told_and_says_that_it_is_ready() {
    let script = r#"read word; [ "$word" = hello ] || exit 1
        echo '{"progress":1}'; echo '{"progress":2}'; echo '"ready"'"#;
    assert_eq!(said_ready(command(script)).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn one_that_does_not_get_ready_says_why() {
    let unread = "x".repeat(1 << 20);
    for (script, says) in [
        ("echo '{\"failed\":\"no disk\"}'", "failed: no disk"),
        (
            "echo a >&2; echo b >&2; exit 3",
            "exited (exit status: 3) before it was ready; it wrote last: a | b",
        ),
        (
            "kill -9 $$",
            "exited (signal: 9 (SIGKILL)) before it was ready",
        ),
        (
            "echo hello",
            "did not say that it is ready, but \"hello\"; is `/bin/sh`",
        ),
        ("exec >&-; read word; exit 4", "exit status: 4"),
    ] {
        let why = said_ready(command(script)).await.unwrap_err().to_string();
        assert!(
            why.starts_with(says) || why.contains("exit status: 4"),
            "{why}"
        );
        // One that has ended without reading says no less.
        let mut process = Process::start(&command(script)).await.unwrap();
        process.write(unread.as_bytes()).await.unwrap();
    }
    let late = command("exec sleep 1000").ready_within(Duration::from_millis(200));
    let why = said_ready(late).await.unwrap_err().to_string();
    assert_eq!(why, "was not ready within 200ms: `/bin/sh`");
    let why = said_ready(ProcessCommand::new("/nowhere/at/all")).await;
    let why = why.unwrap_err().to_string();
    assert!(
        why.starts_with("cannot be started: `/nowhere/at/all`: "),
        "{why}"
    );
}

#[tokio::test]
async fn one_that_does_not_read_keeps_nobody_waiting() {
    let late = command("exec sleep 1000").ready_within(Duration::from_millis(200));
    let mut process = Process::start(&late).await.unwrap();
    let error = process.write(&vec![0; 1 << 20]).await.unwrap_err();
    assert!(matches!(error, ProcessError::NotReady { .. }), "{error}");
}

#[tokio::test]
async fn one_is_killed_with_what_it_has_started() {
    let folder = tempfile::tempdir().unwrap();
    let id = folder.path().join("id");
    let script = format!(
        "sleep 1000 & echo $! > {}; echo '\"ready\"'; wait",
        id.display()
    );
    for is_dropped in [true, false] {
        let mut process = Process::start(&command(&script)).await.unwrap();
        process.said_ready(|()| {}).await.unwrap();
        let id = fs::read_to_string(&id).unwrap();
        assert!(!has_ended(&id));
        match is_dropped {
            true => drop(process),
            false => process.kill().await,
        }
        is_gone(&id);
    }
}

#[tokio::test]
async fn one_is_probed_until_it_answers_or_ends() {
    let mut process = Process::start(&command("exec sleep 1000")).await.unwrap();
    let left = AtomicU32::new(3);
    let probe = || async {
        match left.fetch_sub(1, Ordering::Relaxed) {
            1 => Ok("well"),
            _ => Err(()),
        }
    };
    assert_eq!(process.probed_ready(probe).await.unwrap(), "well");
    let never = || async { Err::<(), ()>(()) };
    let mut ended = Process::start(&command("exit 1")).await.unwrap();
    let error = ended.probed_ready(never).await.unwrap_err();
    assert!(matches!(error, ProcessError::EndedEarly { .. }), "{error}");
    let late = command("exec sleep 1000").ready_within(Duration::from_millis(200));
    let mut late = Process::start(&late).await.unwrap();
    let error = late.probed_ready(never).await.unwrap_err();
    assert!(matches!(error, ProcessError::NotReady { .. }), "{error}");
}

#[tokio::test]
async fn a_process_has_the_environment_that_it_is_given() {
    let environment = [("A".into(), "b".into())];
    let script = r#"[ "$A" = b ] && [ -z "$HOME" ] && echo '"ready"'"#;
    let command = command(script).only_environment(environment);
    said_ready(command).await.unwrap();
}

#[tokio::test]
async fn a_process_has_no_variable_that_it_is_not_passed() {
    // Cargo sets these for tests.
    let script = r#"[ -n "$PATH" ] && [ -z "$CARGO_PKG_NAME" ] && [ -n "$CARGO_PKG_VERSION" ] && echo '"ready"'"#;
    let passing = command(script).pass(["CARGO_PKG_VERSION"]);
    said_ready(passing).await.unwrap();
    assert!(said_ready(command(script)).await.is_err());
}

/// A script that is supervised. The script gets the number of its run, and the path of a folder of its
/// own.
struct Script {
    text: String,
    folder: TempDir,
    runs: AtomicU32,
    health: fn(u32) -> Option<Result<(), Unhealthy>>,
    asked: AtomicU32,
}

impl Script {
    fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            folder: tempfile::tempdir().unwrap(),
            runs: AtomicU32::new(0),
            health: |_| Some(Ok(())),
            asked: AtomicU32::new(0),
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

impl Supervised for Script {
    type Ready = u32;

    fn subject(&self) -> String {
        "the script".into()
    }

    fn command(&self) -> ProcessCommand {
        let folder = self.folder.path().to_string_lossy().into_owned();
        let run = self.runs.fetch_add(1, Ordering::Relaxed).to_string();
        command(&self.text).args(["script".into(), folder, run])
    }

    async fn bring_up(&self, run: u32, process: &mut Process) -> Result<u32, ProcessError> {
        process.said_ready(|()| {}).await?;
        Ok(run)
    }

    async fn health(&self, _: &u32) -> Result<(), Unhealthy> {
        let answer = (self.health)(self.asked.fetch_add(1, Ordering::Relaxed));
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    async fn ended(&self, run: &u32) {
        fs::write(self.path(&format!("ended-{run}")), "").unwrap();
    }
}

fn options() -> SupervisorOptions {
    let wait = Duration::from_millis(5);
    SupervisorOptions {
        restarts: Restarts::new(
            BackOff {
                first: wait,
                most: wait,
            },
            PATIENCE,
        ),
        health: None,
    }
}

type Watched = watch::Receiver<ProcessState<u32>>;

/// The process of the given run, once it runs.
async fn running(state: &mut Watched, run: u32) -> Arc<Live<u32>> {
    let is_it = |state: &ProcessState<u32>| matches!(state, ProcessState::Running(live) if *live.ready() == run);
    let state = timeout(PATIENCE, state.wait_for(is_it)).await.unwrap();
    match &*state.unwrap() {
        ProcessState::Running(live) => live.clone(),
        other => unreachable!("{other:?}"),
    }
}

async fn down(live: &Live<u32>) -> String {
    let known = async {
        while live.end().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, known).await.unwrap();
    live.end().unwrap().with_last_lines()
}

/// Says that it is ready, and its number.
const READY: &str = "echo $$ > $1/id; echo '\"ready\"';";

fn id(folder: &Path) -> String {
    fs::read_to_string(folder.join("id")).unwrap()
}

#[tokio::test]
async fn what_ends_is_started_again_until_it_is_stopped() {
    // The second does not get ready.
    let text = format!("[ $2 = 1 ] && exit 1; {READY} echo run $2 >&2; read word; exit 2");
    let script = Arc::new(Script::new(&text));
    let supervisor = Supervisor::spawn(script.clone(), options());
    supervisor.ready().await.unwrap();
    let mut state = supervisor.state();
    let first = running(&mut state, 0).await;
    assert!(first.end().is_none());
    let id_of_first = id(script.folder.path());
    let killed = std::process::Command::new("kill")
        .args(["-9", id_of_first.trim()])
        .status();
    assert!(killed.unwrap().success());
    let third = running(&mut state, 2).await;
    let end = down(&first).await;
    assert!(end.starts_with("exited (signal: 9 (SIGKILL))"), "{end}");
    assert!(script.path("ended-0").exists());

    let id_of_third = id(script.folder.path());
    supervisor.stop(PATIENCE).await;
    assert!(has_ended(&id_of_third));
    assert!(matches!(&*state.borrow(), ProcessState::Stopped));
    assert!(third.end().is_none() && script.path("ended-2").exists());
    assert_eq!(script.runs.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn what_does_not_get_ready_the_first_time_is_not_started_again() {
    let script = Arc::new(Script::new("echo no >&2; exit 7"));
    let mut supervisor = Supervisor::spawn(script.clone(), options());
    let why = supervisor.ready().await.unwrap_err().to_string();
    assert_eq!(
        why,
        "exited (exit status: 7) before it was ready; it wrote last: no"
    );
    supervisor.ended().await;
    assert!(matches!(
        &*supervisor.state().borrow(),
        ProcessState::Failed(_)
    ));
    // Told to stop, it has nothing to do.
    supervisor.stop(PATIENCE).await;
    assert_eq!(script.runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn one_that_is_stopped_while_it_starts_is_killed() {
    let script = Arc::new(Script::new("echo $$ > $1/id; exec sleep 1000"));
    let supervisor = Supervisor::spawn(script.clone(), options());
    let written = async {
        while fs::read_to_string(script.path("id")).map_or(true, |id| !id.ends_with('\n')) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, written).await.unwrap();
    let (ready, ()) = tokio::join!(supervisor.ready(), async {
        supervisor.begin_stop(PATIENCE);
    });
    assert!(matches!(*ready.unwrap_err(), ProcessError::Stopped));
    supervisor.stop(PATIENCE).await;
    is_gone(&id(script.folder.path()));
}

#[tokio::test]
async fn it_finishes_when_it_is_told_to_end() {
    // One byte, and not the end of the input, is what tells it so.
    let text =
        format!("{READY} od -An -tx1 -N1 > $1/byte; [ -s $1/byte ] && sleep 0.1; echo > $1/done");
    let script = Arc::new(Script::new(&text));
    let supervisor = Supervisor::spawn(script.clone(), options());
    supervisor.ready().await.unwrap();
    supervisor.stop(PATIENCE).await;
    assert_eq!(
        fs::read_to_string(script.path("byte")).unwrap().trim(),
        "00"
    );
    assert!(script.path("done").exists());
}

#[tokio::test]
async fn one_that_is_dropped_is_killed_and_its_state_says_so() {
    let script = Arc::new(Script::new(&format!("{READY} exec sleep 1000")));
    let supervisor = Supervisor::spawn(script.clone(), options());
    supervisor.ready().await.unwrap();
    let mut state = supervisor.state();
    drop(supervisor);
    let is_over = |state: &ProcessState<u32>| matches!(state, ProcessState::Stopped);
    timeout(PATIENCE, state.wait_for(is_over))
        .await
        .unwrap()
        .unwrap();
    is_gone(&id(script.folder.path()));
}

#[tokio::test]
async fn one_that_is_not_well_is_given_up_and_started_again() {
    type Health = fn(u32) -> Option<Result<(), Unhealthy>>;
    let cold: Health = |n| {
        Some(if n == 1 {
            Ok(())
        } else {
            Err(Unhealthy(format!("cold {n}")))
        })
    };
    let silent: Health = |_| None;
    for (health, silences, says) in [
        // The second answer was good, so it takes three more.
        (
            cold,
            1,
            "was killed, as it failed 3 times in a row: cold 4; it wrote last: I am 0",
        ),
        (
            silent,
            1,
            "was killed, as it did not answer for 50ms; it wrote last: I am 0",
        ),
        (
            silent,
            2,
            "was killed, as it did not answer for 50ms; it wrote last: I am 0",
        ),
    ] {
        let mut script = Script::new(&format!("echo I am $2 >&2; {READY} exec sleep 1000"));
        script.health = health;
        let script = Arc::new(script);
        let checks = HealthChecks {
            every: Duration::from_millis(5),
            answer: Duration::from_millis(50),
            failures: 3,
            silences,
        };
        let options = SupervisorOptions {
            health: Some(checks),
            ..options()
        };
        let supervisor = Supervisor::spawn(script.clone(), options);
        supervisor.ready().await.unwrap();
        let mut state = supervisor.state();
        let first = running(&mut state, 0).await;
        assert_eq!(down(&first).await, says);
        running(&mut state, 1).await;
        drop(supervisor);
    }
}
