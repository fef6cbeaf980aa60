//! The side that answers.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use tokio::task::JoinSet;
use withe_rpc::codec::{Decode, DecodeError, Encode, Reader, Writer};
use withe_rpc::{BoxFuture, CallContext, CallError, Payload, ServedLink, ServedSession};

use super::names;
use super::values::{Function, result};
use crate::http_wire::body::{self, Pump, Received};
use crate::{BlobError, BlobStore, Body, HttpError, LinkId, ObjectId, Provider, Written};

/// Serves the objects that a provider keeps for `link`.
pub fn serve(provider: Arc<dyn Provider>, link: LinkId) -> Arc<dyn ServedLink> {
    Arc::new(BlobLink { provider, link })
}

struct BlobLink {
    provider: Arc<dyn Provider>,
    link: LinkId,
}

impl ServedLink for BlobLink {
    fn session(&self) -> Arc<dyn ServedSession> {
        Arc::new(BlobsServed {
            provider: self.provider.clone(),
            link: self.link,
            pumps: Mutex::default(),
        })
    }
}

struct BlobsServed {
    provider: Arc<dyn Provider>,
    link: LinkId,
    /// The tasks that send the rest of bodies. Each ends with its stream, at the latest; all end with the session.
    pumps: Mutex<JoinSet<()>>,
}

impl ServedSession for BlobsServed {
    fn call(
        self: Arc<Self>,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            let Some((function, _)) = Function::ALL.get(function) else {
                let why = format!("a link that carries objects has no function {function}");
                return Err(CallError::TypeMismatch(why));
            };
            let store = self.provider.blob_store(self.link).ok_or_else(|| {
                let why = "the provider keeps no objects for this link, or the link was removed";
                CallError::Unlinked(why.into())
            })?;
            self.answer(&*store, *function, params, context).await
        })
    }

    fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
        // The server gives no handles out.
        Box::pin(std::future::ready(()))
    }
}

impl BlobsServed {
    async fn answer(
        &self,
        store: &dyn BlobStore,
        function: Function,
        params: Payload,
        context: CallContext,
    ) -> Result<Payload, CallError> {
        Ok(match function {
            Function::CreateContainer => {
                let name: String = read(&params)?;
                result(&store.create_container(&name, context).await)
            }
            Function::DeleteContainer => {
                let name: String = read(&params)?;
                result(&store.delete_container(&name, context).await)
            }
            Function::ClearContainer => {
                let name: String = read(&params)?;
                result(&store.clear_container(&name, context).await)
            }
            Function::ContainerExists => {
                let name: String = read(&params)?;
                result(&store.container_exists(&name, context).await)
            }
            Function::ContainerInfo => {
                let name: String = read(&params)?;
                let info = store.container_info(&name, context).await;
                result(&info.map(|info| info.created_at))
            }
            Function::ListObjects => {
                let container: String = read(&params)?;
                let listed = store.list_objects(&container, context).await;
                self.body(listed.map(|listed| ((), names::to_body(listed))))
                    .await
            }
            Function::HasObject => {
                let id = read(&params)?;
                result(&store.has_object(&id, context).await)
            }
            Function::ObjectInfo => {
                let id = read(&params)?;
                let info = store.object_info(&id, context).await;
                result(&info.map(|info| (info.created_at, info.size)))
            }
            Function::DeleteObjects => {
                let (container, objects): (String, Vec<String>) = read(&params)?;
                result(&store.delete_objects(&container, objects, context).await)
            }
            Function::CopyObject => {
                let (from, to): (ObjectId, ObjectId) = read(&params)?;
                result(&store.copy_object(&from, &to, context).await)
            }
            Function::MoveObject => {
                let (from, to): (ObjectId, ObjectId) = read(&params)?;
                result(&store.move_object(&from, &to, context).await)
            }
            Function::Read => {
                let (id, start, end): (ObjectId, u64, u64) = read(&params)?;
                let blob = store.read(&id, start..end, context).await;
                self.body(blob.map(|blob| (blob.size, blob.body))).await
            }
            Function::Write => {
                let all = Bytes::from(params.bytes);
                let mut r = Reader::from_bytes(&all);
                let id = ObjectId::decode(&mut r).map_err(malformed)?;
                let body = Received::read(&mut r, &all, params.streams)
                    .map_err(|why| not_a_call(&why))?
                    .into_body(None::<Arc<()>>, None);
                let written = store.write(&id, body, context).await;
                self.body(written.map(|written| ((), Body::new(Writing(Some(written))))))
                    .await
            }
        })
    }

    /// A result that ends with a body.
    async fn body<T: Encode>(&self, result: Result<(T, Body), BlobError>) -> Payload {
        let (head, body) = match result {
            Ok(result) => result,
            Err(error) => return self::result::<()>(&Err(error)),
        };
        let mut w = Writer::default();
        w.byte(0);
        head.encode(&mut w);
        let (payload, pump) = body::write(w, body).await;
        pump.into_iter().for_each(|pump| self.keep(pump));
        payload
    }

    fn keep(&self, pump: Pump) {
        // Nothing panics while the lock is held.
        let mut pumps = self.pumps.lock().unwrap_or_else(PoisonError::into_inner);
        while pumps.try_join_next().is_some() {}
        pumps.spawn(pump);
    }
}

fn read<T: Decode>(params: &Payload) -> Result<T, CallError> {
    params.read().map_err(malformed)
}

fn malformed(why: DecodeError) -> CallError {
    not_a_call(&why)
}

fn not_a_call(why: &dyn std::error::Error) -> CallError {
    CallError::TypeMismatch(format!("what came is no call of an object store: {why}"))
}

/// A body without bytes, which ends when an object is kept.
struct Writing(Option<Written>);

impl http_body::Body for Writing {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let Some(written) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let written = ready!(written.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(written.err().map(|error| Err(error.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
