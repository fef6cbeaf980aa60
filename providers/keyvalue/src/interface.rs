//! The interfaces: each function's parameters and result, for both drafts.
//!
//! The drafts differ in the types of cursors and counters, in what `get-many` returns, and the
//! second has compare-and-swap. What they share is written once.

use std::sync::Arc;

use withe_provider::codec::{ByteList, Decode, Encode, Handle, Writer};
use withe_provider::{CallError, FunctionName, Payload};

use crate::handles::{Cas, Handles, Resource};
use crate::store::{Store, StoreError};

/// A draft of `wasi:keyvalue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Draft {
    /// `0.2.0-draft`
    One,
    /// `0.2.0-draft2`
    Two,
}

/// A function that can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Open,
    Get,
    Set,
    Delete,
    Exists,
    ListKeys(Draft),
    Increment(Draft),
    GetMany(Draft),
    SetMany,
    DeleteMany,
    CasNew,
    CasCurrent,
    CasSwap,
}

impl Function {
    /// The function of that name, if there is one.
    pub(crate) fn named(name: &FunctionName) -> Option<Self> {
        let (interface, version) = name
            .interface
            .strip_prefix("wasi:keyvalue/")?
            .split_once('@')?;
        let draft = match version {
            "0.2.0-draft" => Draft::One,
            "0.2.0-draft2" => Draft::Two,
            _ => return None,
        };
        Some(match (interface, name.function.as_str()) {
            ("store", "open") => Self::Open,
            ("store", "[method]bucket.get") => Self::Get,
            ("store", "[method]bucket.set") => Self::Set,
            ("store", "[method]bucket.delete") => Self::Delete,
            ("store", "[method]bucket.exists") => Self::Exists,
            ("store", "[method]bucket.list-keys") => Self::ListKeys(draft),
            ("atomics", "increment") => Self::Increment(draft),
            ("atomics", "[static]cas.new") if draft == Draft::Two => Self::CasNew,
            ("atomics", "[method]cas.current") if draft == Draft::Two => Self::CasCurrent,
            ("atomics", "swap") if draft == Draft::Two => Self::CasSwap,
            ("batch", "get-many") => Self::GetMany(draft),
            ("batch", "set-many") => Self::SetMany,
            ("batch", "delete-many") => Self::DeleteMany,
            _ => return None,
        })
    }
}

/// `store.error`: always its case `other`. No backend knows of `no-such-store` or
/// `access-denied`.
#[derive(Debug)]
struct Error(String);

impl Encode for Error {
    fn encode(&self, w: &mut Writer) {
        w.unsigned(2);
        self.0.encode(w);
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

/// `atomics.cas-error`
enum CasError {
    Store(Error),
    Failed(Handle),
}

impl Encode for CasError {
    fn encode(&self, w: &mut Writer) {
        match self {
            Self::Store(error) => {
                w.unsigned(0);
                error.encode(w);
            }
            Self::Failed(now) => {
                w.unsigned(1);
                now.encode(w);
            }
        }
    }
}

/// The result of a call that was given up because its caller stops waiting.
pub(crate) fn unanswered(function: Function) -> Payload {
    let text = "the store did not answer in time; what was to be written may or may not be";
    let error = Error(text.to_owned());
    match function {
        Function::CasSwap => Payload::of(&Err::<(), _>(CasError::Store(error))),
        _ => Payload::of(&Err::<(), _>(error)),
    }
}

/// What a call works on.
pub(crate) struct Target<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) handles: &'a Handles,
    /// What the identifiers `default` and the empty one open.
    pub(crate) default_bucket: &'a Arc<str>,
}

/// Reads a call's parameters.
fn params<T: Decode>(payload: &Payload) -> Result<T, CallError> {
    payload
        .read()
        .map_err(|e| CallError::TypeMismatch(format!("parameters of a call: {e}")))
}

/// Writes a call's `result<T, error>`.
fn result<T: Encode, E: Into<Error>>(result: Result<T, E>) -> Payload {
    Payload::of(&result.map_err(Into::into))
}

