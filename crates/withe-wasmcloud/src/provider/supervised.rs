//! Keeps a provider's process running.

use std::convert::Infallible;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use withe_provider::Health;

use super::control::Control;
use super::host_data::{self, LinkDefinition};
use super::links::Links;
use super::output::{self, LastLines};
use super::process::ProcessConfig;

/// How a provider is watched.
#[derive(Clone, Debug)]
pub struct Supervision {
    /// How long it may take until it answers its first health check.
    pub start: Duration,
    /// How often it is asked whether it is healthy.
    pub every: Duration,
    /// How long it may take to answer.
    pub answer: Duration,
    /// How many times in a row it may be unhealthy, or not answer, until it is started anew.
    pub failures: u32,
    /// How long to wait before it is started anew, at first; twice as long each time.
    pub pause: Duration,
    /// How long to wait at most. One that ran for as long begins anew with the shortest wait.
    pub longest_pause: Duration,
}

impl Default for Supervision {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(30),
            every: Duration::from_secs(30),
            answer: Duration::from_secs(5),
            failures: 3,
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// What the process is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has not answered yet.
    Starting,
    /// It answers, and this is what it says.
    Running(Health),
    /// It does not run, and why; it is started anew.
    Failed(String),
    /// It was stopped.
    Stopped,
}

/// What the supervisor and the provider's face to the host share.
pub(super) struct Shared {
    pub(super) config: ProcessConfig,
    pub(super) control: Control,
    pub(super) links: Links,
}

impl Shared {
    pub(super) fn new(config: ProcessConfig, control: Control) -> Self {
        Self {
            config,
            links: Links::new(control.clone()),
            control,
        }
    }
}

/// How one process ended.
enum End {
    /// As it was told to.
    Stopped,
    Failed(String),
}

/// Runs the provider until `stop` has a time of grace, or its sender has gone.
pub(super) async fn supervise(
    shared: Arc<Shared>,
    state: watch::Sender<State>,
    mut stop: watch::Receiver<Option<Duration>>,
) {
    let (id, watching) = (&shared.config.id, &shared.config.supervision);
    let mut pause = watching.pause;
    loop {
        state.send_replace(State::Starting);
        let begun = Instant::now();
        let end = run(&shared, &state, &mut stop).await;
        shared.links.ended().await;
        let why = match end {
            End::Stopped => break,
            End::Failed(why) => why,
        };
        if begun.elapsed() > watching.longest_pause {
            pause = watching.pause;
        }
        tracing::warn!(
            "the provider `{id}` failed and is started anew in {} s: {why}",
            pause.as_secs_f32()
        );
        state.send_replace(State::Failed(why));
        if timeout(pause, stopped(&mut stop)).await.is_ok() {
            break;
        }
        pause = (2 * pause).min(watching.longest_pause);
    }
    state.send_replace(State::Stopped);
}

/// The time of grace, once it is to stop.
async fn stopped(stop: &mut watch::Receiver<Option<Duration>>) -> Duration {
    let grace = stop.wait_for(Option::is_some).await;
    grace.map_or(Duration::ZERO, |grace| grace.unwrap_or_default())
}

/// Runs one process, from its start to its end.
async fn run(
    shared: &Shared,
    state: &watch::Sender<State>,
    stop: &mut watch::Receiver<Option<Duration>>,
) -> End {
    let links = shared.links.all().await;
    let last = LastLines::default();
    // Ends with this function; until then it logs.
    let mut logs = JoinSet::new();
    let mut child = match start(shared, &links, &mut logs, &last).await {
        Ok(child) => child,
        Err(why) => return End::Failed(why),
    };
    let watched = async {
        ready(shared).await?;
        if let Err(why) = shared.links.listening(links.clone()).await {
            return Err(format!("it could not be told of its links: {why}"));
        }
        Err::<Infallible, _>(watch_health(shared, state).await)
    };
    let why = tokio::select! {
        exit = child.wait() => {
            // What it wrote at its end is still on its way.
            _ = timeout(Duration::from_secs(1), async { while logs.join_next().await.is_some() {} }).await;
            exited(exit)
        }
        Err(why) = watched => {
            end(&mut child).await;
            why
        }
        grace = stopped(stop) => {
            part(shared, &mut child, grace).await;
            return End::Stopped;
        }
    };
    End::Failed(why + &last.quote())
}

