//! Options for where secrets are.

use withe_host::{HostOptions, SecretBackend};
use withe_linker::plan::Plan;

/// Options for where the secrets are that applications ask for.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SecretArgs {
    /// Where a backend that policies of manifests name has its secrets: a folder with a file for each key; after
    /// `env:`, what the names of variables begin with; after `lattice:`, what the names of secrets begin with that `withe
    /// secrets` keeps in the lattice; or after `v1:`, the topic of wasmCloud v1's secret backends on the lattice's NATS.
    /// `{application}` stands for the name of the application that asks. May be given several times.
    #[arg(long = "secrets", value_name = "BACKEND=PLACE", value_parser = backend, help_heading = "Secrets")]
    secrets: Vec<(String, SecretBackend)>,
}

impl SecretArgs {
    /// Sets up a host like that.
    pub(crate) fn apply(&self, host: &mut HostOptions) {
        for (name, backend) in &self.secrets {
            host.secret_backends.add(name.clone(), backend.clone());
        }
    }

    /// Whether a plan asks for a secret that a server of wasmCloud v1 has.
    pub(crate) fn asks_v1(&self, plan: &Plan) -> bool {
        let mut v1 = self.secrets.iter();
        v1.any(|(_, backend)| matches!(backend, SecretBackend::V1(_))) && plan.asks_for_secrets()
    }
}

fn backend(text: &str) -> Result<(String, SecretBackend), withe_host::NoBackend> {
    let (name, place) = text.split_once('=').ok_or(withe_host::NoBackend)?;
    if name.is_empty() {
        return Err(withe_host::NoBackend);
    }
    Ok((name.to_owned(), place.parse()?))
}
