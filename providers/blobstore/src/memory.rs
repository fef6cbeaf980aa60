//! Objects in the memory of this process, up to a limit.
//!
//! Bytes count from when they come, also those of objects that are not whole yet, so that no number of uploads at once
//! takes more than the limit. An object that is replaced counts as long as somebody reads it. Copies share their bytes,
//! which count once, until the last of them is gone.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use withe_provider::{
    Blob, BlobError, BlobErrorKind, BlobStore, Body, CallContext, ContainerInfo, ObjectId,
    ObjectInfo, ObjectNames, Written,
};

use crate::store::{Store, seconds, within};

/// Bytes that are kept together.
const PIECE: usize = 64 << 10;
/// About what a container, or an object, takes besides its name and its bytes.
const OVERHEAD: usize = 256;
/// Names that are listed at a time.
const NAMES: usize = 256;

/// The store. Cloned, it is the same one.
#[derive(Clone)]
pub(crate) struct MemoryStore(Arc<Inner>);

struct Inner {
    budget: Arc<Budget>,
    containers: Mutex<BTreeMap<String, Container>>,
}

struct Container {
    created_at: u64,
    objects: BTreeMap<String, Object>,
    _taken: Taken,
}

/// The entry of an object under one name.
struct Object {
    created_at: u64,
    data: Arc<Data>,
    /// Its name, and what it takes besides its bytes.
    taken: Taken,
}

/// An object's bytes, which it shares with its copies and with whoever reads it.
struct Data {
    size: u64,
    pieces: Vec<Bytes>,
    _taken: Taken,
}

/// The memory that may be taken.
struct Budget {
    most: u64,
    taken: Mutex<u64>,
}

impl Budget {
    fn lock(&self) -> MutexGuard<'_, u64> {
        // Nothing panics while the lock is held.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory that something takes; given back with this.
struct Taken {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Taken {
    fn new(budget: &Arc<Budget>, bytes: usize) -> Result<Self, BlobError> {
        let mut taken = Self {
            budget: budget.clone(),
            bytes: 0,
        };
        taken.more(bytes)?;
        Ok(taken)
    }

