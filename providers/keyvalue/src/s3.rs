//! A bucket of S3, or of what speaks its protocol.
//!
//! Each key is an object: [`object_name`] says which. Adding and swapping read an object and write it if it is still the
//! same (`If-Match`, `If-None-Match`), again and again until it is; those of one process wait for each other, so that
//! they do not go on at each other's cost.
//!
//! A request that changes something is sent once, unless it certainly did nothing ([`is_unsent`]). Sent again behind an answer that
//! was lost, a write under a condition would meet what it had written itself, and count twice; one without would undo what
//! others had written meanwhile, and were told was written. Who asked is told that nobody knows.
//!
//! S3 writes one object at a time. Many keys are so many requests, and if one of them fails the error says that some may
//! have been written; a list of what is to be done, kept beside the data, was the other way, and would have made every
//! read two. S3 tells nobody of changes, so watching is refused.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use sha2::{Digest, Sha256};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;
use withe_provider::object_store::{
    BucketError, Buckets, Cloud, S3, Sender, TlsError, is_unsent, status,
};

use crate::changes::{ChangedKeys, Watch};
use crate::store::{
    LARGEST_VALUE, LONGEST_NAME, Store, StoreError, add, cursor_after, key_before, of_some,
};
use crate::turns::Turns;

/// Requests of one call under way at a time.
const AT_ONCE: usize = 16;
/// Keys of one page: with the one behind them, as many as S3 lists at a time.
const PAGE: usize = 999;
/// Objects that one request removes, as many as S3 takes.
const REMOVED: usize = 1000;
/// The most bytes in front of a value: a key and its length.
const HEAD: usize = 4 + LONGEST_NAME;
/// The most bytes of an object's name that a key becomes; S3 takes 1024 for all of it.
const LONGEST: usize = 400;
/// The object that shows whether the store keeps conditions.
const PROBE: &str = ".withe-keyvalue";
/// How long to wait at first when somebody else has written, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(500)];
/// How often a request is sent again, and how long to wait before one that changes something, at first and at most.
const RETRIES: usize = 4;
const RETRY_PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];
/// The version of no object.
const NO_VERSION: &str = "\"00000000000000000000000000000000\"";

/// Where the bucket is, and who asks there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct S3Config {
    pub(crate) s3: S3,
    /// The bucket of S3.
    pub(crate) bucket: String,
    /// Its folder that has all keys.
    pub(crate) folder: Option<String>,
    pub(crate) tls_ca_file: Option<String>,
    /// Longest until an answer begins, and that it pauses.
    pub(crate) response_timeout: Duration,
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the bucket `{}` of {:?}",
            self.bucket,
            Cloud::S3(self.s3.clone())
        )
    }
}

/// Checks the name of a folder in a bucket; `Err` says what is expected.
pub(crate) fn check_folder(folder: &str) -> Result<(), &'static str> {
    let is_fine = |part: &str| {
        let taken = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(taken)
    };
    match folder.len() <= 200 && folder.split('/').all(is_fine) {
        true => Ok(()),
        false => Err("names of letters, digits, `-`, `_` and `.`, with `/` between them"),
    }
}

/// The store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Reading certificates panicked.
    #[error("the object store cannot be opened: {0}")]
    Stopped(#[from] JoinError),
    #[error("the configuration of S3 cannot be used: {0}")]
    Config(#[source] object_store::Error),
    #[error("{place} cannot be used: {why}")]
    Unusable {
        place: String,
        #[source]
        why: object_store::Error,
    },
    #[error("{place} is not there, and cannot be made: {why}")]
    NotMade {
        place: String,
        #[source]
        why: BucketError,
    },
    #[error(
        "{place} does not keep conditions (`{header}`), without which two callers would overwrite each other's counts: \
         take another version of the server, or another backend"
    )]
    Unconditional { place: String, header: &'static str },
}

/// A bucket of S3.
pub(crate) struct S3Store {
    /// Asks again where that does no harm.
    patient: Arc<dyn ObjectStore>,
    /// Asks once.
    once: Arc<dyn ObjectStore>,
    folder: Option<String>,
    place: String,
    /// Whose turn it is to read an object, change it and write it.
    turns: Turns<Path>,
    /// How long what was not sent is sent again.
    limit: Duration,
}

/// The object of a key.
struct Entry {
    value: Bytes,
    version: UpdateVersion,
}

