//! From a manifest, or files named on the command line, to linker input and a plan.
//!
//! This is where the linker's files are read; everything behind it is values. All that is wrong, in
//! the manifest's text, with its images, or with its links, comes back in one list of diagnostics.
//!
//! * [`artifact`]: one component's file, or what it is instead.
//! * `program`: a provider's executable.
//! * [`registry`]: the first-party providers and the names they are asked for by.
//! * [`codes`]: the codes of what can be wrong with files.

mod arguments;
pub mod artifact;
pub mod codes;
mod file;
mod image;
mod program;
pub mod registry;
pub(crate) mod wasmcloud;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use withe_linker::diagnostic::CodeInfo;
use withe_linker::input::{Application, Inputs, LinkDefaults, Part, Placement};
use withe_linker::plan::Plan;
use withe_linker::{Diagnostic, Diagnostics};
use withe_provider::process::Description;
use withe_wit::InterfaceName;

pub use crate::provider_source::ProviderProgram;
pub use artifact::{Artifact, ArtifactError};
pub use file::FileError;
pub use registry::{Registry, RegistryError};

use image::Images;
pub use wasmcloud::V1Part;
pub(crate) use wasmcloud::V1Source;

/// Every code that loading reports, with its meaning.
pub const CODES: &[CodeInfo] = codes::CODES;

/// An application that was read and, as far as it is right, linked.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What diagnostics point into.
    pub source: SourceText,
    /// The folder that relative paths in the application are relative to: the manifest's, or empty,
    /// which stands for the current one, where there is no manifest.
    pub folder: PathBuf,
    /// What the linker was given; `None` if the manifest could not be understood at all.
    pub inputs: Option<Inputs>,
    /// For each of the application's components the bytes of its WebAssembly component; `None` for
    /// a provider, and for what could not be read.
    pub bytes: Vec<Option<Arc<[u8]>>>,
    /// The programs of those providers, by name, that are programs of their own.
    pub programs: HashMap<String, Arc<ProviderProgram>>,
    /// The parts, by name, that are of wasmCloud v1.
    pub wasmcloud: BTreeMap<String, Arc<V1Part>>,
    /// The plan; `None` if there are errors.
    pub plan: Option<Plan>,
    /// Everything that is wrong or worth knowing, in reading order.
    pub diagnostics: Diagnostics,
    /// Every file that was read, or looked for: when one of them changes, the application may.
    pub files: Vec<PathBuf>,
}

/// A text that diagnostics point into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Its text; empty if there is no manifest.
    pub text: String,
}

/// What loading needs to know besides the files.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Interfaces that the host gives every component.
    pub host: Vec<InterfaceName>,
    /// Components, by name, that something outside the application calls.
    pub called: Vec<String>,
    /// What links that say nothing get.
    pub defaults: LinkDefaults,
    /// Which of the parts run here.
    pub placement: Placement,
}

/// What of an application was read elsewhere: with it no component's file is read.
#[derive(Clone, Debug, Default)]
pub struct Supplied {
    /// The bytes of components, by the component's name.
    pub components: HashMap<String, Arc<[u8]>>,
    /// The programs of providers, by the provider's name. Those that are not here are looked for.
    pub programs: HashMap<String, SuppliedProgram>,
}

/// A provider's program that was asked elsewhere what it is.
#[derive(Clone, Debug)]
pub struct SuppliedProgram {
    /// Where it will be before the provider is started.
    pub path: PathBuf,
    /// The digest of its bytes.
    pub digest: String,
    /// What it says of itself; `None` for an archive of wasmCloud v1.
    pub description: Option<Description>,
}

/// Why there is no manifest to speak of.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error(transparent)]
    File(FileError),
    /// It is a WebAssembly binary.
    #[error("`{}` is WebAssembly, not a manifest", .0.display())]
    Wasm(PathBuf),
    /// It is no text.
    #[error("`{}` is not a manifest: it is not UTF-8 text", .0.display())]
    NotText(PathBuf),
}

impl LoadError {
    /// It as a diagnostic without a place.
    pub fn diagnostic(&self) -> Diagnostic {
        let (code, help) = match self {
            Self::File(error) => (error.code(), error.help()),
            Self::Wasm(path) => {
                let help = format!(
                    "`withe inspect {}` shows what it imports and exports",
                    path.display()
                );
                (codes::NOT_A_MANIFEST, Some(help))
            }
            Self::NotText(_) => (
                codes::NOT_A_MANIFEST,
                Some("give the application's YAML or JSON file".into()),
            ),
        };
        let mut diagnostic = Diagnostic::error(code, self.to_string());
        diagnostic.help = help;
        diagnostic
    }
}

