//! The pieces of values that do not fit into an entry, in a bucket of their own.
//!
//! Each value that is put has pieces of its own, under a drawn id: so a writer that replaces or removes an entry
//! may remove the pieces that it named. Pieces under the digest of what they hold were rejected, for two entries
//! would share them, and removing those of the one would race with putting the other; so was the object store,
//! which keeps a mark of each object for ever.
//!
//! Members that ended in between, and leases that ran out, leave pieces behind that nobody names. Every member
//! [sweeps](PieceStore::sweep) them up now and then.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::{Config, Store};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};

use super::open::open;
use crate::LatticeError;
use crate::value::{Head, Pieces, ValueError};

/// The most bytes of an entry, or of a piece, where the server takes that much.
const LARGEST: usize = 512 << 10;

/// The most bytes of a message besides its payload: headers and subject.
const AROUND: usize = 4 << 10;

/// How many pieces of a value are under way at a time.
const AT_A_TIME: usize = 4;

pub(super) struct PieceStore {
    jetstream: Context,
    config: Config,
    store: Store,
    /// The ids that nobody named at the last sweep.
    suspects: Mutex<HashSet<String>>,
}

impl PieceStore {
    /// Opens the bucket, or makes it. Others may be making it too.
    ///
    /// # Errors
    ///
    /// The server does not answer, or does not let us.
    pub(super) async fn open(jetstream: &Context, name: String) -> Result<Self, LatticeError> {
        let config = Config {
            bucket: name,
            history: 1,
            ..Config::default()
        };
        Ok(Self {
            store: open(jetstream, &config).await?,
            jetstream: jetstream.clone(),
            config,
            suspects: Mutex::default(),
        })
    }

    /// Makes the bucket again if the server has lost it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub(super) async fn ensure(&self) -> Result<(), LatticeError> {
        open(&self.jetstream, &self.config).await.map(drop)
    }

    /// The most bytes of an entry, or of a piece.
    pub(super) fn largest(&self) -> usize {
        let most = self.jetstream.client().max_payload();
        LARGEST.min(most.saturating_sub(AROUND).max(1 << 10))
    }

    /// Keeps these bytes in pieces.
    ///
    /// # Errors
    ///
    /// The server does not answer. Some pieces may be there then: they are swept up.
    pub(super) async fn put(&self, bytes: Bytes) -> Result<Pieces, LatticeError> {
        let id = format!("{:032x}", fastrand::u128(..));
        let largest = self.largest();
        let starts = (0..bytes.len()).step_by(largest);
        // No value has so many bytes that this would be more than 32 bits.
        let count = starts.len() as u32;
        let puts = starts.enumerate().map(|(number, start)| {
            let piece = bytes.slice(start..bytes.len().min(start + largest));
            self.store.put(format!("{id}.{number}"), piece)
        });
        let puts = stream::iter(puts).buffer_unordered(AT_A_TIME);
        let done = puts.try_for_each(|_| std::future::ready(Ok(()))).await;
        done.map_err(LatticeError::unreachable)?;
        Ok(Pieces { id, count })
    }

    /// The value that is kept in pieces, or why it is not there.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub(super) async fn get(
        &self,
        head: Head,
        pieces: &Pieces,
    ) -> Result<Result<Bytes, ValueError>, LatticeError> {
        let gets = (0..pieces.count).map(|number| async move {
            let found = self.store.get(format!("{}.{number}", pieces.id)).await;
            found.map(|piece| (number, piece))
        });
        let mut gets = stream::iter(gets).buffered(AT_A_TIME);
        let mut packed = BytesMut::new();
        while let Some(got) = gets.next().await {
            let (number, piece) = got.map_err(LatticeError::unreachable)?;
            let Some(piece) = piece else {
                return Ok(Err(ValueError::Missing {
                    number: number + 1,
                    count: pieces.count,
                }));
            };
            packed.extend_from_slice(&piece);
            // Packing makes nothing larger.
            if packed.len() > head.size() {
                return Ok(Err(ValueError::Digest));
            }
        }
        let packed = packed.freeze();
        let unpacked = tokio::task::spawn_blocking(move || head.unpack(packed)).await;
        unpacked.map_err(LatticeError::unreachable)
    }

    /// Whether all pieces are there.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub(super) async fn has(&self, pieces: &Pieces) -> Result<bool, LatticeError> {
        let found = self.subjects(&format!("{}.>", pieces.id)).await?;
        Ok(found.len() == pieces.count as usize)
    }

    /// Removes pieces. A sweep removes those for which this fails.
    pub(super) async fn remove(&self, id: &str) {
        let subjects = format!("{}{id}.>", self.store.prefix);
        if let Err(error) = self.store.stream.purge().filter(subjects).await {
            tracing::debug!(id, %error, "pieces of a value are left behind for now");
        }
    }

    /// Removes what nobody named, neither now nor when it was swept last: a value that is being put meanwhile is
    /// named by the next time. `named` is asked what is named, after it was seen what there is.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub(super) async fn sweep(
        &self,
        named: impl Future<Output = Result<HashSet<String>, LatticeError>>,
    ) -> Result<(), LatticeError> {
        let ids: HashSet<String> = self
            .subjects(">")
            .await?
            .into_iter()
            .filter_map(|key| Some(key.split_once('.')?.0.to_owned()))
            .collect();
        let mut unnamed = ids;
        if !unnamed.is_empty() {
            let named = named.await?;
            unnamed.retain(|id| !named.contains(id));
        }
        let suspects = {
            let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *suspects, unnamed.clone())
        };
        for id in unnamed.intersection(&suspects) {
            tracing::debug!(id, "removes pieces of a value that nothing names");
            self.remove(id).await;
        }
        Ok(())
    }

    /// The keys that there are.
    async fn subjects(&self, filter: &str) -> Result<Vec<String>, LatticeError> {
        let prefix = &self.store.prefix;
        let info = self
            .store
            .stream
            .info_with_subjects(format!("{prefix}{filter}"));
        let subjects = info.await.map_err(LatticeError::unreachable)?;
        let keys = subjects.map_ok(|(subject, _)| {
            subject
                .strip_prefix(prefix.as_str())
                .unwrap_or(&subject)
                .to_owned()
        });
        keys.try_collect().await.map_err(LatticeError::unreachable)
    }
}
