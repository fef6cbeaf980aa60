//! `wasi:blobstore` for components, `wrpc:blobstore` on the wire.
//!
//! On the wire there is one interface of functions, to which containers and objects are names, as they are to a
//! [`BlobStore`]. `@0.2.0` is called as v1 does it, and `@0.1.0` where nobody serves that.

use std::future::{Future, poll_fn};
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use async_nats::HeaderMap;
use bytes::Bytes;
use futures::stream;
use http_body_util::BodyExt as _;
use tokio::time::timeout_at;
use withe_provider::{
    Blob, BlobError, BlobStore, Body, ContainerInfo, ObjectId, ObjectInfo, ObjectNames, Written,
};
use withe_rpc::codec::{Decode, Encode, Writer};
use withe_rpc::{CallContext, CallError, Payload};
use withe_wit::Type;

use super::blobs::{self, IncomingStream, Returned, Streamed, Writing};
use crate::caller::Caller;
use crate::trace;
use crate::values::{CannotCarry, mismatch};
use crate::wire::V1Wire;
use crate::wire::connection::{Messages, OutgoingValues};

const CURRENT: &str = "wrpc:blobstore/blobstore@0.2.0";
const OLD: &str = "wrpc:blobstore/blobstore@0.1.0";

/// Whether an interface is one through which components keep objects.
pub(crate) fn is_blobstore(interface: &str) -> bool {
    let of_it = interface.strip_prefix("wasi:blobstore/");
    let name = of_it.and_then(|name| name.strip_suffix("@0.2.0-draft"));
    name.is_some_and(|name| ["types", "container", "blobstore"].contains(&name))
}

/// The results that have streams, in both versions.
#[derive(Clone, Debug)]
struct Results {
    data: Versions,
    names: Versions,
    writing: Writing,
}

/// The result of one function in both versions.
#[derive(Clone, Debug)]
struct Versions {
    current: Streamed,
    old: Streamed,
}

impl Versions {
    fn of(element: &Type) -> Result<Self, CannotCarry> {
        Ok(Self {
            current: Streamed::new(element.clone(), true)?,
            old: Streamed::new(element.clone(), false)?,
        })
    }
}

/// Made once: they are the same for all.
static RESULTS: LazyLock<Result<Results, CannotCarry>> = LazyLock::new(|| {
    Ok(Results {
        data: Versions::of(&Type::U8)?,
        names: Versions::of(&Type::String)?,
        writing: Writing::new()?,
    })
});

fn results() -> Result<&'static Results, CallError> {
    RESULTS
        .as_ref()
        .map_err(|why| CallError::TypeMismatch(why.to_string()))
}

/// The objects of something on a v1 lattice, as one of its importers has them.
#[derive(Clone, Debug)]
pub(crate) struct V1Blobs {
    pub(crate) wire: V1Wire,
    /// The callee: `{lattice}.{id}`.
    pub(crate) prefix: Arc<str>,
    /// The context of each call.
    pub(crate) headers: HeaderMap,
}

impl V1Blobs {
    fn caller(&self, context: CallContext) -> Caller<'_> {
        let mut headers = self.headers.clone();
        trace::put(&mut headers, context.trace);
        Caller {
            wire: &self.wire,
            prefix: &self.prefix,
            headers,
            deadline: context.deadline.into(),
        }
    }

    /// Calls a function of values, and reads what it returns.
    async fn call<T: Decode>(
        &self,
        function: &str,
        params: &impl Encode,
        context: CallContext,
    ) -> Result<T, BlobError> {
        let caller = self.caller(context);
        let params = Payload::of(params).bytes;
        let current = caller.result(CURRENT, function, params.clone(), &[]);
        let reply = current_or_old(current, caller.result(OLD, function, params, &[])).await?;
        let result = Payload {
            bytes: reply.bytes.into(),
            ..Payload::default()
        };
        let returned: Returned<T> = result.read().map_err(mismatch)?;
        returned.map_err(blobs::said)
    }

    /// Calls a function that returns a stream.
    async fn stream(
        &self,
        function: &str,
        versions: &Versions,
        params: &impl Encode,
        context: CallContext,
    ) -> Result<IncomingStream, BlobError> {
        let caller = self.caller(context);
        let params = Payload::of(params).bytes;
        let with = async |instance, streamed: &Streamed, params: Vec<u8>| {
            let reply = caller.result(instance, function, params, streamed.paths());
            streamed.read(reply.await?, caller.wire)
        };
        let current = with(CURRENT, &versions.current, params.clone());
        let streamed = current_or_old(current, with(OLD, &versions.old, params));
        let streamed = timeout_at(caller.deadline, streamed).await;
        let streamed = streamed.unwrap_or(Err(CallError::Deadline))?;
        streamed.map_err(blobs::said)
    }

    async fn info(&self, id: &ObjectId, context: CallContext) -> Result<(u64, u64), BlobError> {
        self.call("get-object-info", &names(id), context).await
    }
}

