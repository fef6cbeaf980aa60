//! Memory: of this instance, and gone with it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use crate::backend::Store;
use crate::store::{PAGE, StoreError, add, cursor_after, key_before};

/// Buckets in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore(HashMap<String, BTreeMap<String, Vec<u8>>>);

impl MemoryStore {
    fn bucket(&mut self, name: &str) -> &mut BTreeMap<String, Vec<u8>> {
        self.0.entry(name.to_owned()).or_default()
    }
}

impl Store for MemoryStore {
    fn get(&mut self, bucket: &str, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let bucket = self.0.get(bucket);
        let value = |key| bucket.and_then(|bucket| bucket.get(key)).cloned();
        Ok(keys.iter().map(value).collect())
    }

    fn exists(&mut self, bucket: &str, key: &str) -> Result<bool, StoreError> {
        let bucket = self.0.get(bucket);
        Ok(bucket.is_some_and(|bucket| bucket.contains_key(key)))
    }

    fn set(&mut self, bucket: &str, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        self.bucket(bucket).extend(pairs);
        Ok(())
    }

    fn delete(&mut self, bucket: &str, keys: &[String]) -> Result<(), StoreError> {
        if let Some(bucket) = self.0.get_mut(bucket) {
            for key in keys {
                bucket.remove(key);
            }
        }
        Ok(())
    }

    fn increment(
        &mut self,
        bucket: &str,
        key: &str,
        delta: i64,
        least: i64,
    ) -> Result<i64, StoreError> {
        let bucket = self.bucket(bucket);
        let sum = add(bucket.get(key).map(Vec::as_slice), delta, least)?;
        bucket.insert(key.to_owned(), sum.to_string().into_bytes());
        Ok(sum)
    }

    fn swap(
        &mut self,
        bucket: &str,
        key: &str,
        expected: Option<&[u8]>,
        value: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let bucket = self.bucket(bucket);
        let is_same = bucket.get(key).map(Vec::as_slice) == expected;
        if is_same {
            bucket.insert(key.to_owned(), value);
        }
        Ok(is_same)
    }

    fn list(
        &mut self,
        bucket: &str,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let start = match &cursor {
            Some(cursor) => Bound::Excluded(key_before(cursor)?),
            None => Bound::Unbounded,
        };
        let Some(bucket) = self.0.get(bucket) else {
            return Ok((Vec::new(), None));
        };
        let mut keys = bucket
            .range::<str, _>((start, Bound::Unbounded))
            .map(|(key, _)| key);
        let page: Vec<_> = keys.by_ref().take(PAGE).cloned().collect();
        let next = keys.next().and(page.last()).map(|key| cursor_after(key));
        Ok((page, next))
    }
}
