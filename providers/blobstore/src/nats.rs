//! Objects in NATS: a container is a bucket of its object store, as wasmCloud v1 and NATS's own tools have it.
//!
//! A bucket is a stream. The bytes of an object are messages under a subject of its own, and what is known of it, with
//! that subject's name, is the last message under a subject made of its name. So an object is there when that message
//! is, and what was there before is removed afterwards. Whoever reads an object that is replaced or removed meanwhile
//! is told so: the server keeps nothing of it.
//!
//! The client's own functions were left for reading and writing: they wait for the server with every message they write, have
//! the server send ahead as much as it likes of what is read, and leave behind what was written of an upload that ends
//! in the middle.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::header::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use async_nats::jetstream::context::{GetStreamErrorKind, PublishAckFuture};
use async_nats::jetstream::object_store::{self, ObjectInfo as Meta, ObjectOptions};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, StorageType, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, datetime};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, FuturesOrdered, StreamExt as _};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use tokio::time::timeout;
use withe_provider::nats::{NatsAccess, NatsConnectError};
use withe_provider::{
    Blob, BlobError, BlobErrorKind, BlobStore, Body, CallContext, ContainerInfo, HttpError,
    ObjectId, ObjectInfo, ObjectNames, Written,
};

use crate::store::{Store, within};

/// Bytes of a message, as NATS's own tools have it.
const PIECE: usize = 128 << 10;
/// Messages that are on their way at a time, in either direction.
const AHEAD: usize = 8;
/// Names that are listed at a time.
const NAMES: usize = 256;
/// How long the server keeps what reads for somebody who does not read on.
const IDLE: Duration = Duration::from_secs(300);
/// The server's code for a stream that is not there.
const NO_STREAM: u64 = 10059;

/// Where NATS is, and how it keeps what is made there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NatsConfig {
    pub(crate) access: NatsAccess,
    pub(crate) js_domain: Option<String>,
    pub(crate) replicas: usize,
    pub(crate) in_memory: bool,
    pub(crate) compression: bool,
    pub(crate) max_age: Duration,
    /// Longest that an answer may take.
    pub(crate) timeout: Duration,
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            access: NatsAccess {
                urls: "nats://127.0.0.1:4222".into(),
                ..NatsAccess::default()
            },
            js_domain: None,
            replicas: 1,
            in_memory: false,
            compression: false,
            max_age: Duration::ZERO,
            timeout: Duration::from_secs(10),
        }
    }
}

/// The store. Cloned, it is the same one.
#[derive(Clone)]
pub(crate) struct NatsStore(Arc<Inner>);

struct Inner {
    context: Context,
    address: String,
    config: NatsConfig,
    /// The tasks that remove uploads that ended in the middle; each ends by itself in bounded time.
    cleaning: Mutex<JoinSet<()>>,
}

impl fmt::Debug for NatsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NATS at `{}`", self.0.address)
    }
}

impl NatsStore {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, in words that say where and why.
    pub(crate) async fn connect(config: &NatsConfig) -> Result<Self, NatsConnectError> {
        let options = ConnectOptions::new()
            .name("withe blobstore")
            .connection_timeout(config.timeout)
            .request_timeout(Some(config.timeout));
        let client = config.access.connect(options).await?;
        let address = config.access.address();
        let mut context = match &config.js_domain {
            Some(domain) => jetstream::with_domain(client, domain),
            None => jetstream::new(client),
        };
        context.set_timeout(config.timeout);
        Ok(Self(Arc::new(Inner {
            context,
            address,
            config: config.clone(),
            cleaning: Mutex::default(),
        })))
    }

    fn failed(&self, why: impl fmt::Display) -> BlobError {
        let text = format!("NATS at `{}`: {why}", self.0.address);
        // The server says it in words only.
        let kind = match text.contains("maximum bytes") || text.contains("insufficient") {
            true => BlobErrorKind::Exhausted,
            false => BlobErrorKind::Unavailable,
        };
        BlobError::new(kind, text)
    }

    /// Waits for the server, as long as is set.
    async fn within<T>(&self, answer: impl Future<Output = T>) -> Result<T, BlobError> {
        let limit = self.0.config.timeout;
        timeout(limit, answer).await.map_err(|_| {
            let text = format!(
                "NATS at `{}`: no answer in {} ms",
                self.0.address,
                limit.as_millis()
            );
            BlobError::new(BlobErrorKind::Deadline, text)
        })
    }

