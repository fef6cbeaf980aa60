//! The functions of `wasi:blobstore@0.2.0-draft`.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout_at;
use wasmtime::component::{ComponentType, Lift, LinkerInstance, Lower, Resource, ResourceType};
use wasmtime::{Result, StoreContextMut};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;
use withe_provider::{BlobError, BlobErrorKind, Body, ObjectId};
use withe_wit::InterfaceName;

use super::conduit::{Conduit, Patience, ValueStream};
use super::incoming::{IncomingValue, StreamObjectNames};
use super::link::{self, Asked, Told, late};
use crate::core::InstanceState;
use crate::links::BlobLink;

/// Whether an interface is one of those through which components keep objects.
pub(crate) fn is_blobs(name: &InterfaceName) -> bool {
    name.namespace == "wasi"
        && name.package == "blobstore"
        && matches!(name.interface.as_str(), "types" | "container" | "blobstore")
}

/// Defines the functions of the interface `name`, which is imported over links: the import that has this `number`
/// among those of the unit through which objects are kept.
pub(crate) fn define(
    linker: &mut LinkerInstance<'_, InstanceState>,
    name: &InterfaceName,
    number: usize,
) -> Result<()> {
    match name.interface.as_str() {
        "types" => types(linker),
        "container" => container(linker),
        _ => blobstore(linker, number),
    }
}

type Cx<'a> = StoreContextMut<'a, InstanceState>;

/// The resource `container`.
#[derive(Clone)]
struct Container {
    link: Arc<BlobLink>,
    name: Arc<str>,
}

/// The resource `outgoing-value`.
struct OutgoingValue {
    conduit: Arc<Conduit>,
    patience: Patience,
    /// Whether its stream was given out.
    has_stream: bool,
    writing: Option<Writing>,
}

/// A value that becomes an object.
struct Writing {
    link: Arc<BlobLink>,
    /// Ends when the object is kept.
    task: AbortOnDropJoinHandle<Result<(), BlobError>>,
}

impl Drop for OutgoingValue {
    fn drop(&mut self) {
        // Nothing, if it was finished.
        self.conduit.abandon();
    }
}

#[derive(ComponentType, Lift, Clone)]
#[component(record)]
struct ObjectIdRecord {
    container: String,
    object: String,
}

impl From<ObjectIdRecord> for ObjectId {
    fn from(id: ObjectIdRecord) -> Self {
        Self {
            container: id.container,
            object: id.object,
        }
    }
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct ContainerMetadata {
    name: String,
    #[component(name = "created-at")]
    created_at: u64,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct ObjectMetadata {
    name: String,
    container: String,
    #[component(name = "created-at")]
    created_at: u64,
    size: u64,
}

/// Defines a resource that is in the store's table.
fn resource<T: Send + 'static>(
    linker: &mut LinkerInstance<'_, InstanceState>,
    name: &str,
) -> Result<()> {
    linker.resource(name, ResourceType::host::<T>(), |mut cx, rep| {
        let resource = Resource::<T>::new_own(rep);
        cx.data_mut().table.delete(resource)?;
        Ok(())
    })
}

fn types(linker: &mut LinkerInstance<'_, InstanceState>) -> Result<()> {
    resource::<OutgoingValue>(linker, "outgoing-value")?;
    resource::<IncomingValue>(linker, "incoming-value")?;
    linker.func_wrap(
        "[static]outgoing-value.new-outgoing-value",
        |mut cx: Cx<'_>, (): ()| {
            let state = cx.data_mut();
            let value = OutgoingValue {
                conduit: Conduit::new(&state.early_bytes),
                patience: Patience::default(),
                has_stream: false,
                writing: None,
            };
            Ok((state.table.push(value)?,))
        },
    )?;
    linker.func_wrap(
        "[method]outgoing-value.outgoing-value-write-body",
        |mut cx: Cx<'_>, (value,): (Resource<OutgoingValue>,)| {
            let table = &mut cx.data_mut().table;
            let value = table.get_mut(&value)?;
            if std::mem::replace(&mut value.has_stream, true) {
                return Ok((Err(()),));
            }
            let stream: DynOutputStream = Box::new(ValueStream {
                conduit: value.conduit.clone(),
                patience: value.patience.clone(),
            });
            Ok((Ok(table.push(stream)?),))
        },
    )?;
    linker.func_wrap_async(
        "[static]outgoing-value.finish",
        |mut cx: Cx<'_>, (value,): (Resource<OutgoingValue>,)| {
            Box::new(async move {
                let state = cx.data_mut();
                let mut value = state.table.delete(value)?;
                value.conduit.finish();
                let Some(writing) = value.writing.take() else {
                    let text =
                        "nothing was written: no `container.write-data` said where the value goes";
                    return Ok((Err(text.to_owned()),));
                };
                let deadline = state.deadline_of_call(Instant::now(), writing.link.patience());
                let written = timeout_at(deadline.into(), writing.task).await;
                let written = written.unwrap_or_else(|_| Err(late("outgoing-value.finish")));
                Ok((written.map_err(|error| error.message),))
            })
        },
    )?;
    linker.func_wrap_async(
        "[static]incoming-value.incoming-value-consume-sync",
        |mut cx: Cx<'_>, (value,): (Resource<IncomingValue>,)| {
            Box::new(async move {
                let value = cx.data_mut().table.delete(value)?;
                Ok((value.all().await,))
            })
        },
    )?;
    linker.func_wrap(
        "[static]incoming-value.incoming-value-consume-async",
        |mut cx: Cx<'_>, (value,): (Resource<IncomingValue>,)| {
            let table = &mut cx.data_mut().table;
            let stream: DynInputStream = Box::new(table.delete(value)?.stream());
            Ok((Told::Ok(table.push(stream)?),))
        },
    )?;
    linker.func_wrap(
        "[method]incoming-value.size",
        |cx: Cx<'_>, (value,): (Resource<IncomingValue>,)| {
            Ok((cx.data().table.get(&value)?.blob.size,))
        },
    )
}

