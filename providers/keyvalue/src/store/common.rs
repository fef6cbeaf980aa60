//! Common to all stores: names, limits, numbers, cursors, and how an operation fails.
//!
//! The provider and its component (`providers/keyvalue-component`) are both compiled from this file, so that a link may
//! lead to the one or the other.

/// The bucket that the identifiers `default` and the empty one open, unless `bucket` says another.
pub(crate) const DEFAULT_BUCKET: &str = "default";

/// Keys that one page of a bucket's keys may hold.
pub(crate) const PAGE: usize = 1000;

/// The most bytes of a bucket's name, and of a key.
pub(crate) const LONGEST_NAME: usize = 64 << 10;
/// The most bytes of a value. As many go through one call over a wire.
pub(crate) const LARGEST_VALUE: usize = 64 << 20;

/// The beginning of cursors of stores that keep their keys in order.
const AFTER: &str = "after:";

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// The value is no number.
    #[error("the value is not a number")]
    NotANumber,
    /// The sum does not fit into the result's type.
    #[error("the number would not fit in 64 bits")]
    Overflow,
    /// The cursor is none of this bucket's.
    #[error("the cursor is not known; start again from the first page")]
    Cursor,
    /// A name or value has too many bytes.
    #[error("{what} has {bytes} bytes, and may have {most}")]
    TooLarge {
        what: &'static str,
        bytes: usize,
        most: usize,
    },
    /// The store did not answer while somebody waited.
    #[error("the store did not answer in time; what was to be written may or may not be")]
    Late,
    /// The store was asked to write, and its answer did not come. Never holds a secret.
    #[error("{0}; what was to be written may or may not be")]
    Lost(String),
    /// The store failed, or could not be reached. Never holds a secret.
    #[error("{0}")]
    Failed(String),
}

/// The cursor behind `key`, for stores that keep their keys in order.
pub(crate) fn cursor_after(key: &str) -> String {
    format!("{AFTER}{key}")
}

/// The key that a cursor of [`cursor_after`] is behind.
///
/// # Errors
///
/// [`StoreError::Cursor`] if another sort of store made it.
pub(crate) fn key_before(cursor: &str) -> Result<&str, StoreError> {
    cursor.strip_prefix(AFTER).ok_or(StoreError::Cursor)
}

/// Checks the length of `name`, which is `what`: one limit for all backends, below what each of them takes.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), StoreError> {
    check(what, name.len(), LONGEST_NAME)
}

/// Checks the length of a value: one limit for all backends, below what each of them takes.
pub(crate) fn check_value(value: &[u8]) -> Result<(), StoreError> {
    check("the value", value.len(), LARGEST_VALUE)
}

fn check(what: &'static str, bytes: usize, most: usize) -> Result<(), StoreError> {
    match bytes <= most {
        true => Ok(()),
        false => Err(StoreError::TooLarge { what, bytes, most }),
    }
}

/// Adds `delta` to a number as it is stored: in decimal, so that `get` shows the same in every
/// backend. The sum must be at least `least`.
pub(crate) fn add(stored: Option<&[u8]>, delta: i64, least: i64) -> Result<i64, StoreError> {
    let number = match stored {
        None => 0,
        Some(bytes) => std::str::from_utf8(bytes)
            .ok()
            // Redis takes neither a plus sign nor leading zeros for a number.
            .filter(|text| text.parse::<i64>().is_ok_and(|n| n.to_string() == **text))
            .and_then(|text| text.parse().ok())
            .ok_or(StoreError::NotANumber)?,
    };
    let sum = delta.checked_add(number).filter(|sum| *sum >= least);
    sum.ok_or(StoreError::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        let any = i64::MIN;
        let cases: [(Option<&[u8]>, i64, i64, _); 12] = [
            (None, 5, any, Ok(5)),
            (Some(b"37"), 5, any, Ok(42)),
            (Some(b"-3"), -2, any, Ok(-5)),
            (Some(b"-3"), 2, 0, Err(StoreError::Overflow)),
            (Some(b"-3"), 3, 0, Ok(0)),
            (None, -1, 0, Err(StoreError::Overflow)),
            (Some(b""), 1, any, Err(StoreError::NotANumber)),
            (Some(b"+1"), 1, any, Err(StoreError::NotANumber)),
            (Some(b"01"), 1, any, Err(StoreError::NotANumber)),
            (Some(b"\xff"), 1, any, Err(StoreError::NotANumber)),
            (Some(b"9223372036854775807"), 0, any, Ok(i64::MAX)),
            (
                Some(b"9223372036854775807"),
                1,
                any,
                Err(StoreError::Overflow),
            ),
        ];
        for (stored, delta, least, want) in cases {
            assert_eq!(add(stored, delta, least), want, "{stored:?} + {delta}");
        }
    }
}
