//! Blobs that somebody else overwrote, or lied about.

use async_nats::jetstream;
use async_nats::jetstream::object_store::ObjectStore;
use async_nats::jetstream::stream::Stream;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};
use withe_lattice::{BlobError, Lattice, LatticeError, Nats, names};
use withe_testing::nats::NatsServer;

use crate::options;

/// The digest of `hello`.
const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// The most bytes of a blob here.
const MOST: usize = 300_000;

/// The lattice's object store, as one has it who may write the bucket.
struct Intruder {
    client: async_nats::Client,
    store: ObjectStore,
    stream: Stream,
    bucket: String,
}

impl Intruder {
    async fn new(server: &NatsServer) -> Self {
        let client = async_nats::connect(server.url()).await.unwrap();
        let jetstream = jetstream::new(client.clone());
        let bucket = names::blobs_bucket("test");
        let stream = jetstream.get_stream(format!("OBJ_{bucket}")).await;
        Self {
            store: jetstream.get_object_store(&bucket).await.unwrap(),
            stream: stream.unwrap(),
            client,
            bucket,
        }
    }

    /// Puts another object in the place of one.
    async fn overwrite(&self, name: &str, bytes: &[u8]) {
        let mut bytes = bytes;
        self.store.put(name, &mut bytes).await.unwrap();
    }

    async fn record(&self, name: &str) -> Value {
        let subject = self.at(name);
        let found = self.stream.get_last_raw_message_by_subject(&subject);
        serde_json::from_slice(&found.await.unwrap().payload).unwrap()
    }

    /// Puts another record in the place of one, which stays in what it does not say.
    async fn claim(&self, name: &str, changes: Value) {
        let mut record = self.record(name).await;
        for (field, value) in changes.as_object().unwrap() {
            record[field] = value.clone();
        }
        self.publish(&self.at(name), record.to_string().into())
            .await;
    }