impl S3Store {
    /// Opens the bucket, and makes it if it is not there.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached or cannot keep keys, in words that say where and why.
    pub(crate) async fn connect(config: &S3Config) -> Result<Self, ConnectError> {
        let place = format!("{config:?}");
        let (ca_file, limit) = (config.tls_ca_file.clone(), config.response_timeout);
        let sender = spawn_blocking(move || Sender::new(ca_file.as_deref(), limit)).await??;
        let cloud = Cloud::S3(config.s3.clone());
        let buckets = |retries| {
            let (cloud, sender) = (cloud.clone(), sender.clone());
            Buckets::new(cloud, sender, limit, Default::default()).with_retries(retries)
        };
        let patient_buckets = buckets(RETRIES);
        let store = |buckets: &Buckets| {
            let store = buckets.store(&config.bucket);
            store.map_err(ConnectError::Config)
        };
        let store = Self {
            patient: store(&patient_buckets)?,
            once: store(&buckets(0))?,
            folder: config.folder.clone(),
            place: place.clone(),
            turns: Turns::default(),
            limit,
        };
        match store.kept_conditions().await {
            Err(why) if status(&why) == Some(404) => {
                let made = patient_buckets.make(&config.bucket).await;
                made.map_err(|why| ConnectError::NotMade {
                    place: place.clone(),
                    why,
                })?;
                store.kept_conditions().await
            }
            asked => asked,
        }
        .map_err(|why| ConnectError::Unusable {
            place: place.clone(),
            why,
        })
        .and_then(|kept| match kept {
            Ok(()) => Ok(store),
            Err(header) => Err(ConnectError::Unconditional { place, header }),
        })
    }