    /// The stream of a container, if it is there.
    async fn find(&self, container: &str) -> Result<Option<Stream>, BlobError> {
        check_container(container)?;
        let asked = self.0.context.get_stream(format!("OBJ_{container}"));
        match self.within(asked).await? {
            Ok(stream) => Ok(Some(stream)),
            Err(why) => match why.kind() {
                GetStreamErrorKind::JetStream(e) if e.error_code().0 == NO_STREAM => Ok(None),
                _ => Err(self.failed(why)),
            },
        }
    }

    async fn stream(&self, container: &str) -> Result<Stream, BlobError> {
        let found = self.find(container).await?;
        found.ok_or_else(|| BlobError::no_container(container))
    }

    /// The facts about an object, if it is there.
    async fn meta(&self, stream: &Stream, id: &ObjectId) -> Result<Option<Meta>, BlobError> {
        let subject = meta_subject(id);
        let asked = stream.get_last_raw_message_by_subject(&subject);
        let message = match self.within(asked).await? {
            Ok(message) => message,
            Err(why) if why.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(None),
            Err(why) => return Err(self.failed(why)),
        };
        let meta: Meta = serde_json::from_slice(&message.payload).map_err(|why| {
            self.failed(format_args!("what it has of {id} cannot be read: {why}"))
        })?;
        Ok((!meta.deleted).then_some(meta))
    }

    async fn found(&self, id: &ObjectId) -> Result<(Stream, Meta), BlobError> {
        let stream = self.stream(&id.container).await?;
        let meta = self.meta(&stream, id).await?;
        let meta = meta.ok_or_else(|| BlobError::no_object(id))?;
        Ok((stream, meta))
    }

