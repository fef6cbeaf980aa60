//! What a part of wasmCloud v1 is once it was read, beside the components and providers of `loaded`. How it is
//! found and what it exports, `wasmcloud` says.

use std::path::PathBuf;

use withe_provider::FunctionName;
use withe_wit::Function;

/// Where a part of wasmCloud v1 comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum V1Source {
    /// A provider's archive, and the digest of its bytes.
    Archive(PathBuf, String),
    /// Others run it, under this id.
    Lattice(String),
}

/// A part of wasmCloud v1.
#[derive(Clone, Debug, PartialEq)]
pub struct V1Part {
    /// Where it comes from.
    pub source: V1Source,
    /// What components may call of it, with their types.
    pub functions: Vec<(FunctionName, Function)>,
}
