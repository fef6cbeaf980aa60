//! The interfaces: both drafts, as the store does what they ask.
//!
//! The drafts differ in the types of cursors and counters, in what `get-many` returns, and the second has
//! compare-and-swap. All that they share is written once.

use crate::cursors::{in_bucket, of_bucket};
use crate::state::{self, State};
use crate::store::{DEFAULT_BUCKET, StoreError, check_name, check_value};
use crate::wit::exports::wasi::{keyvalue0_2_0_draft as draft, keyvalue0_2_0_draft2 as draft2};

pub(crate) struct Component;

/// `store.bucket`: its name.
pub(crate) struct Bucket(String);

/// `atomics.cas`: a key's value at one moment.
pub(crate) struct Cas {
    bucket: String,
    key: String,
    value: Option<Vec<u8>>,
}

impl From<StoreError> for draft::store::Error {
    fn from(error: StoreError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<StoreError> for draft2::store::Error {
    fn from(error: StoreError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<StoreError> for draft2::atomics::CasError {
    fn from(error: StoreError) -> Self {
        Self::StoreError(error.into())
    }
}

/// A key, and its value if it is there.
type Pair = (String, Option<Vec<u8>>);

fn check_key(key: &str) -> Result<(), StoreError> {
    check_name("the key", key)
}

fn open(identifier: String) -> Result<Bucket, StoreError> {
    check_name("the bucket's name", &identifier)?;
    state::with(|state| {
        Ok(Bucket(match identifier.as_str() {
            "" | DEFAULT_BUCKET => state.default_bucket.clone(),
            _ => identifier,
        }))
    })
}

impl Bucket {
    fn get(&self, key: String) -> Result<Option<Vec<u8>>, StoreError> {
        check_key(&key)?;
        // As many values come back as keys are asked for.
        state::with(|state| Ok(state.store.get(&self.0, &[key])?.pop().flatten()))
    }

    /// `keys` and their values.
    fn get_many(&self, keys: Vec<String>) -> Result<Vec<Pair>, StoreError> {
        keys.iter().try_for_each(|key| check_key(key))?;
        let values = state::with(|state| state.store.get(&self.0, &keys))?;
        Ok(keys.into_iter().zip(values).collect())
    }

    fn exists(&self, key: String) -> Result<bool, StoreError> {
        check_key(&key)?;
        state::with(|state| state.store.exists(&self.0, &key))
    }

    fn set(&self, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        for (key, value) in &pairs {
            check_key(key)?;
            check_value(value)?;
        }
        state::with(|state| state.store.set(&self.0, pairs))
    }

    fn delete(&self, keys: Vec<String>) -> Result<(), StoreError> {
        keys.iter().try_for_each(|key| check_key(key))?;
        state::with(|state| state.store.delete(&self.0, &keys))
    }

    fn increment(&self, key: String, delta: i64, least: i64) -> Result<i64, StoreError> {
        check_key(&key)?;
        state::with(|state| state.store.increment(&self.0, &key, delta, least))
    }

    fn moment(&self, key: String) -> Result<Cas, StoreError> {
        let value = self.get(key.clone())?;
        let bucket = self.0.clone();
        Ok(Cas { bucket, key, value })
    }

    /// A page of keys, and the cursor of the next one.
    fn list(
        &self,
        state: &mut State,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let cursor = cursor
            .map(|cursor| in_bucket(&self.0, &cursor))
            .transpose()?;
        let (keys, next) = state.store.list(&self.0, cursor)?;
        Ok((keys, next.map(|next| of_bucket(&self.0, &next))))
    }
}

/// The functions of `store` and `batch` that are the same in both drafts.
macro_rules! shared {
    (store $draft:ident) => {
        type Bucket = Bucket;

        fn open(identifier: String) -> Result<$draft::store::Bucket, $draft::store::Error> {
            Ok($draft::store::Bucket::new(open(identifier)?))
        }
    };
    (bucket $draft:ident) => {
        fn get(&self, key: String) -> Result<Option<Vec<u8>>, $draft::store::Error> {
            Ok(self.get(key)?)
        }

        fn set(&self, key: String, value: Vec<u8>) -> Result<(), $draft::store::Error> {
            Ok(self.set(vec![(key, value)])?)
        }

        fn delete(&self, key: String) -> Result<(), $draft::store::Error> {
            Ok(self.delete(vec![key])?)
        }

        fn exists(&self, key: String) -> Result<bool, $draft::store::Error> {
            Ok(self.exists(key)?)
        }
    };
    (batch $draft:ident) => {
        fn set_many(
            bucket: $draft::store::BucketBorrow<'_>,
            key_values: Vec<(String, Vec<u8>)>,
        ) -> Result<(), $draft::store::Error> {
            Ok(bucket.get::<Bucket>().set(key_values)?)
        }

        fn delete_many(
            bucket: $draft::store::BucketBorrow<'_>,
            keys: Vec<String>,
        ) -> Result<(), $draft::store::Error> {
            Ok(bucket.get::<Bucket>().delete(keys)?)
        }
    };
}

impl draft::store::Guest for Component {
    shared!(store draft);
}

impl draft2::store::Guest for Component {
    shared!(store draft2);
}

impl draft::store::GuestBucket for Bucket {
    shared!(bucket draft);

    fn list_keys(
        &self,
        cursor: Option<u64>,
    ) -> Result<draft::store::KeyResponse, draft::store::Error> {
        let page = state::with(|state| {
            let known = cursor.map(|number| state.cursors.get(number).ok_or(StoreError::Cursor));
            let (keys, next) = self.list(state, known.transpose()?)?;
            let cursor = next.map(|next| state.cursors.add(next));
            Ok(draft::store::KeyResponse { keys, cursor })
        });
        Ok(page?)
    }
}

impl draft2::store::GuestBucket for Bucket {
    shared!(bucket draft2);

    fn list_keys(
        &self,
        cursor: Option<String>,
    ) -> Result<draft2::store::KeyResponse, draft2::store::Error> {
        let (keys, cursor) = state::with(|state| self.list(state, cursor))?;
        Ok(draft2::store::KeyResponse { keys, cursor })
    }
}

impl draft::batch::Guest for Component {
    shared!(batch draft);

    fn get_many(
        bucket: draft::store::BucketBorrow<'_>,
        keys: Vec<String>,
    ) -> Result<Vec<Option<(String, Vec<u8>)>>, draft::store::Error> {
        let pairs = bucket.get::<Bucket>().get_many(keys)?.into_iter();
        Ok(pairs.map(|(key, value)| Some((key, value?))).collect())
    }
}

impl draft2::batch::Guest for Component {
    shared!(batch draft2);

    fn get_many(
        bucket: draft2::store::BucketBorrow<'_>,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, draft2::store::Error> {
        Ok(bucket.get::<Bucket>().get_many(keys)?)
    }
}

impl draft::atomics::Guest for Component {
    fn increment(
        bucket: draft::store::BucketBorrow<'_>,
        key: String,
        delta: u64,
    ) -> Result<u64, draft::store::Error> {
        let delta = i64::try_from(delta).map_err(|_| StoreError::Overflow)?;
        // A counter can be below zero if something else than this draft set it.
        let sum = bucket.get::<Bucket>().increment(key, delta, 0)?;
        Ok(u64::try_from(sum).map_err(|_| StoreError::Overflow)?)
    }
}

impl draft2::atomics::Guest for Component {
    type Cas = Cas;

    fn increment(
        bucket: draft2::store::BucketBorrow<'_>,
        key: String,
        delta: i64,
    ) -> Result<i64, draft2::store::Error> {
        Ok(bucket.get::<Bucket>().increment(key, delta, i64::MIN)?)
    }

    fn swap(cas: draft2::atomics::Cas, value: Vec<u8>) -> Result<(), draft2::atomics::CasError> {
        let Cas {
            bucket,
            key,
            value: expected,
        } = cas.into_inner();
        check_value(&value)?;
        let swapped =
            state::with(|state| state.store.swap(&bucket, &key, expected.as_deref(), value));
        if swapped? {
            return Ok(());
        }
        let now = Bucket(bucket).moment(key)?;
        let now = draft2::atomics::Cas::new(now);
        Err(draft2::atomics::CasError::CasFailed(now))
    }
}

impl draft2::atomics::GuestCas for Cas {
    fn new(
        bucket: draft2::store::BucketBorrow<'_>,
        key: String,
    ) -> Result<draft2::atomics::Cas, draft2::store::Error> {
        Ok(draft2::atomics::Cas::new(
            bucket.get::<Bucket>().moment(key)?,
        ))
    }

    fn current(&self) -> Result<Option<Vec<u8>>, draft2::store::Error> {
        Ok(self.value.clone())
    }
}
