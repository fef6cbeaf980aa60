//! All inputs of a link in one folder, so that it can be run again elsewhere: to report a fault, for example.
//!
//! The manifest is kept as it is written, but for the paths of images, which lead into the folder. Nothing is put
//! into an archive: the folder is what `withe` takes. Secret values are left out, for such a folder is made to be given to
//! others.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use withe_linker::Span;
use withe_linker::input::{Application, Image, Spanned};
use withe_manifest::mask;
use withe_oci::{FileKind, Reference};

use crate::artifact::digest;
use crate::image::joined;
use crate::loaded::Loaded;
use crate::pulled::PulledFile;

/// The folder of the files that images are, in the one that everything is saved to.
const IMAGES: &str = "images";
/// The manifest of an application that was made from arguments.
const MADE: &str = "manifest.yaml";
/// How many digits of a digest tell two files of one name apart.
const DIGITS: usize = 8;

/// Why inputs cannot be saved.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be written: {why}", path.display())]
pub struct SaveError {
    /// The file or folder.
    pub path: PathBuf,
    /// The operating system's reason.
    #[source]
    pub why: io::Error,
}

/// Saves the manifest of an application that was read, and every file that its images are, to `folder`; returns the
/// manifest's copy. A file that cannot be read is left out, as it was when the application was read.
///
/// # Errors
///
/// If something cannot be written.
pub fn save(loaded: &Loaded, folder: &Path) -> Result<PathBuf, SaveError> {
    let images = folder.join(IMAGES);
    write(&images, |path| fs::create_dir_all(path))?;
    let mut saving = Saving {
        from: loaded.images.as_deref().unwrap_or(&loaded.folder),
        pulled: &loaded.pulled,
        images,
        saved: HashMap::new(),
        edits: Vec::new(),
    };
    let source = &loaded.source;
    let (name, written, shown) = match &loaded.application {
        // An application made from arguments has a component as its source, and no place to be edited at.
        Some(application) if source.text.is_empty() => {
            let mut copy = Application::clone(application);
            for component in &mut copy.components {
                saving.redirect(&mut component.image.value)?;
            }
            let written = withe_manifest::write(&copy);
            (
                MADE.as_ref(),
                Cow::Owned(written.clone()),
                Cow::Owned(written),
            )
        }
        application => {
            for component in application.iter().flat_map(|app| &app.components) {
                saving.image(&component.image)?;
            }
            // An image in a registry has no file's name.
            let name = source.path.file_name().filter(|_| loaded.images.is_none());
            let name = name.unwrap_or(MADE.as_ref());
            (name, loaded.manifest().into(), source.text.as_str().into())
        }
    };
    let hidden = mask::edits(&written).into_iter();
    let hidden = hidden.map(|(span, instead)| (span, instead.to_owned()));
    saving.edits.extend(hidden);
    // Every byte has the same place in the manifest's text, and what is edited is not there as it is shown.
    let text = saving.edited(&shown);
    let manifest = folder.join(name);
    write(&manifest, |path| fs::write(path, text))?;
    Ok(manifest)
}

struct Saving<'a> {
    /// The base of the manifest's paths.
    from: &'a Path,
    /// The images that were pulled, by the reference.
    pulled: &'a HashMap<String, PulledFile>,
    images: PathBuf,
    /// The names of the copies, by the files.
    saved: HashMap<PathBuf, String>,
    /// The replacements in the manifest's text, with their places.
    edits: Vec<(Span, String)>,
}

