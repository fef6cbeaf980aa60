//! Blobs, in an object store.
//!
//! Every member that may write the bucket can replace a blob with garbage, or its record with one that lies.
//! So the record is judged before anything is fetched, and chunks are counted and hashed as they come
//! ([`BlobCheck`]). The library's own reader was rejected: it follows a record's link into any other bucket,
//! takes whatever comes until there is no more, and waits for chunks that are gone. Only writing uses the
//! library.

use std::sync::Arc;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::push::OrderedConfig;
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::object_store::{Config, DeleteErrorKind, ObjectStore};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::open::no_bucket;
use crate::blob::{BlobCheck, check_size, is_computable};
use crate::error::Unreachable;
use crate::{BlobError, LatticeError};

pub(super) struct Blobs {
    jetstream: Context,
    name: String,
    store: ObjectStore,
    /// The stream that the store is made of.
    stream: Stream,
    /// The most bytes of a blob.
    most: usize,
}

/// The record of a blob, as every client of NATS writes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct BlobRecord {
    bucket: String,
    /// Names the chunks.
    #[serde(default)]
    nuid: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    chunks: u64,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    options: Option<RecordOptions>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct RecordOptions {
    /// The object in whose place it is; ours are in the place of none.
    #[serde(default)]
    link: Option<IgnoredAny>,
}

impl BlobRecord {
    /// How many bytes the blob is said to have.
    pub(super) fn size(&self) -> usize {
        // No more than are taken, which was checked.
        self.size as usize
    }

    /// Whether the chunks that it names can only be its own, so that they may be read and removed.
    fn is_own(&self, bucket: &str) -> bool {
        let is_word =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_link = (self.options.as_ref()).is_some_and(|options| options.link.is_some());
        self.bucket == bucket && is_word(&self.nuid) && !is_link
    }
}

impl Blobs {
    /// Opens the object store, or makes it. Others may be making it too.
    ///
    /// # Errors
    ///
    /// The server does not answer, or does not let us.
    pub(super) async fn open(
        jetstream: &Context,
        name: String,
        most: usize,
    ) -> Result<Self, LatticeError> {
        let store = open(jetstream, &name).await?;
        let stream = jetstream.get_stream(format!("OBJ_{name}")).await;
        Ok(Self {
            store,
            stream: stream.map_err(LatticeError::unreachable)?,
            jetstream: jetstream.clone(),
            name,
            most,
        })
    }

