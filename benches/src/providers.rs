//! Costs of the providers' operations, each beside the same done with the client that the provider uses, in one process.
//!
//! A provider is called as a host calls it, with encoded values. `calls` measures the part of a component's call before
//! that. Of the two sides that take turns, the median of a call is compared where one caller waits for each, and the
//! rate where many do.

mod handled;
mod rows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use redb::ReadableDatabase as _;
use tokio::task::{JoinSet, spawn_blocking};
use withe_provider::blobs::body_of;
use withe_provider::codec::{ByteList, Encode, Handle};
use withe_provider::object_store::{Buckets, Cloud, S3, Sender};
use withe_provider::{
    BlobError, Call, CallContext, ConfigMap, FunctionName, Link, LinkId, ObjectId, Payload, Peer,
    Provider,
};
use withe_provider_blobstore::Blobs;
use withe_provider_keyvalue::KeyValue;
use withe_provider_messaging::Messaging;
use withe_testing::nats::NatsServer;
use withe_testing::postgres::PostgresServer;
use withe_testing::redis::RedisServer;
use withe_testing::seaweedfs::{self, SeaweedServer};

use crate::median;

/// Callers at a time, where there are many, and something is done more often than that.
const CALLERS: usize = 64;
/// How long many callers call; fewer call once, for what is large fills the servers of tests.
const WHILE: Duration = Duration::from_millis(300);
const ROUNDS: usize = 5;
/// The longest that a call may take.
const LONG: Duration = Duration::from_secs(60);
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// Names the provider that is measured, in place of all.
const ONLY: &str = "WITHE_BENCH_PROVIDER";
/// A name that every store takes, also S3.
const CONTAINER: &str = "bench";
/// How many objects are written, in turns.
const OBJECTS: usize = 8;

/// One operation.
type Operation = Arc<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

pub(crate) fn run() -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(measure())
}

async fn measure() -> Result<()> {
    println!("Providers: medians of {ROUNDS}, beside the client that each uses");
    println!(
        "  {:<32} {:>10} {:>10} {:>7} {:>12} {:>12} {:>7}",
        "", "us", "native us", "", "1/s, many", "native 1/s", ""
    );
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let only = std::env::var(ONLY).ok();
    let wanted = |provider| only.as_deref().is_none_or(|only| only == provider);
    if wanted("keyvalue") {
        keys(folder, &RedisServer::start()?).await?;
    }
    if wanted("blobstore") {
        objects(folder, &SeaweedServer::start()?).await?;
    }
    if wanted("messaging") {
        let nats = NatsServer::start()?;
        messages(&nats).await?;
        handled::run(folder, &nats).await?;
    }
    if wanted("sql") {
        rows::run(folder, &PostgresServer::start()?).await?;
    }
    Ok(())
}

/// A provider with one link, and how its functions are called over that.
struct Linked<P>(Arc<P>);

impl<P: Provider> Linked<P> {
    async fn new(provider: P, config: &[(&str, &str)], functions: &[(&str, &str)]) -> Result<Self> {
        provider.start().await.map_err(|e| anyhow!(e.0))?;
        let functions = functions.iter().map(|(interface, function)| FunctionName {
            interface: (*interface).into(),
            function: (*function).into(),
        });
        let link = Link {
            id: LinkId(1),
            name: "default".into(),
            application: "bench".into(),
            component: "bench".into(),
            config: map(config),
            peer: Peer::Importer(functions.collect()),
        };
        provider.link_put(link).await.map_err(|e| anyhow!(e.0))?;
        Ok(Self(Arc::new(provider)))
    }

    async fn call(&self, function: usize, params: &impl Encode) -> Result<Payload> {
        let call = Call {
            link: LinkId(1),
            function,
            params: Payload::of(params),
            deadline: Instant::now() + LONG,
            caller: "bench",
            trace: None,
        };
        Ok(self.0.call(call).await?)
    }

    async fn ends(self) {
        self.0.shutdown(LONG).await;
    }
}

impl<P> Clone for Linked<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