    fn more(&mut self, bytes: usize) -> Result<(), BlobError> {
        let bytes = bytes as u64;
        let mut taken = self.budget.lock();
        let most = self.budget.most;
        if bytes > most.saturating_sub(*taken) {
            let text = format!(
                "the store is full: it may take {most} bytes of memory; remove objects, or raise its `max_bytes`"
            );
            return Err(BlobError::new(BlobErrorKind::Exhausted, text));
        }
        *taken += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        *self.budget.lock() -= self.bytes;
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the memory")
    }
}

impl MemoryStore {
    /// An empty one that takes up to `most` bytes.
    pub(crate) fn new(most: u64) -> Self {
        Self(Arc::new(Inner {
            budget: Arc::new(Budget {
                most,
                taken: Mutex::default(),
            }),
            containers: Mutex::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Container>> {
        // Nothing panics while the lock is held.
        (self.0.containers.lock()).unwrap_or_else(PoisonError::into_inner)
    }

    fn in_container<T>(
        &self,
        name: &str,
        f: impl FnOnce(&mut Container) -> T,
    ) -> Result<T, BlobError> {
        let mut containers = self.lock();
        let container = containers.get_mut(name);
        container
            .map(f)
            .ok_or_else(|| BlobError::no_container(name))
    }

    /// When an object was made, and its bytes.
    fn object(&self, id: &ObjectId) -> Result<(u64, Arc<Data>), BlobError> {
        let object = self.in_container(&id.container, |container| {
            let object = container.objects.get(&id.object)?;
            Some((object.created_at, object.data.clone()))
        })?;
        object.ok_or_else(|| BlobError::no_object(id))
    }

    /// Keeps an object that was made now, and lets go of the one before.
    fn put(&self, id: &ObjectId, data: Arc<Data>, taken: Taken) -> Result<(), BlobError> {
        let object = Object {
            created_at: now(),
            data,
            taken,
        };
        let before = self.in_container(&id.container, |container| {
            container.objects.insert(id.object.clone(), object)
        })?;
        // Outside the lock.
        drop(before);
        Ok(())
    }

    fn taken(&self, name: &str) -> Result<Taken, BlobError> {
        Taken::new(&self.0.budget, name.len() + OVERHEAD)
    }

    /// The first names behind `last`, in their order: none if there are no more.
    fn names(&self, container: &str, last: Bound<&str>) -> Result<Vec<String>, BlobError> {
        self.in_container(container, |c| {
            let behind = c.objects.range::<str, _>((last, Bound::Unbounded));
            behind.take(NAMES).map(|(name, _)| name.clone()).collect()
        })
    }
}

/// All of a body.
async fn collect(mut body: Body, taken: &mut Taken) -> Result<(u64, Vec<Bytes>), BlobError> {
    let (mut pieces, mut last, mut size) = (Vec::new(), BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| BlobError::broke_off(&why))?;
        let data = frame.into_data().unwrap_or_default();
        taken.more(data.len())?;
        size += data.len() as u64;
        // Small pieces would take more besides their bytes than these do.
        last.extend_from_slice(&data);
        if last.len() >= PIECE {
            pieces.push(last.split().freeze());
        }
    }
    pieces.push(last.freeze());
    Ok((size, pieces))
}

fn now() -> u64 {
    seconds(Some(SystemTime::now()))
}

#[async_trait::async_trait]
impl Store for MemoryStore {}

#[async_trait::async_trait]
impl BlobStore for MemoryStore {
    async fn create_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        let made = Container {
            created_at: now(),
            objects: BTreeMap::new(),
            _taken: self.taken(name)?,
        };
        self.lock().entry(name.to_owned()).or_insert(made);
        Ok(())
    }

    async fn container_exists(&self, name: &str, _: CallContext) -> Result<bool, BlobError> {
        Ok(self.lock().contains_key(name))
    }

    async fn delete_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        let removed = self.lock().remove(name);
        removed
            .map(drop)
            .ok_or_else(|| BlobError::no_container(name))
    }

    async fn clear_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        let removed = self.in_container(name, |c| std::mem::take(&mut c.objects))?;
        // Outside the lock.
        drop(removed);
        Ok(())
    }

    async fn container_info(&self, name: &str, _: CallContext) -> Result<ContainerInfo, BlobError> {
        let created_at = self.in_container(name, |c| c.created_at)?;
        Ok(ContainerInfo { created_at })
    }

    async fn list_objects(
        &self,
        container: &str,
        _: CallContext,
    ) -> Result<ObjectNames, BlobError> {
        self.in_container(container, |_| ())?;
        // Some at a time: listings that nobody reads on would else hold all names, which count nowhere.
        let start = (self.clone(), container.to_owned(), None::<String>);
        let some = stream::try_unfold(start, |(this, container, last)| async move {
            let after = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let names = this.names(&container, after)?;
            let Some(last) = names.last().cloned() else {
                return Ok(None);
            };
            Ok(Some((names, (this, container, Some(last)))))
        });
        Ok(Box::pin(some))
    }

    async fn has_object(&self, id: &ObjectId, _: CallContext) -> Result<bool, BlobError> {
        let containers = self.lock();
        let container = containers.get(&id.container);
        Ok(container.is_some_and(|c| c.objects.contains_key(&id.object)))
    }

    async fn object_info(&self, id: &ObjectId, _: CallContext) -> Result<ObjectInfo, BlobError> {
        let (created_at, data) = self.object(id)?;
        Ok(ObjectInfo {
            created_at,
            size: data.size,
        })
    }

    async fn delete_objects(
        &self,
        container: &str,
        objects: Vec<String>,
        _: CallContext,
    ) -> Result<(), BlobError> {
        let removed: Vec<_> = self.in_container(container, |c| {
            let removed = objects.iter().map(|name| c.objects.remove(name));
            removed.collect()
        })?;
        // Outside the lock.
        drop(removed);
        Ok(())
    }

    async fn copy_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        _: CallContext,
    ) -> Result<(), BlobError> {
        let (_, data) = self.object(from)?;
        self.put(to, data, self.taken(&to.object)?)
    }