impl Container {
    fn get(state: &InstanceState, container: &Resource<Self>) -> Result<Self> {
        Ok(state.table.get(container)?.clone())
    }

    fn object(&self, object: String) -> ObjectId {
        ObjectId {
            container: self.name.to_string(),
            object,
        }
    }

    /// Begins a call of a function of a container.
    fn ask(
        cx: &Cx<'_>,
        container: &Resource<Self>,
        function: &'static str,
    ) -> Result<(Self, Asked)> {
        let container = Self::get(cx.data(), container)?;
        let asked = Asked::new(cx.data(), container.link.clone(), function)?;
        Ok((container, asked))
    }
}

fn container(linker: &mut LinkerInstance<'_, InstanceState>) -> Result<()> {
    resource::<Container>(linker, "container")?;
    resource::<StreamObjectNames>(linker, "stream-object-names")?;
    linker.func_wrap(
        "[method]container.name",
        |cx: Cx<'_>, (container,): (Resource<Container>,)| {
            let container = Container::get(cx.data(), &container)?;
            Ok((Told::Ok(container.name.to_string()),))
        },
    )?;
    linker.func_wrap_async(
        "[method]container.info",
        |cx: Cx<'_>, (container,): (Resource<Container>,)| {
            Box::new(async move {
                let (container, asked) = Container::ask(&cx, &container, "info")?;
                let name = container.name.clone();
                let info = asked.call(|store, context| {
                    Box::pin(async move { store.container_info(&name, context).await })
                });
                Ok((info.await.map(|info| ContainerMetadata {
                    name: container.name.to_string(),
                    created_at: info.created_at,
                }),))
            })
        },
    )?;
    linker.func_wrap_async(
        "[method]container.get-data",
        |mut cx: Cx<'_>, (container, name, start, end): (Resource<Container>, String, u64, u64)| {
            Box::new(async move {
                let (container, asked) = Container::ask(&cx, &container, "get-data")?;
                if start > end {
                    let text = format!("the range from {start} to {end} ends before it begins");
                    return Ok((Err(text),));
                }
                let id = container.object(name);
                let read = asked.keep(|store, context| {
                    Box::pin(async move { store.read(&id, start..end, context).await })
                });
                let value = read.await.map(|(blob, under_way)| IncomingValue {
                    blob,
                    patience: container.link.patience(),
                    under_way: Some(under_way),
                });
                Ok((given(&mut cx, value)?,))
            })
        },
    )?;
    linker.func_wrap_async(
        "[method]container.write-data",
        |mut cx: Cx<'_>,
         (container, name, value): (Resource<Container>, String, Resource<OutgoingValue>)| {
            Box::new(async move {
                let (container, asked) = Container::ask(&cx, &container, "write-data")?;
                let outgoing = cx.data_mut().table.get(&value)?;
                let conduit = outgoing.conduit.clone();
                let id = container.object(name);
                let body = match conduit.body(&id.object) {
                    Ok(body) => body,
                    Err(taken) => {
                        return Ok((Err(format!("the value is written to `{taken}` already")),));
                    }
                };
                outgoing.patience.set(container.link.patience());
                let written = asked.keep(|store, context| {
                    Box::pin(async move { store.write(&id, Body::new(body), context).await })
                });
                let (written, under_way) = match written.await {
                    Ok(written) => written,
                    Err(why) => {
                        conduit.close(Some(BlobError::new(BlobErrorKind::Internal, &*why)));
                        return Ok((Err(why),));
                    }
                };
                let task = wasmtime_wasi::runtime::spawn(async move {
                    let written = written.await;
                    conduit.close(written.as_ref().err().cloned());
                    drop(under_way);
                    written
                });
                let link = container.link;
                cx.data_mut().table.get_mut(&value)?.writing = Some(Writing { link, task });
                Ok((Ok(()),))
            })
        },
    )?;
    linker.func_wrap_async(
        "[method]container.list-objects",
        |mut cx: Cx<'_>, (container,): (Resource<Container>,)| {
            Box::new(async move {
                let (container, asked) = Container::ask(&cx, &container, "list-objects")?;
                let patience = container.link.patience();
                let listed = asked.keep(|store, context| {
                    Box::pin(async move { store.list_objects(&container.name, context).await })
                });
                let names = listed.await.map(|(names, under_way)| {
                    StreamObjectNames::new(names, patience, Some(under_way))
                });
                Ok((given(&mut cx, names)?,))
            })
        },
    )?;
    linker.func_wrap_async(
        "[method]container.delete-object",
        |cx: Cx<'_>, (container, name): (Resource<Container>, String)| {
            Box::new(delete(cx, container, vec![name], "delete-object"))
        },
    )?;
    linker.func_wrap_async(
        "[method]container.delete-objects",
        |cx: Cx<'_>, (container, names): (Resource<Container>, Vec<String>)| {
            Box::new(delete(cx, container, names, "delete-objects"))
        },
    )?;
    linker.func_wrap_async(
        "[method]container.has-object",
        |cx: Cx<'_>, (container, name): (Resource<Container>, String)| {
            Box::new(async move {
                let (container, asked) = Container::ask(&cx, &container, "has-object")?;
                let id = container.object(name);
                let has = asked.call(|store, context| {
                    Box::pin(async move { store.has_object(&id, context).await })
                });
                Ok((has.await,))
            })
        },
    )?;
    linker.func_wrap_async(
        "[method]container.object-info",
        |cx: Cx<'_>, (container, name): (Resource<Container>, String)| {
            Box::new(async move {
                let (container, asked) = Container::ask(&cx, &container, "object-info")?;
                let id = container.object(name);
                let asked_of = id.clone();
                let info = asked.call(|store, context| {
                    Box::pin(async move { store.object_info(&asked_of, context).await })
                });
                Ok((info.await.map(|info| ObjectMetadata {
                    name: id.object,
                    container: id.container,
                    created_at: info.created_at,
                    size: info.size,
                }),))
            })
        },
    )?;
    linker.func_wrap_async(
        "[method]container.clear",
        |cx: Cx<'_>, (container,): (Resource<Container>,)| {
            Box::new(async move {
                let (container, asked) = Container::ask(&cx, &container, "clear")?;
                let cleared = asked.call(|store, context| {
                    Box::pin(async move { store.clear_container(&container.name, context).await })
                });
                Ok((cleared.await,))
            })
        },
    )?;
    linker.func_wrap_async(
        "[method]stream-object-names.read-stream-object-names",
        |mut cx: Cx<'_>, (names, most): (Resource<StreamObjectNames>, u64)| {
            Box::new(async move {
                let names = cx.data_mut().table.get_mut(&names)?;
                Ok((names.read(most).await,))
            })
        },
    )?;
    linker.func_wrap_async(
        "[method]stream-object-names.skip-stream-object-names",
        |mut cx: Cx<'_>, (names, most): (Resource<StreamObjectNames>, u64)| {
            Box::new(async move {
                let names = cx.data_mut().table.get_mut(&names)?;
                Ok((names.skip(most).await,))
            })
        },
    )
}

