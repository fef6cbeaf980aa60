//! The conformance table of the backends.

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::mpsc;
use withe_provider::blobs::body_of;
use withe_provider::{BlobErrorKind, BlobStore, Body, HttpError, HttpErrorKind};

use withe_testing::nats::NatsServer;
use withe_testing::seaweedfs::{ACCESS_KEY, SECRET_KEY, SeaweedServer};

use support::{Backend, context, id, linked, map, names, pattern, pieces, read, write};

/// More than one part, message or piece of any backend.
const LARGE: usize = 20_000_000;

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// Does a test with all backends, and says with which one it failed.
macro_rules! with_all {
    ($test:ident) => {
        for backend in Backend::all().await {
            let done = tokio::spawn(async move {
                let store = backend.store.clone();
                eprintln!("{}", backend.name);
                $test(&*store).await;
                backend
            });
            drop(done.await.unwrap());
        }
    };
}

async fn containers(store: &dyn BlobStore) {
    let exists = async |name: &'static str| store.container_exists(name, context()).await.unwrap();
    assert!(!exists("pets").await);
    for gone in [
        store.delete_container("pets", context()).await,
        store.clear_container("pets", context()).await,
        store.container_info("pets", context()).await.map(drop),
        names(store, "pets").await.map(drop),
        write(store, &id("pets", "cat"), b"x").await,
        store
            .delete_objects("pets", vec!["cat".into()], context())
            .await,
    ] {
        let why = gone.unwrap_err();
        assert_eq!(why.message, "the container `pets` does not exist");
        assert_eq!(why.kind, BlobErrorKind::NotFound);
    }
    store.create_container("pets", context()).await.unwrap();
    write(store, &id("pets", "cat"), b"meow").await.unwrap();
    store.create_container("pets", context()).await.unwrap();
    assert!(exists("pets").await);
    assert!(
        store
            .has_object(&id("pets", "cat"), context())
            .await
            .unwrap()
    );
    let created = store
        .container_info("pets", context())
        .await
        .unwrap()
        .created_at;
    assert!(created == 0 || now().abs_diff(created) < 600, "{created}");

    store.create_container("cows", context()).await.unwrap();
    write(store, &id("cows", "cat"), b"moo").await.unwrap();
    store.clear_container("pets", context()).await.unwrap();
    assert!(exists("pets").await);
    assert_eq!(names(store, "pets").await.unwrap(), Vec::<String>::new());
    store.delete_container("pets", context()).await.unwrap();
    assert!(!exists("pets").await);
    assert!(
        !store
            .has_object(&id("pets", "cat"), context())
            .await
            .unwrap()
    );
    assert_eq!(read(store, &id("cows", "cat"), 0..9).await.unwrap(), b"moo");
    store.delete_container("cows", context()).await.unwrap();
    // Written to a moment ago, and gone all the same.
    let gone = write(store, &id("cows", "cat"), b"moo").await.unwrap_err();
    assert_eq!(gone.kind, BlobErrorKind::NotFound);
    for bad in ["", "..", "a/b", ".withe-uploads"] {
        let why = store.create_container(bad, context()).await.unwrap_err();
        assert_eq!(why.kind, BlobErrorKind::Invalid, "{bad}");
    }
}

