//! Waiting until a lattice has done what was asked of it.

use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep};
use withe_lattice::Lattice;
use withe_node::desired;

/// The interval between looks.
const LOOK: Duration = Duration::from_millis(100);

/// The state of an application when all its hosts have taken it up.
pub(crate) struct Settled {
    /// The names of the hosts.
    pub(crate) hosts: Vec<String>,
    /// Where it can be reached.
    pub(crate) endpoints: Vec<String>,
}

/// A thing that an application waits for which does not run yet.
#[derive(Debug, thiserror::Error)]
enum WaitsFor {
    #[error("the lattice `{0}` has no hosts; start one with `withe host`")]
    Hosts(String),
    #[error("no host has decided where it runs")]
    Decision,
    /// Hosts that may run what no host may run now.
    #[error("{}", .0.join("; "))]
    Placing(Vec<String>),
    #[error("host `{0}` has not linked it yet")]
    Linking(String),
}

/// Waits until all hosts that are to run an application have taken up this revision of it.
///
/// # Errors
///
/// If one of them cannot, no host may run a part of it, or it takes longer than `timeout`.
pub(crate) async fn settle(
    lattice: &dyn Lattice,
    application: &str,
    revision: u64,
    timeout: Duration,
) -> anyhow::Result<Settled> {
    let over = Instant::now() + timeout;
    loop {
        let waits_for = match look(lattice, application, revision).await? {
            Ok(settled) => return Ok(settled),
            Err(waits_for) => waits_for,
        };
        if Instant::now() >= over {
            bail!(
                "`{application}` does not run after {} seconds: {waits_for}",
                timeout.as_secs()
            );
        }
        sleep(LOOK).await;
    }
}

async fn look(
    lattice: &dyn Lattice,
    application: &str,
    revision: u64,
) -> anyhow::Result<Result<Settled, WaitsFor>> {
    let hosts = desired::hosts(lattice).await?;
    if hosts.is_empty() {
        return Ok(Err(WaitsFor::Hosts(lattice.name().to_owned())));
    }
    let deployment = desired::deployment(lattice, application).await?;
    let Some(deployment) = deployment.filter(|d| d.revision >= revision) else {
        return Ok(Err(WaitsFor::Decision));
    };
    if !deployment.unplaced.is_empty() {
        return Ok(Err(WaitsFor::Placing(deployment.unplaced)));
    }
    let mut settled = Settled {
        hosts: Vec::new(),
        endpoints: Vec::new(),
    };
    let mut failures = Vec::new();
    for host in &hosts {
        if !deployment
            .hosts
            .values()
            .any(|hosts| hosts.contains_key(&host.id))
        {
            continue;
        }
        let running = host.apps.get(application);
        match running {
            // The host follows an earlier decision, or one of a lattice that has lost its data: there numbers begin anew.
            Some(app) if app.lost || app.number != deployment.number => {
                return Ok(Err(WaitsFor::Linking(host.name.clone())));
            }
            Some(app) if app.failure.is_some() => failures.extend(
                app.failure
                    .iter()
                    .map(|why| format!("on host `{}`: {why}", host.name)),
            ),
            Some(app) if app.revision >= revision => {
                settled.hosts.push(host.name.clone());
                settled.endpoints.extend(app.endpoints.iter().cloned());
            }
            _ => return Ok(Err(WaitsFor::Linking(host.name.clone()))),
        }
    }
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    settled.endpoints.sort();
    settled.endpoints.dedup();
    Ok(Ok(settled))
}
