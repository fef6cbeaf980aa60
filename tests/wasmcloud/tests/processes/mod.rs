//! v1 providers run as processes.

use std::path::Path;
use std::time::Duration;

use withe_provider::{FunctionName, Provider};
use withe_testing::nats::NatsServer;
use withe_wasmcloud::{Executable, Ids, ProcessConfig, Supervision, V1Process};
use withe_wit::Function;

use crate::support;

/// The options that a provider is run with, watched so closely that a test need not wait long.
pub async fn config(broker: &NatsServer, program: &str, id: &str) -> ProcessConfig {
    ProcessConfig {
        wire: support::wire(broker).await,
        lattice: "default".into(),
        id: id.into(),
        ids: Ids::default(),
        host_id: "NHOST".into(),
        url: broker.url(),
        user_jwt: String::new(),
        user_seed: String::new(),
        config: Default::default(),
        secret_keys: Default::default(),
        executable: Executable::open(Path::new(program)).unwrap(),
        confined: None,
        supervision: Supervision {
            every: Duration::from_millis(100),
            pause: Duration::from_millis(50),
            ..Supervision::default()
        },
        timeout: support::PATIENCE,
    }
}

/// A provider that runs.
pub async fn start(
    broker: &NatsServer,
    program: &str,
    id: &str,
    functions: &[(FunctionName, Function)],
) -> V1Process {
    let config = config(broker, program, id).await;
    let provider = V1Process::new(config, functions.to_vec()).unwrap();
    provider.start().await.unwrap();
    provider
}
