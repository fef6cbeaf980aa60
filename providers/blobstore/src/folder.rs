//! Objects as files: a folder has containers, which are folders, in which objects are files under their names. This is
//! how wasmCloud v1's provider has them, and anything else can read.
//!
//! An object is written to a file of its own below [`UPLOADS`], and gets its name when it is whole and on the disk. So
//! whoever reads the name has the object before or the one behind, and a crash leaves nothing but a file that the next
//! start sweeps up once it is old. As names are paths, an object `a` and an object `a/b` cannot both be there.
//!
//! Links within the folder are not followed: a component cannot make any, and what others put there may lead anywhere.

use std::fmt;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind, Read as _, Seek as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt as _};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::spawn_blocking;
use withe_provider::{
    Blob, BlobError, BlobErrorKind, BlobStore, Body, CallContext, ContainerInfo, HttpError,
    ObjectId, ObjectInfo, ObjectNames, Written,
};

use crate::names::OWN;
use crate::store::{Store, seconds, within};

/// Where objects are that are not whole, and what is being removed.
const UPLOADS: &str = ".withe-uploads";
/// The age at which nobody writes a temporary file any more.
const OLD: Duration = Duration::from_secs(24 * 3600);
/// Bytes that are read at a time.
const PIECE: usize = 128 << 10;
/// Names that are listed at a time.
const NAMES: usize = 256;
/// How often an object is given its name anew, if the folder that it is to be in is removed meanwhile.
const ATTEMPTS: usize = 5;

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the folder `{}` (`root`) cannot be used: {why}; name another, or let this user write there", path.display())]
pub(crate) struct FolderError {
    path: PathBuf,
    #[source]
    why: io::Error,
}

/// The store.
#[derive(Clone)]
pub(crate) struct FolderStore {
    root: Arc<Path>,
}

impl fmt::Debug for FolderStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the folder `{}`", self.root.display())
    }
}

impl FolderStore {
    /// The folder at this path, which is made if it is not there. Blocks.
    ///
    /// # Errors
    ///
    /// If it cannot be made or written to.
    pub(crate) fn open(path: &str) -> Result<Self, FolderError> {
        let path = PathBuf::from(path);
        let open = || {
            fs::create_dir_all(path.join(UPLOADS))?;
            sweep(&path.join(UPLOADS));
            path.canonicalize()
        };
        match open() {
            Ok(root) => Ok(Self { root: root.into() }),
            Err(why) => Err(FolderError { path, why }),
        }
    }

