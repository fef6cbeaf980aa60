//! `--lattice` and what goes with it: which lattice is meant, and as whom.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use withe_lattice::nats::{Auth, Options, Tls};
use withe_lattice::{Attached, Lattice, Nats, SharedLattice};

use super::limit_args::size;
use crate::places::sockets;

/// Which lattice, and as whom.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LatticeArgs {
    /// Where the lattice is: `nats://HOST:4222` (several with commas; `tls://` insists on TLS), or
    /// `unix:PATH`, the socket of a host on this machine. Without it: the one host that runs on this
    /// machine.
    #[arg(
        long,
        value_name = "URL",
        env = "WITHE_LATTICE",
        hide_env_values = true,
        help_heading = "Lattice"
    )]
    pub(crate) lattice: Option<String>,
    /// The lattice's name. Lattices of different names share nothing.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "default",
        env = "WITHE_LATTICE_NAME",
        help_heading = "Lattice"
    )]
    pub(crate) lattice_name: String,
    /// A NATS credentials file (`.creds`).
    #[arg(
        long,
        value_name = "FILE",
        env = "WITHE_NATS_CREDS",
        help_heading = "Lattice"
    )]
    nats_creds: Option<PathBuf>,
    /// A file that holds an nkey's seed.
    #[arg(
        long,
        value_name = "FILE",
        env = "WITHE_NATS_NKEY",
        conflicts_with = "nats_creds",
        help_heading = "Lattice"
    )]
    nats_nkey: Option<PathBuf>,
    /// A user of the NATS server; the password is taken from the variable `WITHE_NATS_PASSWORD`.
    #[arg(long, value_name = "USER", env = "WITHE_NATS_USER", conflicts_with_all = ["nats_creds", "nats_nkey"], help_heading = "Lattice")]
    nats_user: Option<String>,
    /// The certificates (PEM) of who may have signed the NATS server's.
    #[arg(
        long,
        value_name = "FILE",
        env = "WITHE_NATS_CA",
        help_heading = "Lattice"
    )]
    nats_ca: Option<PathBuf>,
    /// This side's certificate (PEM), for servers that ask for one.
    #[arg(
        long,
        value_name = "FILE",
        env = "WITHE_NATS_CERT",
        requires = "nats_key",
        help_heading = "Lattice"
    )]
    nats_cert: Option<PathBuf>,
    /// The key (PEM) of that certificate.
    #[arg(
        long,
        value_name = "FILE",
        env = "WITHE_NATS_KEY",
        requires = "nats_cert",
        help_heading = "Lattice"
    )]
    nats_key: Option<PathBuf>,
    /// The beginning of the subjects of answers, where the NATS server keeps members from reading each other's:
    /// `withe lattice init --nats` says which.
    #[arg(
        long,
        value_name = "PREFIX",
        env = "WITHE_NATS_INBOX",
        help_heading = "Lattice"
    )]
    nats_inbox: Option<String>,
    /// Begin TLS before the server's first word, for servers with `handshake_first`.
    #[arg(long, help_heading = "Lattice")]
    nats_tls_first: bool,
    /// The most bytes of a component or program in the lattice. A larger one is neither put nor fetched.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "512MiB",
        value_parser = size,
        env = "WITHE_MAX_BLOB", help_heading = "Lattice")]
    max_blob: u64,
}

/// The lattice that `--lattice` names.
pub(crate) enum Named {
    /// Nothing.
    Nothing,
    /// Servers of NATS.
    Nats(Box<Options>),
    /// The socket of a host.
    Socket(PathBuf),
}

