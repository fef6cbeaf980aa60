//! From a component's `image` to what it is: read, composed, or found among the providers.

use std::collections::BTreeMap;
use std::path::{Component as PathPart, Path, PathBuf};
use std::sync::Arc;

use withe_linker::input::{
    Component, ComponentKind, Image, NamedConfig, Part, ProviderWorld, Spanned,
};
use withe_linker::{Diagnostic, Diagnostics, Span};
use withe_oci::FileKind;

use crate::artifact::{Artifact, digest_of};
use crate::artifacts::Artifacts;
use crate::component_config;
use crate::file::FileUse;
use crate::loaded::{LoadedPart, PartSource, ProviderSource};
use crate::options::{Supplied, SuppliedProgram};
use crate::program::ProviderProgram;
use crate::pulled::{PulledFile, PulledImages};
use crate::refusal::Refusal;
use crate::registry::{Known, Registry};
use crate::v1_part::V1Source;
use crate::{program, wasmcloud};

/// Reads the images of one application.
pub(super) struct Images<'a> {
    /// The base of relative paths.
    pub(super) folder: &'a Path,
    /// Whether the application came from a registry, with its images.
    pub(super) is_pulled: bool,
    /// The providers there are.
    pub(super) registry: &'a Registry,
    /// The parts that were read elsewhere, if there are any.
    pub(super) supplied: Option<&'a Supplied>,
    /// The components that were read so far.
    pub(super) artifacts: Artifacts,
    /// The images that were pulled from registries.
    pub(super) pulled: PulledImages,
    /// The problems so far.
    pub(super) diagnostics: &'a mut Diagnostics,
    /// Every file that was read, or would have been had it been there.
    pub(super) files: &'a mut Vec<PathBuf>,
}

/// An image as it was read.
pub(super) enum Resolved {
    /// All that is to be known of it.
    Part(LoadedPart),
    /// A part of wasmCloud v1, whose world its links say.
    V1(V1Source),
}

impl Resolved {
    fn provider(world: ProviderWorld, source: ProviderSource) -> Self {
        Self::Part(LoadedPart {
            input: Part::Provider(world),
            source: PartSource::Provider(source),
        })
    }

    fn program(world: ProviderWorld, program: ProviderProgram) -> Self {
        Self::provider(world, ProviderSource::Program(Arc::new(program)))
    }
}

