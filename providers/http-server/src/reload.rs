//! Certificates that are renewed while they are served: their files are looked at, and read when they have changed.
//!
//! The time of a change and a file's size are compared, which costs two calls of the system a second. Notifications of the system were the
//! other way: they are lost where a folder is replaced as a whole, as renewed secrets are in a container.

use std::sync::Weak;
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::listener::Claim;
use crate::tls::{self, TlsFiles};

/// The interval between looks.
const LOOK: Duration = Duration::from_secs(1);

/// The state of a certificate's file and its key's, as it shows from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp([Option<(SystemTime, u64)>; 2]);

impl Stamp {
    /// How the files are now.
    pub(crate) async fn of(files: &TlsFiles) -> Self {
        let of = async |path: &str| {
            let about = tokio::fs::metadata(path).await.ok()?;
            Some((about.modified().ok()?, about.len()))
        };
        Self([of(&files.cert).await, of(&files.key).await])
    }
}

/// A task that ends with this.
pub(crate) struct Reloading(JoinHandle<()>);

impl Drop for Reloading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Has new connections of a claim speak with what is in `files`, which were read when they were as `read` says.
pub(crate) fn start(files: TlsFiles, read: Stamp, claim: Weak<Claim>) -> Reloading {
    Reloading(tokio::spawn(async move {
        let mut seen = read;
        loop {
            sleep(LOOK).await;
            let now = Stamp::of(&files).await;
            if now == seen {
                continue;
            }
            // Files that do not fit may be half of a change; then there will be another.
            seen = now;
            let loaded = tls::load(&files).await;
            let Some(claim) = claim.upgrade() else { return };
            match loaded {
                Ok(config) => {
                    claim.speak(Some(config));
                    tracing::info!("`{}` was read again", files.cert);
                }
                Err(why) => tracing::warn!("the certificates that were read before stay: {why}"),
            }
        }
    }))
}