/// The encoded form of an object's id.
fn names(id: &ObjectId) -> (&str, &str) {
    (&id.container, &id.object)
}

/// The result of `current`, or, if nobody serves that, the result of `old`.
async fn current_or_old<T>(
    current: impl Future<Output = Result<T, CallError>>,
    old: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    match current.await {
        Err(CallError::Unreachable(why)) => match old.await {
            Err(CallError::Unreachable(_)) => Err(CallError::Unreachable(why)),
            other => other,
        },
        other => other,
    }
}

/// A body that goes to the version that takes it: nobody may serve the one called first.
#[derive(Clone)]
struct Untaken(Arc<Mutex<Option<Body>>>);

impl Untaken {
    fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Body>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Body> {
        self.lock().take()
    }

    /// Whether nobody took it.
    fn is_there(&self) -> bool {
        self.lock().is_some()
    }

    /// The connection that carries it.
    fn messages(&self) -> Messages {
        let body = self.clone();
        let begin = async move {
            let gone = || CallError::Unreachable("the body went to another callee".into());
            body.take().ok_or_else(gone)
        };
        Box::pin(stream::unfold(
            Sending::Begin(Box::pin(begin)),
            Sending::next,
        ))
    }
}

/// A body on its way out.
enum Sending<F> {
    Begin(F),
    Body(Body),
    Done,
}

impl<F: Future<Output = Result<Body, CallError>>> Sending<F>
where
    F: Unpin,
{
    async fn next(self) -> Option<(Result<Bytes, CallError>, Self)> {
        let mut body = match self {
            Self::Done => return None,
            Self::Body(body) => body,
            Self::Begin(begin) => match begin.await {
                Ok(body) => body,
                Err(why) => return Some((Err(why), Self::Done)),
            },
        };
        loop {
            match body.frame().await {
                None => return Some((Ok(Bytes::from_static(&[0])), Self::Done)),
                Some(Err(e)) => {
                    let text = format!("what was to be written broke off: {e}");
                    return Some((Err(CallError::Unreachable(text)), Self::Done));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => {
                        let mut w = Writer::with_capacity(data.len() + 5);
                        w.counted(&data);
                        return Some((Ok(w.finish().bytes.into()), Self::Body(body)));
                    }
                    // Objects have no trailers.
                    _ => {}
                },
            }
        }
    }
}

#[async_trait::async_trait]
impl BlobStore for V1Blobs {
    async fn create_container(&self, name: &str, context: CallContext) -> Result<(), BlobError> {
        self.call("create-container", &(name,), context).await
    }

    async fn container_exists(&self, name: &str, context: CallContext) -> Result<bool, BlobError> {
        self.call("container-exists", &(name,), context).await
    }

    async fn delete_container(&self, name: &str, context: CallContext) -> Result<(), BlobError> {
        self.call("delete-container", &(name,), context).await
    }

    async fn clear_container(&self, name: &str, context: CallContext) -> Result<(), BlobError> {
        self.call("clear-container", &(name,), context).await
    }

    async fn container_info(
        &self,
        name: &str,
        context: CallContext,
    ) -> Result<ContainerInfo, BlobError> {
        let params = (name,);
        let info = self.call::<(u64,)>("get-container-info", &params, context);
        let (created_at,) = info.await?;
        Ok(ContainerInfo { created_at })
    }

    async fn list_objects(
        &self,
        container: &str,
        context: CallContext,
    ) -> Result<ObjectNames, BlobError> {
        // All of them, from the first on.
        let params = (container, None::<u64>, None::<u64>);
        let listed = self.stream(
            "list-container-objects",
            &results()?.names,
            &params,
            context,
        );
        Ok(listed.await?.names())
    }

    async fn has_object(&self, id: &ObjectId, context: CallContext) -> Result<bool, BlobError> {
        self.call("has-object", &names(id), context).await
    }

    async fn object_info(
        &self,
        id: &ObjectId,
        context: CallContext,
    ) -> Result<ObjectInfo, BlobError> {
        let (created_at, size) = self.info(id, context).await?;
        Ok(ObjectInfo { created_at, size })
    }

