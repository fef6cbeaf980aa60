//! Requests to S3: which are sent, how often, and the errors where S3 does not do them.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::{StreamExt as _, TryStreamExt as _};
use support::{Component, link};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use withe_provider::object_store::{Buckets, Cloud, S3, Sender};
use withe_provider::{ConfigMap, Health, Provider as _};
use withe_provider_keyvalue::KeyValue;
use withe_testing::seaweedfs::{ACCESS_KEY, SECRET_KEY, SeaweedServer};

const ONE: &str = "0.2.0-draft";
const SLOW_DOWN: &str = "<Error><Code>SlowDown</Code><Message>later</Message></Error>";

/// A request to a [`Fake`].
struct Request {
    method: String,
    target: String,
    /// The headers, in small letters.
    head: String,
}

impl Request {
    fn is_of(&self, method: &str, part: &str) -> bool {
        self.method == method && self.target.contains(part)
    }
}

/// The answer of a [`Fake`]; `None` closes the connection.
type Answer = Option<Vec<u8>>;

fn answer(status: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\netag: \"e\"\r\ncontent-length: {length}\r\n\
         last-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n{headers}\r\n"
    );
    Some([head.as_bytes(), body.as_bytes()].concat())
}

/// Speaks as much S3 as a test needs.
struct Fake {
    endpoint: String,
    /// Methods and targets.
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Fake {
    /// One that keeps conditions, and answers all other requests by `other`.
    async fn start(other: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_bare(move |request| match request.head.contains("\nif-") {
            true => answer("412 Precondition Failed", "", ""),
            false => other(request),
        })
        .await
    }

    async fn start_bare(answers: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let mut serving = JoinSet::new();
        serving.spawn({
            let (asked, answers) = (asked.clone(), Arc::new(answers));
            async move {
                let mut connections = JoinSet::new();
                while let Ok((mut stream, _)) = listener.accept().await {
                    let (asked, answers) = (asked.clone(), answers.clone());
                    connections.spawn(async move {
                        let Some(request) = read(&mut stream).await else {
                            return;
                        };
                        let line = format!("{} {}", request.method, request.target);
                        asked.lock().unwrap().push(line);
                        if let Some(answer) = answers(&request) {
                            // Whoever asked may have gone away.
                            let _ = stream.write_all(&answer).await;
                        }
                    });
                }
            }
        });
        Self {
            endpoint,
            asked,
            _serving: serving,
        }
    }

    fn config(&self) -> [(&str, &str); 4] {
        config(&self.endpoint)
    }

    /// How many requests began so.
    fn count(&self, start: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|line| line.starts_with(start)).count()
    }
}

/// Reads a request, with its body.
async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut line = head.split(' ');
    let (method, target) = (line.next()?.to_owned(), line.next()?.to_owned());
    let head = head.to_ascii_lowercase();
    let length = head.split_once("content-length: ");
    let length = length.and_then(|(_, rest)| rest.split_once("\r\n"));
    let length = length.map_or(0, |(length, _)| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request {
        method,
        target,
        head,
    })
}

fn config(endpoint: &str) -> [(&str, &str); 4] {
    [
        ("s3_bucket", "keys"),
        ("endpoint", endpoint),
        ("access_key_id", ACCESS_KEY),
        ("secret_access_key", SECRET_KEY),
    ]
}

#[tokio::test]
async fn a_server_that_keeps_one_condition_of_two_is_refused() {
    let kept = |kept: &'static str| {
        Fake::start_bare(move |request| match request.head.contains(kept) {
            true => answer("412 Precondition Failed", "", ""),
            false => answer("200 OK", "", ""),
        })
    };
    for (keeps, says) in [
        ("\nif-match", "conditions (`If-None-Match`)"),
        ("\nif-none-match", "conditions (`If-Match`)"),
    ] {
        let fake = kept(keeps).await;
        let provider = KeyValue::new(ConfigMap::new());
        provider.start().await.unwrap();
        let refused = provider.link_put(link(1, ONE, &fake.config())).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
}