fn map(pairs: &[(&str, &str)]) -> ConfigMap {
    let pairs = pairs.iter();
    pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

/// An operation of what `state` has.
fn operation<S, F>(state: S, run: impl Fn(S) -> F + Send + Sync + 'static) -> Operation
where
    S: Clone + Send + Sync + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    Arc::new(move || Box::pin(run(state.clone())))
}

/// Measures an operation of a provider beside its client's, each `count` times in a round, and then by many callers.
async fn row(name: &str, ours: Operation, native: Operation, count: usize) -> Result<()> {
    // An operation that is done only a few times is large: all callers at once would need the memory of each.
    let callers = CALLERS.min(count);
    let mut figures = [const { Vec::new() }; 4];
    for round in 0..=ROUNDS {
        let now = [
            each(&ours, count).await?,
            each(&native, count).await?,
            many(&ours, callers).await?,
            many(&native, callers).await?,
        ];
        // The first round warms up.
        if round > 0 {
            for (all, figure) in figures.iter_mut().zip(now) {
                all.push(figure);
            }
        }
    }
    let [us, native_us, rate, native_rate] = figures.map(median);
    println!(
        "  {name:<32} {us:>10.1} {native_us:>10.1} {:>6.2}x {rate:>12.0} {native_rate:>12.0} {:>6.2}x",
        us / native_us,
        rate / native_rate
    );
    Ok(())
}

/// The median of one call, in microseconds.
async fn each(operation: &Operation, count: usize) -> Result<f64> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        operation().await?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times))
}

/// Calls a second, where `number` callers make them for a while, each at least one.
async fn many(operation: &Operation, number: usize) -> Result<f64> {
    let time = if number < CALLERS {
        Duration::ZERO
    } else {
        WHILE
    };
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..number {
        let operation = operation.clone();
        callers.spawn(async move {
            let mut calls = 0;
            while calls == 0 || began.elapsed() < time {
                operation().await?;
                calls += 1;
            }
            anyhow::Ok(calls)
        });
    }
    let mut calls = 0_u32;
    while let Some(ended) = callers.join_next().await {
        calls += ended??;
    }
    Ok(f64::from(calls) / began.elapsed().as_secs_f64())
}

const STORE: &str = "wasi:keyvalue/store@0.2.0-draft";
const TABLE: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("entries");

/// Reading a value of 100 bytes.
async fn keys(folder: &Path, redis: &RedisServer) -> Result<()> {
    let value = vec![7_u8; 100];
    let ours = async |config: &[(&str, &str)]| -> Result<(Linked<KeyValue>, Operation)> {
        let functions = [
            (STORE, "open"),
            (STORE, "[method]bucket.set"),
            (STORE, "[method]bucket.get"),
        ];
        let linked = Linked::new(KeyValue::new(ConfigMap::new()), config, &functions).await?;
        let opened = linked.call(0, &("",)).await?;
        let (bucket,): (Result<Handle, String>,) = opened.read()?;
        let bucket = bucket.map_err(|e| anyhow!(e))?;
        linked
            .call(1, &(bucket, "k", ByteList(value.clone())))
            .await?;
        let get = operation(linked.clone(), move |linked| async move {
            let got = linked.call(2, &(bucket, "k")).await?;
            let (got,): (Result<Option<ByteList>, String>,) = got.read()?;
            got.map_err(|e| anyhow!(e))?.context("the value is there")?;
            Ok(())
        });
        Ok((linked, get))
    };

    let (linked, get) = ours(&[("backend", "memory")]).await?;
    let all = Arc::new(Mutex::new(BTreeMap::from([(
        "k".to_owned(),
        value.clone(),
    )])));
    let native = operation(all, |all| async move {
        let all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get("k").cloned().context("the value is there")?;
        Ok(())
    });
    row("key-value get, memory", get, native, 50_000).await?;
    linked.ends().await;

    let path = folder.join("ours.redb");
    let (linked, get) = ours(&[("path", &path.display().to_string())]).await?;
    let database = redb::Database::create(folder.join("native.redb"))?;
    let write = database.begin_write()?;
    write.open_table(TABLE)?.insert("k", value.as_slice())?;
    write.commit()?;
    let native = operation(Arc::new(database), |database| async move {
        let read = move || -> Result<()> {
            let table = database.begin_read()?.open_table(TABLE)?;
            let value = table.get("k")?.context("the value is there")?;
            std::hint::black_box(value.value().to_vec());
            Ok(())
        };
        // The work may wait for the disk, so nobody does it in an async task.
        spawn_blocking(read).await?
    });
    row("key-value get, redb", get, native, 5_000).await?;
    linked.ends().await;

    let (linked, get) = ours(&[("url", &redis.url())]).await?;
    let client = redis::Client::open(redis.url())?;
    let connection = redis::aio::ConnectionManager::new(client).await?;
    let native = operation(connection, |mut connection| async move {
        let mut get = redis::cmd("GET");
        let value: Option<Vec<u8>> = get.arg("k").query_async(&mut connection).await?;
        value.context("the value is there")?;
        Ok(())
    });
    row("key-value get, Redis", get, native, 3_000).await?;
    linked.ends().await;
    Ok(())
}