    fn container(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Does something with files, which blocks.
    async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Self) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let this = self.clone();
        spawn_blocking(move || run(&this))
            .await
            .unwrap_or_else(|why| Err(BlobError::new(BlobErrorKind::Internal, why.to_string())))
    }

    /// The facts about a container that is there.
    fn found_container(&self, name: &str) -> Result<Metadata, BlobError> {
        match fs::symlink_metadata(self.container(name)) {
            Ok(found) if found.is_dir() => Ok(found),
            Ok(_) => Err(BlobError::no_container(name)),
            Err(why) if is_nowhere(&why) => Err(BlobError::no_container(name)),
            Err(why) => Err(failed(name, &why)),
        }
    }

    /// An object's path, and what is known of it if it is there.
    fn look(&self, id: &ObjectId) -> Result<(PathBuf, Option<Metadata>), BlobError> {
        let mut path = self.container(&id.container);
        let mut words = id.object.split('/').peekable();
        while let Some(word) = words.next() {
            path.push(word);
            let found = match fs::symlink_metadata(&path) {
                Ok(found) => found,
                Err(why) if is_nowhere(&why) => {
                    path.extend(words);
                    return Ok((path, None));
                }
                Err(why) => return Err(failed(&id.object, &why)),
            };
            if found.is_symlink() {
                let text = format!("{id} is reached by a symbolic link, which is not followed");
                return Err(BlobError::new(BlobErrorKind::Denied, text));
            }
            if words.peek().is_none() {
                return Ok((path, found.is_file().then_some(found)));
            }
        }
        Ok((path, None))
    }

    /// The path of an object that is there, and what is known of it.
    fn found(&self, id: &ObjectId) -> Result<(PathBuf, Metadata), BlobError> {
        self.found_container(&id.container)?;
        let (path, found) = self.look(id)?;
        let found = found.ok_or_else(|| BlobError::no_object(id))?;
        Ok((path, found))
    }

    /// A path that nobody has.
    fn temporary(&self) -> Temporary {
        let name = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
        Temporary(self.root.join(UPLOADS).join(name))
    }

    /// Gives a file the name of an object, in place of the file that has it.
    fn give_name(&self, from: &Path, id: &ObjectId) -> Result<(), BlobError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            self.found_container(&id.container)?;
            let (path, _) = self.look(id)?;
            let container = self.container(&id.container);
            // Names have words, so there is a folder.
            let folder = path.parent().unwrap_or(&container);
            let named = make_folders(&container, folder).and_then(|()| fs::rename(from, &path));
            match named {
                Ok(()) => {
                    let synced = sync_up_to(&container, folder);
                    return synced.map_err(|why| failed(&id.object, &why));
                }
                // Whoever removes the last object of a folder removes the folder.
                Err(why) if why.kind() == ErrorKind::NotFound && attempts < ATTEMPTS => {}
                Err(why)
                    if matches!(
                        why.kind(),
                        ErrorKind::AlreadyExists
                            | ErrorKind::IsADirectory
                            | ErrorKind::NotADirectory
                            | ErrorKind::DirectoryNotEmpty
                    ) =>
                {
                    let text = format!(
                        "{id} cannot be there beside another object whose name is the beginning of the other's: in a \
                         folder, `a` is a file or has `a/b`"
                    );
                    return Err(BlobError::new(BlobErrorKind::Invalid, text));
                }
                Err(why) => return Err(failed(&id.object, &why)),
            }
        }
    }

    fn delete(&self, container: &str, object: &str) -> Result<(), BlobError> {
        let id = ObjectId {
            container: container.to_owned(),
            object: object.to_owned(),
        };
        let (path, found) = self.look(&id)?;
        if found.is_none() {
            return Ok(());
        }
        match fs::remove_file(&path) {
            Err(why) if !is_nowhere(&why) => return Err(failed(object, &why)),
            Ok(()) | Err(_) => {}
        }
        self.delete_empty(&id);
        Ok(())
    }

    /// Removes the folders of an object that is there no more, if they are empty, up to the container.
    fn delete_empty(&self, id: &ObjectId) {
        let top = self.container(&id.container);
        let path = top.join(&id.object);
        let mut folders = path.ancestors().skip(1).take_while(|folder| *folder != top);
        _ = folders.try_for_each(fs::remove_dir);
    }

    /// Takes a folder out of sight, and removes it.
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let gone = self.temporary();
        fs::rename(path, &gone.0)?;
        sync(&self.root)?;
        fs::remove_dir_all(&gone.0)
    }
}

/// A file that goes with this, unless it got another name.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.0);
    }
}

/// Removes what was left long ago.
fn sweep(uploads: &Path) {
    let Ok(entries) = fs::read_dir(uploads) else {
        return;
    };
    for entry in entries.flatten() {
        let modified = entry.metadata().and_then(|found| found.modified());
        let age = modified.map(|at| SystemTime::now().duration_since(at));
        if !matches!(age, Ok(Ok(age)) if age > OLD) {
            continue;
        }
        // A file that cannot be removed stays, and is seen again by the next start.
        _ = match entry.file_type() {
            Ok(ty) if ty.is_dir() => fs::remove_dir_all(entry.path()),
            _ => fs::remove_file(entry.path()),
        };
    }
}

/// Makes the folders below a container that a name needs, and not the container: somebody may have removed it meanwhile.
fn make_folders(container: &Path, folder: &Path) -> io::Result<()> {
    let below = folder.strip_prefix(container).unwrap_or(Path::new(""));
    let mut path = container.to_owned();
    for word in below {
        path.push(word);
        match fs::create_dir(&path) {
            // A file there is found by whoever makes something in it.
            Err(why) if why.kind() != ErrorKind::AlreadyExists => return Err(why),
            _ => {}
        }
    }
    Ok(())
}

/// Has the names of a folder reach the disk, and those of the folders above it up to the container: each may be new, also
/// by another writer who has not come so far yet.
fn sync_up_to(container: &Path, folder: &Path) -> io::Result<()> {
    let folders = folder.ancestors();
    let mut folders = folders.take_while(|folder| folder.starts_with(container));
    folders.try_for_each(sync)
}

