//! `wasi:blobstore` of ours, served by v1's store in files and by what serves the version before with v1's crates.

mod processes;
#[path = "../../../crates/withe-wasmcloud/tests/support/mod.rs"]
mod support;
mod v1;

use std::fs;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use withe_provider::codec::{ByteList, Decode, Encode, Handle};
use withe_provider::{Call, CallError, FunctionName, Link, LinkId, Payload, Provider};
use wrpc_transport::ServeExt as _;

use support::{PATIENCE, broker, eventually, importer, name, target};

const BLOBSTORE: &str = "wasi:blobstore/blobstore@0.2.0-draft";
const CONTAINER: &str = "wasi:blobstore/container@0.2.0-draft";
const TYPES: &str = "wasi:blobstore/types@0.2.0-draft";

/// What the test's component imports.
fn functions() -> Vec<FunctionName> {
    let of = |interface, functions: &[&str]| -> Vec<_> {
        functions.iter().map(|f| name(interface, f)).collect()
    };
    [
        of(
            BLOBSTORE,
            &[
                "create-container",
                "get-container",
                "delete-container",
                "container-exists",
                "copy-object",
                "move-object",
            ],
        ),
        of(
            CONTAINER,
            &[
                "[method]container.name",
                "[method]container.info",
                "[method]container.get-data",
                "[method]container.list-objects",
                "[method]container.delete-object",
                "[method]container.delete-objects",
                "[method]container.has-object",
                "[method]container.object-info",
                "[method]container.clear",
                "[method]stream-object-names.read-stream-object-names",
                "[method]stream-object-names.skip-stream-object-names",
            ],
        ),
        of(
            TYPES,
            &["[static]incoming-value.incoming-value-consume-sync"],
        ),
    ]
    .concat()
}

/// Calls a function by the end of its name.
async fn try_call<T: Decode>(
    provider: &dyn Provider,
    function: &str,
    params: &impl Encode,
) -> Result<Result<T, String>, CallError> {
    let is = |f: &FunctionName| f.function.rsplit('.').next() == Some(function);
    let call = Call {
        link: LinkId(1),
        function: functions().iter().position(is).expect("it is imported"),
        params: Payload::of(params),
        deadline: Instant::now() + PATIENCE,
        caller: "kv",
        trace: None,
    };
    Ok(provider.call(call).await?.read().unwrap())
}

async fn call<T: Decode>(provider: &dyn Provider, function: &str, params: &impl Encode) -> T {
    let result = try_call(provider, function, params).await;
    result.unwrap().unwrap()
}

