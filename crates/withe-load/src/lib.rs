//! Reads applications: from a manifest, or files named on the command line, to what the linker is given.
//!
//! ```text
//! manifest ─ withe-manifest ─→ Application ─┐
//! its images ─ file ─ artifact ─→ LoadedPart ┴─→ Loaded ─ link ─→ plan and diagnostics
//! ```
//!
//! Files are read here, and nowhere behind it. All that is wrong, in the manifest's text, with its images, or with
//! its links, comes back in one list of diagnostics.
//!
//! * `loaded`: an application that was read, and how it is linked; [`options`]: what both are told.
//! * [`artifact`]: one component's file, or what it is instead; `image`: what a manifest calls an image;
//!   `artifacts`: what is equal is read once.
//! * `pulled`: images that are in registries.
//! * `program`: a provider's executable; `ask`: what it says of itself and of its configuration.
//! * [`registry`]: the first-party providers and the names they are asked for by.
//! * `v1_part`: a part of wasmCloud v1; `wasmcloud`: how it is recognised, and what it exports and imports.
//! * `save`: all that was read in one folder, so that it can be linked again elsewhere.
//! * [`arguments`]: an application made of files and options of the command line, and its manifest.
//! * [`codes`]: the codes of what can be wrong with files; `error`: why there is no manifest at all.

pub mod arguments;
pub mod artifact;
mod artifacts;
mod ask;
pub mod codes;
mod component_config;
mod error;
mod file;
mod image;
mod loaded;
pub mod options;
mod program;
mod pulled;
mod refusal;
pub mod registry;
mod save;
mod v1_part;
mod wasmcloud;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use withe_linker::Diagnostics;
use withe_linker::diagnostic::CodeInfo;
use withe_linker::input::Application;
use withe_manifest::{Parsed, mask};
use withe_oci::{Content, Locking, Reference, Wanted};

pub use arguments::{Arguments, Assumed};
pub use artifact::{Artifact, ArtifactError};
pub use ask::{AskError, describe};
pub use error::{LoadError, PulledApplicationError};
pub use file::{FileError, FileUse, is_manifest};
pub use loaded::{Loaded, LoadedPart, PartSource, ProviderSource, ReadComponent, SourceText};
pub use options::{LinkOptions, Supplied, SuppliedProgram};
pub use program::ProviderProgram;
pub use pulled::PulledFile;
pub use registry::{Locks, Registry, RegistryError};
pub use save::{SaveError, save};
pub use v1_part::{V1Part, V1Source};
pub use wasmcloud::is_archive;

use artifacts::Artifacts;
use image::{Images, Resolved};
use pulled::PulledImages;

/// Every code that loading reports, with its meaning.
pub const CODES: &[CodeInfo] = codes::CODES;

/// Reads the application of the manifest `path`. Paths in it are relative to its folder.
///
/// # Errors
///
/// If there is no manifest to read. Anything wrong in the manifest, or with what it names, is a
/// diagnostic.
pub fn load(path: &Path, registry: &Registry) -> Result<Loaded, LoadError> {
    let text = manifest_text(path)?;
    let parsed = withe_manifest::parse(&text);
    let source = SourceText {
        path: path.into(),
        text,
    };
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut reading = Reading::new(source, folder, parsed.diagnostics);
    reading.files.push(path.into());
    reading.lock = Some(path.into());
    if let Some(application) = parsed.application {
        reading.read(application, registry, None);
    }
    Ok(reading.loaded())
}

/// Reads an application that is in a registry as a whole. Paths in it that are not those of its own images, such as the
/// files of providers, are relative to the current folder.
///
/// # Errors
///
/// If it cannot be pulled, or is something else.
pub fn load_pulled(
    reference: &Reference,
    registry: &Registry,
) -> Result<Loaded, PulledApplicationError> {
    let text = reference.to_string();
    let Some(remote) = registry.remote() else {
        return Err(PulledApplicationError::NothingPulls(text));
    };
    let failed = |why| PulledApplicationError::Pull {
        reference: text.clone(),
        why,
    };
    let wanted = Wanted {
        reference: reference.clone(),
        locking: Locking::Unlocked,
    };
    let mut results = remote.images.pull(&[wanted]);
    let pulled = results.pop().transpose().map_err(failed)?;
    let Some(Content::Application { manifest, files }) = pulled.map(|pulled| pulled.content) else {
        return Err(PulledApplicationError::NoApplication(text));
    };
    let images = remote.images.unpack(&files).map_err(failed)?;
    let parsed = withe_manifest::parse(&manifest);
    let source = SourceText {
        path: format!("oci://{reference}").into(),
        text: manifest,
    };
    let mut reading = Reading::new(source, PathBuf::new(), parsed.diagnostics);
    reading.images = Some(images);
    if let Some(application) = parsed.application {
        reading.read(application, registry, None);
    }
    Ok(reading.loaded())
}

/// Makes an application of a manifest that was `parsed`, with components that were read elsewhere.
pub fn load_supplied(
    source: SourceText,
    parsed: Parsed,
    folder: &Path,
    supplied: &Supplied,
    registry: &Registry,
) -> Loaded {
    let mut reading = Reading::new(source, folder.to_owned(), parsed.diagnostics);
    if let Some(application) = parsed.application {
        reading.read(application, registry, Some(supplied));
    }
    reading.loaded()
}

