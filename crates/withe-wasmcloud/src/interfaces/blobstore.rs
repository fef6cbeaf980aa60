//! `wasi:blobstore` for components, `wrpc:blobstore` on the wire.
//!
//! On the wire there is one interface of functions, to which containers and objects are names. `@0.2.0` is
//! called as v1 does it, and `@0.1.0` where nobody serves that.
//!
//! What passes streams of `wasi:io` cannot be called: they are resources of the component's own host, and no
//! link carries them. So objects are read whole, and not written.

use std::future::Future;
use std::sync::Arc;

use withe_provider::FunctionName;
use withe_rpc::codec::{ByteList, Decode, Encode, Handle, Writer};
use withe_rpc::{CallError, Payload, Reader};
use withe_wit::Type;

use super::blobs::{IncomingStream, Names, Returned, Streamed, Value};
use super::resources::{Resource, Resources, unknown};
use crate::caller::Caller;
use crate::values::{CannotCarry, mismatch};

const CURRENT: &str = "wrpc:blobstore/blobstore@0.2.0";
const OLD: &str = "wrpc:blobstore/blobstore@0.1.0";

/// A function of the interface that cannot be called over a link.
#[derive(Debug, thiserror::Error)]
#[error("`{function}` of `{interface}` {why}")]
pub(crate) struct NotCallable {
    function: String,
    interface: String,
    #[source]
    why: Obstacle,
}

/// Why a function cannot be called. Displayed, it is a sentence of which the function is the subject.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    /// The function works on what `wasi:io` gives out.
    #[error(
        "needs streams of `wasi:io`, which no link carries; read objects with \
         `incoming-value-consume-sync`, and have them written by a component under a v1 host"
    )]
    Streams,
    #[error("asks for what wasmCloud v1 does not say; consume the value")]
    Size,
    #[error(transparent)]
    Type(#[from] CannotCarry),
}