impl Target<'_> {
    /// Calls `function`.
    ///
    /// # Errors
    ///
    /// If the parameters are not the function's, or a limit is met. What the store says is in the
    /// result.
    pub(crate) async fn call(
        &self,
        function: Function,
        payload: &Payload,
    ) -> Result<Payload, CallError> {
        let store = self.store;
        Ok(match function {
            Function::Open => {
                let (identifier,): (String,) = params(payload)?;
                let name = match identifier.as_str() {
                    "" | crate::config::DEFAULT_BUCKET => self.default_bucket.clone(),
                    name => name.into(),
                };
                let bucket = Handle(self.handles.add(Resource::Bucket(name))?);
                result::<_, Error>(Ok(bucket))
            }
            Function::Get => {
                let (bucket, key) = self.bucket_and_key(payload)?;
                result(
                    self.value(&bucket, key)
                        .await
                        .map(|value| value.map(ByteList)),
                )
            }
            Function::Set => {
                let (bucket, key, value): (Handle, String, ByteList) = params(payload)?;
                let bucket = self.handles.bucket(bucket.0)?;
                result(store.set(&bucket, vec![(key, value.0)]).await)
            }
            Function::Delete => {
                let (bucket, key) = self.bucket_and_key(payload)?;
                result(store.delete(&bucket, vec![key]).await)
            }
            Function::Exists => {
                let (bucket, key) = self.bucket_and_key(payload)?;
                result(store.exists(&bucket, key).await)
            }
            Function::ListKeys(Draft::One) => {
                let (bucket, cursor): (Handle, Option<u64>) = params(payload)?;
                let bucket = self.handles.bucket(bucket.0)?;
                // The first draft's cursors are numbers, the stores' are not.
                let known = match cursor {
                    Some(number) => self
                        .handles
                        .cursor(number)
                        .ok_or(StoreError::Cursor)
                        .map(Some),
                    None => Ok(None),
                };
                let page = match known {
                    Ok(cursor) => store.list(&bucket, cursor).await,
                    Err(unknown) => Err(unknown),
                };
                result(
                    page.map(|(keys, next)| (keys, next.map(|next| self.handles.add_cursor(next)))),
                )
            }
            Function::ListKeys(Draft::Two) => {
                let (bucket, cursor): (Handle, Option<String>) = params(payload)?;
                let bucket = self.handles.bucket(bucket.0)?;
                result(store.list(&bucket, cursor).await)
            }
            Function::Increment(Draft::One) => {
                let (bucket, key, delta): (Handle, String, u64) = params(payload)?;
                let bucket = self.handles.bucket(bucket.0)?;
                result(match i64::try_from(delta) {
                    Ok(delta) => {
                        let sum = store.increment(&bucket, key, delta).await;
                        // A counter can be below zero if something else than this draft set it.
                        sum.and_then(|sum| u64::try_from(sum).map_err(|_| StoreError::Overflow))
                    }
                    Err(_) => Err(StoreError::Overflow),
                })
            }
            Function::Increment(Draft::Two) => {
                let (bucket, key, delta): (Handle, String, i64) = params(payload)?;
                let bucket = self.handles.bucket(bucket.0)?;
                result(store.increment(&bucket, key, delta).await)
            }
            Function::GetMany(draft) => {
                let (bucket, keys): (Handle, Vec<String>) = params(payload)?;
                let bucket = self.handles.bucket(bucket.0)?;
                let values = store.get(&bucket, keys.clone()).await;
                let pairs = values.map(|values| {
                    keys.into_iter()
                        .zip(values.into_iter().map(|v| v.map(ByteList)))
                });
                match draft {
                    Draft::One => result(pairs.map(|pairs| {
                        pairs
                            .map(|(key, value)| value.map(|v| (key, v)))
                            .collect::<Vec<_>>()
                    })),
                    Draft::Two => result(pairs.map(|pairs| pairs.collect::<Vec<_>>())),
                }
            }
            Function::SetMany => {
                let (bucket, pairs): (Handle, Vec<(String, ByteList)>) = params(payload)?;
                let bucket = self.handles.bucket(bucket.0)?;
                let pairs = pairs
                    .into_iter()
                    .map(|(key, value)| (key, value.0))
                    .collect();
                result(store.set(&bucket, pairs).await)
            }
            Function::DeleteMany => {
                let (bucket, keys): (Handle, Vec<String>) = params(payload)?;
                let bucket = self.handles.bucket(bucket.0)?;
                result(store.delete(&bucket, keys).await)
            }
            Function::CasNew => {
                let (bucket, key) = self.bucket_and_key(payload)?;
                match self.value(&bucket, key.clone()).await {
                    Ok(value) => result::<_, Error>(Ok(self.add_cas(bucket, key, value)?)),
                    Err(error) => result::<Handle, _>(Err(error)),
                }
            }
            Function::CasCurrent => {
                let (cas,): (Handle,) = params(payload)?;
                let cas = self.handles.cas(cas.0)?;
                result::<_, Error>(Ok(cas.value.clone().map(ByteList)))
            }
            Function::CasSwap => {
                let (handle, value): (Handle, ByteList) = params(payload)?;
                let cas = self.handles.cas(handle.0)?;
                // The function takes the handle, whatever comes of it.
                self.handles.remove(handle.0);
                Payload::of(&self.swap(&cas, value.0).await?)
            }
        })
    }

    fn bucket_and_key(&self, payload: &Payload) -> Result<(Arc<str>, String), CallError> {
        let (bucket, key): (Handle, String) = params(payload)?;
        Ok((self.handles.bucket(bucket.0)?, key))
    }

    async fn value(&self, bucket: &str, key: String) -> Result<Option<Vec<u8>>, StoreError> {
        // As many values come back as keys are asked for.
        Ok(self.store.get(bucket, vec![key]).await?.pop().flatten())
    }

    fn add_cas(
        &self,
        bucket: Arc<str>,
        key: String,
        value: Option<Vec<u8>>,
    ) -> Result<Handle, CallError> {
        self.handles
            .add(Resource::Cas(Arc::new(Cas { bucket, key, value })))
            .map(Handle)
    }

    async fn swap(&self, cas: &Cas, value: Vec<u8>) -> Result<Result<(), CasError>, CallError> {
        let expected = cas.value.clone();
        match self
            .store
            .swap(&cas.bucket, cas.key.clone(), expected, value)
            .await
        {
            Ok(true) => return Ok(Ok(())),
            Ok(false) => {}
            Err(error) => return Ok(Err(CasError::Store(error.into()))),
        }
        match self.value(&cas.bucket, cas.key.clone()).await {
            Ok(now) => {
                let now = self.add_cas(cas.bucket.clone(), cas.key.clone(), now)?;
                Ok(Err(CasError::Failed(now)))
            }
            Err(error) => Ok(Err(CasError::Store(error.into()))),
        }
    }
}