/// Has a folder's names reach the disk.
fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Whether an error says that something is not there.
fn is_nowhere(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The error of a failure of the disk.
fn failed(what: &str, why: &io::Error) -> BlobError {
    let kind = match why.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            BlobErrorKind::Exhausted
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => BlobErrorKind::Denied,
        ErrorKind::InvalidFilename => BlobErrorKind::Invalid,
        _ => BlobErrorKind::Internal,
    };
    BlobError::new(kind, format!("`{what}` in the folder: {why}"))
}

fn created(found: &Metadata) -> u64 {
    seconds(found.created().or_else(|_| found.modified()).ok())
}

#[async_trait::async_trait]
impl Store for FolderStore {
    async fn check(&self) -> Result<(), BlobError> {
        self.blocking(|this| {
            let uploads = this.root.join(UPLOADS);
            let found = fs::metadata(&uploads);
            found.map(drop).map_err(|why| failed(UPLOADS, &why))
        })
        .await
    }
}

#[async_trait::async_trait]
impl BlobStore for FolderStore {
    async fn create_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        let name = name.to_owned();
        self.blocking(move |this| {
            let made = match fs::create_dir(this.container(&name)) {
                Ok(()) => sync(&this.root),
                Err(why) if why.kind() == ErrorKind::AlreadyExists => {
                    return this.found_container(&name).map(drop);
                }
                Err(why) => Err(why),
            };
            made.map_err(|why| failed(&name, &why))
        })
        .await
    }

    async fn container_exists(&self, name: &str, _: CallContext) -> Result<bool, BlobError> {
        let name = name.to_owned();
        self.blocking(move |this| match this.found_container(&name) {
            Ok(_) => Ok(true),
            Err(error) if error.kind == BlobErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        })
        .await
    }

    async fn delete_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        let name = name.to_owned();
        self.blocking(move |this| {
            this.found_container(&name)?;
            match this.remove_folder(&this.container(&name)) {
                Err(why) if is_nowhere(&why) => Err(BlobError::no_container(&name)),
                done => done.map_err(|why| failed(&name, &why)),
            }
        })
        .await
    }

    async fn clear_container(&self, name: &str, _: CallContext) -> Result<(), BlobError> {
        let name = name.to_owned();
        self.blocking(move |this| {
            this.found_container(&name)?;
            let clear = || {
                for entry in fs::read_dir(this.container(&name))? {
                    let entry = entry?;
                    let removed = match entry.file_type()?.is_dir() {
                        true => this.remove_folder(&entry.path()),
                        false => fs::remove_file(entry.path()),
                    };
                    match removed {
                        Err(why) if !is_nowhere(&why) => return Err(why),
                        Ok(()) | Err(_) => {}
                    }
                }
                Ok(())
            };
            clear().map_err(|why| failed(&name, &why))
        })
        .await
    }

    async fn container_info(&self, name: &str, _: CallContext) -> Result<ContainerInfo, BlobError> {
        let name = name.to_owned();
        self.blocking(move |this| {
            let created_at = created(&this.found_container(&name)?);
            Ok(ContainerInfo { created_at })
        })
        .await
    }

    async fn list_objects(
        &self,
        container: &str,
        _: CallContext,
    ) -> Result<ObjectNames, BlobError> {
        let container = container.to_owned();
        let listing = self.blocking(move |this| {
            this.found_container(&container)?;
            let top = this.container(&container);
            let entries = fs::read_dir(&top).map_err(|why| failed(&container, &why))?;
            Ok(Listing {
                open: vec![(String::new(), entries)],
            })
        });
        let listing = listing.await?;
        // A thread is taken for some names at a time, and not for as long as somebody reads them.
        let names = stream::unfold(Some(listing), |listing| async move {
            let mut listing = listing?;
            let some = spawn_blocking(move || {
                let some = listing.some();
                (some, listing)
            });
            match some.await {
                Ok((Ok(some), _)) if some.is_empty() => None,
                Ok((Ok(some), listing)) => Some((Ok(some), Some(listing))),
                Ok((Err(why), _)) => Some((Err(failed("the container", &why)), None)),
                Err(why) => {
                    let error = BlobError::new(BlobErrorKind::Internal, why.to_string());
                    Some((Err(error), None))
                }
            }
        });
        Ok(Box::pin(names))
    }

    async fn has_object(&self, id: &ObjectId, _: CallContext) -> Result<bool, BlobError> {
        let id = id.clone();
        self.blocking(move |this| match this.found(&id) {
            Ok(_) => Ok(true),
            Err(error) if error.kind == BlobErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        })
        .await
    }

    async fn object_info(&self, id: &ObjectId, _: CallContext) -> Result<ObjectInfo, BlobError> {
        let id = id.clone();
        self.blocking(move |this| {
            let (_, found) = this.found(&id)?;
            Ok(ObjectInfo {
                created_at: created(&found),
                size: found.len(),
            })
        })
        .await
    }

    async fn delete_objects(
        &self,
        container: &str,
        objects: Vec<String>,
        _: CallContext,
    ) -> Result<(), BlobError> {
        let container = container.to_owned();
        self.blocking(move |this| {
            this.found_container(&container)?;
            (objects.iter()).try_for_each(|object| this.delete(&container, object))
        })
        .await
    }

    async fn copy_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        _: CallContext,
    ) -> Result<(), BlobError> {
        let (from, to) = (from.clone(), to.clone());
        self.blocking(move |this| {
            let (path, _) = this.found(&from)?;
            this.found_container(&to.container)?;
            let copy = this.temporary();
            fs::copy(path, &copy.0)
                .and_then(|_| fs::File::open(&copy.0)?.sync_all())
                .map_err(|why| failed(&from.object, &why))?;
            this.give_name(&copy.0, &to)
        })
        .await
    }

    async fn move_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        _: CallContext,
    ) -> Result<(), BlobError> {
        let (from, to) = (from.clone(), to.clone());
        self.blocking(move |this| {
            let (path, _) = this.found(&from)?;
            this.found_container(&to.container)?;
            if from == to {
                return Ok(());
            }
            this.give_name(&path, &to)?;
            // Its folder may have become empty; its name is another's now, or nobody's.
            this.delete_empty(&from);
            Ok(())
        })
        .await
    }

    async fn read(
        &self,
        id: &ObjectId,
        range: Range<u64>,
        _: CallContext,
    ) -> Result<Blob, BlobError> {
        let asked = id.clone();
        let opened = self.blocking(move |this| {
            let (path, _) = this.found(&asked)?;
            // The object may have been replaced meanwhile: the file that was opened is the one that is read.
            Opened::at(&path, &range).map_err(|why| match is_nowhere(&why) {
                true => BlobError::no_object(&asked),
                false => failed(&asked.object, &why),
            })
        });
        let opened = opened.await?;
        Ok(Blob {
            size: opened.size,
            body: opened.body(id.object.clone()),
        })
    }

    async fn write(&self, id: &ObjectId, body: Body, _: CallContext) -> Result<Written, BlobError> {
        let asked = id.clone();
        let made = self.blocking(move |this| {
            this.found_container(&asked.container)?;
            let upload = this.temporary();
            let file =
                fs::File::create_new(&upload.0).map_err(|why| failed(&asked.object, &why))?;
            Ok((upload, file))
        });
        let (upload, file) = made.await?;
        let (this, id) = (self.clone(), id.clone());
        Ok(Box::pin(async move {
            fill(File::from_std(file), body, &id.object).await?;
            this.blocking(move |this| this.give_name(&upload.0, &id))
                .await
        }))
    }
}

