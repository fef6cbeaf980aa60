//! Composition: several components become one.
//!
//! * [`fuse`]: the components of an application, when it is loaded; each keeps its own identity.
//! * [`plug`]: components into the imports of another, at build time, by what they export.
//! * [`wac`]: what a WAC document says, at build time.
//!
//! Before all of them: [`componentize`] makes a component of a core module. And the way back: [`extract_modules`] takes large core modules out of a component, to be compiled apart.
//!
//! Pure: bytes in, bytes out. No files, clock, network or async; the same input gives the same
//! bytes. Every input is validated first, so that no bytes can make a composition panic; taking modules out takes any bytes.
//!
//! The first two are written by this crate itself, not by `wac-graph`: that merges imports by name
//! alone, knows a resource by its name, and asserts where its input is not what it expects. Here
//! resources keep the identity that validation gives them, so a separate import such as
//! `wasi:cli/stdout` can return a stream of the shared `wasi:io/streams`.
//!
//! ```text
//! component ─ decide ─ check ─ assemble ─→ bytes
//!    │           │        │         │
//!  types,     linkage:  compare   encode
//!  validated  what gets
//!             what from
//!             where
//! ```

mod assemble;
mod check;
mod compare;
mod component;
mod componentize;
mod decide;
mod encode;
mod error;
mod expose;
mod extract;
mod fuse;
mod linkage;
mod module_names;
mod names;
mod order;
mod plug;
mod sections;
mod wac;

pub use componentize::{ComponentizeError, componentize};
pub use error::{Difference, LinkError, ReadError};
pub use extract::{
    ExtractLimits, ExtractSizes, Extracted, ExtractedModule, ExtractedNeeds, extract_modules,
};
pub use fuse::{Constituent, FuseError, FuseRequest, FuseWire, Fused, FusedImport, fuse};
pub use plug::{PlugError, PlugProblem, plug, plug_names};
pub use wac::{DocumentError, DocumentPlace, WacError, wac};
