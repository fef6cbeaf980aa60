//! The artefacts that references stand for: many at once, each from the cache or from its registry.
//!
//! Reading an application waits for its images, as for its files, so these functions block. The requests themselves run
//! beside each other in a runtime of their own, in a thread of its own: the caller may be in a runtime.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::{fs, io, thread};

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use rustls::ClientConfig;
use tokio::runtime;
use withe_files::TemporaryFolder;
use withe_manifest::reference::Reference;

use crate::artifact::{
    ApplicationFile, Artifact, Content, Described, Descriptor, FileKind, IMAGES, KindError,
    MANIFEST, MOST_BLOB, Manifest,
};
use crate::cache::Cache;
use crate::digest_of;
use crate::document::document;
use crate::error::OciError;
use crate::http::{Http, tls};
use crate::identity::name_of;
use crate::registry::{Access, MOST_MANIFEST, Repository, checked, of_sha256};
use crate::settings::Settings;
use crate::signature::{ImageKey, Search, SignedImage};
use crate::signatures;

/// How many artefacts, and how many layers of each, are pulled at once.
const AT_ONCE: usize = 4;
/// Lists of manifests within lists that are followed.
const NESTED: usize = 3;

/// An event of a pull or a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullEvent {
    /// A registry is asked for a reference.
    Asking {
        /// The reference.
        reference: String,
    },
    /// More bytes of a reference are to come.
    Awaited {
        /// The reference.
        reference: String,
        /// The bytes.
        bytes: u64,
    },
    /// Bytes of a reference arrived.
    Came {
        /// The reference.
        reference: String,
        /// The bytes.
        bytes: u64,
    },
    /// Something was pulled, or pushed.
    Done {
        /// The reference.
        reference: String,
        /// The digest of its manifest.
        digest: String,
        /// The bytes that came from the registry: none if all was in the cache.
        bytes: u64,
    },
    /// A reference is not pulled after all.
    Failed {
        /// The reference.
        reference: String,
    },
}

/// The listener to events.
type Progress = Arc<dyn Fn(PullEvent) + Send + Sync>;

/// The artefacts that references stand for.
pub struct Images {
    settings: Settings,
    progress: Progress,
    /// Opened when something is looked up: a command that pulls nothing makes no folder.
    cache: OnceLock<Option<Cache>>,
    tls: OnceLock<Result<ClientConfig, String>>,
    /// The digests that tags led to: a reference stands for one thing for as long as this lives, whatever becomes of its tag.
    resolved: Mutex<HashMap<(String, Locking), Resolved>>,
    /// Done when keys were warned of that are for nothing.
    idle_keys: Once,
    /// Where programs are that were pulled.
    programs: Mutex<Option<TemporaryFolder>>,
}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The entry of a lock for a reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Locking {
    /// Nothing.
    #[default]
    Unlocked,
    /// The reference had this digest when it was locked. If its tag has moved, or nobody can be asked, that is told.
    Known(String),
    /// The reference has to have this digest.
    Only(String),
    /// The reference has to be locked, and is not.
    Missing,
}

/// Something that is to be pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The artefact's reference.
    pub reference: Reference,
    /// The lock's entry for it.
    pub locking: Locking,
}

/// Something that was pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The digest of its manifest.
    pub digest: String,
    /// The content.
    pub content: Content,
    /// The digest that was locked, if the tag leads elsewhere now.
    pub moved_from: Option<String>,
    /// Why what was locked is used without the registry having been asked.
    pub offline: Option<String>,
    /// The fingerprint of the key that it is signed with, if it had to be signed: the digest of the key's
    /// `SubjectPublicKeyInfo`.
    pub signed_by: Option<String>,
}

/// The manifest that a reference led to.
#[derive(Clone, Debug)]
struct Resolved {
    digest: String,
    moved_from: Option<String>,
    offline: Option<String>,
}

/// Something that was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of its manifest.
    pub digest: String,
    /// The bytes that the registry did not have.
    pub sent: u64,
}