    async fn delete_objects(
        &self,
        container: &str,
        objects: Vec<String>,
        context: CallContext,
    ) -> Result<(), BlobError> {
        let params = (container, objects);
        self.call("delete-objects", &params, context).await
    }

    async fn copy_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        context: CallContext,
    ) -> Result<(), BlobError> {
        let params = (names(from), names(to));
        self.call("copy-object", &params, context).await
    }

    async fn move_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        context: CallContext,
    ) -> Result<(), BlobError> {
        let params = (names(from), names(to));
        self.call("move-object", &params, context).await
    }

    async fn read(
        &self,
        id: &ObjectId,
        range: Range<u64>,
        context: CallContext,
    ) -> Result<Blob, BlobError> {
        let params = (names(id), range.start, range.end);
        let data = self.stream("get-container-data", &results()?.data, &params, context);
        let data = data.await?;
        // The wire does not say how much comes.
        let (_, size) = self.info(id, context).await?;
        Ok(Blob {
            size: size.min(range.end).saturating_sub(range.start),
            body: data.body(),
        })
    }

    async fn write(
        &self,
        id: &ObjectId,
        body: Body,
        context: CallContext,
    ) -> Result<Written, BlobError> {
        let writing = &results()?.writing;
        let body = Untaken::new(body);
        let params = || OutgoingValues {
            // The id, and a stream that goes beside it.
            bytes: Payload::of(&(names(id), 0u8)).bytes.into(),
            streams: vec![(writing.data().to_owned(), body.messages())],
        };
        let function = "write-container-data";
        let caller = self.caller(context);
        let reply = caller.invoke(CURRENT, function, params(), writing.paths());
        let done = match reply.await {
            Ok(reply) if reply.bytes.is_empty() => {
                return Err(crate::wire::client::closed(&self.prefix).into());
            }
            Ok(reply) => writing.read(reply, &self.wire)?.map_err(blobs::said)?,
            // Once it took some of the body, another would get none: what failed is told as it is.
            Err(CallError::Unreachable(why)) if body.is_there() => {
                // The older version answers when it has all of the data, and the writer of the data waits for
                // this.
                let (this, params) = (self.clone(), params());
                return Ok(Box::pin(async move {
                    let reply = this
                        .caller(context)
                        .invoke(OLD, function, params, &[])
                        .await;
                    let reply = reply.map_err(|error| match error {
                        CallError::Unreachable(_) => CallError::Unreachable(why),
                        other => other,
                    })?;
                    let result = Payload {
                        bytes: reply.bytes.into(),
                        ..Payload::default()
                    };
                    let returned: Returned<()> = result.read().map_err(mismatch)?;
                    returned.map_err(blobs::said)
                }));
            }
            Err(other) => return Err(other.into()),
        };
        Ok(Box::pin(async move {
            let mut done = done;
            let chunk = poll_fn(|cx| done.poll_chunk(cx, 1)).await.transpose()?;
            let chunk = chunk.ok_or_else(|| {
                CallError::Unreachable(
                    "the store did not say whether the object was written".into(),
                )
            })?;
            let returned: Returned<()> = chunk.payload.read().map_err(mismatch)?;
            returned.map_err(blobs::said)
        }))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use withe_provider::blobs::body_of;

    use super::*;

    #[test]
    fn other_interfaces_and_versions_are_not_taken_for_it() {
        for interface in [
            "wasi:blobstore/blobstore@0.2.0-draft2",
            "wasi:blobstore/blobstore",
            "wasi:blobstore/other@0.2.0-draft",
            "a:blobstore/blobstore@0.2.0-draft",
        ] {
            assert!(!is_blobstore(interface), "{interface}");
        }
        assert!(is_blobstore("wasi:blobstore/container@0.2.0-draft"));
    }

    #[tokio::test]
    async fn a_body_goes_to_the_first_who_takes_it() {
        let body = Untaken::new(body_of("meow"));
        let (untouched, taken, late) = (body.messages(), body.messages(), body.messages());
        drop(untouched);
        assert!(body.is_there());
        let taken: Vec<_> = taken.map(Result::unwrap).collect().await;
        assert_eq!(taken, [&b"\x04meow"[..], b"\x00"]);
        assert!(!body.is_there());
        let late: Vec<_> = late.collect().await;
        assert!(matches!(late[..], [Err(_)]));
    }

    #[test]
    fn the_results_can_be_carried() {
        let results = results().unwrap();
        assert_eq!(results.data.current.paths(), ["0.0", "0.1"]);
        assert_eq!(results.data.old.paths(), ["0"]);
        assert_eq!(
            (results.writing.data(), results.writing.paths().len()),
            ("1", 1)
        );
    }
}
