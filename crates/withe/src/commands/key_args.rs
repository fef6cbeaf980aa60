//! `--key`, `--trust` and `--seal-key`: with which key a member signs what it puts, whose records a host acts on, and who
//! knows secret values.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use withe_lattice::{Lattice, LatticeError};
use withe_node::desired;
use withe_trust::{MemberKey, Role, SealKey, TrustRoot, read_member, read_seal, read_trust};

use crate::terminal::Terminal;

/// The key of a deployer.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// The key with which what is put is signed, for lattices whose hosts were started with `--trust`: a file that
    /// `withe lattice` has made for a deployer.
    #[arg(long, value_name = "FILE", env = "WITHE_KEY", help_heading = "Lattice")]
    key: Option<PathBuf>,
}

/// The key of a host, and whom it trusts.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TrustArgs {
    /// The public key of the lattice, which `withe lattice init` has made. Then only those applications, deployments and
    /// hosts count that are signed by somebody who may, and all else in the lattice is ignored and reported.
    #[arg(
        long,
        value_name = "ROOT.pub",
        env = "WITHE_TRUST",
        requires = "key",
        help_heading = "Lattice"
    )]
    trust: Option<PathBuf>,
    /// The host's own key, with which it signs what it tells and decides: a file that `withe lattice` has made for a host.
    #[arg(long, value_name = "FILE", env = "WITHE_KEY", help_heading = "Lattice")]
    key: Option<PathBuf>,
}

/// The key of those who know secret values.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SealArgs {
    /// The lattice's key for secret values: configuration that is marked `secret: true`, or given to `withe link` by files
    /// and variables, is sealed with it in the lattice's records. Hosts that run what has some need it, and so do those who
    /// deploy. `withe lattice init` makes it.
    #[arg(
        long,
        value_name = "FILE",
        env = "WITHE_SEAL_KEY",
        help_heading = "Lattice"
    )]
    seal_key: Option<PathBuf>,
}

impl SealArgs {
    /// The key, if one was named.
    ///
    /// # Errors
    ///
    /// If it cannot be used.
    pub(crate) fn read(&self) -> anyhow::Result<Option<Arc<SealKey>>> {
        let key = self.seal_key.as_deref().map(read_seal).transpose();
        Ok(key
            .context("the key for secret values cannot be used")?
            .map(Arc::new))
    }
}

impl KeyArgs {
    /// The key, if one was named.
    ///
    /// # Errors
    ///
    /// If it cannot be used, or is no deployer's.
    pub(crate) fn read(&self) -> anyhow::Result<Option<MemberKey>> {
        let path = self.key.as_deref();
        path.map(|path| key(path, Role::Deployer)).transpose()
    }

    /// Says so if the hosts of a lattice will ignore what is put there without a key. Nobody knows here who signed the
    /// hosts' own records, so this is no reason to stop.
    ///
    /// # Errors
    ///
    /// The records of the lattice.
    pub(crate) async fn warn(
        &self,
        lattice: &dyn Lattice,
        terminal: &Terminal,
    ) -> Result<(), LatticeError> {
        let hosts = desired::hosts(lattice).await?;
        if self.key.is_none() && hosts.iter().any(|host| host.signed_only) {
            terminal.say(
                "warning: hosts of this lattice ignore what is not signed; give the key of a deployer by `--key`\n",
            );
        }
        Ok(())
    }
}

impl TrustArgs {
    /// The key that the host trusts, and its own.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used, or the key is no host's of this lattice.
    pub(crate) fn read(&self) -> anyhow::Result<(Option<TrustRoot>, Option<Arc<MemberKey>>)> {
        let trust = self.trust.as_deref().map(read_trust).transpose();
        let trust = trust.context("the key of the lattice cannot be used")?;
        let own = self.key.as_deref().map(|path| key(path, Role::Host));
        let own = own.transpose()?;
        if let (Some(trust), Some(own)) = (trust, &own) {
            let checked = trust.check(own.certificate(), Role::Host, seconds());
            checked.context("the host's own key is not one that hosts of this lattice trust")?;
        }
        Ok((trust, own.map(Arc::new)))
    }
}

/// The key in a file, if what it signs counts for this role.
fn key(path: &Path, role: Role) -> anyhow::Result<MemberKey> {
    let key = read_member(path).context("the key cannot be used")?;
    let checked = TrustRoot::new(key.root()).check(key.certificate(), role, seconds());
    // The reason speaks of a record.
    checked.with_context(|| format!("what the key `{}` signs does not count", path.display()))?;
    Ok(key)
}

/// Seconds since 1970.
pub(super) fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
