//! Tests of an embedded lattice alone: which data outlives the process, and who shares it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};
use withe_lattice::embedded::{Serving, serve};
use withe_lattice::{Attached, Change, Embedded, Expect, Lattice, LatticeError, Watch};
use withe_rpc::unix::{UnixConnector, UnixListener};
use withe_rpc::{
    CallContext, CallError, Client, Limits, LinkFunction, LinkRequest, Payload, Serve, ServedLink,
};

/// Long enough for anything that ends at all.
const AGES: Duration = Duration::from_secs(60);

/// A change, shortly: `key=value`, `-key` or `synced`.
async fn next(watch: &mut Watch) -> String {
    let change = timeout(AGES, watch.recv()).await.unwrap().unwrap();
    match change {
        Change::Put(entry) => format!("{}={}", entry.key, String::from_utf8_lossy(&entry.value)),
        Change::Gone { key } => format!("-{key}"),
        Change::Lost { key } => format!("?{key}"),
        Change::Synced => "synced".into(),
    }
}

async fn put(lattice: &impl Lattice, key: &str, value: &'static str) -> u64 {
    let put = lattice.put(key, value.into(), Expect::Any).await;
    put.unwrap()
}

async fn until(is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(AGES, so).await.unwrap();
}

/// The digest of `hello`.
const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// Puts other bytes in the place of a blob in the file of a lattice that nobody has open.
fn overwrite(path: &Path, digest: &str, bytes: &[u8]) {
    let database = redb::Database::open(path).unwrap();
    let writing = database.begin_write().unwrap();
    let blobs = redb::TableDefinition::<&str, &[u8]>::new("blobs");
    let mut table = writing.open_table(blobs).unwrap();
    table.insert(digest, bytes).unwrap();
    drop(table);
    writing.commit().unwrap();
}

#[tokio::test]
async fn a_damaged_blob_is_told_replaced_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lattice.redb");
    let open = || Embedded::open("test", &path).unwrap().with_max_blob(10);
    for (garbage, expected) in [
        (&b"hullo"[..], "its digest is `sha256:"),
        (b"hell", "its digest is `sha256:"),
        (b"", "its digest is `sha256:"),
        (b"hello, hello", "12 bytes, and 10 are the most"),
    ] {
        let put = async |lattice: &Embedded| lattice.put_blob(HELLO, "hello".into()).await.unwrap();
        put(&open()).await;
        overwrite(&path, HELLO, garbage);
        let lattice = open();
        let error = lattice.blob(HELLO).await.unwrap_err();
        assert!(matches!(error, LatticeError::Blob { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains(HELLO), "{text}");

        put(&lattice).await;
        assert_eq!(lattice.blob(HELLO).await.unwrap().unwrap(), "hello");
        drop(lattice);
        overwrite(&path, HELLO, garbage);
        let lattice = open();
        lattice.delete_blob(HELLO).await.unwrap();
        assert_eq!(lattice.blob(HELLO).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_blob_beyond_the_limit_is_neither_put_nor_got() {
    let lattice = Embedded::in_memory("test").unwrap();
    let small = lattice.clone().with_max_blob(4);
    let put = small.put_blob(HELLO, "hello".into()).await;
    assert!(matches!(put, Err(LatticeError::Blob { .. })), "{put:?}");
    assert_eq!(small.blob(HELLO).await.unwrap(), None);
    lattice.put_blob(HELLO, "hello".into()).await.unwrap();
    let error = small.blob(HELLO).await.unwrap_err().to_string();
    assert!(error.contains("5 bytes, and 4 are the most"), "{error}");
    assert_eq!(lattice.blob(HELLO).await.unwrap().unwrap(), "hello");
}

#[tokio::test]
async fn a_file_keeps_entries_and_blobs_and_no_leases() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lattice.redb");
    let lattice = Embedded::open("test", &path).unwrap();
    let first = put(&lattice, "kept", "1").await;
    let removed = put(&lattice, "removed", "2").await;
    lattice.delete("removed", Expect::Any).await.unwrap();
    lattice
        .put_lease("l", "3".into(), Expect::Any)
        .await
        .unwrap();
    lattice.put_blob("b", "4".into()).await.unwrap();
    // Nobody else can have it meanwhile.
    let second = Embedded::open("test", &path).err().unwrap();
    assert!(matches!(second, LatticeError::Storage(_)), "{second:?}");
    drop(lattice);

    let lattice = Embedded::open("test", &path).unwrap();
    let kept = lattice.list("").await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].revision, &kept[0].value[..]), (first, &b"1"[..]));
    assert_eq!(lattice.leases("").await.unwrap(), []);
    assert_eq!(lattice.blob("b").await.unwrap().unwrap(), "4");
    // Also revisions of what is gone are not given out again.
    assert!(put(&lattice, "removed", "5").await > removed);
    lattice.delete_blob("b").await.unwrap();
    drop(lattice);
    let lattice = Embedded::open("test", &path).unwrap();
    assert_eq!(lattice.blob("b").await.unwrap(), None);
    drop(lattice);

    let other = Embedded::open("other", &path).err().unwrap().to_string();
    assert!(other.contains("it is the lattice `test`"), "{other}");
}