async fn objects(store: &dyn BlobStore) {
    store.create_container("pets", context()).await.unwrap();
    let cat = id("pets", "cat");
    for gone in [
        read(store, &cat, 0..9).await.map(drop),
        read(store, &cat, 2..3).await.map(drop),
        store.object_info(&cat, context()).await.map(drop),
        store.copy_object(&cat, &id("pets", "dog"), context()).await,
        store.move_object(&cat, &id("pets", "dog"), context()).await,
        store.move_object(&cat, &cat, context()).await,
    ] {
        let why = gone.unwrap_err();
        assert_eq!(why.message, "the object `cat` in `pets` does not exist");
        assert_eq!(why.kind, BlobErrorKind::NotFound);
    }
    write(store, &cat, b"meow").await.unwrap();
    let info = store.object_info(&cat, context()).await.unwrap();
    assert_eq!(info.size, 4);
    assert!(now().abs_diff(info.created_at) < 600, "{info:?}");
    let ranges: [(_, &[u8]); 7] = [
        (0..u64::MAX, b"meow"),
        (0..4, b"meow"),
        (1..3, b"eo"),
        (2..2, b""),
        (3..99, b"w"),
        (4..5, b""),
        (50..99, b""),
    ];
    for (range, part) in ranges {
        let got = read(store, &cat, range.clone()).await.unwrap();
        assert_eq!(got, part, "{range:?}");
    }
    let why = store
        .read(&cat, std::ops::Range { start: 3, end: 1 }, context())
        .await
        .unwrap_err();
    assert_eq!(why.kind, BlobErrorKind::Invalid);
    write(store, &cat, b"purr!").await.unwrap();
    assert_eq!(read(store, &cat, 0..99).await.unwrap(), b"purr!");
    write(store, &cat, b"").await.unwrap();
    assert_eq!(store.object_info(&cat, context()).await.unwrap().size, 0);
    assert_eq!(read(store, &cat, 0..u64::MAX).await.unwrap(), b"");

    write(store, &cat, b"meow").await.unwrap();
    let names_taken = ["a/b/c.txt", "ü 1 + 2 % & ?=#~'", ".hidden", "x.."];
    for name in names_taken {
        let object = id("pets", name);
        store.copy_object(&cat, &object, context()).await.unwrap();
        assert_eq!(read(store, &object, 0..9).await.unwrap(), b"meow", "{name}");
    }
    let mut wanted: Vec<_> = names_taken.iter().map(|name| (*name).to_owned()).collect();
    wanted.push("cat".into());
    wanted.sort();
    assert_eq!(names(store, "pets").await.unwrap(), wanted);
    for bad in [
        "",
        "/a",
        "a/",
        "a//b",
        "../x",
        "a/../b",
        "a\nb",
        ".withe-container",
    ] {
        let why = write(store, &id("pets", bad), b"x").await.unwrap_err();
        assert_eq!(why.kind, BlobErrorKind::Invalid, "{bad}");
    }

    store.create_container("cows", context()).await.unwrap();
    store
        .copy_object(&cat, &id("cows", "a"), context())
        .await
        .unwrap();
    store
        .move_object(&cat, &id("cows", "b"), context())
        .await
        .unwrap();
    assert!(!store.has_object(&cat, context()).await.unwrap());
    store
        .move_object(&id("cows", "b"), &id("cows", "b"), context())
        .await
        .unwrap();
    store
        .move_object(&id("cows", "b"), &id("cows", "a"), context())
        .await
        .unwrap();
    assert_eq!(names(store, "cows").await.unwrap(), ["a"]);
    assert_eq!(read(store, &id("cows", "a"), 0..9).await.unwrap(), b"meow");
    let nowhere = id("nowhere", "a");
    for missing in [
        store
            .copy_object(&id("cows", "a"), &nowhere, context())
            .await,
        store
            .move_object(&id("cows", "a"), &nowhere, context())
            .await,
    ] {
        assert_eq!(missing.unwrap_err().kind, BlobErrorKind::NotFound);
    }
    assert!(store.has_object(&id("cows", "a"), context()).await.unwrap());
    let gone = vec!["a".to_owned(), "none".into()];
    store.delete_objects("cows", gone, context()).await.unwrap();
    store
        .delete_objects("cows", Vec::new(), context())
        .await
        .unwrap();
    assert_eq!(names(store, "cows").await.unwrap(), Vec::<String>::new());
}

async fn large(store: &dyn BlobStore) {
    store.create_container("pets", context()).await.unwrap();
    let (whale, bytes) = (id("pets", "whale"), pattern(LARGE));
    let written = store
        .write(&whale, pieces(&bytes, 70_001), context())
        .await
        .unwrap();
    written.await.unwrap();
    assert_eq!(
        store.object_info(&whale, context()).await.unwrap().size,
        LARGE as u64
    );
    assert!(read(store, &whale, 0..u64::MAX).await.unwrap() == bytes);
    for range in [
        0..1,
        8_388_607..8_388_610,
        131_071..300_000,
        19_999_000..20_000_001,
    ] {
        let part = &bytes[range.start as usize..(range.end as usize).min(LARGE)];
        assert!(
            read(store, &whale, range.clone()).await.unwrap() == part,
            "{range:?}"
        );
    }
    let copy = id("pets", "copy");
    store.copy_object(&whale, &copy, context()).await.unwrap();
    // Exactly some parts, of any backend.
    write(store, &whale, &bytes[..16 << 20]).await.unwrap();
    assert!(read(store, &whale, 0..u64::MAX).await.unwrap() == bytes[..16 << 20]);
    assert!(read(store, &copy, 0..u64::MAX).await.unwrap() == bytes);
}