impl Images<'_> {
    /// Reads at once what will be read of `components` one by one.
    pub(super) fn read_ahead(&mut self, components: &[Component]) {
        if self.supplied.is_some() {
            return;
        }
        let all = components.iter();
        let of_components = all.clone().filter(|c| c.kind == ComponentKind::Component);
        let paths = of_components.filter_map(|component| match &component.image.value {
            Image::File(path) => Some(joined(self.folder, path)),
            _ => None,
        });
        self.artifacts.read_ahead(paths);
        let mut references = Vec::new();
        for component in all {
            self.to_pull(&component.image, &mut references);
        }
        let Some(remote) = self.registry.remote().filter(|_| !references.is_empty()) else {
            return;
        };
        self.pulled.pull(remote, &references, self.diagnostics);
    }

    /// Adds the references of an image that have to be pulled, each with its place.
    fn to_pull(&self, image: &Spanned<Image>, found: &mut Vec<Spanned<String>>) {
        match &image.value {
            // A bare path without an extension reads as a reference.
            Image::Oci(reference)
                if self.registry.by_image(reference).is_none()
                    && !self.folder.join(reference).is_file() =>
            {
                found.push(Spanned {
                    value: reference.clone(),
                    span: image.span,
                });
            }
            Image::Compose(parts) => parts.iter().for_each(|part| self.to_pull(part, found)),
            _ => {}
        }
    }

    /// Reads the image of `component`; configuration that the image's name implies is put under
    /// the component's own.
    pub(super) fn resolve(&mut self, component: &mut Component) -> Resolved {
        let registry = self.registry;
        let name = component.name.value.clone();
        let span = component.image.span;
        if let Some(program) = self.supplied.and_then(|all| all.programs.get(&name)) {
            let result = supplied_program(program);
            return self.resolved(&name, span, result);
        }
        let supplied = self.supplied.and_then(|all| all.components.get(&name));
        if let Some(outside) = self.outside(&component.image.value) {
            return self.resolved(&name, span, Err(Refusal::Outside(outside)));
        }
        let resolved = match &component.image.value {
            Image::File(path)
                if component.kind == ComponentKind::Provider
                    && self.supplied.is_none_or(|supplied| supplied.runs_programs)
                    && program::is_one(&joined(self.folder, path)) =>
            {
                Some(self.program(path))
            }
            Image::File(_) | Image::Compose(_) if self.supplied.is_some() => Some(match supplied {
                Some(bytes) => self.supplied(component, bytes),
                None => Err(Refusal::NoBytes),
            }),
            Image::File(path)
                if component.kind == ComponentKind::Provider
                    && wasmcloud::is_archive(&joined(self.folder, path)) =>
            {
                let path = joined(self.folder, path);
                self.files.push(path.clone());
                Some(match digest_of(&path) {
                    Ok(digest) => Ok(Resolved::V1(V1Source::Archive(path, digest))),
                    Err(why) => Err(Refusal::Archive { path, why }),
                })
            }
            Image::Lattice(id) if component.kind == ComponentKind::Provider => {
                Some(Ok(Resolved::V1(V1Source::Lattice(id.clone()))))
            }
            Image::Lattice(_) => Some(Err(Refusal::OnLattice)),
            Image::File(path) => self
                .read(&name, path, span, use_of(component))
                .map(|found| Ok(as_component(found))),
            Image::Compose(entries) => self
                .compose(&name, entries, span)
                .map(|found| Ok(as_component(found))),
            Image::Builtin(short) => Some(match registry.by_name(short) {
                Some(known) => as_provider(component, known),
                None => Err(unknown_provider(short, registry)),
            }),
            Image::Oci(reference) => Some(match registry.by_image(reference) {
                Some(known) => as_provider(component, known),
                None if self.supplied.is_some() => match supplied {
                    Some(bytes) => self.supplied(component, bytes),
                    None => Err(Refusal::NoBytes),
                },
                None => self.pulled(component, &reference.clone()),
            }),
            Image::Application { name, component } => Some(Err(Refusal::OtherApplication {
                name: name.clone(),
                component: component.clone(),
            })),
            // The manifest's reader made it `Invalid` and has said why.
            Image::Invalid => None,
        };
        match resolved {
            Some(result) => self.resolved(&name, span, result),
            None => Resolved::Part(LoadedPart::unavailable()),
        }
    }

    /// The file of an image that is not one of those that came with the application, if it came from a registry: its
    /// maker does not know the files of this machine, and has none of them read or run.
    fn outside(&self, image: &Image) -> Option<String> {
        if !self.is_pulled {
            return None;
        }
        match image {
            Image::File(path) => {
                let path = joined(Path::new(""), path);
                let mut parts = path.components();
                let is_name = |part| matches!(part, Some(PathPart::Normal(_)));
                let is_inside = is_name(parts.next()) && is_name(parts.next());
                (!is_inside || parts.next().is_some()).then(|| path.display().to_string())
            }
            Image::Compose(parts) => parts.iter().find_map(|part| self.outside(&part.value)),
            _ => None,
        }
    }

    /// The part that an image resolves to; a refusal is reported.
    fn resolved(
        &mut self,
        name: &str,
        span: Option<Span>,
        result: Result<Resolved, Refusal>,
    ) -> Resolved {
        let resolved = self.keep(name, span, result);
        resolved.unwrap_or_else(|| Resolved::Part(LoadedPart::unavailable()))
    }

    /// A component that was read elsewhere and is given here.
    fn supplied(&mut self, component: &Component, bytes: &[u8]) -> Result<Resolved, Refusal> {
        let path = Path::new(&component.name.value);
        Ok(as_component(self.artifacts.take(path, bytes.to_vec())?))
    }

    /// The file that was pulled of a reference.
    fn file(
        &self,
        component: &str,
        kind: ComponentKind,
        reference: &str,
    ) -> Result<&PulledFile, Refusal> {
        match self.pulled.get(reference) {
            Some(Ok(file)) => Ok(file),
            Some(Err(refusal)) => Err(refusal.clone().into()),
            None => Err(in_a_registry(
                reference,
                component,
                kind,
                self.registry,
                self.folder,
            )),
        }
    }

    /// The part that was pulled of a reference.
    fn pulled(&mut self, component: &Component, reference: &str) -> Result<Resolved, Refusal> {
        let (name, kind) = (&component.name.value, component.kind);
        let file = self.file(name, kind, reference)?;
        match (file.kind, kind) {
            (FileKind::Component, _) => {
                let artifact = self.pulled_component(name, reference)?;
                Ok(as_component(artifact))
            }
            (FileKind::Archive | FileKind::Program, ComponentKind::Component) => {
                Err(Refusal::PulledProvider(reference.into()))
            }
            (kind, ComponentKind::Provider) => {
                let path = match self.registry.remote() {
                    Some(remote) => remote.images.program(&file.digest, &file.bytes),
                    // Nothing was pulled then.
                    None => return Err(Refusal::NoBytes),
                };
                let path = path.map_err(|why| Refusal::Pull {
                    reference: reference.into(),
                    why: Arc::new(why),
                })?;
                if kind == FileKind::Archive {
                    let source = V1Source::Archive(path, file.digest.clone());
                    return Ok(Resolved::V1(source));
                }
                // The person who pushed it is not the one who runs this.
                let confined = self.registry.confined();
                let (world, program) =
                    program::read(&path, confined).map_err(|why| Refusal::Program { path, why })?;
                Ok(Resolved::program(world, program))
            }
        }
    }

    /// The component that was pulled of a reference.
    fn pulled_component(&mut self, name: &str, reference: &str) -> Result<Artifact, Refusal> {
        let file = self.file(name, ComponentKind::Component, reference)?;
        if file.kind != FileKind::Component {
            return Err(Refusal::PulledProvider(reference.into()));
        }
        let bytes = file.bytes.to_vec();
        Ok(self.artifacts.take(Path::new(reference), bytes)?)
    }

    /// Asks the program `path` what provider it is.
    fn program(&mut self, path: &str) -> Result<Resolved, Refusal> {
        let path = joined(self.folder, path);
        self.files.push(path.clone());
        // The person who names a program of this machine could as well start it.
        let confined = self.registry.confined().filter(|_| self.is_pulled);
        let (world, program) =
            program::read(&path, confined).map_err(|why| Refusal::Program { path, why })?;
        Ok(Resolved::program(world, program))
    }

    /// Reads the component in the file `path`.
    fn read(
        &mut self,
        component: &str,
        path: &str,
        span: Option<Span>,
        wanted: FileUse,
    ) -> Option<Artifact> {
        let path = joined(self.folder, path);
        let result = self.artifacts.read(&path, wanted).map_err(Refusal::from);
        self.files.push(path);
        self.keep(component, span, result)
    }

    /// Reads and composes the components of a `compose:` list.
    fn compose(
        &mut self,
        component: &str,
        entries: &[Spanned<Image>],
        span: Option<Span>,
    ) -> Option<Artifact> {
        // All entries are read before giving up, so that all that is wrong is reported.
        let parts: Vec<_> = entries
            .iter()
            .map(|entry| self.constituent(component, entry))
            .collect();
        let parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
        match plug(&parts) {
            Ok(artifact) => Some(artifact),
            Err(refusals) => {
                for refusal in refusals {
                    self.keep::<()>(component, span, Err(refusal));
                }
                None
            }
        }
    }

    fn constituent(&mut self, component: &str, entry: &Spanned<Image>) -> Option<Artifact> {
        match &entry.value {
            Image::File(path) => self.read(component, path, entry.span, FileUse::Component),
            Image::Compose(entries) => self.compose(component, entries, entry.span),
            Image::Invalid => None,
            Image::Oci(reference) => {
                let result = self.pulled_component(component, reference);
                self.keep(component, entry.span, result)
            }
            Image::Builtin(_) | Image::Application { .. } | Image::Lattice(_) => {
                self.keep(component, entry.span, Err(Refusal::NoConstituent))
            }
        }
    }

    /// Reports a refusal at the place of the image it is about. An image without a place was named
    /// on the command line, where its path, which the reason holds, says all.
    fn keep<T>(
        &mut self,
        component: &str,
        span: Option<Span>,
        result: Result<T, Refusal>,
    ) -> Option<T> {
        let refusal = match result {
            Ok(value) => return Some(value),
            Err(refusal) => refusal,
        };
        let message = match span {
            Some(_) => format!("`{component}` cannot be loaded: {refusal}"),
            None => refusal.to_string(),
        };
        let mut diagnostic = Diagnostic::error(refusal.code(), message).at(span, "");
        diagnostic.help = refusal.help();
        self.diagnostics.push(diagnostic);
        None
    }
}

