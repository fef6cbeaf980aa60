//! A store whose calls are counted. A read or a write counts until its bytes begin to move: how long they take is the caller's pace.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use withe_provider::blobs::{
    Blob, BlobError, BlobStore, ContainerInfo, ObjectId, ObjectInfo, ObjectNames, Written,
};
use withe_provider::{BackendCalls, Body, CallContext};

use crate::store::Store;

/// A store beyond this process's memory, and the counts of its calls.
pub(crate) struct CountedStore {
    pub(crate) store: Arc<dyn Store>,
    /// Its kind.
    pub(crate) backend: &'static str,
    pub(crate) calls: BackendCalls,
}

impl CountedStore {
    async fn count<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, BlobError>>,
    ) -> Result<T, BlobError> {
        self.calls.count(self.backend, operation, call).await
    }
}

impl fmt::Debug for CountedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait::async_trait]
impl Store for CountedStore {
    async fn check(&self) -> Result<(), BlobError> {
        self.count("check", self.store.check()).await
    }
}

#[async_trait::async_trait]
impl BlobStore for CountedStore {
    async fn create_container(&self, name: &str, context: CallContext) -> Result<(), BlobError> {
        let call = self.store.create_container(name, context);
        self.count("create-container", call).await
    }

    async fn container_exists(&self, name: &str, context: CallContext) -> Result<bool, BlobError> {
        let call = self.store.container_exists(name, context);
        self.count("container-exists", call).await
    }

    async fn delete_container(&self, name: &str, context: CallContext) -> Result<(), BlobError> {
        let call = self.store.delete_container(name, context);
        self.count("delete-container", call).await
    }

    async fn clear_container(&self, name: &str, context: CallContext) -> Result<(), BlobError> {
        let call = self.store.clear_container(name, context);
        self.count("clear-container", call).await
    }

    async fn container_info(
        &self,
        name: &str,
        context: CallContext,
    ) -> Result<ContainerInfo, BlobError> {
        let call = self.store.container_info(name, context);
        self.count("container-info", call).await
    }

    async fn list_objects(
        &self,
        container: &str,
        context: CallContext,
    ) -> Result<ObjectNames, BlobError> {
        let call = self.store.list_objects(container, context);
        self.count("list-objects", call).await
    }

    async fn has_object(&self, id: &ObjectId, context: CallContext) -> Result<bool, BlobError> {
        self.count("has-object", self.store.has_object(id, context))
            .await
    }

    async fn object_info(
        &self,
        id: &ObjectId,
        context: CallContext,
    ) -> Result<ObjectInfo, BlobError> {
        self.count("object-info", self.store.object_info(id, context))
            .await
    }

    async fn delete_objects(
        &self,
        container: &str,
        objects: Vec<String>,
        context: CallContext,
    ) -> Result<(), BlobError> {
        let call = self.store.delete_objects(container, objects, context);
        self.count("delete-objects", call).await
    }

    async fn copy_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        context: CallContext,
    ) -> Result<(), BlobError> {
        let call = self.store.copy_object(from, to, context);
        self.count("copy-object", call).await
    }

    async fn move_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        context: CallContext,
    ) -> Result<(), BlobError> {
        let call = self.store.move_object(from, to, context);
        self.count("move-object", call).await
    }

    async fn read(
        &self,
        id: &ObjectId,
        range: Range<u64>,
        context: CallContext,
    ) -> Result<Blob, BlobError> {
        self.count("read", self.store.read(id, range, context))
            .await
    }

    async fn write(
        &self,
        id: &ObjectId,
        body: Body,
        context: CallContext,
    ) -> Result<Written, BlobError> {
        self.count("write", self.store.write(id, body, context))
            .await
    }
}