    /// Says what is known of an object from now on.
    async fn put_meta(&self, id: &ObjectId, meta: &Meta) -> Result<(), BlobError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", "sub");
        let data = serde_json::to_vec(meta).map_err(|why| self.failed(why))?;
        let published =
            (self.0.context).publish_with_headers(meta_subject(id), headers, data.into());
        let ack = self
            .within(published)
            .await?
            .map_err(|why| self.failed(why))?;
        let acked = self.within(ack.into_future()).await?;
        acked.map(drop).map_err(|why| self.failed(why))
    }

    /// Removes the bytes of an object that is there no more. Bytes that cannot be removed only take room.
    async fn purge(&self, stream: &Stream, container: &str, nuid: &str) {
        let subject = chunk_subject(container, nuid);
        let purged = stream.purge().filter(&subject);
        if let Err(why) = self
            .within(purged.into_future())
            .await
            .map(|done| done.map(drop))
        {
            tracing::warn!("bytes of an object that was removed stay: {why}");
        }
    }

    async fn delete(&self, stream: &Stream, id: &ObjectId) -> Result<(), BlobError> {
        let Some(mut meta) = self.meta(stream, id).await? else {
            return Ok(());
        };
        let nuid = meta.nuid.clone();
        (meta.chunks, meta.size, meta.deleted) = (0, 0, true);
        self.put_meta(id, &meta).await?;
        self.purge(stream, &id.container, &nuid).await;
        Ok(())
    }

    /// How many pieces of an object the server has: fewer than were written if the container was cleared meanwhile, or
    /// if they went by their age.
    async fn pieces(
        &self,
        stream: &Stream,
        container: &str,
        nuid: &str,
    ) -> Result<usize, BlobError> {
        let asked = stream.info_with_subjects(chunk_subject(container, nuid));
        let mut found = self.within(asked).await?.map_err(|why| self.failed(why))?;
        // One subject, or none if nothing is there.
        match self.within(found.next()).await? {
            Some(Ok((_, pieces))) => Ok(pieces),
            Some(Err(why)) => Err(self.failed(why)),
            None => Ok(0),
        }
    }

    /// Whether the server still has all that was written of an object.
    async fn is_whole(&self, upload: &Upload, meta: &Meta) -> Result<bool, BlobError> {
        if meta.chunks == 0 {
            return Ok(true);
        }
        let there = self.pieces(&upload.stream, &upload.id.container, &meta.nuid);
        Ok(there.await? == meta.chunks)
    }

    /// Checks an object that was just put: a container that was cleared right before has lost its pieces.
    async fn check_kept(&self, upload: &Upload, meta: &Meta) -> Result<(), BlobError> {
        if self.is_whole(upload, meta).await? {
            return Ok(());
        }
        match self.meta(&upload.stream, &upload.id).await? {
            Some(now) if now.nuid == meta.nuid => {
                self.delete(&upload.stream, &upload.id).await?;
                Err(cleared(&upload.id))
            }
            // The object was kept, and then replaced or removed.
            Some(_) | None => Ok(()),
        }
    }

    /// Why not all pieces of an object are there.
    async fn damage(&self, stream: &Stream, id: &ObjectId, meta: &Meta, there: u64) -> BlobError {
        match self.meta(stream, id).await {
            Ok(Some(now)) if now.nuid == meta.nuid => {
                let text = format!(
                    "{id} is damaged: NATS has {there} of its {} pieces; write it again, or remove it",
                    meta.chunks
                );
                BlobError::new(BlobErrorKind::Internal, text)
            }
            Ok(_) => replaced(id),
            Err(why) => why,
        }
    }

    /// A consumer of the messages under a subject, in their order.
    async fn consumer(
        &self,
        stream: &Stream,
        subject: String,
    ) -> Result<Consumer<pull::Config>, BlobError> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::None,
            filter_subject: subject,
            memory_storage: true,
            inactive_threshold: IDLE,
            num_replicas: 1,
            ..Default::default()
        };
        let made = self.within(stream.create_consumer(config)).await?;
        made.map_err(|why| self.failed(why))
    }

    /// The next messages, up to so many; fewer only at the end.
    async fn next(
        &self,
        consumer: &Consumer<pull::Config>,
        most: usize,
    ) -> Result<Vec<jetstream::Message>, BlobError> {
        let fetch = consumer.fetch().max_messages(most).messages();
        let mut fetched = self.within(fetch).await?.map_err(|why| self.failed(why))?;
        let mut messages = Vec::new();
        while let Some(message) = self.within(fetched.next()).await? {
            messages.push(message.map_err(|why| self.failed(why))?);
        }
        Ok(messages)
    }

    /// Writes a body under a new subject.
    async fn upload(&self, upload: &Upload, mut body: Body) -> Result<Meta, BlobError> {
        let subject = chunk_subject(&upload.id.container, &upload.nuid);
        let (mut size, mut chunks, mut digest) = (0, 0, Sha256::new());
        let mut acks = FuturesOrdered::new();
        let mut piece = BytesMut::new();
        let mut is_over = false;
        while !is_over {
            match body.frame().await {
                Some(frame) => {
                    let frame = frame.map_err(|why| BlobError::broke_off(&why))?;
                    piece.extend_from_slice(&frame.into_data().unwrap_or_default());
                }
                None => is_over = true,
            }
            while piece.len() >= PIECE || (is_over && !piece.is_empty()) {
                let chunk = piece.split_to(piece.len().min(PIECE)).freeze();
                digest.update(&chunk);
                (size, chunks) = (size + chunk.len(), chunks + 1);
                let published = self.0.context.publish(subject.clone(), chunk);
                let ack = self.within(published).await?;
                let ack: PublishAckFuture = ack.map_err(|why| self.failed(why))?;
                acks.push_back(ack.into_future());
                if acks.len() >= AHEAD {
                    self.acked(&mut acks).await?;
                }
            }
        }
        while !acks.is_empty() {
            self.acked(&mut acks).await?;
        }
        Ok(Meta {
            name: upload.id.object.clone(),
            description: None,
            metadata: Default::default(),
            headers: None,
            options: Some(ObjectOptions {
                link: None,
                max_chunk_size: Some(PIECE),
            }),
            bucket: upload.id.container.clone(),
            nuid: upload.nuid.clone(),
            size,
            chunks,
            modified: Some(datetime::now()),
            digest: Some(format!("SHA-256={}", URL_SAFE.encode(digest.finalize()))),
            deleted: false,
        })
    }

    /// Waits until the server has the first of what is on its way.
    async fn acked<F, T, E>(&self, acks: &mut FuturesOrdered<F>) -> Result<(), BlobError>
    where
        F: Future<Output = Result<T, E>>,
        E: fmt::Display,
    {
        match self.within(acks.next()).await? {
            Some(Err(why)) => Err(self.failed(why)),
            Some(Ok(_)) | None => Ok(()),
        }
    }
}