/// Writes that end in the middle leave what was there, and nothing else.
async fn broken(store: &dyn BlobStore) {
    store.create_container("pets", context()).await.unwrap();
    let cat = id("pets", "cat");
    write(store, &cat, b"meow").await.unwrap();
    let bytes = pattern(LARGE / 2);
    for ends in [bytes.len(), 1000] {
        let error = HttpError::new(HttpErrorKind::Handler, "the component trapped");
        let first = Ok(Frame::data(Bytes::copy_from_slice(&bytes[..ends])));
        let body = StreamBody::new(stream::iter([first, Err(error)])).boxed_unsync();
        let written = store.write(&cat, body, context()).await.unwrap();
        let why = written.await.unwrap_err();
        assert_eq!(why.kind, BlobErrorKind::Incomplete);
        assert!(
            why.message.ends_with("broke off: the component trapped"),
            "{why}"
        );
    }
    // One that is given up.
    let (frames, mut rx) = mpsc::channel(1);
    let body = stream::poll_fn(move |cx| rx.poll_recv(cx));
    let body = Body::new(StreamBody::new(body));
    let written = store.write(&cat, body, context()).await.unwrap();
    let writing = tokio::spawn(written);
    for piece in bytes.chunks(1 << 20) {
        let frame = Ok::<_, HttpError>(Frame::data(Bytes::copy_from_slice(piece)));
        frames.send(frame).await.unwrap();
    }
    writing.abort();
    assert!(writing.await.is_err());
    assert_eq!(read(store, &cat, 0..9).await.unwrap(), b"meow");
    assert_eq!(names(store, "pets").await.unwrap(), ["cat"]);
}

/// An object is not there before it is whole, and is written while nothing of it has come yet.
async fn whole(store: &dyn BlobStore) {
    store.create_container("pets", context()).await.unwrap();
    let cat = id("pets", "cat");
    let (frames, mut rx) = mpsc::channel(1);
    let body = stream::poll_fn(move |cx| rx.poll_recv(cx));
    let written = store.write(&cat, Body::new(StreamBody::new(body)), context());
    // Nothing has come, and it is known that it can be written.
    let written = tokio::time::timeout(Duration::from_secs(60), written)
        .await
        .unwrap()
        .unwrap();
    let writing = tokio::spawn(written);
    let frame = Ok::<_, HttpError>(Frame::data(Bytes::from_static(b"meow")));
    frames.send(frame).await.unwrap();
    assert!(!store.has_object(&cat, context()).await.unwrap());
    assert_eq!(names(store, "pets").await.unwrap(), Vec::<String>::new());
    drop(frames);
    writing.await.unwrap().unwrap();
    assert_eq!(read(store, &cat, 0..9).await.unwrap(), b"meow");
}