    async fn move_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        _: CallContext,
    ) -> Result<(), BlobError> {
        let mut containers = self.lock();
        if !containers.contains_key(&to.container) {
            return Err(BlobError::no_container(&to.container));
        }
        let source = containers.get_mut(&from.container);
        let source = source.ok_or_else(|| BlobError::no_container(&from.container))?;
        let object = source.objects.get_mut(&from.object);
        let object = object.ok_or_else(|| BlobError::no_object(from))?;
        // The new name may be longer.
        let more = to.object.len().saturating_sub(from.object.len());
        object.taken.more(more)?;
        let object = source.objects.remove(&from.object);
        let object = object.ok_or_else(|| BlobError::no_object(from))?;
        let target = containers.get_mut(&to.container);
        let before = target.and_then(|c| c.objects.insert(to.object.clone(), object));
        drop(containers);
        drop(before);
        Ok(())
    }

    async fn read(
        &self,
        id: &ObjectId,
        range: Range<u64>,
        _: CallContext,
    ) -> Result<Blob, BlobError> {
        let (_, data) = self.object(id)?;
        let range = within(&range, data.size);
        let size = range.end - range.start;
        Ok(Blob {
            size,
            body: body(data, range),
        })
    }

    async fn write(&self, id: &ObjectId, body: Body, _: CallContext) -> Result<Written, BlobError> {
        self.in_container(&id.container, |_| ())?;
        let (this, id) = (self.clone(), id.clone());
        Ok(Box::pin(async move {
            let named = this.taken(&id.object)?;
            let mut taken = Taken::new(&this.0.budget, 0)?;
            let (size, pieces) = collect(body, &mut taken).await?;
            let data = Data {
                size,
                pieces,
                _taken: taken,
            };
            this.put(&id, Arc::new(data), named)
        }))
    }
}