/// What a function of `wasi:blobstore@0.2.0-draft` is here.
#[derive(Clone, Debug)]
pub(crate) enum Blobstore {
    /// The same on the wire.
    Plain(&'static str),
    /// The same on the wire, but that its first parameter is the container's name.
    OnContainer(&'static str),
    CreateContainer,
    GetContainer,
    /// Stays here.
    Name,
    Info,
    ObjectInfo,
    GetData(Versions),
    ListObjects(Versions),
    ReadNames,
    SkipNames,
    ConsumeSync,
}

/// The result of one function in both versions.
#[derive(Clone, Debug)]
pub(crate) struct Versions {
    current: Streamed,
    old: Streamed,
}

impl Blobstore {
    /// What the function of that name is, if it is one of them.
    ///
    /// # Errors
    ///
    /// Why it cannot be called.
    pub(crate) fn named(name: &FunctionName) -> Option<Result<Self, NotCallable>> {
        let interface = name.interface.strip_prefix("wasi:blobstore/")?;
        let interface = interface.strip_suffix("@0.2.0-draft")?;
        let found = Self::find(interface, &name.function);
        let refused = |why| NotCallable {
            function: name.function.clone(),
            interface: name.interface.clone(),
            why,
        };
        found.map_err(refused).transpose()
    }

    fn find(interface: &str, function: &str) -> Result<Option<Self>, Obstacle> {
        Ok(Some(match (interface, function) {
            ("blobstore", "create-container") => Self::CreateContainer,
            ("blobstore", "get-container") => Self::GetContainer,
            ("blobstore", "delete-container") => Self::Plain("delete-container"),
            ("blobstore", "container-exists") => Self::Plain("container-exists"),
            ("blobstore", "copy-object") => Self::Plain("copy-object"),
            ("blobstore", "move-object") => Self::Plain("move-object"),
            ("container", "[method]container.name") => Self::Name,
            ("container", "[method]container.info") => Self::Info,
            ("container", "[method]container.get-data") => Self::GetData(Versions::of(Type::U8)?),
            ("container", "[method]container.list-objects") => {
                Self::ListObjects(Versions::of(Type::String)?)
            }
            // An object's id is the names of its container and its own, one after the other.
            ("container", "[method]container.delete-object") => Self::OnContainer("delete-object"),
            ("container", "[method]container.delete-objects") => {
                Self::OnContainer("delete-objects")
            }
            ("container", "[method]container.has-object") => Self::OnContainer("has-object"),
            ("container", "[method]container.object-info") => Self::ObjectInfo,
            ("container", "[method]container.clear") => Self::OnContainer("clear-container"),
            ("container", "[method]stream-object-names.read-stream-object-names") => {
                Self::ReadNames
            }
            ("container", "[method]stream-object-names.skip-stream-object-names") => {
                Self::SkipNames
            }
            ("types", "[static]incoming-value.incoming-value-consume-sync") => Self::ConsumeSync,
            ("types", "[method]incoming-value.size") => {
                return Err(Obstacle::Size);
            }
            // A value that nothing can be written to is of no use.
            ("types", _) | ("container", "[method]container.write-data") => {
                return Err(Obstacle::Streams);
            }
            _ => return Ok(None),
        }))
    }

    /// Serves a call.
    ///
    /// # Errors
    ///
    /// If the parameters are not its, the call over the wire fails, or what comes breaks off.
    pub(crate) async fn call(
        &self,
        caller: &Caller<'_>,
        resources: &Resources,
        params: &Payload,
    ) -> Result<Payload, CallError> {
        match self {
            Self::Plain(function) => invoke(caller, function, params.bytes.clone()).await,
            Self::OnContainer(function) => {
                invoke(caller, function, on_container(resources, params)?).await
            }
            Self::CreateContainer => {
                let (name,): (String,) = params.read().map_err(mismatch)?;
                let made = call::<()>(caller, "create-container", &(&*name,)).await?;
                let container = made.map(|()| resources.add(Resource::Container(name.into())));
                returned(container)
            }
            Self::GetContainer => {
                let (name,): (String,) = params.read().map_err(mismatch)?;
                let exists = call(caller, "container-exists", &(&*name,)).await?;
                returned(match exists {
                    Ok(true) => Ok(resources.add(Resource::Container(name.into()))),
                    Ok(false) => Err(format!("the container `{name}` does not exist")),
                    Err(why) => Err(why),
                })
            }
            Self::Name => {
                let (container,): (Handle,) = params.read().map_err(mismatch)?;
                let name = container_name(resources, container)?;
                Ok(Payload::of(&Ok::<_, String>(&*name)))
            }
            Self::Info => {
                let (container,): (Handle,) = params.read().map_err(mismatch)?;
                let name = &*container_name(resources, container)?;
                let info = call::<(u64,)>(caller, "get-container-info", &(name,)).await?;
                Ok(Payload::of(&info.map(|(created,)| (name, created))))
            }
            Self::ObjectInfo => {
                let (container, object): (Handle, String) = params.read().map_err(mismatch)?;
                let (container, object) = (&*container_name(resources, container)?, &*object);
                let id = (container, object);
                let info = call::<(u64, u64)>(caller, "get-object-info", &id).await?;
                let info = info.map(|(created, size)| (object, container, created, size));
                Ok(Payload::of(&info))
            }
            Self::GetData(versions) => {
                let params = on_container(resources, params)?;
                let data = versions.invoke(caller, "get-container-data", params);
                let value = |data| Resource::Value(Arc::new(Value::new(data)));
                returned(data.await?.map(|data| resources.add(value(data))))
            }
            Self::ListObjects(versions) => {
                let (container,): (Handle,) = params.read().map_err(mismatch)?;
                let name = &*container_name(resources, container)?;
                // All of them, from the first on.
                let params = Payload::of(&(name, None::<u64>, None::<u64>)).bytes;
                let names = versions.invoke(caller, "list-container-objects", params);
                let listing = |names| Resource::Names(Arc::new(Names::new(names)));
                returned(names.await?.map(|names| resources.add(listing(names))))
            }
            Self::ReadNames => {
                let (names, most) = names(resources, params)?;
                Ok(Payload::of(&names.read(most).await?))
            }
            Self::SkipNames => {
                let (names, most) = names(resources, params)?;
                Ok(Payload::of(&names.skip(most).await?))
            }
            Self::ConsumeSync => {
                let (value,): (Handle,) = params.read().map_err(mismatch)?;
                let Some(Resource::Value(value)) = resources.remove(value.0) else {
                    return Err(unknown("value"));
                };
                Ok(Payload::of(&value.all().await?.map(ByteList)))
            }
        }
    }
}

impl Versions {
    fn of(element: Type) -> Result<Self, CannotCarry> {
        Ok(Self {
            current: Streamed::new(element.clone(), true)?,
            old: Streamed::new(element, false)?,
        })
    }

    async fn invoke(
        &self,
        caller: &Caller<'_>,
        function: &str,
        params: Vec<u8>,
    ) -> Result<Returned<IncomingStream>, CallError> {
        let with = async |instance, streamed: &Streamed, params: Vec<u8>| {
            let reply = caller.result(instance, function, params, streamed.paths());
            streamed.read(reply.await?, caller.wire)
        };
        let current = with(CURRENT, &self.current, params.clone());
        current_or_old(current, with(OLD, &self.old, params)).await
    }
}

/// Calls a function of values.
async fn invoke(
    caller: &Caller<'_>,
    function: &str,
    params: Vec<u8>,
) -> Result<Payload, CallError> {
    let current = caller.result(CURRENT, function, params.clone(), &[]);
    let reply = current_or_old(current, caller.result(OLD, function, params, &[])).await?;
    Ok(Payload {
        bytes: reply.bytes.into(),
        ..Payload::default()
    })
}

/// As [`invoke`], and reads what it returns, or why it fails.
async fn call<T: Decode>(
    caller: &Caller<'_>,
    function: &str,
    params: &impl Encode,
) -> Result<Returned<T>, CallError> {
    let result = invoke(caller, function, Payload::of(params).bytes).await?;
    result.read().map_err(mismatch)
}

/// What `current` returns, or, if nobody serves that, what `old` does.
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

/// A result with a resource that was made, unless it could not be.
fn returned(made: Returned<Result<Handle, CallError>>) -> Result<Payload, CallError> {
    Ok(Payload::of(&match made {
        Ok(handle) => Ok(handle?),
        Err(why) => Err(why),
    }))
}

/// The parameters as they go over the wire: the container's name instead of its number.
fn on_container(resources: &Resources, params: &Payload) -> Result<Vec<u8>, CallError> {
    let mut r = Reader::new(params);
    let container = r.handle().map_err(mismatch)?;
    let name = container_name(resources, Handle(container.id))?;
    let mut w = Writer::default();
    (*name).encode(&mut w);
    w.raw(r.raw(r.remaining()).map_err(mismatch)?);
    Ok(w.finish().bytes)
}

fn container_name(resources: &Resources, container: Handle) -> Result<Arc<str>, CallError> {
    match resources.get(container.0) {
        Some(Resource::Container(name)) => Ok(name),
        _ => Err(unknown("container")),
    }
}

/// The parameters of the functions of a list of names.
fn names(resources: &Resources, params: &Payload) -> Result<(Arc<Names>, u64), CallError> {
    let (names, most): (Handle, u64) = params.read().map_err(mismatch)?;
    match resources.get(names.0) {
        Some(Resource::Names(names)) => Ok((names, most)),
        _ => Err(unknown("list of objects")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(interface: &str, function: &str) -> Option<Result<Blobstore, NotCallable>> {
        Blobstore::named(&FunctionName {
            interface: interface.into(),
            function: function.into(),
        })
    }

    #[test]
    fn what_needs_streams_of_the_host_is_refused_by_name() {
        for (interface, function) in [
            ("container", "[method]container.write-data"),
            ("types", "[method]outgoing-value.outgoing-value-write-body"),
            (
                "types",
                "[static]incoming-value.incoming-value-consume-async",
            ),
        ] {
            let interface = format!("wasi:blobstore/{interface}@0.2.0-draft");
            let why = named(&interface, function).unwrap().unwrap_err();
            let why = why.to_string();
            let says = format!("`{function}` of `{interface}` needs streams of `wasi:io`");
            assert!(why.starts_with(&says), "{why}");
        }
    }

    #[test]
    fn other_interfaces_and_versions_are_not_taken_for_it() {
        for interface in [
            "wasi:blobstore/blobstore@0.2.0-draft2",
            "wasi:blobstore/blobstore",
            "wasi:blobstore/other@0.2.0-draft",
            "a:blobstore/blobstore@0.2.0-draft",
        ] {
            assert!(named(interface, "get-container").is_none(), "{interface}");
        }
        let known = named("wasi:blobstore/blobstore@0.2.0-draft", "get-container");
        assert!(matches!(known, Some(Ok(Blobstore::GetContainer))));
    }

    #[test]
    fn the_name_of_a_container_stands_for_its_number() {
        let resources = Resources::default();
        let container = resources.add(Resource::Container("pets".into())).unwrap();
        let params = Payload::of(&(container, "cat", 1u64, 2u64));
        assert_eq!(
            on_container(&resources, &params).unwrap(),
            b"\x04pets\x03cat\x01\x02"
        );
        let bucket = resources.add(Resource::Bucket("pets".into())).unwrap();
        let why = on_container(&resources, &Payload::of(&(bucket, "cat"))).unwrap_err();
        assert!(matches!(why, CallError::TypeMismatch(_)), "{why}");
    }
}
