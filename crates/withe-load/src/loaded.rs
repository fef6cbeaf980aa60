//! An application that was read.
//!
//! Reading and linking are apart: an application is read once, and linked for each placement of its parts that
//! somebody asks about. The last answer is kept, so that checking an application and then running it with the same
//! placement links it once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use withe_linker::input::{Application, Inputs, Part};
use withe_linker::{Diagnostics, LinkOutcome};
use withe_provider::Descriptor;
use withe_wit::World;

use crate::options::LinkOptions;
use crate::program::ProviderProgram;
use crate::pulled::PulledFile;
use crate::v1_part::{V1Part, V1Source};

/// A text that diagnostics point into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Its text; empty if there is no manifest. The text of an application that was read is
    /// [as it is shown](withe_manifest::mask::shown): without secret values.
    pub text: String,
}

/// An application that was read.
#[derive(Debug)]
pub struct Loaded {
    /// The text that diagnostics point into.
    pub source: SourceText,
    /// The manifest's text, where it is not its source's: it has secret values, or was made from arguments.
    pub(crate) written: Option<String>,
    /// The folder that relative paths in the application are relative to: the manifest's, or empty,
    /// which stands for the current one, where there is no manifest.
    pub folder: PathBuf,
    /// The folder that the paths of images are relative to, if it is another one.
    pub(crate) images: Option<PathBuf>,
    /// The images that were pulled from registries, by the reference.
    pub(crate) pulled: HashMap<String, PulledFile>,
    /// The declared application; `None` if the manifest could not be understood at all.
    pub application: Option<Arc<Application>>,
    /// The application's components as they were read, in the same order.
    pub parts: Vec<LoadedPart>,
    /// Everything that is wrong with, or worth knowing of, the manifest and the files.
    pub diagnostics: Diagnostics,
    /// Every file that was read, or looked for: when one of them changes, the application may.
    pub files: Vec<PathBuf>,
    pub(crate) by_name: HashMap<String, usize>,
    /// The options of the last linking, and its outcome.
    pub(crate) linked: Mutex<Option<(LinkOptions, Arc<LinkOutcome>)>>,
}

/// One part of an application as it was read.
#[derive(Clone, Debug)]
pub struct LoadedPart {
    /// The linker's view of it.
    pub input: Part,
    /// The source that runs.
    pub source: PartSource,
}

/// A component that was read.
#[derive(Clone, Copy, Debug)]
pub struct ReadComponent<'a> {
    /// Its imports and exports.
    pub world: &'a Arc<World>,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: &'a str,
    /// Its bytes.
    pub bytes: &'a Arc<[u8]>,
}

/// The source of a part that runs.
#[derive(Clone, Debug)]
pub enum PartSource {
    /// The bytes of a component.
    Component(Arc<[u8]>),
    /// A provider.
    Provider(ProviderSource),
    /// Nothing: it could not be read, and a diagnostic says why.
    Unavailable,
}

/// A provider, and how it is to run.
#[derive(Clone, Debug)]
pub enum ProviderSource {
    /// One that comes with the host, and runs in it.
    InHost(Descriptor),
    /// One that comes with the host, as a process of its own.
    OwnProcess(Descriptor),
    /// A program.
    Program(Arc<ProviderProgram>),
    /// One of wasmCloud v1.
    V1(Arc<V1Part>),
}

