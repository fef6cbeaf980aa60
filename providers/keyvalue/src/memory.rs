//! Memory: gone when the process ends. For tests, and for trying things out.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::changes::{ChangedKeys, Watch, Watchers};
use crate::store::{PAGE, Store, StoreError, add, cursor_after, key_before};

/// Buckets in memory. No operation waits while it holds the lock.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    buckets: Mutex<HashMap<String, BTreeMap<String, Vec<u8>>>>,
    watchers: Watchers,
}

impl MemoryStore {
    fn buckets(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<String, Vec<u8>>>> {
        // Each operation leaves the maps whole even if a later one panics.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Store for MemoryStore {
    async fn get(
        &self,
        bucket: &str,
        keys: Vec<String>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let buckets = self.buckets();
        let bucket = buckets.get(bucket);
        Ok(keys
            .iter()
            .map(|key| bucket.and_then(|b| b.get(key)).cloned())
            .collect())
    }

    async fn exists(&self, bucket: &str, key: String) -> Result<bool, StoreError> {
        Ok(self
            .buckets()
            .get(bucket)
            .is_some_and(|b| b.contains_key(&key)))
    }

    async fn set(&self, bucket: &str, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        let changed: Vec<_> = {
            let mut buckets = self.buckets();
            // Asked under the lock: whoever watches first between this and the write would miss it.
            let changed = match self.watchers.any() {
                true => pairs.iter().map(|(key, _)| key.clone()).collect(),
                false => Vec::new(),
            };
            buckets.entry(bucket.to_owned()).or_default().extend(pairs);
            changed
        };
        self.watchers
            .tell(bucket, changed.iter().map(String::as_str));
        Ok(())
    }

    async fn delete(&self, bucket: &str, keys: Vec<String>) -> Result<(), StoreError> {
        let mut gone = keys;
        match self.buckets().get_mut(bucket) {
            Some(bucket) => gone.retain(|key| bucket.remove(key).is_some()),
            None => gone.clear(),
        }
        self.watchers.tell(bucket, gone.iter().map(String::as_str));
        Ok(())
    }

    async fn increment(
        &self,
        bucket: &str,
        key: String,
        delta: i64,
        least: i64,
    ) -> Result<i64, StoreError> {
        let sum = {
            let mut buckets = self.buckets();
            let bucket = buckets.entry(bucket.to_owned()).or_default();
            let sum = add(bucket.get(&key).map(Vec::as_slice), delta, least)?;
            bucket.insert(key.clone(), sum.to_string().into_bytes());
            sum
        };
        self.watchers.tell(bucket, [key.as_str()]);
        Ok(sum)
    }

    async fn swap(
        &self,
        bucket: &str,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let same = {
            let mut buckets = self.buckets();
            let bucket = buckets.entry(bucket.to_owned()).or_default();
            let same = bucket.get(&key) == expected.as_ref();
            if same {
                bucket.insert(key.clone(), value);
            }
            same
        };
        if same {
            self.watchers.tell(bucket, [key.as_str()]);
        }
        Ok(same)
    }

    async fn list(
        &self,
        bucket: &str,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let start = match &cursor {
            Some(cursor) => Bound::Excluded(key_before(cursor)?),
            None => Bound::Unbounded,
        };
        let buckets = self.buckets();
        let Some(bucket) = buckets.get(bucket) else {
            return Ok((Vec::new(), None));
        };
        let mut keys = bucket
            .range::<str, _>((start, Bound::Unbounded))
            .map(|(key, _)| key);
        let page: Vec<_> = keys.by_ref().take(PAGE).cloned().collect();
        let next = keys.next().and(page.last()).map(|key| cursor_after(key));
        Ok((page, next))
    }

    async fn watch(&self, bucket: &str, changed: Arc<ChangedKeys>) -> Result<Watch, StoreError> {
        let _no_write_is_half_done = self.buckets();
        Ok(self.watchers.add(bucket, changed))
    }
}
