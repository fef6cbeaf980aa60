//! What every backend can do. The interfaces are built from these few operations.

use std::fmt;

/// Keys that one page of a bucket's keys may hold.
pub(crate) const PAGE: usize = 1000;

/// A backend, opened. Buckets need not be made: one without keys is the same as none.
#[async_trait::async_trait]
pub(crate) trait Store: fmt::Debug + Send + Sync {
    /// The values of `keys`, in their order.
    async fn get(
        &self,
        bucket: &str,
        keys: Vec<String>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Whether `key` is there.
    async fn exists(&self, bucket: &str, key: String) -> Result<bool, StoreError>;

    /// Sets all of `pairs`, or none; where a key is there twice, the later one counts.
    async fn set(&self, bucket: &str, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError>;

    /// Removes all of `keys`, or none.
    async fn delete(&self, bucket: &str, keys: Vec<String>) -> Result<(), StoreError>;

    /// Adds `delta` to the number at `key`, 0 if it is not there, and returns the sum.
    async fn increment(&self, bucket: &str, key: String, delta: i64) -> Result<i64, StoreError>;

    /// Sets `key` to `value` if it now is `expected`; returns whether it was.
    async fn swap(
        &self,
        bucket: &str,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, StoreError>;

    /// A page of the bucket's keys, from where `cursor` says (an earlier page's), and where the
    /// next one starts if there is one. A key that is there all the time is on some page.
    async fn list(
        &self,
        bucket: &str,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError>;

    /// Whether it can be reached now.
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreError {
    /// The value is no number.
    NotANumber,
    /// The sum does not fit.
    Overflow,
    /// The cursor is none of this store's.
    Cursor,
    /// It did not answer while somebody waited.
    Late,
    /// It failed, or could not be reached. Never holds a secret.
    Failed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber => f.write_str("the value is not a number"),
            Self::Overflow => f.write_str("the number would not fit in 64 bits"),
            Self::Cursor => f.write_str("the cursor is not known; start again from the first page"),
            Self::Late => f.write_str(
                "the store did not answer in time; what was to be written may or may not be",
            ),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Adds `delta` to a number as it is stored: in decimal, so that `get` shows the same in every
/// backend.
pub(crate) fn add(stored: Option<&[u8]>, delta: i64) -> Result<i64, StoreError> {
    let number = match stored {
        None => 0,
        Some(bytes) => std::str::from_utf8(bytes)
            .ok()
            // Redis takes neither a plus sign nor leading zeros for a number.
            .filter(|text| text.parse::<i64>().is_ok_and(|n| n.to_string() == **text))
            .and_then(|text| text.parse().ok())
            .ok_or(StoreError::NotANumber)?,
    };
    delta.checked_add(number).ok_or(StoreError::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        let cases: [(Option<&[u8]>, i64, _); 9] = [
            (None, 5, Ok(5)),
            (Some(b"37"), 5, Ok(42)),
            (Some(b"-3"), -2, Ok(-5)),
            (Some(b""), 1, Err(StoreError::NotANumber)),
            (Some(b"+1"), 1, Err(StoreError::NotANumber)),
            (Some(b"01"), 1, Err(StoreError::NotANumber)),
            (Some(b"\xff"), 1, Err(StoreError::NotANumber)),
            (Some(b"9223372036854775807"), 0, Ok(i64::MAX)),
            (Some(b"9223372036854775807"), 1, Err(StoreError::Overflow)),
        ];
        for (stored, delta, want) in cases {
            assert_eq!(add(stored, delta), want, "{stored:?} + {delta}");
        }
    }
}