#[tokio::test]
async fn what_is_no_file_of_a_lattice_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "nothing that a lattice wrote").unwrap();
    let error = Embedded::open("test", &path).err().unwrap();
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert!(Embedded::in_memory("a.b").is_err());
}

#[tokio::test]
async fn watches_end_with_the_lattice() {
    let lattice = Embedded::in_memory("test").unwrap();
    let mut watch = lattice.watch("").await.unwrap();
    let mut requests = lattice.serve("s").await.unwrap();
    assert_eq!(next(&mut watch).await, "synced");
    drop(lattice);
    assert_eq!(timeout(AGES, watch.recv()).await.unwrap(), None);
    assert!(timeout(AGES, requests.recv()).await.unwrap().is_none());
}

async fn served(socket: &Path) -> (Embedded, Serving) {
    let lattice = Embedded::in_memory("test").unwrap();
    let serving = serve(lattice.clone(), socket).await.unwrap();
    (lattice, serving)
}

#[tokio::test]
async fn the_socket_is_for_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let nobody = Attached::connect(&socket).await.err().unwrap();
    assert!(nobody.to_string().contains("nobody serves a lattice there"));
    let (lattice, serving) = served(&socket).await;
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // There can be one at a time.
    let second = serve(lattice, &socket).await.err().unwrap();
    assert!(second.to_string().contains("is served by another process"));
    drop(serving);
    until(|| !socket.exists()).await;
    // A socket left by a killed process is replaced.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let (_lattice, _serving) = served(&socket).await;
    Attached::connect(&socket).await.unwrap();
}

#[tokio::test]
async fn what_goes_on_goes_on_with_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let (lattice, serving) = served(&socket).await;
    put(&lattice, "removed", "1").await;
    put(&lattice, "kept", "2").await;
    let attached = Attached::connect(&socket).await.unwrap();
    let mut watch = attached.watch("").await.unwrap();
    let mut messages = attached.subscribe("").await.unwrap();
    let mut requests = attached.serve("s").await.unwrap();
    while next(&mut watch).await != "synced" {}
    drop((lattice, serving));
    until(|| !attached.is_connected()).await;

    let (lattice, _serving) = served(&socket).await;
    until(|| attached.is_connected()).await;
    put(&lattice, "kept", "3").await;
    let mut told = Vec::new();
    while !(told.contains(&"kept=3".to_owned()) && told.contains(&"synced".into())) {
        told.push(next(&mut watch).await);
    }
    assert!(told.contains(&"-removed".into()), "{told:?}");
    assert_eq!(attached.get("kept").await.unwrap().unwrap().value, "3");

    // These are asked for again, which may take a moment.
    let message = async {
        loop {
            lattice.publish("m", "4".into()).await.unwrap();
            let message = timeout(Duration::from_millis(50), messages.recv());
            if let Ok(message) = message.await {
                return message.unwrap().payload;
            }
        }
    };
    assert_eq!(timeout(AGES, message).await.unwrap(), "4");
    let serving = async {
        let request = requests.recv().await.unwrap();
        request.answer.send(request.payload).unwrap();
    };
    let asking = async {
        loop {
            match lattice.request("s", "5".into(), AGES).await {
                Err(LatticeError::NobodyServes(_)) => sleep(Duration::from_millis(5)).await,
                answer => return answer.unwrap(),
            }
        }
    };
    let ((), answer) = timeout(AGES, async { tokio::join!(serving, asking) })
        .await
        .unwrap();
    assert_eq!(answer, "5");
}

