//! WAC documents: composition as its author spells it out.
//!
//! The language is `wac-parser`'s, and so is the composing. The parser takes some of its input for
//! granted: it is given validated components only, and should it panic all the same, that becomes an
//! error here, since a document must not be able to take down the program that reads it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use indexmap::IndexMap;
use miette::Diagnostic;
use semver::Version;
use wac_graph::EncodeOptions;
use wac_graph::types::BorrowedPackageKey;
use wac_parser::Document;

use crate::component::{Component, ReadError};

/// How deep a document may nest brackets; the parser recurses, and a deeper one would end the
/// process by using up its stack.
const MAX_NESTING: usize = 128;

/// Why a WAC document does not give a component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WacError {
    /// The document is wrong.
    #[error("{0}")]
    Document(DocumentError),
    /// A dependency's name is not `namespace:package` with or without `@version`.
    #[error("`{name}` is not a package name (`namespace:package[@version]`)")]
    Name {
        /// The name as given.
        name: String,
    },
    /// A dependency is given twice.
    #[error("the package `{name}` is given twice")]
    Duplicate {
        /// Its name.
        name: String,
    },
    /// A dependency is not a component.
    #[error("cannot compose `{name}`: {source}")]
    Read {
        /// Its name.
        name: String,
        /// The problem with its bytes.
        source: ReadError,
    },
    /// The document is beyond what the composer can do; this is a fault of the composer.
    #[error("`{path}` cannot be composed: the composer failed ({message})")]
    Internal {
        /// The document's path.
        path: String,
        /// The composer's failure.
        message: String,
    },
}

/// The problem with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    /// The document's path, as given.
    pub path: String,
    /// The problem; reasons behind it, if any, follow after colons.
    pub message: String,
    /// The places that it is about, the main one first; may be empty.
    pub places: Vec<DocumentPlace>,
    /// The remedy.
    pub help: Option<String>,
}

/// A place in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPlace {
    /// The first byte.
    pub start: usize,
    /// The byte behind the last.
    pub end: usize,
    /// The line of `start`, counted from 1.
    pub line: usize,
    /// The column of `start` in characters, counted from 1.
    pub column: usize,
    /// The text about it.
    pub label: Option<String>,
}

impl std::fmt::Display for DocumentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        for DocumentPlace {
            line,
            column,
            label,
            ..
        } in &self.places
        {
            write!(f, "\n  --> {}:{line}:{column}", self.path)?;
            if let Some(label) = label {
                write!(f, ": {label}")?;
            }
        }
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

/// Composes what a WAC document says.
///
/// `path` names the document in messages; `deps` are the packages that it may refer to, by
/// `namespace:package` or `namespace:package@version`.
pub fn wac(source: &str, path: &str, deps: &[(String, Vec<u8>)]) -> Result<Vec<u8>, WacError> {
    let keys = deps
        .iter()
        .map(|(name, _)| split_name(name))
        .collect::<Result<Vec<_>, _>>()?;
    let mut packages = IndexMap::with_capacity(deps.len());
    for ((name, bytes), (package, version)) in deps.iter().zip(&keys) {
        Component::read(bytes).map_err(|source| WacError::Read {
            name: name.clone(),
            source,
        })?;
        let key = BorrowedPackageKey::from_name_and_version(package, version.as_ref());
        if packages.insert(key, bytes.clone()).is_some() {
            return Err(WacError::Duplicate { name: name.clone() });
        }
    }
    check_nesting(source, path)?;

    let wrong = |error: &dyn Diagnostic| document_error(source, path, error);
    let wrong_meaning = |error: wac_parser::resolution::Error| {
        let mut wrong = wrong(&error);
        wrong.help = wrong.help.or_else(|| help(&error));
        WacError::Document(wrong)
    };
    // Nothing that could be left half-changed outlives the closure.
    catch_unwind(AssertUnwindSafe(|| {
        let document = Document::parse(source).map_err(|e| WacError::Document(wrong(&e)))?;
        let resolution = document.resolve(packages).map_err(wrong_meaning)?;
        let options = EncodeOptions {
            define_components: true,
            validate: true,
            processor: None,
        };
        resolution.encode(options).map_err(wrong_meaning)
    }))
    .unwrap_or_else(|panic| {
        Err(WacError::Internal {
            path: path.into(),
            message: panic_message(panic.as_ref()).into(),
        })
    })
}

fn split_name(name: &str) -> Result<(&str, Option<Version>), WacError> {
    let wrong = || WacError::Name { name: name.into() };
    let (package, version) = match name.split_once('@') {
        Some((package, version)) => (package, Some(version.parse().map_err(|_| wrong())?)),
        None => (name, None),
    };
    let is_package = package.split_once(':').is_some_and(|(namespace, rest)| {
        std::iter::once(namespace)
            .chain(rest.split(':'))
            .all(withe_wit::name::is_kebab)
    });
    if is_package {
        Ok((package, version))
    } else {
        Err(wrong())
    }
}

fn check_nesting(source: &str, path: &str) -> Result<(), WacError> {
    let mut depth = 0_usize;
    for (at, c) in source.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            return Err(WacError::Document(DocumentError {
                path: path.into(),
                message: format!("brackets are nested deeper than {MAX_NESTING}"),
                places: vec![place(source, at, 1, None)],
                help: None,
            }));
        }
    }
    Ok(())
}

/// Says what to do about an error whose own text does not.
fn help(error: &wac_parser::resolution::Error) -> Option<String> {
    use wac_parser::resolution::Error as E;
    Some(match error {
        E::MissingInstantiationArg { name, package, .. } => format!(
            "give it, as in `new {package} {{ \"{name}\": … }}`, or end the arguments with `...`: what is \
             not given is then imported by the composition"
        ),
        E::UnknownPackage { name, .. } => {
            format!("say which file it is: `--dep {name}=FILE.wasm`")
        }
        E::ExportRequiresAs { .. } => "name it: `export e as \"my-function\";`".into(),
        E::FillArgumentNotLast { .. } => "put `...` behind the last argument".into(),
        E::InstantiationArgMergeFailure { name, .. } => format!(
            "give each instance its own `{name}` as an argument, or build the components against one version"
        ),
        E::ValidationFailure { .. } => {
            "export the interface that declares the types in question as well, or use \
             `withe compose --plug`, which names them outside"
                .into()
        }
        _ => return None,
    })
}

fn document_error(source: &str, path: &str, error: &dyn Diagnostic) -> DocumentError {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    let mut labels: Vec<_> = error.labels().into_iter().flatten().collect();
    labels.sort_by_key(|label| !label.primary());
    let places = labels
        .iter()
        .map(|l| {
            place(
                source,
                l.offset(),
                l.len(),
                l.label().map(ToOwned::to_owned),
            )
        })
        .collect();
    DocumentError {
        path: path.into(),
        message,
        places,
        help: error.help().map(|help| help.to_string()),
    }
}

fn place(source: &str, start: usize, len: usize, label: Option<String>) -> DocumentPlace {
    let mut start = start.min(source.len());
    while !source.is_char_boundary(start) {
        start -= 1;
    }
    let before = &source[..start];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    DocumentPlace {
        start,
        end: start.saturating_add(len).min(source.len()),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        label,
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(message), _) => message,
        (None, Some(message)) => message,
        (None, None) => "no reason given",
    }
}