    /// Puts other chunks in the place of those of an object.
    async fn rechunk(&self, name: &str, chunks: &[&'static str]) {
        let record = self.record(name).await;
        let nuid = record["nuid"].as_str().unwrap();
        let subject = format!("$O.{}.C.{nuid}", self.bucket);
        self.stream.purge().filter(&subject).await.unwrap();
        for chunk in chunks {
            self.publish(&subject, (*chunk).into()).await;
        }
    }

    async fn publish(&self, subject: &str, bytes: bytes::Bytes) {
        let jetstream = jetstream::new(self.client.clone());
        let sent = jetstream.publish(subject.to_owned(), bytes).await.unwrap();
        sent.await.unwrap();
    }

    fn at(&self, name: &str) -> String {
        format!("$O.{}.M.{}", self.bucket, URL_SAFE.encode(name))
    }

    async fn damage(&self, how: &str) {
        match how {
            "garbage" => self.overwrite(HELLO, b"hullo").await,
            "longer garbage" => self.overwrite(HELLO, &[7; 200_000]).await,
            "beyond the limit" => self.overwrite(HELLO, &[7; MOST + 1]).await,
            "nothing" => self.overwrite(HELLO, b"").await,
            "says more" => self.claim(HELLO, json!({ "size": 6 })).await,
            "says less" => self.claim(HELLO, json!({ "size": 4 })).await,
            "says too much" => self.claim(HELLO, json!({ "size": MOST + 1 })).await,
            "says far too much" => self.claim(HELLO, json!({ "size": u64::MAX })).await,
            "says a negative size" => self.claim(HELLO, json!({ "size": -1 })).await,
            "says many chunks" => self.claim(HELLO, json!({ "chunks": 1_000_000 })).await,
            "says no chunks" => self.claim(HELLO, json!({ "chunks": 0 })).await,
            "says another digest" => {
                let digest = format!("SHA-256={}", URL_SAFE.encode([0; 32]));
                self.claim(HELLO, json!({ "digest": digest })).await;
            }
            "chunks gone" => self.rechunk(HELLO, &[]).await,
            "chunks more" => self.rechunk(HELLO, &["hel", "lo"]).await,
            "chunks other" => self.rechunk(HELLO, &["hullo"]).await,
            "chunk larger" => self.rechunk(HELLO, &["hello, and more"]).await,
            "chunk smaller" => self.rechunk(HELLO, &["hell"]).await,
            "no record" => self.publish(&self.at(HELLO), "{]".into()).await,
            "link" => {
                let link = json!({ "link": { "bucket": self.bucket, "name": "other" } });
                self.claim(HELLO, json!({ "options": link })).await;
            }
            "another bucket" => self.claim(HELLO, json!({ "bucket": "else" })).await,
            "everybody's chunks" => self.claim(HELLO, json!({ "nuid": ">" })).await,
            _ => unreachable!("{how}"),
        }
    }
}

#[tokio::test]
async fn a_damaged_blob_is_told_replaced_and_removed() {
    let server = NatsServer::start().unwrap();
    let mut options = options(&server);
    options.max_blob = MOST;
    let lattice = Nats::connect(options).await.unwrap();
    let intruder = Intruder::new(&server).await;
    lattice.put_blob("other", "whole".into()).await.unwrap();
    for (how, expected) in [
        ("garbage", "its digest is `sha256:"),
        ("longer garbage", "its digest is `sha256:"),
        ("beyond the limit", "300001 bytes, and 300000 are the most"),
        ("nothing", "its digest is `sha256:"),
        ("says more", "6 bytes, and has 5"),
        ("says less", "goes on after the 4 bytes"),
        ("says too much", "300001 bytes, and 300000 are the most"),
        ("says far too much", "18446744073709551615 bytes, and"),
        ("says a negative size", "its record cannot be read"),
        ("says many chunks", "1000000 chunks, and 1 are there"),
        ("says no chunks", "0 chunks, and 1 are there"),
        ("says another digest", "its digest is `sha256:2cf24d"),
        ("chunks gone", "1 chunks, and 0 are there"),
        ("chunks more", "1 chunks, and 2 are there"),
        ("chunks other", "its digest is `sha256:"),
        ("chunk larger", "goes on after the 5 bytes"),
        ("chunk smaller", "5 bytes, and has 4"),
        ("no record", "its record cannot be read"),
        ("link", "not its own"),
        ("another bucket", "not its own"),
        ("everybody's chunks", "not its own"),
    ] {
        let put = async || lattice.put_blob(HELLO, "hello".into()).await.unwrap();
        put().await;
        intruder.damage(how).await;
        let error = lattice.blob(HELLO).await.unwrap_err();
        assert!(matches!(error, LatticeError::Blob { .. }), "{how}: {error}");
        let text = error.to_string();
        assert!(
            text.contains(expected) && text.contains(HELLO),
            "{how}: {text}"
        );

        put().await;
        let found = lattice.blob(HELLO).await.unwrap();
        assert_eq!(found.unwrap(), "hello", "{how}");

        intruder.damage(how).await;
        lattice.delete_blob(HELLO).await.unwrap();
        assert_eq!(lattice.blob(HELLO).await.unwrap(), None, "{how}");
        let other = lattice.blob("other").await.unwrap();
        assert_eq!(other.unwrap(), "whole", "{how}");
    }
}

#[tokio::test]
async fn a_whole_blob_is_not_sent_again() {
    let server = NatsServer::start().unwrap();
    let lattice = Nats::connect(options(&server)).await.unwrap();
    let intruder = Intruder::new(&server).await;
    lattice.put_blob(HELLO, "hello".into()).await.unwrap();
    let first = intruder.record(HELLO).await;
    lattice.put_blob(HELLO, "hello".into()).await.unwrap();
    assert_eq!(intruder.record(HELLO).await, first);
}

#[tokio::test]
async fn a_blob_beyond_the_limit_is_not_put() {
    let server = NatsServer::start().unwrap();
    let mut options = options(&server);
    options.max_blob = 4;
    let lattice = Nats::connect(options).await.unwrap();
    let error = lattice.put_blob(HELLO, "hello".into()).await.unwrap_err();
    let LatticeError::Blob { why, .. } = error else {
        panic!("{error}");
    };
    assert!(
        matches!(why, BlobError::Large { size: 5, most: 4 }),
        "{why}"
    );
    assert_eq!(lattice.blob(HELLO).await.unwrap(), None);
}