impl Images {
    /// The artefacts of references that are reached by `settings`. `progress` is told what goes on.
    pub fn new(settings: Settings, progress: impl Fn(PullEvent) + Send + Sync + 'static) -> Self {
        Self {
            settings,
            progress: Arc::new(progress),
            cache: OnceLock::new(),
            tls: OnceLock::new(),
            resolved: Mutex::default(),
            idle_keys: Once::new(),
            programs: Mutex::default(),
        }
    }

    /// Pulls all references, and returns the result of each. Blocks.
    pub fn pull(&self, wanted: &[Wanted]) -> Vec<Result<Pulled, OciError>> {
        self.pull_each(wanted, MOST_BLOB)
    }

    /// Pulls a reference none of whose blobs has more than `most` bytes: a larger one is refused before it is asked for. Blocks.
    ///
    /// # Errors
    ///
    /// If it is not there, cannot be had, or is larger.
    pub fn pull_at_most(&self, wanted: Wanted, most: u64) -> Result<Pulled, OciError> {
        let mut results = self.pull_each(&[wanted], most);
        // Each reference has one result.
        results.pop().unwrap_or_else(|| {
            let missing = io::Error::other("a pull has no result");
            Err(OciError::Setup(missing))
        })
    }

    fn pull_each(&self, wanted: &[Wanted], most: u64) -> Vec<Result<Pulled, OciError>> {
        let pulling = || async {
            let each = wanted.iter().map(|wanted| self.pull_one(wanted, most));
            stream::iter(each).buffered(AT_ONCE).collect().await
        };
        let results: Vec<_> = match block_on(pulling) {
            Ok(results) => results,
            Err(error) => {
                let kind = error.kind();
                let failed = |_| Err(OciError::Setup(kind.into()));
                wanted.iter().map(failed).collect()
            }
        };
        if let Some(cache) = self.cache() {
            cache.tidy();
        }
        self.tell_of_idle_keys(wanted);
        results
    }

    /// Warns of keys that are for none of the first images: a pattern with a slip in it checks nothing, and nobody would know.
    fn tell_of_idle_keys(&self, wanted: &[Wanted]) {
        if wanted.is_empty() {
            return;
        }
        self.idle_keys.call_once(|| {
            let names: BTreeSet<_> = wanted.iter().map(|w| name_of(&w.reference)).collect();
            let is_idle = |key: &&ImageKey| !names.iter().any(|name| key.is_for(name));
            for key in self.settings.keys.iter().filter(is_idle) {
                let (pattern, file) = key.option();
                let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                tracing::warn!(
                    "no image that is pulled has to be signed with `{file}`: `{pattern}` does not match {}; a pattern is of the whole \
                     `REGISTRY/REPOSITORY`, and `/*` at its end stands for every repository there",
                    names.join(" or ")
                );
            }
        });
    }

    /// The tags of the repository that a reference names. Blocks.
    ///
    /// # Errors
    ///
    /// If there is no such repository, or its registry cannot be asked.
    pub fn tags(&self, reference: &Reference) -> Result<Vec<String>, OciError> {
        let asking = || async {
            let place = (self.settings).pulled_from(reference.registry(), &reference.repository());
            let docker = self.settings.docker.clone();
            let repository = Repository::new(self.http()?, place, Access::Pull, docker);
            repository.tags().await
        };
        block_on(asking).map_err(OciError::Setup)?
    }

    /// A small document that a server has for everybody at a path, such as one below `/.well-known/`; `None` if it has none. The
    /// server itself is asked, for a mirror has artefacts alone, and without TLS if it is named as such a registry. Blocks.
    ///
    /// # Errors
    ///
    /// If the server cannot be asked, does not let everybody read it, or its document is larger than documents are.
    pub fn document(&self, server: &str, path: &str) -> Result<Option<Vec<u8>>, OciError> {
        let asking = || async {
            let place = self.settings.itself(server, "");
            document(&self.http()?, &place, path).await
        };
        block_on(asking).map_err(OciError::Setup)?
    }