    /// Whether the store refuses to make what is there, and to replace what is not as it was; `Err` has the condition
    /// that it does not keep.
    async fn kept_conditions(&self) -> object_store::Result<Result<(), &'static str>> {
        let is_new = self.make_probe().await?;
        if is_new && self.make_probe().await? {
            return Ok(Err("If-None-Match"));
        }
        let options = PutOptions::from(PutMode::Update(UpdateVersion {
            e_tag: Some(NO_VERSION.into()),
            version: None,
        }));
        // Sent again where others are asking, too: the object has nothing that could be lost.
        let probe = self.path(PROBE)?;
        let put = self.patient.put_opts(&probe, PutPayload::new(), options);
        match put.await {
            Err(object_store::Error::Precondition { .. }) => Ok(Ok(())),
            Err(why) if !matches!(status(&why), Some(400 | 405 | 501)) => Err(why),
            Ok(_) | Err(_) => Ok(Err("If-Match")),
        }
    }

    /// Makes the object by which the store is asked; returns whether it was not there.
    async fn make_probe(&self) -> object_store::Result<bool> {
        let probe = self.path(PROBE)?;
        let options = PutOptions::from(PutMode::Create);
        let put = self.once.put_opts(&probe, PutPayload::new(), options).await;
        match put {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(why) => Err(why),
        }
    }

    /// Has a request that changes something sent; again only if it did nothing.
    async fn send<T, F>(&self, request: impl Fn() -> F) -> object_store::Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let start = Instant::now();
        let [mut pause, longest] = RETRY_PAUSES;
        let mut retries = 0;
        loop {
            match request().await {
                Err(why)
                    if is_unsent(&why) && retries < RETRIES && start.elapsed() < self.limit => {}
                done => return done,
            }
            retries += 1;
            sleep(pause.mul_f64(fastrand::f64() + 0.5)).await;
            pause = (pause * 2).min(longest);
        }
    }

    fn path(&self, name: &str) -> object_store::Result<Path> {
        let path = match &self.folder {
            Some(folder) => Path::parse(format!("{folder}/{name}")),
            None => Path::parse(name),
        };
        Ok(path?)
    }

    /// The object of a key.
    fn object(&self, bucket: &str, key: &str) -> Result<Path, StoreError> {
        let name = format!("{}/{}", object_name(bucket), object_name(key));
        self.path(&name).map_err(|why| self.failed(why))
    }

    fn failed(&self, why: impl fmt::Display) -> StoreError {
        StoreError::Failed(format!("{}: {why}", self.place))
    }

    /// How a write failed.
    fn of_write(&self, why: &object_store::Error) -> StoreError {
        // A refused request has written nothing.
        match why {
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. }
            | object_store::Error::NotImplemented { .. } => self.failed(why),
            why if matches!(status(why), Some(300..500)) || is_unsent(why) => self.failed(why),
            // An error of one of many objects has no status.
            why if why.to_string().contains("(code: AccessDenied)") => self.failed(why),
            why => StoreError::Lost(format!("{}: {why}", self.place)),
        }
    }

    async fn read(&self, path: &Path) -> Result<Option<Entry>, StoreError> {
        let got = match self.patient.get(path).await {
            Ok(got) => got,
            Err(why) if is_absent(&why) => return Ok(None),
            Err(why) => return Err(self.failed(why)),
        };
        let most = LARGEST_VALUE + HEAD;
        if got.meta.size > most as u64 {
            let size = got.meta.size;
            return Err(self.failed(format!(
                "the object `{path}` has {size} bytes, more than any value has"
            )));
        }
        let version = UpdateVersion {
            e_tag: got.meta.e_tag.clone(),
            version: None,
        };
        let bytes = got.bytes().await.map_err(|why| self.failed(why))?;
        let is_inside = path.filename().is_some_and(is_hash);
        let value = match is_inside {
            false => bytes,
            true => inside(bytes).ok_or_else(|| self.nameless(path))?.1,
        };
        Ok(Some(Entry { value, version }))
    }

    fn nameless(&self, path: &Path) -> StoreError {
        self.failed(format!("the object `{path}` does not say which key it is"))
    }

    /// The key that is in an object whose name is a hash; `None` if it is not there any more.
    async fn read_key(&self, object: &ObjectMeta) -> Result<Option<String>, StoreError> {
        let path = &object.location;
        // An empty object has no range.
        let end = object.size.clamp(1, HEAD as u64);
        match self.patient.get_range(path, 0..end).await {
            Ok(head) => Ok(Some(inside(head).ok_or_else(|| self.nameless(path))?.0)),
            Err(why) if is_absent(&why) => Ok(None),
            Err(why) => Err(self.failed(why)),
        }
    }

    /// Removes up to [`REMOVED`] objects.
    async fn remove(&self, paths: &[Path]) -> Result<(), StoreError> {
        let removed = self.send(async || {
            let paths: Vec<_> = paths.iter().cloned().map(Ok).collect();
            let mut removed = self.once.delete_stream(stream::iter(paths).boxed());
            let mut first = Ok(());
            while let Some(one) = removed.next().await {
                match one {
                    // Some servers say so of an object that is not there.
                    Err(why) if why.to_string().contains("(code: NoSuchKey)") => {}
                    one => first = first.and(one.map(drop)),
                }
            }
            first
        });
        removed.await.map_err(|why| self.of_write(&why))
    }

    /// Writes an object if it is as it was; returns whether it was.
    async fn write_if(
        &self,
        path: &Path,
        content: Bytes,
        was: Option<UpdateVersion>,
    ) -> Result<bool, StoreError> {
        let mode = was.map_or(PutMode::Create, PutMode::Update);
        let put = self.send(async || {
            let options = PutOptions::from(mode.clone());
            self.once
                .put_opts(path, content.clone().into(), options)
                .await
        });
        match put.await {
            Ok(_) => Ok(true),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(false),
            Err(why) => Err(self.of_write(&why)),
        }
    }

    /// Changes what is at a key by `change`, which is given what is there and says what is to be there, or the answer
    /// without writing anything.
    async fn change<T>(
        &self,
        bucket: &str,
        key: &str,
        change: impl Fn(Option<&[u8]>) -> Result<Change<T>, StoreError>,
    ) -> Result<T, StoreError> {
        let path = self.object(bucket, key)?;
        let place = self.turns.queue(&path);
        let _turn = place.turn().await;
        let [mut pause, longest] = PAUSES;
        loop {
            let now = self.read(&path).await?;
            let (value, answer) = match change(now.as_ref().map(|entry| &*entry.value))? {
                Change::None(answer) => return Ok(answer),
                Change::To(value, answer) => (value, answer),
            };
            let was = now.map(|entry| entry.version);
            if self
                .write_if(&path, content(&path, key, value), was)
                .await?
            {
                return Ok(answer);
            }
            // Another process was faster.
            sleep(pause.mul_f64(fastrand::f64() + 0.5)).await;
            pause = (pause * 2).min(longest);
        }
    }
}

/// A change of a key, and the answer to its caller.
enum Change<T> {
    To(Vec<u8>, T),
    None(T),
}

/// The name of the object, or of the folder, that a key, or a bucket, becomes: its bytes, with what is no letter, no digit
/// and no `-` as `_` and two digits; if that is too long, its hash. The first letter says which of the two.
fn object_name(name: &str) -> String {
    let mut object = String::from("k");
    for byte in name.bytes() {
        match byte.is_ascii_alphanumeric() || byte == b'-' {
            true => object.push(char::from(byte)),
            false => object.push_str(&format!("_{byte:02x}")),
        }
        if object.len() > LONGEST {
            return format!("h{}", hex::encode(Sha256::digest(name)));
        }
    }
    object
}