fn of_blobs(error: BlobError) -> anyhow::Error {
    anyhow!(error.message)
}

/// Writing and reading objects in a folder, and in S3.
async fn objects(folder: &Path, s3: &SeaweedServer) -> Result<()> {
    let root = folder.join("objects");
    std::fs::create_dir_all(&root)?;
    let beside = folder.join("native");
    std::fs::create_dir_all(&beside)?;
    let config = [("backend", "folder"), ("root", &root.display().to_string())];
    object_rows("folder", &config, &in_folder(beside)).await?;

    let config = [
        ("backend", "s3"),
        ("endpoint", &s3.endpoint()),
        ("region", "us-east-1"),
        ("access_key_id", seaweedfs::ACCESS_KEY),
        ("secret_access_key", seaweedfs::SECRET_KEY),
    ];
    object_rows("S3", &config, &in_s3(s3).await?).await
}

/// Objects without the provider: with what the provider itself uses.
struct NativeObjects {
    /// Writes an object of this number.
    put: Arc<dyn Fn(usize, Bytes) -> BoxFuture<'static, Result<()>> + Send + Sync>,
    /// Reads the object of this number to its end; how many bytes it has.
    get: Arc<dyn Fn(usize) -> BoxFuture<'static, Result<usize>> + Send + Sync>,
}

/// Files of a folder, each whole or not at all, and on the disk, as the provider has them.
fn in_folder(folder: PathBuf) -> NativeObjects {
    let path = |folder: &Path, n: usize| folder.join(format!("o{n}"));
    let reads = folder.clone();
    NativeObjects {
        put: Arc::new(move |n, bytes| {
            let folder = folder.clone();
            Box::pin(async move {
                spawn_blocking(move || -> Result<()> {
                    let new = tempfile::NamedTempFile::new_in(&folder)?;
                    std::io::Write::write_all(&mut new.as_file(), &bytes)?;
                    new.as_file().sync_all()?;
                    new.persist(path(&folder, n))?;
                    std::fs::File::open(&folder)?.sync_all()?;
                    Ok(())
                })
                .await?
            })
        }),
        get: Arc::new(move |n| {
            let path = path(&reads, n);
            Box::pin(async move { Ok(tokio::fs::read(path).await?.len()) })
        }),
    }
}

/// Objects of a bucket, with the same client of S3 and the same connections as the provider has.
async fn in_s3(server: &SeaweedServer) -> Result<NativeObjects> {
    let cloud = Cloud::S3(S3 {
        endpoint: Some(server.endpoint()),
        region: "us-east-1".into(),
        access_key_id: Some(seaweedfs::ACCESS_KEY.into()),
        secret_access_key: Some(seaweedfs::SECRET_KEY.into()),
        session_token: None,
    });
    let sender = spawn_blocking(|| Sender::new(None, LONG)).await??;
    let buckets = Buckets::new(cloud, sender, LONG, BTreeMap::new());
    buckets.make("native").await?;
    let store = buckets.store("native")?;
    let reads = store.clone();
    Ok(NativeObjects {
        put: Arc::new(move |n, bytes| {
            let store = store.clone();
            Box::pin(async move {
                let (path, options) = (format!("o{n}").into(), Default::default());
                store.put_opts(&path, bytes.into(), options).await?;
                Ok(())
            })
        }),
        get: Arc::new(move |n| {
            let store = reads.clone();
            Box::pin(async move {
                let (path, options) = (format!("o{n}").into(), Default::default());
                let found = store.get_opts(&path, options).await?;
                Ok(found.bytes().await?.len())
            })
        }),
    })
}