    /// Pushes an artefact. Blocks.
    ///
    /// # Errors
    ///
    /// If the registry does not take it.
    pub fn push(&self, reference: &Reference, artifact: &Artifact) -> Result<Pushed, OciError> {
        let pushing = || async {
            let http = self.http()?;
            let place = (self.settings).itself(reference.registry(), &reference.repository());
            let docker = self.settings.docker.clone();
            let repository = Repository::new(http, place, Access::Push, docker);
            let text = reference.to_string();
            self.tell(PullEvent::Awaited {
                reference: text.clone(),
                bytes: artifact.size(),
            });
            // The first alone: it finds out who one is, for all.
            let (first, others) = artifact.blobs.split_at(artifact.blobs.len().min(1));
            let mut sent = 0;
            for blobs in [first, others] {
                let putting = blobs.iter().map(|(digest, bytes)| {
                    let (repository, text) = (&repository, &text);
                    async move {
                        let is_new = repository.put_blob(digest, bytes.clone()).await?;
                        let bytes = bytes.len() as u64;
                        self.tell(PullEvent::Came {
                            reference: text.clone(),
                            bytes,
                        });
                        Ok::<_, OciError>(if is_new { bytes } else { 0 })
                    }
                });
                let sizes: Vec<u64> = stream::iter(putting)
                    .buffer_unordered(AT_ONCE)
                    .try_collect()
                    .await?;
                sent += sizes.iter().sum::<u64>();
            }
            let digest = artifact.digest();
            let name = reference.tag().unwrap_or(&digest);
            let manifest = artifact.manifest.clone();
            repository.put_manifest(name, MANIFEST, manifest).await?;
            self.tell(PullEvent::Done {
                reference: text,
                digest: digest.clone(),
                bytes: sent,
            });
            Ok(Pushed { digest, sent })
        };
        let pushed = block_on(pushing).map_err(OciError::Setup)?;
        pushed.inspect_err(|_| {
            self.tell(PullEvent::Failed {
                reference: reference.to_string(),
            });
        })
    }

