//! The interfaces: both drafts, as a link's store does what they ask.
//!
//! The drafts differ in the types of cursors and counters, in what `get-many` returns, and the
//! second has compare-and-swap. Their common part is written once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout_at;
use withe_provider::{CallError, Context, Own};

use crate::cursors::{self, Cursors};
use crate::store::{DEFAULT_BUCKET, Store, StoreError, check_name, check_value};
use crate::wit::wasi::{keyvalue_0_2_0_draft as draft, keyvalue_0_2_0_draft2 as draft2};

/// How long before its caller stops waiting a call gives up, so that the caller learns why.
const MARGIN: Duration = Duration::from_millis(20);

/// The provider's state of a link.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    /// The bucket that the identifiers `default` and the empty one open.
    pub(crate) default_bucket: Arc<str>,
    /// Kept when the link is replaced.
    pub(crate) cursors: Arc<Cursors>,
}

/// `store.bucket`: its name.
#[derive(Debug)]
pub(crate) struct Bucket(Arc<str>);

/// `atomics.cas`: a key's value at one moment.
#[derive(Debug)]
pub(crate) struct Cas {
    bucket: Arc<str>,
    key: String,
    value: Option<Vec<u8>>,
}

/// A result of the interface, in the call's.
type Answer<T, E> = Result<Result<T, E>, CallError>;

// No backend knows of `no-such-store` or `access-denied`.

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

impl From<StoreError> for draft2::atomics::CasError<Cas> {
    fn from(error: StoreError) -> Self {
        Self::StoreError(error.into())
    }
}

/// Waits for what a store does, as long as the caller can be told what came of it.
async fn done<T, E: From<StoreError>>(
    cx: &Context<'_>,
    doing: impl Future<Output = Result<T, StoreError>>,
) -> Answer<T, E> {
    let deadline = cx.deadline.checked_sub(MARGIN).unwrap_or(cx.deadline);
    let result = timeout_at(deadline.into(), doing).await;
    Ok(result.unwrap_or(Err(StoreError::Late)).map_err(E::from))
}

impl Opened {
    fn bucket(&self, identifier: &str) -> Result<Bucket, StoreError> {
        check_name("the bucket's name", identifier)?;
        Ok(Bucket(match identifier {
            "" | DEFAULT_BUCKET => self.default_bucket.clone(),
            name => name.into(),
        }))
    }

    async fn value(&self, bucket: &str, key: String) -> Result<Option<Vec<u8>>, StoreError> {
        check_key(&key)?;
        // As many values come back as keys are asked for.
        Ok(self.store.get(bucket, vec![key]).await?.pop().flatten())
    }

    /// Pairs of `keys` and their values.
    async fn values(
        &self,
        bucket: &str,
        keys: Vec<String>,
    ) -> Result<impl Iterator<Item = (String, Option<Vec<u8>>)>, StoreError> {
        keys.iter().try_for_each(|key| check_key(key))?;
        let values = self.store.get(bucket, keys.clone()).await?;
        Ok(keys.into_iter().zip(values))
    }

    async fn set(&self, bucket: &str, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        for (key, value) in &pairs {
            check_key(key)?;
            check_value(value)?;
        }
        self.store.set(bucket, pairs).await
    }

    async fn delete(&self, bucket: &str, keys: Vec<String>) -> Result<(), StoreError> {
        keys.iter().try_for_each(|key| check_key(key))?;
        self.store.delete(bucket, keys).await
    }

    async fn exists(&self, bucket: &str, key: String) -> Result<bool, StoreError> {
        check_key(&key)?;
        self.store.exists(bucket, key).await
    }

    async fn increment(
        &self,
        bucket: &str,
        key: String,
        delta: i64,
        least: i64,
    ) -> Result<i64, StoreError> {
        check_key(&key)?;
        self.store.increment(bucket, key, delta, least).await
    }

    /// A page of keys, and the cursor of the next one.
    async fn list(
        &self,
        bucket: &str,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let cursor = cursor.map(|cursor| cursors::in_bucket(bucket, &cursor));
        let (keys, next) = self.store.list(bucket, cursor.transpose()?).await?;
        Ok((keys, next.map(|next| cursors::of_bucket(bucket, &next))))
    }

    async fn moment(&self, bucket: Arc<str>, key: String) -> Result<Cas, StoreError> {
        let value = self.value(&bucket, key.clone()).await?;
        Ok(Cas { bucket, key, value })
    }
}

fn check_key(key: &str) -> Result<(), StoreError> {
    check_name("the key", key)
}

/// The functions of the interface `store` that are the same in both drafts.
macro_rules! store {
    ($draft:ident) => {
        type Bucket = Bucket;

        async fn open(
            &self,
            cx: &Context<'_>,
            identifier: String,
        ) -> Answer<Own<Bucket>, $draft::store::Error> {
            match self.bucket(&identifier) {
                Ok(bucket) => Ok(Ok(cx.own(bucket)?)),
                Err(error) => Ok(Err(error.into())),
            }
        }

        async fn bucket_get(
            &self,
            cx: &Context<'_>,
            bucket: &Bucket,
            key: String,
        ) -> Answer<Option<Vec<u8>>, $draft::store::Error> {
            done(cx, self.value(&bucket.0, key)).await
        }

        async fn bucket_set(
            &self,
            cx: &Context<'_>,
            bucket: &Bucket,
            key: String,
            value: Vec<u8>,
        ) -> Answer<(), $draft::store::Error> {
            done(cx, self.set(&bucket.0, vec![(key, value)])).await
        }

        async fn bucket_delete(
            &self,
            cx: &Context<'_>,
            bucket: &Bucket,
            key: String,
        ) -> Answer<(), $draft::store::Error> {
            done(cx, self.delete(&bucket.0, vec![key])).await
        }

        async fn bucket_exists(
            &self,
            cx: &Context<'_>,
            bucket: &Bucket,
            key: String,
        ) -> Answer<bool, $draft::store::Error> {
            done(cx, self.exists(&bucket.0, key)).await
        }
    };
}

