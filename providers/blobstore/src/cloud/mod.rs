//! Objects in S3 and what speaks it, in Azure, and in Google Cloud Storage.
//!
//! A container is a bucket of the cloud, as in wasmCloud v1; or, where the configuration names one bucket, a folder in
//! that, which is there because of an object of its own in it ([`MARK`]). Large objects are written in parts, of which
//! few are in memory at a time, and that are given up if the object is not finished.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{self, BoxStream, FuturesUnordered, StreamExt as _, TryStreamExt as _};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    PutPayload, PutPayloadMut,
};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use withe_provider::blobs::body_of;
pub(crate) use withe_provider::object_store::{Azure, Cloud, Gcs, S3, TlsError};
use withe_provider::object_store::{BucketError, Buckets, Sender, status};
use withe_provider::{
    Blob, BlobError, BlobErrorKind, BlobStore, Body, CallContext, ContainerInfo, HttpError,
    ObjectId, ObjectInfo, ObjectNames, Written,
};

use crate::names::OWN;
use crate::store::{Store, within};

/// The mark that a container is there, where it is a folder of a bucket.
const MARK: &str = ".withe-container";
/// Bytes of a part of an object that is written in parts. S3 takes 10,000 parts.
const PART: usize = 8 << 20;
/// Parts that are on their way at a time.
const AHEAD: usize = 2;
/// Names that are listed at a time.
const NAMES: usize = 256;
/// How long a container that was found is taken to be there by who writes to it.
const LATELY: Duration = Duration::from_secs(1);

/// Where the objects are.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CloudConfig {
    pub(crate) cloud: Cloud,
    /// The bucket that has all containers; without one each container is a bucket.
    pub(crate) bucket: Option<String>,
    /// Other names of buckets.
    pub(crate) aliases: BTreeMap<String, String>,
    pub(crate) tls_ca_file: Option<String>,
    /// Longest until a response begins.
    pub(crate) timeout: Duration,
}

impl fmt::Debug for CloudConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cloud.fmt(f)
    }
}

/// The store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the configuration of the object store cannot be used: {0}")]
    Store(#[from] object_store::Error),
    /// Reading certificates panicked.
    #[error("the object store cannot be opened: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

/// The store. Cloned, it is the same one.
#[derive(Clone)]
pub(crate) struct CloudStore(Arc<Inner>);

struct Inner {
    buckets: Buckets,
    bucket: Option<String>,
    limit: Duration,
    known: Mutex<Known>,
    /// The tasks that give up uploads that ended in the middle; each ends by itself in bounded time.
    cleaning: Mutex<JoinSet<()>>,
}

impl fmt::Debug for CloudStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.buckets.cloud().fmt(f)
    }
}

/// A container: the store that has it, and the folder that it is there.
struct Place {
    store: Arc<dyn ObjectStore>,
    /// The bucket's own name, which may have others.
    bucket: String,
    folder: Option<String>,
}

/// The containers that were found to be there.
#[derive(Default)]
struct Known {
    /// With when that was asked, by bucket and folder.
    seen: HashMap<(String, Option<String>), Instant>,
    /// How often one was found to be gone, or was removed.
    removals: u64,
}

/// A path as it is written: `Path::from` would give some names another spelling, and so another place.
fn path(name: &str) -> Result<Path, BlobError> {
    let path = Path::parse(name);
    path.map_err(|why| BlobError::new(BlobErrorKind::Invalid, why.to_string()))
}

impl Place {
    /// The same for all names of a container.
    fn id(&self) -> (String, Option<String>) {
        (self.bucket.clone(), self.folder.clone())
    }

    /// The prefix of the names of its objects.
    fn prefix(&self) -> Result<Option<Path>, BlobError> {
        self.folder.as_deref().map(path).transpose()
    }

    fn object(&self, name: &str) -> Result<Path, BlobError> {
        match &self.folder {
            Some(folder) => path(&format!("{folder}/{name}")),
            None => path(name),
        }
    }