    /// The path of a program, or of an archive of one, which is put there. The file is there until this is dropped.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn program(&self, digest: &str, bytes: &[u8]) -> Result<PathBuf, OciError> {
        // A folder that a panicking holder left behind is still one.
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let put = |programs: &mut Option<TemporaryFolder>| {
            let folder = match programs {
                Some(folder) => folder,
                none => none.insert(TemporaryFolder::new()?),
            };
            let name = digest.strip_prefix("sha256:").unwrap_or(digest);
            let path = folder.path().join(name);
            if !path.exists() {
                write_program(&path, bytes)?;
            }
            io::Result::Ok(path)
        };
        put(&mut programs).map_err(OciError::Write)
    }

    /// The folder that has the files of an application, by their paths. The folder is there until this is dropped.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn unpack(&self, files: &[ApplicationFile]) -> Result<PathBuf, OciError> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let put = |programs: &mut Option<TemporaryFolder>| {
            let folder = match programs {
                Some(folder) => folder,
                none => none.insert(TemporaryFolder::new()?),
            };
            let folder = folder.path().join(format!("{:016x}", fastrand::u64(..)));
            fs::create_dir(&folder)?;
            fs::create_dir(folder.join(IMAGES))?;
            for file in files {
                // The path was looked at when it was read: a name in that folder.
                write_program(&folder.join(&file.path), &file.bytes)?;
            }
            io::Result::Ok(folder)
        };
        put(&mut programs).map_err(OciError::Write)
    }

    async fn pull_one(&self, wanted: &Wanted, most: u64) -> Result<Pulled, OciError> {
        let reference = wanted.reference.to_string();
        match self.pull_told(wanted, &reference, most).await {
            Ok((pulled, bytes)) => {
                let digest = pulled.digest.clone();
                self.tell(PullEvent::Done {
                    reference,
                    digest,
                    bytes,
                });
                Ok(pulled)
            }
            Err(error) => {
                self.tell(PullEvent::Failed { reference });
                Err(error)
            }
        }
    }

    /// Pulls something, and says how many bytes came from the registry.
    async fn pull_told(
        &self,
        wanted: &Wanted,
        text: &str,
        most: u64,
    ) -> Result<(Pulled, u64), OciError> {
        let mut pull = Pull {
            images: self,
            text,
            reference: &wanted.reference,
            most,
            repository: tokio::sync::OnceCell::new(),
        };
        let key = (text.to_owned(), wanted.locking.clone());
        let known = self.resolved().get(&key).cloned();
        let (resolved, mut manifest) = match known {
            Some(known) => {
                let (_, manifest) = pull.by_digest(&known.digest).await?;
                (known, manifest)
            }
            None => self.resolve(&pull, &wanted.locking).await?,
        };
        let signed_by = pull.signed_by(&resolved.digest).await?;
        let mut described = Manifest::read(&manifest)?.described()?;
        for _ in 0..NESTED {
            let Described::Manifest(next) = &described else {
                break;
            };
            (_, manifest) = pull.by_digest(next).await?;
            described = Manifest::read(&manifest)?.described()?;
        }
        let (content, bytes) = pull.content(described).await?;
        self.resolved().insert(key, resolved.clone());
        let Resolved {
            digest,
            moved_from,
            offline,
        } = resolved;
        let pulled = Pulled {
            digest,
            content,
            moved_from,
            offline,
            signed_by,
        };
        Ok((pulled, bytes))
    }

    fn resolved(&self) -> MutexGuard<'_, HashMap<(String, Locking), Resolved>> {
        // A map that a panicking holder left behind is still one.
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest that a reference leads to, with its manifest.
    async fn resolve(
        &self,
        pull: &Pull<'_>,
        locking: &Locking,
    ) -> Result<(Resolved, Vec<u8>), OciError> {
        let as_it_is = |(digest, manifest)| {
            let resolved = Resolved {
                digest,
                moved_from: None,
                offline: None,
            };
            (resolved, manifest)
        };
        // A reference with a digest needs no lock.
        if let Some(digest) = pull.reference.digest() {
            return pull.by_digest(digest).await.map(as_it_is);
        }
        if *locking == Locking::Missing {
            return Err(OciError::NotLocked);
        }
        match (pull.by_tag().await, locking) {
            (Ok((now, _)), Locking::Only(locked)) if now != *locked => Err(OciError::Moved {
                locked: locked.clone(),
                now,
            }),
            (Ok((digest, manifest)), Locking::Known(locked)) => {
                let moved_from = (digest != *locked).then(|| locked.clone());
                let resolved = Resolved {
                    digest,
                    moved_from,
                    offline: None,
                };
                Ok((resolved, manifest))
            }
            (Ok(found), _) => Ok(as_it_is(found)),
            (Err(error), Locking::Known(locked) | Locking::Only(locked)) if error.is_offline() => {
                let Some(manifest) = self.cached(locked, MOST_MANIFEST) else {
                    return Err(error);
                };
                let resolved = Resolved {
                    digest: locked.clone(),
                    moved_from: None,
                    offline: Some(error.to_string()),
                };
                Ok((resolved, manifest))
            }
            (Err(error), _) => Err(error),
        }
    }

    fn cache(&self) -> Option<&Cache> {
        let open = || {
            let opened = Cache::open(self.settings.cache.as_deref()?);
            opened
                .inspect_err(|error| tracing::warn!("nothing that is pulled is kept: {error}"))
                .ok()
        };
        self.cache.get_or_init(open).as_ref()
    }

    fn cached(&self, digest: &str, most: u64) -> Option<Vec<u8>> {
        self.cache()?.get(digest, most)
    }

    fn keep(&self, digest: &str, bytes: &[u8]) {
        if let Some(cache) = self.cache() {
            cache.put(digest, bytes);
        }
    }

    fn tell(&self, event: PullEvent) {
        (self.progress)(event);
    }

    /// The client for requests. Each repository has its own: its connections end with the runtime that they were made in.
    fn http(&self) -> Result<Http, OciError> {
        let tls = self.tls.get_or_init(|| tls().map_err(|e| e.to_string()));
        match tls {
            Ok(tls) => Ok(Http::new(tls.clone())),
            Err(why) => Err(OciError::Setup(io::Error::other(why.clone()))),
        }
    }
}

