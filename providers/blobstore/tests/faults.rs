//! Errors when a backend is not there, does not answer or does not let in, and what is asked of clouds that no test
//! can reach.

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use withe_provider::{BlobError, BlobErrorKind, BlobStore};
use withe_testing::nats::NatsServer;
use withe_testing::port::ReservedPort;
use withe_testing::seaweedfs::{ACCESS_KEY, SECRET_KEY, SeaweedServer};

use support::{AGES, context, id, linked, map, names, read, write};

/// How a server with this endpoint is asked, which has `timeout` milliseconds to answer.
fn s3<'a>(endpoint: &'a str, secret: &'a str, timeout: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("backend", "s3"),
        ("endpoint", endpoint),
        ("access_key_id", ACCESS_KEY),
        ("secret_access_key", secret),
        ("timeout_ms", timeout),
    ]
}

/// Tries until it works, as long as it may take.
async fn works_again(store: &dyn BlobStore) {
    let give_up = Instant::now() + AGES;
    loop {
        match write(store, &id("pets", "after"), b"purr").await {
            Ok(()) => return,
            Err(why) if Instant::now() > give_up => panic!("not in time: {why}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Everything fails, and says so before whoever asks gives up.
async fn fails(store: &dyn BlobStore, says: &str) {
    let failures: [Result<(), BlobError>; 4] = [
        store.container_exists("pets", context()).await.map(drop),
        read(store, &id("pets", "cat"), 0..9).await.map(drop),
        write(store, &id("pets", "cat"), b"x").await,
        names(store, "pets").await.map(drop),
    ];
    for failed in failures {
        let why = failed.unwrap_err();
        let kinds = [BlobErrorKind::Unavailable, BlobErrorKind::Deadline];
        assert!(kinds.contains(&why.kind), "{why:?}");
        assert!(why.message.contains(says), "{why}");
    }
}

#[tokio::test]
async fn s3_that_is_killed_fails_clearly_and_has_what_it_acknowledged_when_it_is_back() {
    let mut server = SeaweedServer::start().unwrap();
    let endpoint = server.endpoint();
    let (_provider, store) = linked(map(&s3(&endpoint, SECRET_KEY, "1500")))
        .await
        .unwrap();
    let store = &*store;
    store.create_container("pets", context()).await.unwrap();
    // The server makes room for a bucket's first object, which may take longer than it has here.
    works_again(store).await;
    write(store, &id("pets", "cat"), b"meow").await.unwrap();
    server.stop();
    fails(store, &endpoint).await;
    server.restart().unwrap();
    works_again(store).await;
    assert_eq!(
        read(store, &id("pets", "cat"), 0..9).await.unwrap(),
        b"meow"
    );
}

#[tokio::test]
async fn nats_that_is_killed_fails_clearly_and_has_what_it_acknowledged_when_it_is_back() {
    let mut server = NatsServer::start().unwrap();
    let url = server.url();
    let config = map(&[("url", &url), ("timeout_ms", "1000")]);
    let (_provider, store) = linked(config).await.unwrap();
    let store = &*store;
    store.create_container("pets", context()).await.unwrap();
    write(store, &id("pets", "cat"), b"meow").await.unwrap();
    server.stop();
    fails(store, &server.port().to_string()).await;
    server.restart().unwrap();
    works_again(store).await;
    assert_eq!(
        read(store, &id("pets", "cat"), 0..9).await.unwrap(),
        b"meow"
    );
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so_and_no_secret_is_shown() {
    let server = SeaweedServer::start().unwrap();
    let endpoint = server.endpoint();
    let config = map(&s3(&endpoint, "wr0ngs3cret", "5000"));
    let (_provider, store) = linked(config).await.unwrap();
    for why in [
        store.create_container("pets", context()).await.unwrap_err(),
        write(&*store, &id("pets", "cat"), b"x").await.unwrap_err(),
        read(&*store, &id("pets", "cat"), 0..u64::MAX)
            .await
            .unwrap_err(),
    ] {
        assert_eq!(why.kind, BlobErrorKind::Denied, "{why}");
        assert!(!why.message.contains("wr0ngs3cret"), "{why}");
    }
    let server = NatsServer::start_with("authorization { user: u, password: p }\n").unwrap();
    let url = format!("nats://u:wr0ngs3cret@127.0.0.1:{}", server.port());
    let refused = linked(map(&[("url", &url)])).await.err().unwrap();
    assert!(
        refused.contains("NATS at `127.0.0.1") && refused.contains("refuses the user"),
        "{refused}"
    );
    assert!(!refused.contains("wr0ngs3cret"), "{refused}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_waited_for_no_longer_than_is_set() {
    // The server takes connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut silent = JoinSet::new();
    silent.spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let (_provider, store) = linked(map(&s3(&endpoint, "x", "200"))).await.unwrap();
    fails(&*store, "no response within 200 ms").await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let port = ReservedPort::new().unwrap();
    let url = format!("nats://127.0.0.1:{}", port.port());
    let refused = linked(map(&[("url", &url)])).await.err().unwrap();
    assert!(refused.contains("`nats-server -js`"), "{refused}");
    let refused = linked(map(&[("root", "/proc/nowhere")]))
        .await
        .err()
        .unwrap();
    assert!(refused.contains("(`root`) cannot be used"), "{refused}");
}

/// A server that answers everything with `status` and nothing else, and notes what it was asked.
async fn noting(status: &'static str) -> (String, Arc<Mutex<Vec<String>>>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (asked, mut server) = (Arc::new(Mutex::new(Vec::new())), JoinSet::new());
    let noted = asked.clone();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let noted = noted.clone();
            connections.spawn(async move {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while let Ok(1) = stream.read(&mut byte).await {
                    head.push(byte[0]);
                    if head.ends_with(b"\r\n\r\n") {
                        break;
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                noted.lock().unwrap().push(head);
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (endpoint, asked, server)
}

#[tokio::test]
async fn azure_is_asked_with_the_accounts_key() {
    let (endpoint, asked, _server) = noting("404 Not Found").await;
    let key = "c2VjcmV0";
    let config = [
        ("storage_account", "acme"),
        ("storage_access_key", key),
        ("endpoint", &*endpoint),
    ];
    let (_provider, store) = linked(map(&config)).await.unwrap();
    // The container is not there, and cannot be made by whoever answers everything with 404.
    let why = store.create_container("pets", context()).await.unwrap_err();
    assert!(why.message.contains("Azure's account `acme`"), "{why}");
    let has = store
        .has_object(&id("pets", "a/cat"), context())
        .await
        .unwrap();
    assert!(!has);
    let asked = asked.lock().unwrap();
    let lines: Vec<_> = asked
        .iter()
        .filter_map(|head| head.lines().next())
        .collect();
    assert!(
        lines[0].starts_with("GET /pets?") && lines[0].contains("comp=list"),
        "{lines:?}"
    );
    assert_eq!(lines[1], "PUT /pets?restype=container HTTP/1.1");
    assert_eq!(lines[2], "HEAD /pets/a/cat HTTP/1.1");
    for head in &*asked {
        assert!(head.contains("authorization: SharedKey acme:"), "{head}");
        assert!(!head.contains(key), "{head}");
    }
}

#[tokio::test]
async fn google_is_asked_for_folders_of_one_bucket() {
    let (endpoint, asked, _server) = noting("404 Not Found").await;
    let folder = tempfile::tempdir().unwrap();
    let account = folder.path().join("account.json");
    let text = format!(
        "{{\"gcs_base_url\": \"{endpoint}\", \"disable_oauth\": true, \"client_email\": \"\", \"private_key\": \"\", \
         \"private_key_id\": \"\"}}"
    );
    std::fs::write(&account, text).unwrap();
    let account = account.to_str().unwrap();
    let config = [
        ("backend", "gcs"),
        ("bucket", "acme"),
        ("service_account_file", account),
    ];
    let (_provider, store) = linked(map(&config)).await.unwrap();
    let has = store
        .has_object(&id("pets", "cat"), context())
        .await
        .unwrap();
    assert!(!has);
    let asked = asked.lock().unwrap().clone();
    assert!(
        asked[0].starts_with("HEAD /acme/pets%2Fcat ")
            || asked[0].starts_with("HEAD /acme/pets/cat "),
        "{}",
        asked[0]
    );
    // Buckets are not made there.
    let config = [("backend", "gcs"), ("service_account_file", account)];
    let (_provider, store) = linked(map(&config)).await.unwrap();
    let why = store.create_container("pets", context()).await.unwrap_err();
    assert!(why.message.contains("name it in `bucket`"), "{why}");
}