/// A provider whose program was asked elsewhere what it is.
fn supplied_program(program: &SuppliedProgram) -> Result<Resolved, Refusal> {
    let Some(description) = &program.description else {
        let source = V1Source::Archive(program.path.clone(), program.digest.clone());
        return Ok(Resolved::V1(source));
    };
    let (world, program) = program::supplied(program, description).map_err(Refusal::Supplied)?;
    Ok(Resolved::program(world, program))
}

/// The use that the file of an image is read for.
fn use_of(component: &Component) -> FileUse {
    match component.kind {
        _ if component.build.is_some() => FileUse::Built,
        ComponentKind::Provider => FileUse::Provider,
        ComponentKind::Component => FileUse::Component,
    }
}

/// The part that a component is, whatever it is declared as: a provider may be one.
fn as_component(artifact: Artifact) -> Resolved {
    let Artifact {
        bytes,
        digest,
        world,
        ..
    } = artifact;
    Resolved::Part(LoadedPart {
        input: Part::Component {
            world,
            digest,
            check_config: component_config::check(&bytes),
        },
        source: PartSource::Component(bytes),
    })
}

fn as_provider(component: &mut Component, known: Known<'_>) -> Result<Resolved, Refusal> {
    if component.kind == ComponentKind::Component {
        return Err(Refusal::IsProvider(known.world.name.to_string()));
    }
    if !known.config.is_empty() {
        let implied = known
            .config
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Spanned::unplaced((*value).to_owned())));
        let implied = NamedConfig {
            name: Spanned::unplaced("image".into()),
            properties: Some(implied.collect::<BTreeMap<_, _>>()),
            secret: false,
        };
        // Later configuration wins, so what the image's name implies comes first.
        component.config.insert(0, implied);
    }
    let source = match &component.process {
        Some(process) if process.value => ProviderSource::OwnProcess(known.descriptor),
        _ => ProviderSource::InHost(known.descriptor),
    };
    Ok(Resolved::provider(known.world.clone(), source))
}