impl Saving<'_> {
    fn image(&mut self, image: &Spanned<Image>) -> Result<(), SaveError> {
        match &image.value {
            Image::Compose(entries) => entries.iter().try_for_each(|entry| self.image(entry)),
            Image::File(path) => {
                let path = joined(self.from, path);
                if let Some(name) = self.file(&path)?
                    && let Some(span) = image.span
                {
                    let path = format!("./{IMAGES}/{name}");
                    self.edits.push((span, format!("{path:?}")));
                }
                Ok(())
            }
            Image::Oci(reference) => {
                if let Some(name) = self.pulled(reference)?
                    && let Some(span) = image.span
                {
                    let path = format!("./{IMAGES}/{name}");
                    self.edits.push((span, format!("{path:?}")));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Has an image be the copies of its files.
    fn redirect(&mut self, image: &mut Image) -> Result<(), SaveError> {
        match image {
            Image::Compose(parts) => {
                (parts.iter_mut()).try_for_each(|part| self.redirect(&mut part.value))
            }
            Image::File(path) => {
                if let Some(name) = self.file(&joined(self.from, path))? {
                    *path = format!("./{IMAGES}/{name}");
                }
                Ok(())
            }
            Image::Oci(reference) => {
                if let Some(name) = self.pulled(reference)? {
                    *image = Image::File(format!("./{IMAGES}/{name}"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Saves a file; the name of its copy, if there is a file.
    fn file(&mut self, path: &Path) -> Result<Option<String>, SaveError> {
        if let Some(name) = self.saved.get(path) {
            return Ok(Some(name.clone()));
        }
        let is_file = fs::metadata(path).is_ok_and(|file| file.is_file());
        let Some(bytes) = is_file.then(|| fs::read(path).ok()).flatten() else {
            return Ok(None);
        };
        let part = |part: Option<&std::ffi::OsStr>| {
            part.map(|part| part.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        let digest = digest(&bytes);
        let digits = digits(&digest);
        let name = match part(path.extension()) {
            extension if extension.is_empty() => format!("{}-{digits}", part(path.file_stem())),
            extension => format!("{}-{digits}.{extension}", part(path.file_stem())),
        };
        let copy = self.images.join(&name);
        write(&copy, |to| fs::write(to, &bytes))?;
        // A program has to stay one.
        let permissions = fs::metadata(path).map(|file| file.permissions());
        if let Ok(permissions) = permissions {
            write(&copy, |to| fs::set_permissions(to, permissions))?;
        }
        self.saved.insert(path.to_owned(), name.clone());
        Ok(Some(name))
    }

    /// Saves what was pulled of a reference; the name of its copy, if anything was.
    fn pulled(&mut self, reference: &str) -> Result<Option<String>, SaveError> {
        let Some(file) = self.pulled.get(reference) else {
            return Ok(None);
        };
        let extension = match file.kind {
            FileKind::Component => ".wasm",
            FileKind::Archive => ".par.gz",
            FileKind::Program => "",
        };
        let short = Reference::parse(reference);
        let short = short.as_ref().map_or("image", Reference::short_name);
        let name = format!("{short}-{}{extension}", digits(&file.digest));
        let copy = self.images.join(&name);
        write(&copy, |to| fs::write(to, &file.bytes))?;
        if file.kind == FileKind::Program {
            write(&copy, |to| {
                fs::set_permissions(to, Permissions::from_mode(0o755))
            })?;
        }
        Ok(Some(name))
    }

    /// The manifest's text with the paths of the copies.
    fn edited(mut self, text: &str) -> String {
        self.edits.sort_by_key(|(span, _)| span.start);
        let (mut edited, mut at) = (String::with_capacity(text.len()), 0);
        for (span, path) in &self.edits {
            let Some(kept) = text.get(at..span.start) else {
                continue;
            };
            edited.push_str(kept);
            edited.push_str(path);
            at = span.end;
        }
        edited.push_str(text.get(at..).unwrap_or_default());
        edited
    }
}

/// The digits of a digest that are in a name.
fn digits(digest: &str) -> &str {
    let digits = digest.rsplit(':').next().unwrap_or_default();
    digits.get(..DIGITS).unwrap_or(digits)
}

fn write(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), SaveError> {
    write(path).map_err(|why| SaveError {
        path: path.into(),
        why,
    })
}