/// Writes a body to a file, and waits until the disk has it.
async fn fill(mut file: File, mut body: Body, object: &str) -> Result<(), BlobError> {
    let not_written = |why: io::Error| failed(object, &why);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| BlobError::broke_off(&why))?;
        let data = frame.into_data().unwrap_or_default();
        file.write_all(&data).await.map_err(not_written)?;
    }
    file.flush().await.map_err(not_written)?;
    file.sync_all().await.map_err(not_written)
}

/// A file of which a part is to be read.
struct Opened {
    /// How many bytes the part has.
    size: u64,
    /// The first piece of it. Who opens a file is where files block, and most objects are no larger.
    first: Bytes,
    /// At what comes behind that piece.
    file: fs::File,
}

impl Opened {
    fn at(path: &Path, range: &Range<u64>) -> io::Result<Self> {
        let mut file = fs::File::open(path)?;
        let range = within(range, file.metadata()?.len());
        file.seek(io::SeekFrom::Start(range.start))?;
        let size = range.end - range.start;
        let mut first = Vec::new();
        let piece = size.min(PIECE as u64);
        (&file).take(piece).read_to_end(&mut first)?;
        Ok(Self {
            size,
            first: first.into(),
            file,
        })
    }

    /// The part, as a body.
    fn body(self, object: String) -> Body {
        let rest = self.size - self.first.len() as u64;
        let rest = File::from_std(self.file).take(rest);
        let rest = stream::unfold(Some((rest, object)), |state| async move {
            let (mut file, object) = state?;
            let mut piece = BytesMut::with_capacity(PIECE);
            match file.read_buf(&mut piece).await {
                Ok(0) => None,
                Ok(_) => Some((Ok(Frame::data(piece.freeze())), Some((file, object)))),
                Err(why) => Some((Err(HttpError::from(failed(&object, &why))), None)),
            }
        });
        let first = (!self.first.is_empty()).then_some(Ok(Frame::data(self.first)));
        StreamBody::new(stream::iter(first).chain(rest)).boxed_unsync()
    }
}

