//! An application that was read and linked without errors: what a program needs to run one within it.
//!
//! The command goes the same way in steps of its own, since it has more to say of each.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use withe_linker::diagnostic::{Diagnostic, Severity};
use withe_linker::input::LinkDefaults;
use withe_linker::plan::Plan;
use withe_linker::{Diagnostics, LinkOutcome};
use withe_load::{LinkOptions, LoadError, Loaded, Registry, RegistryError, SourceText, Supplied};
use withe_provider::Descriptor;

use crate::parts::Parts;

/// The name in messages of a manifest that is a text, not a file.
const TEXT: &str = "manifest";

/// An application that was read and linked without errors.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use withe_host::Runnable;
///
/// let shop = Runnable::manifest("shop.yaml").calling("cart").link()?;
/// # Ok(())
/// # }
/// ```
pub struct Runnable {
    loaded: Arc<Loaded>,
    linked: Arc<LinkOutcome>,
    plan: Plan,
    parts: Arc<Parts>,
}

/// How an application is read and linked.
pub struct RunnableBuilder {
    source: ManifestSource,
    supplied: Supplied,
    providers: Vec<Descriptor>,
    options: LinkOptions,
}

/// Where the manifest is.
enum ManifestSource {
    File(PathBuf),
    Text {
        text: String,
        folder: PathBuf,
    },
    /// There is none: a component, and others for it to be linked to.
    Files(PathBuf, Vec<PathBuf>),
}

/// Why an application cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunnableError {
    /// There is no manifest to read.
    #[error(transparent)]
    Read(#[from] LoadError),
    /// Bytes were given for components that are not in the manifest, or of which it names the files.
    #[error("no component of the manifest takes the bytes that were given for {}", names(.0))]
    Unused(Vec<String>),
    /// A provider that was given is faulty.
    #[error(transparent)]
    Provider(#[from] RegistryError),
    /// Something is wrong with the manifest, a file that it names, or a link.
    #[error(transparent)]
    Wrong(#[from] Problems),
}

fn names(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// All that is wrong with an application.
#[derive(Debug, thiserror::Error)]
pub struct Problems {
    /// The text that the diagnostics point into.
    pub source_text: SourceText,
    /// The problems, in reading order, among notes and warnings.
    pub diagnostics: Diagnostics,
}

impl fmt::Display for Problems {
    /// A few lines for each error. `withe check` shows them in the manifest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.diagnostics.0.iter();
        let errors = errors.filter(|d| d.severity == Severity::Error);
        for (i, error) in errors.enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            self.one(f, error)?;
        }
        Ok(())
    }
}

impl Problems {
    fn one(&self, f: &mut fmt::Formatter<'_>, error: &Diagnostic) -> fmt::Result {
        write!(f, "{}", self.source_text.path.display())?;
        if let Some(label) = &error.primary {
            let before = self.source_text.text.get(..label.span.start);
            let before = before.unwrap_or(&self.source_text.text);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default();
            write!(f, ":{line}:{}", column.chars().count() + 1)?;
        }
        write!(f, ": error[{}]: {}", error.code.0, error.message)?;
        for note in &error.notes {
            write!(f, "\n  {}", note.replace('\n', "\n  "))?;
        }
        if let Some(help) = &error.help {
            write!(f, "\n  help: {}", help.replace('\n', "\n  "))?;
        }
        Ok(())
    }
}

impl Runnable {
    /// The application of a manifest's file. Paths in it are relative to its folder.
    pub fn manifest(path: impl Into<PathBuf>) -> RunnableBuilder {
        RunnableBuilder::new(ManifestSource::File(path.into()))
    }

    /// The application of a manifest's text, whose components are given with [`RunnableBuilder::component`]. Other
    /// paths in it are relative to `folder`.
    pub fn text(manifest: impl Into<String>, folder: impl Into<PathBuf>) -> RunnableBuilder {
        RunnableBuilder::new(ManifestSource::Text {
            text: manifest.into(),
            folder: folder.into(),
        })
    }

    /// One component's file, linked to those of `others` that export what it and they import. The component is called
    /// as its file is, without the extension.
    pub fn files(
        component: impl Into<PathBuf>,
        others: impl IntoIterator<Item = PathBuf>,
    ) -> RunnableBuilder {
        RunnableBuilder::new(ManifestSource::Files(
            component.into(),
            others.into_iter().collect(),
        ))
    }

    /// How every link is bound.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The application as it was read.
    pub fn loaded(&self) -> &Arc<Loaded> {
        &self.loaded
    }

    /// Warnings and notes.
    pub fn diagnostics(&self) -> &Diagnostics {
        &self.linked.diagnostics
    }

    pub(crate) fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }
}

