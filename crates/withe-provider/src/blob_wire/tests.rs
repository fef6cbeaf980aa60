//! Objects, over connections within the process.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use withe_rpc::{BoxFuture, CallContext, CallError, LinkRequest, Serve, ServedLink, Session};

use super::*;
use crate::blobs::body_of;
use crate::testing::session;
use crate::{
    Blob, BlobError, BlobErrorKind, BlobStore, Body, CallTarget, ContainerInfo, HttpError,
    HttpErrorKind, Link, LinkId, ObjectId, ObjectInfo, ObjectNames, Provider, ProviderError,
    Written,
};

/// Long enough for anything that ends at all.
const AGES: Duration = Duration::from_secs(60);

fn context() -> CallContext {
    CallContext {
        deadline: Instant::now() + AGES,
        trace: None,
    }
}

fn id(object: &str) -> ObjectId {
    ObjectId {
        container: "pets".into(),
        object: object.into(),
    }
}

/// Objects, and what was asked for besides.
#[derive(Default)]
struct Shelf {
    objects: Mutex<BTreeMap<String, Bytes>>,
    asked: Mutex<Vec<String>>,
    /// Told when a write is given up.
    given_up: Mutex<Option<oneshot::Sender<()>>>,
    /// The bytes that are read instead of objects.
    reading: Mutex<Option<Body>>,
}

impl Shelf {
    fn ask(&self, what: String) -> Result<(), BlobError> {
        self.asked.lock().unwrap().push(what);
        Ok(())
    }

    fn get(&self, id: &ObjectId) -> Result<Bytes, BlobError> {
        let objects = self.objects.lock().unwrap();
        let object = objects.get(&id.object).cloned();
        object.ok_or_else(|| BlobError::no_object(id))
    }
}

/// The provider of the one link.
#[derive(Clone, Default)]
struct Only(Arc<Shelf>);

#[async_trait::async_trait]
impl Provider for Only {
    async fn link_put(&self, _: Link) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn link_deleted(&self, _: LinkId, _: Duration) {}

    fn blob_store(&self, link: LinkId) -> Option<Arc<dyn BlobStore>> {
        (link == LinkId(7)).then(|| Arc::new(self.clone()) as Arc<dyn BlobStore>)
    }

    async fn shutdown(&self, _: Duration) {}
}

#[async_trait::async_trait]
impl BlobStore for Only {
    async fn create_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        self.0.ask(format!("create {name}"))
    }

    async fn container_exists(&self, name: &str, _: CallContext) -> Result<bool, BlobError> {
        Ok(name == "pets")
    }

    async fn delete_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        Err(BlobError::no_container(name))
    }

    async fn clear_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        self.0.ask(format!("clear {name}"))
    }

    async fn container_info(&self, _: &str, _: CallContext) -> Result<ContainerInfo, BlobError> {
        Ok(ContainerInfo { created_at: 12 })
    }

    async fn list_objects(&self, _: &str, _: CallContext) -> Result<ObjectNames, BlobError> {
        let names: Vec<_> = self.0.objects.lock().unwrap().keys().cloned().collect();
        Ok(Box::pin(stream::iter(
            names.into_iter().map(|name| Ok(vec![name])),
        )))
    }

    async fn has_object(&self, id: &ObjectId, _: CallContext) -> Result<bool, BlobError> {
        Ok(self.0.get(id).is_ok())
    }

    async fn object_info(&self, id: &ObjectId, _: CallContext) -> Result<ObjectInfo, BlobError> {
        let size = self.0.get(id)?.len() as u64;
        Ok(ObjectInfo {
            created_at: 34,
            size,
        })
    }

    async fn delete_objects(
        &self,
        container: &str,
        objects: Vec<String>,
        _: CallContext,
    ) -> Result<(), BlobError> {
        self.0.ask(format!("delete {objects:?} in {container}"))
    }

    async fn copy_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        _: CallContext,
    ) -> Result<(), BlobError> {
        self.0.ask(format!("copy {from} to {to}"))
    }

    async fn move_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        _: CallContext,
    ) -> Result<(), BlobError> {
        self.0.ask(format!("move {from} to {to}"))
    }

    async fn read(
        &self,
        id: &ObjectId,
        range: Range<u64>,
        _: CallContext,
    ) -> Result<Blob, BlobError> {
        if let Some(body) = self.0.reading.lock().unwrap().take() {
            return Ok(Blob { size: 0, body });
        }
        let object = self.0.get(id)?;
        let part = object.slice(range.start as usize..range.end as usize);
        Ok(Blob {
            size: part.len() as u64,
            body: body_of(part),
        })
    }

    async fn write(&self, id: &ObjectId, body: Body, _: CallContext) -> Result<Written, BlobError> {
        if id.container != "pets" {
            return Err(BlobError::no_container(&id.container));
        }
        let (shelf, id) = (self.0.clone(), id.clone());
        let given_up = shelf.given_up.lock().unwrap().take();
        Ok(Box::pin(async move {
            let bytes = body.collect().await;
            let bytes = bytes.map_err(|why| BlobError::broke_off(&why))?.to_bytes();
            shelf.objects.lock().unwrap().insert(id.object, bytes);
            // Dropped before, it tells so.
            if let Some(given_up) = given_up {
                _ = given_up.send(());
            }
            Ok(())
        }))
    }
}

