//! The way to the process that has the lattice.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;
use withe_rpc::{CallContext, PipeReader, Session};

use super::protocol::{self, ASK, Ask, Done, FOLLOW, Failure, Follow};
use crate::LatticeError;
use crate::error::Unreachable;

/// How long an operation may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long one may take that moves values, which may be large.
const VALUES: Duration = Duration::from_secs(20);

/// How long one may take that moves a blob.
const BLOBS: Duration = Duration::from_secs(60);

/// How long after it was refused something is asked for again.
pub(super) const AGAIN: Duration = Duration::from_millis(100);

/// The way to the process that has the lattice: a session with it.
pub(super) struct AttachedLink {
    pub(super) session: Session,
    /// Whether the lattice that we are attached to is served there.
    pub(super) connected: watch::Sender<bool>,
}

impl AttachedLink {
    /// Asks for something and waits for what comes of it.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Done, LatticeError> {
        let limit = match &ask {
            Ask::Put(..) | Ask::Get(_) | Ask::List(..) => VALUES,
            Ask::PutBlob(..) | Ask::Blob(_) => BLOBS,
            // The other end's time is up first, which says that it may have been received.
            Ask::Request(.., limit) => TIMEOUT + Duration::from_millis(*limit),
            _ => TIMEOUT,
        };
        self.connected().await?;
        let params = protocol::write(&ask).map_err(protocol::failed)?;
        let answer = self.session.call(ASK, params, within(limit)).await;
        let answer = answer.map_err(protocol::failed)?;
        let done: Result<Done, Failure> = protocol::read(&answer).map_err(protocol::failed)?;
        Ok(done?)
    }

    /// Begins something that goes on; returns the lattice's name too.
    pub(super) async fn begin(&self, what: &Follow) -> Result<(String, PipeReader), LatticeError> {
        self.connected().await?;
        self.call_follow(what).await
    }

    /// Makes sure that somebody is there; who, and a stream that ends with the connection.
    pub(super) async fn greet(&self) -> Result<(String, PipeReader), LatticeError> {
        self.call_follow(&Follow::Presence).await
    }

    async fn call_follow(&self, what: &Follow) -> Result<(String, PipeReader), LatticeError> {
        let params = protocol::write(what).map_err(protocol::failed)?;
        let begun = self.session.call(FOLLOW, params, within(TIMEOUT)).await;
        let mut begun = begun.map_err(protocol::failed)?;
        let name: Result<String, Failure> = protocol::read(&begun).map_err(protocol::failed)?;
        Ok((name?, begun.streams.pop().ok_or_else(not_asked)?))
    }

    /// Waits until there is a connection, for as long as an operation may take.
    async fn connected(&self) -> Result<(), LatticeError> {
        let mut connected = self.connected.subscribe();
        match timeout(TIMEOUT, connected.wait_for(|connected| *connected)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Unreachable::ProcessGone.into()),
        }
    }
}

fn within(limit: Duration) -> CallContext {
    CallContext {
        deadline: Instant::now() + limit,
        trace: None,
    }
}

/// The other end is not what it says it is.
pub(super) fn not_asked() -> LatticeError {
    Unreachable::NotAsked.into()
}