/// The functions of the interface `batch` that are the same in both drafts.
macro_rules! batch {
    ($draft:ident) => {
        async fn set_many(
            &self,
            cx: &Context<'_>,
            bucket: &Bucket,
            key_values: Vec<(String, Vec<u8>)>,
        ) -> Answer<(), $draft::store::Error> {
            done(cx, self.set(&bucket.0, key_values)).await
        }

        async fn delete_many(
            &self,
            cx: &Context<'_>,
            bucket: &Bucket,
            keys: Vec<String>,
        ) -> Answer<(), $draft::store::Error> {
            done(cx, self.delete(&bucket.0, keys)).await
        }
    };
}

impl draft::store::Interface for Opened {
    store!(draft);

    async fn bucket_list_keys(
        &self,
        cx: &Context<'_>,
        bucket: &Bucket,
        cursor: Option<u64>,
    ) -> Answer<draft::store::KeyResponse, draft::store::Error> {
        let list = async {
            let known = cursor.map(|number| self.cursors.get(number).ok_or(StoreError::Cursor));
            let (keys, next) = self.list(&bucket.0, known.transpose()?).await?;
            let cursor = next.map(|next| self.cursors.add(next));
            Ok(draft::store::KeyResponse { keys, cursor })
        };
        done(cx, list).await
    }
}

impl draft2::store::Interface for Opened {
    store!(draft2);

    async fn bucket_list_keys(
        &self,
        cx: &Context<'_>,
        bucket: &Bucket,
        cursor: Option<String>,
    ) -> Answer<draft2::store::KeyResponse, draft2::store::Error> {
        let list = async {
            let (keys, cursor) = self.list(&bucket.0, cursor).await?;
            Ok(draft2::store::KeyResponse { keys, cursor })
        };
        done(cx, list).await
    }
}

impl draft::batch::Interface for Opened {
    batch!(draft);

    async fn get_many(
        &self,
        cx: &Context<'_>,
        bucket: &Bucket,
        keys: Vec<String>,
    ) -> Answer<Vec<Option<(String, Vec<u8>)>>, draft::store::Error> {
        let get = async {
            let pairs = self.values(&bucket.0, keys).await?;
            Ok(pairs.map(|(key, value)| Some((key, value?))).collect())
        };
        done(cx, get).await
    }
}

impl draft2::batch::Interface for Opened {
    batch!(draft2);

    async fn get_many(
        &self,
        cx: &Context<'_>,
        bucket: &Bucket,
        keys: Vec<String>,
    ) -> Answer<Vec<(String, Option<Vec<u8>>)>, draft2::store::Error> {
        let get = async { Ok(self.values(&bucket.0, keys).await?.collect()) };
        done(cx, get).await
    }
}

impl draft::atomics::Interface for Opened {
    async fn increment(
        &self,
        cx: &Context<'_>,
        bucket: &Bucket,
        key: String,
        delta: u64,
    ) -> Answer<u64, draft::store::Error> {
        let increment = async {
            let delta = i64::try_from(delta).map_err(|_| StoreError::Overflow)?;
            // A counter can be below zero if something else than this draft set it.
            let sum = self.increment(&bucket.0, key, delta, 0).await?;
            u64::try_from(sum).map_err(|_| StoreError::Overflow)
        };
        done(cx, increment).await
    }
}

impl draft2::atomics::Interface for Opened {
    type Cas = Cas;

    async fn increment(
        &self,
        cx: &Context<'_>,
        bucket: &Bucket,
        key: String,
        delta: i64,
    ) -> Answer<i64, draft2::store::Error> {
        done(cx, self.increment(&bucket.0, key, delta, i64::MIN)).await
    }

    async fn cas_new(
        &self,
        cx: &Context<'_>,
        bucket: &Bucket,
        key: String,
    ) -> Answer<Own<Cas>, draft2::store::Error> {
        match done(cx, self.moment(bucket.0.clone(), key)).await? {
            Ok(cas) => Ok(Ok(cx.own(cas)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn cas_current(
        &self,
        _: &Context<'_>,
        cas: &Cas,
    ) -> Answer<Option<Vec<u8>>, draft2::store::Error> {
        Ok(Ok(cas.value.clone()))
    }

    async fn swap(
        &self,
        cx: &Context<'_>,
        cas: Arc<Cas>,
        value: Vec<u8>,
    ) -> Answer<(), draft2::atomics::CasError<Cas>> {
        let Cas { bucket, key, .. } = &*cas;
        let swap = async {
            check_value(&value)?;
            let expected = cas.value.clone();
            match self
                .store
                .swap(bucket, key.clone(), expected, value)
                .await?
            {
                true => Ok(None),
                false => self.moment(bucket.clone(), key.clone()).await.map(Some),
            }
        };
        match done(cx, swap).await? {
            Ok(None) => Ok(Ok(())),
            Ok(Some(now)) => Ok(Err(draft2::atomics::CasError::CasFailed(cx.own(now)?))),
            Err(error) => Ok(Err(error)),
        }
    }
}