impl ProviderSource {
    /// Whether it is the same provider, to be run in the same way.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::InHost(a), Self::InHost(b)) | (Self::OwnProcess(a), Self::OwnProcess(b)) => {
                a.name == b.name
            }
            (Self::Program(a), Self::Program(b)) => a == b,
            (Self::V1(a), Self::V1(b)) => a == b,
            _ => false,
        }
    }

    /// Whether the values of a configuration key, in lower case, are paths of files.
    pub fn is_path(&self, key: &str) -> bool {
        match self {
            Self::InHost(descriptor) | Self::OwnProcess(descriptor) => {
                descriptor.paths.contains(&key)
            }
            Self::Program(program) => program.description.paths.iter().any(|path| path == key),
            Self::V1(_) => false,
        }
    }

    /// The provider's own file, if it runs from one: a program, or an archive of wasmCloud v1.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Program(program) => Some(&program.path),
            Self::V1(part) => match &part.source {
                V1Source::Archive(path, _) => Some(path),
                V1Source::Lattice(_) => None,
            },
            Self::InHost(_) | Self::OwnProcess(_) => None,
        }
    }
}

impl LoadedPart {
    /// One that could not be read.
    pub(crate) fn unavailable() -> Self {
        Self {
            input: Part::Unavailable,
            source: PartSource::Unavailable,
        }
    }

    /// The component that it is.
    pub fn component(&self) -> Option<ReadComponent<'_>> {
        match (&self.input, &self.source) {
            (Part::Component { world, digest, .. }, PartSource::Component(bytes)) => {
                Some(ReadComponent {
                    world,
                    digest,
                    bytes,
                })
            }
            _ => None,
        }
    }

    /// The provider that it is.
    pub fn provider(&self) -> Option<&ProviderSource> {
        match &self.source {
            PartSource::Provider(provider) => Some(provider),
            _ => None,
        }
    }
}

impl Loaded {
    /// The part of this name.
    pub fn part(&self, name: &str) -> Option<&LoadedPart> {
        self.parts.get(*self.by_name.get(name)?)
    }

    /// All parts with their names, in the manifest's order.
    pub fn named_parts(&self) -> impl Iterator<Item = (&str, &LoadedPart)> {
        let components = self.application.iter().flat_map(|app| &app.components);
        components
            .zip(&self.parts)
            .map(|(component, part)| (component.name.as_str(), part))
    }

    /// The images that were pulled from registries, by the reference.
    pub fn pulled(&self) -> impl Iterator<Item = (&str, &PulledFile)> {
        let pulled = self.pulled.iter();
        pulled.map(|(reference, file)| (reference.as_str(), file))
    }

    /// The manifest's text as it was written, with secret values; of an application that was made from arguments, the
    /// manifest that says the same.
    pub fn manifest(&self) -> &str {
        self.written.as_ref().unwrap_or(&self.source.text)
    }

    /// The application's name; empty if nothing could be understood of the manifest.
    pub fn name(&self) -> &str {
        let application = self.application.as_ref();
        application.map_or("", |application| application.name.as_str())
    }

    /// Links it: the plan, unless something is wrong with the manifest, the files or the links, and everything that
    /// is wrong or worth knowing, in reading order.
    pub fn link(&self, options: &LinkOptions) -> Arc<LinkOutcome> {
        // Nothing panics while the lock is held but the linker, whose answer then is not kept.
        let mut last = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((same, linked)) = &*last
            && same == options
        {
            return linked.clone();
        }
        let linked = Arc::new(self.link_anew(options));
        *last = Some((options.clone(), linked.clone()));
        linked
    }

    fn link_anew(&self, options: &LinkOptions) -> LinkOutcome {
        let mut diagnostics = self.diagnostics.clone();
        let linked = self.application.as_ref().map(|application| {
            withe_linker::link(&Inputs {
                application: application.clone(),
                parts: self.parts.iter().map(|part| part.input.clone()).collect(),
                host: options.host.clone(),
                called: options.called.clone(),
                defaults: options.defaults.clone(),
                placement: options.placement.clone(),
            })
        });
        let mut plan = None;
        if let Some(linked) = linked {
            diagnostics.extend(linked.diagnostics.0);
            // The linker does not know the problems of the manifest and the images.
            plan = linked.plan.filter(|_| !diagnostics.has_errors());
        }
        diagnostics.sort();
        LinkOutcome { plan, diagnostics }
    }
}