/// The pulling of one reference.
struct Pull<'a> {
    images: &'a Images,
    text: &'a str,
    reference: &'a Reference,
    /// The most bytes of a blob.
    most: u64,
    repository: tokio::sync::OnceCell<Repository>,
}

impl Pull<'_> {
    /// The repository, when it has to be asked.
    async fn repository(&self) -> Result<&Repository, OciError> {
        let make = || async {
            let images = self.images;
            images.tell(PullEvent::Asking {
                reference: self.text.into(),
            });
            let (registry, repository) = (self.reference.registry(), self.reference.repository());
            let place = images.settings.pulled_from(registry, &repository);
            let docker = images.settings.docker.clone();
            let http = images.http()?;
            Ok(Repository::new(http, place, Access::Pull, docker))
        };
        self.repository.get_or_try_init(make).await
    }

    /// The fingerprint of the key that the image of a digest is signed with, if it has to be signed.
    async fn signed_by(&self, digest: &str) -> Result<Option<String>, OciError> {
        let name = &name_of(self.reference);
        let keys = self.images.settings.keys.iter();
        let keys: Vec<_> = keys.filter(|key| key.is_for(name)).collect();
        if keys.is_empty() {
            return Ok(None);
        }
        let image = SignedImage { name, digest };
        // A signature holds for ever, so that an image in the cache needs no registry, signed or not.
        let cache = self.images.cache();
        let kept = cache.and_then(|cache| cache.signature(digest));
        if let Some(kept) = kept
            && let Ok(Some((_, fingerprint))) = Search::new(&keys, image).look_at(kept)
        {
            return Ok(Some(fingerprint));
        }
        let search = Search::new(&keys, image);
        let (signature, fingerprint) = signatures::fetch(self.repository().await?, search).await?;
        if let Some(cache) = cache {
            cache.put_signature(digest, &signature);
        }
        Ok(Some(fingerprint))
    }

    async fn by_tag(&self) -> Result<(String, Vec<u8>), OciError> {
        // A reference that names no digest names a tag, or means one.
        let tag = self.reference.tag().unwrap_or_default();
        let manifest = self.repository().await?.manifest(tag).await?;
        let digest = digest_of(&manifest);
        self.images.keep(&digest, &manifest);
        Ok((digest, manifest))
    }

    async fn by_digest(&self, digest: &str) -> Result<(String, Vec<u8>), OciError> {
        let digest = of_sha256(digest)?;
        if let Some(manifest) = self.images.cached(&digest, MOST_MANIFEST) {
            return Ok((digest, manifest));
        }
        let manifest = self.repository().await?.manifest(&digest).await?;
        self.images.keep(&digest, &manifest);
        Ok((digest, manifest))
    }

    /// The content that was described, and how many bytes of it came from the registry.
    async fn content(&mut self, described: Described) -> Result<(Content, u64), OciError> {
        match described {
            Described::Manifest(_) => Err(KindError::NoPlatform.into()),
            Described::File(kind, layer) => {
                let (bytes, came) = self.blob(&layer).await?;
                let found = FileKind::of(&bytes);
                let kind = match (kind, found) {
                    (Some(kind), Some(found)) if kind == found => kind,
                    // The component's reader says best what is wrong with one.
                    (Some(FileKind::Component), None) => FileKind::Component,
                    (None, Some(found)) => found,
                    _ => return Err(KindError::Mislabelled(layer.media_type).into()),
                };
                let content = Content::File {
                    kind,
                    digest: layer.digest,
                    bytes,
                };
                Ok((content, came))
            }
            Described::Application(manifest, files) => {
                let (manifest, mut sum) = self.blob(&manifest).await?;
                let manifest = String::from_utf8(manifest.to_vec());
                let manifest = manifest.map_err(|_| KindError::NotText)?;
                let pulling = files.into_iter().map(|(path, kind, layer)| {
                    let pull = &*self;
                    async move {
                        let (bytes, came) = pull.blob(&layer).await?;
                        Ok::<_, OciError>((ApplicationFile { path, kind, bytes }, came))
                    }
                });
                let files: Vec<_> = stream::iter(pulling)
                    .buffered(AT_ONCE)
                    .try_collect()
                    .await?;
                sum += files.iter().map(|(_, came)| came).sum::<u64>();
                let files = files.into_iter().map(|(file, _)| file).collect();
                Ok((Content::Application { manifest, files }, sum))
            }
        }
    }

    /// A blob, and how many bytes of it came from the registry.
    async fn blob(&self, layer: &Descriptor) -> Result<(Bytes, u64), OciError> {
        let digest = of_sha256(&layer.digest)?;
        if layer.size > self.most {
            return Err(OciError::TooLarge {
                what: format!("the blob `{digest}` of `{}`", self.text),
                most: self.most,
            });
        }
        if let Some(bytes) = self.images.cached(&digest, self.most) {
            // Sizes are added up before anything is read, so one that is not true would evade the limit.
            if bytes.len() as u64 != layer.size {
                return Err(OciError::Damaged {
                    what: format!("the blob `{digest}`"),
                    wanted: format!("{} bytes", layer.size),
                    found: format!("{} bytes", bytes.len()),
                });
            }
            return Ok((bytes.into(), 0));
        }
        let repository = self.repository().await?;
        self.images.tell(PullEvent::Awaited {
            reference: self.text.into(),
            bytes: layer.size,
        });
        let seen = |bytes: usize| {
            self.images.tell(PullEvent::Came {
                reference: self.text.into(),
                bytes: bytes as u64,
            });
        };
        let bytes = repository.blob(&digest, layer.size, seen).await?;
        let bytes = checked(bytes, &digest, "a blob")?;
        self.images.keep(&digest, &bytes);
        Ok((bytes.into(), layer.size))
    }
}

