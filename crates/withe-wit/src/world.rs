//! A component's world: what it imports and exports.

use std::fmt;
use std::sync::Arc;

use crate::name::InterfaceName;
use crate::ty::{Function, Type};

/// Imports and exports, in the order of the binary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// Its imports.
    pub imports: Vec<Extern>,
    /// Its exports.
    pub exports: Vec<Extern>,
    /// Whether code inside uses the component model's async ABI, whatever the types say.
    pub async_abi: bool,
    /// The most bytes that one of its linear memories has from the start.
    pub memory: u64,
}

impl World {
    /// The import of this name in the binary.
    pub fn import(&self, name: &str) -> Option<&Extern> {
        self.imports.iter().find(|e| e.name == name)
    }

    /// The export of this name in the binary.
    pub fn export(&self, name: &str) -> Option<&Extern> {
        self.exports.iter().find(|e| e.name == name)
    }

    /// Whether running it takes an engine with concurrency support: an async function, a stream, a
    /// future or an error context in its types, or the async ABI in its code.
    pub fn uses_concurrency(&self) -> bool {
        self.async_abi || (self.imports.iter().chain(&self.exports)).any(Extern::is_asynchronous)
    }
}

/// One import or export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extern {
    /// The name in the binary: an interface name (`wasi:keyvalue/store@0.2.0`), a label (`cache`),
    /// or a function's name (`run`).
    pub name: String,
    /// The item imported or exported.
    pub item: ExternItem,
}

impl Extern {
    /// The interface, if it is one.
    pub fn interface(&self) -> Option<&Interface> {
        match &self.item {
            ExternItem::Interface(interface) => Some(&**interface),
            ExternItem::Function(_) => None,
        }
    }

    /// The name of the interface, if it is one that has a name of its own.
    pub fn interface_name(&self) -> Option<&InterfaceName> {
        self.interface()?.name.as_ref()
    }

    /// Its functions: an interface's, or the one that it is.
    pub fn functions(&self) -> &[Function] {
        match &self.item {
            ExternItem::Interface(interface) => &interface.functions,
            ExternItem::Function(function) => std::slice::from_ref(function),
        }
    }

    /// Whether it is an interface under a name other than the interface's own: `cache` in
    /// `import cache: wasi:keyvalue/store;`, or an inline interface.
    pub fn is_label(&self) -> bool {
        self.interface().is_some() && !self.name.contains(':')
    }

    /// Whether one of its functions is async, or has a stream, a future or an error context in its type.
    pub fn is_asynchronous(&self) -> bool {
        let asynchronous = |f: &Function| f.is_async || f.types().any(Type::is_asynchronous);
        self.functions().iter().any(asynchronous)
    }

    /// Whether it only names types: such an import needs nobody to satisfy it.
    pub fn is_types_only(&self) -> bool {
        (self.interface()).is_some_and(|i| i.functions.is_empty() && i.resources.is_empty())
    }
}

/// The item of an import or export.
// Worlds have few functions of their own, and interfaces are what there are many of.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExternItem {
    /// An interface; equal ones of many components may be one (see [`Interfaces`](crate::Interfaces)).
    Interface(Arc<Interface>),
    /// A function of the world itself.
    Function(Function),
}

/// An interface as one component sees it: an import lists only what is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interface {
    /// Its name: also of a label, where `(implements "…")` gives it; `None` for an inline one.
    pub name: Option<InterfaceName>,
    /// Functions, methods and constructors.
    pub functions: Vec<Function>,
    /// Resources that it defines.
    pub resources: Vec<String>,
    /// The other types that it names, in order; a resource that it takes from another interface
    /// stands here as its handle.
    pub types: Vec<(String, Type)>,
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
    /// A valid component, with imports or exports that no link can carry yet; never empty.
    #[error("{}", sentences(.0))]
    Unsupported(Vec<Unsupported>),
}

/// An import or export of a kind that the linker does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Whether it is an import; else an export.
    pub is_import: bool,
    /// The import's or export's name.
    pub name: String,
    /// The item in it, if it is an interface.
    pub item: Option<String>,
    /// The kind of item, with its article: `a core module`.
    pub what: &'static str,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            is_import,
            name,
            item,
            what,
        } = self;
        let verb = if *is_import { "imports" } else { "exports" };
        match item {
            Some(item) => write!(f, "it {verb} `{name}`, in which `{item}` is {what}"),
            None => write!(f, "it {verb} `{name}`, which is {what}"),
        }
    }
}

fn sentences(all: &[Unsupported]) -> String {
    let all: Vec<_> = all.iter().map(ToString::to_string).collect();
    all.join("; ")
}