    /// The object's name in the container.
    fn name(&self, path: &Path) -> Option<String> {
        let path: &str = path.as_ref();
        let name = match &self.folder {
            Some(folder) => path.strip_prefix(folder.as_str())?.strip_prefix('/')?,
            None => path,
        };
        (!name.starts_with(OWN)).then(|| name.to_owned())
    }

    /// All of it, with what is the store's own.
    fn listed(&self) -> Result<BoxStream<'static, object_store::Result<ObjectMeta>>, BlobError> {
        Ok(self.store.list(self.prefix()?.as_ref()))
    }
}

impl CloudStore {
    /// Opens a store. Nothing is asked yet, for who asks may not be allowed to ask for more than objects.
    ///
    /// # Errors
    ///
    /// If the configuration cannot be used.
    pub(crate) async fn open(config: &CloudConfig) -> Result<Self, OpenError> {
        let (ca_file, limit) = (config.tls_ca_file.clone(), config.timeout);
        let sender = spawn_blocking(move || Sender::new(ca_file.as_deref(), limit)).await??;
        let (cloud, aliases) = (config.cloud.clone(), config.aliases.clone());
        let buckets = Buckets::new(cloud, sender, limit, aliases);
        // A fault of the configuration is one for any bucket.
        buckets.store(config.bucket.as_deref().unwrap_or("any"))?;
        Ok(Self(Arc::new(Inner {
            buckets,
            bucket: config.bucket.clone(),
            limit,
            known: Mutex::default(),
            cleaning: Mutex::default(),
        })))
    }

    fn failed(&self, why: object_store::Error) -> BlobError {
        use object_store::Error;
        let kind = match &why {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => BlobErrorKind::Denied,
            Error::InvalidPath { .. } => BlobErrorKind::Invalid,
            _ => match status(&why) {
                Some(404) => BlobErrorKind::NotFound,
                Some(401 | 403) => BlobErrorKind::Denied,
                Some(507) => BlobErrorKind::Exhausted,
                _ => BlobErrorKind::Unavailable,
            },
        };
        BlobError::new(kind, format!("{self:?}: {why}"))
    }

    fn refused(&self, why: &BucketError) -> BlobError {
        let kind = match why.is_denied() {
            true => BlobErrorKind::Denied,
            false => BlobErrorKind::Unavailable,
        };
        BlobError::new(kind, format!("{self:?}: {why}"))
    }

    /// A container, whether or not it is there.
    fn place(&self, container: &str) -> Result<Place, BlobError> {
        let (bucket, folder) = match &self.0.bucket {
            Some(bucket) => (bucket.as_str(), Some(container.to_owned())),
            None => (container, None),
        };
        let store = self.0.buckets.store(bucket);
        Ok(Place {
            store: store.map_err(|why| self.failed(why))?,
            bucket: self.0.buckets.name(bucket).to_owned(),
            folder,
        })
    }

    /// A container that is there, if it is.
    async fn find(&self, container: &str) -> Result<Option<Place>, BlobError> {
        let place = self.place(container)?;
        if place.folder.is_some() {
            match place.store.head(&place.object(MARK)?).await {
                Ok(_) => return Ok(Some(place)),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(why) => return Err(self.failed(why)),
            }
        }
        // Objects that others put there make a container, too.
        let first = place.listed()?.next().await;
        let is_there = match first {
            Some(Ok(_)) => true,
            None => place.folder.is_none(),
            Some(Err(why)) if status(&why) == Some(404) => false,
            Some(Err(why)) => return Err(self.failed(why)),
        };
        if !is_there {
            self.forget(&place);
        }
        Ok(is_there.then_some(place))
    }

    async fn found(&self, container: &str) -> Result<Place, BlobError> {
        let place = self.find(container).await?;
        place.ok_or_else(|| BlobError::no_container(container))
    }