/// The bytes of an object in a range that it has, which stay as long as this is read.
fn body(data: Arc<Data>, range: Range<u64>) -> Body {
    let start = (data, 0, range);
    let frames = stream::unfold(start, |(data, mut n, mut range)| async move {
        loop {
            let piece = data.pieces.get(n)?;
            n += 1;
            let length = piece.len() as u64;
            if range.start >= length {
                range = range.start - length..range.end.saturating_sub(length);
                continue;
            }
            if range.is_empty() {
                return None;
            }
            let end = range.end.min(length);
            // Both are within the piece.
            let part = piece.slice(range.start as usize..end as usize);
            range = 0..range.end - end;
            return Some((Ok(Frame::data(part)), (data, n, range)));
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use futures::StreamExt as _;
    use withe_provider::blobs::body_of;

    use super::*;

    fn context() -> CallContext {
        CallContext {
            deadline: Instant::now() + Duration::from_secs(60),
            trace: None,
        }
    }

    fn id(object: &str) -> ObjectId {
        ObjectId {
            container: "pets".into(),
            object: object.into(),
        }
    }

    async fn write(store: &MemoryStore, object: &str, bytes: usize) -> Result<(), BlobError> {
        let body = body_of(vec![b'x'; bytes]);
        store.write(&id(object), body, context()).await?.await
    }

    #[tokio::test]
    async fn no_more_is_taken_than_may_be_and_all_is_given_back() {
        let store = MemoryStore::new(100_000);
        store.create_container("pets", context()).await.unwrap();
        write(&store, "cat", 60_000).await.unwrap();
        let full = write(&store, "dog", 60_000).await.unwrap_err();
        assert_eq!(full.kind, BlobErrorKind::Exhausted);
        assert!(full.message.contains("`max_bytes`"), "{full}");
        // A copy is the same bytes, and what is read stays when it is removed.
        store
            .copy_object(&id("cat"), &id("copy"), context())
            .await
            .unwrap();
        let reading = store.read(&id("cat"), 0..9, context()).await.unwrap();
        store.clear_container("pets", context()).await.unwrap();
        write(&store, "dog", 60_000).await.unwrap_err();
        drop(reading);
        write(&store, "dog", 60_000).await.unwrap();
        store.delete_container("pets", context()).await.unwrap();
        assert_eq!(*store.0.budget.lock(), 0);
    }

    /// Copies of copies hold on to the bytes alone, not to one another: whatever is let go of at the end is small.
    #[tokio::test]
    async fn copies_of_copies_are_no_chain() {
        let store = MemoryStore::new(100_000);
        store.create_container("pets", context()).await.unwrap();
        write(&store, "a", 60_000).await.unwrap();
        let before = *store.0.budget.lock();
        let (a, b) = (id("a"), id("b"));
        for _ in 0..100_000 {
            store.copy_object(&a, &b, context()).await.unwrap();
            store.copy_object(&b, &a, context()).await.unwrap();
        }
        let copy = OVERHEAD as u64 + 1;
        assert_eq!(*store.0.budget.lock(), before + copy);
        let gone = vec!["b".to_owned()];
        store.delete_objects("pets", gone, context()).await.unwrap();
        assert_eq!(*store.0.budget.lock(), before);
        let gone = vec!["a".to_owned()];
        store.delete_objects("pets", gone, context()).await.unwrap();
        store.delete_container("pets", context()).await.unwrap();
        assert_eq!(*store.0.budget.lock(), 0);
    }

    #[tokio::test]
    async fn copies_and_longer_names_count() {
        let store = MemoryStore::new(10_000);
        store.create_container("pets", context()).await.unwrap();
        write(&store, "a", 1).await.unwrap();
        let before = *store.0.budget.lock();
        let long = id(&"x".repeat(1000));
        store.move_object(&id("a"), &long, context()).await.unwrap();
        assert_eq!(*store.0.budget.lock(), before + 999);
        let mut made = 0;
        let full = loop {
            let copy = id(&format!("copy-{made}"));
            match store.copy_object(&long, &copy, context()).await {
                Ok(()) => made += 1,
                Err(full) => break full,
            }
        };
        assert_eq!(full.kind, BlobErrorKind::Exhausted);
        assert!((20..40).contains(&made), "{made}");
        store.clear_container("pets", context()).await.unwrap();
        store.delete_container("pets", context()).await.unwrap();
        assert_eq!(*store.0.budget.lock(), 0);
    }

    #[tokio::test]
    async fn names_are_listed_some_at_a_time() {
        let store = MemoryStore::new(1 << 20);
        store.create_container("pets", context()).await.unwrap();
        for n in 0..2 * NAMES {
            write(&store, &format!("{n:05}"), 1).await.unwrap();
        }
        let mut listed = store.list_objects("pets", context()).await.unwrap();
        let first = listed.next().await.unwrap().unwrap();
        assert_eq!(first.len(), NAMES);
        // Where it is goes by names, whichever there are now.
        let last = first[NAMES - 1].clone();
        let gone = vec![last, "00300".to_owned()];
        store.delete_objects("pets", gone, context()).await.unwrap();
        let second = listed.next().await.unwrap().unwrap();
        assert_eq!(second.len(), NAMES - 1);
        assert_eq!(second[0], format!("{NAMES:05}"));
        assert!(listed.next().await.is_none());
        let mut listed = store.list_objects("pets", context()).await.unwrap();
        store.delete_container("pets", context()).await.unwrap();
        let gone = listed.next().await.unwrap().unwrap_err();
        assert_eq!(gone, BlobError::no_container("pets"));
    }

    #[tokio::test]
    async fn a_part_goes_over_pieces() {
        let store = MemoryStore::new(1 << 20);
        store.create_container("pets", context()).await.unwrap();
        let all: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        let chunks = all
            .chunks(50_000)
            .map(|c| Ok(Frame::data(Bytes::copy_from_slice(c))));
        let body = StreamBody::new(stream::iter(chunks.collect::<Vec<_>>())).boxed_unsync();
        let written = store.write(&id("cat"), body, context()).await.unwrap();
        written.await.unwrap();
        assert!(store.object(&id("cat")).unwrap().1.pieces.len() > 1);
        for range in [
            0..0,
            0..1,
            99_999..100_001,
            150_000..200_000,
            0..200_000,
            7..199_000,
        ] {
            let blob = store
                .read(&id("cat"), range.clone(), context())
                .await
                .unwrap();
            assert_eq!(blob.size, range.end - range.start);
            let part = blob.body.collect().await.unwrap().to_bytes();
            assert!(
                part == all[range.start as usize..range.end as usize],
                "{range:?}"
            );
        }
    }
}