/// A container as it is listed: the folders that are open, each with its part of the names.
struct Listing {
    open: Vec<(String, fs::ReadDir)>,
}

impl Listing {
    /// The next names; none at the end.
    fn some(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        while names.len() < NAMES
            && let Some((prefix, entries)) = self.open.last_mut()
        {
            let Some(entry) = entries.next().transpose()? else {
                self.open.pop();
                continue;
            };
            // A name that is no text was not written by a component.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.starts_with(OWN) {
                continue;
            }
            let name = format!("{prefix}{name}");
            let ty = entry.file_type()?;
            if ty.is_dir() {
                match fs::read_dir(entry.path()) {
                    Ok(entries) => self.open.push((format!("{name}/"), entries)),
                    Err(why) if is_nowhere(&why) => {}
                    Err(why) => return Err(why),
                }
            } else if ty.is_file() {
                names.push(name);
            }
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use withe_provider::HttpErrorKind;
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

    async fn store() -> (tempfile::TempDir, FolderStore) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some/where");
        let store = FolderStore::open(path.to_str().unwrap()).unwrap();
        store.create_container("pets", context()).await.unwrap();
        (folder, store)
    }

    async fn write(store: &FolderStore, object: &str) -> Result<(), BlobError> {
        let body = body_of(object.to_owned());
        store.write(&id(object), body, context()).await?.await
    }

    fn uploads(store: &FolderStore) -> usize {
        fs::read_dir(store.root.join(UPLOADS)).unwrap().count()
    }

    #[test]
    fn folders_of_a_name_do_not_bring_a_container_back() {
        let root = tempfile::tempdir().unwrap();
        let cats = root.path().join("cats");
        let gone = make_folders(&cats, &cats.join("a/b")).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
        fs::create_dir(&cats).unwrap();
        for _ in 0..2 {
            make_folders(&cats, &cats.join("a/b")).unwrap();
        }
        make_folders(&cats, &cats).unwrap();
        sync_up_to(&cats, &cats.join("a/b")).unwrap();
        fs::write(cats.join("file"), "").unwrap();
        assert!(make_folders(&cats, &cats.join("file/b")).is_err());
    }

    #[tokio::test]
    async fn objects_are_files_and_leave_nothing_behind() {
        let (_folder, store) = store().await;
        write(&store, "a/b/cat").await.unwrap();
        let file = store.root.join("pets/a/b/cat");
        assert_eq!(fs::read(&file).unwrap(), b"a/b/cat");
        store
            .move_object(&id("a/b/cat"), &id("c/cat"), context())
            .await
            .unwrap();
        assert!(!store.root.join("pets/a").exists());
        let gone = vec!["c/cat".to_owned(), "none".into()];
        store.delete_objects("pets", gone, context()).await.unwrap();
        assert_eq!(fs::read_dir(store.root.join("pets")).unwrap().count(), 0);
        let error = HttpError::new(HttpErrorKind::Handler, "it trapped");
        let broken = StreamBody::new(stream::iter([
            Ok(Frame::data("half".into())),
            Err::<Frame<bytes::Bytes>, _>(error),
        ]));
        let cat = id("cat");
        let written = store.write(&cat, broken.boxed_unsync(), context());
        let why = written.await.unwrap().await.unwrap_err();
        assert_eq!(why.kind, BlobErrorKind::Incomplete);
        let dropped = store.write(&id("cat"), body_of("x"), context()).await;
        assert_eq!(uploads(&store), 1);
        drop(dropped);
        assert_eq!(uploads(&store), 0);
        assert!(!store.has_object(&id("cat"), context()).await.unwrap());
    }

