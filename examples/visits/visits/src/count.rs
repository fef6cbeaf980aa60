//! Counts visits in a key-value store, for both forms of this component.
//!
//! A path has two keys: `count:PATH`, a counter that is only ever incremented, and `visit:PATH`, the
//! last visit as `COUNT SECONDS.NANOSECONDS VISITOR`. Lists are made from the latter: it is read
//! without knowing how the store writes down a counter. Of two visits at the same moment the
//! earlier may be written last; the next visit puts that right.
//!
//! Configuration: `bucket`, the store's bucket (`default` if not given).

use std::time::SystemTime;

use crate::exports::withe_examples::visits::visits::{Visit, VisitError};
use crate::wasi::config::store as config;
use crate::wasi::keyvalue::atomics::increment;
use crate::wasi::keyvalue::store::{self, Bucket};
use crate::wasi::logging::logging::{Level, log};
use crate::withe_examples::visits::types::{Datetime, LastVisit};

/// The longest path that is counted, in bytes.
const MAX_PATH: usize = 200;

/// Counts a visit to this path.
pub fn hit(path: String, visitor: Option<String>) -> Result<Visit, VisitError> {
    check(&path)?;
    let bucket = open()?;
    let count = increment(&bucket, &format!("count:{path}"), 1)?;
    let key = format!("visit:{path}");
    let before = bucket.get(&key)?;
    let now = LastVisit { at: now(), visitor };
    bucket.set(&key, write(count, &now).as_bytes())?;
    log(Level::Info, "visits", &format!("visit {count} to {path}"));
    let last = before.and_then(|bytes| read(&bytes)).map(|(_, last)| last);
    Ok(Visit { path, count, last })
}

/// The most visited paths, at most `limit`, most visited first.
pub fn top(limit: u32) -> Result<Vec<Visit>, VisitError> {
    let bucket = open()?;
    let mut visits = Vec::new();
    for key in keys(&bucket)? {
        let Some(path) = key.strip_prefix("visit:") else {
            continue;
        };
        if let Some((count, last)) = bucket.get(&key)?.and_then(|bytes| read(&bytes)) {
            visits.push(Visit {
                path: path.to_string(),
                count,
                last: Some(last),
            });
        }
    }
    visits.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.path.cmp(&b.path)));
    visits.truncate(limit as usize);
    Ok(visits)
}

fn check(path: &str) -> Result<(), VisitError> {
    if !path.starts_with('/') {
        return Err(VisitError::BadPath("a path begins with `/`".into()));
    }
    if path.len() > MAX_PATH {
        return Err(VisitError::BadPath(format!(
            "a path has at most {MAX_PATH} bytes"
        )));
    }
    Ok(())
}

fn open() -> Result<Bucket, VisitError> {
    let name = config::get("bucket")
        .map_err(|e| VisitError::Storage(format!("the bucket's name: {e:?}")))?;
    Ok(store::open(name.as_deref().unwrap_or("default"))?)
}

fn keys(bucket: &Bucket) -> Result<Vec<String>, store::Error> {
    let mut page = bucket.list_keys(None)?;
    let mut keys = page.keys;
    while page.cursor.is_some() {
        page = bucket.list_keys(page.cursor)?;
        keys.append(&mut page.keys);
    }
    Ok(keys)
}

fn now() -> Datetime {
    // The clock may stand before 1970 on a machine that does not know the time.
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Datetime {
        seconds: now.as_secs(),
        nanoseconds: now.subsec_nanos(),
    }
}

fn write(count: u64, last: &LastVisit) -> String {
    let Datetime {
        seconds,
        nanoseconds,
    } = last.at;
    format!(
        "{count} {seconds}.{nanoseconds:09} {}",
        last.visitor.as_deref().unwrap_or_default()
    )
}

/// The inverse of [`write`]; `None` for what it did not write.
fn read(bytes: &[u8]) -> Option<(u64, LastVisit)> {
    let mut words = str::from_utf8(bytes).ok()?.splitn(3, ' ');
    let count = words.next()?.parse().ok()?;
    let (seconds, nanoseconds) = words.next()?.split_once('.')?;
    let at = Datetime {
        seconds: seconds.parse().ok()?,
        nanoseconds: nanoseconds.parse().ok()?,
    };
    let visitor = words
        .next()
        .filter(|name| !name.is_empty())
        .map(String::from);
    Some((count, LastVisit { at, visitor }))
}

impl From<store::Error> for VisitError {
    fn from(error: store::Error) -> Self {
        Self::Storage(match error {
            store::Error::NoSuchStore => "there is no such bucket".into(),
            store::Error::AccessDenied => "access to the bucket is denied".into(),
            store::Error::Other(why) => why,
        })
    }
}
