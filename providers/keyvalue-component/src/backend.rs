//! The operations of every store: the provider's `Store` without waiting, for a component has nothing else to do meanwhile.

use crate::store::StoreError;

/// A store, opened. An operation that fails has changed nothing, unless the error says that nobody knows. Names and values have
/// passed the checks of [`crate::store`].
pub(crate) trait Store {
    /// The values of `keys`, in their order.
    fn get(&mut self, bucket: &str, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Whether `key` is there.
    fn exists(&mut self, bucket: &str, key: &str) -> Result<bool, StoreError>;

    /// Sets all of `pairs`, or none; where a key is there twice, the later one counts.
    fn set(&mut self, bucket: &str, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError>;

    /// Removes all of `keys`, or none.
    fn delete(&mut self, bucket: &str, keys: &[String]) -> Result<(), StoreError>;

    /// Adds `delta` to the number at `key`, 0 if it is not there, and returns the sum. A sum that does not fit, or is
    /// below `least`, is [`StoreError::Overflow`].
    fn increment(
        &mut self,
        bucket: &str,
        key: &str,
        delta: i64,
        least: i64,
    ) -> Result<i64, StoreError>;

    /// Sets `key` to `value` if it now is `expected`; returns whether it was.
    fn swap(
        &mut self,
        bucket: &str,
        key: &str,
        expected: Option<&[u8]>,
        value: Vec<u8>,
    ) -> Result<bool, StoreError>;

    /// A page of the bucket's keys, from where `cursor` says, and where the next one starts if there is one.
    fn list(
        &mut self,
        bucket: &str,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError>;
}
