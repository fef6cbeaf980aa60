//! A store whose calls are counted.

use std::fmt;
use std::sync::Arc;

use withe_provider::BackendCalls;

use crate::changes::{ChangedKeys, Watch};
use crate::store::{Store, StoreError};

/// A store beyond this process, and the counts of its calls.
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
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
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
    async fn get(
        &self,
        bucket: &str,
        keys: Vec<String>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.count("get", self.store.get(bucket, keys)).await
    }

    async fn exists(&self, bucket: &str, key: String) -> Result<bool, StoreError> {
        self.count("exists", self.store.exists(bucket, key)).await
    }

    async fn set(&self, bucket: &str, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        self.count("set", self.store.set(bucket, pairs)).await
    }

    async fn delete(&self, bucket: &str, keys: Vec<String>) -> Result<(), StoreError> {
        self.count("delete", self.store.delete(bucket, keys)).await
    }

    async fn increment(
        &self,
        bucket: &str,
        key: String,
        delta: i64,
        least: i64,
    ) -> Result<i64, StoreError> {
        let call = self.store.increment(bucket, key, delta, least);
        self.count("increment", call).await
    }

    async fn swap(
        &self,
        bucket: &str,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let call = self.store.swap(bucket, key, expected, value);
        self.count("swap", call).await
    }

    async fn list(
        &self,
        bucket: &str,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        self.count("list", self.store.list(bucket, cursor)).await
    }

    async fn watch(&self, bucket: &str, changed: Arc<ChangedKeys>) -> Result<Watch, StoreError> {
        self.count("watch", self.store.watch(bucket, changed)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.count("check", self.store.check()).await
    }
}
