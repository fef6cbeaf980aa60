//! `wasi:blobstore` of ours, served by v1's store in files and by what serves the version before with v1's crates.

mod processes;
#[path = "../../../crates/withe-wasmcloud/tests/support/mod.rs"]
mod support;
mod v1;

use std::fs;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use withe_provider::{
    BlobError, BlobErrorKind, BlobStore, Body, CallContext, FunctionName, Link, LinkId, ObjectId,
    Provider,
};
use wrpc_transport::ServeExt as _;

use support::{PATIENCE, broker, eventually, importer, name, target};

/// Some of what the test's component imports: with them the link is one that carries objects.
fn functions() -> Vec<FunctionName> {
    vec![
        name("wasi:blobstore/blobstore@0.2.0-draft", "get-container"),
        name(
            "wasi:blobstore/container@0.2.0-draft",
            "[method]container.write-data",
        ),
        name(
            "wasi:blobstore/types@0.2.0-draft",
            "[method]incoming-value.size",
        ),
    ]
}

fn context() -> CallContext {
    CallContext {
        deadline: Instant::now() + PATIENCE,
        trace: None,
    }
}

fn pet(object: &str) -> ObjectId {
    ObjectId {
        container: "pets".into(),
        object: object.into(),
    }
}

fn store_of(provider: &dyn Provider) -> Arc<dyn BlobStore> {
    provider
        .blob_store(LinkId(1))
        .expect("the link carries objects")
}

/// All of an object, or a part.
async fn data(store: &dyn BlobStore, object: &str, end: u64) -> Result<Vec<u8>, BlobError> {
    let blob = store.read(&pet(object), 0..end, context()).await?;
    let bytes = blob.body.collect().await.map_err(BlobError::from)?;
    let bytes = bytes.to_bytes();
    assert_eq!(bytes.len() as u64, blob.size);
    Ok(bytes.into())
}

fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

async fn names(store: &dyn BlobStore) -> Vec<String> {
    let listed = store.list_objects("pets", context()).await.unwrap();
    let some: Vec<_> = listed.map(Result::unwrap).collect().await;
    let mut names = some.concat();
    names.sort();
    names
}

#[tokio::test]
async fn v1s_store_in_files_is_read_and_changed() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_v1-blobstore-fs");
    let process = processes::start(&broker, program, "files", &[]).await;
    let root = folder.path().to_str().unwrap().to_owned();
    let link = Link {
        config: [("ROOT".into(), root)].into(),
        ..importer(1, "default", &functions())
    };
    process.link_put(link).await.unwrap();
    let store = store_of(&process);

    // The provider takes its link in its own time.
    eventually("v1's store to take its link", || async {
        let exists = store.container_exists("pets", context()).await;
        matches!(exists, Ok(false)).then_some(())
    })
    .await;
    store.create_container("pets", context()).await.unwrap();
    assert!(store.container_exists("pets", context()).await.unwrap());
    store.container_info("pets", context()).await.unwrap();

    assert!(!store.has_object(&pet("cat"), context()).await.unwrap());
    // Of many messages.
    let cat: Vec<u8> = (0..2_500_000u32).map(|n| (n % 251) as u8).collect();
    let id = pet("cat");
    let written = store.write(&id, body(cat.clone()), context());
    written.await.unwrap().await.unwrap();
    assert!(fs::read(folder.path().join("pets/cat")).unwrap() == cat);
    assert!(store.has_object(&pet("cat"), context()).await.unwrap());
    let info = store.object_info(&pet("cat"), context()).await.unwrap();
    assert_eq!(info.size, 2_500_000);
    assert!(data(&*store, "cat", u64::MAX).await.unwrap() == cat);
    assert_eq!(data(&*store, "cat", 3).await.unwrap(), cat[..3]);
    let why = data(&*store, "dog", 1).await.unwrap_err();
    assert!(why.message.contains("failed to open"), "{why}");
    let copy = pet("dog");
    let copied = store.copy_object(&id, &copy, context());
    copied.await.unwrap();
    assert_eq!(names(&*store).await, ["cat", "dog"]);
    let gone = vec!["cat".to_owned()];
    store.delete_objects("pets", gone, context()).await.unwrap();
    let gone = vec!["dog".to_owned(), "cow".into()];
    store.delete_objects("pets", gone, context()).await.unwrap();
    assert!(!store.has_object(&pet("dog"), context()).await.unwrap());
    fs::write(folder.path().join("pets/cow"), "moo").unwrap();
    store.clear_container("pets", context()).await.unwrap();
    assert!(!folder.path().join("pets/cow").exists());
    store.delete_container("pets", context()).await.unwrap();
    assert!(!folder.path().join("pets").exists());
    process.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_version_before_is_called_where_nobody_serves_the_current_one() {
    type Data = Pin<Box<dyn Stream<Item = Bytes> + Send>>;
    let broker = broker();
    let server = v1::client(&broker, "old").await;
    let old = "wrpc:blobstore/blobstore@0.1.0";
    let infos = (server.rpc)
        .serve_values::<((String, String),), (Result<(u64, u64), String>,)>(
            old,
            "get-object-info",
            vec![],
        )
        .await
        .unwrap();
    let reads = (server.rpc)
        .serve_values::<((String, String), u64, u64), (Result<Data, String>,)>(
            old,
            "get-container-data",
            vec![],
        )
        .await
        .unwrap();
    server.settle().await;
    let _infos = v1::Task::spawn(infos.for_each(|call| async {
        let (_, ((_, object),), _, results) = call.unwrap();
        tokio::spawn(results((Ok((7, object.len() as u64 + 1)),)));
    }));
    let _reads = v1::Task::spawn(reads.for_each(|call| async {
        let (_, ((_, object), ..), _, results) = call.unwrap();
        let data = futures::stream::iter([Bytes::from(object), Bytes::from_static(b"!")]);
        tokio::spawn(results((Ok(Box::pin(data) as Data),)));
    }));
    let provider = target(&broker, "old", []).await;
    provider
        .link_put(importer(1, "default", &functions()))
        .await
        .unwrap();
    let store = store_of(&provider);
    assert_eq!(data(&*store, "meow", 9).await.unwrap(), b"meow!");
    // An operation that neither version serves.
    let why = store.has_object(&pet("cat"), context()).await.unwrap_err();
    assert_eq!(why.kind, BlobErrorKind::Unavailable, "{why}");
}

#[tokio::test]
async fn a_link_that_carries_no_objects_has_no_store() {
    let broker = broker();
    let provider = target(&broker, "files", []).await;
    let buckets = [name("wasi:keyvalue/store@0.2.0-draft", "open")];
    provider
        .link_put(importer(1, "default", &buckets))
        .await
        .unwrap();
    assert!(provider.blob_store(LinkId(1)).is_none());
}