async fn many(store: &dyn BlobStore) {
    store.create_container("pets", context()).await.unwrap();
    let mut wanted: Vec<_> = (0..600).map(|n| format!("{}/{n}", n % 7)).collect();
    for some in wanted.chunks(50) {
        let writes = some.iter().map(async |name| {
            let object = id("pets", name);
            let body = body_of(name.clone());
            let written = store.write(&object, body, context()).await?;
            written.await
        });
        for written in futures::future::join_all(writes).await {
            written.unwrap();
        }
    }
    wanted.sort();
    assert_eq!(names(store, "pets").await.unwrap(), wanted);
    let half = wanted.split_off(300);
    store.delete_objects("pets", half, context()).await.unwrap();
    assert_eq!(names(store, "pets").await.unwrap(), wanted);
    store.clear_container("pets", context()).await.unwrap();
    assert_eq!(names(store, "pets").await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn containers_are_made_and_removed() {
    with_all!(containers);
}

#[tokio::test]
async fn objects_are_kept() {
    with_all!(objects);
}

#[tokio::test]
async fn large_objects_are_kept() {
    with_all!(large);
}

#[tokio::test]
async fn writes_that_break_off_leave_nothing() {
    with_all!(broken);
}

#[tokio::test]
async fn objects_are_whole() {
    with_all!(whole);
}

#[tokio::test]
async fn many_objects_are_listed() {
    with_all!(many);
}

/// Containers whose names a path could spell in another way.
#[tokio::test]
async fn names_are_taken_as_they_are() {
    let server = Arc::new(SeaweedServer::start().unwrap());
    let buckets = Backend::s3(&server, None).await;
    let made = buckets.store.create_container("shared", context());
    made.await.unwrap();
    let odd = ["a#b", "a%23b", "100%", "100%25"];
    for backend in [
        Backend::memory().await,
        Backend::folder().await,
        Backend::s3(&server, Some("shared")).await,
    ] {
        eprintln!("{}", backend.name);
        let store = &*backend.store;
        for name in odd {
            store.create_container(name, context()).await.unwrap();
            write(store, &id(name, "cat"), name.as_bytes())
                .await
                .unwrap();
        }
        for name in ["a#b", "100%"] {
            assert_eq!(names(store, name).await.unwrap(), ["cat"]);
            store.clear_container(name, context()).await.unwrap();
            assert_eq!(names(store, name).await.unwrap(), Vec::<String>::new());
            store.delete_container(name, context()).await.unwrap();
            assert!(!store.container_exists(name, context()).await.unwrap());
        }
        for name in ["a%23b", "100%25"] {
            let kept = read(store, &id(name, "cat"), 0..99).await.unwrap();
            assert_eq!(kept, name.as_bytes());
        }
    }
}

/// A bucket that has another name: an object stays that is moved, or copied, to where it is.
#[tokio::test]
async fn an_object_that_is_moved_onto_itself_stays() {
    let server = SeaweedServer::start().unwrap();
    let endpoint = server.endpoint();
    let config = [
        ("backend", "s3"),
        ("endpoint", &*endpoint),
        ("access_key_id", ACCESS_KEY),
        ("secret_access_key", SECRET_KEY),
        ("alias_animals", "pets"),
    ];
    let (_provider, store) = linked(map(&config)).await.unwrap();
    let store = &*store;
    store.create_container("pets", context()).await.unwrap();
    let (cat, same) = (id("pets", "cat"), id("animals", "cat"));
    write(store, &cat, b"meow").await.unwrap();
    store.move_object(&cat, &same, context()).await.unwrap();
    store.move_object(&same, &cat, context()).await.unwrap();
    store.copy_object(&cat, &same, context()).await.unwrap();
    assert_eq!(read(store, &cat, 0..9).await.unwrap(), b"meow");
    let dog = id("animals", "dog");
    store.move_object(&cat, &dog, context()).await.unwrap();
    assert_eq!(names(store, "pets").await.unwrap(), ["dog"]);
    // The store forgets the container, by whichever name it is removed.
    let removed = store.delete_container("animals", context()).await;
    removed.unwrap();
    let gone = write(store, &cat, b"meow").await.unwrap_err();
    assert_eq!(gone.message, "the container `pets` does not exist");
}

/// A container on NATS that is cleared while an object is written to it: the object is not kept without its beginning.
#[tokio::test]
async fn nats_keeps_no_object_of_which_a_part_is_gone() {
    let server = NatsServer::start().unwrap();
    let (_provider, store) = linked(map(&[("url", &server.url())])).await.unwrap();
    let store = &*store;
    store.create_container("pets", context()).await.unwrap();
    let cat = id("pets", "cat");
    let (frames, mut rx) = mpsc::channel(1);
    let body = stream::poll_fn(move |cx| rx.poll_recv(cx));
    let body = Body::new(StreamBody::new(body));
    let written = store.write(&cat, body, context()).await.unwrap();
    let writing = tokio::spawn(written);
    let bytes = pattern(4 << 20);
    for piece in bytes.chunks(1 << 20) {
        let frame = Ok::<_, HttpError>(Frame::data(Bytes::copy_from_slice(piece)));
        frames.send(frame).await.unwrap();
    }
    // Most of it is there: it is taken one by one.
    store.clear_container("pets", context()).await.unwrap();
    let last = Ok::<_, HttpError>(Frame::data(Bytes::from_static(b"the end")));
    frames.send(last).await.unwrap();
    drop(frames);
    let why = writing.await.unwrap().unwrap_err();
    assert_eq!(why.kind, BlobErrorKind::Incomplete, "{why}");
    assert!(why.message.contains("was cleared meanwhile"), "{why}");
    assert!(!store.has_object(&cat, context()).await.unwrap());

    // One that others damaged says so, in all of it and in parts.
    write(store, &cat, &bytes).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let stream = jetstream.get_stream("OBJ_pets").await.unwrap();
    stream.purge().filter("$O.pets.C.>").keep(9).await.unwrap();
    for range in [0..u64::MAX, 5..9, 4_000_000..4_000_001] {
        let why = read(store, &cat, range).await.unwrap_err();
        assert!(
            why.message.contains("is damaged: NATS has 9 of its 32"),
            "{why}"
        );
    }
    write(store, &cat, b"meow").await.unwrap();
    assert_eq!(read(store, &cat, 1..3).await.unwrap(), b"eo");
}