    /// Makes the object store again if the server has lost it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub(super) async fn ensure(&self) -> Result<(), LatticeError> {
        open(&self.jetstream, &self.name).await.map(drop)
    }

    /// The record of a blob, if there is one, or why it is not to be believed.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub(super) async fn record(
        &self,
        digest: &str,
    ) -> Result<Option<Result<BlobRecord, BlobError>>, LatticeError> {
        let subject = self.record_subject(digest);
        let payload = match self.stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => message.payload,
            Err(e) if e.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(None),
            Err(e) => return Err(LatticeError::unreachable(e)),
        };
        let record: BlobRecord = match serde_json::from_slice(&payload) {
            Ok(record) => record,
            Err(e) => return Ok(Some(Err(BlobError::Record(Arc::new(e))))),
        };
        Ok(match record.is_own(&self.name) {
            false => Some(Err(BlobError::Foreign)),
            true if record.deleted => None,
            true => Some(check_size(record.size, self.most).map(|()| record)),
        })
    }

    /// Keeps a blob, unless it is there and whole.
    ///
    /// # Errors
    ///
    /// The value is too large, or the server does not answer.
    pub(super) async fn put(&self, digest: &str, blob: &Bytes) -> Result<(), LatticeError> {
        check_size(blob.len() as u64, self.most).map_err(|why| LatticeError::blob(digest, why))?;
        if let Some(record) = self.record(digest).await? {
            let found = match record {
                Ok(record) => self.compare(digest, &record, blob.len() as u64).await?,
                Err(why) => Err(why),
            };
            let Err(why) = found else {
                return Ok(());
            };
            tracing::warn!(digest, %why, "a damaged blob is replaced");
            // The library removes the chunks that the record names, and these may be another blob's.
            if matches!(why, BlobError::Record(_) | BlobError::Foreign) {
                self.remove_record(digest).await?;
            }
        }
        let mut reader = &blob[..];
        let put = self.store.put(digest, &mut reader).await;
        put.map(drop).map_err(LatticeError::unreachable)
    }

    /// Whether what is there is the blob of this size.
    async fn compare(
        &self,
        digest: &str,
        record: &BlobRecord,
        size: u64,
    ) -> Result<Result<(), BlobError>, LatticeError> {
        let (said, found) = (record.size, size);
        // Under a name that is no digest there may be another blob, of another size.
        if is_computable(digest) && said != found {
            return Ok(Err(match said < found {
                true => BlobError::Longer { said },
                false => BlobError::Shorter { said, found },
            }));
        }
        self.read(digest, record, |_| ()).await
    }

    /// The blob of which this is said, or why it is not it.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub(super) async fn get(
        &self,
        digest: &str,
        record: &BlobRecord,
    ) -> Result<Result<Bytes, BlobError>, LatticeError> {
        let mut blob = BytesMut::new();
        let read = self.read(digest, record, |chunk| blob.extend_from_slice(chunk));
        let read = read.await?;
        Ok(read.map(|()| blob.freeze()))
    }

    /// Reads a blob to its end, or as far as it is as its record says.
    async fn read(
        &self,
        digest: &str,
        record: &BlobRecord,
        mut keep: impl FnMut(&[u8]),
    ) -> Result<Result<(), BlobError>, LatticeError> {
        let mut check = BlobCheck::new(digest, record.size, record.digest.as_deref());
        let config = OrderedConfig {
            deliver_subject: self.jetstream.client().new_inbox(),
            description: Some("a blob of withe".into()),
            filter_subject: self.chunk_subject(record),
            replay_policy: ReplayPolicy::Instant,
            deliver_policy: DeliverPolicy::All,
            ..OrderedConfig::default()
        };
        let consumer = self.stream.create_consumer(config).await;
        let consumer = consumer.map_err(LatticeError::unreachable)?;
        let found = consumer.cached_info().num_pending;
        let said = record.chunks;
        if found != said {
            return Ok(Err(BlobError::Chunks { said, found }));
        }
        let messages = consumer.messages().await;
        let mut messages = messages.map_err(LatticeError::unreachable)?;
        for _ in 0..found {
            let message = messages.next().await.ok_or(Unreachable::Closed)?;
            let message = message.map_err(LatticeError::unreachable)?;
            if let Err(why) = check.add(&message.payload) {
                return Ok(Err(why));
            }
            keep(&message.payload);
        }
        Ok(check.finish())
    }

    /// Removes a blob, if it is there.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub(super) async fn delete(&self, digest: &str) -> Result<(), LatticeError> {
        // The library removes the chunks that the record names, and these may be another blob's.
        if let Some(Err(BlobError::Record(_) | BlobError::Foreign)) = self.record(digest).await? {
            return self.remove_record(digest).await;
        }
        match self.store.delete(digest).await {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == DeleteErrorKind::NotFound => Ok(()),
            Err(e) => Err(LatticeError::unreachable(e)),
        }
    }

    /// Removes what is said of a blob, and nothing of what that names.
    async fn remove_record(&self, digest: &str) -> Result<(), LatticeError> {
        let purge = self.stream.purge().filter(self.record_subject(digest));
        purge.await.map(drop).map_err(LatticeError::unreachable)
    }

    fn record_subject(&self, digest: &str) -> String {
        format!("$O.{}.M.{}", self.name, URL_SAFE.encode(digest))
    }

    fn chunk_subject(&self, record: &BlobRecord) -> String {
        format!("$O.{}.C.{}", self.name, record.nuid)
    }
}

async fn open(jetstream: &Context, name: &str) -> Result<ObjectStore, LatticeError> {
    if let Ok(store) = jetstream.get_object_store(name).await {
        return Ok(store);
    }
    let config = Config {
        bucket: name.into(),
        ..Config::default()
    };
    let error = match jetstream.create_object_store(config).await {
        Ok(store) => return Ok(store),
        Err(e) => e,
    };
    let store = jetstream.get_object_store(name).await;
    store.map_err(|_| no_bucket(name, error))
}
