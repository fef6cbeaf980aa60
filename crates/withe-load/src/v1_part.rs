//! A part of wasmCloud v1 as it was read, beside the components and providers of `loaded`. `wasmcloud` finds
//! it and its exports.

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
    /// The functions of it that components may call, with their types.
    pub functions: Vec<(FunctionName, Function)>,
    /// The functions of components that it may call, likewise.
    pub called: Vec<(FunctionName, Function)>,
}