struct Served(Only, LinkId);

impl Serve for Served {
    fn link(&self, request: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        assert!(is_blobs(&request.functions));
        Ok(serve(Arc::new(self.0.clone()), self.1))
    }
}

struct To(Arc<Session>);

impl BlobSession for To {
    fn session(&self, _: Instant) -> BoxFuture<'_, Result<Arc<dyn CallTarget>, CallError>> {
        let session: Arc<dyn CallTarget> = self.0.clone();
        Box::pin(std::future::ready(Ok(session)))
    }
}

fn linked() -> (Arc<Shelf>, BlobsOver<To>, JoinSet<()>) {
    linked_as(LinkId(7))
}

fn linked_as(link: LinkId) -> (Arc<Shelf>, BlobsOver<To>, JoinSet<()>) {
    let only = Only::default();
    let shelf = only.0.clone();
    let (session, server) = session(Arc::new(Served(only, link)), functions());
    (shelf, BlobsOver(To(session)), server)
}

type Frames = mpsc::Sender<Result<Frame<Bytes>, HttpError>>;

/// A body whose frames are sent one by one.
fn channel() -> (Frames, Body) {
    let (frames, mut rx) = mpsc::channel(1);
    let stream = stream::poll_fn(move |cx| rx.poll_recv(cx));
    (frames, Body::new(StreamBody::new(stream)))
}

#[tokio::test]
async fn everything_comes_as_it_was_asked_for_and_answered() {
    let (shelf, store, _server) = linked();
    store.create_container("pets", context()).await.unwrap();
    store.clear_container("pets", context()).await.unwrap();
    assert!(store.container_exists("pets", context()).await.unwrap());
    assert!(!store.container_exists("cows", context()).await.unwrap());
    let gone = store.delete_container("cows", context()).await;
    assert_eq!(gone, Err(BlobError::no_container("cows")));
    let info = store.container_info("pets", context()).await.unwrap();
    assert_eq!(info.created_at, 12);

    let big = Bytes::from(vec![7; 5_000_000]);
    for (name, bytes) in [
        ("cat", Bytes::from_static(b"meow")),
        ("none", Bytes::new()),
        ("big", big),
    ] {
        let written = store
            .write(&id(name), body_of(bytes.clone()), context())
            .await;
        written.unwrap().await.unwrap();
        let read = store
            .read(&id(name), 0..bytes.len() as u64, context())
            .await
            .unwrap();
        assert_eq!(read.size, bytes.len() as u64);
        assert!(
            read.body.collect().await.unwrap().to_bytes() == bytes,
            "{name}"
        );
    }
    assert!(store.has_object(&id("cat"), context()).await.unwrap());
    let info = store.object_info(&id("big"), context()).await.unwrap();
    assert_eq!((info.created_at, info.size), (34, 5_000_000));
    let part = store.read(&id("cat"), 1..3, context()).await.unwrap();
    assert_eq!(part.body.collect().await.unwrap().to_bytes(), "eo");
    let gone = store.read(&id("dog"), 0..1, context()).await.unwrap_err();
    assert_eq!(gone, BlobError::no_object(&id("dog")));
    let mut nowhere = id("x");
    nowhere.container = "cows".into();
    let refused = store.write(&nowhere, body_of("x"), context()).await;
    assert_eq!(refused.err(), Some(BlobError::no_container("cows")));
    let names: Vec<_> = store
        .list_objects("pets", context())
        .await
        .unwrap()
        .collect()
        .await;
    let names: Vec<_> = names.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(names, ["big", "cat", "none"]);

    let gone = vec!["cat".to_owned(), "dog".into()];
    store.delete_objects("pets", gone, context()).await.unwrap();
    store
        .copy_object(&id("cat"), &id("a"), context())
        .await
        .unwrap();
    store
        .move_object(&id("cat"), &id("b"), context())
        .await
        .unwrap();
    let asked = shelf.asked.lock().unwrap().join("; ");
    assert_eq!(
        asked,
        "create pets; clear pets; delete [\"cat\", \"dog\"] in pets; copy `cat` in `pets` to `a` in `pets`; \
         move `cat` in `pets` to `b` in `pets`"
    );
}

