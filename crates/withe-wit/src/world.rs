//! A component's world: what it imports and exports.

use crate::name::InterfaceName;
use crate::ty::Function;

/// Imports and exports, in the order of the binary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// What it needs.
    pub imports: Vec<Extern>,
    /// What it offers.
    pub exports: Vec<Extern>,
}

/// One import or export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extern {
    /// The name in the binary: an interface name (`wasi:keyvalue/store@0.2.0`), a label (`cache`),
    /// or a function's name (`run`).
    pub name: String,
    /// What it is.
    pub item: ExternItem,
}

/// What an import or export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExternItem {
    /// An interface.
    Interface(Interface),
    /// A function of the world itself.
    Function(Function),
}

/// An interface as one component sees it: an import lists only what is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name: also of a label, where `(implements "…")` gives it; `None` for an inline one.
    pub name: Option<InterfaceName>,
    /// Functions, methods and constructors.
    pub functions: Vec<Function>,
    /// Resources that it defines.
    pub resources: Vec<String>,
}

/// Why bytes are not a component whose world can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not WebAssembly at all.
    #[error("this is not WebAssembly: {0}")]
    NotWasm(String),
    /// A core module.
    #[error("this is a core WebAssembly module, not a component")]
    CoreModule,
    /// A WIT package in binary form.
    #[error("this is a WIT package, not a component")]
    WitPackage,
    /// A component, but it is damaged or uses what is not known here.
    #[error("this component cannot be read: {0}")]
    Malformed(String),
}
