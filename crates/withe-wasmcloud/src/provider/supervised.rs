//! The supervised process of a v1 provider: the data it starts with, and its health checks.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use withe_process::{Process, ProcessCommand, ProcessError, ProcessLog, Supervised, Unhealthy};
use withe_provider::Health;

use super::config::ProcessConfig;
use super::control::{Control, TellError};
use super::host_data;
use super::links::Links;

/// How long a provider that starts may take to answer one question for its health. The next one is asked then.
const ASKED_AGAIN: Duration = Duration::from_secs(2);

/// The state that the supervisor shares with the provider's face to the host.
pub(super) struct V1Core {
    pub(super) config: ProcessConfig,
    control: Control,
    pub(super) links: Links,
    /// The health that the process last reported.
    health: Mutex<Health>,
}

/// A process does not know of the links that it is to have.
#[derive(Debug, thiserror::Error)]
#[error("could not be told of its links: {0}")]
struct NotTold(#[source] TellError);

impl V1Core {
    pub(super) fn new(config: ProcessConfig, control: Control) -> Self {
        Self {
            config,
            links: Links::new(control.clone()),
            control,
            health: Mutex::new(Health::Healthy),
        }
    }

    /// The health that the process last reported.
    pub(super) fn health(&self) -> Health {
        // Nothing panics while the lock is held.
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.clone()
    }

    fn set_health(&self, health: Health) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}

impl Supervised for V1Core {
    type Ready = ();

    fn subject(&self) -> String {
        format!("the wasmCloud v1 provider `{}`", self.config.id)
    }

    fn command(&self) -> ProcessCommand {
        let passed = |name: &str| name == "RUST_LOG" || name.starts_with("OTEL_");
        let environment = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(passed));
        ProcessCommand::new(&self.config.executable.path)
            .only_environment(environment)
            .confined(self.config.confined.clone())
            .log(ProcessLog::All(self.config.id.clone()))
            .ready_within(self.config.supervision.start)
    }

    async fn bring_up(&self, _run: u32, process: &mut Process) -> Result<(), ProcessError> {
        // Links told to a process that did not get ready are known to none.
        self.links.ended().await;
        let links = self.links.all().await;
        // The last part of an inbox is unique.
        let inbox = self.config.wire.client().new_inbox();
        let instance = inbox.rsplit('.').next().unwrap_or(&inbox);
        let line = host_data::line(&self.config, &links, self.control.seal(), instance);
        let line = line.map_err(|e| ProcessError::Input(std::io::Error::other(e)))?;
        process.write(line.as_bytes()).await?;
        process.close_input();
        // Before the provider listens, the server says at once that nobody does; but where somebody watches the whole
        // lattice, as by `nats sub '>'`, a question goes unanswered and is asked again.
        let limit = ASKED_AGAIN.min(self.config.supervision.start);
        let health = process.probed_ready(|| self.control.health(limit)).await?;
        self.set_health(health);
        let told = async {
            let told = self.links.listening(links).await;
            told.map_err(NotTold)
        };
        process.unless_ended(told).await
    }

    async fn health(&self, _: &()) -> Result<(), Unhealthy> {
        let answer = self.control.health(self.config.supervision.answer).await;
        let health = answer.unwrap_or_else(|why| {
            Health::Unhealthy(format!("it does not answer health checks: {why}"))
        });
        self.set_health(health.clone());
        match health {
            Health::Healthy => Ok(()),
            Health::Unhealthy(why) => Err(Unhealthy(why)),
        }
    }

    async fn ask_to_end(&self, process: &mut Process, _: &(), grace: Duration) {
        let asked = process.unless_ended(self.control.shut_down(grace)).await;
        if let Err(why) = asked {
            let id = &self.config.id;
            tracing::debug!("the provider `{id}` was not told to end: {why}");
        }
    }

    async fn ended(&self, _: &()) {
        self.links.ended().await;
    }
}