/// Whether an object's name is a hash: the key is in its content then, in front of the value.
fn is_hash(object: &str) -> bool {
    object.starts_with('h')
}

/// The key that an object's name is of; `None` if it is a hash, or no key's.
fn key_of(object: &str) -> Option<String> {
    let mut rest = object.strip_prefix('k')?.as_bytes();
    let mut key = Vec::with_capacity(rest.len());
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        match first {
            b'_' => {
                let (digits, more) = rest.split_at_checked(2)?;
                rest = more;
                key.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            }
            plain => key.push(*plain),
        }
    }
    String::from_utf8(key).ok()
}

/// The bytes of the object of a key.
fn content(path: &Path, key: &str, value: Vec<u8>) -> Bytes {
    if !path.filename().is_some_and(is_hash) {
        return value.into();
    }
    let mut content = BytesMut::with_capacity(4 + key.len() + value.len());
    // Keys have a bound far below this type's.
    content.put_u32(u32::try_from(key.len()).unwrap_or(u32::MAX));
    content.put(key.as_bytes());
    content.put(&*value);
    content.freeze()
}

/// The key and the value that are in an object whose name is a hash.
fn inside(mut content: Bytes) -> Option<(String, Bytes)> {
    let length = content.split_to_checked(4)?;
    let length = u32::from_be_bytes(length.as_ref().try_into().ok()?);
    let key = content.split_to_checked(usize::try_from(length).ok()?)?;
    Some((String::from_utf8(key.to_vec()).ok()?, content))
}

/// [`Bytes::split_to`] for what may be too short.
trait SplitToChecked: Sized {
    fn split_to_checked(&mut self, at: usize) -> Option<Self>;
}

