//! Application manifests: text to what the linker is given, with the place of every value kept.
//!
//! ```text
//! text ─ source ─→ node tree ─ document ─→ the application's root
//!      ─ application, component, traits, link, image, values ─→ input::Application
//!      ─ validate ─→ what only the whole manifest can tell
//! ```
//!
//! The form is the one wasmCloud's `wadm` takes (OAM, `core.oam.dev/v1beta1`), in YAML or JSON,
//! with a few fields of Withe's own; `docs/manifest.md` is the reference. Reading never stops at
//! the first problem: what can be understood is, and everything else is reported.
//!
//! [`write`](write()) is the way back, for an application that was made from the arguments of a command.
//!
//! [`mask`] finds the secret values in a text, and makes the text without them.
//!
//! References to registries ([`reference`]) are read here, for manifests and for pulling.
//!
//! The admission policies of hosts ([`policy`]) are read the same way.
//!
//! Pure: no files, clock, network or async.

mod application;
mod codes;
mod component;
mod config;
mod document;
mod fields;
mod image;
mod json;
mod link;
pub mod mask;
mod node;
pub mod pattern;
pub mod policy;
pub mod reference;
mod shapes;
mod source;
mod suggest;
mod syntax;
mod traits;
mod validate;
mod values;
mod write;
mod yaml;

pub use codes::CODES;
pub use write::write;

use std::time::Duration;

use withe_linker::Diagnostics;
use withe_linker::input::Application;

/// A number of bytes as manifests have it: a whole number above zero, alone or with a unit (`64MiB`).
pub fn parse_size(text: &str) -> Option<u64> {
    values::size(text).ok()
}

/// A duration as manifests have it: longer than zero, with units (`1m30s`).
pub fn parse_duration(text: &str) -> Option<Duration> {
    values::duration(text).ok()
}

/// The result of parsing a manifest's text.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The application, where anything useful could be understood. An application may only be run if
    /// `diagnostics` has no errors; with errors it is still good for finding more of them.
    pub application: Option<Application>,
    /// Everything wrong with the manifest, or worth knowing about it, in the order of the text.
    pub diagnostics: Diagnostics,
}

/// Reads a manifest, YAML or JSON.
///
/// Spans are byte ranges of `text`.
pub fn parse(text: &str) -> Parsed {
    let mut out = Diagnostics::default();
    let application = source::read(text)
        .map_err(|problem| out.push(*problem))
        .ok()
        .and_then(|documents| document::choose(&mut out, documents))
        .and_then(|root| application::read(&mut out, &root));
    if let Some(application) = &application {
        validate::check(&mut out, application);
    }
    out.sort();
    Parsed {
        application,
        diagnostics: out,
    }
}