impl RunnableBuilder {
    fn new(source: ManifestSource) -> Self {
        Self {
            source,
            // The caller is a program of this machine, and its manifests are its own.
            supplied: Supplied {
                runs_programs: true,
                ..Supplied::default()
            },
            providers: Vec::new(),
            options: LinkOptions {
                host: withe_runtime::host_interfaces(),
                ..LinkOptions::default()
            },
        }
    }

    /// Gives the bytes of a component of [`Runnable::text`]'s manifest. The others read files.
    #[must_use]
    pub fn component(mut self, name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.supplied.components.insert(name.into(), bytes.into());
        self
    }

    /// Makes providers available to the manifest, under their short names (`withe:keyvalue`).
    #[must_use]
    pub fn providers(mut self, providers: &[Descriptor]) -> Self {
        self.providers.extend_from_slice(providers);
        self
    }

    /// Says that the program itself calls a component: it is then instantiated, also where no part calls it, or where
    /// it could be fused into those that do.
    #[must_use]
    pub fn calling(mut self, component: impl Into<String>) -> Self {
        self.options.called.push(component.into());
        self
    }

    /// The defaults of links that say nothing: binding, scope and timeout.
    #[must_use]
    pub fn link_defaults(mut self, defaults: LinkDefaults) -> Self {
        self.options.defaults = defaults;
        self
    }

    /// Reads everything and links it. Reads files; blocks meanwhile.
    ///
    /// # Errors
    ///
    /// All that is wrong, see [`RunnableError`].
    pub fn link(mut self) -> Result<Runnable, RunnableError> {
        let registry = Registry::new(&self.providers)?;
        let takes_bytes = matches!(self.source, ManifestSource::Text { .. });
        let mut unused: Vec<String> = self.supplied.components.keys().cloned().collect();
        let loaded = match self.source {
            ManifestSource::File(path) => withe_load::load(&path, &registry)?,
            ManifestSource::Text { text, folder } => {
                let parsed = withe_manifest::parse(&text);
                let path = Path::new(TEXT).to_owned();
                let source = SourceText { path, text };
                withe_load::load_supplied(source, parsed, &folder, &self.supplied, &registry)
            }
            ManifestSource::Files(component, others) => {
                let loaded = withe_load::load_files(&component, &others, &registry);
                let first = loaded.named_parts().next();
                self.options
                    .called
                    .extend(first.map(|(name, _)| name.to_owned()));
                loaded
            }
        };
        let linked = loaded.link(&self.options);
        let Some(plan) = linked.plan.clone() else {
            let problems = Problems {
                source_text: loaded.source.clone(),
                diagnostics: linked.diagnostics.clone(),
            };
            return Err(problems.into());
        };
        unused.retain(|name| !takes_bytes || loaded.part(name).is_none());
        if !unused.is_empty() {
            unused.sort();
            return Err(RunnableError::Unused(unused));
        }
        Ok(Runnable {
            parts: Arc::new(Parts::of(&loaded)),
            loaded: Arc::new(loaded),
            linked,
            plan,
        })
    }
}