    /// The same, for who writes: a container that was there a moment ago is taken to be there still. Asking before each
    /// object would double the time that a small one takes.
    async fn found_lately(&self, container: &str) -> Result<Place, BlobError> {
        let place = self.place(container)?;
        let asked = Instant::now();
        let removals = {
            let mut known = self.known();
            known.seen.retain(|_, seen| seen.elapsed() < LATELY);
            if known.seen.contains_key(&place.id()) {
                return Ok(place);
            }
            known.removals
        };
        let place = self.found(container).await?;
        let mut known = self.known();
        // Otherwise the answer may be older than a removal.
        if known.removals == removals {
            known.seen.insert(place.id(), asked);
        }
        drop(known);
        Ok(place)
    }

    /// Forgets that a container was there, and what is being asked about it.
    fn forget(&self, place: &Place) {
        let mut known = self.known();
        known.removals += 1;
        known.seen.remove(&place.id());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while the lock is held.
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn head(&self, place: &Place, id: &ObjectId) -> Result<ObjectMeta, BlobError> {
        let found = place.store.head(&place.object(&id.object)?).await;
        found.map_err(|why| self.of_object(id, why))
    }

    fn of_object(&self, id: &ObjectId, why: object_store::Error) -> BlobError {
        match why {
            object_store::Error::NotFound { .. } => BlobError::no_object(id),
            why => self.failed(why),
        }
    }

    /// Removes objects; what is not there is passed over.
    async fn remove(
        &self,
        place: &Place,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> Result<(), BlobError> {
        let mut removed = place.store.delete_stream(paths);
        while let Some(removed) = removed.next().await {
            match removed {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(why) => return Err(self.failed(why)),
            }
        }
        Ok(())
    }

    /// Removes all objects but, if it is to stay, what says that the container is there.
    async fn clear(&self, place: &Place, stays: bool) -> Result<(), BlobError> {
        let mark = place.folder.is_some() && stays;
        let mark = mark.then(|| place.object(MARK)).transpose()?;
        let paths = place.listed()?.map_ok(|meta| meta.location);
        let paths = paths.try_filter(move |path| std::future::ready(Some(path) != mark.as_ref()));
        self.remove(place, paths.boxed()).await
    }
}

#[async_trait::async_trait]
impl Store for CloudStore {
    async fn check(&self) -> Result<(), BlobError> {
        // Without a bucket there is nothing that whoever asks is sure to be allowed.
        let Some(bucket) = &self.0.bucket else {
            return Ok(());
        };
        let store = self.0.buckets.store(bucket);
        let store = store.map_err(|why| self.failed(why))?;
        match store.head(&Path::from(MARK)).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(why) => Err(self.failed(why)),
        }
    }
}

#[async_trait::async_trait]
impl BlobStore for CloudStore {
    async fn create_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        if self.find(name).await?.is_some() {
            return Ok(());
        }
        let place = self.place(name)?;
        if place.folder.is_none() {
            let made = self.0.buckets.make(name).await;
            return made.map_err(|why| self.refused(&why));
        }
        let mark = place.object(MARK)?;
        let put = place.store.put(&mark, PutPayload::new()).await;
        put.map(drop).map_err(|why| self.failed(why))
    }

    async fn container_exists(&self, name: &str, _: CallContext) -> Result<bool, BlobError> {
        Ok(self.find(name).await?.is_some())
    }