#[tokio::test]
async fn what_is_under_way_fails_with_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let (lattice, serving) = served(&socket).await;
    let attached = Attached::connect(&socket).await.unwrap();
    let mut requests = lattice.serve("s").await.unwrap();
    let asking = attached.request("s", "".into(), AGES);
    let losing = async {
        // The server gets the request, and does not answer.
        let request = requests.recv().await;
        drop(serving);
        request
    };
    let (answer, _request) = tokio::join!(asking, losing);
    assert!(
        matches!(answer, Err(LatticeError::Unreachable(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn requests_to_a_process_that_is_gone_are_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let (lattice, _serving) = served(&socket).await;
    let attached = Attached::connect(&socket).await.unwrap();
    let mut requests = attached.serve("s").await.unwrap();
    let asking = lattice.request("s", "".into(), 10 * AGES);
    let leaving = async {
        let request = requests.recv().await;
        drop(attached);
        request
    };
    let both = async { tokio::join!(asking, leaving) };
    let (answer, _request) = timeout(AGES, both).await.unwrap();
    assert!(
        matches!(answer, Err(LatticeError::Timeout(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn what_is_read_no_more_ends_on_the_other_side() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let (lattice, _serving) = served(&socket).await;
    let attached = Attached::connect(&socket).await.unwrap();
    let requests = attached.serve("s").await.unwrap();
    drop(requests);
    let limit = Duration::from_millis(100);
    let gone = async {
        while !matches!(
            lattice.request("s", "".into(), limit).await,
            Err(LatticeError::NobodyServes(_))
        ) {}
    };
    timeout(AGES, gone).await.unwrap();
}

/// A server of another version, which serves nothing but the protocol.
struct Another;

impl Serve for Another {
    fn link(&self, _: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        Err(CallError::TypeMismatch("another version".into()))
    }
}

/// The link that an attached process asks for: two functions of this version.
fn request(version: u64) -> LinkRequest {
    let function = |name: &str| LinkFunction {
        interface: "withe:lattice".into(),
        function: name.into(),
        digest: version,
    };
    LinkRequest {
        target: "lattice".into(),
        functions: vec![function("ask"), function("follow")],
        ..LinkRequest::default()
    }
}

async fn call(
    socket: &Path,
    version: u64,
    function: usize,
    bytes: &[u8],
) -> Result<Payload, CallError> {
    let client = Client::new(Arc::new(UnixConnector::new(socket)), Limits::default());
    let params = Payload {
        bytes: bytes.into(),
        ..Payload::default()
    };
    let context = CallContext {
        deadline: Instant::now() + AGES,
        trace: None,
    };
    let session = client.link(request(version)).session();
    session.call(function, params, context).await
}

#[tokio::test]
async fn a_peer_that_talks_nonsense_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let (_lattice, _serving) = served(&socket).await;
    let attached = Attached::connect(&socket).await.unwrap();
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[255; 64]] {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        stream.write_all(nonsense).await.unwrap();
        // The server hangs up.
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        _ = timeout(AGES, ended).await.expect("the connection ends");
    }
    for function in [0, 1] {
        for nonsense in [&b""[..], &[255; 64], &[3, 200], &[1, 7]] {
            let refused = call(&socket, 2, function, nonsense).await;
            assert!(
                matches!(refused, Err(CallError::TypeMismatch(_))),
                "{function} {nonsense:?}: {refused:?}"
            );
        }
    }
    put(&attached, "k", "v").await;
}

#[tokio::test]
async fn another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let (_lattice, serving) = served(&socket).await;
    let refused = call(&socket, 999, 0, &[]).await.unwrap_err();
    assert!(refused.to_string().contains("another version"), "{refused}");
    drop(serving);
    until(|| !socket.exists()).await;
    let listener = UnixListener::bind(&socket).await.unwrap();
    let serving = withe_rpc::serve(
        listener,
        Arc::new(Another),
        Limits::default(),
        std::future::pending(),
    );
    let serving = tokio::spawn(serving);
    let error = Attached::connect(&socket).await.err().unwrap();
    assert!(matches!(error, LatticeError::Refused(_)), "{error:?}");
    serving.abort();
}

#[tokio::test]
async fn another_lattice_is_not_taken_for_the_one_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let (lattice, serving) = served(&socket).await;
    let attached = Attached::connect(&socket).await.unwrap();
    drop((lattice, serving));
    until(|| !attached.is_connected()).await;
    until(|| !socket.exists()).await;
    let other = Embedded::in_memory("other").unwrap();
    let serving = serve(other, &socket).await.unwrap();
    let refused = attached.get("k").await;
    assert!(
        matches!(refused, Err(LatticeError::Unreachable(_))),
        "{refused:?}"
    );
    drop(serving);
    until(|| !socket.exists()).await;
    let (_lattice, _serving) = served(&socket).await;
    until(|| attached.is_connected()).await;
    assert_eq!(attached.get("k").await.unwrap(), None);
}