fn exited(exit: std::io::Result<ExitStatus>) -> String {
    match exit {
        Ok(status) => format!("it ended by itself ({status})"),
        Err(e) => format!("it cannot be watched: {e}"),
    }
}

/// Starts a process and tells it who it is.
async fn start(
    shared: &Shared,
    links: &[LinkDefinition],
    logs: &mut JoinSet<()>,
    last: &LastLines,
) -> Result<Child, String> {
    let config = &shared.config;
    // The last part of an inbox is unique.
    let inbox = config.wire.client().new_inbox();
    let instance = inbox.rsplit('.').next().unwrap_or(&inbox);
    let line = host_data::line(config, links, instance)
        .map_err(|e| format!("its host data cannot be written: {e}"))?;
    let passed = |name: &str| name == "RUST_LOG" || name.starts_with("OTEL_");
    let environment = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(passed));
    let mut child = Command::new(&config.executable.path)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| {
            format!(
                "`{}` cannot be started: {e}",
                config.executable.path.display()
            )
        })?;
    if let Some(stdout) = child.stdout.take() {
        logs.spawn(output::log(config.id.clone(), stdout, last.clone()));
    }
    if let Some(stderr) = child.stderr.take() {
        logs.spawn(output::log(config.id.clone(), stderr, last.clone()));
    }
    if let Some(mut stdin) = child.stdin.take() {
        let limit = config.supervision.start;
        let written = timeout(limit, stdin.write_all(line.as_bytes())).await;
        // One that has ended already says more by how it did.
        if written.is_err() {
            return Err("it does not read its host data".into());
        }
    }
    Ok(child)
}

/// Waits until it answers.
async fn ready(shared: &Shared) -> Result<(), String> {
    let limit = shared.config.supervision.start;
    let answers = async {
        // Not there yet, it is nobody who answers: that comes at once.
        while let Err(_not_yet) = shared.control.health(limit).await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let answered = timeout(limit, answers).await;
    answered.map_err(|_| format!("it did not answer within {} s", limit.as_secs_f32()))
}

/// Asks again and again whether it is healthy. Returns why it is to be started anew.
async fn watch_health(shared: &Shared, state: &watch::Sender<State>) -> String {
    let watching = &shared.config.supervision;
    let mut failures = 0;
    loop {
        let answer = shared.control.health(watching.answer).await;
        let health = answer.unwrap_or_else(|why| {
            Health::Unhealthy(format!("it does not answer health checks: {why}"))
        });
        if let Health::Unhealthy(why) = &health {
            failures += 1;
            tracing::warn!("the provider `{}` is not healthy: {why}", shared.config.id);
            if failures >= watching.failures {
                return format!("it was not healthy {failures} times in a row: {why}");
            }
        } else {
            failures = 0;
        }
        state.send_replace(State::Running(health));
        sleep(watching.every).await;
    }
}

/// Asks it to end, and makes it.
async fn part(shared: &Shared, child: &mut Child, grace: Duration) {
    let until = Instant::now() + grace;
    if let Err(why) = shared.control.shut_down(grace).await {
        tracing::debug!(
            "the provider `{}` was not told to end: {why}",
            shared.config.id
        );
    }
    let left = until.saturating_duration_since(Instant::now());
    if timeout(left, child.wait()).await.is_err() {
        tracing::warn!(
            "the provider `{}` did not end within {} s and is killed",
            shared.config.id,
            grace.as_secs_f32()
        );
        end(child).await;
    }
}

/// Kills it.
async fn end(child: &mut Child) {
    // It may have ended by itself; else it ends at once.
    _ = timeout(Duration::from_secs(5), child.kill()).await;
}
