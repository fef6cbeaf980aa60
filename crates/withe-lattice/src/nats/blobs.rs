//! Blobs, in an object store.

use async_nats::jetstream::Context;
use async_nats::jetstream::object_store::{
    Config, DeleteErrorKind, GetErrorKind, InfoErrorKind, ObjectStore,
};
use bytes::Bytes;
use tokio::io::AsyncReadExt;

use super::open::no_bucket;
use crate::LatticeError;

pub(super) struct Blobs {
    jetstream: Context,
    name: String,
    store: ObjectStore,
}

impl Blobs {
    /// Opens the object store, or makes it. Others may be making it too.
    ///
    /// # Errors
    ///
    /// The server does not answer, or does not let us.
    pub(super) async fn open(jetstream: &Context, name: String) -> Result<Self, LatticeError> {
        Ok(Self {
            store: open(jetstream, &name).await?,
            jetstream: jetstream.clone(),
            name,
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

    /// How large a blob is, if it is there.
    pub(super) async fn size(&self, digest: &str) -> Result<Option<usize>, LatticeError> {
        match self.store.info(digest).await {
            Ok(info) if info.deleted => Ok(None),
            Ok(info) => Ok(Some(info.size)),
            Err(e) if e.kind() == InfoErrorKind::NotFound => Ok(None),
            Err(e) => Err(LatticeError::unreachable(e)),
        }
    }

    pub(super) async fn put(&self, digest: &str, blob: &[u8]) -> Result<(), LatticeError> {
        let mut reader = blob;
        let put = self.store.put(digest, &mut reader).await;
        put.map(drop).map_err(LatticeError::unreachable)
    }

    pub(super) async fn get(&self, digest: &str) -> Result<Option<Bytes>, LatticeError> {
        let mut object = match self.store.get(digest).await {
            Ok(object) => object,
            Err(e) if e.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(LatticeError::unreachable(e)),
        };
        let mut blob = Vec::new();
        let read = object.read_to_end(&mut blob).await;
        read.map_err(LatticeError::unreachable)?;
        Ok(Some(blob.into()))
    }

    pub(super) async fn delete(&self, digest: &str) -> Result<(), LatticeError> {
        match self.store.delete(digest).await {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == DeleteErrorKind::NotFound => Ok(()),
            Err(e) => Err(LatticeError::unreachable(e)),
        }
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
