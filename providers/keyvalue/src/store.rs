//! The operations of every backend. The interfaces are built from these few operations.

use std::fmt::Debug;
use std::sync::Arc;

use crate::changes::{ChangedKeys, Watch};

mod common;

pub(crate) use common::{
    DEFAULT_BUCKET, LARGEST_VALUE, LONGEST_NAME, PAGE, StoreError, add, check_name, check_value,
    cursor_after, key_before,
};

/// A backend, opened. Buckets need not be made: one without keys is the same as none.
///
/// An operation that fails has changed nothing, unless the error says that nobody knows
/// ([`StoreError::Late`], [`StoreError::Lost`]). Names and values have passed [`check_name`] and [`check_value`].
#[async_trait::async_trait]
pub(crate) trait Store: Debug + Send + Sync {
    /// The values of `keys`, in their order.
    async fn get(
        &self,
        bucket: &str,
        keys: Vec<String>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Whether `key` is there.
    async fn exists(&self, bucket: &str, key: String) -> Result<bool, StoreError>;

    /// Sets all of `pairs`, or none, unless the store writes one at a time; where a key is there twice, the later one counts.
    async fn set(&self, bucket: &str, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError>;

    /// Removes all of `keys`, or none, unless the store writes one at a time.
    async fn delete(&self, bucket: &str, keys: Vec<String>) -> Result<(), StoreError>;

    /// Adds `delta` to the number at `key`, 0 if it is not there, and returns the sum. A sum that does not fit,
    /// or is below `least`, is [`StoreError::Overflow`].
    async fn increment(
        &self,
        bucket: &str,
        key: String,
        delta: i64,
        least: i64,
    ) -> Result<i64, StoreError>;

    /// Sets `key` to `value` if it now is `expected`; returns whether it was.
    async fn swap(
        &self,
        bucket: &str,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, StoreError>;

    /// A page of the bucket's keys, from where `cursor` says (an earlier page's of that bucket), and where the
    /// next one starts if there is one. A key that is there all the time is on some page.
    async fn list(
        &self,
        bucket: &str,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError>;

    /// Notes in `changed` which keys of `bucket` change from now on, whoever changes them as far as the store hears of it,
    /// until the watch is dropped.
    async fn watch(&self, bucket: &str, changed: Arc<ChangedKeys>) -> Result<Watch, StoreError>;

    /// Whether it can be reached now.
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// An error of one of many writes, of which others may have been made.
pub(crate) fn of_some(why: StoreError, is_one: bool) -> StoreError {
    match why {
        StoreError::Failed(why) if !is_one => StoreError::Lost(why),
        why => why,
    }
}
