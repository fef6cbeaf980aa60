//! The packets that the task of a connection writes, and writing them.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connect::NoConnection;

/// The work that the task of a connection takes from others.
pub(super) struct Work {
    pub(super) packets: mpsc::Receiver<Bytes>,
    pub(super) acknowledged: mpsc::Receiver<Bytes>,
    /// The first of `packets`, which acknowledgements overtake that were there before it.
    pub(super) held: Option<Bytes>,
}

impl Work {
    /// The next packet, if one is there.
    pub(super) fn ready(&mut self) -> Option<Bytes> {
        if self.held.is_none() {
            self.held = self.packets.try_recv().ok();
        }
        // Looked for last: who asks the broker something counts on that it was told before what is acknowledged.
        let acknowledged = self.acknowledged.try_recv().ok();
        acknowledged.or_else(|| self.held.take())
    }

    /// The next packet; `None` when nobody can send any more.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(packet) = self.ready() {
                return Some(packet);
            }
            tokio::select! {
                Some(packet) = self.acknowledged.recv() => return Some(packet),
                Some(packet) = self.packets.recv() => self.held = Some(packet),
                else => return None,
            }
        }
    }
}

/// Writes a packet, which may take `limit`.
pub(super) async fn put(
    writing: &mut (impl AsyncWrite + Unpin),
    packet: &[u8],
    limit: Duration,
) -> Result<(), NoConnection> {
    let written = timeout(limit, writing.write_all(packet)).await;
    Ok(written.map_err(|_| NoConnection::Late(limit))??)
}

/// Sends what was written, which may take `limit`.
pub(super) async fn flush(
    writing: &mut (impl AsyncWrite + Unpin),
    limit: Duration,
) -> Result<(), NoConnection> {
    let written = timeout(limit, writing.flush()).await;
    Ok(written.map_err(|_| NoConnection::Late(limit))??)
}