/// Writes a program that only this user can run.
fn write_program(path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    // No file of an application is called so.
    let unfinished = path.with_file_name(".unfinished");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o700)
        .open(&unfinished)?;
    file.write_all(bytes)?;
    drop(file);
    fs::rename(&unfinished, path)
}

/// Runs a future to its end in a runtime of its own.
fn block_on<T: Send, F: Future<Output = T>>(future: impl FnOnce() -> F + Send) -> io::Result<T> {
    let run = || {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(runtime.block_on(future()))
    };
    thread::scope(|scope| match scope.spawn(run).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_not_asked_of_a_mirror() {
        let mut shelf = crate::shelf::Shelf::default();
        shelf.put("/.well-known/a", b"{}".to_vec(), None);
        let (place, _) = shelf.serve("");
        let (mirror, asked) = crate::shelf::Shelf::default().serve("");
        let images = Images::new(
            Settings {
                plain_http: vec![place.address.clone(), mirror.address.clone()],
                mirrors: vec![
                    format!("{}={}", place.address, mirror.address)
                        .parse()
                        .unwrap(),
                ],
                ..Settings::default()
            },
            |_| {},
        );
        let document = images.document(&place.address, "/.well-known/a").unwrap();
        assert_eq!(document.unwrap(), b"{}");
        assert!(asked.lock().unwrap().is_empty());
    }

    #[test]
    fn a_program_is_there_until_it_is_removed() {
        use std::os::unix::fs::PermissionsExt as _;

        let images = Images::new(Settings::default(), |_| {});
        let digest = digest_of(b"#!/bin/sh\n");
        let path = images.program(&digest, b"#!/bin/sh\n").unwrap();
        assert_eq!(images.program(&digest, b"#!/bin/sh\n").unwrap(), path);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let file = ApplicationFile {
            path: "images/a.wasm".into(),
            kind: FileKind::Component,
            bytes: Bytes::from_static(b"\0asm"),
        };
        let folder = images.unpack(std::slice::from_ref(&file)).unwrap();
        assert_eq!(fs::read(folder.join(&file.path)).unwrap(), file.bytes);
        drop(images);
        assert!(!path.exists() && !folder.exists());
    }
}
