//! How the parts of an application are built, as its manifest says: commands, each once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use withe_linker::input::{Application, Image};

/// A command that builds one or more parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BuildStep {
    /// The parts, for messages.
    pub(crate) parts: Vec<String>,
    /// A command line for a shell.
    pub(crate) command: String,
    /// Where it is run: the manifest's folder.
    pub(crate) folder: PathBuf,
    /// Files and folders whose changes make it run again.
    pub(crate) inputs: BTreeSet<PathBuf>,
    /// The files that it makes.
    pub(crate) artifacts: BTreeSet<PathBuf>,
}

impl BuildStep {
    /// Its parts, in a message.
    pub(crate) fn name(&self) -> String {
        self.parts.join(", ")
    }
}

/// All steps of an application whose manifest is in `folder`. Parts that are built by the same command, as those of one cargo
/// workspace are, share a step.
pub(crate) fn steps(application: &Application, folder: &Path) -> Vec<BuildStep> {
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let mut steps: Vec<BuildStep> = Vec::new();
    for component in &application.components {
        let Some(build) = &component.build else {
            continue;
        };
        let command = &build.command.value;
        let place = steps.iter().position(|step| step.command == *command);
        let place = place.unwrap_or_else(|| {
            steps.push(BuildStep {
                parts: Vec::new(),
                command: command.clone(),
                folder: folder.to_owned(),
                inputs: BTreeSet::new(),
                artifacts: BTreeSet::new(),
            });
            steps.len() - 1
        });
        let step = &mut steps[place];
        step.parts.push(component.name.value.clone());
        match build.inputs.is_empty() {
            true => _ = step.inputs.insert(folder.to_owned()),
            false => step
                .inputs
                .extend(build.inputs.iter().map(|input| folder.join(input.as_str()))),
        }
        step.artifacts
            .extend(files(&component.image).map(|file| folder.join(file)));
    }
    steps
}

/// The files of an image.
fn files(image: &Image) -> Box<dyn Iterator<Item = &str> + '_> {
    match image {
        Image::File(path) => Box::new(std::iter::once(path.as_str())),
        Image::Compose(parts) => Box::new(parts.iter().flat_map(|part| files(part))),
        _ => Box::new(std::iter::empty()),
    }
}