impl LatticeArgs {
    /// The lattice that was named. `wait` is how long to wait for a server that does not answer yet.
    pub(crate) fn named(&self, wait: Duration) -> anyhow::Result<Named> {
        let Some(url) = &self.lattice else {
            return Ok(Named::Nothing);
        };
        if let Some(path) = url.strip_prefix("unix:") {
            return Ok(Named::Socket(path.trim_start_matches("//").into()));
        }
        let mut options = Options::new(url.clone(), self.lattice_name.clone());
        let is_argument = std::env::var("WITHE_LATTICE").ok().as_ref() != Some(url);
        if is_argument && options.urls.hold_secrets() {
            tracing::warn!(
                "other users of this machine can read the password in `--lattice`; set `WITHE_LATTICE` in place of \
                 it, or give the user by `--nats-user` and the password by `WITHE_NATS_PASSWORD`"
            );
        }
        options.wait = wait;
        options.max_blob = self.max_blob();
        options.auth = self.auth()?;
        options.inbox.clone_from(&self.nats_inbox);
        options.tls = Tls {
            ca: self.nats_ca.clone(),
            identity: self.nats_cert.clone().zip(self.nats_key.clone()),
            first: self.nats_tls_first,
        };
        Ok(Named::Nats(Box::new(options)))
    }

    /// The most bytes of a blob.
    pub(crate) fn max_blob(&self) -> usize {
        usize::try_from(self.max_blob).unwrap_or(usize::MAX)
    }

    fn auth(&self) -> anyhow::Result<Auth> {
        Ok(if let Some(file) = &self.nats_creds {
            Auth::Credentials(file.clone())
        } else if let Some(file) = &self.nats_nkey {
            Auth::NkeyFile(file.clone())
        } else if let Some(user) = &self.nats_user {
            let password = std::env::var("WITHE_NATS_PASSWORD").context(
                "`--nats-user` needs the password in the variable `WITHE_NATS_PASSWORD`",
            )?;
            Auth::Password {
                user: user.clone(),
                password: password.into(),
            }
        } else {
            Auth::None
        })
    }

    /// The lattice that is named, or that of the one host that runs on this machine.
    pub(crate) async fn connect(&self) -> anyhow::Result<SharedLattice> {
        match self.named(Duration::ZERO)? {
            Named::Nats(options) => Ok(Arc::new(Nats::connect(*options).await?)),
            Named::Socket(path) => attach(&path).await,
            Named::Nothing => attach(&the_only_socket()?).await,
        }
    }
}

async fn attach(path: &Path) -> anyhow::Result<SharedLattice> {
    let attached = Attached::connect(path)
        .await
        .with_context(|| format!("no host answers at `{}`", path.display()))?;
    let lattice: Arc<dyn Lattice> = Arc::new(attached);
    Ok(lattice)
}

/// Why hosts of this machine are not found, nor can be.
const NO_FOLDER: &str = "the folder of the sockets of this user's hosts is not used, as others could be meant by what is in it; set \
     `XDG_RUNTIME_DIR` to a folder that only this user can write to";

/// The socket of a host with this name that this process makes.
pub(crate) fn socket(name: &str) -> anyhow::Result<PathBuf> {
    let folder = sockets().context(NO_FOLDER)?;
    // A socket's path may have no more than about 100 bytes.
    let short: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(24)
        .collect();
    Ok(folder
        .path()
        .join(format!("{short}-{}.sock", std::process::id())))
}

fn the_only_socket() -> anyhow::Result<PathBuf> {
    let folder = sockets().context(NO_FOLDER)?;
    let entries = std::fs::read_dir(folder.path()).into_iter().flatten();
    let mut live: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_live(path))
        .collect();
    live.sort();
    match live.as_slice() {
        [] => bail!(
            "no host runs on this machine; start one with `withe host` or `withe up APP.yaml`, or name \
             a lattice with `--lattice nats://HOST:4222`"
        ),
        [one] => Ok(one.clone()),
        several => {
            let list: Vec<_> = several
                .iter()
                .map(|path| format!("  --lattice unix:{}", path.display()))
                .collect();
            bail!(
                "several hosts run on this machine; say which one is meant:\n{}",
                list.join("\n")
            )
        }
    }
}

/// Whether somebody listens there. The socket of one that was killed is removed.
fn is_live(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::io::ErrorKind;
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => true,
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => {
                _ = std::fs::remove_file(path);
                false
            }
            Err(_) => false,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}
