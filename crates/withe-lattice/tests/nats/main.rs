//! Tests of a lattice on NATS alone: who may join, and which data survives which loss.

mod auth;
mod blobs;
mod credentials;
mod losses;
mod proxy;
mod servers;
mod values;

use std::time::Duration;

use tokio::time::timeout;
use withe_lattice::nats::Options;
use withe_lattice::{Change, Watch};
use withe_testing::nats::NatsServer;

/// Long enough for anything that ends at all.
const AGES: Duration = Duration::from_secs(60);

/// How long leases live here, where they are waited for.
const LEASE: Duration = Duration::from_secs(2);

fn options(server: &NatsServer) -> Options {
    Options::new(server.url(), "test")
}

/// A change, shortly: `key=value`, `-key` or `synced`.
async fn next(watch: &mut Watch) -> String {
    let change = timeout(AGES, watch.recv()).await;
    shortly(change.expect("a change comes").expect("the watch goes on"))
}

fn shortly(change: Change) -> String {
    match change {
        Change::Put(entry) => format!("{}={}", entry.key, String::from_utf8_lossy(&entry.value)),
        Change::Gone { key } => format!("-{key}"),
        Change::Lost { key } => format!("?{key}"),
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