    async fn delete_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        let place = self.found(name).await?;
        let removed = match self.clear(&place, false).await {
            Ok(()) if place.folder.is_some() => Ok(()),
            Ok(()) => {
                let removed = self.0.buckets.remove(name).await;
                removed.map_err(|why| self.refused(&why))
            }
            Err(why) => Err(why),
        };
        // Also if it failed half way.
        self.forget(&place);
        removed
    }

    async fn clear_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        let place = self.found(name).await?;
        self.clear(&place, true).await
    }

    async fn container_info(&self, name: &str, _: CallContext) -> Result<ContainerInfo, BlobError> {
        let place = self.found(name).await?;
        if place.folder.is_none() {
            return Ok(ContainerInfo::default());
        }
        match place.store.head(&place.object(MARK)?).await {
            Ok(meta) => Ok(ContainerInfo {
                created_at: seconds(&meta),
            }),
            Err(object_store::Error::NotFound { .. }) => Ok(ContainerInfo::default()),
            Err(why) => Err(self.failed(why)),
        }
    }

    async fn list_objects(
        &self,
        container: &str,
        _: CallContext,
    ) -> Result<ObjectNames, BlobError> {
        let place = self.found(container).await?;
        let this = self.clone();
        let some = place.listed()?.chunks(NAMES).map(move |some| {
            let metas = some.into_iter().filter_map(|meta| match meta {
                Ok(meta) => place.name(&meta.location).map(Ok),
                Err(why) => Some(Err(this.failed(why))),
            });
            metas.collect()
        });
        Ok(some.boxed())
    }

    async fn has_object(&self, id: &ObjectId, _: CallContext) -> Result<bool, BlobError> {
        let place = self.place(&id.container)?;
        match self.head(&place, id).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == BlobErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn object_info(&self, id: &ObjectId, _: CallContext) -> Result<ObjectInfo, BlobError> {
        let place = self.place(&id.container)?;
        let meta = self.head(&place, id).await?;
        Ok(ObjectInfo {
            created_at: seconds(&meta),
            size: meta.size,
        })
    }

    async fn delete_objects(
        &self,
        container: &str,
        objects: Vec<String>,
        _: CallContext,
    ) -> Result<(), BlobError> {
        let place = self.found(container).await?;
        let paths: Result<Vec<_>, _> = objects.iter().map(|name| place.object(name)).collect();
        let paths = stream::iter(paths?.into_iter().map(Ok)).boxed();
        self.remove(&place, paths).await
    }

    async fn copy_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        context: CallContext,
    ) -> Result<(), BlobError> {
        let (source, target) = (
            self.place(&from.container)?,
            self.found(&to.container).await?,
        );
        if source.bucket == target.bucket {
            let (path, into) = (source.object(&from.object)?, target.object(&to.object)?);
            if path == into {
                // S3 refuses to copy an object onto itself.
                return self.head(&source, from).await.map(drop);
            }
            let copied = source.store.copy(&path, &into).await;
            return copied.map_err(|why| self.of_object(from, why));
        }
        // The protocols that copy from bucket to bucket are not all the same, and need other rights.
        let blob = self.read(from, 0..u64::MAX, context).await?;
        self.write(to, blob.body, context).await?.await
    }

    async fn move_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        context: CallContext,
    ) -> Result<(), BlobError> {
        let (source, target) = (self.place(&from.container)?, self.place(&to.container)?);
        let is_one = source.bucket == target.bucket
            && source.object(&from.object)? == target.object(&to.object)?;
        if is_one {
            // One object under two names of its bucket: removing it after the copy would lose it.
            return self.head(&source, from).await.map(drop);
        }
        self.copy_object(from, to, context).await?;
        let gone = vec![from.object.clone()];
        self.delete_objects(&from.container, gone, context).await
    }

    async fn read(
        &self,
        id: &ObjectId,
        range: Range<u64>,
        _: CallContext,
    ) -> Result<Blob, BlobError> {
        let place = self.place(&id.container)?;
        let path = place.object(&id.object)?;
        let mut options = GetOptions::default();
        if range != (0..u64::MAX) {
            // A range that is not there is an error to a store.
            let meta = self.head(&place, id).await?;
            let range = within(&range, meta.size);
            if range.is_empty() {
                let body = body_of(Bytes::new());
                return Ok(Blob { size: 0, body });
            }
            options.if_match = meta.e_tag;
            options.range = Some(GetRange::Bounded(range));
        }
        let got = place.store.get_opts(&path, options).await;
        let got = got.map_err(|why| self.of_object(id, why))?;
        let size = got.range.end - got.range.start;
        let this = self.clone();
        let frames = got.into_stream().map(move |bytes| match bytes {
            Ok(bytes) => Ok(Frame::data(bytes)),
            Err(why) => Err(HttpError::from(this.failed(why))),
        });
        let body = StreamBody::new(frames).boxed_unsync();
        Ok(Blob { size, body })
    }

    async fn write(&self, id: &ObjectId, body: Body, _: CallContext) -> Result<Written, BlobError> {
        let place = self.found_lately(&id.container).await?;
        let path = place.object(&id.object)?;
        let this = self.clone();
        Ok(Box::pin(
            async move { this.upload(&place, &path, body).await },
        ))
    }
}