impl SplitToChecked for Bytes {
    fn split_to_checked(&mut self, at: usize) -> Option<Self> {
        (at <= self.len()).then(|| self.split_to(at))
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

#[async_trait::async_trait]
impl Store for S3Store {
    async fn get(
        &self,
        bucket: &str,
        keys: Vec<String>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let paths = keys.iter().map(|key| self.object(bucket, key));
        let paths: Vec<_> = paths.collect::<Result<_, _>>()?;
        let reads = stream::iter(paths).map(async |path| {
            let entry = self.read(&path).await?;
            Ok(entry.map(|entry| entry.value.into()))
        });
        reads.buffered(AT_ONCE).try_collect().await
    }

    async fn exists(&self, bucket: &str, key: String) -> Result<bool, StoreError> {
        match self.patient.head(&self.object(bucket, &key)?).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(why) => Err(self.failed(why)),
        }
    }

    async fn set(&self, bucket: &str, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        // Where a key is there twice, the later one counts.
        let pairs: indexmap::IndexMap<_, _> = pairs.into_iter().collect();
        let objects = pairs.into_iter().map(|(key, value)| {
            let path = self.object(bucket, &key)?;
            let content = content(&path, &key, value);
            Ok((path, content))
        });
        let objects: Vec<_> = objects.collect::<Result<_, _>>()?;
        let is_one = objects.len() == 1;
        let writes = stream::iter(objects).map(async |(path, content)| {
            let put = self.send(async || self.once.put(&path, content.clone().into()).await);
            put.await.map(drop).map_err(|why| self.of_write(&why))
        });
        let written = writes.buffer_unordered(AT_ONCE).try_collect().await;
        written.map_err(|why| of_some(why, is_one))
    }

    async fn delete(&self, bucket: &str, keys: Vec<String>) -> Result<(), StoreError> {
        let keys: indexmap::IndexSet<_> = keys.into_iter().collect();
        let paths = keys.iter().map(|key| self.object(bucket, key));
        let paths: Vec<_> = paths.collect::<Result<_, _>>()?;
        let is_one = paths.len() == 1;
        let parts: Vec<_> = paths.chunks(REMOVED).map(<[_]>::to_vec).collect();
        let deletes = stream::iter(parts).map(async |paths| self.remove(&paths).await);
        let deleted = deletes.buffer_unordered(AT_ONCE).try_collect().await;
        deleted.map_err(|why| of_some(why, is_one))
    }

    async fn increment(
        &self,
        bucket: &str,
        key: String,
        delta: i64,
        least: i64,
    ) -> Result<i64, StoreError> {
        let add = |now: Option<&[u8]>| {
            let sum = add(now, delta, least)?;
            Ok(Change::To(sum.to_string().into_bytes(), sum))
        };
        self.change(bucket, &key, add).await
    }

    async fn swap(
        &self,
        bucket: &str,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let swap = |now: Option<&[u8]>| match now == expected.as_deref() {
            true => Ok(Change::To(value.clone(), true)),
            false => Ok(Change::None(false)),
        };
        self.change(bucket, &key, swap).await
    }

    async fn list(
        &self,
        bucket: &str,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let folder = object_name(bucket);
        let path = |name: &str| self.path(name).map_err(|why| self.failed(why));
        let prefix = path(&folder)?;
        let listed = match &cursor {
            None => self.patient.list(Some(&prefix)),
            Some(cursor) => {
                // Objects are listed in the order of their names.
                let offset = path(&format!("{folder}/{}", key_before(cursor)?))?;
                self.patient.list_with_offset(Some(&prefix), &offset)
            }
        };
        let page: Result<Vec<_>, _> = listed.take(PAGE + 1).try_collect().await;
        let mut page = page.map_err(|why| self.failed(why))?;
        let is_more = page.len() > PAGE;
        page.truncate(PAGE);
        let last = page.last().and_then(|meta| meta.location.filename());
        let next = last.filter(|_| is_more).map(cursor_after);
        let keys = stream::iter(page).map(async |meta| {
            let name = meta.location.filename().unwrap_or_default();
            match is_hash(name) {
                false => Ok(key_of(name)),
                true => self.read_key(&meta).await,
            }
        });
        let keys: Vec<_> = keys.buffered(AT_ONCE).try_collect().await?;
        Ok((keys.into_iter().flatten().collect(), next))
    }

    async fn watch(&self, _: &str, _: Arc<ChangedKeys>) -> Result<Watch, StoreError> {
        Err(StoreError::Failed(NO_WATCH.into()))
    }

    async fn check(&self) -> Result<(), StoreError> {
        let probe = self.path(PROBE).map_err(|why| self.failed(why))?;
        match self.patient.head(&probe).await {
            Ok(_) => Ok(()),
            // Whoever emptied the bucket has removed it, too. The bucket is asked for what is in a folder that nobody has,
            // and not by writing: some servers make a bucket for what is written.
            Err(object_store::Error::NotFound { .. }) => {
                let mut listed = self.patient.list(Some(&probe));
                let first = listed.try_next().await;
                first.map(drop).map_err(|why| self.failed(why))
            }
            Err(why) => Err(self.failed(why)),
        }
    }
}

/// Whether an object is not there, though its bucket is.
fn is_absent(why: &object_store::Error) -> bool {
    // No object's name has these signs.
    matches!(why, object_store::Error::NotFound { .. })
        && !why.to_string().contains("<Code>NoSuchBucket</Code>")
}

/// Why nobody is told of changes.
pub(crate) const NO_WATCH: &str =
    "S3 tells nobody of changes, so a component cannot be told of them";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_objects_are_those_of_keys_and_back() {
        for key in ["", "k", "a/b", "a:b_c", "ä ü", "..", "_", "h", "-Z9"] {
            let object = object_name(key);
            assert!(
                object
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
                "{object}"
            );
            assert_eq!(key_of(&object).as_deref(), Some(key), "{object}");
        }
        assert_eq!(object_name("a/b"), "ka_2fb");
        for strange in ["", "x", "k_", "k_g0", "k_c3"] {
            assert_eq!(key_of(strange), None, "{strange}");
        }
    }

    #[test]
    fn a_long_key_is_in_the_object() {
        let key = "/".repeat(1000);
        let object = object_name(&key);
        assert!(is_hash(&object) && object.len() == 65, "{object}");
        let path = Path::parse(format!("kb/{object}")).unwrap();
        let content = content(&path, &key, b"value".to_vec());
        assert_eq!(inside(content), Some((key, Bytes::from_static(b"value"))));
        for strange in [&b""[..], b"\0\0\0", b"\0\0\0\x05abc", b"\0\0\0\x01\xff"] {
            assert_eq!(inside(Bytes::copy_from_slice(strange)), None);
        }
    }

    #[test]
    fn folders_are_plain() {
        assert_eq!(check_folder("a/b.c/D-1_"), Ok(()));
        for folder in ["", "/", "a//b", "../a", "a b", "a/"] {
            assert!(check_folder(folder).is_err(), "{folder}");
        }
    }
}
