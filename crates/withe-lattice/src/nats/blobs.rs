//! Blobs, in an object store.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::object_store::{
    Config, DeleteErrorKind, GetErrorKind, InfoErrorKind, ObjectStore,
};
use bytes::Bytes;
use tokio::io::AsyncReadExt;

use super::bucket::no_bucket;
use super::unreachable;
use crate::LatticeError;

pub(super) struct Blobs(ObjectStore);

/// How much longer than other operations one with so many bytes may take.
pub(super) fn time_for(bytes: usize) -> Duration {
    Duration::from_secs((bytes >> 20) as u64)
}

impl Blobs {
    /// Opens the object store, or makes it. Others may be making it too.
    ///
    /// # Errors
    ///
    /// The server does not answer, or does not let us.
    pub(super) async fn open(jetstream: &Context, name: String) -> Result<Self, LatticeError> {
        if let Ok(store) = jetstream.get_object_store(&name).await {
            return Ok(Self(store));
        }
        let config = Config {
            bucket: name.clone(),
            ..Config::default()
        };
        let error = match jetstream.create_object_store(config).await {
            Ok(store) => return Ok(Self(store)),
            Err(e) => e,
        };
        let store = jetstream.get_object_store(&name).await;
        store.map(Self).map_err(|_| no_bucket(&name, &error))
    }

    /// How large a blob is, if it is there.
    pub(super) async fn size(&self, digest: &str) -> Result<Option<usize>, LatticeError> {
        match self.0.info(digest).await {
            Ok(info) if info.deleted => Ok(None),
            Ok(info) => Ok(Some(info.size)),
            Err(e) if e.kind() == InfoErrorKind::NotFound => Ok(None),
            Err(e) => Err(unreachable(&e)),
        }
    }

    pub(super) async fn put(&self, digest: &str, blob: &[u8]) -> Result<(), LatticeError> {
        let mut reader = blob;
        let put = self.0.put(digest, &mut reader).await;
        put.map(drop).map_err(|e| unreachable(&e))
    }

    pub(super) async fn get(&self, digest: &str) -> Result<Option<Bytes>, LatticeError> {
        let mut object = match self.0.get(digest).await {
            Ok(object) => object,
            Err(e) if e.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(unreachable(&e)),
        };
        let mut blob = Vec::new();
        let read = object.read_to_end(&mut blob).await;
        read.map_err(|e| unreachable(&e))?;
        Ok(Some(blob.into()))
    }

    pub(super) async fn delete(&self, digest: &str) -> Result<(), LatticeError> {
        match self.0.delete(digest).await {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == DeleteErrorKind::NotFound => Ok(()),
            Err(e) => Err(unreachable(&e)),
        }
    }
}