/// Writing and reading small objects and large ones, beside `native`.
async fn object_rows(name: &str, config: &[(&str, &str)], native: &NativeObjects) -> Result<()> {
    let linked = Linked::new(Blobs::new(ConfigMap::new()), config, &[]).await?;
    let store = linked.0.blob_store(LinkId(1)).context("a store")?;
    let context = || CallContext {
        deadline: Instant::now() + LONG,
        trace: None,
    };
    store
        .create_container(CONTAINER, context())
        .await
        .map_err(of_blobs)?;
    for (size, len, count) in [("1 KiB", KIB, 256), ("64 MiB", 64 * MIB, 2)] {
        let bytes = Bytes::from(vec![7_u8; len]);
        // Callers beside each other write objects of their own.
        let numbers = || {
            let number = Arc::new(AtomicUsize::new(0));
            move || number.fetch_add(1, Ordering::Relaxed) % OBJECTS
        };
        let put = operation(
            (store.clone(), bytes.clone(), numbers()),
            move |(store, bytes, next)| async move {
                let id = ObjectId {
                    container: CONTAINER.into(),
                    object: format!("o{}", next()),
                };
                let written = store.write(&id, body_of(bytes), context()).await;
                written.map_err(of_blobs)?.await.map_err(of_blobs)?;
                Ok(())
            },
        );
        let state = (native.put.clone(), bytes.clone(), numbers());
        let native_put = operation(state, |(put, bytes, next)| put(next(), bytes));
        // Each is there before it is read.
        for _ in 0..OBJECTS {
            put().await?;
            native_put().await?;
        }
        let title = format!("blob put, {size}, {name}");
        row(&title, put, native_put, count).await?;
        let get = operation(store.clone(), move |store| async move {
            let id = ObjectId {
                container: CONTAINER.into(),
                object: "o0".into(),
            };
            let read = store.read(&id, 0..u64::MAX, context()).await;
            let mut body = read.map_err(of_blobs)?.body;
            let mut found = 0;
            while let Some(frame) = body.frame().await {
                let data = frame.map_err(|e| anyhow!(e.to_string()))?.into_data();
                found += data.map_or(0, |data| data.len());
            }
            anyhow::ensure!(found == len, "{found} bytes were read");
            Ok(())
        });
        let native_get = operation(native.get.clone(), move |get| async move {
            let found = get(0).await?;
            anyhow::ensure!(found == len, "{found} bytes were read");
            Ok(())
        });
        let title = format!("blob get, {size}, {name}");
        row(&title, get, native_get, count).await?;
    }
    linked.ends().await;
    Ok(())
}

const CONSUMER: &str = "wasmcloud:messaging/consumer@0.2.0";

/// Publishing to NATS, and asking somebody there.
async fn messages(server: &NatsServer) -> Result<()> {
    let functions = [(CONSUMER, "publish"), (CONSUMER, "request")];
    let config = [("cluster_uris", server.url())];
    let config: Vec<_> = config.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let linked = Linked::new(Messaging::new(ConfigMap::new()), &config, &functions).await?;
    let client = async_nats::connect(server.url()).await?;
    let body = vec![7_u8; 100];
    let publish = operation(
        (linked.clone(), body.clone()),
        |(linked, body)| async move {
            let message = ("bench", ByteList(body), None::<String>);
            let (published,): (Result<(), String>,) = linked.call(0, &(message,)).await?.read()?;
            published.map_err(|e| anyhow!(e))
        },
    );
    let native = operation(
        (client.clone(), body.clone()),
        |(client, body)| async move { Ok(client.publish("bench", body.into()).await?) },
    );
    row("publish, NATS", publish, native, 20_000).await?;

    let answering = async_nats::connect(server.url()).await?;
    let mut asked = answering.subscribe("ask").await?;
    answering.flush().await?;
    let answers = tokio::spawn(async move {
        while let Some(message) = asked.next().await {
            if let Some(reply) = message.reply {
                // The caller may have gone.
                _ = answering.publish(reply, message.payload).await;
            }
        }
    });
    type Message = (String, ByteList, Option<String>);
    let request = operation(
        (linked.clone(), body.clone()),
        |(linked, body)| async move {
            let answer = linked.call(1, &("ask", ByteList(body), 10_000_u32)).await?;
            let (answer,): (Result<Message, String>,) = answer.read()?;
            answer.map(drop).map_err(|e| anyhow!(e))
        },
    );
    let native = operation((client, body), |(client, body)| async move {
        client.request("ask", body.into()).await?;
        Ok(())
    });
    row("request and answer, NATS", request, native, 3_000).await?;
    answers.abort();
    linked.ends().await;
    Ok(())
}