fn unknown_provider(name: &str, registry: &Registry) -> Refusal {
    Refusal::UnknownProvider {
        name: name.into(),
        similar: registry.similar(name),
        known: registry.list(),
    }
}

fn in_a_registry(
    reference: &str,
    component: &str,
    kind: ComponentKind,
    registry: &Registry,
    folder: &Path,
) -> Refusal {
    let help = match kind {
        // A bare path without an extension reads as a reference.
        _ if folder.join(reference).is_file() => format!("to mean the file, write `./{reference}`"),
        ComponentKind::Component => {
            let file = format!("{component}.wasm");
            format!(
                "pull it to a file (`withe pull {reference} -o {file}`) and write `image: file://./{file}`"
            )
        }
        ComponentKind::Provider => {
            format!(
                "no first-party provider stands for it; the providers are {}",
                registry.list()
            )
        }
    };
    Refusal::Registry {
        reference: reference.into(),
        help,
    }
}

/// Plugs all but the first of `parts` into the first; or everything that stands against it.
fn plug(parts: &[Artifact]) -> Result<Artifact, Vec<Refusal>> {
    let Some((socket, plugs)) = parts.split_first() else {
        return Err(vec![Refusal::EmptyList]);
    };
    let paths: Vec<_> = parts.iter().map(|part| &part.path).collect();
    let mut names = withe_compose::plug_names(&paths).into_iter();
    let name = names.next().unwrap_or_default();
    let plugs: Vec<_> = names
        .zip(plugs)
        .map(|(name, part)| (name, part.bytes.to_vec()))
        .collect();
    let bytes = withe_compose::plug((&name, &socket.bytes), &plugs).map_err(|error| {
        let problems = error.problems.into_iter();
        problems.map(Refusal::Plug).collect::<Vec<_>>()
    })?;
    Artifact::from_bytes(&socket.path, bytes).map_err(|error| vec![Refusal::Composed(error)])
}

/// `path` from `folder`, without the `.`s that people write to say that it is a path.
pub(crate) fn joined(folder: &Path, path: &str) -> PathBuf {
    let path = folder.join(path);
    let parts = path
        .components()
        .filter(|part| *part != std::path::Component::CurDir);
    let path: PathBuf = parts.collect();
    if path.as_os_str().is_empty() {
        ".".into()
    } else {
        path
    }
}

/// The file's name without its extension.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem()
        .map(|s| s.to_string_lossy().into_owned())
        .unwrap_or_default()
}