/// All of an object, or a part.
async fn data(provider: &dyn Provider, container: Handle, object: &str, end: u64) -> Vec<u8> {
    let value: Handle = call(provider, "get-data", &(container, object, 0u64, end)).await;
    let consume = "incoming-value-consume-sync";
    let ByteList(bytes) = call(provider, consume, &(value,)).await;
    // It is handed over with that.
    let again = try_call::<ByteList>(provider, consume, &(value,)).await;
    assert!(matches!(again, Err(CallError::TypeMismatch(_))));
    bytes
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
    let store: &dyn Provider = &process;

    // It takes its link in its own time.
    eventually("v1's store to take its link", || async {
        let why = try_call::<Handle>(store, "get-container", &("pets",)).await;
        let why = why.unwrap().unwrap_err();
        (why == "the container `pets` does not exist").then_some(())
    })
    .await;
    let pets: Handle = call(store, "create-container", &("pets",)).await;
    assert!(call::<bool>(store, "container-exists", &("pets",)).await);
    assert_eq!(call::<String>(store, "name", &(pets,)).await, "pets");
    let (name, _created): (String, u64) = call(store, "info", &(pets,)).await;
    assert_eq!(name, "pets");

    assert!(!call::<bool>(store, "has-object", &(pets, "cat")).await);
    // Of many messages.
    let cat: Vec<u8> = (0..2_500_000u32).map(|n| (n % 251) as u8).collect();
    fs::write(folder.path().join("pets/cat"), &cat).unwrap();
    assert!(call::<bool>(store, "has-object", &(pets, "cat")).await);
    let info: (String, String, u64, u64) = call(store, "object-info", &(pets, "cat")).await;
    assert_eq!((&*info.0, &*info.1, info.3), ("cat", "pets", 2_500_000));
    assert!(data(store, pets, "cat", 2_500_000).await == cat);
    assert_eq!(data(store, pets, "cat", 3).await, cat[..3]);
    let missing = (pets, "dog", 0u64, 1u64);
    let why = try_call::<Handle>(store, "get-data", &missing).await;
    assert!(why.unwrap().unwrap_err().contains("failed to open"));

    let copied = (("pets", "cat"), ("pets", "dog"));
    call::<()>(store, "copy-object", &copied).await;
    let listing: Handle = call(store, "list-objects", &(pets,)).await;
    let read = "read-stream-object-names";
    let (mut names, last): (Vec<String>, bool) = call(store, read, &(listing, 1u64)).await;
    assert_eq!((names.len(), last), (1, false));
    let (rest, last): (Vec<String>, bool) = call(store, read, &(listing, 9u64)).await;
    assert!(last);
    names.extend(rest);
    names.sort();
    assert_eq!(names, ["cat", "dog"]);
    store.drop_resource(LinkId(1), listing.0);
    let gone = try_call::<(Vec<String>, bool)>(store, read, &(listing, 1u64)).await;
    assert!(matches!(gone, Err(CallError::TypeMismatch(_))));
    let listing: Handle = call(store, "list-objects", &(pets,)).await;
    let skipped: (u64, bool) = call(store, "skip-stream-object-names", &(listing, 9u64)).await;
    assert_eq!(skipped, (2, true));

    call::<()>(store, "delete-object", &(pets, "cat")).await;
    call::<()>(store, "delete-objects", &(pets, vec!["dog", "cow"])).await;
    assert!(!call::<bool>(store, "has-object", &(pets, "dog")).await);
    fs::write(folder.path().join("pets/cow"), "moo").unwrap();
    call::<()>(store, "clear", &(pets,)).await;
    assert!(!folder.path().join("pets/cow").exists());
    call::<()>(store, "delete-container", &("pets",)).await;
    assert!(!folder.path().join("pets").exists());
    process.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_version_before_is_called_where_nobody_serves_the_current_one() {
    type Data = Pin<Box<dyn Stream<Item = Bytes> + Send>>;
    let broker = broker();
    let server = v1::client(&broker, "old").await;
    let old = "wrpc:blobstore/blobstore@0.1.0";
    let existing = (server.rpc)
        .serve_values::<(String,), (Result<bool, String>,)>(old, "container-exists", vec![])
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
    let _existing = v1::Task::spawn(existing.for_each(|call| async {
        let (_, (name,), _, results) = call.unwrap();
        tokio::spawn(results((Ok(name == "pets"),)));
    }));
    let _reads = v1::Task::spawn(reads.for_each(|call| async {
        let (_, ((_, object), ..), _, results) = call.unwrap();
        let data = futures::stream::iter([Bytes::from(object), Bytes::from_static(b"!")]);
        tokio::spawn(results((Ok(Box::pin(data) as Data),)));
    }));
    let store = target(&broker, "old", []).await;
    store
        .link_put(importer(1, "default", &functions()))
        .await
        .unwrap();
    let pets: Handle = call(&store, "get-container", &("pets",)).await;
    assert_eq!(data(&store, pets, "meow", 9).await, b"meow!");
    // What neither version serves.
    let why = try_call::<bool>(&store, "has-object", &(pets, "cat")).await;
    assert!(matches!(why, Err(CallError::Unreachable(_))), "{why:?}");
}

#[tokio::test]
async fn what_needs_streams_of_the_host_is_refused_with_the_link() {
    let broker = broker();
    let store = target(&broker, "files", []).await;
    let writes = [name(CONTAINER, "[method]container.write-data")];
    let why = store.link_put(importer(1, "default", &writes)).await;
    let why = why.unwrap_err().to_string();
    assert!(
        why.contains("`[method]container.write-data`") && why.contains("`wasi:io`"),
        "{why}"
    );
}