#[tokio::test]
async fn a_write_ends_when_the_object_is_kept_or_breaks_off() {
    let (shelf, store, _server) = linked();
    let (frames, body) = channel();
    // A writer knows that it can be written before anything of it has come.
    let written = store.write(&id("cat"), body, context()).await.unwrap();
    let written = tokio::spawn(written);
    frames.send(Ok(Frame::data("me".into()))).await.unwrap();
    frames.send(Ok(Frame::data("ow".into()))).await.unwrap();
    assert!(!written.is_finished());
    drop(frames);
    timeout(AGES, written).await.unwrap().unwrap().unwrap();
    assert_eq!(shelf.objects.lock().unwrap()["cat"], "meow");

    let (frames, body) = channel();
    let written = store.write(&id("dog"), body, context()).await.unwrap();
    let written = tokio::spawn(written);
    frames.send(Ok(Frame::data("wo".into()))).await.unwrap();
    let error = HttpError::new(HttpErrorKind::Handler, "it trapped");
    frames.send(Err(error)).await.unwrap();
    let why = timeout(AGES, written).await.unwrap().unwrap().unwrap_err();
    assert_eq!(why.kind, BlobErrorKind::Incomplete);
    assert!(why.message.ends_with("broke off: it trapped"), "{why}");
    assert!(!shelf.objects.lock().unwrap().contains_key("dog"));
}

#[tokio::test]
async fn a_write_that_is_given_up_is_given_up_at_the_other_side() {
    let (shelf, store, _server) = linked();
    let (tell, told) = oneshot::channel();
    *shelf.given_up.lock().unwrap() = Some(tell);
    let (frames, body) = channel();
    let written = store.write(&id("cat"), body, context()).await.unwrap();
    frames.send(Ok(Frame::data("me".into()))).await.unwrap();
    drop(written);
    assert!(timeout(AGES, told).await.unwrap().is_err());
    assert!(shelf.objects.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_nobody_reads_is_not_taken() {
    let (shelf, store, _server) = linked();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = taken.clone();
    let piece = Bytes::from(vec![1; 64 << 10]);
    let frames = stream::repeat_with(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(Frame::data(piece.clone()))
    });
    let frames = frames.take(1024);
    *shelf.reading.lock().unwrap() = Some(StreamBody::new(frames).boxed_unsync());
    let blob = store.read(&id("cat"), 0..1, context()).await.unwrap();
    let mut body = blob.body;
    body.frame().await.unwrap().unwrap();
    // Whatever goes on by itself has gone on by then: other calls have gone both ways.
    for _ in 0..100 {
        store.container_exists("pets", context()).await.unwrap();
    }
    let ahead = taken.load(Ordering::Relaxed);
    assert!(ahead < 200, "{ahead} pieces of 64 KiB");
    let rest = body.collect().await.unwrap().to_bytes();
    assert!(rest.len() > 60 << 20);
    assert_eq!(taken.load(Ordering::Relaxed), 1024);
}

#[tokio::test]
async fn a_link_that_is_not_there_is_said() {
    let (_, store, _server) = linked_as(LinkId(8));
    let why = store.create_container("pets", context()).await.unwrap_err();
    assert_eq!(why.kind, BlobErrorKind::Unavailable);
    assert!(why.message.contains("the link was removed"), "{why}");
}
