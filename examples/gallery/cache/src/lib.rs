//! Stands before a key-value store, and remembers for a second what a key had. Writes go on at once, and are
//! remembered then. For a link with `scope: shared`, so that all callers share what is remembered. Another writer of the same
//! store is seen a second late.

wit_bindgen::generate!({ world: "cache", path: "../wit", generate_all });

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use exports::wasi::keyvalue::atomics;
use exports::wasi::keyvalue::store::{Bucket, Error, Guest, GuestBucket, KeyResponse};
use wasi::keyvalue::{atomics as kept_atomics, store as kept};

struct Cache;
export!(Cache);

/// How long something is remembered.
const FRESH: Duration = Duration::from_secs(1);
/// The number of keys that are remembered at most.
const KEYS: usize = 10_000;

/// Something that is known since then.
type Since<T> = (Instant, T);

/// The memory of one key.
#[derive(Default)]
struct Known {
    value: Option<Since<Option<Vec<u8>>>>,
    number: Option<Since<u64>>,
}

thread_local! {
    /// By bucket and key.
    static KNOWN: RefCell<HashMap<(String, String), Known>> = RefCell::default();
}

/// A bucket of the store behind, and its name.
struct Cached {
    name: String,
    bucket: kept::Bucket,
}

impl Cached {
    /// Looks at what is known of a key, or changes it.
    fn known<T>(&self, key: &str, look: impl FnOnce(&mut Known) -> T) -> T {
        KNOWN.with_borrow_mut(|known| {
            let of = (self.name.clone(), key.to_owned());
            // All is forgotten when there is too much: each key is read again soon anyway.
            if known.len() >= KEYS && !known.contains_key(&of) {
                known.clear();
            }
            look(known.entry(of).or_default())
        })
    }
}

fn fresh<T: Clone>(since: &Option<Since<T>>) -> Option<T> {
    let (then, what) = since.as_ref()?;
    (then.elapsed() < FRESH).then(|| what.clone())
}

fn now<T>(what: T) -> Option<Since<T>> {
    Some((Instant::now(), what))
}

impl Guest for Cache {
    type Bucket = Cached;

    fn open(name: String) -> Result<Bucket, Error> {
        let bucket = kept::open(&name).map_err(told)?;
        Ok(Bucket::new(Cached { name, bucket }))
    }
}

impl GuestBucket for Cached {
    fn get(&self, key: String) -> Result<Option<Vec<u8>>, Error> {
        if let Some(value) = self.known(&key, |known| fresh(&known.value)) {
            return Ok(value);
        }
        let value = self.bucket.get(&key).map_err(told)?;
        self.known(&key, |known| known.value = now(value.clone()));
        Ok(value)
    }

    fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        self.known(&key, |known| *known = Known::default());
        self.bucket.set(&key, &value).map_err(told)?;
        self.known(&key, |known| known.value = now(Some(value)));
        Ok(())
    }

    fn delete(&self, key: String) -> Result<(), Error> {
        self.known(&key, |known| *known = Known::default());
        self.bucket.delete(&key).map_err(told)
    }

    fn exists(&self, key: String) -> Result<bool, Error> {
        match self.known(&key, |known| fresh(&known.value)) {
            Some(value) => Ok(value.is_some()),
            None => self.bucket.exists(&key).map_err(told),
        }
    }

    fn list_keys(&self, cursor: Option<u64>) -> Result<KeyResponse, Error> {
        let page = self.bucket.list_keys(cursor).map_err(told)?;
        Ok(KeyResponse {
            keys: page.keys,
            cursor: page.cursor,
        })
    }
}

impl atomics::Guest for Cache {
    fn increment(bucket: atomics::BucketBorrow<'_>, key: String, delta: u64) -> Result<u64, Error> {
        let cached = bucket.get::<Cached>();
        // To add nothing is to read.
        if delta == 0
            && let Some(number) = cached.known(&key, |known| fresh(&known.number))
        {
            return Ok(number);
        }
        cached.known(&key, |known| *known = Known::default());
        let sum = kept_atomics::increment(&cached.bucket, &key, delta).map_err(told)?;
        cached.known(&key, |known| known.number = now(sum));
        Ok(sum)
    }
}

fn told(error: kept::Error) -> Error {
    match error {
        kept::Error::NoSuchStore => Error::NoSuchStore,
        kept::Error::AccessDenied => Error::AccessDenied,
        kept::Error::Other(why) => Error::Other(why),
    }
}