/// Reads and links the application of the manifest `path`. Paths in it are relative to its folder.
///
/// # Errors
///
/// If there is no manifest to read. Anything wrong in the manifest, or with what it names, is a
/// diagnostic.
pub fn load(path: &Path, registry: &Registry, options: &LoadOptions) -> Result<Loaded, LoadError> {
    let text = manifest_text(path)?;
    let parsed = withe_manifest::parse(&text);
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut loaded = Loaded::new(
        SourceText {
            path: path.into(),
            text,
        },
        folder,
        parsed.diagnostics,
    );
    loaded.files.push(path.into());
    if let Some(application) = parsed.application {
        let (application, parts) = loaded.read(application, registry, None);
        loaded.link(application, parts, options);
    }
    loaded.diagnostics.sort();
    Ok(loaded)
}

/// Links the application of a manifest that was read elsewhere, with its components. `edit` changes what it
/// declares.
///
/// # Errors
///
/// Those of `edit`.
pub fn load_supplied<E>(
    source: SourceText,
    folder: &Path,
    supplied: &Supplied,
    registry: &Registry,
    options: &LoadOptions,
    edit: impl FnOnce(&mut Application) -> Result<(), E>,
) -> Result<Loaded, E> {
    let parsed = withe_manifest::parse(&source.text);
    let mut loaded = Loaded::new(source, folder.to_owned(), parsed.diagnostics);
    if let Some(mut application) = parsed.application {
        edit(&mut application)?;
        let (application, parts) = loaded.read(application, registry, Some(supplied));
        loaded.link(application, parts, options);
    }
    loaded.diagnostics.sort();
    Ok(loaded)
}

/// Reads and links the application that runs the component `root` with the components `others` to
/// link to: its imports, and theirs, go to whichever of `others` exports what they need. The first
/// component of the application is `root`, and it is called from outside.
pub fn load_files(
    root: &Path,
    others: &[PathBuf],
    registry: &Registry,
    options: &LoadOptions,
) -> Loaded {
    let source = SourceText {
        path: root.into(),
        text: String::new(),
    };
    let mut loaded = Loaded::new(source, PathBuf::new(), Diagnostics::default());
    let application = arguments::application(root, others);
    let (mut application, parts) = loaded.read(application, registry, None);
    arguments::add_links(&mut application, &parts);
    let mut options = options.clone();
    options
        .called
        .extend(application.components.first().map(|c| c.name.value.clone()));
    loaded.link(application, parts, &options);
    loaded.diagnostics.sort();
    loaded
}

impl Loaded {
    fn new(source: SourceText, folder: PathBuf, diagnostics: Diagnostics) -> Self {
        Self {
            source,
            folder,
            inputs: None,
            bytes: Vec::new(),
            programs: HashMap::new(),
            wasmcloud: BTreeMap::new(),
            plan: None,
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
    ) -> (Application, Vec<Part>) {
        let mut of_wasmcloud = BTreeMap::new();
        let mut images = Images {
            folder: &self.folder,
            registry,
            supplied,
            programs: &mut self.programs,
            wasmcloud: &mut of_wasmcloud,
            diagnostics: &mut self.diagnostics,
            files: &mut self.files,
        };
        let (mut parts, bytes): (Vec<_>, _) = application
            .components
            .iter_mut()
            .map(|c| images.resolve(c))
            .unzip();
        self.bytes = bytes;
        self.wasmcloud = wasmcloud::resolve(&application, &mut parts, of_wasmcloud);
        (application, parts)
    }

    fn link(&mut self, application: Application, parts: Vec<Part>, options: &LoadOptions) {
        let inputs = Inputs {
            application,
            parts,
            host: options.host.clone(),
            called: options.called.clone(),
            defaults: options.defaults.clone(),
            placement: options.placement.clone(),
        };
        let linked = withe_linker::link(&inputs);
        self.diagnostics.extend(linked.diagnostics);
        // What is wrong with the manifest or an image is not for the linker to know.
        self.plan = linked.plan.filter(|_| !self.diagnostics.has_errors());
        self.inputs = Some(inputs);
    }
}

impl Loaded {
    /// The file of the provider `name`, if it runs as a process of its own.
    pub(crate) fn program(&self, name: &str) -> Option<&Path> {
        let program = self
            .programs
            .get(name)
            .map(|program| program.path.as_path());
        let archive = || match &self.wasmcloud.get(name)?.source {
            V1Source::Archive(path, _) => Some(path.as_path()),
            V1Source::Lattice(_) => None,
        };
        program.or_else(archive)
    }

    /// The plan of the same application with its parts placed otherwise, or what is wrong with it.
    ///
    /// # Errors
    ///
    /// All diagnostics, if there are errors among them.
    pub fn plan_for(&self, placement: Placement) -> Result<Plan, Diagnostics> {
        let Some(inputs) = &self.inputs else {
            return Err(self.diagnostics.clone());
        };
        let linked = withe_linker::link(&Inputs {
            placement,
            ..inputs.clone()
        });
        linked.plan.ok_or(linked.diagnostics)
    }
}

fn manifest_text(path: &Path) -> Result<String, LoadError> {
    let bytes = file::read(path).map_err(LoadError::File)?;
    if bytes.starts_with(b"\0asm") {
        return Err(LoadError::Wasm(path.into()));
    }
    String::from_utf8(bytes).map_err(|_| LoadError::NotText(path.into()))
}

#[cfg(test)]
mod tests;