fn cleared(id: &ObjectId) -> BlobError {
    let text = format!(
        "{id} is not written: the container was cleared meanwhile, or what was written went by its age"
    );
    BlobError::new(BlobErrorKind::Incomplete, text)
}

fn replaced(id: &ObjectId) -> BlobError {
    let text = format!("{id} was replaced or removed while it was read");
    BlobError::new(BlobErrorKind::NotFound, text)
}

/// Checks a container's name: NATS takes few.
fn check_container(name: &str) -> Result<(), BlobError> {
    let taken = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.bytes().all(taken) {
        return Ok(());
    }
    let text = format!(
        "`{name}` cannot be the name of a container: NATS takes letters, digits, `-` and `_` only"
    );
    Err(BlobError::new(BlobErrorKind::Invalid, text))
}

fn meta_subject(id: &ObjectId) -> String {
    format!("$O.{}.M.{}", id.container, URL_SAFE.encode(&id.object))
}

fn chunk_subject(container: &str, nuid: &str) -> String {
    format!("$O.{container}.C.{nuid}")
}

/// Seconds since 1970.
fn seconds(time: datetime::DateTime) -> u64 {
    u64::try_from(time.unix_timestamp()).unwrap_or(0)
}

/// Bytes that are being written. If they do not become an object, they are removed.
struct Upload {
    store: NatsStore,
    stream: Stream,
    id: ObjectId,
    nuid: String,
    is_kept: bool,
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (store, stream) = (self.store.clone(), self.stream.clone());
        let (container, nuid) = (self.id.container.clone(), self.nuid.clone());
        // Nothing panics while the lock is held.
        let cleaning = self.store.0.cleaning.lock();
        let mut cleaning = cleaning.unwrap_or_else(PoisonError::into_inner);
        while cleaning.try_join_next().is_some() {}
        cleaning.spawn_on(
            async move { store.purge(&stream, &container, &nuid).await },
            &runtime,
        );
    }
}

#[async_trait::async_trait]
impl Store for NatsStore {
    async fn check(&self) -> Result<(), BlobError> {
        let asked = self.0.context.query_account();
        let answer = self.within(asked).await?;
        answer.map(drop).map_err(|why| self.failed(why))
    }
}

