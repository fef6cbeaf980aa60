//! How a v1 provider is run and watched, as the host says.

use std::time::Duration;

use withe_process::{Confined, HealthChecks, Restarts, SupervisorOptions};
use withe_provider::{ConfigMap, SecretKeys};
use withe_rpc::BackOff;

use super::archive::Executable;
use crate::{Ids, V1Wire};

/// The configuration of a provider's process.
pub struct ProcessConfig {
    /// The host's connection to the lattice.
    pub wire: V1Wire,
    /// The lattice.
    pub lattice: String,
    /// The provider's id on it.
    pub id: String,
    /// The ids by which it knows components.
    pub ids: Ids,
    /// The host's id, for which it takes orders to end.
    pub host_id: String,
    /// Where it connects to NATS itself, and with what; the last two are empty where no credentials are
    /// needed.
    pub url: String,
    /// The user's JWT.
    pub user_jwt: String,
    /// The seed that the user signs with.
    pub user_seed: String,
    /// The provider's own configuration.
    pub config: ConfigMap,
    /// The keys of `config` whose values are secrets, which v1 hands over apart.
    pub secret_keys: SecretKeys,
    /// The executable.
    pub executable: Executable,
    /// The part of the machine that it may reach, if it is confined.
    pub confined: Option<Confined>,
    /// How it is watched.
    pub supervision: Supervision,
    /// How long a component may take to handle a request that the provider sends it.
    pub timeout: Duration,
}

/// How a provider is watched.
#[derive(Clone, Debug)]
pub struct Supervision {
    /// How long it may take until it answers its first health check.
    pub start: Duration,
    /// The interval between health checks.
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

impl Supervision {
    pub(super) fn options(&self) -> SupervisorOptions {
        SupervisorOptions {
            restarts: Restarts::new(
                BackOff {
                    first: self.pause,
                    most: self.longest_pause,
                },
                self.longest_pause,
            ),
            health: Some(HealthChecks {
                every: self.every,
                answer: self.answer,
                failures: self.failures,
                silences: self.failures,
            }),
        }
    }
}