#[tokio::test]
async fn what_changes_something_is_not_sent_again_if_nobody_knows() {
    let fake = Fake::start(|_| None).await;
    let c = Component::linked(link(1, ONE, &fake.config())).await;
    let b = c.open("").await;
    let many: Vec<String> = (0..30).map(|n| format!("k{n}")).collect();
    for failed in [
        c.set(b, "key", "value").await,
        c.delete(b, "key").await,
        c.delete_many(b, &many).await,
    ] {
        let why = failed.unwrap_err().0;
        assert!(why.ends_with("may or may not be"), "{why}");
    }
    assert_eq!(fake.count("PUT /keys/kdefault/kkey"), 1);
    // One for each call.
    assert_eq!(fake.count("POST /keys?delete"), 2);
}

#[tokio::test]
async fn what_was_not_carried_out_is_sent_again() {
    let is_busy = AtomicBool::new(true);
    let fake = Fake::start(move |_| match is_busy.swap(false, Ordering::Relaxed) {
        true => answer("503 Slow Down", "", SLOW_DOWN),
        false => answer("200 OK", "", ""),
    })
    .await;
    let c = Component::linked(link(1, ONE, &fake.config())).await;
    let b = c.open("").await;
    c.set(b, "key", "value").await.unwrap();
    assert_eq!(fake.count("PUT /keys/kdefault/kkey"), 2);
}

#[tokio::test]
async fn a_long_key_is_listed_without_its_value() {
    /// The most that may be in front of a value.
    const HEAD: usize = 4 + (64 << 10);
    let name = format!("kdefault/h{}", "0".repeat(64));
    let fake = Fake::start(move |request| {
        if request.target.contains("list-type=2") {
            let listed = format!(
                "<ListBucketResult><Contents><Key>{name}</Key><Size>5000000</Size><ETag>\"e\"</ETag>\
                 <LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>"
            );
            return answer("200 OK", "", &listed);
        }
        let range = format!("range: bytes=0-{}\r\n", HEAD - 1);
        assert!(request.is_of("GET", &name), "{}", request.target);
        assert!(request.head.contains(&range), "{}", request.head);
        let content = format!("\0\0\0\x03key{:1$}", "", HEAD - 7);
        let range = format!("content-range: bytes 0-{}/5000000\r\n", HEAD - 1);
        answer("206 Partial Content", &range, &content)
    })
    .await;
    let c = Component::linked(link(1, ONE, &fake.config())).await;
    assert_eq!(c.keys(c.open("").await).await, ["key"]);
}

#[tokio::test]
async fn a_bucket_that_was_removed_is_no_empty_one() {
    let server = SeaweedServer::start().unwrap();
    let endpoint = server.endpoint();
    let c = Component::linked(link(1, ONE, &config(&endpoint))).await;
    let b = c.open("").await;
    c.set(b, "key", "value").await.unwrap();
    let s3 = S3 {
        endpoint: Some(endpoint.clone()),
        region: "us-east-1".into(),
        access_key_id: Some(ACCESS_KEY.into()),
        secret_access_key: Some(SECRET_KEY.into()),
        session_token: None,
    };
    let sender = Sender::new(None, support::PATIENCE).unwrap();
    let buckets = Buckets::new(Cloud::S3(s3), sender, support::PATIENCE, Default::default());
    let empty = async || {
        let store = buckets.store("keys").unwrap();
        let paths = store.list(None).map_ok(|object| object.location).boxed();
        let gone: Result<Vec<_>, _> = store.delete_stream(paths).try_collect().await;
        gone.unwrap();
    };
    // Whoever removes all keys has not broken anything.
    empty().await;
    assert_eq!(c.provider.health().await, Health::Healthy);
    assert_eq!(c.get(b, "key").await, Ok(None));
    empty().await;
    buckets.remove("keys").await.unwrap();
    let Health::Unhealthy(why) = c.provider.health().await else {
        panic!("healthy");
    };
    assert!(why.contains("the bucket `keys` of S3"), "{why}");
    c.get(b, "key").await.unwrap_err();
}
