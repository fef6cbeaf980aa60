//! The operations of every backend.

use std::fmt::Debug;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use withe_provider::{BlobError, BlobStore};

/// A backend, opened. Names have been checked ([`crate::names`]), and ranges do not end before they begin.
#[async_trait::async_trait]
pub(crate) trait Store: BlobStore + Debug {
    /// Whether it can be used now.
    async fn check(&self) -> Result<(), BlobError> {
        Ok(())
    }
}

/// Seconds since 1970; 0 before, or if nobody knows.
pub(crate) fn seconds(time: Option<SystemTime>) -> u64 {
    let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.as_ref().map_or(0, Duration::as_secs)
}

/// The part of `range` that an object of `size` bytes has.
pub(crate) fn within(range: &Range<u64>, size: u64) -> Range<u64> {
    let start = range.start.min(size);
    start..range.end.clamp(start, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_there_is() {
        let cases = [
            (0..u64::MAX, 0..10),
            (3..5, 3..5),
            (3..3, 3..3),
            (9..11, 9..10),
            (11..20, 10..10),
        ];
        for (range, cut) in cases {
            assert_eq!(within(&range, 10), cut, "{range:?}");
        }
    }
}