#[async_trait::async_trait]
impl BlobStore for NatsStore {
    async fn create_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        if self.find(name).await?.is_some() {
            return Ok(());
        }
        let config = &self.0.config;
        let made = self.0.context.create_object_store(object_store::Config {
            bucket: name.to_owned(),
            max_age: config.max_age,
            storage: match config.in_memory {
                true => StorageType::Memory,
                false => StorageType::File,
            },
            num_replicas: config.replicas,
            compression: config.compression,
            ..Default::default()
        });
        let made = self.within(made).await?;
        made.map(drop).map_err(|why| self.failed(why))
    }

    async fn container_exists(&self, name: &str, _: CallContext) -> Result<bool, BlobError> {
        Ok(self.find(name).await?.is_some())
    }

    async fn delete_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        self.stream(name).await?;
        let deleted = self.0.context.delete_stream(format!("OBJ_{name}"));
        let deleted = self.within(deleted).await?;
        deleted.map(drop).map_err(|why| self.failed(why))
    }

    async fn clear_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        let stream = self.stream(name).await?;
        let purged = self.within(stream.purge().into_future()).await?;
        purged.map(drop).map_err(|why| self.failed(why))
    }

    async fn container_info(&self, name: &str, _: CallContext) -> Result<ContainerInfo, BlobError> {
        let stream = self.stream(name).await?;
        Ok(ContainerInfo {
            created_at: seconds(stream.cached_info().created),
        })
    }

    async fn list_objects(
        &self,
        container: &str,
        _: CallContext,
    ) -> Result<ObjectNames, BlobError> {
        let stream = self.stream(container).await?;
        let filter = format!("$O.{container}.M.>");
        let consumer = self.consumer(&stream, filter).await?;
        let start = Some((self.clone(), consumer));
        let names = stream::unfold(start, |state| async move {
            let (store, consumer) = state?;
            match store.next(&consumer, NAMES).await {
                Ok(messages) if messages.is_empty() => None,
                Ok(messages) => {
                    let metas = messages.iter().filter_map(|message| {
                        let meta = serde_json::from_slice::<Meta>(&message.payload);
                        meta.ok().filter(|meta| !meta.deleted)
                    });
                    let names = metas.map(|meta| meta.name).collect();
                    Some((Ok(names), Some((store, consumer))))
                }
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Box::pin(names))
    }

    async fn has_object(&self, id: &ObjectId, _: CallContext) -> Result<bool, BlobError> {
        match self.found(id).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == BlobErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn object_info(&self, id: &ObjectId, _: CallContext) -> Result<ObjectInfo, BlobError> {
        let (_, meta) = self.found(id).await?;
        Ok(ObjectInfo {
            created_at: meta.modified.map_or(0, seconds),
            size: meta.size as u64,
        })
    }

    async fn delete_objects(
        &self,
        container: &str,
        objects: Vec<String>,
        _: CallContext,
    ) -> Result<(), BlobError> {
        let stream = self.stream(container).await?;
        for object in objects {
            let id = ObjectId {
                container: container.to_owned(),
                object,
            };
            self.delete(&stream, &id).await?;
        }
        Ok(())
    }

    async fn copy_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        context: CallContext,
    ) -> Result<(), BlobError> {
        self.stream(&to.container).await?;
        let blob = self.read(from, 0..u64::MAX, context).await?;
        self.write(to, blob.body, context).await?.await
    }

    async fn move_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        context: CallContext,
    ) -> Result<(), BlobError> {
        let (stream, _) = self.found(from).await?;
        if from == to {
            return Ok(());
        }
        self.copy_object(from, to, context).await?;
        self.delete(&stream, from).await
    }

    async fn read(
        &self,
        id: &ObjectId,
        range: Range<u64>,
        _: CallContext,
    ) -> Result<Blob, BlobError> {
        let (stream, meta) = self.found(id).await?;
        let range = within(&range, meta.size as u64);
        let size = range.end - range.start;
        if size == 0 {
            let body = withe_provider::blobs::body_of(Bytes::new());
            return Ok(Blob { size, body });
        }
        let subject = chunk_subject(&id.container, &meta.nuid);
        let consumer = self.consumer(&stream, subject).await?;
        // A piece that is missing would have all behind it read at the wrong place.
        let there = consumer.cached_info().num_pending;
        if there != meta.chunks as u64 {
            return Err(self.damage(&stream, id, &meta, there).await);
        }
        let reading = Reading {
            consumer,
            store: self.clone(),
            id: id.clone(),
            ahead: Vec::new().into_iter(),
            range,
        };
        let frames = stream::unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(bytes)) => Some((Ok(Frame::data(bytes)), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(HttpError::from(error)), None)),
            }
        });
        let body = StreamBody::new(frames).boxed_unsync();
        Ok(Blob { size, body })
    }

    async fn write(&self, id: &ObjectId, body: Body, _: CallContext) -> Result<Written, BlobError> {
        let mut upload = Upload {
            stream: self.stream(&id.container).await?,
            store: self.clone(),
            id: id.clone(),
            nuid: format!("{:032x}", fastrand::u128(..)),
            is_kept: false,
        };
        Ok(Box::pin(async move {
            let store = upload.store.clone();
            let meta = store.upload(&upload, body).await?;
            let before = store.meta(&upload.stream, &upload.id).await?;
            if !store.is_whole(&upload, &meta).await? {
                return Err(cleared(&upload.id));
            }
            // From here on nobody knows whether it is kept until the server answers.
            upload.is_kept = true;
            store.put_meta(&upload.id, &meta).await?;
            if let Some(before) = before {
                let container = &upload.id.container;
                store.purge(&upload.stream, container, &before.nuid).await;
            }
            store.check_kept(&upload, &meta).await
        }))
    }
}

/// An object on its way here.
struct Reading {
    store: NatsStore,
    consumer: Consumer<pull::Config>,
    id: ObjectId,
    ahead: std::vec::IntoIter<jetstream::Message>,
    /// The bytes that are to come, counted from the next message.
    range: Range<u64>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        while !self.range.is_empty() {
            let Some(message) = self.ahead.next() else {
                let messages = self.store.next(&self.consumer, AHEAD).await?;
                if messages.is_empty() {
                    return Err(replaced(&self.id));
                }
                self.ahead = messages.into_iter();
                continue;
            };
            let mut bytes = message.message.payload;
            let length = bytes.len() as u64;
            let skip = self.range.start.min(length);
            let end = self.range.end.min(length);
            self.range = self.range.start - skip..self.range.end - end;
            // Both are within the message.
            bytes = bytes.slice(skip as usize..end as usize);
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}
