//! What only a lattice on NATS can be asked: who may join, and what survives which loss.

mod auth;
mod credentials;
mod losses;
mod proxy;
mod servers;

use std::time::Duration;

use withe_lattice::nats::Options;
use withe_lattice::{Change, LatticeError, Nats, Watch};
use withe_testing::nats::NatsServer;
use withe_testing::wait::{eventually, within};

/// How long leases live here, where they are waited for: long enough to be renewed in time on a busy machine.
const LEASE: Duration = Duration::from_secs(3);

fn options(server: &NatsServer) -> Options {
    Options::new(server.url(), "test")
}

/// Joins with options that give up so early that a busy machine may take longer.
async fn join(options: &Options) -> Nats {
    let joined = async || match Nats::connect(options.clone()).await {
        Err(LatticeError::Unreachable(_)) => None,
        joined => Some(joined.unwrap()),
    };
    eventually("the lattice to be joined", joined).await
}

/// A change, shortly: `key=value`, `-key` or `synced`.
async fn next(watch: &mut Watch) -> String {
    let change = within("a change", watch.recv()).await;
    shortly(change.expect("the watch goes on"))
}

fn shortly(change: Change) -> String {
    match change {
        Change::Put(entry) => format!("{}={}", entry.key, String::from_utf8_lossy(&entry.value)),
        Change::Gone { key } => format!("-{key}"),
        Change::Synced => "synced".into(),
    }
}

/// All changes until all is told, sorted.
async fn until_synced(watch: &mut Watch) -> Vec<String> {
    let mut changes = Vec::new();
    loop {
        let change = next(watch).await;
        if change == "synced" {
            changes.sort();
            return changes;
        }
        changes.push(change);
    }
}