impl CloudStore {
    async fn upload(&self, place: &Place, path: &Path, mut body: Body) -> Result<(), BlobError> {
        let mut rest = Bytes::new();
        let first = match part(&mut body, &mut rest).await? {
            (last, true) => {
                let put = place.store.put(path, last).await;
                return put.map(drop).map_err(|why| self.failed(why));
            }
            (first, false) => first,
        };
        let begun = place.store.put_multipart(path).await;
        let mut parts = Parts {
            upload: Some(begun.map_err(|why| self.failed(why))?),
            store: self.clone(),
        };
        let mut next = Some((first, false));
        let mut under_way = FuturesUnordered::new();
        while let Some((payload, is_last)) = next {
            under_way.push(parts.put(payload)?);
            while under_way.len() >= AHEAD || (is_last && !under_way.is_empty()) {
                let sent = under_way.next().await.unwrap_or(Ok(()));
                sent.map_err(|why| self.failed(why))?;
            }
            next = match is_last {
                true => None,
                false => Some(part(&mut body, &mut rest).await?),
            };
        }
        parts.complete().await
    }
}

/// The next part of a body, and whether it is the last. `rest` is what came and is not part of it.
async fn part(body: &mut Body, rest: &mut Bytes) -> Result<(PutPayload, bool), BlobError> {
    let mut part = PutPayloadMut::new();
    loop {
        let room = PART - part.content_length();
        if rest.len() >= room {
            part.push(rest.split_to(room));
            // Whether more comes is not known yet: the last part may be empty.
            return Ok((part.freeze(), false));
        }
        part.push(std::mem::take(rest));
        match body.frame().await {
            None => return Ok((part.freeze(), true)),
            Some(frame) => {
                let frame = frame.map_err(|why| BlobError::broke_off(&why))?;
                *rest = frame.into_data().unwrap_or_default();
            }
        }
    }
}

/// An object that is written in parts. If it is not finished, it is given up.
struct Parts {
    /// None once it is finished.
    upload: Option<Box<dyn MultipartUpload>>,
    store: CloudStore,
}

impl Parts {
    fn put(&mut self, payload: PutPayload) -> Result<object_store::UploadPart, BlobError> {
        let upload = self.upload.as_mut().ok_or_else(is_over)?;
        // A store takes no empty part, but as an object's only one.
        Ok(match payload.content_length() {
            0 => Box::pin(std::future::ready(Ok(()))),
            _ => upload.put_part(payload),
        })
    }

    async fn complete(mut self) -> Result<(), BlobError> {
        let upload = self.upload.as_mut().ok_or_else(is_over)?;
        let completed = upload.complete().await;
        completed.map_err(|why| self.store.failed(why))?;
        self.upload = None;
        Ok(())
    }
}

fn is_over() -> BlobError {
    BlobError::new(BlobErrorKind::Internal, "the upload is over")
}

impl Drop for Parts {
    fn drop(&mut self) {
        let (Some(mut upload), Ok(runtime)) =
            (self.upload.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let store = self.store.clone();
        // Nothing panics while the lock is held.
        let cleaning = self.store.0.cleaning.lock();
        let mut cleaning = cleaning.unwrap_or_else(PoisonError::into_inner);
        while cleaning.try_join_next().is_some() {}
        let give_up = async move {
            if !matches!(timeout(store.0.limit, upload.abort()).await, Ok(Ok(()))) {
                tracing::warn!("parts of an upload that was given up may stay in {store:?}");
            }
        };
        cleaning.spawn_on(give_up, &runtime);
    }
}

fn seconds(meta: &ObjectMeta) -> u64 {
    u64::try_from(meta.last_modified.timestamp()).unwrap_or(0)
}