    #[tokio::test]
    async fn a_part_is_read_whole_wherever_its_pieces_end() {
        let (_folder, store) = store().await;
        let all: Vec<u8> = (0..2 * PIECE + 3).map(|n| (n % 251) as u8).collect();
        let cat = id("cat");
        let written = store.write(&cat, body_of(all.clone()), context());
        written.await.unwrap().await.unwrap();
        for (start, end) in [
            (0, all.len()),
            (0, PIECE),
            (0, PIECE + 1),
            (1, PIECE),
            (5, 5),
            (PIECE - 1, 2 * PIECE + 1),
            (all.len() - 1, all.len()),
            (all.len(), all.len()),
        ] {
            let blob = store.read(&cat, start as u64..end as u64, context());
            let blob = blob.await.unwrap();
            assert_eq!(blob.size, (end - start) as u64);
            let read = blob.body.collect().await.unwrap().to_bytes();
            assert!(read == all[start..end], "{start}..{end}");
        }
    }

    #[tokio::test]
    async fn a_name_is_a_file_or_a_folder() {
        let (_folder, store) = store().await;
        write(&store, "a").await.unwrap();
        for name in ["a/b", "a/b/c"] {
            let why = write(&store, name).await.unwrap_err();
            assert_eq!(why.kind, BlobErrorKind::Invalid, "{why}");
            assert!(!store.has_object(&id(name), context()).await.unwrap());
        }
        write(&store, "b/c").await.unwrap();
        let why = write(&store, "b").await.unwrap_err();
        assert!(why.message.contains("`a` is a file or has `a/b`"), "{why}");
        assert_eq!(uploads(&store), 0);
    }

    #[tokio::test]
    async fn links_lead_nowhere() {
        let (folder, store) = store().await;
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "s3cret").unwrap();
        let pets = store.root.join("pets");
        std::os::unix::fs::symlink(&outside, pets.join("out")).unwrap();
        std::os::unix::fs::symlink(outside.join("secret"), pets.join("file")).unwrap();
        std::os::unix::fs::symlink(&outside, store.root.join("cows")).unwrap();
        for name in ["out/secret", "file", "out/new"] {
            let read = store.read(&id(name), 0..9, context()).await;
            assert_eq!(read.unwrap_err().kind, BlobErrorKind::Denied, "{name}");
            let why = write(&store, name).await.unwrap_err();
            assert_eq!(why.kind, BlobErrorKind::Denied, "{name}");
        }
        assert!(!store.container_exists("cows", context()).await.unwrap());
        let names: Vec<_> = store
            .list_objects("pets", context())
            .await
            .unwrap()
            .collect()
            .await;
        assert_eq!(names, []);
        store.delete_container("pets", context()).await.unwrap();
        assert!(outside.join("secret").exists());
    }

    #[test]
    fn what_was_left_long_ago_is_swept_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let store = FolderStore::open(path).unwrap();
        let uploads = store.root.join(UPLOADS);
        fs::create_dir(uploads.join("removed")).unwrap();
        fs::write(uploads.join("removed/x"), "x").unwrap();
        fs::write(uploads.join("old"), "x").unwrap();
        fs::write(uploads.join("new"), "x").unwrap();
        let long_ago = SystemTime::now() - 2 * OLD;
        for name in ["old", "removed"] {
            fs::File::open(uploads.join(name))
                .unwrap()
                .set_modified(long_ago)
                .unwrap();
        }
        FolderStore::open(path).unwrap();
        let left: Vec<_> = fs::read_dir(&uploads)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left, ["new"]);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().join("x");
        let why = FolderStore::open(path.to_str().unwrap()).unwrap_err();
        assert!(why.to_string().contains("(`root`) cannot be used"), "{why}");
    }
}