/// Keeps what a call returned in the store's table.
fn given<T: Send + 'static>(cx: &mut Cx<'_>, value: Told<T>) -> Result<Told<Resource<T>>> {
    Ok(match value {
        Ok(value) => Ok(cx.data_mut().table.push(value)?),
        Err(why) => Err(why),
    })
}

async fn delete(
    cx: Cx<'_>,
    container: Resource<Container>,
    names: Vec<String>,
    function: &'static str,
) -> Result<(Told<()>,)> {
    let (container, asked) = Container::ask(&cx, &container, function)?;
    let deleted = asked.call(|store, context| {
        Box::pin(async move { store.delete_objects(&container.name, names, context).await })
    });
    Ok((deleted.await,))
}

fn blobstore(linker: &mut LinkerInstance<'_, InstanceState>, number: usize) -> Result<()> {
    linker.func_wrap_async(
        "create-container",
        move |mut cx: Cx<'_>, (name,): (String,)| {
            Box::new(async move {
                let link = link::choose(cx.data(), number)?;
                let asked = Asked::new(cx.data(), link.clone(), "create-container")?;
                let name: Arc<str> = name.into();
                let asked_of = name.clone();
                let created = asked.call(|store, context| {
                    Box::pin(async move { store.create_container(&asked_of, context).await })
                });
                let created = created.await.map(|()| Container { link, name });
                Ok((given(&mut cx, created)?,))
            })
        },
    )?;
    linker.func_wrap_async(
        "get-container",
        move |mut cx: Cx<'_>, (name,): (String,)| {
            Box::new(async move {
                let link = link::choose(cx.data(), number)?;
                let asked = Asked::new(cx.data(), link.clone(), "get-container")?;
                let name: Arc<str> = name.into();
                let asked_of = name.clone();
                let found = asked.call(|store, context| {
                    Box::pin(async move {
                        match store.container_exists(&asked_of, context).await? {
                            true => Ok(()),
                            false => Err(BlobError::no_container(&asked_of)),
                        }
                    })
                });
                let found = found.await.map(|()| Container { link, name });
                Ok((given(&mut cx, found)?,))
            })
        },
    )?;
    linker.func_wrap_async("delete-container", move |cx: Cx<'_>, (name,): (String,)| {
        Box::new(async move {
            let link = link::choose(cx.data(), number)?;
            let asked = Asked::new(cx.data(), link, "delete-container")?;
            let deleted = asked.call(|store, context| {
                Box::pin(async move { store.delete_container(&name, context).await })
            });
            Ok((deleted.await,))
        })
    })?;
    linker.func_wrap_async("container-exists", move |cx: Cx<'_>, (name,): (String,)| {
        Box::new(async move {
            let link = link::choose(cx.data(), number)?;
            let asked = Asked::new(cx.data(), link, "container-exists")?;
            let exists = asked.call(|store, context| {
                Box::pin(async move { store.container_exists(&name, context).await })
            });
            Ok((exists.await,))
        })
    })?;
    type Ids = (ObjectIdRecord, ObjectIdRecord);
    linker.func_wrap_async("copy-object", move |cx: Cx<'_>, (from, to): Ids| {
        Box::new(async move {
            let link = link::choose(cx.data(), number)?;
            let asked = Asked::new(cx.data(), link, "copy-object")?;
            let (from, to): (ObjectId, ObjectId) = (from.into(), to.into());
            let copied = asked.call(|store, context| {
                Box::pin(async move { store.copy_object(&from, &to, context).await })
            });
            Ok((copied.await,))
        })
    })?;
    linker.func_wrap_async("move-object", move |cx: Cx<'_>, (from, to): Ids| {
        Box::new(async move {
            let link = link::choose(cx.data(), number)?;
            let asked = Asked::new(cx.data(), link, "move-object")?;
            let (from, to): (ObjectId, ObjectId) = (from.into(), to.into());
            let moved = asked.call(|store, context| {
                Box::pin(async move { store.move_object(&from, &to, context).await })
            });
            Ok((moved.await,))
        })
    })
}