/// Reads the application that runs the component `root` with the components `others` to
/// link to: its imports, and theirs, go to whichever of `others` exports what they need. The first
/// component of the application is `root`.
pub fn load_files(root: &Path, others: &[PathBuf], registry: &Registry) -> Loaded {
    let arguments = Arguments {
        component: root.into(),
        links: others.into(),
        ..Arguments::default()
    };
    load_arguments(&arguments, registry).0
}

/// Reads the application that `arguments` say, without a manifest: [`Loaded::manifest`] is the one that says the same.
/// Returns also what was linked that nobody named. The first component of the application is the one that is given
/// to be run.
///
/// Nothing in it has a place: diagnostics say of it what they would of a manifest, and what to do on the command line.
pub fn load_arguments(arguments: &Arguments, registry: &Registry) -> (Loaded, Vec<Assumed>) {
    let source = SourceText {
        path: arguments.component.clone(),
        text: String::new(),
    };
    let mut reading = Reading::new(source, PathBuf::new(), Diagnostics::default());
    reading.read(arguments::application(arguments), registry, None);
    let mut assumed = Vec::new();
    if let Some(mut application) = reading.application.take() {
        let known = application.components.len();
        assumed = arguments::add_providers(&mut application, &reading.parts, arguments, registry);
        reading.read_on(&mut application, known, registry, None);
        arguments::add_links(&mut application, &reading.parts, arguments);
        reading.written = Some(withe_manifest::write(&application));
        reading.application = Some(application);
    }
    (reading.loaded(), assumed)
}

/// An application that is being read.
struct Reading {
    source: SourceText,
    written: Option<String>,
    folder: PathBuf,
    /// The folder that the paths of images are relative to, if that is another one.
    images: Option<PathBuf>,
    /// The manifest, if it is a file that may have a lock beside it.
    lock: Option<PathBuf>,
    pulled: HashMap<String, PulledFile>,
    application: Option<Application>,
    parts: Vec<LoadedPart>,
    diagnostics: Diagnostics,
    files: Vec<PathBuf>,
}

impl Reading {
    fn new(mut source: SourceText, folder: PathBuf, diagnostics: Diagnostics) -> Self {
        let shown = match mask::shown(&source.text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(shown) => Some(shown),
        };
        let written = shown.map(|shown| std::mem::replace(&mut source.text, shown));
        Self {
            source,
            written,
            folder,
            images: None,
            lock: None,
            pulled: HashMap::new(),
            application: None,
            parts: Vec::new(),
            diagnostics,
            files: Vec::new(),
        }
    }

    /// Reads every image of `application`.
    fn read(
        &mut self,
        mut application: Application,
        registry: &Registry,
        supplied: Option<&Supplied>,
    ) {
        self.read_on(&mut application, 0, registry, supplied);
        self.application = Some(application);
    }

    /// Reads the images of the components of `application` from the one at `first` on; those before it were read.
    fn read_on(
        &mut self,
        application: &mut Application,
        first: usize,
        registry: &Registry,
        supplied: Option<&Supplied>,
    ) {
        let mut images = Images {
            folder: self.images.as_deref().unwrap_or(&self.folder),
            is_pulled: self.images.is_some(),
            registry,
            supplied,
            artifacts: Artifacts::default(),
            pulled: PulledImages::of_manifest(self.lock.as_deref()),
            diagnostics: &mut self.diagnostics,
            files: &mut self.files,
        };
        images.read_ahead(&application.components[first..]);
        // The exports of a part of wasmCloud v1 are known when all other parts are.
        let mut of_wasmcloud = Vec::new();
        for (place, component) in application.components.iter_mut().enumerate().skip(first) {
            self.parts.push(match images.resolve(component) {
                Resolved::Part(part) => part,
                Resolved::V1(source) => {
                    of_wasmcloud.push((place, source));
                    LoadedPart::unavailable()
                }
            });
        }
        self.pulled.extend(images.pulled.into_files());
        wasmcloud::resolve(application, &mut self.parts, of_wasmcloud);
    }

    fn loaded(mut self) -> Loaded {
        self.diagnostics.sort();
        let components = self.application.iter().flat_map(|app| &app.components);
        let by_name: HashMap<_, _> = components
            .enumerate()
            .map(|(place, component)| (component.name.value.clone(), place))
            .collect();
        Loaded {
            source: self.source,
            written: self.written,
            folder: self.folder,
            images: self.images,
            pulled: self.pulled,
            application: self.application.map(Arc::new),
            parts: self.parts,
            diagnostics: self.diagnostics,
            files: self.files,
            by_name,
            linked: Mutex::default(),
        }
    }
}

fn manifest_text(path: &Path) -> Result<String, LoadError> {
    let bytes = file::read(path, FileUse::Manifest).map_err(LoadError::File)?;
    if bytes.starts_with(b"\0asm") {
        return Err(LoadError::Wasm(path.into()));
    }
    String::from_utf8(bytes).map_err(|_| LoadError::NotText(path.into()))
}

#[cfg(test)]
mod tests;
